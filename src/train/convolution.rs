//! Convolutions over the steps of sequences, and zeros around them.

use super::differentiable::{Differentiable, LossSlopes};
use super::tape::Tape;
use crate::error::{Error, Result};
use crate::kernels::{Folding, Formula};
use crate::layer::{Into, emit_fold, emit_map};
use crate::plan::{PlanBuilder, Value};

/// How [`Tape::conv1d`] moves over the steps: PyTorch's options of the same names.
///
/// ```
/// use wgrnn::Conv1d;
/// // No step sees a later one: with a kernel of 3, (3 − 1) · 2 zeros before the first step.
/// let causal = Conv1d::default().dilation(2).padding(4, 0);
/// assert_eq!(causal.steps(100, 3), Some(100));
/// assert_eq!(Conv1d::default().stride(2).steps(100, 3), Some(49));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv1d {
    stride: usize,
    dilation: usize,
    groups: usize,
    padding: [usize; 2],
}

impl Default for Conv1d {
    fn default() -> Self {
        Self { stride: 1, dilation: 1, groups: 1, padding: [0, 0] }
    }
}

impl Conv1d {
    /// Steps from one window to the next; 1 at first.
    #[must_use]
    pub const fn stride(self, stride: usize) -> Self {
        Self { stride, ..self }
    }

    /// Steps between two steps of a window; 1 at first.
    #[must_use]
    pub const fn dilation(self, dilation: usize) -> Self {
        Self { dilation, ..self }
    }

    /// Groups of channels that do not see each other; 1 at first. As many as channels is a convolution of each by itself.
    #[must_use]
    pub const fn groups(self, groups: usize) -> Self {
        Self { groups, ..self }
    }

    /// Zeros before the first step and after the last one of every sequence; none at first.
    #[must_use]
    pub const fn padding(self, before: usize, after: usize) -> Self {
        Self { padding: [before, after], ..self }
    }

    /// The steps of the result: ⌊(T + padding − dilation · (kernel − 1) − 1) / stride⌋ + 1. None where the steps are
    /// fewer than a window.
    pub fn steps(&self, steps: usize, kernel: usize) -> Option<usize> {
        let padded = self.padding.iter().try_fold(steps, |steps, &zeros| steps.checked_add(zeros))?;
        let window = self.dilation.checked_mul(kernel.checked_sub(1)?)?.checked_add(1)?;
        padded.checked_sub(window)?.checked_div(self.stride).map(|steps| steps + 1)
    }

    fn check(&self) -> Result<()> {
        for (name, number) in [("stride", self.stride), ("dilation", self.dilation), ("groups", self.groups)] {
            if number == 0 {
                return Err(Error::value(format!("{name} of a convolution"), "at least 1", 0));
            }
        }
        Ok(())
    }
}

/// Windows of x [T, N, C] times weights [G, O / G, C / G, K].
struct Convolution(Conv1d);

impl Convolution {
    /// Every window's steps in a view, [T', N, G, C / G, K]: neighbours overlap.
    fn windows(&self, x: &Value, weight: &Value) -> Result<Value> {
        let (channels, kernel) = (weight.shape[2], weight.shape[3]);
        let steps = Conv1d { padding: [0, 0], ..self.0 }.steps(x.shape[0], kernel);
        let steps = steps.ok_or_else(|| Error::shape("input of a convolution", "[T, N, C]", x.shape()))?;
        let [step, batch, channel] = [x.strides[0], x.strides[1], x.strides[2]];
        // What is more than all steps is not taken: there is one window then, or one step of each.
        let [stride, dilation] = [self.0.stride, self.0.dilation].map(|apart| step * apart.min(x.shape[0]));
        Ok(Value {
            shape: vec![steps, x.shape[1], self.0.groups, channels, kernel],
            strides: vec![stride, batch, channel * channels, channel, dilation],
            ..x.clone()
        })
    }

    /// The gradient of the weights: sums over steps and sequences, one after the other for neighbouring outputs, so that they are products
    /// of matrices.
    fn weight_gradient(&self, plan: &mut PlanBuilder, slopes: &mut LossSlopes<'_>) -> Result<()> {
        let [x, weight] = [0, 1].map(|input| slopes.inputs()[input].clone());
        // [T', N, G, K, C / G, 1] and [T', N, G, 1, 1, O / G].
        let windows = self.windows(&x, &weight)?.transpose(3, 4)?.insert_axis(5)?;
        let slope = grouped(slopes.output_gradient(), &weight)?.insert_axis(3)?.insert_axis(3)?;
        let &[groups, outputs, channels, kernel] = weight.shape() else { return Ok(()) };
        let sums = plan.fresh("gradient of a convolution's weights", &[groups, kernel, channels, outputs])?;
        let shape = [windows.shape[0], windows.shape[1], groups, kernel, channels, outputs];
        let product = (Formula::new(|[x, dy]| x * dy)?, Folding::Sum);
        let into = Into { value: &sums, accumulate: false };
        emit_fold(plan, product, &[&windows, &slope], &[0, 1], &shape, into)?;
        slopes.add_formula(plan, 1, Formula::identity(), &[&sums.transpose(1, 3)?])
    }

    /// The gradient of the input: each step of a kernel adds to the steps that it saw.
    fn input_gradient(&self, plan: &mut PlanBuilder, slopes: &mut LossSlopes<'_>) -> Result<()> {
        let weight = slopes.inputs()[1].clone();
        let slope = grouped(slopes.output_gradient(), &weight)?.insert_axis(3)?;
        let &[groups, outputs, channels, kernel] = weight.shape() else { return Ok(()) };
        let target = slopes.added_to(plan, 0)?;
        let windows = self.windows(&target, &weight)?;
        let product = Formula::new(|[w, dy]| w * dy)?;
        for k in 0..kernel {
            // [T', N, G, C / G], and [G, C / G, O / G] times [T', N, G, 1, O / G].
            let seen = windows.last_at(k);
            let weight = weight.last_at(k).transpose(1, 2)?;
            let shape = [seen.shape[0], seen.shape[1], groups, channels, outputs];
            let into = Into { value: &seen, accumulate: true };
            emit_fold(plan, (product, Folding::Sum), &[&weight, &slope], &[4], &shape, into)?;
        }
        Ok(())
    }
}

/// [T, N, O] as [T, N, G, O / G].
fn grouped(value: &Value, weight: &Value) -> Result<Value> {
    value.reshape(&[value.shape[0], value.shape[1], weight.shape[0], weight.shape[1]])
}

impl Differentiable for Convolution {
    fn name(&self) -> &'static str {
        "conv1d"
    }

    fn forward(&self, plan: &mut PlanBuilder, inputs: &[Value]) -> Result<Value> {
        let [x, weight] = inputs else { return Err(Error::value("inputs of a convolution", "two", inputs.len())) };
        // [T', N, G, 1, C / G, K] times [G, O / G, C / G, K].
        let windows = self.windows(x, weight)?.insert_axis(3)?;
        let product = (Formula::new(|[x, w]| x * w)?, Folding::Sum);
        let out = plan.fold_formula("conv1d", product, &[&windows, weight], &[4, 5])?;
        out.reshape(&[out.shape[0], out.shape[1], out.shape[2] * out.shape[3]])
    }

    fn backward(&self, plan: &mut PlanBuilder, slopes: &mut LossSlopes<'_>) -> Result<()> {
        if slopes.needs(1) {
            self.weight_gradient(plan, slopes)?;
        }
        if slopes.needs(0) {
            self.input_gradient(plan, slopes)?;
        }
        Ok(())
    }
}

/// Zeros before and after the elements of an axis.
struct Pad {
    axis: usize,
    before: usize,
    after: usize,
}

impl Differentiable for Pad {
    fn name(&self) -> &'static str {
        "pad"
    }

    fn forward(&self, plan: &mut PlanBuilder, inputs: &[Value]) -> Result<Value> {
        let x = &inputs[0];
        let (axis, size) = (self.axis, x.shape[self.axis]);
        let longer = size.checked_add(self.before).and_then(|size| size.checked_add(self.after));
        let longer =
            longer.ok_or_else(|| Error::value("zeros around an axis", "fewer", "more than any array holds"))?;
        let mut shape = x.shape.clone();
        shape[axis] = longer;
        let out = plan.fresh("padded", &shape)?;
        if size > 0 {
            let middle = out.slice(axis, self.before..self.before + size)?;
            emit_map(plan, Formula::identity(), &[x], Into { value: &middle, accumulate: false })?;
        }
        for range in [0..self.before, self.before + size..longer] {
            if !range.is_empty() {
                let edge = out.slice(axis, range)?;
                emit_map(plan, Formula::new(|[x]| x.number(0.0))?, &[&edge], Into { value: &edge, accumulate: false })?;
            }
        }
        Ok(out)
    }

    fn backward(&self, plan: &mut PlanBuilder, slopes: &mut LossSlopes<'_>) -> Result<()> {
        let size = slopes.inputs()[0].shape[self.axis];
        if size == 0 {
            return Ok(());
        }
        let middle = slopes.output_gradient().slice(self.axis, self.before..self.before + size)?;
        slopes.add_formula(plan, 0, Formula::identity(), &[&middle])
    }

    fn reads_inputs(&self) -> bool {
        false
    }
}

impl Tape {
    /// Puts zeros before and after the elements of an axis, as PyTorch's `constant_pad_nd` does.
    ///
    /// # Errors
    /// [`Value`](Error::Value) where the value lacks the axis, or holds indices.
    pub fn pad(&mut self, x: &Value, axis: usize, before: usize, after: usize) -> Result<Value> {
        self.plan.expect_view(x, "padded value", false)?;
        if axis >= x.shape().len() {
            return Err(Error::value("axis", format!("one of the axes of {:?}", x.shape()), axis));
        }
        if before == 0 && after == 0 {
            return Ok(x.clone());
        }
        self.apply(Pad { axis, before, after }, &[x])
    }

    /// A convolution over the steps of sequences (PyTorch's `Conv1d`):
    /// `y[t, n, o] = b[o] + Σ x[t·stride + k·dilation, n, c] · w[o, c, k]`, summed over k and over the channels c of o's group. Zeros stand
    /// around the steps of x as `options` say. `x` is [T, N, C] as other sequences here are; `weight` is [O, C / groups, K] and `bias`
    /// `[O]` as PyTorch stores them. The result is [T', N, O], with T' from [`Conv1d::steps`].
    ///
    /// ```
    /// # fn main() -> wgrnn::Result<()> {
    /// # use ndarray::{Array3, array};
    /// # use wgrnn::{Conv1d, Device, Tape, Tensor};
    /// # let device = Device::cpu();
    /// # let mut tape = Tape::evaluating(&device)?;
    /// # let audio = Tensor::from_array(&device, Array3::<f32>::ones((400, 1, 1)).view())?;
    /// # let weight = Tensor::from_array(&device, Array3::<f32>::ones((8, 1, 25)).view())?;
    /// let (audio, weight) = (tape.input(&audio)?, tape.input(&weight)?); // [400, 1, 1], [8, 1, 25]
    /// let frames = tape.conv1d(&audio, &weight, None, Conv1d::default().stride(10))?;
    /// assert_eq!(frames.shape(), [38, 1, 8]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Shape`](Error::Shape) where the shapes do not fit each other, or the padded steps are fewer than a window;
    /// [`Value`](Error::Value) for a stride, dilation or number of groups of 0, and groups that do not divide the channels.
    pub fn conv1d(&mut self, x: &Value, weight: &Value, bias: Option<&Value>, options: Conv1d) -> Result<Value> {
        options.check()?;
        self.plan.expect_view(x, "input of a convolution", false)?;
        self.plan.expect_view(weight, "weight of a convolution", false)?;
        let &[steps, _, channels] = x.shape() else {
            return Err(Error::shape("input of a convolution", "[T, N, C]", x.shape()));
        };
        let &[outputs, of_group, kernel] = weight.shape() else {
            return Err(Error::shape("weight of a convolution", "[O, C / groups, K]", weight.shape()));
        };
        let groups = options.groups;
        if channels % groups != 0 || outputs % groups != 0 || outputs == 0 {
            let expected = format!("a number that divides {channels} channels and {outputs} outputs");
            return Err(Error::value("groups of a convolution", expected, groups));
        }
        if of_group != channels / groups {
            let expected = [outputs, channels / groups, kernel];
            return Err(Error::shape("weight of a convolution", expected, weight.shape()));
        }
        if options.steps(steps, kernel).is_none_or(|steps| steps == 0) {
            let expected =
                format!("at least one window of {kernel} steps, {} apart, with the padding", options.dilation);
            return Err(Error::shape("input of a convolution", expected, x.shape()));
        }
        if let Some(bias) = bias
            && bias.shape() != [outputs]
        {
            return Err(Error::shape("bias of a convolution", [outputs], bias.shape()));
        }
        let padded = self.pad(x, 0, options.padding[0], options.padding[1])?;
        let weight = self.contiguous(weight)?.reshape(&[groups, outputs / groups, of_group, kernel])?;
        let out = self.apply(Convolution(options), &[&padded, &weight])?;
        match bias {
            Some(bias) => self.add(&out, bias),
            None => Ok(out),
        }
    }
}
