//! The one error type of the library.

use std::path::PathBuf;

/// What can go wrong. Every variant that speaks of a tensor names it, what was expected and what came. Variants may be added,
/// and fields to those that name theirs: match these with `..`.
///
/// ```
/// use wgrnn::{Cell, Device, Error, Rnn, RnnConfig, RnnWeights};
/// let config = RnnConfig::new(Cell::Lstm, 3, 4);
/// match Rnn::new(&Device::auto(), &config, RnnWeights::new(vec![])) {
///     Ok(_) => unreachable!("there are no weights"),
///     Err(Error::DeviceLost { reason, .. }) => println!("open the device again: {reason}"),
///     Err(other) => println!("{other}"),
/// }
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No adapter could be found, or none of that name.
    #[error("no GPU adapter {wanted}: {reason}")]
    #[non_exhaustive]
    NoAdapter {
        /// What was asked for.
        wanted: String,
        /// What the search said.
        reason: String,
    },

    /// The adapter was found, but refused to give a device.
    #[error("adapter '{adapter}' gave no device: {reason}")]
    #[non_exhaustive]
    NoDevice {
        /// The adapter's name.
        adapter: String,
        /// What it said.
        reason: String,
    },

    /// The GPU driver or wgpu's validation reported an error.
    #[error("GPU error while {during}: {message}")]
    #[non_exhaustive]
    Gpu {
        /// What was being done.
        during: String,
        /// What wgpu said.
        message: String,
    },

    /// A tensor's shape is not the one expected.
    #[error("{tensor}: expected shape {expected}, got {got}")]
    #[non_exhaustive]
    Shape {
        /// The tensor.
        tensor: String,
        /// The shape wanted.
        expected: String,
        /// The shape that came.
        got: String,
    },

    /// A number is outside of its range.
    #[error("{what}: expected {expected}, got {got}")]
    #[non_exhaustive]
    Value {
        /// The quantity.
        what: String,
        /// What it may be.
        expected: String,
        /// What it was.
        got: String,
    },

    /// A weight is not a finite number.
    #[error("{tensor}: element {index} is {value}, expected finite numbers")]
    #[non_exhaustive]
    NotFinite {
        /// The tensor.
        tensor: String,
        /// Index of the first such element, row-major.
        index: usize,
        /// The element.
        value: f32,
    },

    /// A named weight is missing. Where it should be in a file, the name is followed by what the file has, in parentheses.
    #[error("weights: missing tensor {0}")]
    MissingWeight(String),

    /// An adapter's limit is too low: for the memory or the dispatch that is needed.
    #[error("{what} needs {needed}, but this adapter's limit {limit} is {allowed}{}", way_out(what, limit))]
    #[non_exhaustive]
    Limit {
        /// What is too large.
        what: String,
        /// How much it needs.
        needed: u64,
        /// The limit's name.
        limit: &'static str,
        /// The limit's value.
        allowed: u64,
    },

    /// Something is asked for that this device, build or file format can't do.
    #[error("{what} is not supported: {reason}")]
    #[non_exhaustive]
    Unsupported {
        /// What was asked for.
        what: String,
        /// Why it can't be had, and what can.
        reason: String,
    },

    /// The host has less memory than is needed.
    #[error("{what} needs {bytes} bytes of memory, which could not be allocated")]
    #[non_exhaustive]
    OutOfMemory {
        /// What needs it.
        what: String,
        /// How much it needs.
        bytes: u64,
    },

    /// Things of two devices are used together: tensors, states, lengths, layers, buffers, encoders or queues.
    #[error("{tensor} belongs to another device: everything that is used together must be made on one device")]
    #[non_exhaustive]
    OtherDevice {
        /// What belongs to another device.
        tensor: String,
    },

    /// The device was lost: its driver was reset, it was unplugged or destroyed.
    #[error(
        "the device was lost: {reason}; nothing on it can be used any more, so open a new device and make layers and \
         tensors on it"
    )]
    #[non_exhaustive]
    DeviceLost {
        /// What the driver said.
        reason: String,
    },

    /// A value of one plan is used in another.
    #[error("{value} belongs to another plan: a value can be used only in the plan or tape that made it")]
    #[non_exhaustive]
    OtherPlan {
        /// The value, by its role and shape.
        value: String,
    },

    /// A plan is not consistent: a fault of whoever built it.
    #[error("plan: {0}")]
    Plan(String),

    /// A backward pass without a forward pass since the last one.
    #[error("backward pass: no forward pass has filled its reserve since the last backward pass")]
    NoForward,

    /// Training met a loss, gradients or new weights that are not finite.
    #[error(
        "training: the loss, the gradients or the new weights of step {step} are not finite: the learning rate may be too \
         large, or a target or an index out of range; that step was not taken, nor any after it, so that the weights are \
         those from before step {step}"
    )]
    #[non_exhaustive]
    Diverged {
        /// The first such step, counted from 1.
        step: u32,
    },

    /// A file could not be read or written.
    #[error("{path}: {source}", path = path.display())]
    #[non_exhaustive]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said. The text above has it already, so it is no [`source`](std::error::Error::source), which
        /// would print it again.
        r#source: std::io::Error,
    },

    /// An ONNX file is damaged, or holds what this library does not read.
    #[error("ONNX: {0}")]
    Onnx(String),

    /// A safetensors file is damaged, or is no such file.
    #[error("safetensors: {0}")]
    Safetensors(String),

    /// A file of weights in another format than safetensors is damaged, or holds what this library does not read.
    #[error("{format}: {reason}")]
    #[non_exhaustive]
    WeightFile {
        /// The format: `"PyTorch file"`, `"NumPy file"`, `"Keras file"`.
        format: &'static str,
        /// What is wrong, and the way out.
        reason: String,
    },

    /// A state dict is not that of the model that its parts are read into.
    #[error("state dict: {}", misfits(missing, shapes, left_over))]
    #[non_exhaustive]
    StateDict {
        /// Names that are not there.
        missing: Vec<String>,
        /// Names with the shape that was expected, and the one that came.
        shapes: Vec<String>,
        /// Names that are there, and belong to no part.
        left_over: Vec<String>,
    },

    /// A file has more tensors of a layer or a model than are loaded from it.
    #[error(
        "weights: tensors would be left out: {}; expected those of {expected}; load_partial leaves others out on purpose",
        list(tensors)
    )]
    #[non_exhaustive]
    LeftOver {
        /// Their names.
        tensors: Vec<String>,
        /// What is loaded.
        expected: String,
    },

    /// A kernel of the CPU device panicked while it was writing a tensor.
    #[error(
        "{tensor} holds no result: a panic broke off the program that was writing it; write it anew, or make the layer or \
         trainer anew, before it is used"
    )]
    #[non_exhaustive]
    Spoilt {
        /// The tensor.
        tensor: String,
    },
}

/// A result with the library's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn shape(tensor: impl Into<String>, expected: impl std::fmt::Debug, got: impl std::fmt::Debug) -> Self {
        // A shape in words, such as "[T, N, C]", has no quotation marks.
        let text = |shape: &dyn std::fmt::Debug| format!("{shape:?}").trim_matches('"').to_owned();
        Self::Shape { tensor: tensor.into(), expected: text(&expected), got: text(&got) }
    }

    pub(crate) fn unsupported(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Unsupported { what: what.into(), reason: reason.into() }
    }

    pub(crate) fn value(
        what: impl Into<String>,
        expected: impl std::fmt::Display,
        got: impl std::fmt::Display,
    ) -> Self {
        Self::Value { what: what.into(), expected: expected.to_string(), got: got.to_string() }
    }
}

/// What helps where an adapter's limit is too low.
fn way_out(what: &str, limit: &str) -> &'static str {
    match limit {
        _ if what.starts_with("reserve") => {
            ": call the layer with fewer sequences, or let RnnCall::keep_every keep the states of fewer steps"
        }
        "max_storage_buffer_binding_size" | "max_buffer_size" => {
            ": one buffer holds all of it, so use fewer sequences or steps at a time, smaller layers, or Precision::Half for \
             weights; the CPU device has no such limit"
        }
        "32-bit indices" => ": use fewer sequences or steps at a time, or smaller layers",
        "loop trips of an invocation" => {
            ": drivers are known that end longer loops; use smaller layers, or the CPU device, which has no such limit"
        }
        "max_compute_workgroups_per_dimension" => {
            ": use fewer heads, columns or features at a time, or the CPU device, which has no such limit"
        }
        _ => "",
    }
}

/// What does not fit of a state dict.
fn misfits(missing: &[String], shapes: &[String], left_over: &[String]) -> String {
    let lists = [("missing", missing), ("of other shapes", shapes), ("left over", left_over)];
    let lists = lists.iter().filter(|(_, names)| !names.is_empty());
    lists.map(|(what, names)| format!("{what}: {}", list(names))).collect::<Vec<_>>().join("; ")
}

/// The first names of a list, and how many there are more.
pub(crate) fn list(names: &[impl AsRef<str>]) -> String {
    const MOST: usize = 12;
    let shown: Vec<&str> = names.iter().take(MOST).map(AsRef::as_ref).collect();
    let more = names.len().saturating_sub(MOST);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    format!("{}{more}", shown.join(", "))
}
