//! A whole model as one plan.

use super::super::model::Model;
use super::super::tensor::Tensor;
use super::super::values::Given;
use super::builder::{Builder, Input, InputKind};
use super::item::{Item, with_axes};
use super::operators;
use crate::device::{Device, block_on, elsewhere, locked, may_wait};
use crate::error::{Error, Result};
use crate::plan::Program;
use crate::readback::read_together_async;
use crate::tensor::Tensor as DeviceTensor;
use ndarray::IxDyn;
use std::sync::{Arc, Mutex};

/// Integers below this one are floats exactly.
const EXACT: usize = 1 << 24;

/// A whole model on a device, for inputs of given shapes: one program, by the operations of a [`Tape`](crate::Tape).
///
/// ```no_run
/// # fn main() -> wgrnn::Result<()> {
/// use wgrnn::{Device, onnx::{Model, Tensor}};
/// let model = Model::load("denoiser.onnx")?;
/// let graph = model.graph(&Device::auto(), &[("input", &[1, 100, 161])], &[])?;
/// let x = Tensor::Numbers(ndarray::ArrayD::zeros(vec![1, 100, 161]));
/// for (name, y) in graph.run(&[("input", &x)])? {
///     println!("{name}: {:?}", y.shape());
/// }
/// # Ok(())
/// # }
/// ```
///
/// [`Graph::operators`] lists what a model may be made of. All floats are of 32 bits, whatever a model casts them to.
pub struct Graph(Arc<Shared>);

struct Shared {
    program: Program,
    inputs: Vec<Input>,
    outputs: Vec<Output>,
    /// Held by whoever runs it: all runs read the same inputs.
    alone: Mutex<()>,
}

struct Output {
    name: String,
    shape: Vec<usize>,
    kind: OutputKind,
}

enum OutputKind {
    Known(Tensor),
    Numbers(DeviceTensor),
    /// Integers, which the device holds as floats.
    Integers(DeviceTensor),
}

impl Model {
    /// Makes a plan of the whole model on a device. `shapes` are those of its inputs; one whose shape the model says itself
    /// may be left out. `given` are values of inputs that are known now, such as a sampling rate, or take the place of others in the
    /// model; an `If` needs them where they decide its condition. An input of integers that is `sequence_lens` of recurrent nodes
    /// may have other lengths in each run.
    ///
    /// # Errors
    /// [`Unsupported`](Error::Unsupported) with all operators of the model that can't be built, and why;
    /// [`Value`](Error::Value) for names that are no inputs of the model, and for inputs without a shape or a value;
    /// [`Shape`](Error::Shape) and [`Onnx`](Error::Onnx) where shapes do not fit each other or the model is damaged.
    pub fn graph(&self, device: &Device, shapes: &[(&str, &[usize])], given: &[(&str, &Tensor)]) -> Result<Graph> {
        let values = &self.values;
        let own = values.scopes.scope(0);
        let names = || own.inputs.iter().map(|input| format!("'{}'", input.name)).collect::<Vec<_>>().join(", ");
        if let Some((name, _)) = shapes.iter().find(|(name, _)| own.inputs.iter().all(|input| input.name != *name)) {
            return Err(Error::value("an input with a shape", format!("one of {}", names()), format!("'{name}'")));
        }
        if let Some((name, _)) = given.iter().find(|(name, _)| values.scopes.place(name, 0).is_none()) {
            return Err(Error::value("a value given", "the name of a value of the model", format!("'{name}'")));
        }
        let mut builder = Builder::new(values, device, Given::new(given)?, operators::find)?;
        for input in &own.inputs {
            if builder.finder.given().get(&input.name).is_some() {
                continue;
            }
            let said = shapes.iter().find(|(name, _)| *name == input.name).map(|(_, shape)| shape.to_vec());
            let has_default = !self.inputs().any(|name| name == input.name);
            let declared = || input.shape.as_ref().and_then(|shape| shape.iter().copied().collect::<Option<Vec<_>>>());
            match said.or_else(|| if has_default { None } else { declared() }) {
                Some(shape) => {
                    check_declared(input, &shape)?;
                    builder.add_input(&input.name, &shape, super::super::fold::is_integer(input.element))?;
                }
                None if has_default => {}
                None => {
                    let expected =
                        format!("a shape like {}, or its value among the tensors that are given", declared_text(input));
                    return Err(Error::value(format!("shape of input '{}'", input.name), expected, "none"));
                }
            }
        }
        let mut outputs = Vec::new();
        for name in &own.outputs {
            outputs.push((name.clone(), builder.item(name, 0)?));
        }
        builder.check_lacking()?;
        let outputs =
            outputs.into_iter().map(|(name, item)| output(&mut builder, name, item)).collect::<Result<_>>()?;
        let Builder { tape, inputs, .. } = builder;
        Ok(Graph(Arc::new(Shared { program: tape.build()?, inputs, outputs, alone: Mutex::default() })))
    }
}

/// The shape that a model gives an input, with names or `?` for what is not said.
fn declared_text(input: &super::super::scopes::GraphInput) -> String {
    let size = |size: &Option<usize>| size.map_or_else(|| "?".to_owned(), |size| size.to_string());
    input.shape.as_ref().map_or_else(
        || "[...]".to_owned(),
        |shape| format!("[{}]", shape.iter().map(size).collect::<Vec<_>>().join(", ")),
    )
}

fn check_declared(input: &super::super::scopes::GraphInput, shape: &[usize]) -> Result<()> {
    // Some writers say 0 for any size.
    let fits = input.shape.as_ref().is_none_or(|declared| {
        let fits = |(declared, size): (&Option<usize>, &usize)| {
            declared.is_none_or(|declared| declared == 0 || declared == *size)
        };
        declared.len() == shape.len() && declared.iter().zip(shape).all(fits)
    });
    let tensor = || format!("input '{}' of the model", input.name);
    if fits {
        Ok(())
    } else {
        Err(Error::Shape { tensor: tensor(), expected: declared_text(input), got: format!("{shape:?}") })
    }
}

fn output(builder: &mut Builder<'_>, name: String, item: Item) -> Result<Output> {
    let shape = item.shape().unwrap_or_default().to_vec();
    let kind = match item {
        Item::Known(constant) => OutputKind::Known(constant.tensor.clone()),
        Item::Numbers(numbers) => {
            let tensor = DeviceTensor::zeros(builder.device(), &with_axes(&shape))?;
            let to = builder.tape.input(&tensor)?;
            builder.tape.plan().copy(&numbers.value, &to)?;
            OutputKind::Numbers(tensor)
        }
        Item::Integers(integers) => {
            super::moves::mark_read(builder, &integers, None);
            if let Some(input) = integers.input
                && let InputKind::Integers { is_output, .. } = &mut builder.inputs[input].kind
            {
                *is_output = true;
            }
            let tensor = DeviceTensor::zeros(builder.device(), &with_axes(&shape))?;
            let to = builder.tape.input(&tensor)?;
            let floats = builder.tape.map([&integers.value], |[x]| x + 0.0)?;
            builder.tape.plan().copy(&floats, &to)?;
            OutputKind::Integers(tensor)
        }
        Item::Lacking => return Err(Error::Onnx(format!("output '{name}' is not computed"))),
    };
    Ok(Output { name, shape, kind })
}

impl Graph {
    /// The operators that a model may be made of, beside those that are evaluated when the plan is built.
    pub fn operators() -> Vec<&'static str> {
        operators::names()
    }

    /// The names and shapes of what [`Graph::run`] takes.
    pub fn inputs(&self) -> impl Iterator<Item = (&str, &[usize])> {
        self.0.inputs.iter().map(|input| (&*input.name, &*input.shape))
    }

    /// The names and shapes of what [`Graph::run`] gives.
    pub fn outputs(&self) -> impl Iterator<Item = (&str, &[usize])> {
        self.0.outputs.iter().map(|output| (&*output.name, &*output.shape))
    }

    /// The program, which reads the inputs that were last written.
    pub fn program(&self) -> &Program {
        &self.0.program
    }

    /// Writes inputs by their names. Those that are not among them stay as they were: 0 at first.
    ///
    /// # Errors
    /// [`Value`](Error::Value) for another name, for floats in place of integers, and for integers that no table has a row of;
    /// [`Shape`](Error::Shape).
    pub fn write(&self, inputs: &[(&str, &Tensor)]) -> Result<()> {
        self.0.write(inputs)
    }

    /// Runs the model once. Every input has to be there.
    ///
    /// # Errors
    /// As [`Graph::write`], and as [`Program::run`]; [`Value`](Error::Value) where an input is missing.
    pub fn run(&self, inputs: &[(&str, &Tensor)]) -> Result<Vec<(String, Tensor)>> {
        let _alone = locked(&self.0.alone);
        block_on(self.0.run(inputs))
    }

    /// The asynchronous form of [`Graph::run`].
    ///
    /// # Errors
    /// As [`Graph::run`].
    pub async fn run_async(&self, inputs: &[(&str, &Tensor)]) -> Result<Vec<(String, Tensor)>> {
        if may_wait() {
            return self.0.run(inputs).await;
        }
        let own = |(name, tensor): &(&str, &Tensor)| ((*name).to_owned(), (*tensor).clone());
        let (shared, inputs) = (Arc::clone(&self.0), inputs.iter().map(own).collect::<Vec<_>>());
        elsewhere(move || async move {
            let inputs: Vec<_> = inputs.iter().map(|(name, tensor)| (&**name, tensor)).collect();
            // One run at a time. This thread may wait.
            let _alone = locked(&shared.alone);
            block_on(shared.run(&inputs))
        })
        .await
    }

    /// The outputs that the last run left, in the model's order.
    ///
    /// # Errors
    /// As [`DeviceTensor::read`](crate::Tensor::read).
    pub async fn read_async(&self) -> Result<Vec<(String, Tensor)>> {
        self.0.read().await
    }
}

impl Shared {
    fn write(&self, inputs: &[(&str, &Tensor)]) -> Result<()> {
        for (name, tensor) in inputs {
            let input = self.inputs.iter().find(|input| input.name == *name).ok_or_else(|| {
                let names: Vec<_> = self.inputs.iter().map(|input| format!("'{}'", input.name)).collect();
                Error::value("input of the model", format!("one of {}", names.join(", ")), format!("'{name}'"))
            })?;
            if tensor.shape() != input.shape {
                return Err(Error::shape(format!("input '{name}'"), &input.shape, tensor.shape()));
            }
            input.write(tensor)?;
        }
        Ok(())
    }

    /// Up to the copy of the outputs nothing is waited for, so that no other run of a thread comes between.
    async fn run(&self, inputs: &[(&str, &Tensor)]) -> Result<Vec<(String, Tensor)>> {
        if let Some(input) = self.inputs.iter().find(|input| inputs.iter().all(|(name, _)| *name != input.name)) {
            let what = format!("input '{}' of the model", input.name);
            return Err(Error::value(what, format!("a tensor of shape {:?}", input.shape), "none"));
        }
        self.write(inputs)?;
        self.program.run()?;
        self.read().await
    }

    async fn read(&self) -> Result<Vec<(String, Tensor)>> {
        // All by one copy: they are of one run, whatever runs next.
        let on_device = self.outputs.iter().filter_map(|output| match &output.kind {
            OutputKind::Known(_) => None,
            OutputKind::Numbers(tensor) | OutputKind::Integers(tensor) => Some(tensor),
        });
        let mut read = read_together_async(&on_device.collect::<Vec<_>>()).await?.into_iter();
        let mut outputs = Vec::new();
        for Output { name, shape, kind } in &self.outputs {
            let fault = |error| Error::Plan(format!("output '{name}': {error}"));
            let mut array = || {
                let array = read.next().ok_or_else(|| Error::Plan(format!("output '{name}' was not read")))?;
                array.into_shape_with_order(IxDyn(shape)).map_err(fault)
            };
            let tensor = match kind {
                OutputKind::Known(tensor) => tensor.clone(),
                OutputKind::Numbers(_) => Tensor::Numbers(array()?),
                OutputKind::Integers(_) => Tensor::Integers(array()?.mapv(|value| value as i64)),
            };
            outputs.push((name.clone(), tensor));
        }
        Ok(outputs)
    }
}

impl Input {
    fn write(&self, tensor: &Tensor) -> Result<()> {
        let what = || format!("input '{}'", self.name);
        match (&self.kind, tensor) {
            (InputKind::Numbers(own), Tensor::Numbers(array)) => own.write(
                array.to_shape(with_axes(array.shape())).map_err(|error| Error::Plan(error.to_string()))?.view(),
            ),
            (
                InputKind::Integers { tensor: own, tables, is_number, is_output, lengths, is_read },
                Tensor::Integers(array),
            ) => {
                if !lengths.is_empty() {
                    let list = super::super::inputs::lengths(tensor)?;
                    lengths.iter().try_for_each(|own| own.write(&list))?;
                }
                let most = if *is_output { EXACT } else { u32::MAX as usize };
                let below = tables.iter().copied().min().unwrap_or(most).min(most) as i64;
                // As in ONNX, an index may be counted from the end of its table: of tables of one size.
                let is_index = !is_number && tables.windows(2).all(|pair| pair[0] == pair[1]) && !tables.is_empty();
                let index = |&value: &i64| {
                    let index = if value < 0 && is_index { value.saturating_add(below) } else { value };
                    u32::try_from(index).ok().filter(|&index| i64::from(index) < below).ok_or(value)
                };
                if !is_read {
                    return Ok(());
                }
                let indices: std::result::Result<Vec<u32>, i64> = array.iter().map(index).collect();
                let indices =
                    indices.map_err(|value| Error::value(what(), format!("numbers from 0 to {}", below - 1), value))?;
                let shaped = ndarray::ArrayD::from_shape_vec(with_axes(array.shape()), indices);
                own.write(shaped.map_err(|error| Error::Plan(error.to_string()))?.view())
            }
            (InputKind::Numbers(_), _) => Err(Error::value(what(), "floats", "integers")),
            (InputKind::Integers { .. }, _) => Err(Error::value(what(), "integers", "floats")),
        }
    }
}

impl std::fmt::Debug for Graph {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shapes = |list: Vec<(&str, &[usize])>| {
            list.into_iter().map(|(name, shape)| format!("{name} {shape:?}")).collect::<Vec<_>>()
        };
        let mut debug = f.debug_struct("Graph");
        debug.field("inputs", &shapes(self.inputs().collect())).field("outputs", &shapes(self.outputs().collect()));
        debug.finish_non_exhaustive()
    }
}
