//! PyTorch's names of weights, and their shapes.

use crate::config::RnnConfig;
use crate::error::{Error, Result};

/// PyTorch's names of a direction's tensors, in its order, and names of what it has not.
pub(super) const KINDS: [&str; 10] = [
    "weight_ih",
    "weight_hh",
    "bias_ih",
    "bias_hh",
    "weight_hr",
    "peephole",
    "norm_ih",
    "norm_hh",
    "norm_c",
    "norm_bias_c",
];

/// PyTorch's name: `weight_ih_l0`, `weight_ih_l0_reverse`; with heads, which it has not, `weight_ih_l0_head1`.
pub(super) fn tensor_name(heads: usize, kind: &str, layer: usize, track: usize) -> String {
    let reverse = if track >= heads.max(1) { "_reverse" } else { "" };
    let head = if heads > 1 { format!("_head{}", track % heads) } else { String::new() };
    format!("{kind}_l{layer}{reverse}{head}")
}

/// Whether a name, without its prefix, is one that a recurrent layer's tensors have: of a stack, or of a PyTorch cell.
pub(crate) fn is_recurrent(name: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    KINDS.iter().filter_map(|kind| name.strip_prefix(kind)).any(|rest| {
        let rest = rest.rsplit_once("_head").filter(|(_, head)| is_number(head)).map_or(rest, |(rest, _)| rest);
        let layer = rest.strip_suffix("_reverse").unwrap_or(rest).strip_prefix("_l");
        rest.is_empty() || layer.is_some_and(is_number)
    })
}

/// What a configuration's tensors are, in words.
pub(crate) fn wanted(config: &RnnConfig) -> String {
    let count = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let sizes = [(config.layers, "layer"), (config.directions(), "direction"), (config.heads, "head")];
    let [layers, directions, heads] = sizes.map(|(size, what)| count(size, what));
    format!("{layers} with {directions} and {heads} each, {}", config.form())
}

/// Refuses a peephole of the candidate, which no LSTM has.
pub(super) fn check_peepholes(
    config: &RnnConfig,
    kind: &str,
    name: &str,
    array: &ndarray::ArrayViewD<'_, f32>,
) -> Result<()> {
    let candidate = 2 * config.hidden..3 * config.hidden;
    let of_candidate = array.iter().enumerate().find(|(i, value)| candidate.contains(i) && **value != 0.0);
    match of_candidate.filter(|_| kind == KINDS[5]) {
        Some((i, value)) => Err(Error::value(name, "0 for the candidate", format!("{value} at {i}"))),
        None => Ok(()),
    }
}
