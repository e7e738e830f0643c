//! Futures that leave the executor which polls them free.

use crate::common::{Random, gpu, rnn};
use std::time::{Duration, Instant};
use wgrnn::{Cell, Device, Error, RnnCall, RnnConfig, RnnWeights};

/// How often a 2 ms heartbeat came on time, and how often it should have, while `work` was done on one thread.
fn heartbeats<T>(work: impl Future<Output = T>) -> (usize, f64) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let start = Instant::now();
        let mut work = std::pin::pin!(work);
        let mut beat = tokio::time::interval(Duration::from_millis(2));
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        let mut beats = 0;
        loop {
            tokio::select! {
                biased;
                _ = beat.tick() => beats += 1,
                _ = &mut work => return (beats, start.elapsed().as_secs_f64() / 2e-3),
            }
        }
    })
}

/// Each was one long wait inside of `poll`, in which nothing else of its thread ran.
#[test]
fn a_heartbeat_goes_on_while_requests_run() {
    for device in [gpu(), Device::cpu()] {
        let rnn = rnn(&device, &RnnConfig::new(Cell::Lstm, 64, 128));
        let call = RnnCall::default();
        // As many steps as take long enough: devices differ a hundredfold.
        let found = [60, 400, 3000, 20_000].into_iter().find_map(|steps| {
            let x = Random::new(3).array([steps, 8, 64]);
            let expected = rnn.forward(x.view()).unwrap();
            let requests = (0..16).map(|_| rnn.forward_with_async(x.view(), None, &call));
            let all = futures_util::future::try_join_all(requests);
            let (beats, due) = heartbeats(async {
                for output in all.await.unwrap() {
                    assert_eq!(output, expected);
                }
            });
            (due > 16.0).then_some((beats, due))
        });
        let (beats, due) = found.unwrap_or_else(|| panic!("{device:?}: 20,000 steps are over too soon to tell"));
        // Its thread shares the cores with the work. A stalled one would beat once a request, or less.
        assert!(beats as f64 > 0.2 * due, "{device:?}: {beats} beats of {due:.0}");
    }
}

#[test]
fn every_future_leaves_its_thread_free() {
    let config = RnnConfig::new(Cell::Lstm, 32, 96);
    for device in [gpu(), Device::cpu()] {
        let rnn = wgrnn::Rnn::trainable(&device, &config, &RnnWeights::init(&config, 0).unwrap()).unwrap();
        let x = Random::new(4).array([120, 8, 32]);
        let call = RnnCall::default();
        let dy = rnn.forward(x.view()).unwrap().y;
        let mut stream = rnn.stream(8).unwrap();
        let check = |name: &str, (beats, due): (usize, f64)| {
            // What is over at once stalls nothing.
            assert!(due < 10.0 || beats as f64 > 0.2 * due, "{name} on {device:?}: {beats} beats of {due:.0}");
        };
        check("gradients", heartbeats(rnn.gradients_async(x.view(), None, &call, dy.view(), None)));
        check("check", heartbeats(rnn.check_async(x.view(), None, &call)));
        check("check of gradients", heartbeats(rnn.check_gradients_async(x.view(), &call)));
        check("stream", heartbeats(stream.push_async(x.view())));
        check("wait", heartbeats(device.wait_async()));
        check("weights", heartbeats(rnn.weights_async()));
    }
    let opened = heartbeats(Device::gpu_async(&wgrnn::GpuOptions::default()));
    assert!(opened.1 < 10.0 || opened.0 as f64 > 0.2 * opened.1, "opening a device: {opened:?}");
}

/// On an executor of many threads futures move between them.
#[test]
fn futures_can_be_sent_to_other_threads() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let rnn = rnn(&gpu(), &RnnConfig::new(Cell::Lstm, 3, 5));
    let x = Random::new(5).array([4, 2, 3]);
    let expected = rnn.forward(x.view()).unwrap();
    let tasks: Vec<_> = (0..4)
        .map(|_| {
            let (rnn, x) = (rnn.clone(), x.clone());
            runtime.spawn(async move { rnn.forward_with_async(x.view(), None, &RnnCall::default()).await })
        })
        .collect();
    for task in tasks {
        assert_eq!(runtime.block_on(task).unwrap().unwrap(), expected);
    }
    let device = runtime.block_on(runtime.spawn(async { Device::gpu_async(&Default::default()).await }));
    assert!(device.unwrap().is_ok());
}

/// All write the gradients of the same parameters.
#[test]
fn gradients_that_are_asked_for_at_once_do_not_mix() {
    let config = RnnConfig::new(Cell::Lstm, 3, 5);
    for device in [gpu(), Device::cpu()] {
        let rnn = wgrnn::Rnn::trainable(&device, &config, &RnnWeights::init(&config, 0).unwrap()).unwrap();
        let call = RnnCall::default();
        let inputs: Vec<_> = (0..6).map(|seed| Random::new(seed).array([4, 2, 3])).collect();
        let dy = rnn.forward(inputs[0].view()).unwrap().y;
        let one = |x: &ndarray::Array3<f32>| rnn.gradients(x.view(), None, &call, dy.view(), None).unwrap();
        let expected: Vec<_> = inputs.iter().map(one).collect();
        let all = inputs.iter().map(|x| rnn.gradients_async(x.view(), None, &call, dy.view(), None));
        let got = pollster::block_on(futures_util::future::try_join_all(all)).unwrap();
        assert_eq!(got, expected);
        std::thread::scope(|scope| {
            let threads: Vec<_> = inputs.iter().map(|x| scope.spawn(move || one(x))).collect();
            let got: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
            assert_eq!(got, expected);
        });
    }
}

#[test]
fn errors_come_through_futures_too() {
    let rnn = rnn(&gpu(), &RnnConfig::new(Cell::Lstm, 3, 5));
    let x = Random::new(6).array([4, 2, 7]);
    let error = pollster::block_on(rnn.forward_with_async(x.view(), None, &RnnCall::default())).unwrap_err();
    assert!(matches!(error, Error::Shape { .. }), "{error}");
}
