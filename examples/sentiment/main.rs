//! Are film reviews positive? A GRU reads them word by word, beside a baseline that only counts words.
//!
//! ```sh
//! cargo run --release --example sentiment
//! cargo run --release --example sentiment -- --text "A dull film with a brilliant end" --plot losses.svg
//! ```

mod baseline;
#[path = "../common/mod.rs"]
mod common;
mod data;
mod network;
mod train;

use anyhow::Result;
use clap::Parser;

fn main() -> Result<()> {
    let outcome = train::run(&train::Options::parse())?;
    for text in &outcome.texts {
        println!("{text}");
    }
    println!("{outcome}");
    Ok(())
}
