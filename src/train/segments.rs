//! Which options of the optimiser each array has.

use super::optimizer::Segment;
use super::options::TrainerOptions;
use super::trained::Trained;
use crate::error::{Error, Result};
use crate::parameters::Parameters;

/// Refuses groups that can't be.
pub(super) fn validate(options: &TrainerOptions, trained: &[Trained]) -> Result<()> {
    for (i, group) in options.groups.iter().enumerate() {
        group.validate(&format!("parameter group {i}"), trained)?;
    }
    for block in trained {
        for (array, _) in block.parameters.names() {
            let mut groups = (0..options.groups.len()).filter(|&i| options.groups[i].has(&block.parameters, array));
            if let (Some(first), Some(second)) = (groups.next(), groups.next()) {
                let got = format!("groups {first} and {second}");
                return Err(Error::value(format!("parameter group of array '{array}'"), "one at most", got));
            }
        }
    }
    Ok(())
}

/// The numbers of a block with their options: neighbours of equal ones together, from the first to the last.
pub(super) fn segments(options: &TrainerOptions, parameters: &Parameters) -> Vec<Segment> {
    let mut segments: Vec<Segment> = Vec::new();
    let mut offset = 0;
    for (array, shape) in parameters.names() {
        let group = options.groups.iter().find(|group| group.has(parameters, array));
        let factor = group.map_or(1.0, |group| group.factor as f32);
        let is_named = group.is_some_and(|group| !group.arrays.is_empty() && group.weight_decay.is_some());
        let decays = shape.len() > 1 || options.decay_vectors || is_named;
        let decay = group.and_then(|group| group.weight_decay).unwrap_or_else(|| options.optimizer.decay());
        let decay = if decays { decay } else { 0.0 };
        let count = shape.iter().product();
        match segments.last_mut() {
            Some(last) if (last.factor, last.decay) == (factor, decay) => last.count += count,
            _ => segments.push(Segment { offset, count, factor, decay }),
        }
        offset += count;
    }
    segments
}
