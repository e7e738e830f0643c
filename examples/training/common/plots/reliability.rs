//! How often models are right, by how sure they are.

use super::{Line, lines};
use crate::metrics::Calibration;
use anyhow::Result;
use std::path::Path;

/// A reliability diagram: on the diagonal, models are as often right as they are sure; below it they boast.
///
/// # Errors
///
/// A file that can't be written.
pub fn reliability(path: &Path, models: &[(&str, &Calibration)]) -> Result<()> {
    let percent = |part: f64| 100.0 * part;
    let points =
        |model: &Calibration| model.bins.iter().map(|&(sure, right, _)| (percent(sure), percent(right))).collect();
    let mut all = vec![Line { name: "as often right as sure", points: vec![(50.0, 50.0), (100.0, 100.0)] }];
    all.extend(models.iter().map(|&(name, model)| Line { name, points: points(model) }));
    lines(path, "May one believe how sure they are?", ["how sure, in %", "how often right, in %"], &all)
}
