//! Where a device's results part from the twins': a plan run by both, command by command.

use super::commands::{BufferId, Command, Dispatch, Plan};
use super::cpu::Runner;
use super::gpu::Recorder;
use super::program::{Executor, Program};
use super::rounding::{distance, is_integer, reads_integer, round_again, tolerance, within};
use crate::cpu::halves;
use crate::device::{Device, block_on, elsewhere, may_wait};
use crate::error::{Error, Result};
use crate::kernels::{Access, Kernel, Variant};
use crate::storage::{Storage, read_lock, write_lock};
use std::fmt::{Display, Formatter};
use std::sync::{Arc, RwLock};

/// The first command of a plan whose result on the device differs from that of its CPU twin.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Difference {
    /// Its index in [`Plan::commands`].
    pub command: usize,
    /// The kernel's variant, as the plan prints it; or `copy` or `clear`.
    pub kernel: String,
    /// The name of the buffer that it wrote.
    pub buffer: String,
    /// The element of that buffer which differs most.
    pub element: usize,
    /// The element on the device.
    pub device: f64,
    /// The element that the twin wrote.
    pub twin: f64,
    /// The largest difference that is allowed: 0 for integers and for copies.
    pub tolerance: f64,
}

impl Display for Difference {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let Self { command, kernel, buffer, element, device, twin, tolerance } = self;
        write!(
            f,
            "command {command}, {kernel}: element {element} of '{buffer}' is {device:e}, its twin's is {twin:e}, tolerance {tolerance:.3e}"
        )
    }
}

impl Program {
    /// Runs it once on its GPU, command by command, runs each command by its CPU twin on the same memory, and gives the
    /// first command whose results differ, or `None` if all agree. The program's memory is then as [`run`](Self::run)
    /// leaves it.
    ///
    /// A twin always starts from what the device wrote before, so each dispatch is judged by itself. Numbers may differ
    /// by what rounding explains, because the two add up in different orders and their functions differ in the last
    /// digits: by 16 times the largest change that the twin's results show when its inputs are rounded once more, plus
    /// 64 ε (ε = 2⁻²³) times the largest result. If the largest result is smaller than 1, kernels that compute
    /// activations use 1 in its place; backward kernels use the largest gradient that they read, if that is larger.
    /// Numbers in half precision may differ by 2⁻¹⁰ of the largest one. Integers and copies must be equal; NaN equals
    /// NaN.
    ///
    /// If a `grid` was stopped because its workgroups do not run side by side, its work is not compared: the dispatches
    /// after it do that work again.
    ///
    /// It reads every buffer back after every command that writes it, runs each twin three times and needs the
    /// plan's memory three times on the host: make the program small.
    ///
    /// # Errors
    /// [`Unsupported`](Error::Unsupported) on the CPU device, which runs the twins themselves. [`Gpu`](Error::Gpu) where the driver
    /// fails, or a caller's buffer cannot be copied from; the memory is then as an interrupted run leaves it.
    ///
    /// # Examples
    /// ```no_run
    /// # fn main() -> wgrnn::Result<()> {
    /// # use wgrnn::{Activation, Device, PlanBuilder, Tensor};
    /// # let device = Device::gpu()?;
    /// # let x = Tensor::<f32>::zeros(&device, &[4])?;
    /// let mut plan = PlanBuilder::new(&device);
    /// let value = plan.tensor(&x)?;
    /// plan.activate(&value, Activation::Tanh)?;
    /// match plan.build()?.first_difference()? {
    ///     Some(difference) => println!("{difference}"),
    ///     None => println!("every dispatch equals its twin"),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn first_difference(&self) -> Result<Option<Difference>> {
        block_on(self.first_difference_async())
    }

    /// The asynchronous form of [`Program::first_difference`].
    ///
    /// # Errors
    /// As [`Program::first_difference`].
    pub async fn first_difference_async(&self) -> Result<Option<Difference>> {
        self.compare(self.plan.clone()).await
    }

    /// With a plan for the twins, which is this program's own but in tests.
    async fn compare(&self, twins: Plan) -> Result<Option<Difference>> {
        let (Executor::Gpu(recorder), Some(gpu)) = (&self.executor, self.device.gpu_ref()) else {
            let reason = "it runs the twins themselves; make the program on a GPU";
            return Err(Error::unsupported("a comparison of the CPU device with the twins", reason));
        };
        let plan = &self.plan;
        let all: Vec<_> = (0..plan.buffers().len()).map(BufferId).collect();
        let mut twins = Twins::new(twins, read(&self.device, plan, recorder, &all).await?);
        let mut dispatched = 0;
        for (at, command) in plan.commands().iter().enumerate() {
            recorder.submit_commands(gpu, plan, std::slice::from_ref(command), dispatched)?;
            dispatched += usize::from(matches!(command, Command::Dispatch(_)));
            let expected;
            (twins, expected) = twins.run(at).await?;
            let written: Vec<_> = expected.iter().map(|expected| expected.id).collect();
            let got = read(&self.device, plan, recorder, &written).await?;
            if let Some(difference) = first(plan, at, &expected, &got) {
                recorder.submit_commands(gpu, plan, &plan.commands()[at + 1..], dispatched)?;
                return Ok(Some(difference));
            }
            written.into_iter().zip(got).for_each(|(id, words)| *write_lock(twins.exact.memory(id)) = words);
        }
        Ok(None)
    }
}

/// The words of some of the plan's buffers.
async fn read(device: &Device, plan: &Plan, recorder: &Recorder, ids: &[BufferId]) -> Result<Vec<Vec<f32>>> {
    let readable = |id: &BufferId| recorder.memory[id.0].readable(device, &plan.buffers()[id.0].name);
    let storages: Vec<_> = ids.iter().map(readable).collect::<Result<_>>()?;
    let words = ids.iter().map(|id| plan.buffers()[id.0].words as usize);
    let parts: Vec<_> = storages.iter().zip(words).collect();
    let read = Storage::read_all(device, &parts).await?;
    Ok(read.iter().map(|words| bytemuck::cast_slice(words).to_vec()).collect())
}

/// A plan with memory for its twins.
struct Twins {
    plan: Plan,
    /// On what the device has.
    exact: Runner,
    /// On what the device has, rounded once more.
    rounded: Runner,
}

/// What a command should have written to a buffer.
struct Expected {
    id: BufferId,
    /// The kernel and the name of its binding; none for a copy.
    binding: Option<(Kernel, &'static str)>,
    halves: bool,
    words: Vec<f32>,
    tolerance: f64,
}

/// A buffer as a dispatch has it.
struct Bound {
    name: &'static str,
    id: BufferId,
    is_written: bool,
    halves: bool,
    before: Vec<f32>,
}

impl Twins {
    fn new(plan: Plan, memory: Vec<Vec<f32>>) -> Self {
        let storage = |words: Vec<f32>| Storage::Cpu(Arc::new(RwLock::new(words)));
        let none = memory.iter().map(|_| storage(Vec::new())).collect();
        let exact = Runner::new(&plan, memory.into_iter().map(storage).collect());
        let rounded = Runner::new(&plan, none);
        Self { plan, exact, rounded }
    }

    /// Runs a command, on another thread where this one must not be kept busy.
    async fn run(self, at: usize) -> Result<(Self, Vec<Expected>)> {
        let run = move || self.expected(at).map(|expected| (self, expected));
        if may_wait() { run() } else { elsewhere(move || async move { run() }).await }
    }

    fn expected(&self, at: usize) -> Result<Vec<Expected>> {
        let plan = &self.plan;
        let command = &plan.commands()[at];
        let words = |runner: &Runner, id: BufferId| read_lock(runner.memory(id)).clone();
        let id = match command {
            Command::Dispatch(dispatch) => return self.expected_of(dispatch, command),
            Command::Copy { to, .. } => *to,
            Command::Clear { buffer, .. } => *buffer,
        };
        self.exact.run_command(plan, command)?;
        let words = words(&self.exact, id);
        Ok(vec![Expected { id, binding: None, halves: false, words, tolerance: 0.0 }])
    }

    fn expected_of(&self, dispatch: &Dispatch, command: &Command) -> Result<Vec<Expected>> {
        let variant = &self.plan.variants()[dispatch.variant];
        let bound = self.bound(dispatch, variant);
        self.exact.run_command(&self.plan, command)?;
        let mut rounded = Vec::new();
        for seed in [1, 2] {
            for buffer in &bound {
                let mut words = buffer.before.clone();
                // One buffer may be bound as several things.
                let same = || bound.iter().filter(|other| other.id == buffer.id);
                let is_kept = |i| same().any(|other| other.halves || reads_integer(variant, other.name, i));
                round_again(&mut words, seed, is_kept);
                *write_lock(self.rounded.memory(buffer.id)) = words;
            }
            self.rounded.run_command(&self.plan, command)?;
            rounded.push(bound.iter().map(|buffer| self.numbers(&self.rounded, buffer)).collect::<Vec<_>>());
        }
        let largest = |start: &str| {
            let numbers =
                bound.iter().filter(|buffer| buffer.name.starts_with(start)).flat_map(|buffer| &buffer.before);
            numbers.filter(|number| number.is_finite()).fold(0.0, |largest: f64, x| largest.max(f64::from(x.abs())))
        };
        let written = bound.iter().enumerate().filter(|(_, buffer)| buffer.is_written);
        let expected = written.map(|(i, buffer)| {
            let (name, halved) = (buffer.name, buffer.halves);
            let before = if halved { halves(&buffer.before) } else { buffer.before.clone() };
            let rounded: Vec<_> = rounded.iter().map(|buffers| buffers[i].clone()).collect();
            let within = within(variant.kernel(), name, largest);
            let tolerance = tolerance(&before, &self.numbers(&self.exact, buffer), &rounded, within, halved);
            let words = read_lock(self.exact.memory(buffer.id)).clone();
            let binding = Some((variant.kernel(), name));
            Expected { id: buffer.id, binding, halves: halved, words, tolerance }
        });
        Ok(expected.collect())
    }

    fn bound(&self, dispatch: &Dispatch, variant: &Variant) -> Vec<Bound> {
        let bindings = variant.row().bindings.iter().zip(&self.plan.bindings()[dispatch.bindings]).enumerate();
        let bound = |(i, (&(name, access), &id))| Bound {
            name,
            id,
            is_written: access == Access::Write,
            halves: variant.holds_halves(i),
            before: read_lock(self.exact.memory(id)).clone(),
        };
        bindings.map(bound).collect()
    }

    /// What a buffer holds, as numbers.
    fn numbers(&self, runner: &Runner, buffer: &Bound) -> Vec<f32> {
        let words = read_lock(runner.memory(buffer.id));
        if buffer.halves { halves(&words) } else { words.clone() }
    }
}

/// The first buffer that differs, with the element that differs most.
fn first(plan: &Plan, at: usize, expected: &[Expected], got: &[Vec<f32>]) -> Option<Difference> {
    // The first word of an exchange says that the grid was stopped.
    let was_stopped = |(expected, got): (&Expected, &Vec<f32>)| {
        expected.binding == Some((Kernel::Grid, "exchange")) && got.first().is_some_and(|word| word.to_bits() != 0)
    };
    if expected.iter().zip(got).any(was_stopped) {
        return None;
    }
    expected.iter().zip(got).find_map(|(expected, got)| {
        let (element, [device, twin], tolerance) = worst(expected, got)?;
        let kernel = match &plan.commands()[at] {
            Command::Dispatch(dispatch) => plan.variants()[dispatch.variant].to_string(),
            Command::Copy { .. } => "copy".to_owned(),
            Command::Clear { .. } => "clear".to_owned(),
        };
        let buffer = plan.buffers()[expected.id.0].name.clone();
        Some(Difference { command: at, kernel, buffer, element, device, twin, tolerance })
    })
}

/// The element of a buffer that differs most, if one differs by more than its tolerance; its two values, and that tolerance.
fn worst(expected: &Expected, got: &[f32]) -> Option<(usize, [f64; 2], f64)> {
    let wide = expected.halves.then(|| [got, &expected.words].map(halves));
    let [got, twin] = wide.as_ref().map_or([got, &expected.words], |[got, twin]| [got, twin]);
    let mut worst = None;
    let mut most = 0.0;
    for (i, (&got, &twin)) in got.iter().zip(twin).enumerate() {
        let is_integer = expected.binding.is_some_and(|(kernel, name)| is_integer(kernel, name, i));
        let [a, b] = if is_integer { [got, twin].map(|x| f64::from(x.to_bits())) } else { [got, twin].map(f64::from) };
        let tolerance = if is_integer { 0.0 } else { expected.tolerance };
        let difference = distance(a, b);
        if difference > tolerance && difference > most {
            (worst, most) = (Some((i, [a, b], tolerance)), difference);
        }
    }
    worst
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Cell, DeviceState, Direction, Linear, Output, PlanBuilder, Reserve, Reset, Rnn, RnnCall, RnnConfig, RnnWeights,
        Schedule, Tensor, read_together,
    };
    use ndarray::{Array2, Array3};

    /// Two layers of two directions step by step, a linear layer, and the best class.
    struct Model {
        program: Program,
        state: DeviceState,
        logits: Tensor,
        best: Tensor<u32>,
    }

    impl Model {
        fn new() -> Self {
            let device = Device::gpu().unwrap();
            let config = RnnConfig::new(Cell::Lstm, 5, 13).layers(2).direction(Direction::Bidirectional);
            let rnn = Rnn::new(&device, &config, RnnWeights::init(&config, 3).unwrap()).unwrap();
            let weight = Array2::from_shape_fn((7, 26), |(i, j)| ((i * 11 + j * 5) % 17) as f32 / 9.1 - 0.9);
            let linear = Linear::new(&device, weight.view(), None).unwrap();
            let x = Array3::from_shape_fn((4, 3, 5), |(t, n, i)| ((t * 7 + n * 5 + i * 3) % 11) as f32 / 5.3 - 1.0);
            let [x, logits] =
                [Tensor::from_array(&device, x.view()).unwrap(), Tensor::zeros(&device, &[3, 7]).unwrap()];
            let best = Tensor::zeros(&device, &[3]).unwrap();
            let mut plan = PlanBuilder::new(&device);
            let [x, out] = [plan.tensor(&x).unwrap(), plan.tensor(&logits).unwrap()];
            let state = rnn.device_state(3).unwrap();
            let call = RnnCall::default().carry(true).schedule(Schedule::Step).output(Output::Last);
            let y = plan.rnn(&rnn, &x, &state, &call).unwrap();
            plan.linear_into(&linear, &y, &out).unwrap();
            let index = plan.tensor(&best).unwrap();
            plan.argmax(&out, &index).unwrap();
            Self { program: plan.build().unwrap(), state, logits, best }
        }

        /// A state to start from, and no results.
        fn reset(&self) {
            let mut state = self.state.read().unwrap();
            let h = state.h.indexed_iter_mut().map(|((l, n, j), h)| (l * 5 + n * 3 + j * 7, h));
            h.for_each(|(i, h)| *h = (i % 13) as f32 / 6.7 - 0.9);
            state.c.iter_mut().for_each(|c| c.fill(0.25));
            self.state.write(&state).unwrap();
            self.logits.write(Array2::zeros((3, 7)).view()).unwrap();
        }

        fn results(&self) -> (Vec<f32>, Vec<u32>) {
            let (logits, best) = read_together(&(&self.logits, &self.best)).unwrap();
            (logits.into_iter().collect(), best.into_iter().collect())
        }
    }

    /// The plan with one dispatch spoilt: a product of fewer terms, the second direction's weights a column off, or results that
    /// are all 0. None for a copy.
    fn spoilt(plan: &Plan, at: usize) -> Option<Plan> {
        let Command::Dispatch(dispatch) = &plan.commands()[at] else { return None };
        let row = plan.variants()[dispatch.variant].kernel().row();
        let mut spoilt = plan.clone();
        if let Some(place) = row.params.iter().position(|&name| name == "k" || name == "weights_direction_0") {
            let mut params = plan.params(dispatch).to_vec();
            params[place] -= 1;
            let first = spoilt.params.len();
            spoilt.params.extend(params);
            let params = first..spoilt.params.len();
            spoilt.commands[at] = Command::Dispatch(Dispatch { params, ..dispatch.clone() });
        } else {
            let written = row.bindings.iter().position(|(_, access)| *access == Access::Write)?;
            let buffer = plan.bindings()[dispatch.bindings][written];
            spoilt.commands[at] = Command::Clear { buffer, offset: 0, words: plan.buffers()[buffer.0].words };
        }
        Some(spoilt)
    }

    #[test]
    fn a_fault_is_found_at_the_dispatch_that_has_it_and_the_run_is_finished() {
        let model = Model::new();
        let plan = model.program.plan();
        model.reset();
        assert_eq!(model.program.first_difference().unwrap(), None);
        let expected = model.results();
        assert!(expected.0.iter().all(|logit| *logit != 0.0));
        model.reset();
        model.program.run().unwrap();
        assert_eq!(model.results(), expected, "a compared run leaves what a run leaves");
        let mut kernels = Vec::new();
        for at in 0..plan.commands().len() {
            let Some(twins) = spoilt(plan, at) else { continue };
            model.reset();
            let found = block_on(model.program.compare(twins))
                .unwrap()
                .unwrap_or_else(|| panic!("nothing at {at}: {:?}\n{plan}", plan.commands()[at]));
            let Command::Dispatch(dispatch) = &plan.commands()[at] else { panic!("{at} is no dispatch") };
            let variant = &plan.variants()[dispatch.variant];
            assert_eq!((found.command, &found.kernel), (at, &variant.to_string()), "{found}");
            let ids = &plan.bindings()[dispatch.bindings];
            assert!(ids.iter().any(|id| plan.buffers()[id.0].name == found.buffer), "{found}");
            assert!((found.device - found.twin).abs() > found.tolerance, "{found}");
            assert_eq!(model.results(), expected, "the rest is run: {found}");
            kernels.push(variant.kernel());
        }
        for (kernel, least) in [(Kernel::Step, 8), (Kernel::Gemm, 3), (Kernel::Argmax, 1)] {
            assert!(kernels.iter().filter(|other| **other == kernel).count() >= least, "{kernels:?}");
        }
    }

    /// Gradients near 10⁻⁴, and 1 % off in one step.
    #[test]
    fn a_small_fault_in_a_small_gradient_is_found() {
        let device = Device::gpu().unwrap();
        let config = RnnConfig::new(Cell::Gru(Reset::After), 5, 13);
        let rnn = Rnn::trainable(&device, &config, &RnnWeights::init(&config, 3).unwrap()).unwrap();
        let call = RnnCall::default().schedule(Schedule::Step);
        let reserve = Reserve::new(&rnn, 4, 3, &call).unwrap();
        let tensor = |width: usize, scale: f32| {
            let at = |(t, n, i)| scale * (((t * 7 + n * 5 + i * 3) % 11) as f32 / 5.3 - 1.0);
            Tensor::from_array(&device, Array3::from_shape_fn((4, 3, width), at).view()).unwrap()
        };
        let mut plan = PlanBuilder::new(&device);
        let tensors = [tensor(5, 1.0), tensor(13, 0.0), tensor(13, 1e-4), tensor(13, 1.01e-4)];
        let [x, y, dy, other] = tensors.each_ref().map(|tensor| plan.tensor(tensor).unwrap());
        let [state, gradient] = [(); 2].map(|()| rnn.device_state(3).unwrap());
        plan.rnn_keeping(&rnn, &x, &state, &call, &y, &reserve).unwrap();
        plan.rnn_backward(&rnn, &x, &call, &reserve, Some(&dy), &gradient, None).unwrap();
        let program = plan.build().unwrap();
        assert_eq!(program.first_difference().unwrap(), None);
        let plan = program.plan();
        let mut steps = 0;
        for (at, command) in plan.commands().iter().enumerate() {
            let Command::Dispatch(dispatch) = command else { continue };
            if plan.variants()[dispatch.variant].kernel() != Kernel::StepBackward {
                continue;
            }
            let bindings = plan.bindings()[dispatch.bindings].iter();
            let bindings = bindings.map(|id| if *id == dy.buffer { other.buffer } else { *id }).collect();
            let mut twins = plan.clone();
            twins.bindings.push(bindings);
            let bindings = twins.bindings.len() - 1;
            twins.commands[at] = Command::Dispatch(Dispatch { bindings, ..dispatch.clone() });
            let found = block_on(program.compare(twins)).unwrap().unwrap_or_else(|| panic!("nothing at {at}"));
            assert_eq!(found.command, at, "{found}");
            assert!((found.device - found.twin).abs() < 2e-6, "{found}");
            steps += 1;
        }
        assert_eq!(steps, 4);
    }

    #[test]
    fn a_dispatch_that_reads_another_buffer_is_found_and_integers_have_to_be_equal() {
        let model = Model::new();
        let plan = model.program.plan();
        let is_reader = |command: &Command| matches!(command, Command::Dispatch(dispatch) if plan.variants()[dispatch.variant].kernel() == Kernel::Argmax);
        let at = plan.commands().iter().position(is_reader).unwrap();
        let mut twins = plan.clone();
        let Command::Dispatch(dispatch) = &plan.commands()[at] else { panic!("a dispatch") };
        let mut bindings = plan.bindings()[dispatch.bindings].clone();
        // Its input is another buffer, of numbers too.
        bindings[0] = BufferId(plan.buffers().iter().position(|buffer| buffer.name.contains("R of layer 0")).unwrap());
        twins.bindings.push(bindings);
        twins.commands[at] = Command::Dispatch(Dispatch { bindings: twins.bindings.len() - 1, ..dispatch.clone() });
        let found = block_on(model.program.compare(twins)).unwrap().unwrap();
        assert_eq!((found.command, found.tolerance), (at, 0.0), "{found}");
        assert_eq!([found.device.fract(), found.twin.fract()], [0.0; 2]);
    }

    #[test]
    fn elements_are_compared_as_what_they_are() {
        let expected = |binding, words: &[f32], halves| Expected {
            id: BufferId(0),
            binding: Some(binding),
            halves,
            words: words.to_vec(),
            tolerance: 0.1,
        };
        let number = (Kernel::Gemm, "c");
        let twin = expected(number, &[1.0, f32::NAN, 3.0, 4.0], false);
        assert_eq!(worst(&twin, &[1.05, -f32::NAN, 3.0, 4.0]), None);
        assert_eq!(worst(&twin, &[1.05, f32::NAN, 3.5, 6.0]), Some((3, [6.0, 4.0], 0.1)));
        let (at, [device, _], _) = worst(&twin, &[1.0, 2.0, 3.0, 9.0]).unwrap();
        assert_eq!((at, device), (1, 2.0), "NaN on one side");
        assert_eq!(worst(&twin, &[1.0, f32::NAN, f32::INFINITY, 4.0]).unwrap().0, 2);

        let bits = |words: [u32; 2]| words.map(f32::from_bits);
        let index = expected((Kernel::Argmax, "out"), &bits([7, u32::MAX]), false);
        assert_eq!(worst(&index, &bits([7, u32::MAX])), None);
        assert_eq!(worst(&index, &bits([7, u32::MAX - 1])), Some((1, [4_294_967_294.0, 4_294_967_295.0], 0.0)));
        assert_eq!(worst(&index, &bits([8, u32::MAX])), Some((0, [8.0, 7.0], 0.0)));

        // The upper half of the second word.
        let mut words = [0.0; 2];
        crate::cpu::write_halves(&[1.0, 2.0, 3.0, 4.0], &mut words);
        let narrow = expected(number, &words, true);
        crate::cpu::write_halves(&[1.0, 2.0, 3.0, 5.0], &mut words);
        assert_eq!(worst(&narrow, &words), Some((3, [5.0, 4.0], 0.1)));
    }

    #[test]
    fn the_cpu_device_has_nothing_to_compare_the_twins_with() {
        let device = Device::cpu();
        let tensor: Tensor = Tensor::zeros(&device, &[3]).unwrap();
        let mut plan = PlanBuilder::new(&device);
        let value = plan.tensor(&tensor).unwrap();
        plan.activate(&value, crate::Activation::Tanh).unwrap();
        let error = plan.build().unwrap().first_difference().unwrap_err();
        assert!(matches!(error, Error::Unsupported { .. }), "{error}");
    }
}
