//! Plans recorded into compute passes.

use super::commands::{BufferId, Command, Dispatch, Plan};
use crate::device::{Device, Gpu, LayoutKey, PARAMS_STRIDE};
use crate::error::{Error, Result};
use crate::kernels::{Access, WINDOW};
use crate::storage::{Storage, bound_bytes, texels_layout};
use std::collections::HashMap;

/// Most commands and most work of one submit. Drivers give up on work that takes some seconds: this much takes well
/// under one wherever a GPU reaches a tenth of a TFLOP/s.
const SUBMIT_COMMANDS: usize = 4096;
const SUBMIT_FLOP: u64 = 1 << 36;

/// How many of these commands go into one submit: at least one.
fn submit_length(commands: &[Command]) -> usize {
    let mut flop = 0;
    let fits = |command: &&Command| {
        if let Command::Dispatch(dispatch) = command {
            flop += dispatch.flop;
        }
        flop <= SUBMIT_FLOP
    };
    commands.iter().take(SUBMIT_COMMANDS).take_while(fits).count().max(1)
}

pub(super) struct Recorder {
    /// The plan's buffers, in their order.
    pub(super) memory: Vec<Storage>,
    pipelines: Vec<wgpu::ComputePipeline>,
    groups: HashMap<GroupKey, wgpu::BindGroup>,
    /// Where immediates can't be had: all parameters, and where each dispatch's begin.
    uniforms: Option<wgpu::BindGroup>,
}

impl Recorder {
    pub fn new(gpu: &Gpu, plan: &Plan, memory: Vec<Storage>) -> Result<Self> {
        let pipelines = plan.variants().iter().map(|variant| gpu.pipeline(variant)).collect::<Result<_>>()?;
        gpu.guarded("binding a plan's buffers", || {
            let mut groups = HashMap::new();
            for dispatch in plan.dispatches() {
                groups.entry(group_key(plan, dispatch)).or_insert_with(|| bind_group(gpu, plan, dispatch, &memory));
            }
            let uniforms = (!gpu.immediates).then(|| uniforms(gpu, plan));
            Self { memory, pipelines, groups, uniforms }
        })
    }

    pub fn submit(&self, gpu: &Gpu, plan: &Plan) -> Result<()> {
        self.submit_commands(gpu, plan, plan.commands(), 0)
    }

    /// Submits commands of the plan that follow `dispatched` dispatches.
    pub fn submit_commands(
        &self,
        gpu: &Gpu,
        plan: &Plan,
        mut commands: &[Command],
        mut dispatched: usize,
    ) -> Result<()> {
        gpu.guarded("running a plan", || {
            while !commands.is_empty() {
                let (these, others) = commands.split_at(submit_length(commands));
                let mut encoder = gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
                self.record(plan, these, dispatched, &mut encoder);
                dispatched += these.iter().filter(|command| matches!(command, Command::Dispatch(_))).count();
                commands = others;
                gpu.queue.submit([encoder.finish()]);
            }
        })
    }

    /// Commands that follow `dispatched` dispatches: neighbours share a pass, which a copy or a clear ends.
    pub fn record(
        &self,
        plan: &Plan,
        mut commands: &[Command],
        mut dispatched: usize,
        encoder: &mut wgpu::CommandEncoder,
    ) {
        while let Some((first, rest)) = commands.split_first() {
            match first {
                Command::Copy { from, to, words } => {
                    self.copy(&self.memory[from.0], &self.memory[to.0], *words, encoder);
                    commands = rest;
                }
                Command::Clear { buffer, offset, words } => {
                    if let Storage::Gpu(buffer) = &self.memory[buffer.0] {
                        encoder.clear_buffer(buffer, 4 * offset, Some(4 * words));
                    }
                    commands = rest;
                }
                Command::Dispatch(_) => {
                    let is_dispatch = |command: &&Command| matches!(command, Command::Dispatch(_));
                    let (these, others) = commands.split_at(commands.iter().take_while(is_dispatch).count());
                    let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
                    self.pass(plan, these, dispatched, &mut pass);
                    dispatched += these.len();
                    commands = others;
                }
            }
        }
    }

    /// Runs once; seconds of each of the plan's variants, by timestamps around neighbours of one variant.
    pub fn profile(&self, device: &Device, gpu: &Gpu, plan: &Plan) -> Result<Vec<f64>> {
        if !gpu.report.features.timestamps {
            let reason = "it has no timestamp queries; time whole runs instead";
            return Err(Error::unsupported(format!("a profile on {}", gpu.report.name), reason));
        }
        let mut seconds = vec![0.0; plan.variants().len()];
        let (mut commands, mut dispatched) = (plan.commands(), 0);
        while !commands.is_empty() {
            let (taken, times) = self.profile_some(device, gpu, plan, commands, dispatched)?;
            times.into_iter().for_each(|(variant, time)| seconds[variant] += time);
            dispatched += commands[..taken].iter().filter(|command| matches!(command, Command::Dispatch(_))).count();
            commands = &commands[taken..];
        }
        Ok(seconds)
    }

    /// One submit's worth of these commands: how many, and (variant, seconds) of each run of neighbours.
    fn profile_some(
        &self,
        device: &Device,
        gpu: &Gpu,
        plan: &Plan,
        commands: &[Command],
        mut dispatched: usize,
    ) -> Result<(usize, Vec<(usize, f64)>)> {
        let commands = &commands[..submit_length(commands)];
        let (mut taken, mut variants) = (0, Vec::new());
        let stamps = gpu.guarded("measuring a plan", || {
            let queries = gpu.device.create_query_set(&wgpu::QuerySetDescriptor {
                label: Some("profile"),
                ty: wgpu::QueryType::Timestamp,
                count: wgpu::QUERY_SET_MAX_QUERIES,
            });
            let stamps = gpu.device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("profile"),
                size: 8 * u64::from(wgpu::QUERY_SET_MAX_QUERIES),
                usage: wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC,
                mapped_at_creation: false,
            });
            let mut encoder = gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            while taken < commands.len() && 2 * variants.len() + 2 <= wgpu::QUERY_SET_MAX_QUERIES as usize {
                let rest = &commands[taken..];
                let variant = |command: &Command| match command {
                    Command::Dispatch(dispatch) => Some(dispatch.variant),
                    _ => None,
                };
                let count = rest.iter().take_while(|&command| variant(command) == variant(&rest[0])).count();
                match variant(&rest[0]) {
                    None => self.record(plan, &rest[..count], dispatched, &mut encoder),
                    Some(variant) => {
                        let first = 2 * variants.len() as u32;
                        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                            label: None,
                            timestamp_writes: Some(wgpu::ComputePassTimestampWrites {
                                query_set: &queries,
                                beginning_of_pass_write_index: Some(first),
                                end_of_pass_write_index: Some(first + 1),
                            }),
                        });
                        self.pass(plan, &rest[..count], dispatched, &mut pass);
                        dispatched += count;
                        variants.push(variant);
                    }
                }
                taken += count;
            }
            if !variants.is_empty() {
                encoder.resolve_query_set(&queries, 0..2 * variants.len() as u32, &stamps, 0);
            }
            gpu.queue.submit([encoder.finish()]);
            stamps
        })?;
        let period = f64::from(gpu.queue.get_timestamp_period()) / 1e9;
        let words = crate::device::block_on(Storage::Gpu(stamps).read(device, 4 * variants.len()))?;
        let stamp = |words: &[u32]| u64::from(words[0]) | u64::from(words[1]) << 32;
        let times = variants
            .into_iter()
            .zip(words.chunks_exact(4))
            .map(|(variant, words)| (variant, stamp(&words[2..]).saturating_sub(stamp(words)) as f64 * period));
        Ok((taken, times.collect()))
    }

    fn pass(&self, plan: &Plan, commands: &[Command], dispatched: usize, pass: &mut wgpu::ComputePass<'_>) {
        let (mut variant, mut group) = (None, None);
        let dispatches = commands.iter().filter_map(|command| match command {
            Command::Dispatch(dispatch) => Some(dispatch),
            _ => None,
        });
        for (i, dispatch) in dispatches.enumerate() {
            if variant.replace(dispatch.variant) != Some(dispatch.variant) {
                pass.set_pipeline(&self.pipelines[dispatch.variant]);
                // Another kernel may have another layout, which unbinds what does not fit it.
                group = None;
            }
            let wanted = group_key(plan, dispatch);
            if group.replace(wanted) != Some(wanted) {
                pass.set_bind_group(0, &self.groups[&wanted], &[]);
            }
            self.set_params(plan, dispatch, dispatched + i, pass);
            let [x, y, z] = dispatch.grid;
            pass.dispatch_workgroups(x, y, z);
        }
    }

    fn copy(&self, from: &Storage, to: &Storage, words: u64, encoder: &mut wgpu::CommandEncoder) {
        match (from, to) {
            (Storage::Gpu(from), Storage::Gpu(to)) => encoder.copy_buffer_to_buffer(from, 0, to, 0, 4 * words),
            (Storage::Gpu(buffer), Storage::Texture(texture)) => {
                let from = wgpu::TexelCopyBufferInfo { buffer, layout: texels_layout(texture) };
                encoder.copy_buffer_to_texture(from, texture.as_image_copy(), texture.size());
            }
            // No plan reads from a texture but by a kernel.
            _ => {}
        }
    }

    fn set_params(&self, plan: &Plan, dispatch: &Dispatch, index: usize, pass: &mut wgpu::ComputePass<'_>) {
        match &self.uniforms {
            None => pass.set_immediates(0, bytemuck::cast_slice(plan.params(dispatch))),
            Some(uniforms) => pass.set_bind_group(1, uniforms, &[(index as u64 * PARAMS_STRIDE) as u32]),
        }
    }
}

/// Dispatches with one key share a bind group: layout, bindings, window.
type GroupKey = (LayoutKey, usize, u64);

fn group_key(plan: &Plan, dispatch: &Dispatch) -> GroupKey {
    (LayoutKey::of(&plan.variants()[dispatch.variant]), dispatch.bindings, dispatch.window)
}

fn bind_group(gpu: &Gpu, plan: &Plan, dispatch: &Dispatch, memory: &[Storage]) -> wgpu::BindGroup {
    let variant = &plan.variants()[dispatch.variant];
    let row = variant.row();
    let ids = &plan.bindings()[dispatch.bindings];
    let view = |id: &BufferId| match &memory[id.0] {
        Storage::Texture(texture) => Some(texture.create_view(&wgpu::TextureViewDescriptor::default())),
        _ => None,
    };
    let views: Vec<_> = ids.iter().map(view).collect();
    let entries =
        ids.iter().zip(&views).zip(row.bindings).zip(0..).filter_map(|(((id, view), (_, access)), binding)| {
            let resource = match (&memory[id.0], view) {
                (_, Some(view)) => wgpu::BindingResource::TextureView(view),
                (Storage::Gpu(buffer), _) if *access == Access::Rows && variant.reads.uniform => {
                    let size = wgpu::BufferSize::new(4 * u64::from(WINDOW));
                    wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer, offset: 4 * dispatch.window, size })
                }
                (Storage::Gpu(buffer), _) => {
                    // No more than the plan needs: the rest of a caller's buffer may be beyond the limit of a binding.
                    // Buffers of this crate have room for whole vectors; of a caller's there is what there is.
                    let needed = 4 * plan.buffers()[id.0].words;
                    let size = bound_bytes(needed, gpu.plan_limits().binding_bytes).min(buffer.size());
                    let size = wgpu::BufferSize::new(size);
                    wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer, offset: 0, size })
                }
                _ => return None,
            };
            Some(wgpu::BindGroupEntry { binding, resource })
        });
    gpu.device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: Some(row.name),
        layout: gpu.bindings_layout(variant),
        entries: &entries.collect::<Vec<_>>(),
    })
}

fn uniforms(gpu: &Gpu, plan: &Plan) -> wgpu::BindGroup {
    let stride = PARAMS_STRIDE as usize / 4;
    let mut words = vec![0_u32; stride * plan.dispatches().count().max(1)];
    for (place, dispatch) in words.chunks_exact_mut(stride).zip(plan.dispatches()) {
        let params = plan.params(dispatch);
        place[..params.len()].copy_from_slice(params);
    }
    let buffer = gpu.device.create_buffer(&wgpu::BufferDescriptor {
        label: Some("parameters"),
        size: 4 * words.len() as u64,
        usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    });
    gpu.queue.write_buffer(&buffer, 0, bytemuck::cast_slice(&words));
    gpu.device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: Some("parameters"),
        layout: &gpu.params_layout,
        entries: &[wgpu::BindGroupEntry {
            binding: 0,
            resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                buffer: &buffer,
                offset: 0,
                size: wgpu::BufferSize::new(PARAMS_STRIDE),
            }),
        }],
    })
}
