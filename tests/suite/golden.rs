//! Layers against other systems: PyTorch's numbers, ONNX's node tests, and the textbook in float64 for what both lack.

use crate::common::{devices, gpu};
use ndarray::{Array3, ArrayD, Axis, Ix3};
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;
use wgrnn::check::Comparison;
use wgrnn::{Bias, Cell, Device, Direction, Rnn, RnnCall, RnnConfig, RnnWeights, Schedule, State};

/// Expected values are rounded to f32, half an ε at most. The device rounds sums of up to 66 terms, which for numbers near
/// 1 walk some √66/2 ≈ 4 halves of an ε, and its exp and tanh are good to a few ulp; gates damp what comes from earlier
/// steps. 16 ε allow for that four times over. Outputs reach 10, so it is relative to the largest.
const TOLERANCE: f64 = 16.0 * f32::EPSILON as f64;

/// A case's entry in the list of its file.
#[derive(Debug, Deserialize)]
pub struct Entry {
    pub name: String,
    cell: String,
    input_size: usize,
    hidden_size: usize,
    #[serde(default)]
    proj_size: usize,
    layers: usize,
    bidirectional: bool,
    #[serde(default)]
    direction: String,
    bias: bool,
    #[serde(default)]
    batch_first: bool,
    #[serde(default)]
    layout: usize,
}

impl Entry {
    pub fn config(&self) -> RnnConfig {
        let cell = Cell::named(&self.cell).unwrap_or_else(|| panic!("{}: unknown cell {}", self.name, self.cell));
        let direction = match &*self.direction {
            _ if self.bidirectional => Direction::Bidirectional,
            "reverse" => Direction::Reverse,
            "" | "forward" => Direction::Forward,
            other => panic!("{}: unknown direction {other}", self.name),
        };
        let config = RnnConfig::new(cell, self.input_size, self.hidden_size)
            .layers(self.layers)
            .direction(direction)
            .bias(if self.bias { Bias::Two } else { Bias::None })
            .batch_first(self.batch_first || self.layout == 1);
        if self.proj_size > 0 { config.projection(self.proj_size) } else { config }
    }
}

/// A fixture and its list of cases.
pub struct Fixture {
    pub bytes: Vec<u8>,
    pub entries: Vec<Entry>,
}

impl Fixture {
    pub fn read(name: &str) -> Self {
        let bytes = std::fs::read(format!("{}/fixtures/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap();
        let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
        let entries = serde_json::from_str(&metadata.metadata().as_ref().unwrap()["cases"]).unwrap();
        Self { bytes, entries }
    }

    /// The case `entry` under PyTorch's names, from ONNX's where it has those.
    pub fn case(&self, entry: &Entry) -> Case {
        let file = SafeTensors::deserialize(&self.bytes).unwrap();
        let words = |name: &str| file.tensor(&format!("{}/{name}", entry.name)).ok();
        let array = |name: &str| numbers(&file, &format!("{}/{name}", entry.name));
        let three = |name: &str| array(name).map(|array| array.into_dimensionality::<Ix3>().unwrap());
        // ONNX's batch-first layout has the batch first in states too.
        let state = |name: &str| {
            let state = three(name)?;
            Some(if entry.layout == 1 { state.permuted_axes([1, 0, 2]) } else { state })
        };
        let lengths = words("lengths").or_else(|| words("raw/sequence_lens")).map(|view| {
            assert!(matches!(view.dtype(), Dtype::U32 | Dtype::I32));
            view.data().chunks_exact(4).map(|b| u32::from_le_bytes(b.try_into().unwrap()) as usize).collect()
        });
        // [T, D, N, H], or [N, T, D, H].
        let onnx_y = array("raw/Y").map(|y| {
            let y = if entry.layout == 1 { y } else { y.permuted_axes(vec![0, 2, 1, 3]) };
            let shape = [y.len_of(Axis(0)), y.len_of(Axis(1)), y.len_of(Axis(2)) * y.len_of(Axis(3))];
            y.to_shape(shape).unwrap().into_owned()
        });
        let config = entry.config();
        let weights = RnnWeights::from_safetensors(&self.bytes, &config, &format!("{}/", entry.name)).unwrap();
        let h0 = state("h0").or_else(|| state("raw/initial_h"));
        let c0 = state("c0").or_else(|| state("raw/initial_c"));
        Case {
            x: three("input").or_else(|| three("raw/X")).unwrap(),
            state: h0.map(|h| State { h, c: c0 }),
            lengths,
            expected: [
                ("y", three("output").or(onnx_y)),
                ("h", state("hn").or_else(|| state("raw/Y_h"))),
                ("c", state("cn").or_else(|| state("raw/Y_c"))),
            ],
            config,
            weights,
        }
    }
}

/// A tensor of a file, if it is there.
pub fn numbers(file: &SafeTensors<'_>, name: &str) -> Option<ArrayD<f32>> {
    let view = file.tensor(name).ok()?;
    assert_eq!(view.dtype(), Dtype::F32, "{name}");
    let values = view.data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
    Some(ArrayD::from_shape_vec(view.shape(), values).unwrap())
}

pub struct Case {
    pub config: RnnConfig,
    pub weights: RnnWeights,
    pub x: Array3<f32>,
    pub state: Option<State>,
    pub lengths: Option<Vec<usize>>,
    expected: [(&'static str, Option<Array3<f32>>); 3],
}

impl Case {
    /// What is wrong with it on a device.
    fn faults(&self, name: &str, device: &Device, schedule: Schedule) -> Vec<String> {
        let rnn = Rnn::new(device, &self.config, self.weights.clone()).unwrap();
        let call = RnnCall::default().lengths(self.lengths.clone().into()).schedule(schedule);
        let got = rnn.forward_with(self.x.view(), self.state.as_ref(), &call).unwrap();
        let got = [Some(got.y.into_dimensionality().unwrap()), Some(got.state.h), got.state.c];
        let mut faults = Vec::new();
        let mut compared = 0;
        for ((what, expected), got) in self.expected.iter().zip(got) {
            let Some(expected) = expected else { continue };
            let largest = expected.iter().fold(1.0_f32, |largest, x| largest.max(x.abs()));
            let name = format!("{name} {schedule:?} on {}, {what}", device.name());
            let expected = expected.mapv(f64::from).into_dyn();
            let got = got.unwrap_or_else(|| panic!("{name}: the layer has none"));
            let tolerance = TOLERANCE * f64::from(largest);
            let comparison = Comparison::new(name, got.view().into_dyn(), expected.view(), tolerance).unwrap();
            compared += comparison.count;
            if !comparison.passed() {
                faults.push(comparison.to_string());
            }
        }
        assert!(compared > 0, "{name} expects nothing");
        faults
    }
}

/// Every case that `keep` keeps must be right.
fn pass(fixture: &str, count: usize, device: &Device, schedule: Schedule, keep: impl Fn(&Entry) -> bool) {
    let fixture = Fixture::read(fixture);
    let entries: Vec<_> = fixture.entries.iter().filter(|entry| keep(entry)).collect();
    assert_eq!(entries.len(), count);
    let faults = entries.iter().flat_map(|entry| fixture.case(entry).faults(&entry.name, device, schedule));
    let faults: Vec<_> = faults.collect();
    assert!(faults.is_empty(), "{} differences:\n{}", faults.len(), faults.join("\n"));
}

const PYTORCH: &str = "pytorch_golden.safetensors";
const ONNX: &str = "onnx_nodes.safetensors";
const PEEPHOLES: &str = "test_lstm_with_peepholes";

fn is_node(entry: &Entry) -> bool {
    entry.name.starts_with("test_") && entry.name != PEEPHOLES
}

fn is_made(entry: &Entry) -> bool {
    entry.name.starts_with("made_")
}

fn pytorch(device: &Device, schedule: Schedule) {
    pass(PYTORCH, 64, device, schedule, |_| true);
}

/// The 18 nodes less the one with peepholes, which has no name in PyTorch (tests/onnx.rs runs it), and 12 made ones.
fn onnx(device: &Device, schedule: Schedule) {
    pass(ONNX, 17, device, schedule, is_node);
    pass(ONNX, 12, device, schedule, is_made);
}

#[test]
fn the_cpu_gives_what_pytorch_gives() {
    pytorch(&Device::cpu(), Schedule::Auto);
}

#[test]
fn every_schedule_gives_what_pytorch_gives() {
    for schedule in Schedule::ALL {
        pytorch(&gpu(), schedule);
    }
}

#[test]
fn the_gpu_gives_what_onnx_gives() {
    onnx(&gpu(), Schedule::Auto);
}

#[test]
fn the_cpu_gives_what_onnx_gives() {
    onnx(&Device::cpu(), Schedule::Auto);
}

#[test]
fn stepping_gives_what_onnx_gives() {
    onnx(&gpu(), Schedule::Step);
}

/// A case of a fixture of ours on a device: outputs, final states, and gradients of all that went in.
pub fn pass_with_gradients(bytes: &[u8], case: &str, config: &RnnConfig, device_name: &str, device: &Device) {
    let file = SafeTensors::deserialize(bytes).unwrap();
    let array = |name: &str| numbers(&file, &format!("{case}/{name}"));
    let three = |name: &str| array(name).map(|array| array.into_dimensionality::<Ix3>().unwrap());
    let weights = RnnWeights::from_safetensors(bytes, config, &format!("{case}/")).unwrap();
    let rnn = Rnn::trainable(device, config, &weights).unwrap();
    let state = State { h: three("h0").unwrap(), c: three("c0") };
    let (x, dy) = (three("x").unwrap(), array("dy").unwrap());
    let got = rnn.gradients(x.view(), Some(&state), &RnnCall::default(), dy.view(), None).unwrap();
    let mut compared: Vec<_> = got.weights.named().map(|(name, array)| (format!("grad/{name}"), array)).collect();
    compared.push(("y".to_owned(), got.output.y.view()));
    compared.push(("hn".to_owned(), got.output.state.h.view().into_dyn()));
    compared.push(("grad/x".to_owned(), got.x.view().into_dyn()));
    compared.extend(got.output.state.c.as_ref().map(|c| ("cn".to_owned(), c.view().into_dyn())));
    if array("grad/h0").is_some() {
        compared.push(("grad/h0".to_owned(), got.state.h.view().into_dyn()));
        compared.extend(got.state.c.as_ref().map(|c| ("grad/c0".to_owned(), c.view().into_dyn())));
    }
    for (name, got) in compared {
        let expected = array(&name).unwrap_or_else(|| panic!("{case} has no {name}"));
        assert!(!expected.is_empty(), "{case}: {name} is empty");
        let largest = expected.iter().fold(1.0_f32, |largest, x| largest.max(x.abs()));
        // Exponents reach 30, where half an ε is 15 ε of their power; gradients add up over steps.
        let tolerance = 64.0 * f64::from(f32::EPSILON) * f64::from(largest);
        let name = format!("{case} on {device_name}, {name}");
        let comparison = Comparison::new(name, got, expected.mapv(f64::from).view(), tolerance).unwrap();
        assert!(comparison.passed(), "{comparison}");
    }
}

/// The names of the cells in `cells_golden.safetensors`, and the file.
fn own_cells() -> (Vec<String>, Vec<u8>) {
    let bytes = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/cells_golden.safetensors")).unwrap();
    let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
    (serde_json::from_str(&metadata.metadata().as_ref().unwrap()["cases"]).unwrap(), bytes)
}

/// Plain recurrences in float64 and their exact gradients (`scripts/make_cells_golden.py`).
#[test]
fn cells_that_others_lack_give_what_their_papers_give() {
    let (cases, bytes) = own_cells();
    for (device_name, device) in devices() {
        for case in &cases {
            let cell = Cell::named(case).unwrap_or_else(|| panic!("unknown cell {case}"));
            pass_with_gradients(&bytes, case, &RnnConfig::new(cell, 3, 4), device_name, &device);
        }
    }
}

/// A row of the document and one of the table above `Cell`, and a place in README.md's list, which has hyphens.
#[test]
fn every_cell_is_documented() {
    let read = |path| std::fs::read_to_string(format!("{}/../{path}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let readme = read("README.md").replace('-', "").to_lowercase();
    let list = readme.lines().find(|line| line.starts_with("| cells |")).unwrap();
    let tables = ["docs/cells.md", "src/cells/cell.rs"].map(|path| (path, read(path)));
    for cell in Cell::ALL {
        let variant = format!("{cell:?}");
        let variant = variant.split('(').next().unwrap();
        for (path, text) in &tables {
            let mut rows = text.lines().map(|line| line.trim_start().trim_start_matches("/// "));
            let is_row = |line: &str| line.starts_with('|') && line.contains(&format!("`{variant}"));
            assert!(rows.any(is_row), "{path} has no row of `{variant}`");
        }
        let is_named = list.split(|c: char| !c.is_alphanumeric()).any(|word| word == variant.to_lowercase());
        assert!(is_named, "README.md's list of cells has no {variant}");
    }
}

/// PyTorch's, ONNX's, the xlstm package's or ours.
#[test]
fn every_cell_is_held_to_numbers_computed_elsewhere() {
    let mut held: Vec<_> = [PYTORCH, ONNX]
        .iter()
        .flat_map(|name| Fixture::read(name).entries)
        .map(|entry| entry.config().cell())
        .collect();
    held.extend(own_cells().0.iter().filter_map(|name| Cell::named(name)));
    // `heads.rs` has it.
    held.push(Cell::Slstm);
    for cell in Cell::ALL {
        assert!(held.contains(&cell), "{} has no golden data", cell.name());
    }
}
