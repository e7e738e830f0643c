//! Files of other formats, by how they begin.

/// What a file is that is no ONNX model, and what reads it; none where its first bytes do not tell.
pub(super) fn recognize(bytes: &[u8]) -> Option<&'static str> {
    if is_safetensors(bytes) {
        return Some(
            "this is a safetensors file, which holds weights and no graph: read it with `RnnWeights::load` or \
             `dialects::pytorch::load`",
        );
    }
    let begins = |magic: &[u8]| bytes.starts_with(magic);
    let holds = |magic: &[u8]| bytes.get(4..8) == Some(magic);
    Some(match () {
        () if begins(b"PK\x03\x04") || begins(b"PK\x05\x06") => {
            "this is a zip archive, as `torch.save` writes .pt and .pth files, Keras .keras and NumPy .npz, which holds weights \
             and no graph: `dialects::pytorch`, `dialects::keras` and `files::Arrays` read them; for the graph, export the \
             model with `torch.onnx.export`"
        }
        () if begins(b"\x80") && matches!(bytes.get(1), Some(2..=5)) => {
            "this is a Python pickle, as `torch.save` wrote .pt and .pth files, which holds weights and no graph: \
             `dialects::pytorch` reads them; for the graph, export the model with `torch.onnx.export`"
        }
        () if begins(b"\x89HDF\r\n\x1a\n") => {
            "this is an HDF5 file, as Keras writes .h5 files: `dialects::keras` reads the weights of its layers; for the graph, \
             export the model with tf2onnx"
        }
        () if holds(b"ORTM") => {
            "this is a model in ONNX Runtime's own format (.ort): take the .onnx file it was made from"
        }
        () if holds(b"TFL3") => "this is a TensorFlow Lite model: convert it with tf2onnx",
        () if begins(b"\x93NUMPY") => "this is a NumPy array (.npy), no ONNX file: `files::Arrays` reads it",
        () if begins(b"\x1f\x8b") => "this is a gzip file: unpack it first",
        () if begins(b"version https://git-lfs") => {
            "this is a pointer of Git LFS, not the file itself: fetch it with `git lfs pull`"
        }
        () if begins(b"<") || begins(b"{") => {
            "this is text (HTML, XML or JSON), no ONNX file: was it downloaded whole?"
        }
        () if bytes.is_empty() => "the file is empty",
        () => return None,
    })
}

/// Eight bytes for the length of a header in JSON, then the header.
fn is_safetensors(bytes: &[u8]) -> bool {
    let Some((length, rest)) = bytes.split_first_chunk::<8>() else { return false };
    // The format's own limit.
    rest.starts_with(b"{") && (2..=100_000_000).contains(&u64::from_le_bytes(*length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_formats_are_recognized_by_how_they_begin() {
        let safetensors = [&56_u64.to_le_bytes()[..], b"{\"w\":"].concat();
        for (bytes, part) in [
            (&safetensors[..], "safetensors"),
            (b"PK\x03\x04\x00\x00", "zip"),
            (b"\x80\x02}q\x00", "pickle"),
            (b"\x89HDF\r\n\x1a\n", "HDF5"),
            (b"\x18\x00\x00\x00ORTM", ".ort"),
            (b"version https://git-lfs.github.com/spec/v1", "LFS"),
            (b"<!DOCTYPE html>", "HTML"),
            (b"", "empty"),
        ] {
            assert!(recognize(bytes).is_some_and(|text| text.contains(part)), "{part}");
        }
        assert_eq!(recognize(b"\x08\x08\x12\x04test"), None);
    }
}
