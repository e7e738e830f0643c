//! A snapshot of what the library would run: a hash of the text of every shader, and of every plan of many layers, shapes and
//! classes of adapter. A refactoring changes no line; a change of kernels or plans shows in review which ones it touches, and
//! whether plans grew.
//!
//! `UPDATE_SNAPSHOTS=1 cargo test --release -p wgrnn-tests --test suite -- snapshot` writes the files anew.

use std::collections::{HashMap, HashSet};
use std::fmt::Write;
use std::hash::Hasher;
use std::path::PathBuf;
use std::process;
use wgrnn::kernels::{Dialect, Kernel, compose};
use wgrnn::plan::{Command, Plan, Role};
use wgrnn::{
    Activation, Cell, Class, Clip, Device, Direction, LearningRate, Lengths, Model, ModelConfig, Optimizer, Output,
    Precision, Reset, Rnn, RnnCall, RnnConfig, RnnWeights, Schedule, SessionOptions, Tape, Targets, Tensor, Trainer,
    TrainerOptions,
};

/// FNV-1a, which is the same on every machine and in every version of the standard library.
struct Fnv(u64);

impl Fnv {
    fn of(text: &str) -> u64 {
        let mut hash = Self(0xcbf2_9ce4_8422_2325);
        hash.write(text.as_bytes());
        hash.finish()
    }
}

impl Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

/// Compares lines with a committed file, or writes it.
fn compare(name: &str, mut lines: Vec<String>) {
    lines.sort();
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("snapshots").join(name);
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, lines.join("\n") + "\n").unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    let committed: Vec<_> = committed.lines().collect();
    let gone =
        committed.iter().filter(|line| !lines.iter().any(|other| other == *line)).map(|line| format!("- {line}"));
    let new = lines.iter().filter(|line| !committed.contains(&line.as_str())).map(|line| format!("+ {line}"));
    let changes: Vec<_> = gone.chain(new).collect();
    assert!(
        changes.is_empty(),
        "{} lines of {} changed; if they were meant to, write them anew with UPDATE_SNAPSHOTS=1:\n{}",
        changes.len(),
        path.display(),
        changes.join("\n")
    );
}

/// Whether the library works on two threads, on which plans for the CPU and for GPUs in software depend. Where it does not, a child
/// process runs the test on two.
fn has_two_threads(test: &str) -> bool {
    const COUNT: &str = "RAYON_NUM_THREADS";
    if std::env::var(COUNT).is_ok_and(|count| count == "2") {
        return true;
    }
    let test = format!("snapshot::{test}");
    let mut child = process::Command::new(std::env::current_exe().unwrap());
    let output = child.args(["--exact", &test]).env(COUNT, "2").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{test} on two threads:\n{text}");
    false
}

/// A shader without comments, indentation and empty lines.
fn plain(text: &str) -> String {
    let lines = text.lines().map(|line| line.split("//").next().unwrap_or_default().trim());
    lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
}

#[test]
fn no_shader_changed() {
    let mut lines = Vec::new();
    for kernel in Kernel::ALL {
        let mut seen = HashSet::new();
        for case in kernel.cases(&Device::cpu()) {
            if seen.insert(case.variant().clone()) {
                let dialect = Dialect::default().immediates(true);
                let text = compose(case.variant(), dialect).unwrap();
                lines.push(format!("{:016x} {}", Fnv::of(&plain(&text)), case.variant()));
            }
        }
    }
    assert!(lines.len() > 500, "{} variants", lines.len());
    compare("shaders.txt", lines);
}

/// What a plan is made of, by names: numbers of buffers, variants and lists may change.
fn listing(plan: &Plan) -> String {
    let mut text = plan.to_string();
    for buffer in plan.buffers() {
        let contents = match &buffer.role {
            Role::Constant(data) | Role::Indices(data) | Role::Guarded(data) => Fnv::of(&format!("{data:?}")),
            _ => 0,
        };
        writeln!(text, "{} {} {contents:x}", buffer.name, buffer.words).unwrap();
    }
    let name = |id| &plan.buffer(id).unwrap().name;
    for command in plan.commands() {
        match command {
            Command::Copy { from, to, words, .. } => writeln!(text, "copy {words} {} {}", name(*from), name(*to)),
            Command::Clear { buffer, offset, words, .. } => writeln!(text, "clear {words} {offset} {}", name(*buffer)),
            Command::Dispatch(dispatch) => {
                let variant = &plan.variants()[dispatch.variant];
                let bound: Vec<_> = plan.bindings()[dispatch.bindings].iter().map(|&id| name(id)).collect();
                let words = plan.params(dispatch);
                let mut params: Vec<_> = variant.kernel().row().params.iter().zip(words).collect();
                params.sort();
                writeln!(
                    text,
                    "{variant} {bound:?} {params:?} {} {:?} {} {}",
                    dispatch.window, dispatch.grid, dispatch.flop, dispatch.bytes
                )
            }
            other => panic!("a snapshot has no line for {other:?}"),
        }
        .unwrap();
    }
    text
}

fn line(what: &str, plan: &Plan) -> String {
    format!(
        "{what}: {:016x} {} dispatches, {} FLOP, {} bytes, {} allocated, {} kept",
        Fnv::of(&listing(plan)),
        plan.dispatches().count(),
        plan.flop(),
        plan.bytes(),
        plan.workspace_bytes(),
        plan.reserve_bytes()
    )
}

/// The CPU device, and an adapter that computes nothing, taken for each class of GPU.
fn devices() -> Vec<(&'static str, Device)> {
    let gpu = |class| {
        let backend_options = wgpu::BackendOptions {
            noop: wgpu::NoopBackendOptions {
                limits: Some(wgpu::Limits { max_immediate_size: 128, ..wgpu::Limits::default() }),
                features: Some(wgpu::Features::IMMEDIATES | wgpu::Features::SUBGROUP),
                subgroup_min_size: Some(8),
                subgroup_max_size: Some(32),
                ..wgpu::NoopBackendOptions::enabled()
            },
            ..wgpu::BackendOptions::default()
        };
        let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
            backends: wgpu::Backends::NOOP,
            backend_options,
            ..wgpu::InstanceDescriptor::new_without_display_handle()
        });
        let adapter = pollster::block_on(instance.request_adapter(&wgpu::RequestAdapterOptions::default())).unwrap();
        let descriptor = wgpu::DeviceDescriptor {
            required_features: adapter.features(),
            required_limits: adapter.limits(),
            ..wgpu::DeviceDescriptor::default()
        };
        let (device, queue) = pollster::block_on(adapter.request_device(&descriptor)).unwrap();
        Device::from_wgpu_as(device, queue, class).unwrap()
    };
    vec![
        ("cpu", Device::cpu()),
        ("software", gpu(Class::Software)),
        ("integrated", gpu(Class::Integrated)),
        ("discrete", gpu(Class::Discrete)),
    ]
}

/// Names of layers, and what is made of their sizes.
fn layers(input: usize, hidden: usize) -> Vec<(String, RnnConfig)> {
    let of = |cell| RnnConfig::new(cell, input, hidden);
    let gru = Cell::Gru(Reset::After);
    let mut layers: Vec<_> = Cell::ALL.map(|cell| (cell.name().to_owned(), of(cell))).into();
    let mut add = |name: &str, config| layers.push((name.to_owned(), config));
    for cell in [Cell::Elman(Activation::Tanh), Cell::Lstm, gru, Cell::MinGru, Cell::Slstm] {
        add(&format!("{} x2 both ways", cell.name()), of(cell).layers(2).direction(Direction::Bidirectional));
        add(&format!("{} half", cell.name()), of(cell).precision(Precision::Half));
    }
    add("lstm projected", of(Cell::Lstm).projection(hidden / 2));
    add("lstm peepholes", of(Cell::Lstm).peepholes(true));
    add("lstm clip", of(Cell::Lstm).clip(1.0));
    add("lstm heads", of(Cell::Lstm).heads(2));
    add("lstm norm", of(Cell::Lstm).layer_norm(true));
    add("gru norm", of(gru).layer_norm(true));
    add("lstm zoneout", of(Cell::Lstm).zoneout(0.1, 0.2));
    add("gru recurrent dropout", of(gru).recurrent_dropout(0.3));
    add("lstm x3 dropout", of(Cell::Lstm).layers(3).with_dropout(0.5));
    add("lstm batch first", of(Cell::Lstm).batch_first(true));
    layers
}

#[test]
fn no_plan_of_a_layer_changed() {
    if !has_two_threads("no_plan_of_a_layer_changed") {
        return;
    }
    let mut lines = Vec::new();
    for (class, device) in devices() {
        for (steps, batch, input, hidden) in [(1, 1, 16, 32), (7, 3, 6, 12), (12, 20, 32, 64)] {
            let shape = format!("T {steps} N {batch} I {input} H {hidden} on {class}");
            for (name, config) in layers(input, hidden) {
                let weights = RnnWeights::init(&config, 1).unwrap();
                let lengths = Lengths::Fixed((0..batch).map(|n| steps - n % steps).collect());
                let calls = [
                    ("full", RnnCall::default()),
                    ("lengths, last", RnnCall::default().lengths(lengths).output(Output::Last)),
                ];
                let rnn = Rnn::new(&device, &config, weights.clone()).unwrap();
                for (called, call) in calls {
                    let session = rnn.session(SessionOptions::new(steps, batch).call(call)).unwrap();
                    lines.push(line(&format!("{name}, {called}, {shape}"), session.plan()));
                }
                let trainable = Rnn::trainable(&device, &config, &weights);
                // Some layers run forward only.
                let Ok(rnn) = trainable else { continue };
                let call = RnnCall::default().keep_every((steps == 7).then_some(3));
                let training = rnn.training(SessionOptions::new(steps, batch).call(call), false).unwrap();
                for (pass, plan) in ["keeping", "backward"].into_iter().zip(training.plans()) {
                    lines.push(line(&format!("{name}, {pass}, {shape}"), plan));
                }
            }
        }
    }
    assert!(lines.len() > 1000, "{} plans", lines.len());
    compare("layers.txt", lines);
}

/// Every schedule by its name: for the layers above `Auto` chooses only some. Each makes plans of its own; one that makes only those of
/// another is not there yet.
#[test]
fn no_plan_of_a_schedule_changed() {
    if !has_two_threads("no_plan_of_a_schedule_changed") {
        return;
    }
    let mut lines = Vec::new();
    let mut plans = HashMap::new();
    for (class, device) in devices() {
        for cell in [Cell::Lstm, Cell::Gru(Reset::After)] {
            let config = RnnConfig::new(cell, 8, 32).layers(2);
            let rnn = Rnn::trainable(&device, &config, &RnnWeights::init(&config, 1).unwrap()).unwrap();
            for schedule in Schedule::ALL.into_iter().filter(|&schedule| schedule != Schedule::Auto) {
                let options = || {
                    SessionOptions::new(7, 3)
                        .call(RnnCall::default().lengths(Lengths::Fixed(vec![7, 2, 5])).schedule(schedule))
                };
                let session = rnn.session(options()).unwrap();
                plans.entry(listing(session.plan())).or_insert_with(HashSet::new).insert(schedule);
                let name = format!("{}, {}, {class}", cell.name(), schedule.name());
                lines.push(line(&format!("{name}, forward"), session.plan()));
                let training = rnn.training(options(), false).unwrap();
                for (pass, plan) in ["keeping", "backward"].into_iter().zip(training.plans()) {
                    lines.push(line(&format!("{name}, {pass}"), plan));
                }
            }
        }
    }
    for schedule in Schedule::ALL.into_iter().filter(|&schedule| schedule != Schedule::Auto) {
        let own = plans.values().any(|all| all.len() == 1 && all.contains(&schedule));
        assert!(own, "{schedule:?} makes the plans of another schedule");
    }
    compare("schedules.txt", lines);
}

#[test]
fn no_plan_of_a_training_step_changed() {
    if !has_two_threads("no_plan_of_a_training_step_changed") {
        return;
    }
    let mut lines = Vec::new();
    for (class, device) in devices() {
        for (name, cell) in [("lstm", Cell::Lstm), ("gru", Cell::Gru(Reset::After)), ("min_gru", Cell::MinGru)] {
            for (optimizer, chosen) in [("sgd", Optimizer::sgd(0.9)), ("adam", Optimizer::ADAM)] {
                let model =
                    Model::new(&device, &ModelConfig::language(11, RnnConfig::new(cell, 16, 24).layers(2)), 0).unwrap();
                let tokens = Tensor::<u32>::zeros(&device, &[5, 4]).unwrap();
                let targets = Targets::new(&device, &[5, 4], 11).unwrap();
                let state = model.device_state(4).unwrap();
                let mut tape = Tape::training(&device).unwrap();
                let (x, t) = (tape.input(&tokens).unwrap(), tape.input(targets.tensor()).unwrap());
                let logits = model.forward(&mut tape, &x, &state, &RnnCall::default()).unwrap();
                tape.cross_entropy(&logits, &t).unwrap();
                let options =
                    TrainerOptions::new(chosen).learning_rate(LearningRate::Constant(0.1)).clip(Clip::Norm(1.0));
                let trainer = Trainer::new(tape, options).unwrap();
                lines.push(line(&format!("{name}, {optimizer}, {class}"), trainer.plan()));
            }
        }
    }
    compare("training.txt", lines);
}
