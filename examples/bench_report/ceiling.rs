//! What a device can do at most, measured: multiply-adds, copies, and a round trip with next to no work.

use anyhow::{Result, anyhow};
use rayon::prelude::*;
use serde::Serialize;
use std::time::Instant;
use wgrnn::Device;

/// The limits that kernels are held against.
#[derive(Clone, Debug, Serialize)]
pub struct Ceiling {
    /// Floating-point operations a second of a bare multiply-add loop.
    pub fma_flops: f64,
    /// Bytes a second read and written by a copy too large for caches.
    pub copy_bytes_per_second: f64,
    /// The same of a copy by a shader alone; a driver's own copy may be faster. On the CPU there is one copy.
    pub shader_copy_bytes_per_second: f64,
    /// Seconds from the submission of one tiny dispatch until it is known to be done; 0 on the CPU.
    pub round_trip_seconds: f64,
}

pub fn measure(device: &Device) -> Result<Ceiling> {
    match device.wgpu() {
        Some((gpu, queue)) => Probe { device, gpu, queue }.measure(),
        None => Ok(cpu()),
    }
}

struct Probe<'a> {
    device: &'a Device,
    gpu: &'a wgpu::Device,
    queue: &'a wgpu::Queue,
}

impl Probe<'_> {
    fn measure(&self) -> Result<Ceiling> {
        // As many chains as hide the latency of an instruction, but not more than there are registers: which number that
        // is differs from one machine to the next.
        let fma = [8, 12, 16].map(|chains| self.fma(chains));
        let fma_flops = fma.into_iter().collect::<Result<Vec<_>>>()?.into_iter().fold(0.0, f64::max);
        let [shader, command] = self.copies()?;
        Ok(Ceiling {
            fma_flops,
            copy_bytes_per_second: shader.max(command),
            shader_copy_bytes_per_second: shader,
            round_trip_seconds: self.round_trip()?,
        })
    }

    fn fma(&self, chains: usize) -> Result<f64> {
        const TRIPS: usize = 512;
        const UNROLLED: usize = 4;
        let line = |i: usize| format!("        a[{i}] = fma(a[{i}], b, c);\n");
        let body: String = (0..UNROLLED).flat_map(|_| (0..chains).map(line)).collect();
        let sum: Vec<_> = (0..chains).map(|i| format!("a[{i}]")).collect();
        let wgsl = include_str!("fma.wgsl")
            .replace("CHAINS", &chains.to_string())
            .replace("TRIPS", &format!("{TRIPS}u"))
            .replace("BODY", &body)
            .replace("SUM", &sum.join(" + "));
        let out = self.buffer(4 * 64);
        let run = self.dispatcher(&wgsl, &[&out])?;
        let (groups, seconds) = self.grow(&run, 65_535)?;
        Ok((2 * chains * UNROLLED * TRIPS * 64 * groups as usize) as f64 / seconds)
    }

    /// Bytes a second of a copy by a shader, and by a command.
    fn copies(&self) -> Result<[f64; 2]> {
        const PER_GROUP: u64 = 16 * 256;
        let limits = self.gpu.limits();
        let most = limits.max_storage_buffer_binding_size.min(limits.max_buffer_size).min(256 << 20);
        let groups = (most / PER_GROUP).min(u64::from(limits.max_compute_workgroups_per_dimension));
        let buffers = [self.buffer(groups * PER_GROUP), self.buffer(groups * PER_GROUP)];
        let run = self.dispatcher(include_str!("copy.wgsl"), &[&buffers[0], &buffers[1]])?;
        let kernel = best(|| run(groups as u32), 5)?;
        let command = best(|| self.copy_command(&buffers), 5)?;
        Ok([kernel, command].map(|seconds| (2 * groups * PER_GROUP) as f64 / seconds))
    }

    /// The driver's own copy: on a GPU in software, a shader's loads are far from the memory's speed.
    fn copy_command(&self, buffers: &[wgpu::Buffer; 2]) -> Result<f64> {
        let start = Instant::now();
        let mut encoder = self.gpu.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        encoder.copy_buffer_to_buffer(&buffers[0], 0, &buffers[1], 0, buffers[0].size());
        self.queue.submit([encoder.finish()]);
        self.device.wait()?;
        Ok(start.elapsed().as_secs_f64())
    }

    fn round_trip(&self) -> Result<f64> {
        let wgsl = "@group(0) @binding(0) var<storage, read_write> out: array<f32>;
            @compute @workgroup_size(1) fn main() { out[0] = 1.0; }";
        let out = self.buffer(16);
        let run = self.dispatcher(wgsl, &[&out])?;
        let mut seconds = (0..100).map(|_| run(1)).collect::<Result<Vec<_>>>()?;
        seconds.sort_by(f64::total_cmp);
        Ok(seconds[seconds.len() / 2])
    }

    /// As many workgroups as take a fifth of a second, and the best time of some runs with them.
    fn grow(&self, run: impl Fn(u32) -> Result<f64>, most: u32) -> Result<(u32, f64)> {
        let mut groups = 64;
        while run(groups)? < 0.05 && groups < most {
            groups = (groups * 4).min(most);
        }
        Ok((groups, best(|| run(groups), 5)?))
    }

    fn buffer(&self, size: u64) -> wgpu::Buffer {
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
        self.gpu.create_buffer(&wgpu::BufferDescriptor { label: Some("probe"), size, usage, mapped_at_creation: false })
    }

    /// Runs a shader with so many workgroups and waits for it: the seconds that takes.
    fn dispatcher(&self, wgsl: &str, buffers: &[&wgpu::Buffer]) -> Result<impl Fn(u32) -> Result<f64> + use<>> {
        let source = wgpu::ShaderModuleDescriptor { label: None, source: wgpu::ShaderSource::Wgsl(wgsl.into()) };
        let checks = wgpu::ShaderRuntimeChecks::unchecked();
        // SAFETY: the shaders of this folder end, and index what their buffers have.
        let module = unsafe { self.gpu.create_shader_module_trusted(source, checks) };
        let pipeline = self.gpu.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: None,
            layout: None,
            module: &module,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            cache: None,
        });
        let entries: Vec<_> = buffers
            .iter()
            .zip(0..)
            .map(|(buffer, binding)| wgpu::BindGroupEntry { binding, resource: buffer.as_entire_binding() })
            .collect();
        let group = self.gpu.create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout: &pipeline.get_bind_group_layout(0),
            entries: &entries,
        });
        let (device, gpu, queue) = (self.device.clone(), self.gpu.clone(), self.queue.clone());
        let run = move |groups: u32| {
            let start = Instant::now();
            let mut encoder = gpu.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            pass.set_pipeline(&pipeline);
            pass.set_bind_group(0, &group, &[]);
            pass.dispatch_workgroups(groups, 1, 1);
            drop(pass);
            queue.submit([encoder.finish()]);
            device.wait()?;
            Ok(start.elapsed().as_secs_f64())
        };
        run(1)?;
        Ok(run)
    }
}

fn best(mut run: impl FnMut() -> Result<f64>, times: usize) -> Result<f64> {
    let all = (0..times).map(|_| run()).collect::<Result<Vec<_>>>()?;
    all.into_iter().min_by(f64::total_cmp).ok_or_else(|| anyhow!("nothing was measured"))
}

/// All cores at once.
fn cpu() -> Ceiling {
    let threads = rayon::current_num_threads();
    let seconds = |work: &(dyn Fn() + Sync)| {
        let once = || {
            let start = Instant::now();
            (0..threads).into_par_iter().for_each(|_| work());
            start.elapsed().as_secs_f64()
        };
        (0..5).map(|_| once()).fold(f64::INFINITY, f64::min)
    };
    const TRIPS: usize = 1 << 20;
    let fma = seconds(&|| pulp::Arch::new().dispatch(Fma(TRIPS)));
    let lanes = pulp::Arch::new().dispatch(Lanes);
    let flop = 2 * CHAINS * lanes * TRIPS * threads;

    let words = 32 << 20;
    let from = vec![1.0_f32; words];
    let mut to = vec![0.0_f32; words];
    let copy = (0..5).map(|_| {
        let start = Instant::now();
        let part = words.div_ceil(threads);
        to.par_chunks_mut(part).zip(from.par_chunks(part)).for_each(|(to, from)| to.copy_from_slice(from));
        start.elapsed().as_secs_f64()
    });
    let copy = copy.fold(f64::INFINITY, f64::min);
    std::hint::black_box(&to);
    Ceiling {
        fma_flops: flop as f64 / fma,
        copy_bytes_per_second: (2 * 4 * words) as f64 / copy,
        shader_copy_bytes_per_second: (2 * 4 * words) as f64 / copy,
        round_trip_seconds: 0.0,
    }
}

/// Enough for two instructions a cycle of four cycles each.
const CHAINS: usize = 10;

struct Fma(usize);

impl pulp::WithSimd for Fma {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, simd: S) {
        let (b, c) = (simd.splat_f32s(0.999), simd.splat_f32s(1e-4));
        let mut a = [simd.splat_f32s(1.0); CHAINS];
        for _ in 0..self.0 {
            for a in &mut a {
                *a = simd.mul_add_f32s(*a, b, c);
            }
        }
        std::hint::black_box(a);
    }
}

struct Lanes;

impl pulp::WithSimd for Lanes {
    type Output = usize;

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) -> usize {
        S::F32_LANES
    }
}
