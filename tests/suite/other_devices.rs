//! What lives on one device is refused on another.

use crate::common::{gpu, portable, rnn};
use ndarray::Array3;
use std::sync::LazyLock;
use wgrnn::{
    Cell, Clip, CrossEntropy, CtcOptions, Device, Embedding, Error, Lengths, Linear, Optimizer, PlanBuilder, Rnn,
    RnnCall, RnnConfig, RnnWeights, Sampling, Session, SessionOptions, Tape, Targets, Tensor, Trainer, TrainerOptions,
};

/// The error is that something lives elsewhere, and names it.
fn refused<T>(result: Result<T, Error>, name: &str) {
    let error = result.err().expect("what lives on another device is refused");
    assert!(matches!(error, Error::OtherDevice { .. }) && error.to_string().contains(name), "{error}");
}

#[test]
fn tensors_of_another_device_are_refused() {
    let (options, config) = (SessionOptions::new(4, 2), RnnConfig::new(Cell::Lstm, 3, 5));
    let devices = [gpu(), Device::cpu(), portable()];
    for (i, device) in devices.iter().enumerate() {
        let other = &devices[(i + 1) % 3];
        let [x, y] = [[4, 2, 3], [4, 2, 5]];
        let zeros = |device: &Device, shape: [usize; 3]| Tensor::zeros(device, &shape).unwrap();
        let rnn = rnn(device, &config);
        let state = || rnn.device_state(2).unwrap();
        let session = |input: &Device, output: &Device, state| {
            Session::with_tensors(&rnn, options.clone(), zeros(input, x), zeros(output, y), state)
        };
        assert!(session(device, device, state()).is_ok());
        for result in [session(other, device, state()), session(device, other, state())] {
            refused(result, "tensor [4, 2, ");
        }
    }
}

#[test]
fn a_state_of_another_device_is_refused() {
    let (options, config) = (SessionOptions::new(4, 2), RnnConfig::new(Cell::Lstm, 3, 5));
    for (device, other) in [(Device::cpu(), gpu()), (gpu(), portable()), (gpu(), Device::cpu())] {
        let [mine, others] = [&device, &other].map(|device| rnn(device, &config));
        let [x, y] = [[4, 2, 3], [4, 2, 5]].map(|shape| Tensor::zeros(&device, &shape).unwrap());
        let session = Session::with_tensors(&mine, options.clone(), x, y, others.device_state(2).unwrap());
        refused(session, "belongs to another device");
    }
}

#[test]
fn a_layer_of_another_device_is_refused() {
    for (device, other) in [(Device::cpu(), gpu()), (gpu(), portable()), (gpu(), Device::cpu())] {
        let others = rnn(&other, &RnnConfig::new(Cell::Lstm, 3, 5));
        let state = others.device_state(2).unwrap();
        let mut plan = PlanBuilder::new(&device);
        let x = plan.tensor(&Tensor::<f32>::zeros(&device, &[4, 2, 3]).unwrap()).unwrap();
        let result = plan.rnn(&others, &x, &state, &RnnCall::default()).and_then(|_| plan.build());
        refused(result, "belongs to another device");
    }
}

/// Two devices of one adapter, opened by two calls, and the CPU: each with one that is not it.
fn pairs() -> [(Device, Device); 4] {
    static SECOND: LazyLock<Device> = LazyLock::new(|| Device::gpu().unwrap());
    let (first, second, cpu) = (gpu(), SECOND.clone(), Device::cpu());
    [(first.clone(), second.clone()), (second, first.clone()), (first.clone(), cpu.clone()), (cpu, first)]
}

fn trainable(device: &Device) -> Rnn {
    let config = RnnConfig::new(Cell::Lstm, 3, 5);
    Rnn::trainable(device, &config, &RnnWeights::init(&config, 0).unwrap()).unwrap()
}

/// On a GPU they gave zeros, on the CPU a panic.
#[test]
fn lengths_of_another_device_are_refused() {
    for (device, other) in pairs() {
        let [mine, others] = [&device, &other].map(trainable);
        let lengths = others.batch_lengths(4, 2).unwrap();
        let call = RnnCall::default().lengths(Lengths::PerRun(lengths));
        let x = Array3::ones((4, 2, 3));
        refused(mine.forward_with(x.view(), None, &call), "lengths");
        let options = SessionOptions::new(4, 2).call(call.clone());
        refused(mine.session(options.clone()), "lengths");
        refused(mine.training(options, false), "lengths");
        refused(wgrnn::Reserve::new(&mine, 4, 2, &call), "lengths");
        // The right ones do.
        assert!(others.forward_with(x.view(), None, &call).is_ok());
    }
}

#[test]
fn whatever_a_plan_takes_of_another_device_is_refused() {
    for (device, other) in pairs() {
        let [mine, others] = [&device, &other].map(trainable);
        let x = Tensor::<f32>::zeros(&device, &[4, 2, 3]).unwrap();
        let state = mine.device_state(2).unwrap();
        let mut plan = PlanBuilder::new(&device);
        refused(plan.tensor(&Tensor::<f32>::zeros(&other, &[4, 2, 3]).unwrap()), "tensor [4, 2, 3]");
        let x = plan.tensor(&x).unwrap();
        refused(plan.rnn(&others, &x, &state, &RnnCall::default()), "layer");
        refused(plan.rnn(&mine, &x, &others.device_state(2).unwrap(), &RnnCall::default()), "state");
        refused(plan.clear_gradients(others.parameters().unwrap()), "parameters");
        let head = Linear::new(&other, ndarray::Array2::ones((2, 3)).view(), None).unwrap();
        refused(plan.linear(&head, &x), "linear weight");
        let mut out = || plan.tensor(&Tensor::<f32>::zeros(&device, &[4, 2, 5]).unwrap()).unwrap();
        let (y, call) = (out(), RnnCall::default());
        let reserve = wgrnn::Reserve::new(&others, 4, 2, &call).unwrap();
        refused(plan.rnn_keeping(&mine, &x, &state, &call, &y, &reserve), "reserve");
        let (dx, gradient) = (
            plan.tensor(&Tensor::<f32>::zeros(&device, &[4, 2, 3]).unwrap()).unwrap(),
            others.device_state(2).unwrap(),
        );
        let own = wgrnn::Reserve::new(&mine, 4, 2, &call).unwrap();
        refused(plan.rnn_backward(&mine, &x, &call, &own, Some(&y), &gradient, Some(&dx)), "gradient of the state");
    }
}

#[test]
fn whatever_a_tape_takes_of_another_device_is_refused() {
    for (device, other) in pairs() {
        let table = ndarray::Array2::ones((4, 3));
        let [mine, others] = [&device, &other].map(|device| Embedding::trainable(device, table.view()).unwrap());
        let layer = trainable(&other);
        let indices = Tensor::<u32>::zeros(&device, &[2, 2]).unwrap();
        let mut tape = Tape::training(&device).unwrap();
        let indices = tape.input(&indices).unwrap();
        refused(tape.embedding(&others, &indices), "parameters");
        let x = tape.embedding(&mine, &indices).unwrap();
        refused(tape.rnn(&layer, &x, &layer.device_state(2).unwrap(), &RnnCall::default()), "layer");
        refused(tape.want_gradient(&x, &Tensor::zeros(&other, &[2, 2, 3]).unwrap()), "tensor");
        refused(tape.input(Targets::new(&other, &[2, 2], 3).unwrap().tensor()), "tensor");
        let targets = Targets::new(&device, &[2, 2], 3).unwrap();
        let targets = tape.input(targets.tensor()).unwrap();
        tape.cross_entropy(&x, &targets).unwrap();
        let options = TrainerOptions::new(Optimizer::ADAM).clip(Clip::Norm(1.0));
        let mut trainer = Trainer::new(tape, options).unwrap();
        assert!(trainer.name("embedding.", others.parameters()).is_err());
        assert!(trainer.step().is_ok());
    }
}

/// Two instances of wgpu number their buffers alike: one device's buffer was taken for another's.
#[test]
fn buffers_of_another_device_are_refused() {
    let second = Device::gpu().unwrap();
    for (device, other) in [(gpu(), second.clone()), (second, gpu())] {
        let theirs = Tensor::from_array(&other, Array3::<f32>::ones((4, 2, 3)).view()).unwrap();
        let mine = Tensor::from_array(&device, Array3::<f32>::zeros((4, 2, 3)).view()).unwrap();
        let stranger = Tensor::<f32>::from_buffer(&device, theirs.buffer().unwrap().clone(), &[4, 2, 3]);
        refused(stranger, "buffer");
        // Nothing is left behind on either of them, and nothing was changed.
        let again = Tensor::<f32>::from_buffer(&device, mine.buffer().unwrap().clone(), &[4, 2, 3]).unwrap();
        assert!(again.read().unwrap().iter().all(|&x| x == 0.0));
        assert!(theirs.read().unwrap().iter().all(|&x| x == 1.0));
        device.wait().unwrap();
        other.wait().unwrap();
    }
}

/// A wgpu device and queue out of an instance of their own.
fn other_instance() -> (wgpu::Device, wgpu::Queue) {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = wgpu::Backends::PRIMARY;
    let adapters = pollster::block_on(wgpu::Instance::new(descriptor).enumerate_adapters(wgpu::Backends::PRIMARY));
    let adapter = adapters.into_iter().find(|adapter| adapter.get_info().name == gpu().name()).unwrap();
    let (device, queue) = pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor::default())).unwrap();
    // Else wgpu panics on the errors that are provoked here.
    device.on_uncaptured_error(std::sync::Arc::new(|_| ()));
    (device, queue)
}

#[test]
fn buffers_of_another_instance_are_refused_whether_or_not_their_number_is_known() {
    let (theirs, _) = other_instance();
    let shape = [4, 2, 3];
    let descriptor = wgpu::BufferDescriptor {
        label: None,
        size: 96,
        usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    };
    let device = Device::gpu().unwrap();
    // Many, so that one of these has the number of each of those.
    let mine: Vec<_> = (0..64).map(|_| Tensor::<f32>::zeros(&device, &shape).unwrap()).collect();
    let strangers: Vec<_> = (0..64).map(|_| theirs.create_buffer(&descriptor)).collect();
    for stranger in strangers {
        refused(Tensor::<f32>::from_buffer(&device, stranger, &shape), "buffer");
    }
    for tensor in mine {
        Tensor::<f32>::from_buffer(&device, tensor.buffer().unwrap().clone(), &shape).unwrap().read().unwrap();
    }
}

#[test]
fn a_queue_of_another_device_is_refused() {
    let second = Device::gpu().unwrap();
    let (foreign, foreign_queue) = other_instance();
    let own = gpu();
    let [(a, a_queue), (_, b_queue)] = [&own, &second].map(|device| device.wgpu().unwrap());
    refused(Device::from_wgpu(a.clone(), b_queue.clone()), "queue");
    refused(Device::from_wgpu(a.clone(), foreign_queue.clone()), "queue");
    refused(Device::from_wgpu(foreign.clone(), a_queue.clone()), "queue");
    Device::from_wgpu(foreign, foreign_queue).unwrap();
    // The other device heard nothing of it.
    second.wait().unwrap();
}

#[test]
fn an_encoder_of_another_instance_is_refused_and_one_of_another_device_is_no_panic() {
    let own = gpu();
    let session = rnn(&own, &RnnConfig::new(Cell::Lstm, 3, 5)).session(SessionOptions::new(4, 2)).unwrap();
    let (foreign, _queue) = other_instance();
    let mut encoder = foreign.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    refused(session.encode(&mut encoder), "encoder");
    // wgpu tells only its device, and only when it is finished.
    let second = Device::gpu().unwrap();
    let mut encoder = second.wgpu().unwrap().0.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    session.encode(&mut encoder).unwrap();
    drop(encoder.finish());
    refused(second.wait(), "another device");
    session.run().unwrap();
}

#[test]
fn values_of_another_plan_are_refused() {
    for device in [gpu(), Device::cpu()] {
        let layer = trainable(&device);
        let head = Linear::trainable(&device, ndarray::Array2::ones((2, 3)).view(), None).unwrap();
        let zeros = |shape: &[usize]| Tensor::<f32>::zeros(&device, shape).unwrap();
        let indices = Tensor::<u32>::zeros(&device, &[4]).unwrap();
        let mut other = PlanBuilder::new(&device);
        // A plan with more buffers than the one that follows, so that no number of theirs is known there.
        let far: Vec<_> = (0..9).map(|_| other.tensor(&zeros(&[4, 2, 3])).unwrap()).collect();
        let far_indices = other.tensor(&indices).unwrap();
        let strangers = [(&far[0], &far_indices), (&far[8], &far_indices)];
        let refused = |result: Result<(), Error>| {
            let error = result.unwrap_err();
            assert!(matches!(error, Error::OtherPlan { .. }), "{error}");
        };
        for (stranger, index) in strangers {
            let mut plan = PlanBuilder::new(&device);
            let [x, y] = [[4, 2, 3], [4, 2, 5]].map(|shape| plan.tensor(&zeros(&shape)).unwrap());
            let (best, flat) = (plan.tensor(&indices).unwrap(), plan.tensor(&zeros(&[4, 6])).unwrap());
            let state = layer.device_state(2).unwrap();
            let call = RnnCall::default();
            let part = stranger.at(1).unwrap();
            refused(plan.copy(stranger, &x));
            refused(plan.copy(&x, stranger));
            refused(plan.concat(&[&x, stranger]).map(drop));
            refused(plan.embedding(&part, &best).map(drop));
            refused(plan.embedding(&flat, index).map(drop));
            refused(plan.linear(&head, stranger).map(drop));
            refused(plan.linear_into(&head, &x, &stranger.reshape(&[4, 2, 3]).unwrap()));
            refused(plan.activate(stranger, wgrnn::Activation::Relu).map(drop));
            refused(plan.magnitude(stranger).map(drop));
            refused(plan.argmax(&part, &best));
            refused(plan.argmax(&flat, index));
            refused(plan.sample(&part, &best, &Sampling::greedy()));
            refused(plan.sample(&flat, index, &Sampling::greedy()));
            refused(plan.rnn(&layer, stranger, &state, &call).map(drop));
            refused(plan.rnn_into(&layer, &x, &state, &call, stranger));
            let reserve = wgrnn::Reserve::new(&layer, 4, 2, &call).unwrap();
            refused(plan.rnn_keeping(&layer, stranger, &state, &call, &y, &reserve));
            refused(plan.rnn_backward(&layer, stranger, &call, &reserve, Some(&y), &state, None));
            refused(plan.rnn_backward(&layer, &x, &call, &reserve, Some(stranger), &state, None));
            refused(plan.rnn_backward(&layer, &x, &call, &reserve, Some(&y), &state, Some(stranger)));

            let mut tape = Tape::training(&device).unwrap();
            let x = tape.input(&zeros(&[4, 2, 3])).unwrap();
            let gradient = zeros(&[4, 2, 3]);
            refused(tape.want_gradient(stranger, &gradient));
            refused(tape.give_gradient(stranger, &x));
            refused(tape.give_gradient(&x, stranger));
            refused(tape.linear(&head, stranger).map(drop));
            refused(tape.rnn(&layer, stranger, &state, &call).map(drop));
            refused(tape.dropout(stranger, 0.5).map(drop));
            refused(tape.dropout(stranger, 0.0).map(drop));
            refused(tape.mean_squared_error(&x, stranger));
            refused(tape.binary_cross_entropy(stranger, &x));
            refused(tape.mean_absolute_error(&x, stranger));
            refused(tape.huber(stranger, &x, 1.0));
            refused(tape.cross_entropy_with(&x, stranger, &CrossEntropy::default()));
            refused(tape.loss(stranger));
            refused(tape.give_loss(stranger));
            refused(tape.cross_entropy(&x, index));
            refused(tape.cross_entropy(stranger, index));
            let options = CtcOptions::default();
            refused(tape.ctc(stranger, index, index, index, &options));
            refused(tape.ctc(&x, index, index, index, &options));
        }
    }
}
