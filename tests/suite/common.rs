//! Devices that all tests share, and random inputs.

use ndarray::{Array3, ArrayViewD, s};
use rand_mt::Mt;
use std::sync::LazyLock;
use wgrnn::kernels::Kernel;
use wgrnn::{Cell, Class, Device, GpuOptions, Plan, Rnn, RnnConfig, RnnWeights, Schedule, State};

/// `WGRNN_TEST_CLASS=discrete` runs the tests as they run on a GPU with memory of its own: with its kernels and schedules.
fn asked_class() -> Option<Class> {
    match std::env::var("WGRNN_TEST_CLASS").as_deref() {
        Err(_) => None,
        Ok("discrete") => Some(Class::Discrete),
        Ok("integrated") => Some(Class::Integrated),
        Ok(other) => panic!("WGRNN_TEST_CLASS is '{other}': expected 'discrete' or 'integrated'"),
    }
}

/// A device that no other test shares.
pub fn opened(mut options: GpuOptions) -> Device {
    options.class = asked_class();
    Device::gpu_with(&options).unwrap_or_else(|error| panic!("these tests need an adapter: {error}"))
}

/// The adapter under test, with all that it offers.
pub fn gpu() -> Device {
    static DEVICE: LazyLock<Device> = LazyLock::new(|| opened(GpuOptions::default()));
    DEVICE.clone()
}

/// The same adapter with WebGPU's default limits and no optional feature.
pub fn portable() -> Device {
    static DEVICE: LazyLock<Device> = LazyLock::new(|| opened(GpuOptions::default().portable(true)));
    DEVICE.clone()
}

/// Every device that results must be right on.
pub fn devices() -> [(&'static str, Device); 3] {
    [("gpu", gpu()), ("portable gpu", portable()), ("cpu", Device::cpu())]
}

/// Every schedule that runs one layer after the other. Layers side by side have tests/suite/wavefront.rs.
pub fn schedules() -> Vec<Schedule> {
    let others = |schedule: &Schedule| !matches!(schedule, Schedule::Auto | Schedule::Wavefront);
    Schedule::ALL.into_iter().filter(others).collect()
}

/// Those that suit every adapter: a grid needs workgroups that run side by side.
pub fn common_schedules() -> Vec<Schedule> {
    schedules().into_iter().filter(|&schedule| schedule != Schedule::Grid).collect()
}

/// Seeded numbers over ±1.
pub struct Random(Mt);

impl Random {
    pub fn new(seed: u32) -> Self {
        Self(Mt::new(seed))
    }

    pub fn number(&mut self) -> f32 {
        (self.0.next_u32() >> 8) as f32 / 8_388_608.0 - 1.0
    }

    pub fn array(&mut self, shape: [usize; 3]) -> Array3<f32> {
        Array3::from_shape_simple_fn(shape, || self.number())
    }

    pub fn state(&mut self, config: &RnnConfig, batch: usize) -> State {
        let mut state = State::zeros(config, batch).unwrap();
        state.h.mapv_inplace(|_| self.number());
        if let Some(c) = &mut state.c {
            c.mapv_inplace(|_| self.number());
            // An sLSTM's n is a sum of what is positive.
            if config.cell() == Cell::Slstm {
                let units = config.hidden_size();
                c.slice_mut(s![.., .., units..2 * units]).mapv_inplace(|n| 1.0 + n.abs());
            }
        }
        state
    }
}

/// PyTorch's initial weights; what norms multiply with and add is drawn too, which otherwise is 1 and 0.
pub fn weights(config: &RnnConfig, seed: u32) -> RnnWeights {
    let mut random = Random::new(seed);
    let named: Vec<_> = RnnWeights::init(config, seed)
        .unwrap()
        .named()
        .map(|(name, array)| {
            let drawn = name.starts_with("norm_");
            let array = if drawn { array.mapv(|number| number + 0.5 * random.number()) } else { array.to_owned() };
            (name, array)
        })
        .collect();
    RnnWeights::from_named(config, &named).unwrap()
}

/// A layer with such weights.
pub fn rnn(device: &Device, config: &RnnConfig) -> Rnn {
    Rnn::new(device, config, weights(config, 7)).unwrap()
}

/// Every cell with sizes that fill no tile, and an LSTM with a projection.
pub fn configs(input: usize, hidden: usize) -> Vec<RnnConfig> {
    let plain = Cell::ALL.map(|cell| RnnConfig::new(cell, input, hidden));
    plain.into_iter().chain([RnnConfig::new(Cell::Lstm, input, hidden).projection(hidden / 2)]).collect()
}

/// Whether outputs are what they should be, bit by bit: but for scans on adapters with many lanes, which cut long sequences into parts
/// and then round in another order. A state is a mean of numbers below 1, or a few times that: some roundings of 1 a step.
pub fn equals(device: &Device, cell: Cell, got: ArrayViewD<'_, f32>, expected: ArrayViewD<'_, f32>) -> bool {
    let linear = matches!(cell, Cell::MinGru | Cell::MinLstm | Cell::Sru | Cell::Qrnn);
    let class = device.report().map(|report| asked_class().unwrap_or(report.class));
    let is_cut = linear && class == Some(Class::Discrete);
    let near = |(a, b): (&f32, &f32)| {
        a.to_bits() == b.to_bits() || is_cut && (a - b).abs() <= 16.0 * f32::EPSILON * b.abs().max(1.0)
    };
    got.shape() == expected.shape() && got.iter().zip(expected).all(near)
}

/// How often a plan runs a kernel.
pub fn dispatches(plan: &Plan, kernel: Kernel) -> usize {
    plan.dispatches().filter(|dispatch| plan.variants()[dispatch.variant].kernel() == kernel).count()
}
