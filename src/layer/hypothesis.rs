//! What a search over texts finds.

/// A text that [`PlanBuilder::beam_search`](crate::PlanBuilder::beam_search) or
/// [`PlanBuilder::ctc_decode`](crate::PlanBuilder::ctc_decode) found.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Hypothesis {
    /// Its tokens, or labels, without the end token.
    pub tokens: Vec<u32>,
    /// What hypotheses are ranked by.
    pub score: f32,
    /// The logarithm of its probability.
    pub log_probability: f32,
}

/// The best one first; of equal ones the one that was first.
pub(super) fn ranked(mut all: Vec<Hypothesis>) -> Vec<Hypothesis> {
    all.sort_by(|a, b| b.score.total_cmp(&a.score));
    all
}
