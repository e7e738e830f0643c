//! Each row of the table of tiles and schedules, on the adapter at hand: what suits other adapters must be right here too.

use crate::common::{Random, configs, rnn};
use wgrnn::kernels::Kernel;
use wgrnn::{
    Activation, Cell, Class, Device, Direction, GpuOptions, Lengths, Precision, Reset, Rnn, RnnCall, RnnConfig,
    RnnWeights, Schedule, SessionOptions,
};

const CLASSES: [Class; 3] = [Class::Software, Class::Integrated, Class::Discrete];

fn device(class: Class) -> Device {
    Device::gpu_with(&GpuOptions::default().class(class)).unwrap()
}

/// Few sequences and many, so that tiles are full and not, and sums are split and not.
#[test]
fn every_class_of_adapter_gives_what_the_textbook_gives() {
    for class in CLASSES {
        let device = device(class);
        for config in configs(8, 40) {
            let rnn = rnn(&device, &config.layers(2).direction(Direction::Bidirectional));
            let mut random = Random::new(1);
            for (batch, schedule) in [(1, Schedule::Step), (19, Schedule::Step), (3, Schedule::Sequence)] {
                let (x, state) = (random.array([4, batch, 8]), random.state(rnn.config(), batch));
                let lengths = Lengths::Fixed((0..batch).map(|n| 4 - n % 3).collect());
                let call = RnnCall::default().schedule(schedule).lengths(lengths);
                let report = rnn.check(x.view(), Some(&state), &call).unwrap();
                assert!(report.passed(), "{class:?}, {schedule:?}, N {batch}\n{report}");
            }
        }
    }
}

#[test]
fn every_class_of_adapter_gives_the_twins_gradients() {
    for class in CLASSES {
        let device = device(class);
        for cell in [Cell::Lstm, Cell::Gru(wgrnn::Reset::Before)] {
            let config = RnnConfig::new(cell, 8, 40).layers(2);
            let rnn = Rnn::trainable(&device, &config, &RnnWeights::init(&config, 7).unwrap()).unwrap();
            for batch in [1, 19] {
                let x = Random::new(2).array([4, batch, 8]);
                let report = rnn.check_gradients(x.view(), &RnnCall::default().schedule(Schedule::Step));
                let report = report.unwrap();
                assert!(report.passed(), "{class:?}, {cell:?}, N {batch}\n{report}");
            }
        }
    }
}

#[test]
fn stacks_and_half_precision_are_right_in_every_class() {
    for class in CLASSES {
        let device = device(class);
        let config = RnnConfig::new(Cell::Lstm, 8, 40).layers(3).precision(Precision::Half);
        let rnn = rnn(&device, &config);
        for (batch, schedule) in [(1, Schedule::Wavefront), (9, Schedule::Wavefront), (9, Schedule::Auto)] {
            let call = RnnCall::default().schedule(schedule);
            let report = rnn.check(Random::new(3).array([5, batch, 8]).view(), None, &call).unwrap();
            assert!(report.passed(), "{class:?}, {schedule:?}, N {batch}\n{report}");
        }
    }
}

/// As measured on an NVIDIA H200: see `benches/results/nvidia-h200`.
#[test]
fn a_discrete_adapter_runs_by_sequence_what_is_small_and_else_step_by_step() {
    let device = device(Class::Discrete);
    let chosen = |cell, hidden, layers, batch| {
        Schedule::Auto.resolve(&device, &RnnConfig::new(cell, hidden, hidden).layers(layers), 100, batch)
    };
    for (cell, hidden, larger) in [(Cell::Lstm, 96, 128), (Cell::Gru(Reset::After), 96, 128), (TANH, 128, 256)] {
        assert_eq!(chosen(cell, hidden, 1, 16), Schedule::Sequence, "{cell:?}");
        assert_eq!(chosen(cell, larger, 1, 16), Schedule::Step, "{cell:?}");
    }
    assert_eq!(chosen(Cell::Lstm, 512, 1, 1), Schedule::Step);
    assert_eq!(chosen(Cell::Lstm, 256, 3, 64), Schedule::Wavefront);
    assert_eq!(chosen(Cell::Lstm, 512, 2, 64), Schedule::Step);
}

const TANH: Cell = Cell::Elman(Activation::Tanh);

/// What the tests above are about is really there: sums are shared where lanes are few, and only there.
#[test]
fn a_discrete_adapter_shares_sums_of_few_lanes() {
    let device = device(Class::Discrete);
    let splits = |batch| {
        let rnn = rnn(&device, &RnnConfig::new(Cell::Lstm, 64, 256));
        let call = RnnCall::default().schedule(Schedule::Step);
        let session = rnn.session(SessionOptions::new(2, batch).call(call)).unwrap();
        let steps = session.plan().variants().iter().filter(|variant| variant.kernel() == Kernel::Step);
        steps.map(|variant| variant.of.split()).collect::<Vec<_>>()
    };
    assert_eq!((splits(1), splits(32), splits(1024)), (vec![8], vec![8], vec![1]));
}

/// Rows that are many enough to be cut into parts, of which some are shorter: of matrices that fill a tile and not, and of biases.
#[test]
fn a_discrete_adapter_adds_up_gradients_in_parts() {
    let device = device(Class::Discrete);
    let config = RnnConfig::new(Cell::Lstm, 8, 40).direction(Direction::Bidirectional);
    let rnn = Rnn::trainable(&device, &config, &RnnWeights::init(&config, 7).unwrap()).unwrap();
    let (steps, batch) = (8, 80);
    let lengths = Lengths::Fixed((0..batch).map(|n| steps - n % 3).collect());
    let call = RnnCall::default().schedule(Schedule::Step).lengths(lengths);
    let training = rnn.training(SessionOptions::new(steps, batch).call(call.clone()), false).unwrap();
    let names: Vec<_> =
        training.plans().into_iter().flat_map(|plan| plan.variants()).map(ToString::to_string).collect();
    for name in ["outer 64x64 staged in 4 parts", "outer 8x4x64 in 4 parts", "outer 1x4x64 in 16 parts"] {
        assert!(names.iter().any(|other| other == name), "no {name} among {names:?}");
    }
    let report = rnn.check_gradients(Random::new(5).array([steps, batch, 8]).view(), &call).unwrap();
    assert!(report.passed(), "{report}");
}
