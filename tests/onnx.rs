//! ONNX nodes: the operator tests of the `onnx` package, as models and as files.

#[allow(dead_code, reason = "the example uses all of it")]
#[path = "../examples/onnx_conformance/case.rs"]
mod case;
#[path = "onnx/damaged.rs"]
mod damaged;
#[path = "onnx/graph.rs"]
mod graph;
#[path = "onnx/held.rs"]
mod held;
#[path = "onnx/memory.rs"]
mod memory;
#[path = "onnx/sources.rs"]
mod sources;
#[path = "onnx/write.rs"]
mod write;

use ndarray::{Array3, Axis};
use std::path::PathBuf;
use wgrnn::onnx::{Inputs, Model, Tensor};
use wgrnn::{Device, Error};

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/onnx").join(name)
}

#[test]
fn the_nodes_of_the_onnx_package_give_its_numbers() {
    for device in [Device::gpu().unwrap(), Device::cpu()] {
        let folders = case::find(&[folder("")]).unwrap();
        assert_eq!(folders.len(), 18);
        for folder in &folders {
            for comparison in case::run(&device, folder).unwrap() {
                assert!(comparison.passed(), "{}, {}: {comparison}", device.name(), folder.display());
            }
        }
    }
}

/// Most of the package's nodes have all weights equal, which hides an order of gates; these do not.
#[test]
fn random_nodes_give_onnx_runtimes_numbers() {
    for device in [Device::gpu().unwrap(), Device::cpu()] {
        let folders = case::find(&[folder("../onnx_random")]).unwrap();
        assert_eq!(folders.len(), 30);
        for folder in folders {
            for comparison in case::run(&device, &folder).unwrap() {
                assert!(comparison.passed(), "{}, {}: {comparison}", device.name(), folder.display());
            }
        }
    }
}

/// The specification says nothing of it; ONNX Runtime's state is 0 then, even where the initial one is not.
#[test]
fn a_sequence_of_no_step_has_outputs_of_zero() {
    let model = Model::from_bytes(&bytes("test_lstm_batchwise")).unwrap();
    let node = model.nodes().remove(0).unwrap();
    let of = |shape: [usize; 3]| Tensor::Numbers(Array3::from_elem(shape, 0.1).into_dyn());
    let (w, r) = (of([1, 28, 2]), of([1, 28, 7]));
    let layer = node.layer(&Device::cpu(), &[("W", &w), ("R", &r)]).unwrap();
    let (x, h) = (Array3::ones((3, 4, 2)), Array3::ones((3, 1, 7)));
    let run = |lengths: [usize; 3]| {
        let states = Inputs::new(x.view()).h(Some(h.view())).c(Some(h.view()));
        layer.run(&states.lengths(Some(lengths.to_vec()))).unwrap()
    };
    let (some, all) = (run([4, 0, 2]), run([4, 4, 2]));
    for n in [0, 2] {
        assert_eq!(some.y.index_axis(Axis(0), n), all.y.index_axis(Axis(0), n));
        assert_eq!(some.h.index_axis(Axis(0), n), all.h.index_axis(Axis(0), n));
    }
    let (c, none) = (some.c.unwrap(), run([0, 0, 0]));
    assert!(some.y.index_axis(Axis(0), 1).iter().chain(c.index_axis(Axis(0), 1)).all(|&y| y == 0.0));
    assert!(none.y.iter().chain(&none.h).chain(none.c.iter().flatten()).all(|&y| y == 0.0));
    assert_eq!((none.y.shape(), none.h.shape()), (all.y.shape(), all.h.shape()));
}

fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(folder(name).join("model.onnx")).unwrap()
}

#[test]
fn damaged_files_are_errors() {
    let whole = bytes("test_gru_defaults");
    for end in 0..whole.len() {
        assert!(Model::from_bytes(&whole[..end]).is_err(), "cut off at {end}");
    }
    assert!(matches!(Model::from_bytes(b"no protobuf"), Err(Error::Onnx(_))));
    assert!(matches!(Model::from_bytes(&[]), Err(Error::Onnx(_))));
    assert!(matches!(Model::load(folder("none")), Err(Error::File { .. })));
    assert!(matches!(Tensor::load(folder("test_gru_defaults").join("model.onnx")), Err(Error::Onnx(_))));
}

#[test]
fn errors_say_which_tensor_of_which_node() {
    let model = Model::from_bytes(&bytes("test_gru_defaults")).unwrap();
    let node = model.nodes().remove(0).unwrap();
    let device = Device::cpu();
    assert_eq!(model.inputs().collect::<Vec<_>>(), ["X", "W", "R"]);
    let error = node.layer(&device, &[]).unwrap_err().to_string();
    assert!(error.contains("W ('W') of GRU"), "{error}");
    let of = |shape: [usize; 3]| Tensor::Numbers(Array3::zeros(shape).into_dyn());
    let (w, r, flat) = (of([1, 15, 2]), of([1, 15, 5]), of([1, 15, 4]));
    let error = node.layer(&device, &[("W", &w), ("R", &flat)]).unwrap_err().to_string();
    assert!(error.contains("R ('R')") && error.contains("[1, 15, 5]") && error.contains("[1, 15, 4]"), "{error}");
    assert!(model.node("none").is_err());

    let layer = node.layer(&device, &[("W", &w), ("R", &r)]).unwrap();
    let (x, h) = (Array3::zeros((3, 4, 2)), Array3::zeros((1, 2, 5)));
    let error = layer.run(&Inputs::new(x.view()).h(Some(h.view()))).unwrap_err().to_string();
    assert!(error.contains("initial_h") && error.contains("[1, 4, 5]"), "{error}");
    let h = Array3::zeros((1, 4, 5));
    assert!(layer.run(&Inputs::new(x.view()).c(Some(h.view()))).is_err());
    assert_eq!(layer.run(&Inputs::new(x.view())).unwrap().y.shape(), [3, 1, 4, 5]);
}
