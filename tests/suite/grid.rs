//! The `grid` schedule: what it gives where its workgroups run side by side, and where they do not.

use crate::common::{Random, configs, dispatches, gpu, rnn};
use wgrnn::kernels::Kernel;
use wgrnn::{Cell, Class, Direction, Lengths, RnnCall, RnnConfig, Schedule, SessionOptions};

fn call() -> RnnCall {
    RnnCall::default().schedule(Schedule::Grid)
}

/// Units of more than one workgroup, which need each other's values: where workgroups run one after the other, as on
/// adapters in software, the first waits in vain, and what stands by does the work.
#[test]
fn a_grid_that_cannot_go_on_gives_the_same_results() {
    let device = gpu();
    for config in configs(5, 70) {
        let config = config.layers(2).direction(Direction::Bidirectional);
        let rnn = rnn(&device, &config);
        let mut random = Random::new(3);
        let (x, state) = (random.array([6, 3, 5]), random.state(&config, 3));
        let call = call().lengths(Lengths::Fixed(vec![2, 6, 3]));
        let report = rnn.check(x.view(), Some(&state), &call).unwrap();
        assert!(report.passed(), "{config:?}\n{report}");
    }
}

/// Long enough for several dispatches, each of which goes on from the last.
#[test]
fn a_long_sequence_goes_on_from_grid_to_grid() {
    for hidden in [24, 80] {
        let config = RnnConfig::new(Cell::Lstm, 3, hidden);
        let rnn = rnn(&gpu(), &config);
        let x = Random::new(5).array([1000, 2, 3]);
        let session = rnn.session(SessionOptions::new(1000, 2).call(call())).unwrap();
        let (grids, settled) = (dispatches(session.plan(), Kernel::Grid), dispatches(session.plan(), Kernel::Settle));
        assert!(grids > 1 && grids == settled && dispatches(session.plan(), Kernel::Sequence) >= grids);
        let report = rnn.check(x.view(), None, &call()).unwrap();
        assert!(report.passed(), "H {hidden}\n{report}");
    }
}

#[test]
fn lengths_that_change_from_run_to_run_pass_through_a_grid() {
    for hidden in [12, 70] {
        let config = RnnConfig::new(Cell::Lstm, 5, hidden);
        let rnn = rnn(&gpu(), &config);
        let x = Random::new(7).array([6, 3, 5]);
        let lengths = rnn.batch_lengths(6, 3).unwrap();
        let call = call().lengths(Lengths::PerRun(lengths.clone()));
        for list in [[6, 2, 4], [1, 5, 5]] {
            lengths.write(&list).unwrap();
            let report = rnn.check(x.view(), None, &call).unwrap();
            assert!(report.passed(), "H {hidden}, {list:?}\n{report}");
        }
    }
}

/// Adapters in software run one workgroup after the other: there the trial must say so, and `Auto` must heed it.
#[test]
fn the_trial_finds_that_an_adapter_in_software_has_no_workgroups_side_by_side() {
    let device = gpu();
    if device.report().is_some_and(|report| report.class == Class::Software) {
        assert!(device.side_by_side() < 64, "{}", device.side_by_side());
    }
    let config = RnnConfig::new(Cell::Lstm, 256, 256);
    let chosen = Schedule::Auto.resolve(&device, &config, 100, 1);
    assert!(chosen != Schedule::Grid || device.side_by_side() >= 64, "{chosen:?}");
}
