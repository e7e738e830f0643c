//! Plans: what they say of themselves, what they refuse, and whole models in one of them.

use crate::common::{Random, configs, gpu, rnn};
use ndarray::{Array1, Array2, Array3, ArrayD, Axis, s};
use wgrnn::kernels::Kernel;
use wgrnn::plan::Command;
use wgrnn::{
    Activation, Bias, Cell, Device, Direction, Error, Lengths, Linear, Output, PlanBuilder, Reset, RnnCall, RnnConfig,
    Schedule, Session, SessionOptions, Tensor, reference,
};

fn both() -> [Device; 2] {
    [gpu(), Device::cpu()]
}

fn options(steps: usize, batch: usize, schedule: Schedule) -> SessionOptions {
    SessionOptions::new(steps, batch).call(RnnCall::default().schedule(schedule))
}

#[test]
fn a_printed_plan_lists_kernels_sizes_work_and_memory() {
    let rnn = rnn(&gpu(), &RnnConfig::new(Cell::Lstm, 6, 12));
    for (schedule, kernel) in [(Schedule::Step, "step lstm"), (Schedule::Sequence, "sequence lstm")] {
        let session = rnn.session(options(7, 3, schedule)).unwrap();
        let (plan, text) = (session.plan(), session.plan().to_string());
        for part in ["gemm", kernel, "MFLOP", "MiB", "dispatches", "workgroups", "W of layer 0", "R of layer 0"] {
            assert!(text.contains(part), "no {part} in\n{text}");
        }
        let row = text.lines().find(|line| line.starts_with(kernel)).unwrap();
        let dispatches = if schedule == Schedule::Step { "7" } else { "1" };
        assert!(row.split_whitespace().any(|word| word == dispatches), "{row}");
        // At least the weights, the input and the output, once.
        assert!(plan.bytes() >= 4 * (48 * (6 + 12) + 7 * 3 * (6 + 12)), "{}", plan.bytes());
        assert!(plan.workspace_bytes() >= 4 * 7 * 3 * 48, "the input part of the gates");
    }
}

/// 2·T·N·(I + H)·G·H, or 2·T·N·I·G·H without R, for each layer and direction, whatever the schedule and the device.
#[test]
fn the_work_of_a_plan_is_that_of_its_products() {
    let (steps, batch, input, hidden) = (6_u64, 5_u64, 7_u64, 9_u64);
    for device in both() {
        for cell in Cell::ALL {
            let config = RnnConfig::new(cell, 7, 9).layers(2).direction(Direction::Bidirectional);
            let rnn = rnn(&device, &config);
            let gates = cell.gates() as u64 * hidden;
            let rows = steps * batch;
            // The second layer reads both directions of the first.
            let state = if cell.has_recurrent_weights() { hidden } else { 0 };
            let expected = 2 * 2 * rows * gates * ((input + state) + (2 * hidden + state));
            for schedule in [Schedule::Step, Schedule::Sequence] {
                let session = rnn.session(options(6, 5, schedule)).unwrap();
                assert_eq!(session.plan().flop(), expected, "{} {schedule:?} on {device:?}", cell.name());
            }
        }
        let projected = rnn(&device, &RnnConfig::new(Cell::Lstm, 7, 9).projection(4));
        let session = projected.session(options(6, 5, Schedule::Step)).unwrap();
        assert_eq!(session.plan().flop(), 2 * 30 * (36 * (7 + 4) + 9 * 4));
    }
}

#[test]
fn a_plan_has_the_same_steps_on_every_device() {
    for config in configs(5, 12) {
        let config = config.layers(2).direction(Direction::Bidirectional);
        let counts = both().map(|device| {
            let session = rnn(&device, &config).session(options(6, 3, Schedule::Step)).unwrap();
            let plan = session.plan();
            plan.dispatches().filter(|dispatch| plan.variants()[dispatch.variant].kernel() == Kernel::Step).count()
        });
        let phases = config.cell().phases(configs(5, 12).last() == Some(&config)).len();
        assert!(counts[0] >= 2 * 6 * phases, "{counts:?}");
        assert_eq!(counts[0], counts[1], "{config:?}");
    }
}

#[test]
fn a_replay_gives_the_same_and_follows_a_new_input() {
    for device in both() {
        for config in configs(5, 12) {
            let rnn = rnn(&device, &config);
            let session = rnn.session(options(6, 3, Schedule::Auto)).unwrap();
            let mut random = Random::new(14);
            let [a, b] = [(); 2].map(|()| random.array([6, 3, 5]));
            let run = |x: &Array3<f32>| {
                session.input().write(x.view()).unwrap();
                session.run().unwrap();
                (session.output().read().unwrap(), session.state().read().unwrap())
            };
            let first = run(&a);
            session.run().unwrap();
            assert_eq!(session.output().read().unwrap(), first.0, "without a new input");
            let other = run(&b);
            assert_ne!(first, other);
            assert_eq!(run(&a), first);
            let output = rnn.forward(b.view()).unwrap();
            assert_eq!((output.y, output.state), other);
        }
    }
}

/// Embedding, a recurrent layer, a dense one, and the best class of each step, without a return to the host.
#[test]
fn a_whole_model_runs_in_one_plan() {
    let (steps, batch, words, features, hidden, classes) = (5, 3, 11, 6, 10, 8);
    let mut random = Random::new(15);
    let table = Array2::from_shape_simple_fn((words, features), || random.number());
    let weight = Array2::from_shape_simple_fn((classes, 2 * hidden), || random.number());
    let bias = Array1::from_shape_simple_fn(classes, || random.number());
    let indices = Array2::from_shape_fn((steps, batch), |(t, n)| ((7 * t + 3 * n) % words) as u32);

    let config = RnnConfig::new(Cell::Gru(Reset::After), features, hidden).direction(Direction::Bidirectional);
    for device in both() {
        let rnn = rnn(&device, &config);
        let x = Array3::from_shape_fn((steps, batch, features), |(t, n, i)| {
            f64::from(table[[indices[[t, n]] as usize, i]])
        });
        let y = reference::forward(&config, &rnn.weights().unwrap(), x.view(), None, None).unwrap().y;
        let y = y.to_shape((steps * batch, 2 * hidden)).unwrap().into_owned();
        let logits = y.dot(&weight.t().mapv(f64::from)) + bias.mapv(f64::from);
        let expected: Vec<u32> = logits
            .rows()
            .into_iter()
            .map(|row| (0..classes).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap() as u32)
            .collect();
        assert!(expected.iter().any(|&best| best != expected[0]), "a model that always says the same shows nothing");

        let best = Tensor::<u32>::zeros(&device, &[steps * batch]).unwrap();
        let mut plan = PlanBuilder::new(&device);
        let table = plan.tensor(&Tensor::from_array(&device, table.view()).unwrap()).unwrap();
        let tokens = plan.tensor(&Tensor::from_array(&device, indices.view()).unwrap()).unwrap();
        let embedded = plan.embedding(&table, &tokens).unwrap();
        assert_eq!(embedded.shape(), [steps, batch, features]);
        let y = plan.rnn(&rnn, &embedded, &rnn.device_state(batch).unwrap(), &RnnCall::default()).unwrap();
        assert_eq!(y.shape(), [steps, batch, 2 * hidden]);
        let head = Linear::new(&device, weight.view(), Some(bias.view())).unwrap();
        let logits = plan.linear(&head, &y).unwrap();
        let logits = logits.reshape(&[steps * batch, classes]).unwrap();
        let out = plan.tensor(&best).unwrap();
        plan.argmax(&logits, &out).unwrap();
        plan.build().unwrap().run().unwrap();
        assert_eq!(best.read().unwrap().into_raw_vec_and_offset().0, expected, "{device:?}");
    }
}

/// What lies between the layers of other networks.
#[test]
fn a_plan_applies_functions_to_each_number() {
    for device in both() {
        let x = Random::new(4).array([3, 5, 8]) * 4.0;
        let input = Tensor::from_array(&device, x.view().into_dyn()).unwrap();
        let softplus = Tensor::<f32>::zeros(&device, &[3, 5, 8]).unwrap();
        let magnitudes = Tensor::<f32>::zeros(&device, &[5, 4]).unwrap();
        let mut plan = PlanBuilder::new(&device);
        let value = plan.tensor(&input).unwrap();
        let activated = plan.activate(&value, Activation::Softplus).unwrap();
        let out = plan.tensor(&softplus).unwrap();
        plan.copy(&activated, &out).unwrap();
        // A part of a value begins somewhere else.
        let magnitude = plan.magnitude(&value.at(1).unwrap()).unwrap();
        let out = plan.tensor(&magnitudes).unwrap();
        plan.copy(&magnitude, &out).unwrap();
        let steep = Activation::Elu { alpha: f32::NAN.into() };
        assert!(matches!(plan.activate(&value, steep), Err(Error::Value { .. })));
        let odd = value.reshape(&[8, 15]).unwrap();
        assert!(matches!(plan.magnitude(&odd), Err(Error::Shape { .. })));
        plan.build().unwrap().run().unwrap();
        for (got, x) in softplus.read().unwrap().iter().zip(&x) {
            assert!((got - x.exp().ln_1p()).abs() < 1e-6, "{x}: {got}");
        }
        for ((i, j), got) in magnitudes.read().unwrap().into_dimensionality::<ndarray::Ix2>().unwrap().indexed_iter() {
            assert!((got - x[[1, i, j]].hypot(x[[1, i, 4 + j]])).abs() < 1e-6);
        }
    }
}

/// What a layer reads that sees several others.
#[test]
fn values_lie_side_by_side() {
    for device in both() {
        let mut random = Random::new(5);
        let (x, y) = (random.array([2, 3, 5]), random.array([1, 3, 4]).remove_axis(Axis(0)));
        let [first, second] =
            [x.view().into_dyn(), y.view().into_dyn()].map(|array| Tensor::from_array(&device, array).unwrap());
        let indices = Tensor::<u32>::zeros(&device, &[3, 1]).unwrap();
        let all = Tensor::<f32>::zeros(&device, &[3, 14]).unwrap();
        let mut plan = PlanBuilder::new(&device);
        let [x_value, y_value] = [plan.tensor(&first).unwrap(), plan.tensor(&second).unwrap()];
        // Parts of a value, and one of them twice.
        let [a, b] = [1, 0].map(|part| x_value.at(part).unwrap());
        let found = plan.concat(&[&a, &y_value, &b]).unwrap();
        assert_eq!(plan.concat(&[&a]).unwrap().shape(), [3, 5]);
        assert_eq!(plan.concat(&[&y_value, &y_value]).unwrap().shape(), [3, 8]);
        let out = plan.tensor(&all).unwrap();
        plan.copy(&found, &out).unwrap();
        let indices = plan.tensor(&indices).unwrap();
        assert!(matches!(plan.concat(&[&a, &indices]), Err(Error::Value { .. })));
        assert!(matches!(plan.concat(&[&a, &x_value]), Err(Error::Shape { .. })));
        assert!(matches!(plan.concat(&[&y_value, &y_value.reshape(&[4, 3]).unwrap()]), Err(Error::Shape { .. })));
        assert!(matches!(plan.concat(&[]), Err(Error::Shape { .. })));
        plan.build().unwrap().run().unwrap();
        let expected = ndarray::concatenate![Axis(1), x.slice(s![1, .., ..]), y, x.slice(s![0, .., ..])];
        assert_eq!(all.read().unwrap(), expected.into_dyn(), "{}", device.name());
    }
}

#[test]
fn an_index_beyond_the_table_gives_nan_never_another_row() {
    for device in both() {
        let rnn = rnn(&device, &RnnConfig::new(Cell::Lstm, 2, 5));
        let table = Tensor::from_array(&device, Array2::<f32>::ones((3, 2)).view()).unwrap();
        let mut indices = Array2::<u32>::zeros((4, 3));
        (indices[[2, 0]], indices[[1, 1]]) = (3, u32::MAX);
        let indices = Tensor::from_array(&device, indices.view()).unwrap();
        let y = Tensor::<f32>::zeros(&device, &[4, 3, 5]).unwrap();
        let mut plan = PlanBuilder::new(&device);
        let [table, out] = [&table, &y].map(|tensor| plan.tensor(tensor).unwrap());
        let tokens = plan.tensor(&indices).unwrap();
        let x = plan.embedding(&table, &tokens).unwrap();
        plan.rnn_into(&rnn, &x, &rnn.device_state(3).unwrap(), &RnnCall::default(), &out).unwrap();
        plan.build().unwrap().run().unwrap();
        let y: ArrayD<f32> = y.read().unwrap();
        for (n, from) in [(0, 2), (1, 1), (2, 4)] {
            assert!(y.slice(s![..from, n, ..]).iter().all(|y| y.is_finite()), "{device:?}: {y}");
            assert!(y.slice(s![from.., n, ..]).iter().all(|y| y.is_nan()), "{device:?}: {y}");
        }
    }
}

/// A layer clears and writes its output while input rows are still to be read.
#[test]
fn a_layer_does_not_write_over_its_input() {
    for device in both() {
        let rnn = rnn(&device, &RnnConfig::new(Cell::Lstm, 5, 5).bias(Bias::One));
        for lengths in [None, Some(vec![4, 2])] {
            let x = Tensor::zeros(&device, &[4, 2, 5]).unwrap();
            let call = RnnCall::default().lengths(lengths.into());
            let options = SessionOptions::new(4, 2).call(call);
            let session = Session::with_tensors(&rnn, options, x.clone(), x, rnn.device_state(2).unwrap());
            let error = session.expect_err("input and output are one tensor");
            assert!(matches!(error, Error::Plan(_)), "{error}");
        }
    }
}

#[test]
fn operations_refuse_indices_for_numbers_and_numbers_for_indices() {
    for device in both() {
        let mut plan = PlanBuilder::new(&device);
        let numbers = plan.tensor(&Tensor::<f32>::zeros(&device, &[4, 3]).unwrap()).unwrap();
        let indices = plan.tensor(&Tensor::<u32>::zeros(&device, &[4]).unwrap()).unwrap();
        let more = plan.tensor(&Tensor::<u32>::zeros(&device, &[4, 3]).unwrap()).unwrap();
        for error in [
            plan.embedding(&numbers, &numbers).err(),
            plan.embedding(&more, &indices).err(),
            plan.argmax(&more, &indices).err(),
            plan.argmax(&numbers, &numbers).err(),
        ] {
            let error = error.expect("refused");
            assert!(matches!(error, Error::Value { .. }) && error.to_string().contains("(u32)"), "{error}");
        }
        assert!(matches!(plan.argmax(&numbers, &more).err(), Some(Error::Shape { .. })));
        assert!(matches!(numbers.reshape(&[5, 3]), Err(Error::Shape { .. })));
        // A product that wraps around to the right number is not that number.
        assert!(matches!(numbers.reshape(&[(1 << 62) + 3, 4]), Err(Error::Value { .. })));
        assert!(numbers.at(4).is_err() && numbers.at(3).unwrap().shape() == [3]);
    }
}

#[test]
fn no_dispatch_of_a_long_sequence_loops_longer_than_drivers_allow() {
    let (steps, hidden) = (100_000, 4);
    let rnn = rnn(&gpu(), &RnnConfig::new(Cell::Lstm, 3, hidden));
    let call = RnnCall::default().schedule(Schedule::Sequence).output(Output::Last);
    let session = rnn.session(SessionOptions::new(steps, 1).call(call)).unwrap();
    let plan = session.plan();
    let at = Kernel::Sequence.row().params.iter().position(|&name| name == "steps").unwrap();
    let sequence = plan.dispatches().filter(|dispatch| plan.variants()[dispatch.variant].kernel() == Kernel::Sequence);
    let counts: Vec<usize> = sequence.map(|dispatch| plan.params(dispatch)[at] as usize).collect();
    assert_eq!(counts.iter().sum::<usize>(), steps);
    // Each step is a trip, with one more for its units, one for each vector of h and one for each sequence of a tile.
    assert!(counts.iter().all(|count| count * (1 + 1 + hidden / 4 + 1) < 65_535), "{counts:?}");
}

#[test]
fn a_sequence_is_one_compute_pass() {
    for schedule in [Schedule::Step, Schedule::Sequence] {
        let config = RnnConfig::new(Cell::Lstm, 3, 4).layers(2).direction(Direction::Bidirectional);
        let rnn = rnn(&gpu(), &config);
        let call = RnnCall::default().lengths(Lengths::Fixed(vec![5, 2])).carry(true).schedule(schedule);
        let session = rnn.session(SessionOptions::new(5, 2).call(call)).unwrap();
        let mut commands = session.plan().commands().iter();
        // A copy or a clear would end the pass: all of them come first.
        let before = commands.by_ref().take_while(|command| !matches!(command, Command::Dispatch(_))).count();
        assert!(before > 0 && commands.all(|command| matches!(command, Command::Dispatch(_))), "{schedule:?}");
    }
}
