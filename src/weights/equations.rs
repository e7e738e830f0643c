//! What names and shapes of tensors don't say: the cell with its options, and the direction. A note of the file does.

use crate::cells::{CellClip, Equations, Options};
use crate::config::{Direction, RnnConfig};
use crate::error::{Error, Result};
use std::collections::BTreeMap;

/// Names of notes that begin so are this library's.
pub(crate) const RESERVED: &str = "wgrnn.";

/// By name, as a note has them; an option that is not there is off.
type Facts = BTreeMap<String, String>;

/// Whether all of a file's layers and directions are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// All.
    Whole,
    /// What the configuration has.
    Part,
}

/// The name of the note about the layers whose tensors' names begin with `prefix`.
pub(crate) fn key(prefix: &str) -> String {
    format!("{RESERVED}config.{prefix}")
}

/// Whether a note is one about layers.
pub(crate) fn is_key(name: &str) -> bool {
    name.starts_with(&key(""))
}

/// The note about layers of a configuration: all that changes what they give for the same weights.
pub(crate) fn note(config: &RnnConfig) -> String {
    serde_json::to_string(&facts(config)).unwrap_or_default()
}

fn facts(config: &RnnConfig) -> Facts {
    let Options { equations, layer_norm, noise } = config.form().options;
    let Equations { activations, clip, cell_clip, coupled, peepholes } = equations;
    let direction = match config.direction {
        Direction::Forward => "forward",
        Direction::Reverse => "reverse",
        Direction::Bidirectional => "bidirectional",
    };
    let activations = match (config.cell.activation(), config.cell.spec().activations) {
        (Some(activation), _) => Some(activation.to_string()),
        (None, 0) => None,
        (None, count) => Some(activations.map(|activation| activation.to_string())[..count].join(", ")),
    };
    let bounds = |clip: CellClip| {
        let nan = if clip.propagates_nan { ", NaN stays NaN" } else { "" };
        format!("from {} to {}{nan}", clip.low.get(), clip.high.get())
    };
    let on = |is: bool| is.then(|| "on".to_owned());
    let facts = [
        ("cell", Some(config.cell.name().to_owned())),
        ("direction", Some(direction.to_owned())),
        ("activations", activations),
        ("clip", clip.map(|clip| clip.get().to_string())),
        ("cell clip", cell_clip.map(bounds)),
        ("coupled forget gate", on(coupled)),
        ("peepholes", on(peepholes)),
        ("layer norm", on(layer_norm)),
        ("zoneout", noise.zoneout.map(|[h, c]| format!("{} of h, {} of c", h.get(), c.get()))),
    ];
    facts.into_iter().filter_map(|(name, fact)| Some((name.to_owned(), fact?))).collect()
}

/// Refuses a file whose layers are others than the configuration's, where its notes say so.
///
/// # Errors
/// [`Value`](Error::Value) with the first difference, [`Safetensors`](Error::Safetensors) for a damaged note.
pub(crate) fn check(
    notes: &std::collections::HashMap<String, String>,
    config: &RnnConfig,
    prefix: &str,
    extent: Extent,
) -> Result<()> {
    let Some(note) = notes.get(&key(prefix)) else { return Ok(()) };
    let damaged = |error| Error::Safetensors(format!("its note '{}' is damaged: {error}", key(prefix)));
    let theirs: Facts = serde_json::from_str(note).map_err(damaged)?;
    let ours = facts(config);
    // What says most comes first.
    for name in ["cell", "direction"].into_iter().chain(ours.keys().chain(theirs.keys()).map(String::as_str)) {
        let [expected, got] = [&ours, &theirs].map(|facts| facts.get(name).map_or("none", String::as_str));
        // The forward half of both directions has the names of a forward layer.
        let is_half = name == "direction" && (expected, got) == ("forward", "bidirectional");
        if expected != got && !(is_half && extent == Extent::Part) {
            let what = format!("{name} of the recurrent layers '{prefix}'");
            let expected = format!("{expected}, as the configuration says");
            return Err(Error::value(what, expected, format!("{got}, as the file says")));
        }
    }
    Ok(())
}
