//! Blocks of models beside the layers themselves: attention, the CTC loss, a residual with a layer norm; and an addition.

use super::shapes::{Block, LABELS, Shape};
use anyhow::{Context, Result};
use ndarray::{Array1, Array2, ArrayD, Ix2, IxDyn};
use std::collections::HashMap;
use wgrnn::plan::Value;
use wgrnn::{
    Attention, CtcOptions, CtcTargets, Device, Evaluation, LearningRate, Linear, Optimizer, Parameters, PlanBuilder,
    Program, Rnn, RnnCall, RnnWeights, Tape, Tensor, Trainer, TrainerOptions,
};

/// Arrays by name: the input `x`, and PyTorch's weights.
pub type Arrays = HashMap<String, ArrayD<f32>>;

/// Two programs of one block: the forward pass, and a training step of it, whose rate is 0.
pub struct Programs {
    pub evaluation: Evaluation,
    pub trainer: Trainer,
    pub y: Tensor,
    input_gradient: Tensor,
    /// With what stands before their names.
    parameters: Vec<(&'static str, Parameters)>,
}

impl Programs {
    pub fn new(device: &Device, shape: &Shape, block: Block, data: Option<&Arrays>) -> Result<Self> {
        let made_up = made_up(shape, block)?;
        let layers = Layers::new(device, shape, block, data.unwrap_or(&made_up))?;
        let y = Tensor::zeros(device, &layers.output)?;
        let input_gradient = Tensor::zeros(device, layers.x.shape())?;

        let mut tape = Tape::evaluating(device)?;
        let (_, out) = layers.forward(&mut tape)?;
        if let Some(out) = out {
            let target = tape.input(&y)?;
            tape.plan().copy(&out, &target)?;
        }
        let evaluation = tape.evaluation()?;

        let mut tape = Tape::training(device)?;
        let (x, out) = layers.forward(&mut tape)?;
        if let Some(out) = out {
            let ones = Tensor::from_array(device, ArrayD::<f32>::ones(out.shape()).view())?;
            let ones = tape.input(&ones)?;
            tape.give_gradient(&out, &ones)?;
        }
        tape.want_gradient(&x, &input_gradient)?;
        let options = TrainerOptions::new(Optimizer::sgd(0.0)).learning_rate(LearningRate::Constant(0.0));
        let trainer = Trainer::new(tape, options)?;
        Ok(Self { evaluation, trainer, y, input_gradient, parameters: layers.parameters })
    }

    /// What the forward pass gave: of a loss, that number.
    pub fn output(&self) -> Result<ArrayD<f32>> {
        let loss = self.evaluation.run()?;
        if self.y.shape() == [1] { Ok(Array1::from_elem(1, loss).into_dyn()) } else { Ok(self.y.read()?) }
    }

    /// Gradients by PyTorch's names, and that of `x`, of one step.
    pub fn gradients(&mut self) -> Result<Vec<(String, ArrayD<f32>)>> {
        self.trainer.step()?;
        let mut all = vec![("x".to_owned(), self.input_gradient.read()?)];
        for (prefix, parameters) in &self.parameters {
            all.extend(parameters.gradients()?.into_iter().map(|(name, array)| (format!("{prefix}{name}"), array)));
        }
        Ok(all)
    }
}

/// What a block computes with.
struct Layers {
    x: Tensor,
    output: Vec<usize>,
    block: Block,
    linear: Option<Linear>,
    rnn: Option<Rnn>,
    norm: Option<Parameters>,
    targets: Option<CtcTargets>,
    parameters: Vec<(&'static str, Parameters)>,
}

impl Layers {
    fn new(device: &Device, shape: &Shape, block: Block, data: &Arrays) -> Result<Self> {
        let array = |name: &str| data.get(name).with_context(|| format!("no '{name}' among the arrays"));
        let x = Tensor::from_array(device, array("x")?.view())?;
        let output = if block == Block::Ctc { vec![1] } else { x.shape().to_vec() };
        let mut this =
            Self { x, output, block, linear: None, rnn: None, norm: None, targets: None, parameters: Vec::new() };
        match block {
            Block::Attention => {
                let weight = array("general.weight")?.view().into_dimensionality::<Ix2>()?;
                let linear = Linear::trainable(device, weight, None)?;
                this.parameters.push(("general.", linear.parameters().context("a trainable layer")?.clone()));
                this.linear = Some(linear);
            }
            Block::Residual => {
                let config = shape.config();
                let names: Vec<_> = RnnWeights::init(&config, 0)?.named().map(|(name, _)| name).collect();
                let named = names.into_iter().map(|name| Ok((name.clone(), array(&name)?.clone())));
                let weights = RnnWeights::from_named(&config, &named.collect::<Result<Vec<_>>>()?)?;
                let rnn = Rnn::trainable(device, &config, &weights)?;
                let arrays = [("weight", array("norm.weight")?), ("bias", array("norm.bias")?)];
                let norm = Parameters::new(device, arrays.map(|(name, array)| (name.to_owned(), array.view())))?;
                this.parameters.push(("", rnn.parameters().context("a trainable layer")?.clone()));
                this.parameters.push(("norm.", norm.clone()));
                (this.rnn, this.norm) = (Some(rnn), Some(norm));
            }
            Block::Ctc => {
                let sizes @ [steps, batch, classes] = [shape.steps, shape.batch, shape.input];
                let targets = CtcTargets::new(device, sizes, LABELS, &CtcOptions::default())?;
                let label = |n: usize, s: usize| 1 + ((s * 13 + n * 7) % (classes - 1)) as u32;
                let labels: Vec<Vec<u32>> = (0..batch).map(|n| (0..LABELS).map(|s| label(n, s)).collect()).collect();
                targets.write(&labels, &vec![steps as u32; batch])?;
                this.targets = Some(targets);
                // A trainer trains something: one weight beside the loss.
                this.linear = Some(Linear::trainable(device, Array2::zeros((1, 1)).view(), None)?);
            }
        }
        Ok(this)
    }

    /// The input and, unless it is a loss, the output.
    fn forward(&self, tape: &mut Tape) -> Result<(Value, Option<Value>)> {
        let x = tape.input(&self.x)?;
        let out = match (self.block, &self.linear, &self.rnn, &self.norm, &self.targets) {
            (Block::Attention, Some(general), ..) => attention(tape, general, &x)?,
            (Block::Residual, _, Some(rnn), Some(norm), _) => {
                let y = tape.rnn(rnn, &x, &rnn.device_state(x.shape()[1])?, &RnnCall::default())?;
                let sum = tape.add(&x, &y)?;
                let (gain, bias) = (tape.parameter(norm, "weight")?, tape.parameter(norm, "bias")?);
                tape.layer_norm(&sum, Some(&gain), Some(&bias), 1e-5)?
            }
            (_, Some(aside), _, _, Some(targets)) => {
                let [labels, steps, counts] =
                    [targets.labels(), targets.input_lengths(), targets.label_lengths()].map(|of| tape.input(of));
                tape.ctc(&x, &labels?, &steps?, &counts?, &CtcOptions::default())?;
                if tape.is_training() {
                    let one = tape.input(&Tensor::<f32>::zeros(&tape.device().clone(), &[1, 1])?)?;
                    let beside = tape.linear(aside, &one)?;
                    tape.give_gradient(&beside, &one)?;
                }
                return Ok((x, None));
            }
            _ => anyhow::bail!("a block lacks its layers"),
        };
        Ok((x, Some(out)))
    }
}

/// Each step of a sequence looks at all of its steps, one after the other, as a decoder's steps do.
fn attention(tape: &mut Tape, general: &Linear, x: &Value) -> Result<Value> {
    let memory = tape.memory(&Attention::General(general.clone()), x, None)?;
    let mut contexts = Vec::new();
    for t in 0..x.shape()[0] {
        contexts.push(memory.attend(tape, &x.at(t)?)?.0.insert_axis(0)?);
    }
    Ok(tape.concat(&contexts.iter().collect::<Vec<_>>(), 0)?)
}

fn made_up(shape: &Shape, block: Block) -> Result<Arrays> {
    let numbers = |sizes: &[usize], bound: f32| {
        let count = sizes.iter().product::<usize>();
        let list = (0..count).map(|i| ((i * 31 + i / 7) % 101) as f32 / 50.5 - 1.0).map(|x| x * bound).collect();
        ArrayD::from_shape_vec(IxDyn(sizes), list)
    };
    let mut all = Arrays::new();
    all.insert("x".to_owned(), numbers(&[shape.steps, shape.batch, shape.input], 1.0)?);
    let bound = (shape.input as f32).powf(-0.5);
    match block {
        Block::Attention => {
            all.insert("general.weight".to_owned(), numbers(&[shape.input, shape.input], bound)?);
        }
        Block::Residual => {
            let weights = RnnWeights::init(&shape.config(), 0)?;
            all.extend(weights.named().map(|(name, array)| (name, array.to_owned())));
            all.insert("norm.weight".to_owned(), ArrayD::ones(IxDyn(&[shape.hidden])));
            all.insert("norm.bias".to_owned(), ArrayD::zeros(IxDyn(&[shape.hidden])));
        }
        Block::Ctc => {}
    }
    Ok(all)
}

/// Numbers of each operand of the addition: too many for caches.
const ADDED: usize = 16 << 20;

/// The sum of two large arrays, which a kernel for functions of elements computes, and the bytes that it moves at least.
pub fn addition(device: &Device) -> Result<(Program, usize)> {
    let most = device.wgpu().map_or(u64::MAX, |(gpu, _)| {
        let limits = gpu.limits();
        limits.max_storage_buffer_binding_size.min(limits.max_buffer_size) / 4
    });
    let count = ADDED.min(usize::try_from(most).unwrap_or(usize::MAX));
    let mut plan = PlanBuilder::new(device);
    let (a, b) = (Tensor::<f32>::zeros(device, &[count])?, Tensor::<f32>::zeros(device, &[count])?);
    let (a, b) = (plan.tensor(&a)?, plan.tensor(&b)?);
    plan.map([&a, &b], |[a, b]| a + b)?;
    Ok((plan.build()?, 3 * 4 * count))
}
