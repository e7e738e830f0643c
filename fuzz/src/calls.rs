//! Sequences of calls over several devices, one of them lost, and several plans. A model of what each call should do is kept
//! beside them: errors are predicted, and numbers are those of the textbook.

use super::files::config;
use arbitrary::Unstructured;
use std::sync::LazyLock;
use wgrnn::ndarray::{Array1, Array2, Array3, ArrayD, Axis};
use wgrnn::plan::Value;
use wgrnn::{
    Activation, BatchLengths, Device, DeviceState, Error, Lengths, Linear, PlanBuilder, Program, Rnn, RnnCall,
    RnnConfig, RnnWeights, Session, SessionOptions, State, Tensor, reference,
};

/// T and N of all sequences: numbers of steps that differ from call to call are a matter of lengths.
const SHAPES: [(usize, usize); 2] = [(4, 2), (3, 3)];

/// As many calls as one input makes, at most.
const CALLS: usize = 24;

/// Results are of at most five units, bounded by 1 or by sums of fewer than ten products for each of four steps; each of
/// these rounds by 6e-8 or so, and passes what came before on at most a few times enlarged.
const TOLERANCE: f64 = 1e-4;

/// A device, and whether it is lost.
struct Seat {
    device: Device,
    lost: bool,
}

/// A layer on the device of a seat, with what it is made of.
struct Layer {
    seat: usize,
    rnn: Rnn,
    config: RnnConfig,
    weights: RnnWeights,
}

/// Memory that calls write, and what it should hold.
struct Memory {
    seat: usize,
    tensor: Tensor,
    holds: ArrayD<f32>,
}

/// Lengths on a device, and what they are of.
struct Steps {
    seat: usize,
    lengths: BatchLengths,
    config: RnnConfig,
    shape: (usize, usize),
    now: Vec<usize>,
}

/// A layer's program with the state it carries, and what that state should be.
struct Stepper {
    layer: usize,
    session: Session,
    shape: (usize, usize),
    state: State,
}

/// A plan under construction: its values, each with what it should become.
struct Draft {
    seat: usize,
    plan: PlanBuilder,
    number: usize,
}

/// A value of some draft, which may be gone.
struct Drawn {
    draft: usize,
    value: Value,
    becomes: ArrayD<f32>,
}

#[derive(Default)]
struct World {
    seats: Vec<Seat>,
    layers: Vec<Layer>,
    memories: Vec<Memory>,
    steps: Vec<Steps>,
    steppers: Vec<Stepper>,
    draft: Option<Draft>,
    drafts: usize,
    values: Vec<Drawn>,
    /// Programs whose plan builder, tensors and layers may be gone.
    programs: Vec<(usize, Program)>,
    /// Numbers, all different.
    count: u32,
    /// Calls that went well.
    well: usize,
}

/// What may be wrong with a call.
#[derive(Clone, Copy, Default)]
struct Faults {
    lost: bool,
    other_device: bool,
    other_plan: bool,
    misfit: bool,
}

/// Devices of whatever adapter there is: two opened by two calls, or the CPU.
static DEVICES: LazyLock<Vec<Device>> = LazyLock::new(|| {
    let gpus = (0..2).filter_map(|_| Device::gpu().ok());
    gpus.chain([Device::cpu()]).collect()
});

/// Runs a sequence of calls; how many of them went well.
pub fn calls(bytes: &[u8]) -> usize {
    let mut draw = Unstructured::new(bytes);
    let mut world = World::default();
    world.seats.extend(DEVICES.iter().map(|device| Seat { device: device.clone(), lost: false }));
    for _ in 0..CALLS {
        if draw.is_empty() {
            break;
        }
        // Errors of drawing are the end of the bytes.
        if world.call(&mut draw).is_err() {
            break;
        }
    }
    world.well
}

impl World {
    fn call(&mut self, draw: &mut Unstructured<'_>) -> arbitrary::Result<()> {
        match draw.int_in_range(0..=17)? {
            0 | 1 => self.new_layer(draw),
            2..=4 => self.forward(draw),
            5 => self.new_memory(draw),
            6 => self.write(draw),
            7 => self.read(draw),
            8 => self.new_steps(draw),
            9 => self.new_stepper(draw),
            10 => self.step(draw),
            11 | 12 => self.new_value(draw),
            13 | 14 => self.operate(draw),
            15 => self.build(draw),
            16 => self.forget(draw),
            _ => self.lose(draw),
        }
    }

    /// Holds a result against what was predicted: an error of one of the kinds that are due, or none.
    fn judge<T>(&mut self, what: &str, result: Result<T, Error>, faults: Faults) -> Option<T> {
        let due = faults.lost || faults.other_device || faults.other_plan || faults.misfit;
        match result {
            Ok(value) => {
                assert!(!due, "{what} went well");
                self.well += 1;
                Some(value)
            }
            Err(error) => {
                let is_due = match &error {
                    Error::DeviceLost { .. } => faults.lost,
                    Error::OtherDevice { .. } => faults.other_device,
                    Error::OtherPlan { .. } => faults.other_plan,
                    Error::Shape { .. } | Error::Value { .. } => faults.misfit,
                    _ => false,
                };
                assert!(is_due, "{what}: {error}");
                None
            }
        }
    }

    fn numbers(&mut self, shape: &[usize]) -> ArrayD<f32> {
        ArrayD::from_shape_simple_fn(shape, || {
            self.count = self.count.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (self.count >> 8) as f32 / 8_388_608.0 - 1.0
        })
    }

    fn x(&mut self, layer: &RnnConfig, (steps, batch): (usize, usize)) -> Array3<f32> {
        let numbers = self.numbers(&[steps, batch, layer.input_size()]);
        numbers.into_dimensionality().expect("three axes")
    }

    fn lost(&self, seat: usize) -> bool {
        self.seats[seat].lost
    }

    /// Whether two seats are one device. There is one CPU.
    fn same(&self, a: usize, b: usize) -> bool {
        a == b || self.seats[a].device.is_cpu() && self.seats[b].device.is_cpu()
    }

    fn new_layer(&mut self, draw: &mut Unstructured<'_>) -> arbitrary::Result<()> {
        let (seat, config) = (draw.choose_index(self.seats.len())?, config(draw));
        let weights = RnnWeights::init(&config, draw.int_in_range(0..=9)?).expect("a sound configuration");
        let made = Rnn::new(&self.seats[seat].device, &config, weights.clone());
        let faults = Faults { lost: self.lost(seat), ..Faults::default() };
        if let Some(rnn) = self.judge("a new layer", made, faults) {
            self.layers.push(Layer { seat, rnn, config, weights });
        }
        Ok(())
    }

    /// The textbook's answer.
    fn expected(
        layer: &Layer,
        x: &Array3<f32>,
        lengths: Option<&[usize]>,
        state: Option<&State>,
    ) -> (Array3<f64>, State) {
        let x = x.mapv(f64::from);
        let got = reference::forward::<f64>(&layer.config, &layer.weights, x.view(), lengths, state);
        let got = got.expect("the reference has an answer");
        let single = |array: Array3<f64>| array.mapv(|x| x as f32);
        (got.y, State { h: single(got.h), c: got.c.map(single) })
    }

    fn forward(&mut self, draw: &mut Unstructured<'_>) -> arbitrary::Result<()> {
        if self.layers.is_empty() {
            return Ok(());
        }
        let at = draw.choose_index(self.layers.len())?;
        let shape = *draw.choose(&SHAPES)?;
        let config = self.layers[at].config.clone();
        let x = self.x(&config, shape);
        let mut faults = Faults { lost: self.lost(self.layers[at].seat), ..Faults::default() };
        let lengths = match draw.int_in_range(0..=3)? {
            0 => Lengths::Full,
            1 => Lengths::Fixed((0..shape.1).map(|n| 1 + (n + at) % shape.0).collect()),
            // Some of a wrong number.
            2 => {
                faults.misfit = true;
                Lengths::Fixed(vec![shape.0 + 1; shape.1])
            }
            _ if self.steps.is_empty() => Lengths::Full,
            _ => {
                let steps = &self.steps[draw.choose_index(self.steps.len())?];
                faults.other_device = !self.same(steps.seat, self.layers[at].seat);
                faults.misfit = steps.shape != shape || steps.config.directions() != config.directions();
                Lengths::PerRun(steps.lengths.clone())
            }
        };
        let known = lengths.list();
        let call = RnnCall::default().lengths(lengths);
        let run = self.layers[at].rnn.forward_with(x.view(), None, &call);
        if let Some(output) = self.judge("forward", run, faults) {
            let (y, state) = Self::expected(&self.layers[at], &x, known.as_deref(), None);
            near("y", output.y.iter(), y.iter());
            same_state(&output.state, &state);
        }
        Ok(())
    }

    fn new_memory(&mut self, draw: &mut Unstructured<'_>) -> arbitrary::Result<()> {
        let seat = draw.choose_index(self.seats.len())?;
        let holds = self.numbers(&[3, 4]);
        let made = Tensor::from_array(&self.seats[seat].device, holds.view());
        let faults = Faults { lost: self.lost(seat), ..Faults::default() };
        if let Some(tensor) = self.judge("a new tensor", made, faults) {
            self.memories.push(Memory { seat, tensor, holds });
        }
        Ok(())
    }

    fn write(&mut self, draw: &mut Unstructured<'_>) -> arbitrary::Result<()> {
        // What a draft's values become is known from what is there now.
        if self.memories.is_empty() || self.draft.is_some() {
            return Ok(());
        }
        let at = draw.choose_index(self.memories.len())?;
        let fits = draw.ratio(3, 4)?;
        let holds = self.numbers(if fits { &[3, 4] } else { &[4, 3] });
        let written = self.memories[at].tensor.write(holds.view());
        let faults = Faults { lost: self.lost(self.memories[at].seat), misfit: !fits, ..Faults::default() };
        if self.judge("a write", written, faults).is_some() {
            self.memories[at].holds = holds;
        }
        Ok(())
    }

    fn read(&mut self, draw: &mut Unstructured<'_>) -> arbitrary::Result<()> {
        if self.memories.is_empty() {
            return Ok(());
        }
        let at = draw.choose_index(self.memories.len())?;
        let read = self.memories[at].tensor.read();
        let faults = Faults { lost: self.lost(self.memories[at].seat), ..Faults::default() };
        if let Some(read) = self.judge("a read", read, faults) {
            let holds = &self.memories[at].holds;
            near("a tensor", read.iter(), holds.mapv(f64::from).iter());
        }
        Ok(())
    }

    fn new_steps(&mut self, draw: &mut Unstructured<'_>) -> arbitrary::Result<()> {
        if !self.steps.is_empty() && draw.ratio(1, 2)? {
            let at = draw.choose_index(self.steps.len())?;
            let (longest, batch) = self.steps[at].shape;
            let first = draw.int_in_range(0..=longest + 1)?;
            let now: Vec<_> = (0..batch).map(|n| if n == 0 { first } else { 1 + n % longest }).collect();
            let written = self.steps[at].lengths.write(&now);
            let misfit = first > longest;
            let faults = Faults { lost: self.lost(self.steps[at].seat), misfit, ..Faults::default() };
            if self.judge("lengths", written, faults).is_some() {
                self.steps[at].now = now;
            }
            assert_eq!(self.steps[at].lengths.list(), self.steps[at].now);
            return Ok(());
        }
        if self.layers.is_empty() {
            return Ok(());
        }
        let layer = &self.layers[draw.choose_index(self.layers.len())?];
        let (seat, config, shape) = (layer.seat, layer.config.clone(), *draw.choose(&SHAPES)?);
        let made = layer.rnn.batch_lengths(shape.0, shape.1);
        let faults = Faults { lost: self.lost(seat), ..Faults::default() };
        if let Some(lengths) = self.judge("new lengths", made, faults) {
            self.steps.push(Steps { seat, lengths, config, shape, now: vec![shape.0; shape.1] });
        }
        Ok(())
    }

    fn new_stepper(&mut self, draw: &mut Unstructured<'_>) -> arbitrary::Result<()> {
        if self.layers.is_empty() {
            return Ok(());
        }
        let layer = draw.choose_index(self.layers.len())?;
        let shape = *draw.choose(&SHAPES)?;
        let (seat, config) = (self.layers[layer].seat, self.layers[layer].config.clone());
        let options = SessionOptions::new(shape.0, shape.1);
        let of = |layer: &Layer| -> Result<DeviceState, Error> { layer.rnn.device_state(shape.1) };
        // The state of some layer, its input on some device.
        let [other, elsewhere] = [draw.choose_index(self.layers.len())?, draw.choose_index(self.seats.len())?];
        let is_plain = draw.ratio(1, 2)?;
        let [other, elsewhere] = if is_plain { [layer, seat] } else { [other, elsewhere] };
        let lost = self.lost(seat) || self.lost(self.layers[other].seat) || self.lost(elsewhere);
        let (state, theirs) = (of(&self.layers[other]), &self.layers[other].config);
        let sizes = |config: &RnnConfig| {
            (config.layer_count() * config.directions(), config.hidden_size(), config.cell().has_cell_state())
        };
        let faults = Faults {
            lost,
            other_device: !self.same(seat, self.layers[other].seat) || !self.same(seat, elsewhere),
            misfit: sizes(theirs) != sizes(&config),
            ..Faults::default()
        };
        let x_shape = [shape.0, shape.1, config.input_size()];
        let y_shape = [shape.0, shape.1, config.directions() * config.hidden_size()];
        let made = state.and_then(|state| {
            let x = Tensor::zeros(&self.seats[elsewhere].device, &x_shape)?;
            let y = Tensor::zeros(&self.seats[seat].device, &y_shape)?;
            Session::with_tensors(&self.layers[layer].rnn, options, x, y, state)
        });
        if let Some(session) = self.judge("a session", made, faults) {
            let state = State::zeros(&config, shape.1).expect("a sound state");
            self.steppers.push(Stepper { layer, session, shape, state });
        }
        Ok(())
    }

    fn step(&mut self, draw: &mut Unstructured<'_>) -> arbitrary::Result<()> {
        if self.steppers.is_empty() {
            return Ok(());
        }
        let at = draw.choose_index(self.steppers.len())?;
        let (layer, shape) = (self.steppers[at].layer, self.steppers[at].shape);
        let config = self.layers[layer].config.clone();
        let x = self.x(&config, shape);
        let session = &self.steppers[at].session;
        let run = session.input().write(x.view()).and_then(|()| session.run());
        let run = run.and_then(|()| wgrnn::read_together(&(session.output(), session.state())));
        let faults = Faults { lost: self.lost(self.layers[layer].seat), ..Faults::default() };
        if let Some((y, state)) = self.judge("a step", run, faults) {
            let before = &self.steppers[at].state;
            let (expected, after) = Self::expected(&self.layers[layer], &x, None, Some(before));
            near("y of a step", y.iter(), expected.iter());
            same_state(&state, &after);
            self.steppers[at].state = after;
        }
        Ok(())
    }

    /// The draft, a new one where there is none.
    fn draft(&mut self, draw: &mut Unstructured<'_>) -> arbitrary::Result<Draft> {
        if let Some(draft) = self.draft.take() {
            return Ok(draft);
        }
        let seat = draw.choose_index(self.seats.len())?;
        self.drafts += 1;
        Ok(Draft { seat, plan: PlanBuilder::new(&self.seats[seat].device), number: self.drafts })
    }

    fn new_value(&mut self, draw: &mut Unstructured<'_>) -> arbitrary::Result<()> {
        if self.memories.is_empty() {
            return Ok(());
        }
        let mut draft = self.draft(draw)?;
        let at = draw.choose_index(self.memories.len())?;
        let bound = draft.plan.tensor(&self.memories[at].tensor);
        let other_device = !self.same(self.memories[at].seat, draft.seat);
        if let Some(value) = self.judge("a plan's tensor", bound, Faults { other_device, ..Faults::default() }) {
            // Nothing is written while there is a draft.
            let becomes = self.memories[at].holds.clone();
            self.values.push(Drawn { draft: draft.number, value, becomes });
        }
        self.draft = Some(draft);
        Ok(())
    }

    fn operate(&mut self, draw: &mut Unstructured<'_>) -> arbitrary::Result<()> {
        if self.values.is_empty() {
            return Ok(());
        }
        let mut draft = self.draft(draw)?;
        let [a, b] = [draw.choose_index(self.values.len())?, draw.choose_index(self.values.len())?];
        let [strange_a, strange_b] = [a, b].map(|at| self.values[at].draft != draft.number);
        let faults = |other_plan| Faults { other_plan, ..Faults::default() };
        let [x, y] = [a, b].map(|at| self.values[at].value.clone());
        let [of_x, of_y] = [a, b].map(|at| self.values[at].becomes.clone());
        let (value, becomes) = match draw.int_in_range(0..=2)? {
            0 => {
                let made = draft.plan.activate(&x, Activation::Relu);
                (self.judge("an activation", made, faults(strange_a)), of_x.mapv(|x| x.max(0.0)))
            }
            1 => {
                let misfit = of_x.shape()[..of_x.ndim() - 1] != of_y.shape()[..of_y.ndim() - 1];
                let made = draft.plan.concat(&[&x, &y]);
                let faults = Faults { misfit, ..faults(strange_a || strange_b) };
                let value = self.judge("values side by side", made, faults);
                let both = if misfit {
                    of_x
                } else {
                    let last = Axis(of_x.ndim() - 1);
                    wgrnn::ndarray::concatenate(last, &[of_x.view(), of_y.view()]).expect("equal rows")
                };
                (value, both)
            }
            _ => {
                let width = of_x.shape()[of_x.ndim() - 1];
                let seat = if draw.ratio(2, 3)? { draft.seat } else { draw.choose_index(self.seats.len())? };
                let [weight, bias] = [self.numbers(&[2, width]), self.numbers(&[2])];
                let weight: Array2<f32> = weight.into_dimensionality().expect("two axes");
                let bias: Array1<f32> = bias.into_dimensionality().expect("one axis");
                let made = Linear::new(&self.seats[seat].device, weight.view(), Some(bias.view()));
                let lost = Faults { lost: self.lost(seat), ..Faults::default() };
                let Some(linear) = self.judge("a dense layer", made, lost) else {
                    self.draft = Some(draft);
                    return Ok(());
                };
                let other_device = !self.same(seat, draft.seat);
                let made = draft.plan.linear(&linear, &x);
                let value = self.judge("a product", made, Faults { other_device, ..faults(strange_a) });
                let rows = of_x.len() / width;
                let rows = of_x.to_shape((rows, width)).expect("rows of one width").to_owned();
                let product = rows.dot(&weight.t()) + &bias;
                let shape = [&of_x.shape()[..of_x.ndim() - 1], &[2]].concat();
                let product = product.as_standard_layout().into_owned();
                (value, product.into_shape_with_order(shape).expect("as many numbers"))
            }
        };
        if let Some(value) = value {
            self.values.push(Drawn { draft: draft.number, value, becomes });
        }
        self.draft = Some(draft);
        Ok(())
    }

    /// Builds the plan, with its last value copied to a tensor, and runs it.
    fn build(&mut self, draw: &mut Unstructured<'_>) -> arbitrary::Result<()> {
        if let Some((seat, program)) = self.programs.pop().filter(|_| draw.ratio(1, 3).unwrap_or(false)) {
            // Its builder is gone, and so may be its tensors and layers. What it writes is its own.
            let run = program.run();
            let faults = Faults { lost: self.lost(seat), ..Faults::default() };
            self.judge("a program", run, faults);
            return Ok(());
        }
        let Some(mut draft) = self.draft.take() else { return Ok(()) };
        let Some(last) = self.values.iter().rposition(|value| value.draft == draft.number) else { return Ok(()) };
        let (value, becomes) = (self.values[last].value.clone(), self.values[last].becomes.clone());
        let lost = Faults { lost: self.lost(draft.seat), ..Faults::default() };
        let made = Tensor::<f32>::zeros(&self.seats[draft.seat].device, becomes.shape());
        let Some(out) = self.judge("the output of a plan", made, lost) else { return Ok(()) };
        let run = draft.plan.tensor(&out).and_then(|to| draft.plan.copy(&value, &to));
        let run = run.and_then(|()| draft.plan.build()).and_then(|program| {
            program.run()?;
            Ok((program, out.read()?))
        });
        if let Some((program, read)) = self.judge("a plan", run, lost) {
            near("a plan's output", read.iter(), becomes.mapv(f64::from).iter());
            self.programs.push((draft.seat, program));
        }
        Ok(())
    }

    /// Drops things, whoever still uses them.
    fn forget(&mut self, draw: &mut Unstructured<'_>) -> arbitrary::Result<()> {
        match draw.int_in_range(0..=3)? {
            0 => drop(self.memories.pop()),
            1 => drop(self.steps.pop()),
            2 => drop(self.draft.take()),
            _ => {
                // Sessions go on without their layer's handle; the model needs its weights.
                let used = |layer: usize| self.steppers.iter().any(|stepper| stepper.layer == layer);
                if self.layers.len().checked_sub(1).is_some_and(|last| !used(last)) {
                    self.layers.pop();
                }
            }
        }
        Ok(())
    }

    /// Loses a device that was opened for that, so that others never see it.
    fn lose(&mut self, draw: &mut Unstructured<'_>) -> arbitrary::Result<()> {
        let shared = DEVICES.len();
        if self.seats.len() == shared {
            // Not for each input: a device takes a while to open.
            if draw.ratio(1, 2)?
                && let Ok(device) = Device::gpu()
            {
                self.seats.push(Seat { device, lost: false });
            }
            return Ok(());
        }
        let seat = &mut self.seats[shared];
        if let Some((device, _)) = seat.device.wgpu() {
            device.destroy();
            seat.lost = true;
        }
        Ok(())
    }
}

fn near<'a>(what: &str, got: impl ExactSizeIterator<Item = &'a f32>, expected: impl ExactSizeIterator<Item = &'a f64>) {
    assert_eq!(got.len(), expected.len(), "{what}");
    for (i, (&got, &expected)) in got.zip(expected).enumerate() {
        let error = (f64::from(got) - expected).abs();
        assert!(error <= TOLERANCE * expected.abs().max(1.0), "{what}: {got} at {i}, expected {expected}");
    }
}

fn same_state(got: &State, expected: &State) {
    near("h", got.h.iter(), expected.h.mapv(f64::from).iter());
    if let (Some(got), Some(expected)) = (&got.c, &expected.c) {
        near("c", got.iter(), expected.mapv(f64::from).iter());
    }
}
