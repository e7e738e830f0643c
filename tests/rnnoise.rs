//! RNNoise on this library's layers is RNNoise: against its equations in f64, and against nnnoiseless with all it does.

#[path = "../examples/audio/denoise/model.rs"]
mod model;
#[path = "../examples/audio/denoise/pipeline.rs"]
mod pipeline;
#[path = "../examples/audio/denoise/signal.rs"]
mod signal;
#[path = "../examples/audio/denoise/wav.rs"]
#[allow(dead_code, reason = "channels are mixed in tests/vad.rs")]
mod wav;

use hound::{SampleFormat, WavSpec, WavWriter};
use model::{Dense, FEATURES, Gru, Network, Weights};
use ndarray::{Array1, Array2};
use nnnoiseless::DenoiseState;
use signal::{Analysis, FRAME, RATE};
use std::f64::consts::TAU;
use std::path::{Path, PathBuf};
use wgrnn::{Activation, Device};

fn devices() -> [Device; 2] {
    [Device::gpu().expect("these tests need an adapter"), Device::cpu()]
}

fn network(device: &Device) -> Network {
    Network::new(device, &Weights::load().unwrap()).unwrap()
}

fn noisy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/audio/denoise/noisy.wav")
}

/// The example's sentence in noise at 48 kHz, in the units of 16-bit integers.
fn sound() -> Vec<f32> {
    let audio = wav::read(&noisy()).unwrap();
    let mut samples = wav::resample(&audio.channels[0], audio.spec.sample_rate, RATE).unwrap();
    samples.iter_mut().for_each(|sample| *sample *= 32768.0);
    samples
}

fn frames(samples: &[f32]) -> Vec<[f32; FRAME]> {
    samples.as_chunks::<FRAME>().0.to_vec()
}

/// The generator of `scripts/make_rnnoise.py`.
fn noise(count: usize) -> Vec<f64> {
    let mut state = 1_u32;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from((((state >> 16) * 2 * 1732) >> 16) as i32 - 1732)
    };
    std::iter::repeat_with(next).take(count).collect()
}

/// The network from its equations: z, r = σ(Wx + Uh + b), h′ = z⊙h + (1 − z)⊙relu(Wx + U(r⊙h) + b).
mod textbook {
    use super::*;

    fn activate(activation: Activation, x: f64) -> f64 {
        match activation {
            Activation::Tanh => x.tanh(),
            Activation::Sigmoid => 1.0 / (1.0 + (-x).exp()),
            Activation::Relu => x.max(0.0),
            other => panic!("RNNoise has no {other:?}"),
        }
    }

    /// bias[column] + Σ x[i]·kernel[i, column].
    fn sum(kernel: &Array2<f32>, column: usize, x: &[f64]) -> f64 {
        x.iter().enumerate().map(|(i, x)| x * f64::from(kernel[[i, column]])).sum()
    }

    fn dense(layer: &Dense, x: &[f64]) -> Vec<f64> {
        assert_eq!(x.len(), layer.kernel.nrows());
        let unit = |u| activate(layer.activation, f64::from(layer.bias[u]) + sum(&layer.kernel, u, x));
        (0..layer.bias.len()).map(unit).collect()
    }

    fn step(layer: &Gru, x: &[f64], h: &mut Vec<f64>) {
        let units = h.len();
        assert_eq!((x.len(), units), (layer.kernel.nrows(), layer.recurrent_kernel.nrows()));
        let gate = |gate: usize, u: usize, h: &[f64]| {
            let column = gate * units + u;
            f64::from(layer.bias[column]) + sum(&layer.kernel, column, x) + sum(&layer.recurrent_kernel, column, h)
        };
        let sigmoid = |x| activate(Activation::Sigmoid, x);
        let reset: Vec<f64> = (0..units).map(|u| h[u] * sigmoid(gate(1, u, h))).collect();
        let new = |u: usize| {
            let z = sigmoid(gate(0, u, h));
            z * h[u] + (1.0 - z) * activate(layer.activation, gate(2, u, &reset))
        };
        *h = (0..units).map(new).collect();
    }

    /// Gains and the probability of speech for each frame.
    pub fn run(weights: &Weights, features: &Array2<f32>) -> Vec<(Vec<f64>, f64)> {
        let [mut speech, mut noise, mut denoise] = [24, 48, 96].map(|units| vec![0.0; units]);
        let frame = |features: ndarray::ArrayView1<'_, f32>| {
            let x: Vec<f64> = features.iter().map(|&x| f64::from(x)).collect();
            let first = dense(&weights.input_dense, &x);
            step(&weights.vad_gru, &first, &mut speech);
            step(&weights.noise_gru, &[&first[..], &speech, &x].concat(), &mut noise);
            step(&weights.denoise_gru, &[&speech[..], &noise, &x].concat(), &mut denoise);
            (dense(&weights.denoise_output, &denoise), dense(&weights.vad_output, &speech)[0])
        };
        features.rows().into_iter().map(frame).collect()
    }
}

/// Sums of up to 211 products in float32, and what their rounding grows to over the steps: the states of relu have no bound.
const ROUNDING: f64 = 1e-4;

#[test]
fn the_network_is_its_equations() {
    let mut analysis = Analysis::new();
    let found: Vec<_> = frames(&sound()).iter().map(|frame| analysis.frame(frame)).collect();
    let features: Vec<f32> = found.iter().filter_map(|frame| frame.features()).flatten().copied().collect();
    let features = Array2::from_shape_vec((features.len() / FEATURES, FEATURES), features).unwrap();
    assert!(features.nrows() > 200, "only {} frames", features.nrows());
    let expected = textbook::run(&Weights::load().unwrap(), &features);
    let range =
        expected.iter().flat_map(|(gains, _)| gains).fold((1.0_f64, 0.0_f64), |(a, b), &g| (a.min(g), b.max(g)));
    assert!(range.0 < 0.05 && range.1 > 0.95, "gains only from {} to {}", range.0, range.1);
    for device in devices() {
        let answer = network(&device).stream(features.nrows()).unwrap().push(features.view()).unwrap();
        let mut largest = 0.0_f64;
        for (t, (gains, speech)) in expected.iter().enumerate() {
            let got = answer.gains.row(t).iter().chain([&answer.speech[t]]).copied().collect::<Array1<f32>>();
            for (got, expected) in got.iter().zip(gains.iter().chain([speech])) {
                largest = largest.max((f64::from(*got) - expected).abs());
            }
        }
        println!("{}: {largest:.1e} from the equations", device.name());
        assert!(largest <= ROUNDING, "{}: {largest:.1e}", device.name());
    }
}

/// The same float32 around the network, but for the last transform, and another within it: nnnoiseless has its activations
/// from a table of 201 numbers of six digits, with a polynomial between them. Where a gain passes a band's correlation with the
/// sound a pitch period before, what the pitch filter adds jumps by a thousandth.
#[test]
fn speech_and_samples_are_those_of_nnnoiseless() {
    let samples = sound();
    let mut theirs = DenoiseState::new();
    let (mut expected, mut expected_speech) = (Vec::new(), Vec::new());
    for frame in frames(&samples) {
        let mut clean = [0.0; FRAME];
        expected_speech.push(theirs.process_frame(&mut clean, &frame));
        expected.extend(clean);
    }
    let power = |samples: &[f32]| samples.iter().map(|&sample| f64::from(sample).powi(2)).sum::<f64>();
    for device in devices() {
        let found = pipeline::denoise(&network(&device), &samples, 100, |_| {}).unwrap();
        let speech = found.speech.iter().zip(&expected_speech).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        // Their first frame is from before the sound.
        let pairs = found.samples.iter().zip(&expected[FRAME..]);
        let differences: Vec<f32> = pairs.map(|(a, b)| a - b).collect();
        let largest = differences.iter().fold(0.0_f32, |largest, difference| largest.max(difference.abs()));
        let decibels = 10.0 * (power(&expected) / power(&differences)).log10();
        println!("{}: speech {speech:.1e}, samples {largest:.1e}, {decibels:.0} dB below", device.name());
        assert!(speech < 1e-4, "{}: {speech}", device.name());
        assert!(decibels > 80.0, "{}: {decibels} dB", device.name());
    }
}

/// Equal bit by bit: sums run in one order for any number of frames.
#[test]
fn frame_by_frame_is_as_all_at_once() {
    // With a second of silence inside, which the network does not see.
    let mut samples = sound();
    samples.truncate(200 * FRAME + 123);
    samples[50 * FRAME..150 * FRAME].fill(0.0);
    for device in devices() {
        let network = network(&device);
        let whole = pipeline::denoise(&network, &samples, 1000, |_| {}).unwrap();
        assert_eq!(whole.samples.len(), samples.len());
        let silent = whole.speech.iter().filter(|&&speech| speech == 0.0).count();
        assert!((60..=100).contains(&silent), "{silent} silent frames");
        for frames in [1, 7] {
            let stream = pipeline::denoise(&network, &samples, frames, |_| {}).unwrap();
            assert_eq!(stream.speech, whole.speech, "{} by {frames}", device.name());
            assert_eq!(stream.samples, whole.samples, "{} by {frames}", device.name());
        }
    }
}

#[test]
fn there_is_less_noise_afterwards() {
    let audio = wav::read(&noisy()).unwrap();
    let (rate, noisy) = (audio.spec.sample_rate, &audio.channels[0]);
    let found = pipeline::denoise(&network(&Device::cpu()), &sound(), 1000, |_| {}).unwrap();
    let denoised = wav::resample(&found.samples, RATE, rate).unwrap();
    let noisy: Vec<f64> = noisy.iter().map(|&sample| 32768.0 * f64::from(sample)).collect();
    let voice: Vec<f64> = noisy.iter().zip(noise(noisy.len())).map(|(noisy, noise)| noisy - noise).collect();
    // Before the voice there was noise alone.
    assert!(voice[..4410].iter().all(|&sample| sample == 0.0));
    let decibels = |with: &mut dyn Iterator<Item = f64>| {
        let (voices, rest) = voice.iter().zip(with).fold((0.0_f64, 0.0_f64), |(voices, rest), (voice, with)| {
            (voices + voice * voice, rest + (with - voice) * (with - voice))
        });
        10.0 * (voices / rest).log10()
    };
    let before = decibels(&mut noisy.iter().copied());
    let after = decibels(&mut denoised.iter().map(|&sample| f64::from(sample)));
    println!("voice over noise: {before:.1} dB before, {after:.1} dB after");
    assert!(before < 4.5 && after > 8.0, "{before} dB before, {after} dB after");
}

#[test]
fn sounds_of_any_length_keep_it() {
    let network = network(&Device::cpu());
    let samples = sound();
    for length in [0, 1, FRAME - 1, FRAME, FRAME + 1, 10 * FRAME] {
        for frames in [0, 1, 3, 1000] {
            let found = pipeline::denoise(&network, &samples[..length], frames, |_| {}).unwrap();
            assert_eq!(found.samples.len(), length);
        }
    }
    let silence = pipeline::denoise(&network, &[0.0; 3 * FRAME], 1000, |_| {}).unwrap();
    assert!(silence.samples.iter().all(|&sample| sample == 0.0));
    let loud: Vec<f32> = (0..20 * FRAME).map(|i| 3.2e7 * (i as f32 * 0.05).sin()).collect();
    let loud = pipeline::denoise(&network, &loud, 1000, |_| {}).unwrap();
    assert!(loud.samples.iter().all(|sample| sample.is_finite()));
}

fn sine(rate: u32, seconds: f64) -> Vec<f32> {
    let count = (seconds * f64::from(rate)) as usize;
    (0..count).map(|i| (0.5 * (TAU * 440.0 * i as f64 / f64::from(rate)).sin()) as f32).collect()
}

#[test]
fn another_rate_is_the_same_sound_at_the_same_time() {
    for rate in [8_000, 22_050, 44_100, 44_101, 96_000] {
        for (from, to) in [(rate, RATE), (RATE, rate)] {
            let (got, expected) = (wav::resample(&sine(from, 1.0), from, to).unwrap(), sine(to, 1.0));
            assert_eq!(got.len(), expected.len(), "{from} to {to}");
            // Not at the ends, where a sine that begins at once has all frequencies.
            let inside = to as usize / 4..to as usize * 3 / 4;
            let pairs = got[inside.clone()].iter().zip(&expected[inside]);
            let largest = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(largest < 1e-4, "{from} to {to}: {largest}");
        }
    }
}

fn spec(sample_format: SampleFormat, bits_per_sample: u16, channels: u16) -> WavSpec {
    WavSpec { channels, sample_rate: 44_100, bits_per_sample, sample_format }
}

#[test]
fn files_of_every_format_are_written_as_they_were_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sound.wav");
    for (format, bits) in
        [8, 16, 24, 32].map(|bits| (SampleFormat::Int, bits)).into_iter().chain([(SampleFormat::Float, 32)])
    {
        for channels in [1, 2, 3] {
            let sound = sine(44_100, 0.01);
            let channels: Vec<Vec<f32>> =
                (0..channels).map(|n| sound.iter().map(|sample| sample * n as f32).collect()).collect();
            let spec = spec(format, bits, channels.len() as u16);
            let audio = wav::Audio { spec, channels };
            wav::write(&path, &audio).unwrap();
            let read = wav::read(&path).unwrap();
            assert_eq!(read.spec, spec);
            let step = if bits == 8 { 1.0 / 128.0 } else { 1.0 / 32768.0 };
            for (read, channel) in read.channels.iter().zip(&audio.channels) {
                assert_eq!(read.len(), channel.len());
                // What is beyond full scale is clipped in files of integers.
                let limit = if format == SampleFormat::Float { 9.0 } else { 1.0 };
                assert!(read.iter().zip(channel).all(|(a, b)| (a - b.clamp(-limit, limit)).abs() <= step), "{spec:?}");
            }
            let before = std::fs::read(&path).unwrap();
            wav::write(&path, &read).unwrap();
            assert!(std::fs::read(&path).unwrap() == before, "{spec:?}");
        }
    }
}

#[test]
fn bad_files_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    let refused = |path: &Path, part: &str| {
        let error = format!("{:#}", wav::read(path).map(|_| ()).unwrap_err());
        assert!(error.contains(&path.display().to_string()) && error.contains(part), "'{error}' lacks '{part}'");
    };
    refused(&place("nowhere.wav"), "No such file");
    refused(folder.path(), "");
    std::fs::write(place("text.wav"), "no sound").unwrap();
    refused(&place("text.wav"), "");
    let whole = std::fs::read(noisy()).unwrap();
    std::fs::write(place("cut.wav"), &whole[..1001]).unwrap();
    refused(&place("cut.wav"), "");
    let floats = |name: &str, rate: u32, samples: &[f32]| {
        let spec = WavSpec { sample_rate: rate, ..spec(SampleFormat::Float, 32, 1) };
        let mut writer = WavWriter::create(place(name), spec).unwrap();
        samples.iter().for_each(|&sample| writer.write_sample(sample).unwrap());
        writer.finalize().unwrap();
    };
    floats("nan.wav", RATE, &[0.0, f32::NAN]);
    refused(&place("nan.wav"), "sample 1 is NaN");
    floats("huge.wav", RATE, &[-1e30]);
    refused(&place("huge.wav"), "sample 0 is -1");
    floats("empty.wav", RATE, &[]);
    refused(&place("empty.wav"), "no samples");
    floats("slow.wav", 1, &[0.0]);
    refused(&place("slow.wav"), "1 samples a second");
}

#[test]
fn a_file_that_can_not_be_written_leaves_the_old_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.wav");
    std::fs::write(&path, "old").unwrap();
    // hound writes no integers of 12 bits.
    let audio = wav::Audio { spec: spec(SampleFormat::Int, 12, 1), channels: vec![vec![0.5]] };
    assert!(wav::write(&path, &audio).is_err());
    assert_eq!(std::fs::read(&path).unwrap(), b"old");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "something else lies there");
    // A device, a folder and a link to nothing are no places for a file; a link to one is.
    let audio = wav::Audio { spec: spec(SampleFormat::Int, 16, 1), ..audio };
    let refused = |path: &Path, why: &str| {
        let error = format!("{:#}", wav::write(path, &audio).unwrap_err());
        assert!(error.contains(why) && error.contains(&path.display().to_string()), "{error}");
    };
    refused(folder.path(), "a folder");
    #[cfg(unix)]
    {
        use std::os::unix::fs::{PermissionsExt, symlink};
        refused(Path::new("/dev/null"), "a device");
        let [link, dangling] = ["link.wav", "dangling.wav"].map(|name| folder.path().join(name));
        symlink(&path, &link).unwrap();
        symlink(folder.path().join("nothing"), &dangling).unwrap();
        refused(&dangling, "No such file");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        wav::write(&link, &audio).unwrap();
        assert!(link.symlink_metadata().unwrap().is_symlink());
        assert_eq!(wav::read(&path).unwrap().channels[0].len(), 1);
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o640);
    }
    let nowhere = folder.path().join("none/out.wav");
    let error = format!("{:#}", wav::write(&nowhere, &audio).unwrap_err());
    assert!(error.contains("none/out.wav"), "{error}");
}
