//! The examples `forecast` and `pronounce` learn something in a few steps, and give what they should.

#[path = "../examples/training/forecast/weather.rs"]
mod weather;

#[path = "../examples/training/forecast/model.rs"]
mod forecast;

#[expect(dead_code, reason = "the example uses all of it")]
#[path = "../examples/training/pronounce/pairs.rs"]
mod pairs;

#[path = "../examples/training/pronounce/model.rs"]
mod pronounce;

use forecast::{Forecaster, Network};
use pairs::Pairs;
use pronounce::{LONGEST, Pronouncer};
use weather::{AHEAD, Weather};
use wgrnn::Device;

const SEED: u32 = 1;

/// Few steps of a small network come closer than the same hour yesterday did.
fn forecasts_get_better(make: fn(&Device, usize, u32) -> anyhow::Result<Network>) {
    let device = Device::cpu();
    let weather = Weather::load().unwrap();
    let network = make(&device, 16, SEED).unwrap();
    let mut training = forecast::Training::new(&device, &network, 32, SEED).unwrap();
    let learned: Vec<usize> = weather.learned().collect();
    let mut losses = Vec::new();
    for step in 0..150 {
        let firsts: Vec<usize> = (0..32).map(|n| learned[(step * 32 + n) * 1009 % learned.len()]).collect();
        training.windows.write(&weather.batch(&firsts)).unwrap();
        training.trainer.step().unwrap();
        if step % 50 == 49 {
            losses.push(training.trainer.progress().unwrap().mean_loss);
        }
    }
    assert!(losses[2] < 0.5 * losses[0], "{losses:?}");

    // A number of windows that is no multiple of the batch.
    let tested: Vec<usize> = weather.tested().step_by(17).collect();
    let batch = 50;
    assert_ne!(tested.len() % batch, 0);
    let forecaster = Forecaster::new(&device, &network, batch).unwrap();
    let forecasts = forecaster.forecast(&tested, |firsts| weather.batch(firsts)).unwrap();
    assert_eq!(forecasts.dim(), (tested.len(), AHEAD));
    let error = weather.error(&tested, |n, k| weather.celsius(forecasts[[n, k]]));
    let yesterday = weather.error(&tested, |n, k| weather.temperature[tested[n] + k - AHEAD]);
    assert!(error < yesterday, "{error} °C, {yesterday} °C the same hour yesterday");
    // Each window has its own forecast wherever it stands in a batch.
    let alone = forecaster.forecast(&tested[60..61], |firsts| weather.batch(firsts)).unwrap();
    for k in 0..AHEAD {
        assert!((alone[[0, k]] - forecasts[[60, k]]).abs() < 1e-5, "hour {k}");
    }
}

#[test]
fn forecasts_of_all_hours_at_once_beat_yesterday() {
    forecasts_get_better(Network::direct);
}

#[test]
fn forecasts_fed_back_beat_yesterday() {
    forecasts_get_better(Network::feed_back);
}

#[test]
fn nothing_of_the_test_part_is_learned() {
    let weather = Weather::load().unwrap();
    assert!(weather.learned().end + AHEAD - 1 <= weather.tested().start);
}

#[test]
fn an_encoder_and_a_decoder_learn_to_pronounce() {
    let device = Device::cpu();
    let pairs = Pairs::load().unwrap();
    let speller = pronounce::Network::new(&device, &pairs.phonemes, [16, 32], SEED).unwrap();
    let words: Vec<_> = pairs.tested.iter().take(100).map(|pair| &pair.letters[..]).collect();
    // A number of words that is no multiple of the batch.
    let pronounce = || Pronouncer::new(&device, &speller, 10, 30).unwrap().pronounce(&words).unwrap();
    let errors = |answers: &[Vec<u32>]| -> usize {
        answers.iter().zip(&pairs.tested).map(|(answer, pair)| pairs::distance(answer, &pair.phonemes)).sum()
    };
    let before = pronounce();

    let mut training = pronounce::Training::new(&device, &speller, &pairs.learned, 32, SEED).unwrap();
    let mut losses = Vec::new();
    for step in 0..200 {
        training.step(&pairs.batch(32, SEED, step)).unwrap();
        if step % 40 == 39 {
            losses.push(training.trainer.progress().unwrap().mean_loss);
        }
    }
    assert!(losses[4] < 0.8 * losses[0], "{losses:?}");
    let after = pronounce();
    assert_eq!(after.len(), words.len());
    assert!(after.iter().all(|answer| answer.len() <= LONGEST));
    assert!(after.iter().flatten().all(|&phoneme| phoneme < pairs.phonemes.start()), "a mark within a word");
    assert!(errors(&after) < errors(&before), "{} errors, {} before", errors(&after), errors(&before));
    assert_eq!(pairs.phonemes.spell(&pairs.tested[0].phonemes), "K R IH NG AH N");
}

#[test]
fn training_that_is_resumed_is_the_same() {
    let device = Device::cpu();
    let pairs = Pairs::load().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pronounce.safetensors");
    let losses = |from: u32, steps: u32| {
        let speller = pronounce::Network::new(&device, &pairs.phonemes, [8, 16], SEED + from).unwrap();
        let mut training = pronounce::Training::new(&device, &speller, &pairs.learned, 16, SEED).unwrap();
        if from > 0 {
            training.trainer.load(&path).unwrap();
        }
        let step = |step| {
            training.step(&pairs.batch(16, SEED, step)).unwrap();
            if step == 4 {
                training.trainer.save(&path, &Default::default()).unwrap();
            }
            training.trainer.progress().unwrap().last_loss
        };
        (from..steps).map(step).collect::<Vec<_>>()
    };
    let whole = losses(0, 10);
    assert_eq!(losses(5, 10), whole[5..]);
}

#[test]
fn distances_are_levenshtein_s() {
    for (a, b, expected) in [("", "", 0), ("abc", "", 3), ("kitten", "sitting", 3), ("flaw", "lawn", 2)] {
        let symbols = |text: &str| text.bytes().map(u32::from).collect::<Vec<_>>();
        assert_eq!(pairs::distance(&symbols(a), &symbols(b)), expected, "{a}, {b}");
    }
}

#[test]
fn words_with_other_letters_are_refused_by_name() {
    for word in ["", "naïve", "two words", "x86"] {
        let error = pairs::letters(word).unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    }
    assert_eq!(pairs::letters("Zab").unwrap(), [25, 0, 1]);
}
