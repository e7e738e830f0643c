//! Memory in several buffers, whose words are numbered through all of them.

use super::builder::PlanBuilder;
use super::commands::BufferId;
use crate::storage::Storage;

/// One of the buffers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    pub buffer: BufferId,
    /// The number of its first word,
    first: usize,
    /// and how many it has.
    pub words: usize,
}

/// The buffers in order, mostly one.
#[derive(Clone, Debug)]
pub(crate) struct Parts(Vec<Part>);

impl Parts {
    /// All of them.
    pub fn all(&self) -> &[Part] {
        &self.0
    }

    /// The buffer that has a word, and where.
    pub fn at(&self, word: usize) -> (BufferId, usize) {
        let after = self.0.partition_point(|part| part.first <= word);
        let part = self.0[after.saturating_sub(1)];
        (part.buffer, word - part.first)
    }
}

impl PlanBuilder {
    /// Memory that is not the plan's own and may be in several buffers: the first `words` words.
    pub(crate) fn parts(&mut self, name: &str, storage: &Storage, words: usize) -> Parts {
        let Some(parts) = storage.parts() else {
            let buffer = self.external(name, storage, words as u64);
            return Parts(vec![Part { buffer, first: 0, words }]);
        };
        let mut first = 0;
        let parts = parts.iter().map(|(buffer, words)| {
            let buffer = self.external(name, &Storage::Gpu(buffer.clone()), *words as u64);
            let part = Part { buffer, first, words: *words };
            first += words;
            part
        });
        Parts(parts.collect())
    }
}
