//! Streams: the state goes on from call to call, whatever the lengths of the calls.

use crate::common::{Random, configs, equals, gpu, portable, rnn};
use ndarray::{Array3, ArrayD, Axis, concatenate, s};
use wgrnn::{Bias, Device, Direction, Error, Evaluation, Model, ModelConfig, Predictor, Rnn, State, Stream, Tape};

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
            let cell = rnn.config().cell();
            assert!(equals(&device, cell, chunks.view(), y.view()), "{name}");
            assert!(equals(&device, cell, last.h.view().into_dyn(), state.h.view().into_dyn()), "{name}");
            assert_eq!(last.c.is_some(), state.c.is_some(), "{name}");
            if let (Some(last), Some(state)) = (&last.c, &state.c) {
                assert!(equals(&device, cell, last.view().into_dyn(), state.view().into_dyn()), "{name}");
            }
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
        let error = rnn.stream(BATCH).expect_err("refused");
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

/// The state of one sequence.
fn slot(state: &State, n: usize) -> State {
    let one = |array: &Array3<f32>| array.slice(s![.., n..=n, ..]).to_owned();
    State { h: one(&state.h), c: state.c.as_ref().map(one) }
}

#[test]
fn a_sequence_of_length_0_keeps_its_state_and_gives_zeros() {
    for device in [gpu(), portable(), Device::cpu()] {
        let large = wgrnn::RnnConfig::new(wgrnn::Cell::Lstm, 6, 128);
        let normed = wgrnn::RnnConfig::new(wgrnn::Cell::Lstm, 6, 12).layer_norm(true);
        for config in configs(6, 12).into_iter().chain([large, normed]) {
            let rnn = rnn(&device, &config.layers(2));
            let name = format!("{device:?} {:?}", rnn.config());
            let x = Random::new(14).array([3, BATCH, 6]);
            let [mut stream, mut all, mut first] = [(); 3].map(|()| rnn.stream(BATCH).unwrap());
            for stream in [&mut stream, &mut all, &mut first] {
                stream.push(x.view()).unwrap();
            }
            let before = stream.state().read().unwrap();
            let y = stream.push_with(x.view(), &[0, 3, 1]).unwrap();
            let after = stream.state().read().unwrap();

            assert_eq!(slot(&after, 0), slot(&before, 0), "{name}");
            assert!(y.slice(s![.., 0, ..]).iter().all(|&y| y == 0.0), "{name}");
            assert!(y.slice(s![1.., 2, ..]).iter().all(|&y| y == 0.0), "{name}");
            let expected = all.push(x.view()).unwrap();
            assert_eq!(y.slice(s![.., 1, ..]), expected.slice(s![.., 1, ..]), "{name}");
            assert_eq!(slot(&after, 1), slot(&all.state().read().unwrap(), 1), "{name}");
            let expected = first.push(x.slice(s![..1, .., ..])).unwrap();
            assert_eq!(y.slice(s![..1, 2, ..]), expected.slice(s![.., 2, ..]), "{name}");
            assert_eq!(slot(&after, 2), slot(&first.state().read().unwrap(), 2), "{name}");

            let y = stream.push_with(x.view(), &[0; BATCH]).unwrap();
            assert!(y.shape() == [3, BATCH, rnn.config().output_size()] && y.iter().all(|&y| y == 0.0), "{name}");
            assert_eq!(stream.state().read().unwrap(), after, "{name}");
            // The program of this shape is the one from before.
            stream.push_with(x.view(), &[1, 0, 0]).unwrap();
            assert_eq!(slot(&stream.state().read().unwrap(), 2), slot(&after, 2), "{name}");
        }
    }
}

#[test]
fn lengths_that_do_not_fit_a_push_are_refused() {
    let rnn = rnn(&Device::cpu(), &configs(3, 10)[0]);
    let mut stream = rnn.stream(BATCH).unwrap();
    let x = Array3::zeros((2, BATCH, 3));
    for (lengths, part) in
        [(&[1, 2][..], "lengths: expected shape"), (&[0, 1, 3], "length of sequence 2: expected from 0 to 2")]
    {
        let error = stream.push_with(x.view(), lengths).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn a_slot_is_read_written_and_reset_while_the_others_stay() {
    for device in [gpu(), portable(), Device::cpu()] {
        for config in configs(3, 10).into_iter().chain(configs(3, 7)) {
            let rnn = rnn(&device, &config.layers(2));
            let mut stream = rnn.stream(BATCH).unwrap();
            stream.push(Random::new(15).array([2, BATCH, 3]).view()).unwrap();
            let all = stream.state().read().unwrap();
            for n in 0..BATCH {
                assert_eq!(stream.state().read_slot(n).unwrap(), slot(&all, n));
            }
            stream.state().reset_slot(1).unwrap();
            stream.state().write_slot(2, &slot(&all, 0)).unwrap();
            let now = stream.state().read().unwrap();
            let zeros = State::zeros(rnn.config(), 1).unwrap();
            for (n, expected) in [slot(&all, 0), zeros.clone(), slot(&all, 0)].iter().enumerate() {
                assert_eq!(slot(&now, n), *expected, "{n} of {:?}", rnn.config());
            }
            let error = stream.state().read_slot(BATCH).unwrap_err().to_string();
            assert!(error.contains("slot: expected from 0 to 2"), "{error}");
            assert!(stream.state().reset_slot(BATCH).is_err());
            assert!(matches!(stream.state().write_slot(0, &all), Err(Error::Shape { .. })));
            assert_eq!(stream.state().read().unwrap(), now);
        }
    }
}

#[test]
fn h_and_c_are_tensors_over_the_memory_of_the_state() {
    for device in [gpu(), Device::cpu()] {
        let rnn = rnn(&device, &wgrnn::RnnConfig::new(wgrnn::Cell::Lstm, 3, 7).layers(2));
        let mut stream = rnn.stream(BATCH).unwrap();
        let (h, c) = (stream.state().h(), stream.state().c().unwrap());
        assert_eq!((h.shape(), c.shape()), (&[2, BATCH, 8][..], &[2, BATCH, 7][..]));
        stream.push(Random::new(16).array([2, BATCH, 3]).view()).unwrap();
        let state = stream.state().read().unwrap();
        let read = h.read().unwrap();
        assert_eq!(read.slice(s![.., .., ..7]), state.h);
        assert!(read.slice(s![.., .., 7..]).iter().all(|&padding| padding == 0.0));
        assert_eq!(c.read().unwrap(), state.c.clone().unwrap().into_dyn());
        c.write(ArrayD::<f32>::ones(vec![2, BATCH, 7]).view()).unwrap();
        assert_eq!(stream.state().read().unwrap().c.unwrap(), Array3::<f32>::ones((2, BATCH, 7)));
    }
    assert!(
        rnn(&Device::cpu(), &wgrnn::RnnConfig::new(wgrnn::Cell::Elman(wgrnn::Activation::Tanh), 3, 7))
            .device_state(1)
            .unwrap()
            .c()
            .is_none()
    );
}

/// What a server keeps.
struct Service {
    model: Model,
    stream: Stream,
}

#[test]
fn a_server_owns_a_model_and_a_stream_and_moves_them_into_a_thread() {
    fn is_owned<T: Send + 'static>() {}
    is_owned::<Stream>();
    is_owned::<Tape>();
    is_owned::<Evaluation>();
    is_owned::<Predictor>();
    let mut service = {
        let config = ModelConfig::features(wgrnn::RnnConfig::new(wgrnn::Cell::Lstm, 3, 5), 2);
        let model = Model::new(&gpu(), &config, 1).unwrap();
        let stream = model.rnn().stream(1).unwrap();
        Service { model, stream }
    };
    let x = Random::new(17).array([4, 1, 3]);
    let expected = service.model.rnn().forward(x.view()).unwrap().y;
    let scores = service.model.clone().predict(x.view()).unwrap();
    let other = std::thread::spawn(move || {
        let y = service.stream.push(x.view()).unwrap();
        (y, service.model.predict(x.view()).unwrap())
    });
    assert_eq!(other.join().unwrap(), (expected, scores));
}
