//! candle's LSTM and GRU on the CPU. Its layers have no kernels of their own on a GPU but CUDA's and Metal's.

use anyhow::{Context, Result};
use candle_core::backprop::GradStore;
use candle_core::{DType, Device, Tensor, Var};
use candle_nn::VarBuilder;
use candle_nn::rnn::{GRU, GRUConfig, LSTM, LSTMConfig, RNN};
use clap::Parser;
use peers::{Array, Arrays, Banner, Cell, Layer, Peer, Shape, Unsupported, serve, suffix, take, version};
use std::collections::{BTreeMap, HashMap};

#[derive(Parser)]
#[command(about = "A peer of the benchmark: candle on the CPU")]
struct Args {
    #[arg(default_value = "cpu", value_parser = ["cpu"])]
    backend: String,
}

fn main() -> Result<()> {
    Args::parse();
    let banner =
        Banner { peer: "candle cpu".into(), version: version("candle-nn").into(), adapter: "CPU".into(), driver: None };
    serve(&banner, &Candle)
}

struct Candle;

impl Peer for Candle {
    fn load(&self, shape: &Shape, data: &Arrays) -> Result<Box<dyn Layer>> {
        if shape.cell == Cell::Elman {
            return Err(Unsupported("candle-nn has LSTM and GRU only".into()).into());
        }
        let stack = Stack::new(shape, data, false)?;
        Ok(Box::new(CandleLayer { shape: shape.clone(), data: data.clone(), stack, y: None, training: None }))
    }
}

struct CandleLayer {
    shape: Shape,
    data: Arrays,
    stack: Stack,
    y: Option<Tensor>,
    /// The same layers over variables, made for the first training pass.
    training: Option<(Stack, Option<GradStore>)>,
}

impl Layer for CandleLayer {
    fn forward(&mut self) -> Result<()> {
        self.y = Some(self.stack.forward()?);
        Ok(())
    }

    fn output(&self) -> Result<Array> {
        Ok(host(self.y.as_ref().context("no forward pass yet")?)?.swapped())
    }

    fn training(&mut self) -> Result<()> {
        let (stack, gradients) = match &mut self.training {
            Some(training) => training,
            none => none.insert((Stack::new(&self.shape, &self.data, true)?, None)),
        };
        *gradients = Some(stack.forward()?.backward()?); // starts from ones
        Ok(())
    }

    fn gradients(&mut self) -> Result<Arrays> {
        let (stack, gradients) = self.training.as_ref().context("no training pass yet")?;
        let gradients = gradients.as_ref().context("no training pass yet")?;
        let mut arrays = Arrays::new();
        for (name, tensor) in &stack.tensors {
            let gradient = host(gradients.get(tensor).with_context(|| format!("no gradient of {name}"))?)?;
            arrays.insert(name.clone(), if name == "x" { gradient.swapped() } else { gradient });
        }
        Ok(arrays)
    }
}

/// Layers one after the other. candle's take [N, T, I].
struct Stack {
    /// x and all weights, by PyTorch's names.
    tensors: BTreeMap<String, Tensor>,
    /// The directions of each layer.
    layers: Vec<Vec<Module>>,
}

enum Module {
    Lstm(LSTM),
    Gru(GRU),
}

impl Stack {
    fn new(shape: &Shape, data: &Arrays, variables: bool) -> Result<Self> {
        let mut tensors = BTreeMap::new();
        for (name, array) in data {
            let array = if name == "x" { &array.swapped() } else { array };
            let tensor = Tensor::from_slice(&array.data, array.shape.as_slice(), &Device::Cpu)?;
            let tensor = if variables { Var::from_tensor(&tensor)?.as_tensor().clone() } else { tensor };
            tensors.insert(name.clone(), tensor);
        }
        let mut layers = Vec::new();
        for layer in 0..shape.layers {
            let mut directions = Vec::new();
            for direction in 0..shape.directions {
                // GRU knows no layer but _l0, and no direction but one: each has a room of its own.
                let mut own = HashMap::new();
                for kind in ["weight_ih", "weight_hh", "bias_ih", "bias_hh"] {
                    let name = format!("{kind}{}", suffix(layer, direction));
                    take(data, &name)?;
                    own.insert(format!("{kind}_l0"), tensors[&name].clone());
                }
                let weights = VarBuilder::from_tensors(own, DType::F32, &Device::Cpu);
                let (width, hidden) = (shape.width(layer), shape.hidden);
                directions.push(match shape.cell {
                    Cell::Gru => Module::Gru(candle_nn::gru(width, hidden, GRUConfig::default(), weights)?),
                    _ => Module::Lstm(candle_nn::lstm(width, hidden, LSTMConfig::default(), weights)?),
                });
            }
            layers.push(directions);
        }
        Ok(Self { tensors, layers })
    }

    fn forward(&self) -> Result<Tensor> {
        let mut x = self.tensors["x"].clone();
        for directions in &self.layers {
            let y = directions[0].forward(&x)?;
            x = match directions.get(1) {
                // candle leaves the order of steps to its caller.
                Some(reverse) => Tensor::cat(&[&y, &reverse.forward(&x.flip(&[1])?)?.flip(&[1])?], 2)?,
                None => y,
            };
        }
        Ok(x)
    }
}

impl Module {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(match self {
            Self::Lstm(module) => module.states_to_tensor(&module.seq(x)?)?,
            // It joins the steps' [N, H] along H, which in memory is [N, T, H].
            Self::Gru(module) => {
                let (batch, steps, _) = x.dims3()?;
                module.states_to_tensor(&module.seq(x)?)?.reshape((batch, steps, ()))?
            }
        })
    }
}

fn host(tensor: &Tensor) -> Result<Array> {
    Array::new(tensor.dims(), tensor.flatten_all()?.to_vec1()?)
}
