//! Streams of a server: each caller's sequence is a slot of one batch, so that one dispatch serves all callers.
//!
//! `cargo run --release --example streaming`

use wgrnn::ndarray::{Array3, s};
use wgrnn::{Cell, Device, Result, Rnn, RnnConfig, RnnWeights};

const SLOTS: usize = 3;

fn main() -> Result<()> {
    let config = RnnConfig::new(Cell::Lstm, 4, 8);
    let rnn = Rnn::new(&Device::auto(), &config, RnnWeights::init(&config, 0)?)?;
    let mut stream = rnn.stream(SLOTS)?;
    // The caller of each slot, and the callers that send a step in each turn.
    let mut slots: [Option<&str>; SLOTS] = [None; SLOTS];
    for (turn, speaking) in [&["ann", "bob"][..], &["bob"], &["ann", "eve"], &["eve", "bob"]].iter().enumerate() {
        for name in *speaking {
            if !slots.contains(&Some(*name)) {
                let Some(free) = slots.iter().position(Option::is_none) else { continue };
                // A new sequence begins with a state of zeros.
                stream.state().reset_slot(free)?;
                slots[free] = Some(*name);
            }
        }
        // One step for those who speak. The others pause: their states stay as they are.
        let lengths = slots.map(|name| usize::from(name.is_some_and(|name| speaking.contains(&name))));
        let y = stream.push_with(Array3::ones((1, SLOTS, 4)).view(), &lengths)?;
        for (slot, name) in slots.iter().enumerate().filter(|(slot, _)| lengths[*slot] > 0) {
            println!(
                "turn {turn}: {:?} in slot {slot} gets {:.3}",
                name.unwrap_or_default(),
                y.slice(s![0, slot, ..2])
            );
        }
        // Ann leaves. Her state is kept on the host, and her slot becomes free.
        if turn == 2 {
            println!("kept: {:.3}", stream.state().read_slot(0)?.h);
            slots[0] = None;
        }
    }
    Ok(())
}
