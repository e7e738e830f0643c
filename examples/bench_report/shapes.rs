//! The shapes that benches and peers share: `shapes.json`.

use serde::{Deserialize, Serialize};
use wgrnn::{Cell, Direction, Precision, RnnConfig};

/// A shape that people run.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Shape {
    pub name: String,
    /// `lstm`, `gru`, `elman`, `min_gru`, `min_lstm`, `sru`, `qrnn`, `ind_rnn` or `slstm`;
    /// `ln_lstm`, `ln_gru` and `ln_elman` with layer norms; or a [`Block`]: `attention`, `ctc` or `residual`.
    pub cell: String,
    pub input: usize,
    pub hidden: usize,
    pub batch: usize,
    pub steps: usize,
    pub layers: usize,
    pub directions: usize,
    /// Heads, of `hidden` units each.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub heads: usize,
    /// Whether in half precision.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub half: bool,
}

/// What is no recurrent layer alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block {
    /// Each step of x attends to all steps of x: general attention.
    Attention,
    /// The CTC loss of x as logits: `input` classes, [`LABELS`] labels a sequence.
    Ctc,
    /// The layer norm of x plus an LSTM of x.
    Residual,
}

/// Labels of each sequence of a CTC loss.
pub const LABELS: usize = 60;

const fn one() -> usize {
    1
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde gives references")]
const fn is_one(heads: &usize) -> bool {
    *heads == 1
}

pub fn shapes() -> Vec<Shape> {
    serde_json::from_str(include_str!("shapes.json")).expect("shapes.json is a list of shapes")
}

impl Shape {
    /// What tables call it: `charlm lstm`.
    pub fn id(&self) -> String {
        format!("{} {}", self.name, self.cell)
    }

    /// The block, if it is no recurrent layer alone.
    pub fn block(&self) -> Option<Block> {
        match &*self.cell {
            "attention" => Some(Block::Attention),
            "ctc" => Some(Block::Ctc),
            "residual" => Some(Block::Residual),
            _ => None,
        }
    }

    /// Floating-point operations of the products of a forward pass.
    pub fn flop(&self) -> f64 {
        let rows = (self.steps * self.batch) as f64;
        match self.block() {
            Some(Block::Ctc) => return 0.0,
            // The memory's keys; then scores and contexts.
            Some(Block::Attention) => return 2.0 * rows * self.input as f64 * (self.input + 2 * self.steps) as f64,
            _ => {}
        }
        let cell = self.cell();
        let gates = self.hidden * cell.gates();
        let state = if cell.has_recurrent_weights() { self.hidden } else { 0 };
        let layer = |layer| {
            let tracks = self.directions * self.heads;
            let input = if layer == 0 { self.input } else { self.hidden * tracks };
            2 * self.steps * self.batch * (input + state) * gates * tracks
        };
        (0..self.layers).map(layer).sum::<usize>() as f64
    }

    fn cell(&self) -> Cell {
        let name = if self.block().is_some() { "lstm" } else { self.cell.trim_start_matches("ln_") };
        Cell::named(name).unwrap_or_else(|| panic!("no cell called '{name}'"))
    }

    pub fn config(&self) -> RnnConfig {
        let direction = if self.directions == 2 { Direction::Bidirectional } else { Direction::Forward };
        let precision = if self.half { Precision::Half } else { Precision::Single };
        let config = RnnConfig::new(self.cell(), self.input, self.hidden);
        config
            .layers(self.layers)
            .heads(self.heads)
            .layer_norm(self.cell.starts_with("ln_"))
            .direction(direction)
            .precision(precision)
    }
}
