//! What the network is made of, and how a checkpoint says so.

use super::text::Vocabulary;
use anyhow::{Context, Result};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use wgrnn::{Activation, Cell, Device, Model, ModelConfig, Reset, RnnConfig};

/// Length of a character's vector.
const EMBEDDING: usize = 32;
/// The note that holds a [`Description`].
const NOTE: &str = "char_lm";

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
pub enum CellName {
    Lstm,
    Gru,
    Elman,
}

/// The network, its characters, and how its text is read: what must be the same to go on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Description {
    pub cell: CellName,
    pub hidden: usize,
    pub layers: usize,
    pub dropout: f64,
    pub batch: usize,
    pub length: usize,
    pub characters: String,
}

impl Description {
    pub fn vocabulary(&self) -> Vocabulary {
        Vocabulary::of(&self.characters)
    }

    pub fn model(&self, device: &Device, seed: u32) -> Result<Model> {
        let cell = match self.cell {
            CellName::Lstm => Cell::Lstm,
            CellName::Gru => Cell::Gru(Reset::After),
            CellName::Elman => Cell::Elman(Activation::Tanh),
        };
        let rnn = RnnConfig::new(cell, EMBEDDING, self.hidden).layers(self.layers).with_dropout(self.dropout);
        let config = ModelConfig::language(self.vocabulary().len(), rnn).dropout(self.dropout);
        Ok(Model::new(device, &config, seed)?)
    }

    pub fn notes(&self) -> Result<HashMap<String, String>> {
        Ok(HashMap::from([(NOTE.to_owned(), serde_json::to_string(self)?)]))
    }

    pub fn from_notes(notes: &HashMap<String, String>) -> Result<Self> {
        let note = notes.get(NOTE).context("no checkpoint of this example")?;
        serde_json::from_str(note).context("the checkpoint's description")
    }
}
