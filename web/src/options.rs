//! Options objects: every name in them is known, or an error.

use crate::arguments::{self, describe};
use crate::arrays::property;
use crate::fault::{Fault, Result};
use js_sys::{Object, Reflect};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_path_to_error::Segment;
use wasm_bindgen::{JsCast, JsValue};
use wgrnn::{
    Bias, Cell, Class, Clip, Direction, LearningRate, Lengths, ModelConfig, Optimizer, Output, Precision, RnnCall,
    RnnConfig, Schedule,
};

/// Reads options; undefined is no options at all.
fn read<T: DeserializeOwned>(name: &str, value: &JsValue) -> Result<T> {
    let empty: JsValue = Object::new().into();
    let value = if value.is_undefined() || value.is_null() { &empty } else { value };
    let fault = |what: String| Fault::new(format!("{name}: {what}"));
    if !value.is_object() {
        return Err(arguments::fault(name, "an object", value));
    }
    // The deserialiser looks for the names that it knows only.
    let known = serde_aux::serde_introspection::serde_introspect::<T>();
    for key in Object::keys(value.unchecked_ref::<Object>()).iter().filter_map(|key| key.as_string()) {
        if !known.contains(&&*key) && !property(value, &key).is_undefined() {
            return Err(fault(format!("unknown option '{key}', expected some of {}", known.join(", "))));
        }
    }
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
    zoneout: Option<[f64; 2]>,
    recurrent_dropout: Option<f64>,
}

/// The name that Rust's tables have, or the short one of the usual form.
fn cell(name: &str) -> Result<Cell> {
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
    if let Some([h, c]) = options.zoneout {
        config = config.zoneout(h, c);
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
    lengths: Option<Vec<usize>>,
    output: Option<OutputName>,
    schedule: Option<ScheduleName>,
    /// Arrays are read elsewhere.
    #[serde(rename = "state")]
    _state: Option<IgnoredAny>,
    #[serde(rename = "stateGradient")]
    _state_gradient: Option<IgnoredAny>,
}

fn call_of(lengths: Option<Vec<usize>>, output: Option<OutputName>, schedule: Option<ScheduleName>) -> RnnCall {
    RnnCall::default()
        .lengths(lengths.map_or(Lengths::Full, Lengths::Fixed))
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
    let Call { lengths, output, schedule, .. } = read("call", value)?;
    Ok(call_of(lengths, output, schedule))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shape {
    steps: usize,
    batch: usize,
    lengths: Option<Vec<usize>>,
    output: Option<OutputName>,
    schedule: Option<ScheduleName>,
    carry: Option<bool>,
}

/// T, N, and how a layer is called for them; `carry` where nothing else is said.
pub fn shape(name: &str, value: &JsValue, carry: bool) -> Result<(usize, usize, RnnCall)> {
    let options: Shape = read(name, value)?;
    let call = call_of(options.lengths, options.output, options.schedule);
    Ok((options.steps, options.batch, call.carry(options.carry.unwrap_or(carry))))
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

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum Loss {
    CrossEntropy,
    MeanSquaredError,
    BinaryCrossEntropy,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum OptimizerName {
    Sgd,
    Adam,
    AdamW,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Training {
    steps: usize,
    batch: usize,
    lengths: Option<Vec<usize>>,
    output: Option<OutputName>,
    schedule: Option<ScheduleName>,
    carry: Option<bool>,
    loss: Option<Loss>,
    optimizer: Option<OptimizerName>,
    learning_rate: Option<f64>,
    momentum: Option<f32>,
    nesterov: Option<bool>,
    betas: Option<[f32; 2]>,
    epsilon: Option<f32>,
    weight_decay: Option<f32>,
    clip_norm: Option<f32>,
    clip_value: Option<f32>,
    seed: Option<u32>,
    keep_every: Option<usize>,
}

/// How a model is trained.
pub struct TrainingOptions {
    pub steps: usize,
    pub batch: usize,
    pub call: RnnCall,
    pub loss: Loss,
    pub trainer: wgrnn::TrainerOptions,
}

pub fn training(value: &JsValue) -> Result<TrainingOptions> {
    let options: Training = read("training", value)?;
    let optimizer = optimizer(&options)?;
    let clip = match (options.clip_norm, options.clip_value) {
        (None, None) => Clip::None,
        (Some(norm), None) => Clip::Norm(norm),
        (None, Some(value)) => Clip::Value(value),
        (Some(_), Some(_)) => return Err(Fault::new("training: expected clipNorm or clipValue, not both")),
    };
    let call = call_of(options.lengths, options.output, options.schedule);
    let usual = wgrnn::TrainerOptions::new(optimizer);
    let rate = options.learning_rate.map_or(usual.learning_rate, LearningRate::Constant);
    Ok(TrainingOptions {
        steps: options.steps,
        batch: options.batch,
        call: call.carry(options.carry.unwrap_or(false)).keep_every(options.keep_every),
        loss: options.loss.unwrap_or(Loss::CrossEntropy),
        trainer: usual.learning_rate(rate).clip(clip).seed(options.seed.unwrap_or(0)),
    })
}

/// Adam unless it is named otherwise; options of another one are errors.
fn optimizer(options: &Training) -> Result<Optimizer> {
    let weight_decay = options.weight_decay.unwrap_or(0.0);
    let betas = options.betas.unwrap_or([0.9, 0.999]);
    let epsilon = options.epsilon.unwrap_or(1e-8);
    let of_sgd = options.momentum.is_some() || options.nesterov.is_some();
    let of_adam = options.betas.is_some() || options.epsilon.is_some();
    match options.optimizer.unwrap_or(OptimizerName::Adam) {
        OptimizerName::Sgd if of_adam => Err(Fault::new("training: sgd has no betas and no epsilon")),
        OptimizerName::Sgd => {
            let of = if options.nesterov == Some(true) { Optimizer::nesterov } else { Optimizer::sgd };
            Ok(of(options.momentum.unwrap_or(0.0)).weight_decay(weight_decay))
        }
        _ if of_sgd => Err(Fault::new("training: only sgd has momentum and nesterov")),
        OptimizerName::Adam => Ok(Optimizer::adam(betas, epsilon).weight_decay(weight_decay)),
        OptimizerName::AdamW => Ok(Optimizer::adam_w(betas, epsilon).weight_decay(weight_decay)),
    }
}
