//! Tiles measured on the adapter: found once, kept, and right.

use crate::common::{Random, rnn};
use wgrnn::{Autotune, Cell, Device, GpuOptions, RnnCall, RnnConfig, Schedule, Trial};

fn tuned(folder: &tempfile::TempDir) -> Device {
    let autotune = Some(Autotune::default().folder(folder.path()));
    Device::gpu_with(&GpuOptions::default().autotune(autotune)).unwrap()
}

#[test]
fn a_tuned_device_is_right_and_finds_again_what_was_measured() {
    let folder = tempfile::tempdir().unwrap();
    let device = tuned(&folder);
    let report = device.tuning().unwrap().clone();
    assert!(report.read_from.is_none() && report.note.is_none(), "{report}");
    // Forms, gemm, step, outer, sequence; shared sums, staged and cooperative products too where they come into question.
    let taken: Vec<_> = report.trials.iter().filter(|trial| trial.taken).collect();
    assert!((5..=8).contains(&taken.len()), "{report}");
    let is_sound = |trial: &Trial| trial.seconds.is_some() != trial.failure.is_some();
    assert!(report.trials.iter().all(is_sound), "{report}");
    assert!(taken.iter().all(|trial| trial.seconds.is_some_and(|seconds| seconds > 0.0)), "{report}");

    let layer = rnn(&device, &RnnConfig::new(Cell::Lstm, 20, 45));
    let x = Random::new(1).array([6, 19, 20]);
    for schedule in [Schedule::Step, Schedule::Sequence] {
        let report = layer.check(x.view(), None, &RnnCall::default().schedule(schedule)).unwrap();
        assert!(report.passed(), "{report}");
    }

    let [file] = &std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path()).collect::<Vec<_>>()[..] else {
        panic!("one file is kept");
    };
    let again = tuned(&folder);
    let report_again = again.tuning().unwrap();
    assert_eq!(report_again.read_from.as_ref(), Some(file));
    assert_eq!(report_again.trials, report.trials);
    // A layer's plan is made with the same tiles.
    let plan = |device: &Device| {
        let rnn = rnn(device, &RnnConfig::new(Cell::Lstm, 20, 45));
        rnn.session(wgrnn::SessionOptions::new(6, 19)).unwrap().plan().to_string()
    };
    assert_eq!(plan(&again), plan(&device));
    assert!(Device::cpu().tuning().is_none());
}
