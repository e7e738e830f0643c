//! A layer's forward and backward passes for one shape, all on the device.

use super::backward::{Flow, emit_backward};
use super::call::{Output, RnnCall, output_shape};
use super::forward::RnnOutput;
use super::no_steps::{no_steps, without_steps};
use super::pass::last_states;
use super::reserve::Reserve;
use super::rnn::Rnn;
use super::session::SessionOptions;
use super::state::{DeviceState, State};
use crate::device::{block_on, elsewhere, locked, may_wait};
use crate::error::{Error, Result};
use crate::parameters::Gradients;
use crate::plan::{Difference, Plan, PlanBuilder, Profile, Program};
use crate::readback::read_together_async;
use crate::tensor::Tensor;
use crate::weights::RnnWeights;
use ndarray::{Array3, ArrayView3, ArrayViewD, Axis};
use std::sync::atomic::{AtomicBool, Ordering};

/// The gradients of everything that a layer computes from.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RnnGradients {
    /// The result of the forward pass.
    pub output: RnnOutput,
    /// The gradient of the input, [T, N, I] or [N, T, I]; 0 beyond a sequence's length.
    pub x: Array3<f32>,
    /// The gradient of the initial state: h [L·D·S, N, ·] and, where the cell has it, c.
    pub state: State,
    /// The gradients of all weights, in their shapes.
    pub weights: RnnWeights,
}

/// A layer's forward and backward programs for one shape. Input, output, state and all gradients stay on the device.
///
/// ```
/// # fn main() -> wgrnn::Result<()> {
/// use ndarray::{Array3, ArrayD};
/// use wgrnn::{Cell, Device, Rnn, RnnConfig, RnnWeights, SessionOptions};
/// let config = RnnConfig::new(Cell::Lstm, 4, 8);
/// let rnn = Rnn::trainable(&Device::auto(), &config, &RnnWeights::init(&config, 0)?)?;
/// let training = rnn.training(SessionOptions::new(5, 2), false)?;
/// training.input().write(Array3::ones((5, 2, 4)).view())?;
/// training.forward()?;
/// training.output_gradient().write(ArrayD::ones(vec![5, 2, 8]).view())?;
/// training.backward()?;
/// let (name, gradient) = rnn.parameters().map(|parameters| parameters.gradients()).unwrap()?.swap_remove(0);
/// assert_eq!((name.as_str(), gradient.shape()), ("weight_ih_l0", &[32, 4][..]));
/// # Ok(())
/// # }
/// ```
pub struct RnnTraining {
    input: Tensor,
    output: Tensor,
    state: DeviceState,
    input_gradient: Tensor,
    output_gradient: Tensor,
    state_gradient: DeviceState,
    forward: Program,
    backward: Program,
    reserve: Reserve,
    seed: Tensor<u32>,
    kept: AtomicBool,
}

impl RnnTraining {
    pub(super) fn new(rnn: &Rnn, options: &SessionOptions, accumulate: bool) -> Result<Self> {
        let device = rnn.device();
        let config = rnn.config();
        let call = &options.call;
        let shape = options.input_shape(config)?;
        let output_shape = output_shape(config, &shape, call)?;
        let mut reserve = Reserve::new(rnn, options.steps, options.batch, call)?;
        let seed = Tensor::zeros(device, &[2])?;
        reserve.set_seed(&seed, &mut 0);
        let [input, input_gradient] = [Tensor::zeros(device, &shape)?, Tensor::zeros(device, &shape)?];
        let [output, output_gradient] = [Tensor::zeros(device, &output_shape)?, Tensor::zeros(device, &output_shape)?];
        let [state, state_gradient] = [rnn.device_state(options.batch)?, rnn.device_state(options.batch)?];

        let mut plan = PlanBuilder::new(device);
        let [x, y] = [plan.tensor(&input)?, plan.tensor(&output)?];
        plan.rnn_keeping(rnn, &x, &state, call, &y, &reserve)?;
        let forward = plan.build()?;

        let mut plan = PlanBuilder::new(device);
        let [x, dx, dy] = [plan.tensor(&input)?, plan.tensor(&input_gradient)?, plan.tensor(&output_gradient)?];
        if let Some(parameters) = rnn.parameters().filter(|_| !accumulate) {
            plan.clear_gradients(parameters)?;
        }
        emit_backward(
            &mut plan,
            rnn,
            &x,
            call,
            &reserve,
            &Flow { dy: Some(&dy), state: &state_gradient, dx: Some((&dx, false)), weights: true },
        )?;
        let backward = plan.build()?;
        let kept = AtomicBool::new(false);
        Ok(Self {
            input,
            output,
            state,
            input_gradient,
            output_gradient,
            state_gradient,
            forward,
            backward,
            reserve,
            seed,
            kept,
        })
    }

    /// The input, to be written before [`forward`](Self::forward).
    pub fn input(&self) -> &Tensor {
        &self.input
    }

    /// The output of the last forward pass.
    pub fn output(&self) -> &Tensor {
        &self.output
    }

    /// The state. A forward pass reads it if the call carries it, and leaves the final state there.
    pub fn state(&self) -> &DeviceState {
        &self.state
    }

    /// The gradient of the output, to be written before [`backward`](Self::backward).
    pub fn output_gradient(&self) -> &Tensor {
        &self.output_gradient
    }

    /// The gradient of the input, after a backward pass; 0 beyond a sequence's length.
    pub fn input_gradient(&self) -> &Tensor {
        &self.input_gradient
    }

    /// The gradient of the final state, to be written before a backward pass. The backward pass replaces it by the
    /// gradient of the initial state.
    pub fn state_gradient(&self) -> &DeviceState {
        &self.state_gradient
    }

    /// The two words from which dropout between layers, zoneout and recurrent dropout are drawn: a seed, and a number
    /// that should differ for each forward pass.
    pub fn seed(&self) -> &Tensor<u32> {
        &self.seed
    }

    /// Plans of the forward and of the backward pass.
    pub fn plans(&self) -> [&Plan; 2] {
        [self.forward.plan(), self.backward.plan()]
    }

    /// Runs the forward and the backward pass once and gives the time of each kernel in both.
    ///
    /// # Errors
    /// As [`Program::profile`].
    pub fn profile(&self) -> Result<[Profile; 2]> {
        let forward = self.forward.profile()?;
        self.kept.store(false, Ordering::Release);
        Ok([forward, self.backward.profile()?])
    }

    /// Runs the forward and the backward pass once, compares each command with its CPU twin, and gives the first
    /// difference in each pass.
    ///
    /// # Errors
    /// As [`Program::first_difference`].
    pub fn first_difference(&self) -> Result<[Option<Difference>; 2]> {
        block_on(self.first_difference_async())
    }

    /// The asynchronous form of [`RnnTraining::first_difference`].
    ///
    /// # Errors
    /// As [`Program::first_difference`].
    pub async fn first_difference_async(&self) -> Result<[Option<Difference>; 2]> {
        let forward = self.forward.first_difference_async().await?;
        self.kept.store(false, Ordering::Release);
        Ok([forward, self.backward.first_difference_async().await?])
    }

    /// How many bytes of device memory the forward pass keeps for the backward pass.
    pub fn reserve_bytes(&self) -> u64 {
        self.reserve.bytes()
    }

    /// Computes output and final state, and keeps what the backward pass needs.
    ///
    /// # Errors
    /// [`Gpu`](Error::Gpu) where wgpu or the driver reports an error.
    pub fn forward(&self) -> Result<()> {
        self.forward.run()?;
        self.kept.store(true, Ordering::Release);
        Ok(())
    }

    /// Computes all gradients of the last forward pass. It overwrites what that pass kept, so each backward pass needs a
    /// forward pass of its own.
    ///
    /// # Errors
    /// [`NoForward`](Error::NoForward) where there was none since the last backward pass, [`Gpu`](Error::Gpu).
    pub fn backward(&self) -> Result<()> {
        if !self.kept.swap(false, Ordering::AcqRel) {
            return Err(Error::NoForward);
        }
        self.backward.run()
    }
}

impl Rnn {
    /// Makes forward and backward programs for one shape. Gradients of the weights are added to those that the
    /// [`Parameters`](crate::Parameters) hold if `accumulate` is set, and overwrite them otherwise.
    ///
    /// # Errors
    /// [`Value`](Error::Value) where the layer was not made by [`Rnn::trainable`]; as [`Rnn::forward_with`].
    pub fn training(&self, options: SessionOptions, accumulate: bool) -> Result<RnnTraining> {
        RnnTraining::new(self, &options, accumulate)
    }

    /// Computes the gradients of a call from the gradient `dy` of the output, in the output's shape, and the gradient
    /// of the final state (`None`: zeros).
    ///
    /// # Errors
    /// As [`Rnn::training`], and where a gradient's shape does not fit.
    pub fn gradients(
        &self,
        x: ArrayView3<'_, f32>,
        state: Option<&State>,
        call: &RnnCall,
        dy: ArrayViewD<'_, f32>,
        state_gradient: Option<&State>,
    ) -> Result<RnnGradients> {
        let _alone = locked(self.alone());
        block_on(self.gradients_async(x, state, call, dy, state_gradient))
    }

    /// The asynchronous form of [`Rnn::gradients`].
    ///
    /// # Errors
    /// As [`Rnn::gradients`].
    pub async fn gradients_async(
        &self,
        x: ArrayView3<'_, f32>,
        state: Option<&State>,
        call: &RnnCall,
        dy: ArrayViewD<'_, f32>,
        state_gradient: Option<&State>,
    ) -> Result<RnnGradients> {
        if may_wait() {
            return self.compute_gradients(x, state, call, dy, state_gradient).await;
        }
        let (rnn, x, dy, call) = (self.clone(), x.to_owned(), dy.to_owned(), call.clone());
        let [state, state_gradient] = [state.cloned(), state_gradient.cloned()];
        elsewhere(move || async move {
            // One call at a time: all of them write the gradients of the same parameters. This thread may wait.
            let _alone = locked(rnn.alone());
            block_on(rnn.compute_gradients(x.view(), state.as_ref(), &call, dy.view(), state_gradient.as_ref()))
        })
        .await
    }

    /// The first command of such passes, from a state of zeros, whose results differ from its twin's, on a GPU.
    pub(crate) async fn first_difference_of_gradients(
        &self,
        x: ArrayView3<'_, f32>,
        call: &RnnCall,
        dy: ArrayViewD<'_, f32>,
    ) -> Result<Option<Difference>> {
        let call = call.of_host(false)?;
        let training = self.training(SessionOptions::of_input(self.config(), x.shape(), call)?, false)?;
        training.input().write(x)?;
        training.output_gradient().write(dy)?;
        let [forward, backward] = training.first_difference_async().await?;
        Ok(forward.or(backward))
    }

    async fn compute_gradients(
        &self,
        x: ArrayView3<'_, f32>,
        state: Option<&State>,
        call: &RnnCall,
        dy: ArrayViewD<'_, f32>,
        state_gradient: Option<&State>,
    ) -> Result<RnnGradients> {
        let call = call.of_host(state.is_some())?;
        if let Some(batch) = no_steps(self.config(), x.shape(), &call.lengths)? {
            return self.gradients_without_steps((x, batch), state, &call, dy, state_gradient).await;
        }
        let training = self.training(SessionOptions::of_input(self.config(), x.shape(), call)?, false)?;
        if dy.shape() != training.output_gradient.shape() {
            return Err(Error::shape("gradient of the output", training.output_gradient.shape(), dy.shape()));
        }
        if let Some(state) = state {
            training.state.write(state)?;
        }
        if let Some(gradient) = state_gradient {
            training.state_gradient.write(gradient)?;
        }
        training.input.write(x)?;
        training.output_gradient.write(dy)?;
        training.forward()?;
        training.backward()?;
        let weights = self.parameters().map(Gradients);
        let output = (&training.output, &training.state);
        let inputs = (&training.input_gradient, &training.state_gradient);
        let (gradients, (y, last), (dx, state)) = read_together_async(&(weights, output, inputs)).await?;
        let find = |name: &str| Ok(gradients.iter().flatten().find(|gradient| gradient.0 == name).map(|g| g.1.clone()));
        let got = dx.shape().to_vec();
        Ok(RnnGradients {
            output: RnnOutput { y, state: last },
            x: dx.into_dimensionality().map_err(|_| Error::shape("gradient of the input", x.shape(), got))?,
            state,
            weights: RnnWeights::collect(self.config(), find)?,
        })
    }
}

impl Rnn {
    /// Gradients of a call on an input without a step: the final state is the initial one.
    async fn gradients_without_steps(
        &self,
        (x, batch): (ArrayView3<'_, f32>, usize),
        state: Option<&State>,
        call: &RnnCall,
        dy: ArrayViewD<'_, f32>,
        state_gradient: Option<&State>,
    ) -> Result<RnnGradients> {
        let config = self.config();
        self.backward_weights(0)?;
        let (y, last) = without_steps(config, x.shape(), batch, state, call)?;
        if dy.shape() != y.shape() {
            return Err(Error::shape("gradient of the output", y.shape(), dy.shape()));
        }
        let (_, mut gradient) = without_steps(config, x.shape(), batch, state_gradient, call)?;
        if call.output == Output::Last {
            for (row, column) in last_states(config, 1) {
                let dy = dy.slice_axis(Axis(1), (column..column + config.state_size()).into());
                let mut dh = gradient.h.index_axis_mut(Axis(0), row);
                dh.iter_mut().zip(&dy).for_each(|(dh, dy)| *dh += dy);
            }
        }
        let weights = self.weights_async().await?;
        let zeros = weights.named().map(|(name, array)| (name, array.mapv(|_| 0.0)));
        let weights = RnnWeights::from_named(config, &zeros.collect::<Vec<_>>())?;
        Ok(RnnGradients { output: RnnOutput { y, state: last }, x: x.to_owned(), state: gradient, weights })
    }
}

impl std::fmt::Debug for RnnTraining {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RnnTraining").field("reserve", &self.reserve).finish_non_exhaustive()
    }
}
