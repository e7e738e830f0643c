//! PyTorch's weights: reads a state dict from a safetensors file and runs the layer. Without a file, it first writes one that
//! PyTorch can load.
//!
//! In Python: `safetensors.torch.save_file(torch.nn.LSTM(8, 16, num_layers=2).state_dict(), "lstm.safetensors")`, then
//! `cargo run --release --example pytorch_weights -- lstm.safetensors`.

use ndarray::Array3;
use wgrnn::dialects::pytorch;
use wgrnn::{Cell, Device, Rnn, RnnConfig, RnnWeights};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = match std::env::args().nth(1) {
        Some(path) => path.into(),
        None => {
            // Without a file, the weights that torch.manual_seed(0); torch.nn.LSTM(8, 16, num_layers=2) begins with.
            let config = RnnConfig::new(Cell::Lstm, 8, 16).layers(2);
            let path = std::env::temp_dir().join("wgrnn-lstm.safetensors");
            RnnWeights::init(&config, 0)?.save(&path, "")?;
            path
        }
    };
    let (config, weights) = pytorch::load(&path, Cell::Lstm, "")?; // the sizes come from the file
    println!("{}: {} layers of {} units", path.display(), config.layer_count(), config.hidden_size());
    for (name, array) in weights.named() {
        println!("  {name:<16} {:?}", array.shape());
    }
    let rnn = Rnn::new(&Device::auto(), &config, weights)?;
    let output = rnn.forward(Array3::ones((5, 1, config.input_size())).view())?;
    println!("output of the last step: {:.4}", output.y.index_axis(ndarray::Axis(0), 4));
    Ok(())
}
