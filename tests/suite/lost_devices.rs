//! A lost device says so in every call, the first one too, and with the reason.

use crate::common::{gpu, rnn};
use ndarray::{Array2, Array3};
use std::sync::{Arc, Mutex};
use wgrnn::{
    Cell, Device, Error, Lengths, Linear, Optimizer, Parameters, PlanBuilder, Rnn, RnnCall, RnnConfig, RnnWeights,
    SessionOptions, Tape, Tensor, Trainer, TrainerOptions,
};

/// How a device came to be, and how it is lost.
fn losable() -> [(&'static str, Device); 2] {
    let own = Device::gpu().unwrap();
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = wgpu::Backends::PRIMARY;
    let adapters = pollster::block_on(wgpu::Instance::new(descriptor).enumerate_adapters(wgpu::Backends::PRIMARY));
    let adapter = adapters.into_iter().find(|adapter| adapter.get_info().name == gpu().name()).unwrap();
    let (device, queue) = pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor::default())).unwrap();
    [("own", own), ("the caller's", Device::from_wgpu(device, queue).unwrap())]
}

fn lose(device: &Device) {
    device.wgpu().unwrap().0.destroy();
}

/// Lost, with the reason.
fn lost<T>(what: &str, result: Result<T, Error>) {
    match result {
        Err(Error::DeviceLost { reason, .. }) => assert!(reason.contains("destroyed"), "{what}: {reason}"),
        Err(other) => panic!("{what}: {other}"),
        Ok(_) => panic!("{what} went well on a lost device"),
    }
}

/// Something that can be asked of a device again and again, by its name.
type Ask = (&'static str, Box<dyn Fn(&Device) -> Box<dyn FnMut() -> Result<(), Error>>>);

fn ask(name: &'static str, of: impl Fn(&Device) -> Box<dyn FnMut() -> Result<(), Error>> + 'static) -> Ask {
    (name, Box::new(of))
}

/// What can be asked of a device and of memory on it.
fn asks_of_memory() -> Vec<Ask> {
    vec![
        ask("wait", |device| {
            let device = device.clone();
            Box::new(move || device.wait())
        }),
        ask("read", |device| {
            let tensor = Tensor::<f32>::zeros(device, &[4]).unwrap();
            Box::new(move || tensor.read().map(drop))
        }),
        ask("write", |device| {
            let tensor = Tensor::<f32>::zeros(device, &[4]).unwrap();
            Box::new(move || tensor.write(ndarray::Array1::zeros(4).view()))
        }),
        ask("zeros", |device| {
            let device = device.clone();
            Box::new(move || Tensor::<f32>::zeros(&device, &[4]).map(drop))
        }),
        ask("from_buffer", |device| {
            let (device, tensor) = (device.clone(), Tensor::<f32>::zeros(device, &[4]).unwrap());
            let buffer = tensor.buffer().unwrap().clone();
            Box::new(move || Tensor::<f32>::from_buffer(&device, buffer.clone(), &[4]).map(drop))
        }),
        ask("from_wgpu", |device| {
            let (raw, queue) = device.wgpu().map(|(raw, queue)| (raw.clone(), queue.clone())).unwrap();
            Box::new(move || Device::from_wgpu(raw.clone(), queue.clone()).map(drop))
        }),
        ask("an empty plan", |device| {
            let device = device.clone();
            Box::new(move || PlanBuilder::new(&device).build().and_then(|program| program.run()))
        }),
        ask("parameters", |device| {
            let array = Array2::<f32>::ones((2, 2)).into_dyn();
            let parameters = Parameters::new(device, [("w".to_owned(), array.view())]).unwrap();
            Box::new(move || parameters.write(&[("w".to_owned(), array.clone())]))
        }),
        ask("cleared gradients", |device| {
            let array = Array2::<f32>::ones((2, 2)).into_dyn();
            let parameters = Parameters::new(device, [("w".to_owned(), array.view())]).unwrap();
            Box::new(move || parameters.clear_gradients())
        }),
    ]
}

/// What can be asked of a layer.
fn asks_of_layers() -> Vec<Ask> {
    let config = || RnnConfig::new(Cell::Lstm, 3, 5);
    let session = move |device: &Device| rnn(device, &config()).session(SessionOptions::new(4, 2)).unwrap();
    vec![
        ask("run", move |device| {
            let session = session(device);
            Box::new(move || session.run())
        }),
        ask("profile", move |device| {
            let session = session(device);
            // Where there are no timestamps that is the error.
            let has_timestamps = session.profile().is_ok();
            Box::new(move || if has_timestamps { session.profile().map(drop) } else { session.run() })
        }),
        ask("encode", move |device| {
            let (session, device) = (session(device), device.clone());
            Box::new(move || {
                let (raw, _) = device.wgpu().unwrap();
                let mut encoder = raw.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
                session.encode(&mut encoder)
            })
        }),
        ask("a new layer", move |device| {
            let device = device.clone();
            Box::new(move || Rnn::new(&device, &config(), RnnWeights::init(&config(), 0).unwrap()).map(drop))
        }),
        ask("forward", move |device| {
            let rnn = rnn(device, &config());
            rnn.forward(Array3::ones((4, 2, 3)).view()).unwrap();
            Box::new(move || rnn.forward(Array3::ones((4, 2, 3)).view()).map(drop))
        }),
        ask("a new session", move |device| {
            let rnn = rnn(device, &config());
            Box::new(move || rnn.session(SessionOptions::new(4, 2)).map(drop))
        }),
        ask("a state's reset", move |device| {
            let state = rnn(device, &config()).device_state(2).unwrap();
            Box::new(move || state.reset())
        }),
        ask("a state's read", move |device| {
            let state = rnn(device, &config()).device_state(2).unwrap();
            Box::new(move || state.read().map(drop))
        }),
        ask("lengths", move |device| {
            let lengths = rnn(device, &config()).batch_lengths(4, 2).unwrap();
            Box::new(move || lengths.write(&[3, 2]))
        }),
        ask("gradients", move |device| {
            let weights = RnnWeights::init(&config(), 0).unwrap();
            let rnn = Rnn::trainable(device, &config(), &weights).unwrap();
            let (x, dy) = (Array3::ones((4, 2, 3)), Array3::ones((4, 2, 5)).into_dyn());
            Box::new(move || rnn.gradients(x.view(), None, &RnnCall::default(), dy.view(), None).map(drop))
        }),
        ask("a stream", move |device| {
            let rnn = rnn(device, &config());
            Box::new(move || rnn.stream(1).and_then(|mut stream| stream.push(Array3::ones((1, 1, 3)).view())).map(drop))
        }),
    ]
}

/// Each of a new device: the first call says that it is lost, and so does the next.
#[test]
fn every_first_call_on_a_lost_device_says_so() {
    for (name, of) in asks_of_memory().iter().chain(&asks_of_layers()) {
        for (whose, device) in losable() {
            let mut call = of(&device);
            lose(&device);
            lost(&format!("{name} on {whose} device"), call());
            lost(&format!("{name} on {whose} device, once more"), call());
        }
    }
}

/// wgpu tells of a loss only when the work before it is done.
#[test]
fn a_device_that_is_lost_while_it_works_says_so_in_the_next_call() {
    for (whose, device) in losable() {
        let rnn = rnn(&device, &RnnConfig::new(Cell::Lstm, 64, 64));
        let session = rnn.session(SessionOptions::new(200, 8)).unwrap();
        (0..8).for_each(|_| session.run().unwrap());
        lose(&device);
        lost(&format!("a run on {whose} device"), session.run());
        lost(&format!("a read on {whose} device"), session.output().read());
    }
}

#[test]
fn training_on_a_lost_device_says_so_and_counts_no_step() {
    for (_, device) in losable() {
        let head = Linear::trainable(&device, Array2::ones((1, 2)).view(), None).unwrap();
        let [x, t] = [[3, 2], [3, 1]].map(|shape| Tensor::<f32>::zeros(&device, &shape).unwrap());
        let mut tape = Tape::training(&device).unwrap();
        let (x, t) = (tape.input(&x).unwrap(), tape.input(&t).unwrap());
        let y = tape.linear(&head, &x).unwrap();
        tape.mean_squared_error(&y, &t).unwrap();
        let mut trainer = Trainer::new(tape, TrainerOptions::new(Optimizer::ADAM)).unwrap();
        trainer.step().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        trainer.save(&path, &Default::default()).unwrap();
        let saved = std::fs::read(&path).unwrap();
        lose(&device);
        lost("step", trainer.step());
        assert_eq!(trainer.steps(), 1);
        lost("progress", trainer.progress());
        lost("refresh", trainer.refresh());
        lost("save", trainer.save(&path, &Default::default()));
        lost("load", trainer.load(&path));
        assert_eq!(std::fs::read(&path).unwrap(), saved);
    }
}

#[test]
fn futures_on_a_lost_device_say_so() {
    for (_, device) in losable() {
        let rnn = rnn(&device, &RnnConfig::new(Cell::Lstm, 3, 5));
        let session = rnn.session(SessionOptions::new(4, 2)).unwrap();
        lose(&device);
        let x = Array3::ones((4, 2, 3));
        let call = RnnCall::default().lengths(Lengths::Full);
        lost("forward", pollster::block_on(rnn.forward_with_async(x.view(), None, &call)));
        lost("read", pollster::block_on(session.output().read_async()));
        lost("wait", pollster::block_on(device.wait_async()));
    }
}

#[test]
fn whoever_asked_is_called_back_once_with_the_reason() {
    for (_, device) in losable() {
        let reasons = Arc::new(Mutex::new(Vec::new()));
        let note = |reasons: &Arc<Mutex<Vec<String>>>| {
            let reasons = Arc::clone(reasons);
            move |reason: &str| reasons.lock().unwrap().push(reason.to_owned())
        };
        device.on_lost(note(&reasons));
        lose(&device);
        lost("wait", device.wait());
        lost("wait", device.wait());
        assert_eq!(reasons.lock().unwrap().len(), 1);
        // Who comes later hears of it at once.
        device.on_lost(note(&reasons));
        let reasons = reasons.lock().unwrap();
        assert!(reasons.len() == 2 && reasons.iter().all(|reason| reason.contains("destroyed")), "{reasons:?}");
    }
    // Others go on.
    rnn(&gpu(), &RnnConfig::new(Cell::Lstm, 3, 5)).forward(Array3::ones((2, 1, 3)).view()).unwrap();
}
