//! Many-to-many by CTC, with sound: the lesson `speech`.

use lessons::data::mel::{levels, own};
use lessons::data::speech::load;
use std::path::Path;

#[allow(dead_code, reason = "its main")]
#[path = "../../examples/training/speech.rs"]
mod lesson;

crate::common::every_lesson!("speech", lesson, few: "--tested 4", gpu: "2", files: ["speech.png", "speech.tsv"]);

#[test]
fn letters_are_found_after_few_steps_and_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let line = format!("--device cpu --steps 250 --tested 24 --plot {}", folder.path().display());
    let outcome = lesson::run(&crate::common::options(&line)).unwrap();
    // Without a letter, all are wrong.
    assert!(outcome.figure("words it learned: convolution, LSTMs, CTC", "wrong letters") < 0.9, "{outcome}");
    assert!(outcome.figure("words it learned: nearest recording", "wrong letters") < 0.2, "{outcome}");
    assert_eq!(outcome.figure("new words: nearest recording", "whole words right"), 0.0);
    assert!(std::fs::read_to_string(folder.path().join("speech.svg")).unwrap().contains("voices held out"));
    assert!(std::fs::read_to_string(folder.path().join("speech_loss.svg")).unwrap().contains("held out"));
}

#[test]
fn no_voice_and_no_new_word_of_the_test_is_in_the_training() {
    let speech = load(None).unwrap();
    assert_eq!([speech.train.len(), speech.heard.len(), speech.new.len()], [2025, 600, 200]);
    for tested in speech.heard.iter().chain(&speech.new) {
        assert!(speech.train.iter().all(|learned| learned.voice != tested.voice), "{}", tested.voice);
    }
    let is_learned = |letters: &[usize]| speech.train.iter().any(|learned| learned.letters == letters);
    assert!(speech.new.iter().all(|spoken| !is_learned(&spoken.letters)));
    assert!(speech.heard.iter().all(|spoken| is_learned(&spoken.letters)));
}

/// An eighth of a second of two tones, the first of which rises, with silence around.
fn sound() -> Vec<f32> {
    let sample = |i: i32| {
        let t = f64::from(i) / 16_000.0;
        let tones = [
            0.5 * (std::f64::consts::TAU * (300.0 * t + 200_000.0 * t * t)).sin(),
            0.05 * (std::f64::consts::TAU * 5000.0 * t).sin(),
        ];
        if (1000..3000).contains(&i) { tones.iter().sum::<f64>() as f32 } else { 0.0 }
    };
    (0..4000).map(sample).collect()
}

#[test]
fn levels_are_those_of_the_script_that_made_the_data() {
    let levels = levels(&sound()).unwrap();
    assert_eq!(levels.dim(), (18, 32));
    // `spectrogram` of scripts/make_speech_data.py on the same samples: a frame, and a band; four digits after the point.
    let frame = [
        0.5659, 0.7085, 0.8016, 0.8711, 0.9074, 0.9105, 0.8302, 0.8451, 0.9148, 0.8531, 0.9043, 0.8906, 0.8936, 0.8964,
        0.899, 0.8986, 0.8978, 0.8943, 0.8913, 0.8855, 0.8776, 0.867, 0.8523, 0.8344, 0.8092, 0.7771, 0.7607, 0.7753,
        0.5913, 0.464, 0.2634, 0.0,
    ];
    let band = [
        0.0, 0.0, 0.0, 0.1112, 0.6897, 0.8936, 0.7448, 0.5437, 0.8842, 0.8083, 0.2002, 0.8626, 0.8503, 0.2253, 0.3376,
        0.0, 0.0, 0.0,
    ];
    let near = |got: &f32, expected: &f32| (got - expected).abs() < 1e-4;
    assert!(levels.row(5).iter().zip(&frame).all(|(got, expected)| near(got, expected)), "{}", levels.row(5));
    assert!(levels.column(12).iter().zip(&band).all(|(got, expected)| near(got, expected)), "{}", levels.column(12));
}

#[test]
fn levels_do_not_depend_on_loudness_nor_on_silence_around() {
    let first = levels(&sound()).unwrap();
    let quiet: Vec<f32> = sound().iter().map(|sample| 0.01 * sample).collect();
    assert!(first.iter().zip(&levels(&quiet).unwrap()).all(|(a, b)| (a - b).abs() < 1e-4));
    let later: Vec<f32> = std::iter::repeat_n(0.0, 2000).chain(sound()).collect();
    let later = levels(&later).unwrap();
    assert_eq!(later.nrows(), first.nrows() + 1);
    assert!(levels(&[0.0; 4000]).unwrap_err().to_string().contains("silent"));
    assert!(levels(&[]).is_err());
}

/// Writes a recording.
fn write(path: &Path, rate: u32, bits: u16, samples: &[f32]) {
    let spec = hound::WavSpec {
        channels: 2,
        sample_rate: rate,
        bits_per_sample: bits,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(path, spec).unwrap();
    let full = f32::from(i16::MAX) * 2.0_f32.powi(i32::from(bits) - 16);
    for sample in samples {
        [sample, sample].into_iter().for_each(|sample| writer.write_sample((sample * full) as i32).unwrap());
    }
    writer.finalize().unwrap();
}

#[test]
fn a_recording_is_heard_and_one_of_another_form_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.wav");
    write(&path, 16_000, 16, &sound());
    // 16 bits are 96 decibels, of which 60 count.
    assert!(own(&path).unwrap().iter().zip(&levels(&sound()).unwrap()).all(|(a, b)| (a - b).abs() < 0.02));
    let outcome = run(&format!("--steps 1 --wav {}", path.display())).unwrap();
    assert!(outcome.to_string().contains("mine.wav: "), "{outcome}");
    let refused = |expected: &str| {
        let error = run(&format!("--steps 1000000 --wav {}", path.display())).unwrap_err();
        assert!(error.contains("mine.wav") && error.contains(expected), "{error}");
    };
    write(&path, 44_100, 16, &sound());
    refused("44100 samples a second; expected 16000: convert it: sox");
    write(&path, 16_000, 24, &sound());
    refused("samples of 24 bits");
    write(&path, 16_000, 16, &[0.0; 4000]);
    refused("silent");
    write(&path, 16_000, 16, &[]);
    refused("there are no samples");
    write(&path, 16_000, 16, &vec![0.5; 16_000 * 61]);
    refused("61 seconds");
    for bytes in [&b""[..], b"RIFF", b"no recording, but a line of text that is long enough"] {
        std::fs::write(&path, bytes).unwrap();
        refused("it is no WAV file, or is cut off");
    }
    std::fs::remove_file(&path).unwrap();
    refused("mine.wav");
}

#[test]
fn lists_of_another_form_are_refused_by_their_lines() {
    let refused = |line: &str, expected: &str| {
        let folder = crate::common::spoilt("speech", "speech.tsv", |bytes| {
            let text = String::from_utf8(bytes).unwrap();
            Some(format!("{}\n{line}\n", text.lines().next().unwrap()).into_bytes())
        });
        let error = run(&format!("--steps 1 --data {}", folder.path().display())).unwrap_err();
        assert!(error.contains("speech.tsv") && error.contains(expected), "{error}");
    };
    refused("test\tone\ten\t40", "line 2: expected one of [\"train\", \"heard\", \"new\"], got 'test'");
    refused("heard\tdéjà\ten\t40", "expected a word of 1 to 16 letters");
    refused("heard\tone\ten\t97", "expected 1 to 96 frames, got 97");
    refused("heard\tone\ten\tforty", "frames: 'forty'");
    refused("heard\tone\ten", "expected part, word, voice and number of frames");
    refused("train\tone\ten\t40", "expected lines of each of");
}
