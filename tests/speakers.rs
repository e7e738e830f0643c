//! The pretrained speaker encoder gives Resemblyzer's embeddings, from librosa's mel spectrogram.
//!
//! Its weights are not in the repository: `scripts/make_speakers.py --weights` fetches them, or `WGRNN_SPEAKERS` says where
//! they are. Without them, what needs them is not tested, and the rest is, the network with random weights.

#[path = "../examples/audio/speakers/mel.rs"]
mod mel;
#[path = "../examples/audio/speakers/model.rs"]
mod model;
#[path = "../examples/audio/speakers/picture.rs"]
mod picture;
#[path = "../examples/audio/speakers/utterance.rs"]
mod utterance;
#[path = "../examples/audio/denoise/wav.rs"]
#[allow(dead_code, reason = "places are looked for in tests/rnnoise.rs")]
mod wav;

use model::{BANDS, EMBEDDING, Encoder, RATE, WINDOW, Weights, config};
use ndarray::{Array1, Array2, Array3, ArrayD, Axis, Ix1, Ix2, Ix3, s};
use rand_mt::Mt;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use utterance::Utterance;
use wgrnn::{Device, RnnWeights};

/// Of numbers of a vector of length 1: float32 of another system, in other orders of summation, over 160 steps of three layers.
const TOLERANCE: f32 = 1e-5;
/// The same in the spectrogram, relative: it is 201 products, none of them below 0, of a transform in float64.
const MEL_TOLERANCE: f32 = 1e-5;

/// The files of the fixture, two for each voice.
const FILES: [&str; 8] = ["anna_1", "anna_2", "ben_1", "ben_2", "carla_1", "carla_2", "dirk_1", "dirk_2"];

fn devices() -> [Device; 2] {
    [Device::gpu().expect("these tests need an adapter"), Device::cpu()]
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

/// An array of what the package and librosa gave.
fn answer(name: &str) -> ArrayD<f32> {
    let bytes = std::fs::read(fixtures().join("speakers/answers.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let tensor = file.tensor(name).unwrap();
    assert_eq!(tensor.dtype(), Dtype::F32);
    ArrayD::from_shape_vec(tensor.shape(), bytemuck::pod_collect_to_vec(tensor.data())).unwrap()
}

fn mels() -> Array3<f32> {
    answer("mels").into_dimensionality::<Ix3>().unwrap()
}

fn samples(path: &str) -> Vec<f32> {
    utterance::load(&fixtures().join(path)).unwrap()
}

fn voice(name: &str) -> Vec<f32> {
    samples(&format!("speakers/{name}.wav"))
}

/// The pretrained weights, if they are here.
fn pretrained(what: &str) -> Option<Weights> {
    let named = std::env::var_os("WGRNN_SPEAKERS").map(PathBuf::from);
    let usual = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/speakers/resemblyzer.safetensors");
    match named {
        None if !usual.exists() => {
            // To the terminal itself: what a test that passes prints is not shown.
            let note = format!("NOT TESTED: {what}: no {}; scripts/make_speakers.py fetches it\n", usual.display());
            std::io::Write::write_all(&mut std::io::stderr(), note.as_bytes()).unwrap();
            None
        }
        named => Some(Weights::load(&named.unwrap_or(usual)).unwrap()),
    }
}

fn random() -> Weights {
    let mut generator = Mt::new(1);
    let mut uniform = || generator.next_u32() as f32 / u32::MAX as f32 * 0.125 - 0.0625;
    Weights {
        lstm: RnnWeights::init(&config(), 0).unwrap(),
        linear: (
            Array2::from_shape_simple_fn((EMBEDDING, EMBEDDING), &mut uniform),
            Array1::from_shape_simple_fn(EMBEDDING, &mut uniform),
        ),
    }
}

/// The network's equations in f64: one embedding a row.
fn textbook(weights: &Weights, mels: &Array3<f32>) -> Array2<f64> {
    let x = mels.mapv(f64::from).permuted_axes([1, 0, 2]).as_standard_layout().into_owned();
    let h = wgrnn::reference::forward::<f64>(&config(), &weights.lstm, x.view(), None, None).unwrap().h;
    let (weight, bias) = &weights.linear;
    let last = h.index_axis(Axis(0), 2).to_owned();
    let mut found = (last.dot(&weight.mapv(f64::from).t()) + bias.mapv(f64::from)).mapv(|sum| sum.max(0.0));
    for mut row in found.rows_mut() {
        let norm = row.dot(&row).sqrt();
        row /= norm;
    }
    found
}

/// The largest difference, which must not exceed [`TOLERANCE`].
fn close(name: &str, got: &Array2<f32>, expected: &Array2<f32>) {
    assert_eq!(got.dim(), expected.dim(), "{name}");
    let largest = got.iter().zip(expected).fold(0.0_f32, |largest, (a, b)| largest.max((a - b).abs()));
    println!("{name}: {largest:.1e}");
    assert!(largest <= TOLERANCE, "{name}: {largest:.1e}");
    assert!(got.iter().all(|number| number.is_finite()), "{name}");
}

#[test]
fn the_spectrogram_is_librosas() {
    let sounds = [voice("anna_1"), samples("vad_speech.wav")];
    for (i, (samples, expected)) in sounds.iter().zip(mels().outer_iter()).enumerate() {
        let found = mel::spectrogram(samples).unwrap();
        assert_eq!(found.dim(), (1 + samples.len() / 160, BANDS));
        // The first one's beginning, the second one's end: both have zeros beyond the sound.
        let found = if i == 0 { found.slice(s![..WINDOW, ..]) } else { found.slice(s![-(WINDOW as isize).., ..]) };
        let relative = |(got, expected): (&f32, &f32)| (got - expected).abs() / expected.max(f32::MIN_POSITIVE);
        let largest = found.iter().zip(expected).map(relative).fold(0.0, f32::max);
        println!("window {i}: {largest:.1e}");
        assert!(largest <= MEL_TOLERANCE, "window {i}: {largest:.1e}");
    }
}

#[test]
fn windows_lie_where_the_packages_do() {
    let expected = std::fs::read_to_string(fixtures().join("speakers/windows.json")).unwrap();
    let expected: BTreeMap<usize, Vec<usize>> = serde_json::from_str(&expected).unwrap();
    assert!(expected.len() > 30 && expected.values().any(|starts| starts.len() > 8));
    for (samples, starts) in expected {
        assert_eq!(utterance::starts(samples), starts, "{samples} samples");
    }
    // All of them are there, however short the sound is.
    for length in [1, 159, 25_600, 31_520, 40_000] {
        let windows = utterance::starts(length).len();
        let samples = vec![0.1; length];
        let utterance = Utterance::new(&samples).unwrap();
        assert_eq!(utterance.windows().map(|window| window.dim()).collect::<Vec<_>>(), vec![(WINDOW, BANDS); windows]);
    }
}

#[test]
fn files_of_other_rates_and_channels_are_the_same_sound() {
    let folder = tempfile::tempdir().unwrap();
    let sound = voice("anna_1");
    for rate in [22_050, 48_000] {
        let loud = wav::resample(&sound, RATE as u32, rate).unwrap();
        let silent = vec![0.0; loud.len()];
        let spec = hound::WavSpec {
            channels: 2,
            sample_rate: rate,
            bits_per_sample: 32,
            sample_format: hound::SampleFormat::Float,
        };
        let path = folder.path().join("stereo.wav");
        wav::write(&path, &wav::Audio { spec, channels: vec![loud, silent] }).unwrap();
        let found = utterance::load(&path).unwrap();
        assert!(found.len().abs_diff(sound.len()) <= 1, "{} samples, not {}", found.len(), sound.len());
        // The mean with silence is half of it; what is lost lies near half the rate.
        let power =
            |samples: &mut dyn Iterator<Item = f32>| samples.map(|sample| f64::from(sample).powi(2)).sum::<f64>();
        let rest = power(&mut found.iter().zip(&sound).map(|(found, sample)| 2.0 * found - sample));
        assert!(rest < 0.01 * power(&mut sound.iter().copied()), "{rest} of another sound");
    }
    let error = utterance::load(&folder.path().join("nowhere.wav")).unwrap_err();
    assert!(format!("{error:#}").contains("nowhere.wav"), "{error:#}");
}

#[test]
fn quiet_sound_is_made_louder_and_loud_sound_is_left() {
    let loud = voice("anna_1");
    assert_eq!(utterance::louder(&loud).unwrap(), loud);
    let quiet: Vec<f32> = loud.iter().map(|sample| sample / 1000.0).collect();
    let louder = utterance::louder(&quiet).unwrap();
    let power = louder.iter().map(|&sample| f64::from(sample).powi(2)).sum::<f64>() / louder.len() as f64;
    assert!((10.0 * power.log10() + 30.0).abs() < 1e-4, "{power}");
}

#[test]
fn a_network_of_any_weights_is_the_textbooks() {
    // Louder, so that the windows differ by more than rounding: these weights are small.
    let (weights, mels) = (random(), 50.0 * mels());
    let expected = textbook(&weights, &mels).mapv(|number| number as f32);
    // Half of the numbers are below 0 before relu, and the windows differ.
    let difference = (&expected.row(0) - &expected.row(1)).iter().fold(0.0_f32, |most, d| most.max(d.abs()));
    assert!(difference > 1000.0 * TOLERANCE, "{difference}");
    assert!(expected.iter().filter(|&&number| number == 0.0).count() > 100);
    for device in devices() {
        let encoder = Encoder::new(&device, &weights).unwrap();
        let windows: Vec<_> = mels.outer_iter().collect();
        close(device.name(), &encoder.embeddings(&windows, 64).unwrap(), &expected);
        // Three batches of two, the last one with a window that is none.
        let five: Vec<_> = windows.iter().cycle().take(5).copied().collect();
        let found = encoder.embeddings(&five, 2).unwrap();
        for (n, row) in found.rows().into_iter().enumerate() {
            close(
                "in batches",
                &row.insert_axis(Axis(0)).to_owned(),
                &expected.slice(s![n % 2..n % 2 + 1, ..]).to_owned(),
            );
        }
        assert_eq!(encoder.embeddings(&[], 64).unwrap().dim(), (0, EMBEDDING));
        assert!(encoder.embeddings(&[mels.slice(s![0, 1.., ..])], 64).is_err());
    }
}

#[test]
fn an_utterance_is_the_mean_of_its_windows() {
    let encoder = Encoder::new(&Device::cpu(), &random()).unwrap();
    let utterances = [samples("vad_speech.wav"), voice("ben_1")].map(|samples| Utterance::new(&samples).unwrap());
    let together = utterance::embeddings(&encoder, &utterances, 5).unwrap();
    for (utterance, together) in utterances.iter().zip(together.rows()) {
        let windows: Vec<_> = utterance.windows().collect();
        let mean = encoder.embeddings(&windows, 64).unwrap().mean_axis(Axis(0)).unwrap();
        let expected = &mean / mean.dot(&mean).sqrt();
        assert!((&expected - &together).iter().all(|difference| difference.abs() < 1e-6));
    }
    let similarities = utterance::similarities(&together);
    assert!(similarities.diag().iter().all(|similarity| (similarity - 1.0).abs() < 1e-5));
    assert_eq!(similarities, similarities.t());
}

#[test]
fn windows_have_pytorchs_embeddings() {
    let Some(weights) = pretrained("embeddings of windows") else { return };
    let (mels, expected) = (mels(), answer("windows").into_dimensionality::<Ix2>().unwrap());
    for device in devices() {
        let encoder = Encoder::new(&device, &weights).unwrap();
        let found = encoder.embeddings(&mels.outer_iter().collect::<Vec<_>>(), 64).unwrap();
        close(device.name(), &found, &expected);
    }
}

/// From samples on: each of the files, one of ten seconds, a quiet one and one that is shorter than a window.
#[test]
fn files_have_the_packages_embeddings() {
    let Some(weights) = pretrained("embeddings of files") else { return };
    let mut sounds: Vec<(&str, Vec<f32>)> = FILES.iter().map(|&name| (name, voice(name))).collect();
    sounds.push(("vad_speech", samples("vad_speech.wav")));
    sounds.push(("quiet", voice("anna_1").iter().map(|sample| sample / 16.0).collect()));
    sounds.push(("short", voice("ben_1")[..9000].to_vec()));
    let utterances: Vec<_> = sounds.iter().map(|(_, samples)| Utterance::new(samples).unwrap()).collect();
    let windows: usize = utterances.iter().map(|utterance| utterance.windows().len()).sum();
    assert!(windows > sounds.len() + 8, "{windows} windows");
    for device in devices() {
        let encoder = Encoder::new(&device, &weights).unwrap();
        let found = utterance::embeddings(&encoder, &utterances, 8).unwrap();
        for ((name, _), row) in sounds.iter().zip(found.rows()) {
            let expected = answer(&format!("embedding.{name}")).into_dimensionality::<Ix1>().unwrap();
            let name = format!("{}, {name}", device.name());
            close(&name, &row.insert_axis(Axis(0)).to_owned(), &expected.insert_axis(Axis(0)));
        }
    }
}

/// Synthetic voices: two sentences of the same one are more alike than any of two.
#[test]
fn a_voice_is_most_like_itself() {
    let Some(weights) = pretrained("similarity of voices") else { return };
    let encoder = Encoder::new(&Device::cpu(), &weights).unwrap();
    let utterances = FILES.map(|name| Utterance::new(&voice(name)).unwrap());
    let similarities = utterance::similarities(&utterance::embeddings(&encoder, &utterances, 64).unwrap());
    let (mut same, mut others) = (1.0_f32, 0.0_f32);
    for ((a, b), &similarity) in similarities.indexed_iter().filter(|((a, b), _)| a < b) {
        if a / 2 == b / 2 { same = same.min(similarity) } else { others = others.max(similarity) }
    }
    println!("one voice {same:.3} at least, two voices {others:.3} at most");
    assert!(same > others, "one voice {same}, two voices {others}");
}

#[test]
fn other_weights_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |name: &str, bytes: Option<&[u8]>, part: &str| {
        let path = folder.path().join(name);
        bytes.map_or(Ok(()), |bytes| std::fs::write(&path, bytes)).unwrap();
        let error = format!("{:#}", Weights::load(&path).map(|_| ()).unwrap_err());
        assert!(error.contains(name) && error.contains(part), "'{error}' lacks '{part}'");
    };
    refused("nowhere.safetensors", None, "make_speakers.py");
    refused("text.safetensors", Some(b"no weights at all"), "");
    let file = |features: usize, linear: usize, weight: f32| {
        let zeros = |count: usize| vec![0_u8; 4 * count];
        let mut tensors: Vec<(String, Vec<usize>, Vec<u8>)> = Vec::new();
        for (layer, inputs) in [features, EMBEDDING, EMBEDDING].into_iter().enumerate() {
            for (name, shape) in [
                ("weight_ih", vec![4 * EMBEDDING, inputs]),
                ("weight_hh", vec![4 * EMBEDDING, EMBEDDING]),
                ("bias_ih", vec![4 * EMBEDDING]),
                ("bias_hh", vec![4 * EMBEDDING]),
            ] {
                let count = shape.iter().product();
                tensors.push((format!("lstm.{name}_l{layer}"), shape, zeros(count)));
            }
        }
        let mut bias = zeros(EMBEDDING);
        bias[..4].copy_from_slice(&weight.to_le_bytes());
        tensors.push(("linear.weight".to_owned(), vec![linear, EMBEDDING], zeros(linear * EMBEDDING)));
        tensors.push(("linear.bias".to_owned(), vec![EMBEDDING], bias));
        let views = tensors
            .iter()
            .map(|(name, shape, data)| (name.as_str(), TensorView::new(Dtype::F32, shape.clone(), data).unwrap()));
        safetensors::serialize(views, None).unwrap()
    };
    let right = file(BANDS, EMBEDDING, 0.5);
    assert!(Weights::from_bytes(&right).is_ok());
    refused("cut.safetensors", Some(&right[..right.len() / 2]), "");
    refused("bands.safetensors", Some(&file(80, EMBEDDING, 0.5)), "LSTM");
    refused("linear.safetensors", Some(&file(BANDS, 64, 0.5)), "linear layer");
    refused("nan.safetensors", Some(&file(BANDS, EMBEDDING, f32::NAN)), "linear.bias is not finite");
    let vad =
        std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/audio/vad/silero_vad_16k.safetensors"));
    refused("vad.safetensors", Some(&vad.unwrap()), "lstm.");
}

#[test]
fn sound_that_has_no_embedding_is_refused() {
    for samples in [&[][..], &[0.0; 20_000]] {
        let error = Utterance::new(samples).map(|_| ()).unwrap_err();
        assert!(error.to_string().contains("no sound"), "{error}");
    }
    // All below 0 before relu.
    let weights =
        Weights { linear: (Array2::zeros((EMBEDDING, EMBEDDING)), Array1::from_elem(EMBEDDING, -1.0)), ..random() };
    let encoder = Encoder::new(&Device::cpu(), &weights).unwrap();
    let error = encoder.embeddings(&mels().outer_iter().collect::<Vec<_>>(), 64).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("no direction"), "{error}");
}

#[test]
fn a_picture_names_files_and_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("similarities.svg");
    let names = ["one".to_owned(), "two".to_owned()];
    picture::draw(&path, &names, &ndarray::array![[1.0, 0.37], [0.37, 1.0]]).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(["one", "two", "0.37", "1.00"].iter().all(|part| text.contains(part)));
    assert!(picture::draw(&folder.path().join("none/a.svg"), &names, &Array2::eye(2)).is_err());
}
