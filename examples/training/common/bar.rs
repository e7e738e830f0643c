//! A progress bar over training steps.

use crate::interrupt;
use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};
use std::time::Duration;

/// A bar over training steps; `unit` is what is counted a second, `each` of them a step.
pub struct Bar {
    bar: ProgressBar,
    unit: &'static str,
    each: usize,
}

impl Bar {
    /// A bar of so many steps.
    ///
    /// # Errors
    ///
    /// None that can be met: the template is right.
    pub fn new(steps: u32, unit: &'static str, each: usize) -> Result<Self> {
        let bar = ProgressBar::new(steps.into());
        bar.set_style(ProgressStyle::with_template("{wide_bar} step {pos}/{len}, {msg}, {eta} left")?);
        bar.enable_steady_tick(Duration::from_millis(500));
        Ok(Self { bar, unit, each })
    }

    /// After a step; a loss is shown when it was asked for.
    pub fn step(&self, loss: Option<f32>) {
        self.bar.inc(1);
        loss.into_iter().for_each(|loss| self.loss(loss));
    }

    /// Shows a loss, and how fast it goes.
    pub fn loss(&self, loss: f32) {
        let rate = self.bar.per_sec() * self.each as f64;
        self.bar.set_message(format!("loss {loss:.3}, {rate:.0} {}/s", self.unit));
    }

    /// Lets Ctrl-C end the training, until what this gives is dropped.
    pub(crate) fn listen(&self) -> Result<interrupt::Listening> {
        interrupt::listen(&self.bar)
    }

    /// Prints a line above the bar.
    pub fn line(&self, text: &str) {
        self.bar.suspend(|| println!("{text}"));
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
