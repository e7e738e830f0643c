//! Files that were damaged, or made to do harm: an error that says what is wrong, no panic, and no memory beyond a small multiple
//! of the file.

use crate::common::{folder, read};
use crate::memory::most_held_by;
use rand_mt::Mt;
use std::io::{Cursor, Write};
use wgrnn::dialects::pytorch;
use wgrnn::files::Arrays;
use wgrnn::{Cell, Error};

/// Every file of a folder of fixtures with one of these endings.
fn files(folder_name: &str) -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(folder(folder_name)).unwrap();
    let ends = ["pt", "npz", "npy", "h5", "keras"];
    let is_file = |path: &std::path::PathBuf| path.extension().is_some_and(|end| ends.iter().any(|own| end == *own));
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).filter(is_file).collect();
    paths.sort();
    paths.iter().map(|p| (p.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(p).unwrap())).collect()
}

/// Bytes held for each byte of a file, at most, and what small files may cost besides. The worst are pickles of empty lists: a value
/// of 32 bytes for every third byte and a copy of them while their list grows, and four bytes of a stack that grows so too.
const FACTOR: usize = 36;
const SMALL: usize = 1 << 20;

fn opened(bytes: &[u8]) -> Result<Arrays<'_>, Error> {
    let (arrays, held) = most_held_by(|| Arrays::from_bytes(bytes));
    // An object of an HDF5 file may claim 65,535 messages of 56 bytes, for which there is room for a while, twice over.
    let has_objects = bytes.windows(4).take(1 << 17).any(|part| part == b"\x89HDF");
    let small = if has_objects { 8 * SMALL } else { SMALL };
    assert!(held <= FACTOR * bytes.len() + small, "{held} bytes were held for a file of {}", bytes.len());
    arrays
}

/// All numbers of a file, or its error: reading never panics.
fn numbers(bytes: &[u8]) -> Result<usize, Error> {
    let arrays = opened(bytes)?;
    let mut count = 0;
    for name in arrays.names() {
        match arrays.get(name) {
            Ok(array) => count += array.len(),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
    // What the documentation promises.
    assert!(4 * count <= 16 * bytes.len() + (1 << 16), "{count} numbers of {} bytes", bytes.len());
    Ok(count)
}

fn refused(name: &str, bytes: &[u8], parts: &[&str]) {
    let error = opened(bytes).map(|_| ()).expect_err(name);
    let text = error.to_string();
    assert!(matches!(error, Error::WeightFile { .. } | Error::Safetensors(_)), "{name}: {error:?}");
    assert!(parts.iter().all(|part| text.contains(part)), "{name}: {text}");
}

/// A zip archive of stored parts.
fn archive(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = rawzip::ZipArchiveWriter::new(Cursor::new(Vec::new()));
    for (name, data) in parts {
        let (mut entry, config) = writer.new_file(rawzip::path::EntryPath::verbatim(name.as_bytes())).start().unwrap();
        let mut into = config.wrap(&mut entry);
        into.write_all(data).unwrap();
        let (_, descriptor) = into.finish().unwrap();
        entry.finish(descriptor).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// A file with one storage, of 8 bytes.
fn file(pickle: &[u8]) -> Vec<u8> {
    archive(&[("a/data.pkl", pickle), ("a/byteorder", b"little"), ("a/data/0", &[0; 8])])
}

fn text(text: &str) -> Vec<u8> {
    [b"X", &(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat()
}

fn whole(number: i64) -> Vec<u8> {
    [&b"\x8a\x08"[..], &number.to_le_bytes()].concat()
}

/// A dict with one tensor, `w`: of a storage `key` of `count` numbers, with this offset, sizes and strides.
fn tensor(class: &str, key: &str, count: i64, offset: i64, sizes: &[i64], strides: &[i64]) -> Vec<u8> {
    let tuple = |numbers: &[i64]| {
        [b"(".to_vec(), numbers.iter().flat_map(|&number| whole(number)).collect(), b"t".to_vec()].concat()
    };
    [
        b"\x80\x02}".to_vec(),
        text("w"),
        b"ctorch._utils\n_rebuild_tensor_v2\n((".to_vec(),
        text("storage"),
        format!("ctorch\n{class}\n").into_bytes(),
        text(key),
        text("cpu"),
        whole(count),
        b"tQ".to_vec(),
        whole(offset),
        tuple(sizes),
        tuple(strides),
        b"\x89}tRs.".to_vec(),
    ]
    .concat()
}

#[test]
fn an_honest_file_of_the_tests_own_making_is_read() {
    let bytes = file(&tensor("FloatStorage", "0", 2, 0, &[2], &[1]));
    let arrays = Arrays::from_bytes(&bytes).unwrap();
    assert_eq!(arrays.get("w").unwrap().as_slice(), Some(&[0.0, 0.0][..]));
}

#[test]
fn a_file_that_was_cut_off_is_an_error_at_every_length() {
    for (name, bytes) in [files("pytorch_files"), files("numpy_files")].concat() {
        // Nothing is read of Python's objects, whatever their length.
        for length in 0..if name == "objects.npy" { 100 } else { bytes.len() } {
            assert!(numbers(&bytes[..length]).is_err(), "{name} at {length} of {} bytes", bytes.len());
        }
        assert!(numbers(&bytes).unwrap() > 0 || name == "objects.npy", "{name}");
    }
    // Files of tens of kilobytes: the first thousands of bytes and the last, and every 97th between.
    for (name, bytes) in files("keras_files") {
        let length = bytes.len();
        for length in (0..3000).chain((3000..length).step_by(97)).chain(length - 3000..length) {
            // Their last bytes may be padding.
            if numbers(&bytes[..length]).is_ok() {
                assert_eq!(&bytes[length..], vec![0; bytes.len() - length], "{name} at {length} of {}", bytes.len());
            }
        }
        assert!(numbers(&bytes).unwrap() > 0, "{name}");
    }
}

#[test]
fn a_flipped_bit_is_an_error_or_changes_numbers_only() {
    let names = ["lstm.pt", "lstm_old.pt", "deflated.pt", "script.pt", "strided.pt"]
        .map(|name| format!("pytorch_files/{name}"));
    let others = ["numpy_files/arrays.npz", "numpy_files/compressed.npz", "keras_files/float16.weights.h5"];
    for name in names.into_iter().chain(others.map(str::to_owned)) {
        let bytes = read(&name);
        let honest = numbers(&bytes).unwrap();
        let (mut errors, mut changed) = (0, bytes.clone());
        for bit in 0..8 * bytes.len() {
            changed[bit / 8] ^= 1 << (bit % 8);
            match numbers(&changed) {
                Ok(count) => assert!(count <= 4 * honest, "{name}, bit {bit}: {count} numbers in place of {honest}"),
                Err(error) => {
                    errors += 1;
                    assert!(!error.to_string().is_empty());
                }
            }
            changed[bit / 8] ^= 1 << (bit % 8);
        }
        // Zip archives have checksums of all that is read; HDF5 files have gaps.
        assert!(errors > bytes.len() / 4, "{name}: {errors} errors");
    }
}

#[test]
fn twenty_thousand_files_with_random_damage_do_no_harm() {
    let files = ["pytorch_files", "numpy_files", "keras_files"].map(files).concat();
    let mut random = Mt::new(7);
    let mut below = |bound: usize| random.next_u32() as usize % bound.max(1);
    let (mut read, mut refused) = (0, 0);
    for _ in 0..20_000 {
        let mut bytes = files[below(files.len())].1.clone();
        for _ in 0..=below(3) {
            if bytes.is_empty() {
                break;
            }
            let at = below(bytes.len());
            let end = (at + 1 + below(12)).min(bytes.len());
            match below(6) {
                0 => bytes[at] = below(256) as u8,
                1 => bytes.truncate(at),
                2 => drop(bytes.drain(at..end)),
                3 => bytes[at..end].fill(0xff),
                4 => {
                    let copy = bytes[at..end].to_vec();
                    let to = below(bytes.len());
                    bytes.splice(to..to, copy).for_each(drop);
                }
                _ => {
                    let other = below(bytes.len());
                    bytes.swap(at, other);
                }
            }
        }
        match numbers(&bytes) {
            Ok(_) => read += 1,
            Err(_) => refused += 1,
        }
    }
    assert!(read > 100 && refused > 10_000, "{read} read, {refused} refused");
}

#[test]
fn code_is_named_and_never_run() {
    let refused_files = [
        ("module.pt", "torch.nn.modules.rnn.LSTM"),
        ("model.pt", "__main__.Tagger"),
        ("module_old.pt", "torch.nn.modules.rnn.LSTM"),
        ("system.pt", "posix.system"),
        ("eval.pt", "eval"),
        ("eval_old.pt", "eval"),
    ];
    for (name, class) in refused_files {
        let bytes = read(&format!("pytorch_files/refused/{name}"));
        refused(name, &bytes, &[class, "code", "model.state_dict()"]);
        let error = pytorch::load(folder("pytorch_files/refused").join(name), Cell::Lstm, "").unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
    }
    for (name, pickle) in [
        ("a call", &b"\x80\x02cos\nsystem\nX\x04\0\0\0true\x85R."[..]),
        ("a name of protocol 4", b"\x80\x04\x8c\x02os\x8c\x06system\x93."),
        ("an instance", b"(ios\nsystem\n."),
        ("an object", b"(cos\nsystem\no."),
        ("an extension", b"\x80\x02\x82\x01."),
        ("a persistent id of code", b"\x80\x02X\x06\0\0\0moduleQ."),
        ("a call of a tensor type", b"\x80\x02ctorch\nFloatStorage\n)R."),
        ("a state of a function", b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n}b."),
        ("a call of a call of itself", b"\x80\x02ctorch._tensor\n_rebuild_from_type_v2\nq\0(h\0N(tNtR."),
    ] {
        refused(name, &file(pickle), &["data.pkl"]);
    }
}

#[test]
fn numbers_that_are_not_read_are_named_where_they_are_asked_for() {
    let kinds = [
        ("complex.pt", "complex64"),
        ("quantised.pt", "quantised"),
        ("sparse.pt", "sparse"),
        ("whole.pt", "I64"),
        ("float8.pt", "F8_E4M3"),
    ];
    for (name, kind) in kinds {
        let bytes = read(&format!("pytorch_files/refused/{name}"));
        let arrays = Arrays::from_bytes(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        let text = arrays.get("a").unwrap_err().to_string();
        assert!(text.contains(kind) && text.contains("a:"), "{name}: {text}");
        assert_eq!(arrays.get("b").unwrap().as_slice(), Some(&[1.0][..]), "{name}");
    }
    refused("nothing.pt", &read("pytorch_files/refused/nothing.pt"), &["no tensors"]);
    refused("plain.pkl", &read("pytorch_files/refused/plain.pkl"), &["pickle"]);
}

#[test]
fn tensors_that_lie_about_their_storage_are_errors() {
    let max = i64::MAX;
    let cases = [
        ("an offset beyond", tensor("FloatStorage", "0", 2, 2, &[1], &[1])),
        ("a far offset", tensor("FloatStorage", "0", 2, max, &[1], &[1])),
        ("a negative offset", tensor("FloatStorage", "0", 2, -1, &[1], &[1])),
        ("more than there is", tensor("FloatStorage", "0", 2, 0, &[3], &[1])),
        ("strides beyond", tensor("FloatStorage", "0", 2, 0, &[2, 2], &[2, 1])),
        ("a negative stride", tensor("FloatStorage", "0", 2, 1, &[2], &[-1])),
        ("a negative size", tensor("FloatStorage", "0", 2, 0, &[-2], &[1])),
        ("sizes that overflow", tensor("FloatStorage", "0", 2, 0, &[max, max], &[0, 0])),
        ("strides that overflow", tensor("FloatStorage", "0", 2, 0, &[3, 3], &[max, max])),
        ("fewer strides than sizes", tensor("FloatStorage", "0", 2, 0, &[1, 1], &[1])),
        ("a hundred axes", tensor("FloatStorage", "0", 2, 0, &[1; 100], &[1; 100])),
        ("forty axes", tensor("FloatStorage", "0", 2, 0, &[1; 40], &[1; 40])),
        ("a storage of another size", tensor("FloatStorage", "0", 3, 0, &[1], &[1])),
        ("a storage of 16 GB", tensor("FloatStorage", "0", 1 << 32, 0, &[1 << 32], &[1])),
        ("a storage that is not there", tensor("FloatStorage", "1", 2, 0, &[1], &[1])),
        ("a storage outside of the archive", tensor("FloatStorage", "../0", 2, 0, &[1], &[1])),
        ("a number repeated without end", tensor("FloatStorage", "0", 2, 0, &[1 << 30], &[0])),
        ("a type that does not exist", tensor("OtherStorage", "0", 2, 0, &[1], &[1])),
    ];
    for (name, pickle) in cases {
        let error = opened(&file(&pickle)).map(|_| ()).expect_err(name);
        assert!(matches!(error, Error::WeightFile { .. }), "{name}: {error}");
    }
    // Nothing is read of a tensor without elements.
    let arrays = file(&tensor("FloatStorage", "0", 2, 0, &[0, 4], &[4, 1]));
    assert_eq!(Arrays::from_bytes(&arrays).unwrap().get("w").unwrap().shape(), [0, 4]);
}

#[test]
fn pickles_that_grow_without_end_are_errors() {
    let start = b"\x80\x02".to_vec();
    let deep = |open: &[u8], close: &[u8]| {
        [start.clone(), open.repeat(100_000), close.repeat(100_000), b".".to_vec()].concat()
    };
    // Each list holds the one before ten times.
    let laughs = |levels: usize| {
        let mut pickle = [start.clone(), b"]q\0".to_vec()].concat();
        for level in 1..=levels as u8 {
            pickle.extend([b']', b'q', level, b'(']);
            pickle.extend([b'h', level - 1].repeat(10));
            pickle.push(b'e');
        }
        [pickle, b".".to_vec()].concat()
    };
    let loops = [start.clone(), b"}q\0".to_vec(), text("a"), b"h\0s.".to_vec()].concat();
    let claims = |code: &[u8]| [start.clone(), code.to_vec(), b"abc.".to_vec()].concat();
    let cases = [
        ("deep tuples", deep(b"", b"\x85").split_off(0)),
        ("deep lists", deep(b"]", b"a")),
        (
            "deep dicts",
            [
                start.clone(),
                [b"}".to_vec(), text("a")].concat().repeat(100_000),
                b"N".to_vec(),
                b"s".repeat(100_000),
                b".".to_vec(),
            ]
            .concat(),
        ),
        ("marks", deep(b"(", b"t")),
        ("a million empty lists", [start.clone(), b"]".repeat(1_000_000), b".".to_vec()].concat()),
        ("lists of lists of lists", laughs(200)),
        ("a dict that holds itself", loops),
        ("a text of 4 GB", claims(b"X\xff\xff\xff\xff")),
        ("a text of 16 EB", claims(b"\x8d\xff\xff\xff\xff\xff\xff\xff\xff")),
        ("bytes of 4 GB", claims(b"B\xff\xff\xff\xff")),
        ("bytes of 16 EB", claims(b"\x8e\xff\xff\xff\xff\xff\xff\xff\xff")),
        ("a number of 4 GB", claims(b"\x8b\xff\xff\xff\xff")),
        ("a value never kept", claims(b"j\xff\xff\xff\xff")),
        ("no value", claims(b"")),
        ("an unknown protocol", claims(b"\x80\x63")),
        ("nothing", Vec::new()),
    ];
    for (name, pickle) in cases {
        refused(name, &file(&pickle), &["PyTorch file"]);
    }
}

#[test]
fn archives_that_lie_are_errors() {
    let honest = tensor("FloatStorage", "0", 2, 0, &[2], &[1]);
    let with = |more: &[(&str, &[u8])]| {
        let parts: [(&str, &[u8]); 2] = [("a/data.pkl", &honest), ("a/data/0", &[0; 8])];
        archive(&[&parts, more].concat())
    };
    assert!(Arrays::from_bytes(&with(&[])).is_ok());
    refused("a path out", &with(&[("../evil", b"x")]), &["../evil", "leads out"]);
    refused("a path out, within", &with(&[("a/../../evil", b"x")]), &["leads out"]);
    refused("an absolute path", &with(&[("/etc/passwd", b"x")]), &["leads out"]);
    refused("a path out, of Windows", &with(&[("a\\..\\evil", b"x")]), &["leads out"]);
    refused("two of one name", &with(&[("a/data/0", b"x")]), &["two parts"]);
    refused("an unknown order", &with(&[("a/byteorder", b"middle")]), &["byteorder"]);
    refused("no pickle", &archive(&[("a/data/0", b"x")]), &["data.pkl"]);
    // A storage of a hundred megabytes of zeros, deflated to a thousandth.
    let pickle = tensor("FloatStorage", "0", 25 << 20, 0, &[25 << 20], &[1]);
    let mut writer = rawzip::ZipArchiveWriter::new(Cursor::new(Vec::new()));
    for (name, data) in [("a/data.pkl", pickle), ("a/data/0", vec![0; 100 << 20])] {
        let deflate = rawzip::CompressionMethod::DEFLATE;
        let (mut entry, config) = writer.new_file(name).compression_method(deflate).start().unwrap();
        let mut into = config.wrap(flate2::write::DeflateEncoder::new(&mut entry, flate2::Compression::fast()));
        into.write_all(&data).unwrap();
        let (encoder, descriptor) = into.finish().unwrap();
        encoder.finish().unwrap();
        entry.finish(descriptor).unwrap();
    }
    let bomb = writer.finish().unwrap().into_inner();
    assert!(bomb.len() < 2 << 20);
    refused("a bomb", &bomb, &["a/data/0", "unpacks to 104857600 bytes"]);
}
