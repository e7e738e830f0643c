//! Whole layers against the textbook equations.

use crate::common::{Random, configs, devices, rnn};
use wgrnn::{Direction, RnnCall, Schedule};

#[test]
fn every_cell_equals_the_textbook_on_every_device_and_schedule() {
    for (name, device) in devices() {
        for config in configs(5, 12) {
            let config = config.layers(2).direction(Direction::Bidirectional);
            let rnn = rnn(&device, &config);
            let mut random = Random::new(1);
            let x = random.array([4, 3, 5]);
            let state = random.state(&config, 3);
            for schedule in [Schedule::Step, Schedule::Sequence] {
                let call = RnnCall { lengths: Some(vec![2, 4, 3]), schedule, ..RnnCall::default() };
                let report = rnn.check(x.view(), Some(&state), &call).unwrap();
                assert!(report.passed(), "{name} {config:?} {schedule:?}\n{report}");
            }
        }
    }
}
