//! The network of the example `vad`, and what its probabilities say.

#[allow(dead_code, reason = "its example reads files too")]
#[path = "../../examples/audio/vad/model.rs"]
pub mod model;
#[path = "../../examples/audio/vad/segments.rs"]
pub mod segments;
