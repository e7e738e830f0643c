//! Compiled kernels, kept for the next program that needs them: so many that a model finds all of its own, and no more, since
//! constants of activations and clips are part of a kernel's text.

use crate::kernels::Variant;
use std::collections::HashMap;

/// Most kernels kept. A model has some dozen; each takes 1 to 2 MiB of a driver in software.
pub(super) const MOST: usize = 256;

/// The last kernels that were asked for.
pub(super) struct Pipelines<P> {
    kept: HashMap<Variant, Kept<P>>,
    /// How often one was asked for.
    clock: u64,
}

struct Kept<P> {
    pipeline: P,
    /// When it was asked for last.
    used: u64,
}

impl<P> Default for Pipelines<P> {
    fn default() -> Self {
        Self { kept: HashMap::new(), clock: 0 }
    }
}

impl<P: Clone> Pipelines<P> {
    /// The one of a variant, if it is kept.
    pub fn get(&mut self, variant: &Variant) -> Option<P> {
        self.clock += 1;
        let kept = self.kept.get_mut(variant)?;
        kept.used = self.clock;
        Some(kept.pipeline.clone())
    }

    /// Keeps one more. Where there are too many, the one that was not asked for the longest goes: programs hold their own, so
    /// that nothing which still runs is lost.
    pub fn insert(&mut self, variant: Variant, pipeline: P) {
        self.clock += 1;
        if self.kept.len() >= MOST && !self.kept.contains_key(&variant) {
            let oldest = self.kept.iter().min_by_key(|(_, kept)| kept.used).map(|(variant, _)| variant.clone());
            oldest.map(|oldest| self.kept.remove(&oldest));
        }
        self.kept.insert(variant, Kept { pipeline, used: self.clock });
    }

    /// How many are kept.
    pub fn len(&self) -> usize {
        self.kept.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::{FLAT, Kernel};

    #[test]
    fn what_was_not_asked_for_the_longest_goes_first() {
        let variant = |wrapped: u32| Variant { wrapped, ..Variant::plain(Kernel::Gather, FLAT, 4) };
        let mut pipelines = Pipelines::default();
        for i in 0..MOST as u32 {
            pipelines.insert(variant(i), i);
        }
        assert_eq!(pipelines.get(&variant(0)), Some(0));
        pipelines.insert(variant(u32::MAX), u32::MAX);
        assert_eq!((pipelines.len(), pipelines.get(&variant(0)), pipelines.get(&variant(1))), (MOST, Some(0), None));
        // One that is kept already takes no other's place.
        pipelines.insert(variant(2), 20);
        assert_eq!(
            (pipelines.len(), pipelines.get(&variant(2)), pipelines.get(&variant(3))),
            (MOST, Some(20), Some(3))
        );
    }
}
