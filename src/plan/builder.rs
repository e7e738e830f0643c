//! Plans put together from operations.

use super::{BufferId, Draft, Plan, Role, Trace};
use crate::cells::Activation;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::kernels::{ApplyParams, ArgmaxParams, FLAT, Function, GatherParams, GemmParams, Kernel, Variant, row_tile};
use crate::layer::{self, DeviceState, Linear, Reserve, Rnn, RnnCall};
use crate::parameters::Parameters;
use crate::program::Program;
use crate::tensor::{Element, Storage, Tensor, elements};
use std::sync::atomic::{AtomicU64, Ordering};

/// Tells plans under construction apart, so that a value of one is refused in another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PlanId(u64);

impl PlanId {
    fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// An array inside of a plan: a part of one of its buffers. It can be used only with the [`PlanBuilder`] or
/// [`Tape`](crate::Tape) that made it: others answer [`OtherPlan`](Error::OtherPlan).
#[derive(Clone, Debug)]
pub struct Value {
    pub(crate) plan: PlanId,
    pub(crate) buffer: BufferId,
    /// First element.
    pub(crate) offset: usize,
    pub(crate) shape: Vec<usize>,
    pub(crate) is_index: bool,
}

impl Value {
    /// The shape.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    pub(crate) fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// The part with this index along the first axis.
    ///
    /// # Errors
    /// [`Value`](Error::Value) where the axis is shorter.
    pub fn at(&self, index: usize) -> Result<Self> {
        match self.shape.split_first() {
            Some((&first, rest)) if index < first && !rest.is_empty() => {
                let offset = self.offset + index * rest.iter().product::<usize>();
                Ok(Self { offset, shape: rest.to_vec(), ..self.clone() })
            }
            _ => Err(Error::value("index", format!("an index into the first axis of {:?}", self.shape), index)),
        }
    }

    /// The same elements in another shape.
    ///
    /// # Errors
    /// [`Shape`](Error::Shape) where it has another number of elements.
    pub fn reshape(&self, shape: &[usize]) -> Result<Self> {
        if elements(shape)? == self.len() {
            Ok(Self { shape: shape.to_vec(), ..self.clone() })
        } else {
            Err(Error::shape("reshaped value", &self.shape, shape))
        }
    }
}

/// Writes a plan operation by operation, so that a whole model runs without coming back to the host between layers.
///
/// ```
/// # fn main() -> wgrnn::Result<()> {
/// use ndarray::array;
/// use wgrnn::{Device, Linear, PlanBuilder, Tensor};
/// let device = Device::cpu();
/// let head = Linear::new(&device, array![[1., 2.], [3., 4.]].view(), None)?;
/// let (x, best) = (Tensor::<f32>::zeros(&device, &[3, 2])?, Tensor::<u32>::zeros(&device, &[3])?);
/// let mut plan = PlanBuilder::new(&device);
/// let input = plan.tensor(&x)?;
/// let logits = plan.linear(&head, &input)?;
/// let output = plan.tensor(&best)?;
/// plan.argmax(&logits, &output)?;
/// let program = plan.build()?;
/// x.write(array![[1., 0.], [0., -1.], [-1., -1.]].view())?;
/// program.run()?;
/// assert_eq!(best.read()?.into_raw_vec_and_offset().0, [1, 0, 0]);
/// # Ok(())
/// # }
/// ```
pub struct PlanBuilder {
    id: PlanId,
    device: Device,
    pub(crate) draft: Draft,
    binds: Vec<(BufferId, Storage)>,
    /// Copies at the plan's end.
    last: Vec<(BufferId, BufferId, u64)>,
    /// The operations so far.
    pub(crate) traces: Vec<Trace>,
}

impl PlanBuilder {
    /// An empty plan for a device.
    pub fn new(device: &Device) -> Self {
        Self {
            id: PlanId::new(),
            device: device.clone(),
            draft: Draft::new(device.plan_limits().workgroups),
            binds: Vec::new(),
            last: Vec::new(),
            traces: Vec::new(),
        }
    }

    /// A tensor to read or write.
    ///
    /// # Errors
    /// [`OtherDevice`](Error::OtherDevice).
    pub fn tensor<T: Element>(&mut self, tensor: &Tensor<T>) -> Result<Value> {
        if !tensor.device().is(&self.device) {
            return Err(Error::OtherDevice { tensor: format!("tensor {:?}", tensor.shape()) });
        }
        let shape = tensor.shape().to_vec();
        let words = shape.iter().product::<usize>() as u64;
        let buffer = self.external(&format!("tensor {shape:?}"), &tensor.storage, words);
        let is_index = std::any::TypeId::of::<T>() == std::any::TypeId::of::<u32>();
        Ok(Value { plan: self.id, buffer, offset: 0, shape, is_index })
    }

    /// Memory that is not the plan's own; the same memory is the same buffer.
    pub(crate) fn external(&mut self, name: &str, storage: &Storage, words: u64) -> BufferId {
        self.bind(name, storage, words, Role::External)
    }

    /// What a forward pass keeps for the backward one.
    pub(crate) fn reserve(&mut self, name: &str, storage: &Storage, words: u64) -> BufferId {
        self.bind(name, storage, words, Role::Reserve)
    }

    /// Indices that change between runs, none ever larger than the one in `largest`.
    pub(crate) fn indices(&mut self, name: &str, storage: &Storage, largest: &[u32]) -> BufferId {
        self.bind(name, storage, largest.len() as u64, Role::Indices(largest.to_vec()))
    }

    fn bind(&mut self, name: &str, storage: &Storage, words: u64, role: Role) -> BufferId {
        if let Some(bind) = self.binds.iter().find(|bind| bind.1.is(storage)) {
            self.draft.widen(bind.0, words);
            return bind.0;
        }
        let id = self.draft.buffer(name, words, role);
        self.binds.push((id, storage.clone()));
        id
    }

    /// Memory between two operations. Operations follow one another, so equal ones share it.
    pub(crate) fn workspace(&mut self, name: &str, words: usize) -> BufferId {
        let words = words.max(1) as u64;
        let same =
            |buffer: &super::Buffer| buffer.name == name && buffer.words == words && buffer.role == Role::Workspace;
        match self.draft.plan.buffers().iter().position(same) {
            Some(i) => BufferId(i),
            None => self.draft.buffer(name, words, Role::Workspace),
        }
    }

    /// Indices known now; equal ones are kept once.
    pub(crate) fn constant(&mut self, name: &str, indices: &[u32]) -> BufferId {
        let same = |buffer: &super::Buffer| matches!(&buffer.role, Role::Constant(data) if data == indices);
        match self.draft.plan.buffers().iter().position(same) {
            Some(i) => BufferId(i),
            None => self.draft.buffer(name, indices.len() as u64, Role::Constant(indices.to_vec())),
        }
    }

    /// Memory for the indices of a buffer, or zeros in their place.
    pub(crate) fn guarded(&mut self, name: &str, indices: &[u32]) -> BufferId {
        let same = |buffer: &super::Buffer| matches!(&buffer.role, Role::Guarded(data) if data == indices);
        match self.draft.plan.buffers().iter().position(same) {
            Some(i) => BufferId(i),
            None => self.draft.buffer(name, indices.len() as u64, Role::Guarded(indices.to_vec())),
        }
    }

    pub(crate) fn device(&self) -> &Device {
        &self.device
    }

    /// A block of parameters, or the first part of one, as an array.
    pub(crate) fn parameters(&mut self, parameters: &Parameters, shape: &[usize]) -> Result<Value> {
        if !parameters.device().is(&self.device) {
            return Err(Error::OtherDevice { tensor: "parameters".to_owned() });
        }
        let (buffer, _) = self.parts("parameters", parameters.values(), parameters.len()).at(0);
        Ok(Value { plan: self.id, buffer, offset: 0, shape: shape.to_vec(), is_index: false })
    }

    /// Memory of the plan's that no other operation shares.
    pub(crate) fn own(&mut self, name: &str, words: u64) -> BufferId {
        self.draft.buffer(name, words, Role::Workspace)
    }

    /// Copies words when all else of the plan is done.
    pub(crate) fn copy_last(&mut self, from: BufferId, to: BufferId, words: u64) {
        self.last.push((from, to, words));
    }

    /// Whether windows of a buffer can be bound as uniform buffers: of a workspace always, of a tensor where it was made so.
    pub(crate) fn is_windowed(&self, buffer: BufferId) -> bool {
        let words = self.draft.plan.buffers()[buffer.0].words;
        match self.binds.iter().find(|bind| bind.0 == buffer) {
            Some((_, storage)) => storage.is_windowed(words),
            None => self.draft.plan.buffers()[buffer.0].role == Role::Workspace,
        }
    }

    /// Whether a buffer is the plan's own.
    pub(crate) fn is_own(&self, buffer: BufferId) -> bool {
        self.draft.plan.buffers()[buffer.0].role.is_own()
    }

    /// Copies numbers to a value of the same shape: to a tensor, for instance, so that the host can read them. No gradient
    /// passes through it.
    ///
    /// # Errors
    /// [`Shape`](Error::Shape) where the shapes differ, [`Value`](Error::Value) for indices.
    pub fn copy(&mut self, from: &Value, to: &Value) -> Result<()> {
        self.expect(from, "value", false)?;
        self.expect(to, "copy", false)?;
        if from.shape != to.shape {
            return Err(Error::shape("copy", &from.shape, &to.shape));
        }
        let count = from.len();
        let params = GatherParams {
            m: 1,
            columns: count as u32,
            table_rows: 1,
            table_offset: from.offset as u32,
            table_row: count as u32,
            out_offset: to.offset as u32,
            out_row: count as u32,
            ..Default::default()
        };
        layer::copy_rows(self, from.buffer, to.buffer, params);
        self.record("copy", &[from], &[to]);
        Ok(())
    }

    /// Values side by side along their last axis: [..., a] and [..., b] give [..., a + b]. The other axes are equal. No
    /// gradient passes through it.
    ///
    /// # Errors
    /// [`Shape`](Error::Shape) where the other axes differ or there are no values, [`Value`](Error::Value) for indices.
    pub fn concat(&mut self, values: &[&Value]) -> Result<Value> {
        let expected = || Error::shape("values side by side", "[..., features]", "none");
        let (_, rest) = values.first().and_then(|first| first.shape.split_last()).ok_or_else(expected)?;
        let mut width = 0;
        for value in values {
            self.expect(value, "value", false)?;
            width += match value.shape.split_last() {
                Some((features, others)) if others == rest => features,
                _ => return Err(Error::shape("values side by side", format!("{rest:?} and features"), &value.shape)),
            };
        }
        let out = self.fresh("values side by side", &[rest, &[width]].concat())?;
        let rows = rest.iter().product::<usize>() as u32;
        let mut column = 0;
        for value in values {
            let features = value.shape.last().copied().unwrap_or_default();
            let params = GatherParams {
                m: rows,
                columns: features as u32,
                table_rows: rows,
                table_offset: value.offset as u32,
                table_row: features as u32,
                out_offset: (out.offset + column) as u32,
                out_row: width as u32,
                ..Default::default()
            };
            layer::copy_rows(self, value.buffer, out.buffer, params);
            column += features;
        }
        self.record("concat", values, &[&out]);
        Ok(out)
    }

    /// The same numbers in memory that no other value shares.
    pub(crate) fn copy_of(&mut self, value: &Value) -> Result<Value> {
        let out = self.fresh("copy", &value.shape)?;
        self.copy(value, &out)?;
        Ok(out)
    }

    /// Memory that no other value shares.
    pub(crate) fn fresh(&mut self, name: &str, shape: &[usize]) -> Result<Value> {
        let words = elements(shape)? as u64;
        let buffer = self.draft.buffer(name, words, Role::Workspace);
        Ok(Value { plan: self.id, buffer, offset: 0, shape: shape.to_vec(), is_index: false })
    }

    /// Whether a value is one of this plan.
    ///
    /// # Errors
    /// [`OtherPlan`](Error::OtherPlan).
    pub(crate) fn owns(&self, value: &Value, name: &str) -> Result<()> {
        if value.plan == self.id {
            return Ok(());
        }
        Err(Error::OtherPlan { value: format!("{name} {:?}", value.shape) })
    }

    /// Whether a value is one of this plan, and holds indices or numbers as it should.
    pub(crate) fn expect(&self, value: &Value, name: &str, is_index: bool) -> Result<()> {
        self.owns(value, name)?;
        let kind = |is_index| if is_index { "indices (u32)" } else { "numbers (f32)" };
        if value.is_index == is_index { Ok(()) } else { Err(Error::value(name, kind(is_index), kind(value.is_index))) }
    }

    /// Rows of `table` [rows, features] by `indices` [...]: gives [..., features]. An index beyond the table gives NaN.
    ///
    /// # Errors
    /// [`Shape`](Error::Shape) where `table` is no matrix.
    pub fn embedding(&mut self, table: &Value, indices: &Value) -> Result<Value> {
        self.expect(table, "embedding table", false)?;
        self.expect(indices, "embedding indices", true)?;
        let &[rows, features] = &table.shape[..] else {
            return Err(Error::shape("embedding table", "[rows, features]", &table.shape));
        };
        let out = self.fresh("embedding", &[&indices.shape[..], &[features]].concat())?;
        let params = GatherParams {
            m: indices.len() as u32,
            columns: features as u32,
            table_rows: rows as u32,
            table_offset: table.offset as u32,
            table_row: features as u32,
            indexed: 1,
            index_offset: indices.offset as u32,
            out_row: features as u32,
            nan: f32::NAN.to_bits(),
            row_lanes: layer::row_lanes(out.len()),
            ..Default::default()
        };
        let bindings = vec![table.buffer, indices.buffer, out.buffer];
        self.draft.dispatch(Variant::new(Kernel::Gather, FLAT, self.device.panel()), bindings, &params.words());
        self.record("embedding", &[table, indices], &[&out]);
        Ok(out)
    }

    /// x·Wᵀ + b over the last axis of x.
    ///
    /// # Errors
    /// [`Shape`](Error::Shape) where that axis is not W's.
    pub fn linear(&mut self, linear: &Linear, x: &Value) -> Result<Value> {
        self.expect(x, "linear input", false)?;
        let rest = x.shape.split_last().map_or(&[][..], |(_, rest)| rest);
        let out = self.fresh("output of a linear layer", &[rest, &[linear.outputs]].concat())?;
        self.linear_into(linear, x, &out)?;
        Ok(out)
    }

    /// The same into `out`.
    ///
    /// # Errors
    /// As [`PlanBuilder::linear`].
    pub fn linear_into(&mut self, linear: &Linear, x: &Value, out: &Value) -> Result<()> {
        self.expect(out, "linear output", false)?;
        self.expect(x, "linear input", false)?;
        let Some((&inputs, rest)) = x.shape.split_last().filter(|(inputs, _)| **inputs == linear.inputs) else {
            return Err(Error::shape("linear input", format!("[..., {}]", linear.inputs), &x.shape));
        };
        if !linear.device.is(&self.device) {
            return Err(Error::OtherDevice { tensor: "linear weight".to_owned() });
        }
        let expected = [rest, &[linear.outputs]].concat();
        if out.shape != expected {
            return Err(Error::shape("linear output", expected, &out.shape));
        }
        let m = rest.iter().product::<usize>();
        let none = self.workspace("no map", 1);
        let params = GemmParams {
            m: m as u32,
            n: linear.outputs as u32,
            k: inputs as u32,
            batch: 1,
            a_offset: x.offset as u32,
            a_row: inputs as u32,
            a_column: 1,
            c_offset: out.offset as u32,
            c_row: linear.outputs as u32,
            ..Default::default()
        };
        layer::gemm(
            self,
            layer::Operands { a: x.buffer, b: &linear.packed, map: none, c: out.buffer, narrow: false },
            &params,
        );
        self.record("linear", &[x], &[out]).parameters = linear.parameters().cloned();
        Ok(())
    }

    /// An activation of each number.
    ///
    /// # Errors
    /// [`Value`](Error::Value) for indices, or a constant that is not finite.
    pub fn activate(&mut self, x: &Value, activation: Activation) -> Result<Value> {
        self.expect(x, "activated value", false)?;
        activation.check()?;
        let columns = x.shape.last().copied().unwrap_or(1);
        self.apply(x, Function::Activation(activation), columns, &x.shape)
    }

    /// The magnitudes √(a² + b²) of complex numbers, [..., 2·n] with n real parts a before the imaginary parts b: [..., n].
    ///
    /// # Errors
    /// [`Shape`](Error::Shape) where the last axis is odd, [`Value`](Error::Value) for indices.
    pub fn magnitude(&mut self, x: &Value) -> Result<Value> {
        self.expect(x, "complex numbers", false)?;
        match x.shape.split_last() {
            Some((&parts, rest)) if parts % 2 == 0 => {
                let shape = [rest, &[parts / 2]].concat();
                self.apply(x, Function::Magnitude, parts / 2, &shape)
            }
            _ => Err(Error::shape("complex numbers", "[..., 2·n]", &x.shape)),
        }
    }

    fn apply(&mut self, x: &Value, function: Function, columns: usize, shape: &[usize]) -> Result<Value> {
        let out = self.fresh("function of each element", shape)?;
        let rows = out.len() / columns;
        let params = ApplyParams {
            rows: rows as u32,
            columns: columns as u32,
            x_offset: x.offset as u32,
            x_row: (x.len() / rows) as u32,
            out_offset: out.offset as u32,
            out_row: columns as u32,
            row_lanes: layer::row_lanes(out.len()),
        };
        let name = if function == Function::Magnitude { "magnitude" } else { "activate" };
        let variant = Variant { function: Some(function), ..Variant::new(Kernel::Apply, FLAT, self.device.panel()) };
        self.draft.dispatch(variant, vec![x.buffer, out.buffer], &params.words());
        self.record(name, &[x], &[&out]);
        Ok(out)
    }

    /// The column of the largest element of each row of `values`, `[rows, columns]`, into `out`, `[rows]`.
    ///
    /// # Errors
    /// [`Shape`](Error::Shape) where the rows differ.
    pub fn argmax(&mut self, values: &Value, out: &Value) -> Result<()> {
        self.expect(values, "argmax values", false)?;
        self.expect(out, "argmax output", true)?;
        let &[rows, columns] = &values.shape[..] else {
            return Err(Error::shape("argmax values", "[rows, columns]", &values.shape));
        };
        if out.shape != [rows] {
            return Err(Error::shape("argmax output", [rows], &out.shape));
        }
        let params = ArgmaxParams {
            m: rows as u32,
            columns: columns as u32,
            values_offset: values.offset as u32,
            values_row: columns as u32,
            out_offset: out.offset as u32,
        };
        let tile = row_tile(Kernel::Argmax, columns, self.device.plan_limits().trips);
        let variant = Variant::new(Kernel::Argmax, tile, self.device.panel());
        self.draft.dispatch(variant, vec![values.buffer, out.buffer], &params.words());
        self.record("argmax", &[values], &[out]);
        Ok(())
    }

    /// A recurrent layer over `x`, [T, N, I] or as its configuration says, from and to a state on the device.
    /// Gives the output, whose shape follows [`RnnCall::output`].
    ///
    /// # Errors
    /// [`Shape`](Error::Shape) and [`Value`](Error::Value) where input, lengths or state do not fit the layer.
    pub fn rnn(&mut self, rnn: &Rnn, x: &Value, state: &DeviceState, call: &RnnCall) -> Result<Value> {
        self.expect(x, "recurrent input", false)?;
        let shape = layer::output_shape(rnn, x.shape(), call)?;
        let out = self.fresh("output of a recurrent layer", &shape)?;
        self.rnn_into(rnn, x, state, call, &out)?;
        Ok(out)
    }

    /// The same into `out`.
    ///
    /// # Errors
    /// As [`PlanBuilder::rnn`].
    pub fn rnn_into(&mut self, rnn: &Rnn, x: &Value, state: &DeviceState, call: &RnnCall, out: &Value) -> Result<()> {
        self.expect(x, "recurrent input", false)?;
        self.expect(out, "recurrent output", false)?;
        layer::emit(self, rnn, x, state, call, out, None)?;
        self.record_rnn("rnn", rnn, (&[x], &[out]), state, call);
        Ok(())
    }

    /// The same as [`PlanBuilder::rnn_into`], keeping what [`PlanBuilder::rnn_backward`] needs.
    ///
    /// # Errors
    /// As [`PlanBuilder::rnn`], and [`Shape`](Error::Shape) where the reserve is another layer's or call's.
    pub fn rnn_keeping(
        &mut self,
        rnn: &Rnn,
        x: &Value,
        state: &DeviceState,
        call: &RnnCall,
        out: &Value,
        reserve: &Reserve,
    ) -> Result<()> {
        self.expect(x, "recurrent input", false)?;
        self.expect(out, "recurrent output", false)?;
        layer::emit(self, rnn, x, state, call, out, Some(reserve))?;
        self.record_rnn("rnn", rnn, (&[x], &[out]), state, call);
        Ok(())
    }

    /// The backward pass of a layer whose forward pass over `x` filled the reserve, which it uses up. `state` holds the
    /// gradient of the final state, and in the end that of the initial one. Gradients of the weights are added to those
    /// of the layer's [`Parameters`], that of `x` is written to `dx`.
    ///
    /// # Errors
    /// [`Shape`](Error::Shape) where a gradient or the reserve does not fit, [`Value`](Error::Value) where the layer was
    /// not made by [`Rnn::trainable`].
    #[allow(clippy::too_many_arguments, reason = "a layer, its call, and a gradient for each thing of the call")]
    pub fn rnn_backward(
        &mut self,
        rnn: &Rnn,
        x: &Value,
        call: &RnnCall,
        reserve: &Reserve,
        dy: Option<&Value>,
        state: &DeviceState,
        dx: Option<&Value>,
    ) -> Result<()> {
        self.expect(x, "recurrent input", false)?;
        for (name, value) in [("gradient of the output", dy), ("gradient of the input", dx)] {
            value.map_or(Ok(()), |value| self.expect(value, name, false))?;
        }
        let flow = layer::Flow { dy, state, dx: dx.map(|dx| (dx, false)), weights: true };
        layer::emit_backward(self, rnn, x, call, reserve, &flow)?;
        let reads: Vec<&Value> = [Some(x), dy].into_iter().flatten().collect();
        let carried = RnnCall { carry: true, ..call.clone() };
        self.record_rnn("rnn_backward", rnn, (&reads, dx.as_slice()), state, &carried);
        Ok(())
    }

    /// Sets the gradients of parameters to zero.
    ///
    /// # Errors
    /// [`OtherDevice`](Error::OtherDevice).
    pub fn clear_gradients(&mut self, parameters: &Parameters) -> Result<()> {
        if !parameters.device().is(&self.device) {
            return Err(Error::OtherDevice { tensor: "parameters".to_owned() });
        }
        for part in layer::gradient_parts(self, parameters).all() {
            self.draft.clear(part.buffer, 0, part.words as u64);
        }
        Ok(())
    }

    /// The plan as it stands.
    pub fn plan(&self) -> &Plan {
        &self.draft.plan
    }

    /// Makes it ready to run.
    ///
    /// # Errors
    /// [`Plan`](Error::Plan) where a buffer is written that is also read, [`Limit`](Error::Limit) where the adapter allows
    /// less than the plan needs, [`Value`](Error::Value) where a caller's buffer lacks a usage.
    pub fn build(mut self) -> Result<Program> {
        for (from, to, words) in std::mem::take(&mut self.last) {
            self.draft.copy(from, to, words);
        }
        Program::new(&self.device, self.draft.plan, &self.binds)
    }
}
