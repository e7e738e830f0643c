//! The pretrained voice activity detector gives ONNX Runtime's probabilities of real files, and its package's segments.

#[path = "../examples/audio/vad/audio.rs"]
mod audio;
#[path = "../examples/audio/vad/model.rs"]
mod model;
#[path = "../examples/audio/vad/segments.rs"]
mod segments;

use model::{CHUNK, RATE, Vad, Weights};
use pollster::block_on;
use serde::Deserialize;
use std::path::PathBuf;
use wgrnn::Device;

const WEIGHTS: &[u8] = include_bytes!("../examples/audio/vad/silero_vad_16k.safetensors");

/// Float32 of another system, in other orders of summation, through a transform, six layers and a memory of all chunks before.
const TOLERANCE: f32 = 1e-4;

#[derive(Deserialize)]
struct Answers {
    probabilities: Vec<f32>,
    segments: Vec<[usize; 2]>,
}

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
}

fn devices() -> [Device; 2] {
    [Device::gpu().expect("these tests need an adapter"), Device::cpu()]
}

fn speech() -> (Vec<f32>, Answers) {
    let answers = std::fs::read_to_string(fixture("vad_speech.json")).unwrap();
    (audio::read(&fixture("vad_speech.wav")).unwrap(), serde_json::from_str(&answers).unwrap())
}

fn close(name: &str, got: &[f32], expected: &[f32]) {
    assert_eq!(got.len(), expected.len(), "{name}");
    let difference = got.iter().zip(expected).map(|(got, expected)| (got - expected).abs()).fold(0.0, f32::max);
    println!("{name}: largest difference {difference:.1e}");
    for (i, (got, expected)) in got.iter().zip(expected).enumerate() {
        assert!((got - expected).abs() <= TOLERANCE, "{name}, chunk {i}: {got} is not {expected}");
    }
}

#[test]
fn speech_has_onnx_runtimes_probabilities_and_its_packages_segments() {
    let (samples, answers) = speech();
    for device in devices() {
        let vad = Vad::new(&device, &Weights::read(WEIGHTS).unwrap()).unwrap();
        // More chunks than one run of the plan takes.
        let found = block_on(vad.probabilities(std::slice::from_ref(&samples))).unwrap().remove(0);
        assert!(found.len() > 300 && found.iter().any(|&p| p > 0.9) && found.iter().any(|&p| p < 0.1));
        close(device.name(), &found, &answers.probabilities);
        let segments = segments::segments(&found, samples.len());
        let segments: Vec<_> = segments.iter().map(|segment| [segment.start, segment.end]).collect();
        assert_eq!(segments, answers.segments, "{}", device.name());
    }
}

/// Also of files of any length, in any order, the empty one too.
#[test]
fn files_side_by_side_are_as_alone() {
    let (samples, answers) = speech();
    let files: Vec<Vec<f32>> = [20_000, 0, samples.len(), 3, CHUNK, 70_001].map(|end| samples[..end].to_vec()).into();
    for device in devices() {
        let vad = Vad::new(&device, &Weights::read(WEIGHTS).unwrap()).unwrap();
        let found = block_on(vad.probabilities(&files)).unwrap();
        for (file, found) in files.iter().zip(&found) {
            let whole = file.len() / CHUNK;
            assert_eq!(found.len(), file.len().div_ceil(CHUNK));
            // The last chunk has zeros for what was cut off.
            close(device.name(), &found[..whole], &answers.probabilities[..whole]);
        }
        assert!(block_on(vad.probabilities(&[])).unwrap().is_empty());
    }
}

/// A file of 22,050 samples a second has speech where the same sound at 16,000 has it.
#[test]
fn speech_at_another_rate_is_found_where_it_is() {
    let (samples, answers) = speech();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("slow.wav");
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 22_050,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(&path, spec).unwrap();
    for i in 0..samples.len() * 22_050 / RATE {
        let at = i as f64 * RATE as f64 / 22_050.0;
        let (from, part) = (at as usize, at.fract() as f32);
        let next = samples.get(from + 1).copied().unwrap_or(0.0);
        writer.write_sample(((samples[from] * (1.0 - part) + next * part) * 32767.0) as i16).unwrap();
    }
    writer.finalize().unwrap();
    let read = audio::read(&path).unwrap();
    assert!(read.len().abs_diff(samples.len()) <= 2, "{} and {}", read.len(), samples.len());
    let vad = Vad::new(&Device::cpu(), &Weights::read(WEIGHTS).unwrap()).unwrap();
    let found = block_on(vad.probabilities(std::slice::from_ref(&read))).unwrap().remove(0);
    let segments = segments::segments(&found, read.len());
    assert_eq!(segments.len(), answers.segments.len());
    for (got, expected) in segments.iter().zip(&answers.segments) {
        let near = |got: usize, expected: usize| got.abs_diff(expected) <= 2 * CHUNK;
        assert!(near(got.start, expected[0]) && near(got.end, expected[1]), "{got:?} is not {expected:?}");
    }
}

#[test]
fn files_of_other_formats_are_read_or_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, channels, sample_rate, float: bool| {
        let path = folder.path().join(name);
        let (bits_per_sample, sample_format) =
            if float { (32, hound::SampleFormat::Float) } else { (24, hound::SampleFormat::Int) };
        let spec = hound::WavSpec { channels, sample_rate, bits_per_sample, sample_format };
        let mut writer = hound::WavWriter::create(&path, spec).unwrap();
        for i in 0..960 {
            if float { writer.write_sample(i as f32 / 960.0).unwrap() } else { writer.write_sample(i << 13).unwrap() }
        }
        writer.finalize().unwrap();
        path
    };
    let stereo = audio::read(&write("stereo.wav", 2, 48_000, false)).unwrap();
    assert_eq!(stereo.len(), 160);
    // Every third pair: samples 6 and 7.
    assert_eq!(stereo[1], 6.5 / 1024.0);
    assert_eq!(audio::read(&write("float.wav", 1, RATE as u32, true)).unwrap()[480], 0.5);
    // Other rates are resampled.
    assert_eq!(audio::read(&write("music.wav", 2, 44_100, false)).unwrap().len(), (480 * 160_usize).div_ceil(441));
    let refused = |name: &str, bytes: &[u8], why: &str| {
        std::fs::write(folder.path().join(name), bytes).unwrap();
        let error = format!("{:#}", audio::read(&folder.path().join(name)).unwrap_err());
        assert!(error.contains(name) && error.contains(why), "{error}");
    };
    refused("text.wav", b"no audio at all", "");
    refused("nothing.wav", b"", "no WAV file, or is cut off");
    let whole = std::fs::read(fixture("vad_speech.wav")).unwrap();
    refused("cut.wav", &whole[..1001], "cut off");
    refused("empty.wav", &[&whole[..40], &[0; 4]].concat(), "no samples");
    let error = format!("{:#}", audio::read(&folder.path().join("nowhere.wav")).unwrap_err());
    assert_eq!(error.matches("No such file").count(), 1, "{error}");
}
