//! Options objects: every name in them is known, or an error.

use crate::activation::activation;
use crate::arguments::{self, describe};
use crate::arrays::property;
use crate::fault::{Fault, Result};
use crate::handles::{handle, optional};
use crate::sequences::SequenceMap;
use crate::tensor::{BatchLengths, Tensor};
use js_sys::{Array, Object, Reflect};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_path_to_error::Segment;
use wasm_bindgen::{JsCast, JsValue};
use wgrnn::{
    Bias, Cell, CellClip, Class, Direction, Lengths, ModelConfig, Output, Precision, RnnCall, RnnConfig, Sampling,
    Schedule,
};

/// Reads options; undefined is no options at all.
pub fn read<T: DeserializeOwned>(name: &str, value: &JsValue) -> Result<T> {
    read_beside(name, value, &[])
}

/// An error for a name in an object that is none of these.
pub fn check_names(name: &str, value: &JsValue, known: &[&str]) -> Result<()> {
    // A function or a list is an object too, and so is a Tensor.
    if !value.is_object() || value.is_function() || Array::is_array(value) || is_handle(value) {
        return Err(arguments::fault(name, "an object of options", value));
    }
    for key in Object::keys(value.unchecked_ref::<Object>()).iter().filter_map(|key| key.as_string()) {
        if !known.contains(&&*key) && !property(value, &key).is_undefined() {
            let known = known.join(", ");
            return Err(Fault::new(format!("{name}: unknown option '{key}', expected some of {known}")));
        }
    }
    Ok(())
}

/// Whether it is an object of a class of this package.
fn is_handle(value: &JsValue) -> bool {
    !property(value, "__wbg_ptr").is_undefined()
}

/// The names of options.
pub fn names<T: DeserializeOwned>() -> Vec<&'static str> {
    serde_aux::serde_introspection::serde_introspect::<T>().to_vec()
}

/// Reads options from an object that has others beside them.
pub fn read_beside<T: DeserializeOwned>(name: &str, value: &JsValue, others: &[&str]) -> Result<T> {
    let empty: JsValue = Object::new().into();
    let value = if value.is_undefined() || value.is_null() { &empty } else { value };
    // The deserialiser looks for the names that it knows only.
    let known = [&names::<T>(), others].concat();
    check_names(name, value, &known)?;
    let deserializer = serde_wasm_bindgen::Deserializer::from(value.clone());
    serde_path_to_error::deserialize(deserializer).map_err(|error| {
        let (mut place, mut at) = (name.to_owned(), value.clone());
        for segment in error.path().iter() {
            match segment {
                Segment::Seq { index } => {
                    place += &format!("[{index}]");
                    at = Reflect::get_u32(&at, *index as u32).unwrap_or(JsValue::UNDEFINED);
                }
                Segment::Map { key } => {
                    place += &format!(": {key}");
                    at = property(&at, key);
                }
                Segment::Enum { .. } | Segment::Unknown => {}
            }
        }
        let text = error.inner().to_string();
        Fault::new(format!("{place}: {}", explained(text.strip_prefix("Error: ").unwrap_or(&text), &at)))
    })
}

/// What the deserialiser says, in JavaScript's words: it speaks of Rust's types.
fn explained(text: &str, got: &JsValue) -> String {
    if let Some(name) = text.strip_prefix("missing field ") {
        return format!("{} is missing", name.replace('`', "'"));
    }
    // What is no object is asked for its iterator.
    if text.starts_with("TypeError") {
        return format!("expected an array, got {}", describe(got));
    }
    let Some((_, expected)) = text.split_once(", expected ") else { return text.to_owned() };
    let expected = match expected {
        "usize" | "u32" | "u64" => "a whole number from 0 to 4294967295".to_owned(),
        "f32" | "f64" => "a number".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a sequence" => "an array".to_owned(),
        _ if expected.starts_with("one of") || expected.starts_with('`') => expected.replace('`', "\""),
        // Names are all that enumerations are made of here.
        _ if expected.contains("enum") || expected.contains("variant") || expected.contains("string") => {
            "a string".to_owned()
        }
        _ => expected.to_owned(),
    };
    format!("expected {expected}, got {}", describe(got))
}

/// An array of two. The deserialiser would leave out what else there is in a longer one.
#[derive(Clone, Copy, Deserialize)]
#[serde(try_from = "Vec<T>", bound = "T: Deserialize<'de>")]
pub struct Pair<T>(pub [T; 2]);

impl<T> TryFrom<Vec<T>> for Pair<T> {
    type Error = String;

    fn try_from(all: Vec<T>) -> Result<Self, String> {
        all.try_into()
            .map(Self)
            .map_err(|all: Vec<T>| format!("expected an array of length 2, got an array of {}", all.len()))
    }
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
enum DirectionName {
    Forward,
    Reverse,
    Bidirectional,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
enum BiasName {
    None,
    One,
    Two,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
enum PrecisionName {
    Single,
    Half,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Config {
    cell: String,
    input_size: usize,
    hidden_size: usize,
    layers: Option<usize>,
    heads: Option<usize>,
    direction: Option<DirectionName>,
    projection: Option<usize>,
    bias: Option<BiasName>,
    batch_first: Option<bool>,
    precision: Option<PrecisionName>,
    layer_norm: Option<bool>,
    peepholes: Option<bool>,
    coupled: Option<bool>,
    clip: Option<f32>,
    dropout: Option<f64>,
    zoneout: Option<Pair<f64>>,
    recurrent_dropout: Option<f64>,
    /// Read elsewhere.
    #[serde(rename = "activations")]
    _activations: Option<IgnoredAny>,
    cell_clip: Option<CellClipOptions>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
struct CellClipOptions {
    low: f32,
    high: f32,
    propagates_nan: Option<bool>,
}

/// Those of the gates, of the candidate and of c.
fn activations(value: &JsValue) -> Result<Option<[wgrnn::Activation; 3]>> {
    let given = property(value, "activations");
    if given.is_undefined() || given.is_null() {
        return Ok(None);
    }
    let name = "configuration: activations";
    let fault = || arguments::fault(name, "an array of three: of the gates, of the candidate and of c", &given);
    let array = given.dyn_ref::<Array>().filter(|array| array.length() == 3).ok_or_else(fault)?;
    let one = |i: u32| activation(&format!("{name}[{i}]"), &array.get(i));
    Ok(Some([one(0)?, one(1)?, one(2)?]))
}

/// The name that Rust's tables have, or the short one of the usual form.
pub fn cell(name: &str) -> Result<Cell> {
    Cell::named(name).ok_or_else(|| {
        let names = Cell::ALL.map(Cell::name).join(", ");
        Fault::new(format!("cell: expected gru, elman, ind_rnn, {names}; got {name}"))
    })
}

pub fn config(value: &JsValue) -> Result<RnnConfig> {
    let options: Config = read("configuration", value)?;
    let mut config = RnnConfig::new(cell(&options.cell)?, options.input_size, options.hidden_size)
        .layers(options.layers.unwrap_or(1))
        .heads(options.heads.unwrap_or(1))
        .batch_first(options.batch_first.unwrap_or(false))
        .layer_norm(options.layer_norm.unwrap_or(false))
        .peepholes(options.peepholes.unwrap_or(false))
        .coupled(options.coupled.unwrap_or(false))
        .with_dropout(options.dropout.unwrap_or(0.0))
        .recurrent_dropout(options.recurrent_dropout.unwrap_or(0.0));
    if let Some(direction) = options.direction {
        config = config.direction(match direction {
            DirectionName::Forward => Direction::Forward,
            DirectionName::Reverse => Direction::Reverse,
            DirectionName::Bidirectional => Direction::Bidirectional,
        });
    }
    if let Some(bias) = options.bias {
        config = config.bias(match bias {
            BiasName::None => Bias::None,
            BiasName::One => Bias::One,
            BiasName::Two => Bias::Two,
        });
    }
    if let Some(PrecisionName::Half) = options.precision {
        config = config.precision(Precision::Half);
    }
    if let Some(units) = options.projection {
        config = config.projection(units);
    }
    if let Some(limit) = options.clip {
        config = config.clip(limit);
    }
    if let Some(Pair([h, c])) = options.zoneout {
        config = config.zoneout(h, c);
    }
    if let Some([gates, candidate, cell]) = activations(value)? {
        config = config.activations(gates, candidate, cell);
    }
    if let Some(CellClipOptions { low, high, propagates_nan }) = options.cell_clip {
        let propagates_nan = propagates_nan.unwrap_or(false);
        config = config.cell_clip(CellClip { low: low.into(), high: high.into(), propagates_nan });
    }
    Ok(config)
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
enum OutputName {
    #[default]
    All,
    Last,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
enum ScheduleName {
    #[default]
    Auto,
    Step,
    Sequence,
    Wavefront,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Call {
    /// Lengths and arrays are read elsewhere.
    #[serde(rename = "lengths")]
    _lengths: Option<IgnoredAny>,
    #[serde(rename = "map")]
    _map: Option<IgnoredAny>,
    output: Option<OutputName>,
    schedule: Option<ScheduleName>,
    #[serde(rename = "state")]
    _state: Option<IgnoredAny>,
    #[serde(rename = "stateGradient")]
    _state_gradient: Option<IgnoredAny>,
}

/// The lengths of options: a list, lengths on the device, or an index map.
fn lengths(name: &str, options: &JsValue) -> Result<Lengths> {
    let lengths = property(options, "lengths");
    if let Some(map) = optional::<SequenceMap>(&format!("{name}: map"), &property(options, "map"))? {
        if !(lengths.is_undefined() || lengths.is_null()) {
            return Err(Fault::new(format!("{name}: expected a map or lengths, got both")));
        }
        return Ok(Lengths::Map(map.inner().clone()));
    }
    let name = format!("{name}: lengths");
    match () {
        () if lengths.is_undefined() || lengths.is_null() => Ok(Lengths::Full),
        () if property(&lengths, "clone").is_function() => {
            Ok(Lengths::PerRun(handle::<BatchLengths>(&name, &lengths)?.inner().clone()))
        }
        () => arguments::wholes(&name, &lengths).map(Lengths::Fixed),
    }
}

fn call_of(lengths: Lengths, output: Option<OutputName>, schedule: Option<ScheduleName>) -> RnnCall {
    RnnCall::default()
        .lengths(lengths)
        .output(match output.unwrap_or_default() {
            OutputName::All => Output::All,
            OutputName::Last => Output::Last,
        })
        .schedule(match schedule.unwrap_or_default() {
            ScheduleName::Auto => Schedule::Auto,
            ScheduleName::Step => Schedule::Step,
            ScheduleName::Sequence => Schedule::Sequence,
            ScheduleName::Wavefront => Schedule::Wavefront,
        })
}

pub fn call(value: &JsValue) -> Result<RnnCall> {
    let Call { output, schedule, .. } = read("call", value)?;
    Ok(call_of(lengths("call", value)?, output, schedule))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TapeCall {
    #[serde(rename = "lengths")]
    _lengths: Option<IgnoredAny>,
    #[serde(rename = "map")]
    _map: Option<IgnoredAny>,
    output: Option<OutputName>,
    schedule: Option<ScheduleName>,
    carry: Option<bool>,
    keep_every: Option<usize>,
    input_part_bytes: Option<usize>,
}

/// A call of a layer on a tape.
pub fn tape_call(value: &JsValue) -> Result<RnnCall> {
    let options: TapeCall = read("call", value)?;
    let call = call_of(lengths("call", value)?, options.output, options.schedule);
    let call = call.carry(options.carry.unwrap_or(false)).keep_every(options.keep_every);
    Ok(match options.input_part_bytes {
        Some(bytes) => call.input_part_bytes(bytes),
        None => call,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Shape {
    steps: usize,
    batch: usize,
    #[serde(rename = "lengths")]
    _lengths: Option<IgnoredAny>,
    #[serde(rename = "map")]
    _map: Option<IgnoredAny>,
    output: Option<OutputName>,
    schedule: Option<ScheduleName>,
    carry: Option<bool>,
}

/// T, N, and how a layer is called for them; `carry` where nothing else is said.
pub fn shape(name: &str, value: &JsValue, carry: bool) -> Result<(usize, usize, RnnCall)> {
    shape_beside(name, value, carry, &[])
}

/// The same of an object that has other options beside them.
pub fn shape_beside(name: &str, value: &JsValue, carry: bool, others: &[&str]) -> Result<(usize, usize, RnnCall)> {
    let options: Shape = read_beside(name, value, others)?;
    let call = call_of(lengths(name, value)?, options.output, options.schedule);
    Ok((options.steps, options.batch, call.carry(options.carry.unwrap_or(carry))))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Draws {
    temperature: Option<f32>,
    top_k: Option<usize>,
    top_p: Option<f32>,
    #[serde(rename = "seed")]
    _seed: Option<IgnoredAny>,
    place: Option<u32>,
}

/// How symbols are drawn.
pub fn sampling(value: &JsValue) -> Result<Sampling> {
    let options: Draws = read("sampling", value)?;
    let seed = optional::<Tensor>("sampling: seed", &property(value, "seed"))?;
    let sampling = match &seed {
        Some(seed) => Sampling::new(seed.indices("sampling: seed")?),
        None if options.temperature.unwrap_or(0.0) != 0.0 || options.top_k.is_some() || options.top_p.is_some() => {
            let expected =
                "a Tensor of indices, [2], that holds a seed and a step; without it, only the largest is taken";
            return Err(Fault::new(format!("sampling: seed: expected {expected}; got none")));
        }
        None => Sampling::greedy(),
    };
    let sampling = options.temperature.map_or(sampling.clone(), |temperature| sampling.temperature(temperature));
    let sampling = options.top_k.map_or(sampling.clone(), |k| sampling.top_k(k));
    let sampling = options.top_p.map_or(sampling.clone(), |p| sampling.top_p(p));
    Ok(options.place.map_or(sampling.clone(), |place| sampling.place(place)))
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GpuOptions {
    pub adapter: Option<String>,
    pub portable: Option<bool>,
    pub class: Option<ClassName>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ClassName {
    Software,
    Integrated,
    Discrete,
}

impl From<ClassName> for Class {
    fn from(name: ClassName) -> Self {
        match name {
            ClassName::Software => Self::Software,
            ClassName::Integrated => Self::Integrated,
            ClassName::Discrete => Self::Discrete,
        }
    }
}

#[derive(Deserialize)]
struct Pronouncing {
    partly: Option<bool>,
}

/// Whether words may be read in part.
pub fn partly(value: &JsValue) -> Result<bool> {
    Ok(read::<Pronouncing>("options", value)?.partly.unwrap_or(false))
}

pub fn gpu(value: &JsValue) -> Result<GpuOptions> {
    read("options of a GPU", value)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Model {
    symbols: Option<usize>,
    #[serde(rename = "rnn")]
    _rnn: IgnoredAny,
    outputs: Option<usize>,
    tied: Option<bool>,
    dropout: Option<f64>,
}

pub fn model(value: &JsValue) -> Result<ModelConfig> {
    let options: Model = read("model", value)?;
    let rnn = config(&property(value, "rnn"))?;
    let usual = match options.symbols {
        Some(symbols) => ModelConfig::language(symbols, rnn),
        None => ModelConfig::features(rnn, 0).outputs(None),
    };
    let outputs = options.outputs.or(usual.outputs);
    Ok(usual.outputs(outputs).tied(options.tied.unwrap_or(false)).dropout(options.dropout.unwrap_or(0.0)))
}
