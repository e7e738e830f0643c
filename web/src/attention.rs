//! Attention.

use crate::arguments;
use crate::arrays::{object, property};
use crate::dense::Linear;
use crate::fault::{Fault, Result};
use crate::handles::handle;
use crate::options::check_names;
use crate::tape::Tape;
use crate::value::Value;
use wasm_bindgen::prelude::*;
use wgrnn::Attention;

/// `"dot"`, `{kind: "general", memory}` or `{kind: "additive", query, memory, score}`.
pub fn attention(name: &str, value: &JsValue) -> Result<Attention> {
    let kind = if value.is_string() { value.clone() } else { property(value, "kind") };
    let Some(kind) = kind.as_string() else {
        return Err(arguments::fault(name, "\"dot\", or an object with the kind of attention", value));
    };
    let layer = |layer: &str| {
        Ok::<_, Fault>(handle::<Linear>(&format!("{name}: {layer}"), &property(value, layer))?.inner().clone())
    };
    let check = |known: &[&str]| if value.is_string() { Ok(()) } else { check_names(name, value, known) };
    match &*kind {
        "dot" => check(&["kind"]).map(|()| Attention::Dot),
        "general" => {
            check(&["kind", "memory"])?;
            Ok(Attention::General(layer("memory")?))
        }
        "additive" => {
            check(&["kind", "query", "memory", "score"])?;
            Ok(Attention::Additive { query: layer("query")?, memory: layer("memory")?, score: layer("score")? })
        }
        _ => Err(Fault::new(format!("{name}: expected \"dot\", \"general\" or \"additive\", got \"{kind}\""))),
    }
}

/// A memory with what is computed of it once, however often it is looked at.
#[wasm_bindgen]
pub struct Memory(wgrnn::Memory);

#[wasm_bindgen]
impl Memory {
    /// What a query [N, Q] sees: the mean of the memory's steps [N, M], and how much each of them counts in it [N, S].
    #[wasm_bindgen(unchecked_return_type = "{ context: Value, weights: Value }")]
    pub fn attend(&self, tape: &Tape, query: &Value) -> Result<JsValue> {
        let (context, weights) = tape.write(|tape| self.0.attend(tape, query.inner()))?;
        Ok(object([("context", Value::of(context).into()), ("weights", Value::of(weights).into())]))
    }
}

impl Memory {
    pub fn of(memory: wgrnn::Memory) -> Self {
        Self(memory)
    }
}
