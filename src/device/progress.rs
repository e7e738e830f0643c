//! A trial: how many workgroups of one dispatch run side by side. No API promises any; adapters differ.

use super::gpu::Gpu;
use crate::error::Result;
use crate::kernels::compose_progress;

/// Most that are tried.
const MOST: u32 = 256;
/// How often each waits for all others.
const ROUNDS: u32 = 4;
/// Of so many trials each must succeed.
const TRIALS: usize = 3;

impl Gpu {
    /// The largest number of workgroups, of those tried, that were seen to wait for each other without end; 1 where none.
    pub(super) fn try_side_by_side(&self) -> u32 {
        let tried = std::iter::successors(Some(MOST), |groups| Some(groups / 2)).take_while(|&groups| groups > 1);
        for groups in tried {
            if (0..TRIALS).all(|_| self.progress(groups).is_ok_and(|progress| progress)) {
                return groups;
            }
        }
        1
    }

    fn progress(&self, groups: u32) -> Result<bool> {
        let wgsl = compose_progress(groups, ROUNDS)?;
        let words = u64::from(ROUNDS) * u64::from(groups) + 1;
        let during = "trying whether workgroups run side by side";
        let arrived = self.guarded(during, || {
            let source = wgpu::ShaderModuleDescriptor { label: None, source: wgpu::ShaderSource::Wgsl(wgsl.into()) };
            let pipeline = self.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some("progress"),
                layout: None,
                module: &self.device.create_shader_module(source),
                entry_point: Some("main"),
                compilation_options: wgpu::PipelineCompilationOptions::default(),
                cache: None,
            });
            let arrived = self.device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("progress"),
                size: 4 * words,
                usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC,
                mapped_at_creation: false,
            });
            let bindings = self.device.create_bind_group(&wgpu::BindGroupDescriptor {
                label: None,
                layout: &pipeline.get_bind_group_layout(0),
                entries: &[wgpu::BindGroupEntry { binding: 0, resource: arrived.as_entire_binding() }],
            });
            let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            pass.set_pipeline(&pipeline);
            pass.set_bind_group(0, &bindings, &[]);
            pass.dispatch_workgroups(groups, 1, 1);
            drop(pass);
            self.queue.submit([encoder.finish()]);
            arrived
        })?;
        let words = super::waiting::block_on(self.read(&arrived, words as usize, during))?;
        Ok(words.last() == Some(&0))
    }
}
