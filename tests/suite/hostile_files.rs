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
fn a_type_that_is_no_float_of_up_to_32_bits_is_an_error_that_names_both() {
    for (dtype, bytes) in [("F64", 8), ("I32", 4), ("U8", 1), ("BOOL", 1)] {
        let header = header(&entry("F32", "[1,1]", 0, 4), &entry(dtype, "[1,1]", 4, 4 + bytes));
        let text = refused(dtype, &file(&header, &vec![0; 4 + bytes as usize]));
        assert!(text.contains("weight_hh_l0") && text.contains("F32") && text.contains(dtype), "{text}");
    }
    let header = header(&entry("F32", "[1,1]", 0, 4), &entry("F128", "[1,1]", 4, 20));
    refused("F128", &file(&header, &[0; 20]));
}
