//! Devices: how one is chosen, what it says of itself, and the caller's own wgpu objects.

use crate::common::{Random, gpu, portable, rnn};
use ndarray::{Array3, ArrayD};
use wgrnn::{
    Cell, Class, Device, Error, GpuOptions, Reset, Rnn, RnnCall, RnnConfig, RnnWeights, Session, SessionOptions,
    Tensor, adapters,
};

#[test]
fn adapters_are_listed_the_best_first() {
    let found = adapters();
    assert!(!found.is_empty());
    let rank = |class| match class {
        Class::Discrete => 0,
        Class::Integrated => 1,
        Class::Software => 2,
        other => panic!("an adapter of class {other:?}"),
    };
    assert!(found.is_sorted_by_key(|report| rank(report.class)), "{found:?}");
    assert!(found.iter().any(|report| report.name == gpu().name()));
}

#[test]
fn a_report_tells_name_limits_and_features() {
    for device in [gpu(), portable()] {
        let report = device.report().unwrap();
        assert!(!device.is_cpu() && device.wgpu().is_some());
        assert_eq!(report.name, device.name());
        assert!(!report.name.is_empty() && !report.backend.is_empty());
        let limits = report.limits;
        // No adapter has less than WebGPU's defaults.
        assert!(limits.binding_bytes >= 128 << 20 && limits.buffer_bytes >= 256 << 20, "{report}");
        assert!(limits.workgroups >= 65_535 && limits.invocations >= 256, "{report}");
        assert!(limits.workgroup_bytes >= 16 << 10 && limits.storage_buffers >= 8, "{report}");
        let (least, most) = report.subgroup;
        assert!(least <= most && most <= 128, "{report}");
        let text = report.to_string();
        assert!(text.contains(&report.name) && text.contains("limits:") && text.contains("features:"), "{text}");
    }
}

#[test]
fn a_portable_device_has_webgpus_defaults_and_no_features() {
    let device = portable();
    let report = device.report().unwrap();
    let features = report.features;
    assert!(!(features.immediates || features.subgroups || features.f16 || features.timestamps), "{report}");
    let defaults = wgpu::Limits::default();
    assert_eq!(report.limits.binding_bytes, defaults.max_storage_buffer_binding_size);
    assert_eq!(report.limits.invocations, defaults.max_compute_invocations_per_workgroup);
    assert_eq!(report.limits.immediate_bytes, 0);
}

#[test]
fn the_cpu_is_a_device_too() {
    let device = Device::cpu();
    assert!(device.is_cpu() && device.report().is_none() && device.wgpu().is_none() && device.note().is_none());
    assert_eq!(device.name(), "CPU");
    device.wait().unwrap();
}

#[test]
fn auto_gives_a_device_that_works() {
    let device = Device::auto();
    let rnn = rnn(&device, &RnnConfig::new(Cell::Lstm, 3, 5));
    let report = rnn.check(Random::new(16).array([4, 2, 3]).view(), None, &RnnCall::default()).unwrap();
    assert!(report.passed(), "{report}");
}

/// What `run` prints in a process of its own with another environment, which a process must not change while its
/// threads run. `test` is the test that calls this.
fn child(test: &str, adapter: Option<&str>, run: impl FnOnce()) -> Option<String> {
    const CHILD: &str = "WGRNN_TEST_CHILD";
    if std::env::var_os(CHILD).is_some() {
        run();
        return None;
    }
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", &format!("device::{test}"), "--nocapture"])
        .env(CHILD, "1")
        .env_remove("WGPU_ADAPTER_NAME");
    if let Some(name) = adapter {
        command.env("WGPU_ADAPTER_NAME", name);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn auto_takes_a_gpu_in_software_only_where_the_environment_names_it() {
    let says = |adapter: Option<&str>| {
        child("auto_takes_a_gpu_in_software_only_where_the_environment_names_it", adapter, || {
            for device in [Device::auto(), pollster::block_on(Device::auto_async())] {
                println!("auto: {}; note: {}", device.name(), device.note().unwrap());
            }
        })
    };
    let Some(free) = says(None) else { return };
    let real = adapters().into_iter().find(|adapter| adapter.class != Class::Software);
    let expected = match real {
        Some(adapter) => format!("auto: {0}; note: using {0}, a GPU", adapter.name),
        None => format!("auto: CPU; note: using the CPU: {} is a GPU in software", adapters()[0].name),
    };
    assert_eq!(free.matches(&expected).count(), 2, "{free}");

    let name = adapters()[0].name.clone();
    let named = says(Some(&name)).unwrap();
    assert_eq!(named.matches(&format!("auto: {name}; note: using {name}, a GPU")).count(), 2, "{named}");
    let unknown = says(Some("no such adapter")).unwrap();
    let expected = "auto: CPU; note: using the CPU: no GPU adapter named 'no such adapter'";
    assert_eq!(unknown.matches(expected).count(), 2, "{unknown}");
}

#[test]
fn a_gpu_in_software_is_still_opened_by_whoever_asks_for_a_gpu() {
    let device = Device::gpu().unwrap();
    assert!(!device.is_cpu());
    let software = device.report().unwrap().class == Class::Software;
    assert_eq!(device.note().is_some_and(|note| note.contains("slower than the CPU device")), software);
}

#[test]
fn part_of_an_adapters_name_in_any_case_chooses_it() {
    let name = gpu().name().to_owned();
    for part in [name.to_uppercase(), name.to_lowercase(), name.chars().take(6).collect()] {
        let options = GpuOptions::default().adapter(part.clone());
        let chosen = Device::gpu_with(&options).unwrap();
        assert!(chosen.name().to_lowercase().contains(&part.to_lowercase()), "{}", chosen.name());
    }
}

#[test]
fn an_unknown_adapter_is_an_error_that_lists_what_there_is() {
    let options = GpuOptions::default().adapter("no such adapter".to_owned());
    let error = Device::gpu_with(&options).unwrap_err();
    assert!(matches!(error, Error::NoAdapter { .. }));
    let text = error.to_string();
    assert!(text.contains("named 'no such adapter'"), "{text}");
    assert!(adapters().iter().all(|report| text.contains(&report.name)), "{text}");
}

/// What prints an error's text and then its sources, as anyhow does, says each thing once.
#[test]
fn a_file_error_has_the_systems_words_once() {
    let error = RnnWeights::load("/no/such/file", &RnnConfig::new(Cell::Lstm, 3, 5), "").unwrap_err();
    assert!(matches!(error, Error::File { .. }));
    let all = format!("{:#}", anyhow::Error::from(error));
    assert_eq!(all.matches("os error").count(), 1, "{all}");
    assert!(all.contains("/no/such/file"), "{all}");
}

/// Bindings of less than a vector are refused by some implementations of WebGPU.
#[test]
fn the_smallest_buffer_holds_a_whole_vector() {
    let device = gpu();
    for words in [1, 2, 3, 5] {
        let size = Tensor::<f32>::zeros(&device, &[words]).unwrap().buffer().unwrap().size();
        assert!(size >= 16 && size.is_multiple_of(16), "{words} words in {size} bytes");
    }
}

#[test]
fn the_environment_names_the_adapter() {
    let says = |name: &str| {
        child("the_environment_names_the_adapter", Some(name), || match Device::gpu() {
            Ok(device) => println!("opened {}", device.name()),
            Err(error) => println!("refused: {error}"),
        })
    };
    // What the environment names does not change this list.
    let name = &adapters()[0].name;
    let Some(opened) = says(name) else { return };
    assert!(opened.contains(&format!("opened {name}")), "{opened}");
    let refused = says("no such adapter").unwrap();
    assert!(refused.contains("refused: no GPU adapter named 'no such adapter'"), "{refused}");
}

/// Mesa asks for Wayland, and complains where there is none: `.cargo/config.toml` keeps it from that.
#[test]
fn what_cargo_runs_without_a_display_prints_no_complaints() {
    const TEST: &str = "what_cargo_runs_without_a_display_prints_no_complaints";
    let lists = "WGRNN_TEST_LISTS";
    if std::env::var_os(lists).is_some() {
        println!("{} adapters", adapters().len());
        return;
    }
    // Who runs the tests without cargo has an environment of his own.
    if std::env::var_os("CARGO").is_none() {
        return;
    }
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", &format!("device::{TEST}"), "--nocapture"]).env(lists, "1").env_remove("XDG_RUNTIME_DIR");
    let output = command.env_remove("WAYLAND_DISPLAY").output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains("adapters"), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

/// The adapter under test, as a caller finds it.
fn adapter() -> wgpu::Adapter {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = wgpu::Backends::PRIMARY;
    let adapters = pollster::block_on(wgpu::Instance::new(descriptor).enumerate_adapters(wgpu::Backends::PRIMARY));
    adapters.into_iter().find(|adapter| adapter.get_info().name == gpu().name()).unwrap()
}

/// A device and queue of the caller's, with default features and limits.
fn open(adapter: &wgpu::Adapter) -> (Device, wgpu::Device, wgpu::Queue) {
    let (device, queue) = pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor::default())).unwrap();
    (Device::from_wgpu(device.clone(), queue.clone()).unwrap(), device, queue)
}

fn callers() -> (Device, wgpu::Device, wgpu::Queue) {
    open(&adapter())
}

fn buffer(device: &wgpu::Device, words: u64, usage: wgpu::BufferUsages) -> wgpu::Buffer {
    device.create_buffer(&wgpu::BufferDescriptor { label: None, size: 4 * words, usage, mapped_at_creation: false })
}

#[test]
fn a_layer_runs_on_the_callers_device() {
    let (device, ..) = callers();
    for schedule in [wgrnn::Schedule::Step, wgrnn::Schedule::Sequence] {
        let rnn = rnn(&device, &RnnConfig::new(Cell::Lstm, 3, 5).layers(2));
        let call = RnnCall::default().schedule(schedule);
        let report = rnn.check(Random::new(17).array([4, 2, 3]).view(), None, &call).unwrap();
        assert!(report.passed(), "{report}");
    }
}

/// Only what it needs: the caller fills the input by its queue and copies the output in the same encoder.
#[test]
fn a_layer_works_on_the_callers_buffers_in_the_callers_encoder() {
    use wgpu::BufferUsages as Usage;
    let (device, raw, queue) = callers();
    let config = RnnConfig::new(Cell::Lstm, 3, 5);
    let rnn = rnn(&device, &config);
    let x = Random::new(18).array([4, 2, 3]);
    let expected = rnn.forward(x.view()).unwrap();

    let input = buffer(&raw, 24, Usage::STORAGE | Usage::COPY_DST);
    // Larger than the tensor in it.
    let output = buffer(&raw, 50, Usage::STORAGE | Usage::COPY_SRC);
    let readback = buffer(&raw, 40, Usage::MAP_READ | Usage::COPY_DST);
    let x_tensor = Tensor::from_buffer(&device, input.clone(), &[4, 2, 3]).unwrap();
    let y_tensor = Tensor::from_buffer(&device, output.clone(), &[4, 2, 5]).unwrap();
    let options = SessionOptions::new(4, 2).call(RnnCall::default());
    let session = Session::with_tensors(&rnn, options, x_tensor, y_tensor, rnn.device_state(2).unwrap()).unwrap();

    queue.write_buffer(&input, 0, bytemuck::cast_slice(x.as_slice().unwrap()));
    let mut encoder = raw.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    session.encode(&mut encoder).unwrap();
    encoder.copy_buffer_to_buffer(&output, 0, &readback, 0, 160);
    queue.submit([encoder.finish()]);
    readback.map_async(wgpu::MapMode::Read, .., |result| result.unwrap());
    raw.poll(wgpu::PollType::wait_indefinitely()).unwrap();
    let mapped = readback.get_mapped_range(..).unwrap();
    let words: Vec<f32> = bytemuck::pod_collect_to_vec(&mapped[..]);
    assert_eq!(ArrayD::from_shape_vec(vec![4, 2, 5], words).unwrap(), expected.y);
    assert_eq!(session.state().read().unwrap(), expected.state);
    assert_eq!(session.output().buffer(), Some(&output));
}

#[test]
fn a_fault_on_the_callers_device_is_an_error_not_a_panic() {
    let (device, raw, _) = callers();
    let rnn = rnn(&device, &RnnConfig::new(Cell::Lstm, 3, 5));
    let silent =
        Tensor::<f32>::from_buffer(&device, buffer(&raw, 24, wgpu::BufferUsages::STORAGE), &[4, 2, 3]).unwrap();
    let x = Array3::zeros((4, 2, 3));
    for (during, error) in [("reading", silent.read().err()), ("writing", silent.write(x.view()).err())] {
        let error = error.expect("the buffer lacks the usage");
        assert!(matches!(error, Error::Gpu { .. }) && error.to_string().contains(during), "{error}");
    }
    // The device goes on.
    assert!(rnn.check(x.view(), None, &RnnCall::default()).unwrap().passed());
}

#[test]
fn buffers_that_can_be_no_tensor_are_refused() {
    let (device, raw, _) = callers();
    let storage = wgpu::BufferUsages::STORAGE;
    let text = |device: &Device, buffer, shape: &[usize]| {
        Tensor::<f32>::from_buffer(device, buffer, shape).unwrap_err().to_string()
    };
    let small = text(&device, buffer(&raw, 23, storage), &[4, 2, 3]);
    assert!(small.contains("buffer size") && small.contains("96 bytes") && small.contains("got 92"), "{small}");
    let usage = text(&device, buffer(&raw, 24, wgpu::BufferUsages::COPY_SRC), &[4, 2, 3]);
    assert!(usage.contains("buffer usage") && usage.contains("STORAGE") && usage.contains("COPY_SRC"), "{usage}");
    let empty = text(&device, buffer(&raw, 24, storage), &[4, 0, 3]);
    assert!(empty.contains("tensor shape") && empty.contains("[4, 0, 3]"), "{empty}");
    let cpu = text(&Device::cpu(), buffer(&raw, 24, storage), &[4, 2, 3]);
    assert!(cpu.contains("another device"), "{cpu}");
}

#[test]
fn a_buffer_of_another_wgpu_device_is_refused() {
    let adapter = adapter();
    let ((device, ..), (_, other, _)) = (open(&adapter), open(&adapter));
    let foreign = buffer(&other, 24, wgpu::BufferUsages::STORAGE);
    let error = Tensor::<f32>::from_buffer(&device, foreign, &[4, 2, 3]).unwrap_err();
    assert!(matches!(error, Error::OtherDevice { .. }) && error.to_string().contains("buffer"), "{error}");
}

#[test]
fn a_device_of_less_than_webgpus_limits_is_refused_by_the_limits_name() {
    let limits = wgpu::Limits { max_storage_buffers_per_shader_stage: 4, ..wgpu::Limits::default() };
    let descriptor = wgpu::DeviceDescriptor { required_limits: limits, ..Default::default() };
    let (device, queue) = pollster::block_on(adapter().request_device(&descriptor)).unwrap();
    let error = Device::from_wgpu(device, queue).unwrap_err();
    assert!(matches!(error, Error::Limit { needed: 8, allowed: 4, .. }), "{error}");
    assert!(error.to_string().contains("max_storage_buffers_per_shader_stage"), "{error}");
}

#[test]
fn a_program_of_the_cpu_has_no_place_in_an_encoder() {
    let session = rnn(&Device::cpu(), &RnnConfig::new(Cell::Lstm, 3, 5)).session(SessionOptions::new(4, 2)).unwrap();
    let device = gpu();
    let (raw, _) = device.wgpu().unwrap();
    let mut encoder = raw.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    assert!(matches!(session.encode(&mut encoder), Err(Error::OtherDevice { .. })));
}

#[test]
fn futures_give_what_their_blocking_twins_give() {
    let config = RnnConfig::new(Cell::Gru(Reset::After), 3, 5);
    let x = Array3::ones((4, 2, 3));
    let device = pollster::block_on(Device::gpu_async(&GpuOptions::default())).unwrap();
    let rnn = Rnn::trainable(&device, &config, &RnnWeights::init(&config, 0).unwrap()).unwrap();
    let call = RnnCall::default();
    let output = rnn.forward(x.view()).unwrap();
    assert_eq!(pollster::block_on(rnn.forward_with_async(x.view(), None, &call)).unwrap(), output);
    let gradients = rnn.gradients(x.view(), None, &call, output.y.view(), None).unwrap();
    let awaited = rnn.gradients_async(x.view(), None, &call, output.y.view(), None);
    assert_eq!(pollster::block_on(awaited).unwrap(), gradients);
    assert!(pollster::block_on(rnn.check_async(x.view(), None, &call)).unwrap().passed());
    pollster::block_on(device.wait_async()).unwrap();
}
