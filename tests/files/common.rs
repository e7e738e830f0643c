//! Fixtures: files, and what their makers compute with the weights in them.

use serde::Deserialize;
use std::path::PathBuf;
use wgrnn::files::Arrays;
use wgrnn::ndarray::{Array3, ArrayD, ArrayViewD, Ix3};
use wgrnn::{Cell, Device, Rnn, RnnCall, RnnConfig, RnnWeights};

/// Expected values are computed in float64. Sums of fewer than 32 terms near 1 round by some ε each, and states carry that
/// on for five steps: 16 ε, as other layers are compared with PyTorch's.
const TOLERANCE: f32 = 16.0 * f32::EPSILON;

pub fn folder(name: &str) -> PathBuf {
    PathBuf::from(format!("{}/fixtures/{name}", env!("CARGO_MANIFEST_DIR")))
}

pub fn read(name: &str) -> Vec<u8> {
    std::fs::read(folder(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// A case's entry in the list of its fixture.
#[derive(Debug, Deserialize)]
pub struct Case {
    pub name: String,
    pub file: String,
    pub cell: String,
    pub prefix: String,
}

impl Case {
    pub fn cell(&self) -> Cell {
        Cell::named(&self.cell).unwrap_or_else(|| panic!("{}: unknown cell {}", self.name, self.cell))
    }
}

/// What is expected, and the list of cases.
pub fn expected(name: &str) -> (Arrays<'static>, Vec<Case>) {
    let path = folder(name);
    let bytes = std::fs::read(&path).unwrap();
    let (_, metadata) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let cases = serde_json::from_str(&metadata.metadata().as_ref().unwrap()["cases"]).unwrap();
    (Arrays::load(path).unwrap(), cases)
}

pub fn equal(name: &str, got: ArrayViewD<'_, f32>, expected: ArrayViewD<'_, f32>) {
    assert_eq!(got.shape(), expected.shape(), "{name}");
    let largest = expected.iter().fold(1.0_f32, |largest, x| largest.max(x.abs()));
    let difference = got.iter().zip(expected).fold(0.0_f32, |most, (a, b)| most.max((a - b).abs()));
    assert!(difference <= TOLERANCE * largest, "{name}: {difference} apart");
}

/// What a layer of these weights gives for [T, N, I].
pub fn output(config: &RnnConfig, weights: RnnWeights, x: ArrayD<f32>) -> ArrayD<f32> {
    let rnn = Rnn::new(&Device::cpu(), config, weights).unwrap();
    let x: Array3<f32> = x.into_dimensionality::<Ix3>().unwrap();
    rnn.forward_with(x.view(), None, &RnnCall::default()).unwrap().y
}
