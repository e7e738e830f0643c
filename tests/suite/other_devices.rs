//! What lives on one device is refused on another.

use crate::common::{gpu, portable, rnn};
use wgrnn::{Cell, Device, Error, PlanBuilder, RnnCall, RnnConfig, Session, SessionOptions, Tensor};

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
