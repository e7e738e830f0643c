//! What pickles of PyTorch may name: a fixed list. Nothing of it is run; each name stands for what this library does in its place.

use super::entry::Kind;
use safetensors::Dtype;

/// What a name of a pickle stands for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Global<'p> {
    /// `OrderedDict` and its like: a dict.
    Dict,
    /// A list of whatever it is given.
    List,
    /// Gives its first argument.
    First,
    /// `FloatStorage` and its like; none for a storage that leaves the type to the tensor.
    Storage(Option<Dtype>),
    /// A storage of numbers that are not read, in words.
    Unread(&'static str),
    /// `_rebuild_tensor`, `_rebuild_tensor_v2` and, where the type is an argument, `_rebuild_tensor_v3`.
    Tensor { typed: bool },
    /// A tensor that is no strided array, in words.
    Strange(&'static str),
    /// `_rebuild_parameter`: gives its tensor.
    Parameter,
    /// `_rebuild_from_type_v2`: calls its first argument with its third.
    Typed,
    /// A type of numbers.
    Dtype(Option<Dtype>, &'static str),
    /// What holds no weights: anything made of it is passed over.
    Opaque,
    /// A class of a TorchScript archive: an object with attributes.
    Script(&'p str),
}

/// The types of storages, by their names in `torch` without "Storage", and their types of numbers.
const TYPES: [(&str, &str, Option<Dtype>); 21] = [
    ("Float", "float32", Some(Dtype::F32)),
    ("Double", "float64", Some(Dtype::F64)),
    ("Half", "float16", Some(Dtype::F16)),
    ("BFloat16", "bfloat16", Some(Dtype::BF16)),
    ("Long", "int64", Some(Dtype::I64)),
    ("Int", "int32", Some(Dtype::I32)),
    ("Short", "int16", Some(Dtype::I16)),
    ("Char", "int8", Some(Dtype::I8)),
    ("Byte", "uint8", Some(Dtype::U8)),
    ("Bool", "bool", Some(Dtype::BOOL)),
    ("", "uint16", Some(Dtype::U16)),
    ("", "uint32", Some(Dtype::U32)),
    ("", "uint64", Some(Dtype::U64)),
    ("", "float8_e4m3fn", Some(Dtype::F8_E4M3)),
    ("", "float8_e5m2", Some(Dtype::F8_E5M2)),
    ("ComplexFloat", "complex64", None),
    ("ComplexDouble", "complex128", None),
    ("QInt8", "qint8", None),
    ("QUInt8", "quint8", None),
    ("QInt32", "qint32", None),
    ("QUInt4x2", "quint4x2", None),
];

/// What a name stands for; none for one that is not of the list.
pub(super) fn global<'p>(module: &'p str, name: &'p str) -> Option<Global<'p>> {
    if module == "torch" || module == "torch.cuda" {
        if name == "Size" {
            return Some(Global::List);
        }
        // How numbers are laid out and quantised, which holds none.
        let schemes = ["_affine", "_symmetric", "_format", "_float_qparams"];
        if ["device", "strided", "Generator"].contains(&name) || schemes.iter().any(|end| name.ends_with(end)) {
            return Some(Global::Opaque);
        }
        if let Some(own) = name.strip_suffix("Storage").filter(|own| !own.is_empty()) {
            if own == "Untyped" {
                return Some(Global::Storage(None));
            }
            let found = TYPES.iter().find(|(storage, ..)| *storage == own)?;
            return Some(found.2.map_or(Global::Unread(found.1), |dtype| Global::Storage(Some(dtype))));
        }
        if let Some((_, name, dtype)) = TYPES.iter().find(|(_, dtype, _)| *dtype == name) {
            return Some(Global::Dtype(*dtype, name));
        }
    }
    if module.starts_with("__torch__") {
        return Some(Global::Script(name));
    }
    Some(match (module, name) {
        ("collections", "OrderedDict" | "defaultdict" | "Counter") => Global::Dict,
        ("builtins" | "__builtin__", "dict") => Global::Dict,
        ("builtins" | "__builtin__", "list" | "set" | "frozenset" | "tuple") => Global::List,
        ("builtins" | "__builtin__", "bytearray" | "complex" | "int" | "float" | "str") => Global::Opaque,
        ("torch.storage", "UntypedStorage") => Global::Storage(None),
        ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => Global::Tensor { typed: false },
        ("torch._utils", "_rebuild_tensor_v3") => Global::Tensor { typed: true },
        ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => Global::Parameter,
        ("torch._utils", "_rebuild_qtensor") => Global::Strange("a quantised tensor"),
        ("torch._utils", "_rebuild_sparse_tensor" | "_rebuild_sparse_csr_tensor") => Global::Strange("a sparse tensor"),
        ("torch._utils", "_rebuild_nested_tensor") => Global::Strange("a nested tensor"),
        ("torch._utils", "_rebuild_meta_tensor_no_storage") => {
            Global::Strange("a tensor of the device 'meta', without numbers")
        }
        ("torch._tensor", "_rebuild_from_type_v2") => Global::Typed,
        ("torch._tensor" | "torch", "Tensor") => Global::First,
        ("torch.nn.parameter", "Parameter" | "Buffer") => Global::First,
        ("torch.serialization", "_get_layout") => Global::Opaque,
        ("_codecs", "encode") | ("argparse", "Namespace") => Global::Opaque,
        ("pathlib" | "pathlib._local", "Path" | "PosixPath" | "WindowsPath" | "PurePosixPath") => Global::Opaque,
        ("numpy", "dtype" | "float64" | "float32" | "int64" | "ndarray") => Global::Opaque,
        ("numpy.core.multiarray" | "numpy._core.multiarray", "scalar" | "_reconstruct") => Global::Opaque,
        ("torch.jit._pickle", "build_intlist" | "build_doublelist" | "build_boollist" | "build_tensorlist") => {
            Global::First
        }
        ("torch.jit._pickle", "restore_type_tag") => Global::First,
        _ => return None,
    })
}

impl From<Dtype> for Kind {
    fn from(dtype: Dtype) -> Self {
        Self::Known(dtype)
    }
}
