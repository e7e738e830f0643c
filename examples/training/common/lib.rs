//! What the lessons in this folder share: options, the loop around a training, data, measures, baselines and pictures. A lesson's own
//! file has what there is to learn: a network, its batches, and what came of it.

mod adam;
mod bar;
pub mod baselines;
mod composer;
mod course;
pub mod data;
mod decoder;
mod decoding;
#[path = "../../common/mod.rs"]
mod every;
mod initial;
mod interrupt;
mod labelled;
pub mod layers;
pub mod metrics;
pub mod music;
mod options;
mod order;
mod outcome;
pub mod plots;
mod reading;
mod sequences;
mod window;
mod writer;

pub use adam::{adam, falling_adam};
pub use bar::Bar;
pub use composer::{Draw, compose};
pub use course::{Course, Curves, settings};
pub use decoder::{Decoder, Seen};
pub use decoding::greedy;
pub use every::{Choice, check_place, counted, make_folder, of_file, two_digits};
pub use initial::initial;
pub use interrupt::{is_asked, or_exit};
pub use labelled::{Example, Heard, Labelled, Recogniser};
pub use options::Common;
pub use order::{batch, shuffle};
pub use outcome::Outcome;
pub use reading::Reading;
pub use sequences::{Lines, Sequences};
pub use window::Window;
pub use writer::write;

/// The end of a lesson's `main`: prints what came of it. A training that was interrupted ends the process with a shell's status.
///
/// # Errors
///
/// Those of the lesson.
pub fn tell(outcome: anyhow::Result<Outcome>) -> anyhow::Result<()> {
    println!("{}", or_exit(outcome)?);
    Ok(())
}
