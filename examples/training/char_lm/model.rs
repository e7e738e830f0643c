//! What the network is made of, and how a checkpoint says so.

use super::text::Vocabulary;
use anyhow::{Context, Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fmt::{Display, Formatter};
use std::str::FromStr;
use wgrnn::{Cell, Device, Model, ModelConfig, RnnConfig};

/// Length of a character's vector.
const EMBEDDING: usize = 32;
/// The note that holds a [`Description`].
const NOTE: &str = "char_lm";

/// Any cell of the library, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CellName(Cell);

impl FromStr for CellName {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let known = || format!("expected gru, elman, ind_rnn, {}; got {name}", Cell::ALL.map(Cell::name).join(", "));
        Cell::named(&name.to_lowercase()).map(Self).with_context(known)
    }
}

impl TryFrom<String> for CellName {
    type Error = Error;

    fn try_from(name: String) -> Result<Self> {
        name.parse()
    }
}

impl From<CellName> for String {
    fn from(cell: CellName) -> Self {
        cell.to_string()
    }
}

impl Display for CellName {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.name())
    }
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
        let rnn = RnnConfig::new(self.cell.0, EMBEDDING, self.hidden).layers(self.layers).with_dropout(self.dropout);
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
