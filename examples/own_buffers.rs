//! Your own wgpu device, buffers and command encoder: between your own commands, a GRU reads one of your buffers and writes
//! another.
//!
//! `cargo run --release --example own_buffers`

use wgrnn::wgpu::{self, BufferUsages as Usage};
use wgrnn::{Cell, Device, Rnn, RnnCall, RnnConfig, RnnWeights, Session, SessionOptions, Tensor};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let adapter = pollster::block_on(instance.request_adapter(&wgpu::RequestAdapterOptions::default()))?;
    let descriptor = wgpu::DeviceDescriptor { required_limits: adapter.limits(), ..Default::default() };
    let (gpu, queue) = pollster::block_on(adapter.request_device(&descriptor))?;
    let buffer = |numbers: u64, usage| {
        gpu.create_buffer(&wgpu::BufferDescriptor { label: None, size: 4 * numbers, usage, mapped_at_creation: false })
    };
    let x = buffer(20 * 8, Usage::STORAGE | Usage::COPY_DST); // [20 steps, 1 sequence, 8 features]
    let y = buffer(20 * 16, Usage::STORAGE | Usage::COPY_SRC);
    let copy = buffer(20 * 16, Usage::COPY_DST | Usage::MAP_READ);

    let device = Device::from_wgpu(gpu.clone(), queue.clone())?;
    let config = RnnConfig::new(Cell::Gru(wgrnn::Reset::After), 8, 16);
    let rnn = Rnn::new(&device, &config, RnnWeights::init(&config, 0)?)?;
    let (input, output) =
        (Tensor::from_buffer(&device, x.clone(), &[20, 1, 8])?, Tensor::from_buffer(&device, y.clone(), &[20, 1, 16])?);
    let options = SessionOptions::new(20, 1).call(RnnCall::default());
    let session = Session::with_tensors(&rnn, options, input, output, rnn.device_state(1)?)?;

    queue.write_buffer(&x, 0, bytemuck::cast_slice(&[0.5_f32; 20 * 8]));
    let mut encoder = gpu.create_command_encoder(&Default::default());
    session.encode(&mut encoder)?; // your own commands may come before and after
    encoder.copy_buffer_to_buffer(&y, 0, &copy, 0, 4 * 20 * 16);
    queue.submit([encoder.finish()]);
    copy.map_async(wgpu::MapMode::Read, .., |mapped| mapped.expect("the buffer can be mapped"));
    gpu.poll(wgpu::PollType::wait_indefinitely())?;
    println!("{:?}", bytemuck::pod_collect_to_vec::<u8, f32>(&copy.get_mapped_range(..)?[..16]));
    Ok(())
}
