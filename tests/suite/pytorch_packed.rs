//! PyTorch's own numbers for packed sequences: layout, outputs, states and gradients.

use crate::common::gpu;
use crate::golden::numbers;
use ndarray::{Array2, ArrayD, Ix2, Ix3};
use safetensors::SafeTensors;
use serde::Deserialize;
use wgrnn::check::Comparison;
use wgrnn::{
    Bias, Cell, Device, Direction, PackedSequence, Rnn, RnnCall, RnnConfig, RnnWeights, SessionOptions, State,
};

/// As for gradients in `gradients`: sums of float32 in another order than PyTorch's float64.
const TOLERANCE: f64 = 32.0 * f32::EPSILON as f64;

#[derive(Debug, Deserialize)]
struct Case {
    name: String,
    cell: String,
    layers: usize,
    bidirectional: bool,
    proj: usize,
}

fn near(name: &str, got: &ArrayD<f32>, expected: &ArrayD<f32>) {
    let largest = expected.iter().fold(1.0_f32, |largest, x| largest.max(x.abs()));
    let expected = expected.mapv(f64::from);
    let comparison = Comparison::new(name, got.view(), expected.view(), TOLERANCE * f64::from(largest)).unwrap();
    assert!(comparison.count > 0 && comparison.passed(), "{comparison}");
}

#[test]
fn packed_sequences_give_pytorchs_numbers_and_gradients() {
    let bytes = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/pytorch_packed.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
    let cases: Vec<Case> = serde_json::from_str(&metadata.metadata().as_ref().unwrap()["cases"]).unwrap();
    assert_eq!(cases.len(), 12);
    for case in &cases {
        let of = |tensor: &str| format!("{}/{tensor}", case.name);
        let array = |tensor: &str| numbers(&file, &of(tensor));
        let indices = |tensor: &str| -> Option<Vec<usize>> {
            let view = file.tensor(&of(tensor)).ok()?;
            let words = view.data().chunks_exact(4);
            Some(words.map(|b| u32::from_le_bytes(b.try_into().unwrap()) as usize).collect())
        };
        let two = |tensor: &str| array(tensor).unwrap().into_dimensionality::<Ix2>().unwrap();
        let state = |h: &str, c: &str| State {
            h: array(h).unwrap().into_dimensionality::<Ix3>().unwrap(),
            c: array(c).map(|c| c.into_dimensionality::<Ix3>().unwrap()),
        };
        let data = two("data");
        let direction = if case.bidirectional { Direction::Bidirectional } else { Direction::Forward };
        let config = RnnConfig::new(Cell::named(&case.cell).unwrap(), data.ncols(), 4)
            .layers(case.layers)
            .direction(direction)
            .bias(Bias::Two);
        let config = if case.proj > 0 { config.projection(case.proj) } else { config };
        let weights = RnnWeights::from_safetensors(&bytes, &config, &format!("{}/", case.name)).unwrap();

        // PyTorch's four arrays, and what they hold.
        let [sorted, unsorted] = ["sorted_indices", "unsorted_indices"].map(indices);
        let batch_sizes = indices("batch_sizes").unwrap();
        let x = PackedSequence::new(data.clone(), batch_sizes.clone(), sorted.clone(), unsorted.clone()).unwrap();
        let count = indices("lengths").unwrap().len();
        let sequences: Vec<Array2<f32>> = (0..count).map(|n| two(&format!("sequence{n}"))).collect();
        assert_eq!(x.unpack().unwrap(), sequences, "{case:?}");
        let views: Vec<_> = sequences.iter().map(|x| x.view()).collect();
        let packed = PackedSequence::pack(&views).unwrap();
        assert_eq!((packed.batch_sizes(), packed.data()), (&batch_sizes[..], &data), "{case:?}");
        if let Some(sorted) = &sorted {
            assert_eq!((packed.sorted_indices(), packed.unsorted_indices()), (Some(&sorted[..]), unsorted.as_deref()));
        }

        for device in [Device::cpu(), gpu()] {
            let name = |what: &str| format!("{case:?} on {}: {what}", device.name());
            let rnn = Rnn::trainable(&device, &config, &weights).unwrap();
            let initial = state("h0", "c0");
            let got = rnn.forward_packed(&x, Some(&initial), &RnnCall::default()).unwrap();
            let last = state("hn", "cn");
            near(&name("y"), &got.y.data().clone().into_dyn(), &array("output").unwrap());
            near(&name("h"), &got.state.h.into_dyn(), &last.h.into_dyn());
            if let Some(c) = got.state.c {
                near(&name("c"), &c.into_dyn(), &last.c.unwrap().into_dyn());
            }
            let training = rnn.training(SessionOptions::packed(&x.map().unwrap()).unwrap(), false).unwrap();
            training.state().write(&initial).unwrap();
            training.state_gradient().write(&state("dhn", "dcn")).unwrap();
            training.input().write(data.view()).unwrap();
            training.output_gradient().write(two("dy").view()).unwrap();
            training.forward().unwrap();
            training.backward().unwrap();
            let expected = |of: &str| array(&format!("grad/{of}")).unwrap();
            near(&name("dx"), &training.input_gradient().read().unwrap(), &expected("data"));
            let dh = training.state_gradient().read().unwrap();
            near(&name("dh"), &dh.h.into_dyn(), &expected("h0"));
            if let Some(dc) = dh.c {
                near(&name("dc"), &dc.into_dyn(), &expected("c0"));
            }
            for (weight, got) in rnn.parameters().unwrap().gradients().unwrap() {
                near(&name(&weight), &got, &expected(&weight));
            }
        }
    }
}
