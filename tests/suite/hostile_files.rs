//! Weight files that were made to do harm: an error, whatever they say of themselves.

use wgrnn::{Activation, Bias, Cell, Error, RnnConfig, RnnWeights};

/// W and R of one unit of one feature.
fn config() -> RnnConfig {
    RnnConfig::new(Cell::Elman(Activation::Tanh), 1, 1).bias(Bias::None)
}

fn file(header: &str, data: &[u8]) -> Vec<u8> {
    let length = (header.len() as u64).to_le_bytes();
    [&length[..], header.as_bytes(), data].concat()
}

/// A header with the entries of W and R.
fn header(w: &str, r: &str) -> String {
    format!(r#"{{"weight_ih_l0":{w},"weight_hh_l0":{r}}}"#)
}

fn entry(dtype: &str, shape: &str, from: u64, to: u64) -> String {
    format!(r#"{{"dtype":"{dtype}","shape":{shape},"data_offsets":[{from},{to}]}}"#)
}

fn refused(name: &str, bytes: &[u8]) -> String {
    let error = RnnWeights::from_safetensors(bytes, &config(), "").unwrap_err();
    assert!(matches!(error, Error::Safetensors(_)), "{name}: {error}");
    error.to_string()
}

#[test]
fn an_honest_file_is_read() {
    let header = header(&entry("F32", "[1,1]", 0, 4), &entry("F32", "[1,1]", 4, 8));
    let data = [1.5_f32.to_le_bytes(), (-2.0_f32).to_le_bytes()].concat();
    let weights = RnnWeights::from_safetensors(&file(&header, &data), &config(), "").unwrap();
    let layer = &weights.layers()[0][0];
    assert_eq!((layer.w[[0, 0]], layer.r[[0, 0]]), (1.5, -2.0));
}

#[test]
fn a_header_of_a_false_length_is_an_error() {
    let honest = header(&entry("F32", "[1,1]", 0, 4), &entry("F32", "[1,1]", 4, 8));
    for length in [0, 1, 1 << 20, 100_000_000, 1 << 40, i64::MAX as u64, u64::MAX - 7, u64::MAX] {
        let mut bytes = file(&honest, &[0; 8]);
        bytes[..8].copy_from_slice(&length.to_le_bytes());
        refused(&format!("length {length}"), &bytes);
    }
}

#[test]
fn a_header_that_is_no_json_is_an_error() {
    let deep = "[".repeat(100_000);
    for text in ["", "{", "null", "[]", "\"\"", "{\"weight_ih_l0\":1}", "\u{0}\u{0}", &deep] {
        refused(text.get(..20).unwrap_or(text), &file(text, &[0; 8]));
    }
    let mut bytes = file("{}", &[]);
    bytes[8] = 0xff;
    refused("no UTF-8", &bytes);
}

#[test]
fn offsets_that_lie_are_errors() {
    let w = entry("F32", "[1,1]", 0, 4);
    let lies = [
        ("beyond the end", entry("F32", "[1,1]", 8, 12)),
        ("far beyond the end", entry("F32", "[1,1]", u64::MAX - 4, u64::MAX)),
        ("backwards", entry("F32", "[1,1]", 8, 4)),
        ("over the other tensor", entry("F32", "[1,1]", 0, 4)),
        ("partly over the other tensor", entry("F32", "[1,1]", 2, 6)),
        ("too few bytes", entry("F32", "[1,1]", 4, 6)),
        ("a gap", entry("F32", "[1,1]", 5, 9)),
        ("more than the shape", entry("F32", "[1,1]", 4, 12)),
        ("a shape that overflows", entry("F32", &format!("[{0},{0}]", u64::MAX / 2), 4, 8)),
        ("a negative shape", entry("F32", "[-1,-1]", 4, 8)),
    ];
    for (name, r) in lies {
        refused(name, &file(&header(&w, &r), &[0; 8]));
    }
}

#[test]
fn a_type_that_is_no_float_is_an_error_that_names_both() {
    for (dtype, bytes) in [("I64", 8), ("I32", 4), ("U8", 1), ("BOOL", 1), ("F8_E4M3", 1)] {
        let header = header(&entry("F32", "[1,1]", 0, 4), &entry(dtype, "[1,1]", 4, 4 + bytes));
        let text = refused(dtype, &file(&header, &vec![0; 4 + bytes as usize]));
        assert!(text.contains("weight_hh_l0") && text.contains("F32") && text.contains(dtype), "{text}");
        assert!(text.contains("convert it"), "{text}");
    }
    let header = header(&entry("F32", "[1,1]", 0, 4), &entry("F128", "[1,1]", 4, 20));
    refused("F128", &file(&header, &[0; 20]));
}

#[test]
fn floats_of_64_bits_are_rounded_and_those_beyond_32_bits_are_refused() {
    let header = header(&entry("F64", "[1,1]", 0, 8), &entry("F64", "[1,1]", 8, 16));
    let read = |r: f64| {
        let data = [0.1_f64.to_le_bytes(), r.to_le_bytes()].concat();
        RnnWeights::from_safetensors(&file(&header, &data), &config(), "")
    };
    let weights = read(-2.5).unwrap();
    assert_eq!((weights.layers()[0][0].w[[0, 0]], weights.layers()[0][0].r[[0, 0]]), (0.1, -2.5));
    let error = read(1e300).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, Error::Value { .. }) && text.contains("weight_hh_l0") && text.contains("32-bit"), "{text}");
    assert!(matches!(read(f64::NAN), Err(Error::NotFinite { .. })));
}

#[test]
fn two_tensors_of_one_name_are_an_error() {
    let [a, b] = [entry("F32", "[1,1]", 0, 4), entry("F32", "[1,1]", 4, 8)];
    let twice = format!(r#"{{"weight_ih_l0":{a},"weight_hh_l0":{a},"weight_hh_l0":{b},"weight_ih_l0":{b}}}"#);
    refused("twice", &file(&twice, &[0; 8]));
}

/// Files of other formats as they begin, and what the error says they are, and what to do.
#[test]
fn a_file_of_another_format_is_recognised_and_the_error_says_what_to_do() {
    let zip = |name: &str| {
        let mut bytes = b"PK\x03\x04\x14\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0".to_vec();
        bytes.extend((name.len() as u16).to_le_bytes());
        [&bytes[..], &[0, 0], name.as_bytes(), &[0; 400]].concat()
    };
    let tar = [&[b'a'; 257][..], b"ustar\0", &[0; 300]].concat();
    let cases: [(&str, Vec<u8>, [&str; 2]); 24] = [
        ("torch.save", zip("archive/data.pkl"), ["PyTorch", "dialects::pytorch"]),
        ("TorchScript", zip("model/constants.pkl"), ["PyTorch", "dialects::pytorch"]),
        (
            "old torch.save",
            b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02".to_vec(),
            ["PyTorch", "dialects::pytorch"],
        ),
        ("pickle", b"\x80\x04\x95\x10\0\0\0\0\0\0\0}\x94.".to_vec(), ["pickle", "torch.save(model.state_dict()"]),
        ("npz", zip("w.npy"), [".npz", "files::Arrays"]),
        ("keras", zip("metadata.json config.json model.weights.h5"), ["Keras", "dialects::keras"]),
        ("zip", zip("readme.txt"), ["zip", "unpack"]),
        ("h5", b"\x89HDF\r\n\x1a\n\0\0\0\0\0\x08\x08\0".to_vec(), ["HDF5", "dialects::keras"]),
        ("npy", b"\x93NUMPY\x01\0v\0{'descr': '<f4'}".to_vec(), ["NumPy", "files::Arrays"]),
        ("gguf", b"GGUF\x03\0\0\0\x01\0\0\0\0\0\0\0".to_vec(), ["GGUF", "safetensors"]),
        ("onnx", b"\x08\x07\x12\x07pytorch\x1a\x051.9.0:\x10\x0a".to_vec(), ["ONNX", "wgrnn::onnx::Model::load"]),
        ("saved model", b"\x08\x01\x12\xf0\x10\x0a\x0a\x0a\x0a\x0a".to_vec(), ["SavedModel", "save_file"]),
        ("tflite", b"\x1c\0\0\0TFL3\x14\0 \0".to_vec(), ["TensorFlow Lite", "convert"]),
        ("gzip", b"\x1f\x8b\x08\0\0\0\0\0\0\x03".to_vec(), ["gzip", "unpack"]),
        ("zstd", b"\x28\xb5\x2f\xfd\x04\x88\0\0\0\0".to_vec(), ["zstd", "unpack"]),
        ("tar", tar, ["tar", "unpack"]),
        ("empty", Vec::new(), ["empty", "downloaded"]),
        (
            "lfs",
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n".to_vec(),
            ["Git LFS", "git lfs pull"],
        ),
        ("html", b"\n <!DOCTYPE html><html><body>404</body></html>".to_vec(), ["HTML", "server"]),
        ("small html", b"<HTML><head></head></HTML>".to_vec(), ["HTML", "server"]),
        ("xml", b"<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>".to_vec(), ["XML", "server"]),
        (
            "index",
            br#"{"metadata": {}, "weight_map": {"a": "model-1.safetensors"}}"#.to_vec(),
            ["several files", "weight_map"],
        ),
        ("json", br#"{"hidden_size": 256, "layers": 2}"#.to_vec(), ["JSON", "no safetensors"]),
        ("zeros", vec![0; 5000], ["zeros", "downloaded"]),
    ];
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes, parts) in cases {
        let text = refused(name, &bytes);
        assert!(parts.iter().all(|part| text.contains(part)), "{name}: {text}");
        // From a file the error says which, whoever reads it.
        let path = folder.path().join("weights.pt");
        std::fs::write(&path, &bytes).unwrap();
        let text = wgrnn::Trainer::notes(&path).unwrap_err().to_string();
        assert!(text.contains("weights.pt") && parts.iter().all(|part| text.contains(part)), "{name}: {text}");
        let loaded = [
            RnnWeights::load(&path, &config(), "").unwrap_err(),
            wgrnn::dialects::pytorch::load(&path, Cell::Lstm, "").unwrap_err(),
        ];
        for error in loaded {
            let text = error.to_string();
            assert!(text.contains("weights.pt"), "{name}: {text}");
            // What these begin as is read, and ends too early here.
            let is_read = matches!(error, Error::WeightFile { .. });
            assert!(is_read || parts.iter().all(|part| text.contains(part)), "{name}: {text}");
            let begins = ["torch.save", "TorchScript", "old torch.save", "npz", "keras", "zip", "h5", "npy"];
            assert_eq!(is_read, begins.contains(&name), "{name}: {text}");
        }
    }
}

/// A length of a header may look like anything: only what can't be read is looked at so.
#[test]
fn a_file_that_begins_as_another_format_does_is_read_where_it_is_one() {
    let honest = header(&entry("F32", "[1,1]", 0, 4), &entry("F32", "[1,1]", 4, 8));
    // The first bytes of a pickle, and of an ONNX model with its next field.
    for length in [0x280, 0x12_0708] {
        let padded = format!("{honest}{}", " ".repeat(length - honest.len()));
        assert!(RnnWeights::from_safetensors(&file(&padded, &[0; 8]), &config(), "").is_ok(), "{length:x}");
    }
}
