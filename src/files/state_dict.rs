//! The tensors of a pickle by name: keys of nested dicts with dots between them.

use super::pickle::{Id, Pickle, Value};
use std::collections::BTreeMap;

/// Dicts in dicts, at most.
const DEPTH: usize = 64;

/// The keys under which training scripts keep the state dict.
const KEYS: [&str; 3] = ["state_dict", "model_state_dict", "model"];

/// A tensor's value, and whether it stands in a list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leaf {
    pub value: Id,
    pub listed: bool,
}

/// All tensors below the top of a pickle.
///
/// # Errors
/// A text that says what is wrong.
pub(super) fn leaves(pickle: &Pickle<'_>, file: usize) -> Result<BTreeMap<String, Leaf>, String> {
    let mut found = BTreeMap::new();
    // Values that are referred to more than once are named more than once, but not without end.
    let edges: usize = pickle.values.iter().map(|value| children(value).map_or(1, <[Id]>::len)).sum();
    let mut visits = edges.saturating_mul(4).saturating_add(1024);
    let mut letters = file.saturating_mul(16).saturating_add(1 << 16);
    let mut name = String::new();
    // Containers on the way down, each with its next child, its name's length and whether it is in a list.
    let mut way: Vec<(Id, usize, usize, bool)> = Vec::new();
    let mut next = Some((pickle.top, false));
    loop {
        if let Some((id, listed)) = next.take() {
            match pickle.value(id) {
                Value::Tensor(_) | Value::Strange(_) => {
                    letters =
                        letters.checked_sub(name.len()).ok_or("the names of its tensors are longer than the file")?;
                    if found.insert(name.clone(), Leaf { value: id, listed }).is_some() {
                        return Err(format!("two tensors have the name '{name}'"));
                    }
                }
                Value::Object(Some(state)) => next = Some((*state, listed)),
                value if children(value).is_some() => {
                    if way.len() >= DEPTH {
                        return Err(format!("its dicts and lists are nested more than {DEPTH} deep"));
                    }
                    way.push((id, 0, name.len(), listed));
                }
                _ => {}
            }
            visits = visits.checked_sub(1).ok_or("its dicts and lists refer to one another over and over")?;
            if next.is_some() {
                continue;
            }
        }
        let Some((id, at, length, listed)) = way.last_mut() else { return Ok(found) };
        name.truncate(*length);
        let (id, place, listed) = (*id, *at, *listed);
        *at += 1;
        let (key, child, listed) = match pickle.value(id) {
            Value::Dict(items) => match items.get(2 * place..2 * place + 2) {
                Some([key, child]) => (key_of(pickle, *key), *child, listed),
                _ => {
                    way.pop();
                    continue;
                }
            },
            value => match children(value).and_then(|items| items.get(place)) {
                Some(child) => (Some(place.to_string()), *child, true),
                None => {
                    way.pop();
                    continue;
                }
            },
        };
        // What has no name, and what is no container, holds nothing to name.
        let Some(key) = key else { continue };
        if !name.is_empty() {
            name.push('.');
        }
        name.push_str(&key);
        next = Some((child, listed));
    }
}

/// What stands before the names of the state dict: the keys of the dicts around it, each with a dot.
pub(super) fn root(pickle: &Pickle<'_>, names: &BTreeMap<String, Leaf>) -> String {
    let mut root = String::new();
    let mut top = pickle.top;
    for _ in 0..4 {
        let Value::Dict(items) = pickle.value(top) else { break };
        let (pairs, _) = items.as_chunks::<2>();
        if pairs.iter().any(|[_, value]| matches!(pickle.value(*value), Value::Tensor(_) | Value::Strange(_))) {
            break;
        }
        let holds = |key: &str| {
            let start = format!("{root}{key}.");
            names.range(start.clone()..).next().is_some_and(|(name, leaf)| name.starts_with(&start) && !leaf.listed)
        };
        let dicts = pairs.iter().filter_map(|[key, value]| match (pickle.value(*key), pickle.value(*value)) {
            (Value::Text(key), Value::Dict(_)) if holds(key) => Some((*key, *value)),
            _ => None,
        });
        let dicts: Vec<_> = dicts.collect();
        let known = KEYS.iter().find_map(|key| dicts.iter().find(|(name, _)| name == key));
        let only = dicts.first().filter(|_| dicts.len() == 1);
        let Some((key, value)) = known.or(only) else { break };
        root = format!("{root}{key}.");
        top = *value;
    }
    root
}

/// A key as a part of a name.
fn key_of(pickle: &Pickle<'_>, key: Id) -> Option<String> {
    match pickle.value(key) {
        Value::Text(text) => Some((*text).to_owned()),
        Value::Int(number) => Some(number.to_string()),
        _ => None,
    }
}

/// What a container holds.
fn children<'a>(value: &'a Value<'_>) -> Option<&'a [Id]> {
    match value {
        Value::List(items) | Value::Tuple(items) | Value::Dict(items) => Some(items),
        _ => None,
    }
}
