//! Keras's own numbers for masks in any place.

use ndarray::{Array2, ArrayD, Axis, Ix2, Ix3, stack};
use safetensors::SafeTensors;
use serde::Deserialize;
use wgrnn::check::Comparison;
use wgrnn::dialects::keras::{Layer, Merge, Reads, Weights};
use wgrnn::{Activation, Cell, Device, Reset, RnnConfig, State};

use crate::common::gpu;
use crate::golden::numbers;

/// As in `golden`: roundings of sums and of exp, relative to the largest number.
const TOLERANCE: f64 = 16.0 * f32::EPSILON as f64;

#[derive(Debug, Deserialize)]
struct Case {
    name: String,
    layer: String,
    reset_after: Option<bool>,
    reads: String,
    zero: bool,
    stack: usize,
    states: usize,
}

impl Case {
    fn config(&self) -> RnnConfig {
        let cell = match (&*self.layer, self.reset_after) {
            ("SimpleRNN", _) => Cell::Elman(Activation::Tanh),
            ("LSTM", _) => Cell::Lstm,
            ("GRU", Some(true)) => Cell::Gru(Reset::After),
            ("GRU", Some(false)) => Cell::Gru(Reset::Before),
            other => panic!("{other:?}"),
        };
        RnnConfig::new(cell, 1, 1)
    }

    fn reads(&self) -> Reads {
        match &*self.reads {
            "forward" => Reads::Forward,
            "backward" => Reads::Backward,
            "concat" => Reads::Both(Merge::Concat),
            "sum" => Reads::Both(Merge::Sum),
            "mul" => Reads::Both(Merge::Mul),
            "ave" => Reads::Both(Merge::Ave),
            other => panic!("{other}"),
        }
    }
}

fn near(name: &str, got: ArrayD<f32>, expected: &ArrayD<f32>) {
    let largest = expected.iter().fold(1.0_f32, |largest, x| largest.max(x.abs()));
    let expected = expected.mapv(f64::from);
    let comparison = Comparison::new(name, got.view(), expected.view(), TOLERANCE * f64::from(largest)).unwrap();
    assert!(comparison.count > 0 && comparison.passed(), "{comparison}");
}

#[test]
fn masked_keras_layers_give_kerass_numbers() {
    let bytes = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/keras_masks.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
    let cases: Vec<Case> = serde_json::from_str(&metadata.metadata().as_ref().unwrap()["cases"]).unwrap();
    assert_eq!(cases.len(), 44);
    for (i, case) in cases.iter().enumerate() {
        let mut x = numbers(&file, &format!("{}/x", case.name)).unwrap().into_dimensionality::<Ix3>().unwrap();
        for level in 0..case.stack {
            let of = |tensor: &str| format!("{}/{level}/{tensor}", case.name);
            let two = |tensor: &str| numbers(&file, &of(tensor)).unwrap().into_dimensionality::<Ix2>().unwrap();
            let directions = if matches!(case.reads(), Reads::Both(_)) { 2 } else { 1 };
            let weights: Vec<_> = (0..directions)
                .map(|d| Weights {
                    kernel: two(&format!("weight{}", 3 * d)),
                    recurrent_kernel: two(&format!("weight{}", 3 * d + 1)),
                    bias: numbers(&file, &of(&format!("weight{}", 3 * d + 2))),
                })
                .collect();
            let view = file.tensor(&of("mask")).unwrap();
            let mask = view.data().iter().map(|&byte| byte != 0).collect();
            let mask = Array2::from_shape_vec((view.shape()[0], view.shape()[1]), mask).unwrap();
            // Keras: forward h, forward c, backward h, backward c.
            let each = case.states / directions;
            let state = |name: &str, first: usize| {
                let rows: Vec<_> = (0..directions).map(|d| two(&format!("{name}{}", d * each + first))).collect();
                match &*rows {
                    [one] => one.clone().insert_axis(Axis(0)),
                    [one, other] => stack![Axis(0), *one, *other],
                    _ => panic!("{directions} directions"),
                }
            };
            let has_c = each == 2;
            let initial = State { h: state("initial", 0), c: has_c.then(|| state("initial", 1)) };
            for device in [Some(Device::cpu()), (i % 3 == 0).then(gpu)].into_iter().flatten() {
                let layer = Layer::new(&device, &case.config(), &weights, case.reads()).unwrap();
                let layer = layer.zero_output_for_mask(case.zero);
                let got = layer.run_masked(x.view(), mask.view(), Some(&initial)).unwrap();
                let name = format!("{case:?}, layer {level} on {}", device.name());
                let expected = |name: &str| numbers(&file, &of(name)).unwrap();
                near(&format!("{name}: sequences"), got.sequences.into_dyn(), &expected("sequences"));
                near(&format!("{name}: last"), got.last.into_dyn(), &expected("last"));
                near(&format!("{name}: h"), got.state.h.into_dyn(), &state("state", 0).into_dyn());
                if let Some(c) = got.state.c {
                    near(&format!("{name}: c"), c.into_dyn(), &state("state", 1).into_dyn());
                }
            }
            x = numbers(&file, &of("sequences")).unwrap().into_dimensionality::<Ix3>().unwrap();
        }
    }
}
