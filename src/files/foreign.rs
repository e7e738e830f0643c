//! Files that are no safetensors file, known by their first bytes.

/// What reads files of other frameworks.
const READ: &str = if cfg!(feature = "files") {
    "wgrnn::files::Arrays, RnnWeights::load and those of dialects::pytorch and dialects::keras read it"
} else {
    "the cargo feature `files` of wgrnn reads it; this build was made without"
};

/// What a file is that could not be read as safetensors, and what to do with it; none where it is not known.
pub(super) fn foreign(bytes: &[u8]) -> Option<String> {
    let begins = |magic: &[u8]| bytes.starts_with(magic);
    let text = |what: &str, advice: &str| Some(format!("this is {what}, no safetensors file: {advice}"));
    match bytes {
        [] => return Some("the file is empty: it was not written or downloaded to its end".to_owned()),
        _ if begins(b"PK\x03\x04") || begins(b"PK\x05\x06") => return Some(zip(bytes)),
        // The number that torch.save began its files with before it made zip files.
        _ if begins(b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19") => {
            return text("a PyTorch file in its old pickled form (.pt, .pth)", READ);
        }
        [0x80, 2..=5, ..] => {
            return text(
                "a Python pickle (.pkl)",
                "torch.save(model.state_dict(), \"model.pt\") and numpy.savez write weights",
            );
        }
        _ if begins(b"\x89HDF\r\n\x1a\n") => {
            return text("an HDF5 file (.h5, .weights.h5 of Keras)", READ);
        }
        _ if begins(b"\x93NUMPY") => {
            return text("a NumPy array (.npy)", READ);
        }
        _ if begins(b"GGUF") || begins(b"lmgg") || begins(b"tjgg") => {
            return text("a GGUF or GGML file", "convert the model's original weights to safetensors instead");
        }
        [0x08, 1, 0x12, ..] => {
            return text("a TensorFlow SavedModel", "write its variables with safetensors.numpy.save_file");
        }
        [0x08, 2..=32, 0x12 | 0x1a | 0x22 | 0x2a | 0x32 | 0x3a | 0x42, ..] => {
            return text("an ONNX model (.onnx)", "wgrnn::onnx::Model::load reads it");
        }
        [_, _, _, _, b'T', b'F', b'L', b'3', ..] => {
            return text("a TensorFlow Lite model (.tflite)", "convert the model it was made from instead");
        }
        _ if bytes.get(257..262) == Some(b"ustar") => return text("a tar archive", "unpack it first"),
        _ => {}
    }
    let packed: [(&[u8], &str); 5] = [
        (b"\x1f\x8b", "gzip"),
        (b"\x28\xb5\x2f\xfd", "zstd"),
        (b"\xfd7zXZ\0", "xz"),
        (b"BZh", "bzip2"),
        (b"7z\xbc\xaf\x27\x1c", "7z"),
    ];
    if let Some((_, name)) = packed.iter().find(|(magic, _)| begins(magic)) {
        return text(&format!("a file compressed with {name}"), "unpack it first");
    }
    of_text(bytes)
}

/// The kinds of text that come in the place of a file.
fn of_text(bytes: &[u8]) -> Option<String> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let start = bytes.iter().position(|byte| !byte.is_ascii_whitespace())?;
    let begin = bytes[start..].iter().take(64).map(u8::to_ascii_lowercase).collect::<Vec<_>>();
    let begins = |text: &[u8]| begin.starts_with(text);
    let known = if begins(b"version https://git-lfs.github.com/") {
        "this is a Git LFS pointer, not the file itself: `git lfs pull` fetches it"
    } else if begins(b"<!doctype html") || begins(b"<html") || begins(b"<head") {
        "this is an HTML page, no safetensors file: a server gave a page (an error, or a login) in its place"
    } else if begins(b"<?xml") {
        "this is an XML document, no safetensors file: a server gave an error in its place"
    } else if begins(b"{") && has(bytes, b"\"weight_map\"") {
        "this is the index of a model in several files: load the .safetensors files that its weight_map names"
    } else if begins(b"{") || begins(b"[") {
        "this is JSON text, no safetensors file"
    } else if bytes.iter().take(4096).all(|&byte| byte == 0) {
        "the file begins with nothing but zeros: it was not written or downloaded to its end"
    } else {
        return None;
    };
    Some(known.to_owned())
}

/// A zip file, by the names in it: at its begin is the first one, at its end all of them.
fn zip(bytes: &[u8]) -> String {
    let parts = [&bytes[..bytes.len().min(1 << 12)], &bytes[bytes.len().saturating_sub(1 << 16)..]];
    let names = |name: &[u8]| parts.iter().any(|part| has(part, name));
    if names(b"data.pkl") || names(b"constants.pkl") {
        format!("this is a PyTorch file (.pt, .pth), pickled tensors in a zip file, no safetensors file: {READ}")
    } else if names(b"model.weights.h5") || names(b"metadata.json") && names(b"config.json") {
        format!("this is a Keras model (.keras), no safetensors file: {READ}")
    } else if names(b".npy") {
        format!("this is a file of NumPy arrays (.npz), no safetensors file: {READ}")
    } else {
        "this is a zip file, no safetensors file: unpack it first".to_owned()
    }
}

fn has(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
