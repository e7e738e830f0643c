//! Files of NumPy.

use crate::common::{folder, read};
use wgrnn::dialects::pytorch;
use wgrnn::files::{Arrays, Format};
use wgrnn::ndarray::{Array, Array2};
use wgrnn::{Cell, RnnConfig, RnnWeights};

#[test]
fn arrays_of_every_type_and_order_are_read() {
    let matrix = Array2::from_shape_fn((3, 4), |(i, j)| (4 * i + j) as f32 / 4.0 - 1.0).into_dyn();
    for name in ["arrays.npz", "compressed.npz"] {
        let bytes = read(&format!("numpy_files/{name}"));
        let arrays = Arrays::from_bytes(&bytes).unwrap();
        assert_eq!(arrays.format(), Format::NumPy);
        for kind in ["f2", "f4", "f8", ">f2", ">f4", ">f8"] {
            assert_eq!(arrays.get(&format!("{kind}.weight")).unwrap(), matrix, "{name} {kind}");
        }
        assert_eq!(arrays.get("fortran").unwrap(), matrix, "{name}");
        let cube = Array::from_shape_fn((2, 3, 4), |(i, j, k)| (12 * i + 4 * j + k) as f32 / 4.0);
        assert_eq!(arrays.get("fortran.cube").unwrap(), cube.into_dyn(), "{name}");
        assert_eq!(arrays.get("scalar").unwrap().into_raw_vec_and_offset().0, [0.5]);
        assert_eq!(arrays.get("empty").unwrap().shape(), [0, 4]);
        for (other, kind) in [("whole", "I64"), ("complex", "complex"), ("text", "text"), ("structured", "structured")]
        {
            let text = arrays.get(other).unwrap_err().to_string();
            assert!(text.contains(kind) && text.contains(other), "{text}");
        }
    }
    let alone = Arrays::load(folder("numpy_files/array.npy")).unwrap();
    assert_eq!(alone.get("array").unwrap(), matrix);
}

#[test]
fn python_objects_are_never_unpickled() {
    let bytes = read("numpy_files/objects.npz");
    let arrays = Arrays::from_bytes(&bytes).unwrap();
    assert!(arrays.get("a").unwrap_err().to_string().contains("Python objects"));
    assert_eq!(arrays.get("b").unwrap().len(), 1);
    let alone = read("numpy_files/objects.npy");
    let alone = Arrays::from_bytes(&alone).unwrap();
    assert!(alone.get("array").unwrap_err().to_string().contains("Python objects"));
}

#[test]
fn weights_with_pytorchs_names_are_read_from_npz() {
    let path = folder("numpy_files/lstm.npz");
    let (config, weights) = pytorch::load(&path, Cell::Lstm, "rnn.").unwrap();
    assert_eq!((config.input_size(), config.hidden_size()), (2, 3));
    assert_eq!(RnnWeights::load(&path, &RnnConfig::new(Cell::Lstm, 2, 3), "rnn.").unwrap(), weights);
    let w = Arrays::load(&path).unwrap().get("rnn.weight_ih_l0").unwrap();
    assert_eq!(weights.layers()[0][0].w.clone().into_dyn(), w);
}

#[test]
fn headers_that_lie_are_errors() {
    let npy = |header: &str, data: usize| {
        [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), &vec![0; data]].concat()
    };
    let honest = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }";
    assert!(Arrays::from_bytes(&npy(honest, 8)).unwrap().get("array").is_ok());
    let deep = format!("{{'descr': {}", "[".repeat(60_000));
    let cases = [
        ("too few bytes", npy(honest, 7)),
        ("too many bytes", npy(honest, 12)),
        ("no header", npy("", 8)),
        ("no shape", npy("{'descr': '<f4', 'fortran_order': False}", 8)),
        ("a negative size", npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-2,)}", 8)),
        ("a size that overflows", npy("{'descr': '<f4', 'fortran_order': True, 'shape': (9223372036854775807, 8)}", 8)),
        (
            "sizes that overflow to 0",
            npy("{'descr': '<f4', 'fortran_order': True, 'shape': (4294967296, 4294967296)}", 0),
        ),
        ("no order", npy("{'descr': '<f4', 'fortran_order': 1, 'shape': (2,)}", 8)),
        ("a shape that is not closed", npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2,", 8)),
        ("nesting", npy(&deep, 8)),
        ("another version", b"\x93NUMPY\x09\x00\x00\x00".to_vec()),
        ("a header beyond the end", b"\x93NUMPY\x02\x00\xff\xff\xff\xff".to_vec()),
        ("nothing else", b"\x93NUMPY".to_vec()),
    ];
    for (name, bytes) in cases {
        let error = Arrays::from_bytes(&bytes).map(|_| ()).expect_err(name);
        assert!(error.to_string().starts_with("NumPy file"), "{name}: {error}");
    }
}
