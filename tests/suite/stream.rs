//! Streams: the state goes on from call to call, whatever the lengths of the calls.

use crate::common::{Random, configs, gpu, portable, rnn};
use ndarray::{Array3, ArrayD, Axis, concatenate, s};
use wgrnn::{Bias, Device, Direction, Error, Rnn, State};

/// Chunks that follow one another, with T = 1 and a repeated length among them.
const CHUNKS: [usize; 6] = [1, 7, 1, 3, 7, 12];
const BATCH: usize = 3;

fn whole(rnn: &Rnn) -> (Array3<f32>, ArrayD<f32>, State) {
    let x = Random::new(9).array([CHUNKS.iter().sum(), BATCH, rnn.config().input_size()]);
    let output = rnn.forward(x.view()).unwrap();
    (x, output.y, output.state)
}

/// The chunks' outputs in a row, and the state at the end.
fn in_chunks(rnn: &Rnn, x: &Array3<f32>) -> (ArrayD<f32>, State) {
    let mut stream = rnn.stream(BATCH).unwrap();
    let mut from = 0;
    let outputs = CHUNKS.map(|steps| {
        from += steps;
        stream.push(x.slice(s![from - steps..from, .., ..])).unwrap()
    });
    let views: Vec<_> = outputs.iter().map(|y| y.view()).collect();
    (concatenate(Axis(0), &views).unwrap(), stream.state().read().unwrap())
}

#[test]
fn chunks_of_any_length_give_the_bits_of_one_long_call() {
    for device in [gpu(), portable(), Device::cpu()] {
        // The last one is large enough that short calls run step by step, and long ones do not.
        let large = wgrnn::RnnConfig::new(wgrnn::Cell::Lstm, 12, 128);
        for config in configs(6, 12).into_iter().chain(configs(8, 40)).chain([large]) {
            let rnn = rnn(&device, &config.layers(2).bias(Bias::One));
            let (x, y, state) = whole(&rnn);
            let (chunks, last) = in_chunks(&rnn, &x);
            let name = format!("{:?}", rnn.config());
            assert!(chunks.iter().zip(&y).all(|(a, b)| a.to_bits() == b.to_bits()), "{name}");
            assert_eq!(chunks.shape(), y.shape(), "{name}");
            assert_eq!(last, state, "{name}");
        }
    }
}

#[test]
fn a_stream_takes_batches_first_where_the_layer_does() {
    for device in [gpu(), Device::cpu()] {
        for config in configs(6, 12) {
            let time_major = rnn(&device, &config);
            let batch_first = rnn(&device, &config.batch_first(true));
            let x = Random::new(10).array([4, BATCH, 6]);
            let [mut a, mut b] = [&time_major, &batch_first].map(|rnn| rnn.stream(BATCH).unwrap());
            for _ in 0..2 {
                let expected = a.push(x.view()).unwrap();
                let got = b.push(x.view().permuted_axes([1, 0, 2])).unwrap();
                assert_eq!(got.permuted_axes(vec![1, 0, 2]), expected);
            }
        }
    }
}

#[test]
fn a_state_can_be_read_written_and_reset() {
    for device in [gpu(), Device::cpu()] {
        // Widths of 5, 10 and 7: none of them whole vectors.
        for config in configs(3, 10).into_iter().chain(configs(3, 7)) {
            let rnn = rnn(&device, &config.layers(2));
            let mut stream = rnn.stream(BATCH).unwrap();
            let zeros = State::zeros(rnn.config(), BATCH).unwrap();
            assert_eq!(stream.state().read().unwrap(), zeros);
            let x = Random::new(11).array([5, BATCH, 3]);
            let first = stream.push(x.view()).unwrap();
            let after = stream.state().read().unwrap();
            assert_ne!(after, zeros);
            let second = stream.push(x.view()).unwrap();
            assert_ne!(first, second, "the state makes a difference");

            stream.state().write(&after).unwrap();
            assert_eq!(stream.state().read().unwrap(), after);
            assert_eq!(stream.push(x.view()).unwrap(), second);

            stream.state().reset().unwrap();
            assert_eq!(stream.state().read().unwrap(), zeros);
            assert_eq!(stream.push(x.view()).unwrap(), first);
        }
    }
}

#[test]
fn streams_of_one_layer_do_not_share_their_state() {
    for device in [gpu(), Device::cpu()] {
        let rnn = rnn(&device, &configs(3, 10)[3]);
        let x = Random::new(12).array([5, BATCH, 3]);
        let [mut one, mut other] = [(); 2].map(|()| rnn.stream(BATCH).unwrap());
        let first = one.push(x.view()).unwrap();
        one.push(x.view()).unwrap();
        assert_eq!(other.push(x.view()).unwrap(), first);
    }
}

/// More lengths than a stream keeps programs for.
#[test]
fn a_stream_may_take_calls_of_many_lengths() {
    let rnn = rnn(&gpu(), &configs(3, 10)[3]);
    let lengths = || (1..=12).chain(1..=12);
    let x = Random::new(13).array([lengths().sum(), 1, 3]);
    let expected = rnn.forward(x.view()).unwrap();
    let mut stream = rnn.stream(1).unwrap();
    let mut from = 0;
    for steps in lengths() {
        let y = stream.push(x.slice(s![from..from + steps, .., ..])).unwrap();
        assert_eq!(y.view(), expected.y.slice(s![from..from + steps, .., ..]).into_dyn());
        from += steps;
    }
    assert_eq!(stream.state().read().unwrap(), expected.state);
}

#[test]
fn a_layer_that_reads_backwards_has_no_stream() {
    for direction in [Direction::Reverse, Direction::Bidirectional] {
        let rnn = rnn(&Device::cpu(), &configs(3, 10)[0].clone().direction(direction));
        let error = rnn.stream(BATCH).err().expect("refused");
        assert!(matches!(error, Error::Value { .. }) && error.to_string().contains("direction of a stream"), "{error}");
    }
}

#[test]
fn a_stream_refuses_what_does_not_fit_it() {
    for device in [gpu(), Device::cpu()] {
        let rnn = rnn(&device, &configs(3, 10)[0]);
        assert!(matches!(rnn.stream(0).err(), Some(Error::Value { .. })));
        let mut stream = rnn.stream(BATCH).unwrap();
        for shape in [[2, BATCH + 1, 3], [2, BATCH, 4], [0, BATCH, 3], [2, 0, 3]] {
            let error = stream.push(Array3::zeros(shape).view()).unwrap_err();
            assert!(matches!(error, Error::Shape { .. }) && error.to_string().starts_with("input:"), "{error}");
        }
        let error = stream.state().write(&State::zeros(rnn.config(), BATCH + 1).unwrap()).unwrap_err();
        assert!(matches!(error, Error::Shape { .. }) && error.to_string().starts_with("initial h:"), "{error}");
        // And goes on after.
        assert_eq!(stream.push(Array3::zeros([2, BATCH, 3]).view()).unwrap().shape(), [2, BATCH, 10]);
    }
}
