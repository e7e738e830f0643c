//! Errors, in JavaScript's words.

use wasm_bindgen::{JsCast, JsValue};

pub type Result<T, E = Fault> = std::result::Result<T, E>;

/// What becomes an `Error` of JavaScript.
#[derive(Debug)]
pub struct Fault(String);

impl Fault {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// What a function of JavaScript threw.
    pub fn thrown(name: &str, error: &JsValue) -> Self {
        let text = error.dyn_ref::<js_sys::Error>().map(|error| String::from(error.message()));
        Self(format!("{name}: {}", text.unwrap_or_else(|| crate::arguments::describe(error))))
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<Fault> for JsValue {
    fn from(Fault(text): Fault) -> Self {
        js_sys::Error::new(&text).into()
    }
}

impl From<wgrnn::Error> for Fault {
    fn from(error: wgrnn::Error) -> Self {
        Self(translated(&error.to_string()))
    }
}

impl From<anyhow::Error> for Fault {
    fn from(error: anyhow::Error) -> Self {
        Self(translated(&format!("{error:#}")))
    }
}

/// What an error of the library begins with, where JavaScript has another name for it.
const QUANTITIES: [(&str, &str); 9] = [
    ("input size", "inputSize"),
    ("hidden size", "hiddenSize"),
    ("learning rate", "learningRate"),
    ("weight decay", "weightDecay"),
    ("dropout probability", "dropout"),
    ("recurrent dropout", "recurrentDropout"),
    ("layer norm", "layerNorm"),
    ("label smoothing", "labelSmoothing"),
    ("initial h", "state's h"),
];

/// Options that have two words; other names with a line below, such as `weight_ih_l0`, are those of tensors.
const OPTIONS: [&str; 19] = [
    "batch_first",
    "decay_vectors",
    "div_factor",
    "final_div_factor",
    "hidden_size",
    "input_size",
    "keep_every",
    "layer_norm",
    "learning_rate",
    "min_delta",
    "pct_start",
    "recurrent_dropout",
    "skip_nonfinite",
    "state_gradient",
    "top_k",
    "top_p",
    "warm_up",
    "weight_decay",
    "zero_infinity",
];

/// What errors of ONNX models tell a caller to use.
const ONNX: [(&str, &str); 7] = [
    ("`Inputs::lengths`", "'lengths'"),
    ("`Inputs::h`", "'h'"),
    ("`Inputs::c`", "'c'"),
    ("`Model::nodes`", "OnnxModel.nodes"),
    ("`Node::layer`", "OnnxNode.layer"),
    ("`RnnWeights::load` or `dialects::pytorch::load`", "RnnWeights.fromSafetensors"),
    (", or give its weights to `dialects::keras`", ""),
];

/// A text of the library's with the names that JavaScript has.
fn translated(text: &str) -> String {
    let partial = "fromSafetensorsPartial and loadSafetensorsPartial leave others";
    let mut text = text.replace("load_partial leaves others", partial);
    // There is no `PlanBuilder`.
    text = text.replace("PlanBuilder::contiguous or Tape::contiguous", "Tape::contiguous");
    for (rust, javascript) in ONNX {
        text = text.replace(rust, javascript);
    }
    for (rust, javascript) in QUANTITIES.into_iter().chain([("initial c", "state's c")]) {
        if let Some(rest) = text.strip_prefix(rust).filter(|rest| rest.starts_with(':')) {
            text = format!("{javascript}{rest}");
        }
    }
    let belongs = |character: char| character.is_ascii_alphanumeric() || matches!(character, '_' | ':');
    let mut words = String::with_capacity(text.len());
    let mut rest = &*text;
    while !rest.is_empty() {
        let end = rest.find(|character| !belongs(character)).unwrap_or(rest.len());
        // A colon behind a word is the sentence's.
        let word = rest[..end].trim_end_matches(':');
        // What stands in quotes is someone's own name, such as that of a tensor.
        if words.ends_with('\'') {
            words += word;
        } else {
            words += &name(word);
        }
        words += &rest[word.len()..end];
        let next = rest[end..].find(belongs).map_or(rest.len(), |next| end + next);
        words += &rest[end..next];
        rest = &rest[next..];
    }
    words
}

/// `Rnn::trainable` is `Rnn.trainable` there, `Rnn::new` `new Rnn`, and `Schedule::Step` "step". What begins with a small letter, as
/// the tensor onnx::LSTM_5 of a model does, is no type's.
fn name(word: &str) -> String {
    if word == "IGNORED" {
        return "0xffffffff".to_owned();
    }
    if OPTIONS.contains(&word) {
        return camel(word);
    }
    match word.rsplit_once("::").filter(|_| word.starts_with(|first: char| first.is_ascii_uppercase())) {
        Some((class, "new")) => format!("new {}", class.rsplit("::").next().unwrap_or(class)),
        Some((_, last)) if last.starts_with(|first: char| first.is_ascii_uppercase()) => {
            format!("\"{}{}\"", last[..1].to_lowercase(), &last[1..])
        }
        Some((class, last)) => format!("{}.{}", class.rsplit("::").next().unwrap_or(class), camel(last)),
        None => word.to_owned(),
    }
}

/// `batch_first` to `batchFirst`.
fn camel(word: &str) -> String {
    let mut parts = word.split('_');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |all, part| {
        let mut letters = part.chars();
        all + &letters.next().map(|letter| letter.to_ascii_uppercase().to_string()).unwrap_or_default()
            + letters.as_str()
    })
}
