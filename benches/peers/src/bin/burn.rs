//! burn's recurrent layers: its wgpu backend, and flex, its backend for the CPU.

use anyhow::{Context, Result};
use burn::module::Param;
use burn::nn::{
    BiGru, BiGruConfig, BiLstm, BiLstmConfig, BiRnn, BiRnnConfig, GateController, Gru, GruConfig, Linear, Lstm,
    LstmConfig, Rnn, RnnConfig,
};
use burn::tensor::{Device, Gradients, Tensor, TensorData};
use clap::{Parser, ValueEnum};
use peers::{Array, Arrays, Banner, Cell, Layer, Peer, Shape, serve, suffix, take, version};

#[derive(Parser)]
#[command(about = "A peer of the benchmark: burn")]
struct Args {
    backend: Backend,
}

#[derive(Clone, Copy, ValueEnum)]
enum Backend {
    /// Vulkan, Metal or Direct3D by wgpu, with burn's default fusion and tuning
    Wgpu,
    /// The flex backend
    Cpu,
}

fn main() -> Result<()> {
    let (device, banner) = match Args::parse().backend {
        Backend::Wgpu => {
            let (device, setup) = Device::wgpu_options().init_with_setup().context("no wgpu device")?;
            let info = setup.adapter.get_info();
            let driver = format!("{} {} ({:?})", info.driver, info.driver_info, info.backend);
            let banner = Banner {
                peer: "burn wgpu".into(),
                version: version("burn").into(),
                adapter: info.name,
                driver: Some(driver),
            };
            (device, banner)
        }
        Backend::Cpu => {
            let banner = Banner {
                peer: "burn cpu".into(),
                version: version("burn").into(),
                adapter: "CPU".into(),
                driver: Some(format!("burn-flex {}", version("burn-flex"))),
            };
            (Device::flex(), banner)
        }
    };
    serve(&banner, &Burn { device })
}

struct Burn {
    device: Device,
}

impl Peer for Burn {
    fn load(&self, shape: &Shape, data: &Arrays) -> Result<Box<dyn Layer>> {
        let stack = Stack::new(shape, data, &self.device)?;
        Ok(Box::new(BurnLayer {
            device: self.device.clone(),
            shape: shape.clone(),
            data: data.clone(),
            stack,
            y: None,
            training: None,
        }))
    }
}

struct BurnLayer {
    device: Device,
    shape: Shape,
    data: Arrays,
    stack: Stack,
    y: Option<Tensor<3>>,
    /// The same layers on the device that records gradients, made for the first training pass.
    training: Option<(Stack, Option<Gradients>)>,
}

impl Layer for BurnLayer {
    fn forward(&mut self) -> Result<()> {
        self.y = Some(self.stack.forward());
        self.device.sync()?;
        Ok(())
    }

    fn output(&self) -> Result<Array> {
        Ok(host(self.y.clone().context("no forward pass yet")?)?.swapped())
    }

    fn training(&mut self) -> Result<()> {
        let (stack, gradients) = match &mut self.training {
            Some(training) => training,
            none => none.insert((Stack::new(&self.shape, &self.data, &self.device.clone().autodiff())?, None)),
        };
        // Starts from ones. The gradients live until the device is done with them.
        *gradients = Some(stack.forward().backward());
        self.device.sync()?;
        Ok(())
    }

    fn gradients(&mut self) -> Result<Arrays> {
        let (stack, gradients) = self.training.as_mut().context("no training pass yet")?;
        stack.gradients(gradients.as_ref().context("no training pass yet")?, self.shape.hidden)
    }
}

/// Layers one after the other, and their input in burn's usual layout [N, T, I].
struct Stack {
    x: Tensor<3>,
    layers: Vec<Module>,
}

enum Module {
    Lstm(Lstm),
    BiLstm(Box<BiLstm>),
    Gru(Gru),
    BiGru(BiGru),
    Rnn(Rnn),
    BiRnn(BiRnn),
}

impl Stack {
    fn new(shape: &Shape, data: &Arrays, device: &Device) -> Result<Self> {
        let x = take(data, "x")?.swapped();
        let x = Tensor::from_data(TensorData::new(x.data, x.shape), device);
        let x = if device.is_autodiff() { x.require_grad() } else { x };
        let mut layers = Vec::new();
        for layer in 0..shape.layers {
            let mut module = Module::new(shape, shape.width(layer), device);
            for (direction, gates) in module.gates().into_iter().enumerate() {
                let end = suffix(layer, direction);
                for (gate, controller) in gates.into_iter().enumerate() {
                    let part = |linear: &mut Linear, kind: &str| -> Result<()> {
                        let weight = take(data, &format!("weight_{kind}{end}"))?;
                        let bias = take(data, &format!("bias_{kind}{end}"))?;
                        fill(linear, gate * shape.hidden, shape.hidden, weight, bias, device);
                        Ok(())
                    };
                    part(&mut controller.input_transform, "ih")?;
                    part(&mut controller.hidden_transform, "hh")?;
                }
            }
            layers.push(module);
        }
        Ok(Self { x, layers })
    }

    fn forward(&self) -> Tensor<3> {
        self.layers.iter().fold(self.x.clone(), |x, module| module.forward(x))
    }

    fn gradients(&mut self, gradients: &Gradients, hidden: usize) -> Result<Arrays> {
        let mut arrays = Arrays::new();
        arrays.insert("x".into(), host(self.x.grad(gradients).context("no gradient of x")?)?.swapped());
        for (layer, module) in self.layers.iter_mut().enumerate() {
            for (direction, gates) in module.gates().into_iter().enumerate() {
                let end = suffix(layer, direction);
                for controller in gates {
                    for (kind, linear) in [("ih", &controller.input_transform), ("hh", &controller.hidden_transform)] {
                        let missing = || format!("no gradient of a gate's {kind}{end}");
                        // [in, H] to [H, in], below the gates before.
                        let weight = linear.weight.val().grad(gradients).with_context(missing)?;
                        append(&mut arrays, format!("weight_{kind}{end}"), host(weight.transpose())?);
                        let bias = linear.bias.as_ref().with_context(missing)?.val();
                        let bias = bias.grad(gradients).with_context(missing)?;
                        append(&mut arrays, format!("bias_{kind}{end}"), host(bias.reshape([hidden]))?);
                    }
                }
            }
        }
        Ok(arrays)
    }
}

impl Module {
    fn new(shape: &Shape, width: usize, device: &Device) -> Self {
        let (hidden, both) = (shape.hidden, shape.directions == 2);
        match (shape.cell, both) {
            (Cell::Lstm, false) => Self::Lstm(LstmConfig::new(width, hidden, true).init(device)),
            (Cell::Lstm, true) => Self::BiLstm(Box::new(BiLstmConfig::new(width, hidden, true).init(device))),
            (Cell::Gru, false) => Self::Gru(GruConfig::new(width, hidden, true).init(device)),
            (Cell::Gru, true) => Self::BiGru(BiGruConfig::new(width, hidden, true).init(device)),
            (Cell::Elman, false) => Self::Rnn(RnnConfig::new(width, hidden, true).init(device)),
            (Cell::Elman, true) => Self::BiRnn(BiRnnConfig::new(width, hidden, true).init(device)),
        }
    }

    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        match self {
            Self::Lstm(module) => module.forward(x, None).0,
            Self::BiLstm(module) => module.forward(x, None).0,
            Self::Gru(module) => module.forward(x, None),
            Self::BiGru(module) => module.forward(x, None).0,
            Self::Rnn(module) => module.forward(x, None).0,
            Self::BiRnn(module) => module.forward(x, None).0,
        }
    }

    /// The gates of each direction in PyTorch's order: i, f, g, o; r, z, n.
    fn gates(&mut self) -> Vec<Vec<&mut GateController>> {
        match self {
            Self::Lstm(module) => vec![lstm(module)],
            Self::BiLstm(module) => vec![lstm(&mut module.forward), lstm(&mut module.reverse)],
            Self::Gru(module) => vec![gru(module)],
            Self::BiGru(module) => vec![gru(&mut module.forward), gru(&mut module.reverse)],
            Self::Rnn(module) => vec![vec![&mut module.gate]],
            Self::BiRnn(module) => vec![vec![&mut module.forward.gate], vec![&mut module.reverse.gate]],
        }
    }
}

fn lstm(module: &mut Lstm) -> Vec<&mut GateController> {
    let mut gates = vec![&mut module.input_gate];
    gates.extend(module.forget_gate.as_mut());
    gates.extend([&mut module.cell_gate, &mut module.output_gate]);
    gates
}

fn gru(module: &mut Gru) -> Vec<&mut GateController> {
    vec![&mut module.reset_gate, &mut module.update_gate, &mut module.new_gate]
}

/// One gate's rows [first, first + H) of PyTorch's [G·H, in] as burn's [in, H].
fn fill(linear: &mut Linear, first: usize, hidden: usize, weight: &Array, bias: &Array, device: &Device) {
    let width = weight.shape[1];
    let transposed: Vec<f32> =
        (0..width).flat_map(|i| (first..first + hidden).map(move |h| weight.data[h * width + i])).collect();
    linear.weight = Param::from_tensor(Tensor::from_data(TensorData::new(transposed, [width, hidden]), device));
    let bias = bias.data[first..first + hidden].to_vec();
    linear.bias = Some(Param::from_tensor(Tensor::from_data(TensorData::new(bias, [hidden]), device)));
}

fn host<const D: usize>(tensor: Tensor<D>) -> Result<Array> {
    let shape = tensor.dims();
    let data = tensor.into_data().try_to_vec::<f32>().ok().context("not float32")?;
    Array::new(&shape, data)
}

/// Adds these rows below those already under this name.
fn append(arrays: &mut Arrays, name: String, rows: Array) {
    match arrays.get_mut(&name) {
        Some(array) => {
            array.shape[0] += rows.shape[0];
            array.data.extend(rows.data);
        }
        None => drop(arrays.insert(name, rows)),
    }
}
