//! Plans made ready to run on a device.

use super::commands::{Buffer, BufferId, Command, Plan, Role};
use super::profile::Profile;
use super::{cpu, gpu};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::kernels::Access;
use crate::storage::Storage;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A [`Plan`] with its memory on a device. Pipelines, bind groups and workspaces are made once; then it can run any
/// number of times.
///
/// ```
/// # fn main() -> wgrnn::Result<()> {
/// use ndarray::array;
/// use wgrnn::{Activation, Device, PlanBuilder, Tensor};
/// let device = Device::auto();
/// let x = Tensor::from_array(&device, array![-1.0_f32, 2.0].view())?;
/// let y = Tensor::<f32>::zeros(&device, &[2])?;
/// let mut plan = PlanBuilder::new(&device);
/// let (input, output) = (plan.tensor(&x)?, plan.tensor(&y)?);
/// let positive = plan.activate(&input, Activation::Relu)?;
/// plan.copy(&positive, &output)?;
/// let program = plan.build()?;
/// program.run()?;
/// x.write(array![3.0, -4.0].view())?;
/// program.run()?; // again, on what the input holds now
/// assert_eq!(y.read()?, array![3.0, 0.0].into_dyn());
/// # Ok(())
/// # }
/// ```
pub struct Program {
    pub(super) plan: Plan,
    pub(super) device: Device,
    pub(super) executor: Executor,
}

pub(super) enum Executor {
    Gpu(gpu::Recorder),
    Cpu(cpu::Runner),
}

impl Program {
    /// Allocates what the plan needs and compiles its kernels. `externals` is the memory of the external buffers, each on
    /// this device and no two the same, which is up to whoever builds the plan.
    ///
    /// # Errors
    /// [`Plan`](Error::Plan) where an external buffer has no memory or too little of it, [`Limit`](Error::Limit) where the
    /// adapter allows less than the plan needs.
    pub(crate) fn new(device: &Device, plan: Plan, externals: &[(BufferId, Storage)]) -> Result<Self> {
        plan.check(&device.plan_limits())?;
        let windowed = plan.windowed();
        let mut memory = Vec::with_capacity(plan.buffers().len());
        for (i, buffer) in plan.buffers().iter().enumerate() {
            let storage = match &buffer.role {
                Role::External | Role::Indices(_) | Role::Reserve => external(buffer, BufferId(i), externals)?,
                Role::Workspace if windowed.contains(&BufferId(i)) => {
                    Storage::windowed(device, &buffer.name, buffer.words)?
                }
                Role::Workspace | Role::Guarded(_) => Storage::zeros(device, &buffer.name, buffer.words)?,
                Role::Constant(data) => {
                    let storage = Storage::zeros(device, &buffer.name, buffer.words)?;
                    storage.write(device, data)?;
                    storage
                }
            };
            memory.push(storage);
        }
        check_place(device, &plan, &memory)?;
        check_usages(&plan, &memory)?;
        check_kinds(&plan, &memory)?;
        let executor = match device.gpu_ref() {
            Some(gpu) => Executor::Gpu(gpu::Recorder::new(gpu, &plan, memory)?),
            None => Executor::Cpu(cpu::Runner::new(&plan, memory)),
        };
        Ok(Self { plan, device: device.clone(), executor })
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Runs it once. On a GPU the work is submitted; reading a tensor waits for it.
    ///
    /// # Errors
    /// [`Gpu`](Error::Gpu) where wgpu or the driver reports an error.
    pub fn run(&self) -> Result<()> {
        match (&self.executor, self.device.gpu_ref()) {
            (Executor::Gpu(recorder), Some(gpu)) => recorder.submit(gpu, &self.plan),
            (Executor::Cpu(runner), _) => runner.run(&self.plan),
            (Executor::Gpu(_), None) => Err(Error::OtherDevice { tensor: "program".to_owned() }),
        }
    }

    /// Runs some of its commands, as [`Program::run`] runs all.
    pub(crate) fn run_part(&self, part: std::ops::Range<usize>) -> Result<()> {
        match (&self.executor, self.device.gpu_ref()) {
            (Executor::Gpu(recorder), Some(gpu)) => {
                let (before, rest) = self.plan.commands().split_at(part.start);
                let dispatched = before.iter().filter(|command| matches!(command, Command::Dispatch(_))).count();
                recorder.submit_commands(gpu, &self.plan, &rest[..part.len()], dispatched)
            }
            (Executor::Cpu(runner), _) => runner.run_part(&self.plan, part),
            (Executor::Gpu(_), None) => Err(Error::OtherDevice { tensor: "program".to_owned() }),
        }
    }

    /// Runs it once and gives the time of each kernel. Neighbouring dispatches of one variant are timed together. The
    /// device waits between different variants, so the sum may be more than an ordinary run takes.
    ///
    /// # Errors
    /// [`Unsupported`](Error::Unsupported) where the device has no timestamp queries, [`Gpu`](Error::Gpu) where the driver fails.
    pub fn profile(&self) -> Result<Profile> {
        let seconds = match (&self.executor, self.device.gpu_ref()) {
            (Executor::Gpu(recorder), Some(gpu)) => recorder.profile(&self.device, gpu, &self.plan)?,
            (Executor::Cpu(runner), _) => runner.profile(&self.plan)?,
            (Executor::Gpu(_), None) => return Err(Error::OtherDevice { tensor: "program".to_owned() }),
        };
        Ok(Profile::new(&self.plan, &seconds))
    }

    /// Records it into a command encoder of the caller, to be submitted with other work.
    ///
    /// # Errors
    /// [`OtherDevice`](Error::OtherDevice) on the CPU and for an encoder of another wgpu instance,
    /// [`DeviceLost`](Error::DeviceLost), [`Gpu`](Error::Gpu) where wgpu reports an error. wgpu does not tell which
    /// device of its instance an encoder belongs to: that of another one is wgpu's validation error when the encoder is
    /// finished.
    pub fn encode(&self, encoder: &mut wgpu::CommandEncoder) -> Result<()> {
        match (&self.executor, self.device.gpu_ref()) {
            (Executor::Gpu(recorder), Some(gpu)) => {
                // What has a number in this instance only is a panic in another one.
                let record = || recorder.record(&self.plan, self.plan.commands(), 0, encoder);
                let record = || catch_unwind(AssertUnwindSafe(record));
                gpu.guarded("recording a plan", record)?
                    .map_err(|_| Error::OtherDevice { tensor: "encoder".to_owned() })
            }
            _ => Err(Error::OtherDevice { tensor: "encoder".to_owned() }),
        }
    }
}

fn external(buffer: &Buffer, id: BufferId, externals: &[(BufferId, Storage)]) -> Result<Storage> {
    let Some((_, storage)) = externals.iter().find(|external| external.0 == id) else {
        return Err(Error::Plan(format!("no tensor for '{}'", buffer.name)));
    };
    let words = storage.words();
    if words < buffer.words {
        return Err(Error::Plan(format!("'{}' needs {} words, its tensor has {words}", buffer.name, buffer.words)));
    }
    Ok(storage.clone())
}

/// All memory is of the device's kind.
fn check_place(device: &Device, plan: &Plan, memory: &[Storage]) -> Result<()> {
    let is_elsewhere = |storage: &Storage| matches!(storage, Storage::Cpu(_)) != device.is_cpu();
    match memory.iter().position(is_elsewhere) {
        Some(i) => Err(Error::OtherDevice { tensor: plan.buffers()[i].name.clone() }),
        None => Ok(()),
    }
}

/// Copies and clears need usages that a caller's buffer may lack: wgpu would complain only when the encoder is finished,
/// which may be the caller's doing.
fn check_usages(plan: &Plan, memory: &[Storage]) -> Result<()> {
    let check = |id: BufferId, usage: wgpu::BufferUsages| match &memory[id.0] {
        Storage::Gpu(buffer) if !buffer.usage().contains(usage) => {
            Err(Error::value(format!("usage of '{}'", plan.buffers()[id.0].name), format!("{usage:?}"), "less"))
        }
        _ => Ok(()),
    };
    plan.commands().iter().try_for_each(|command| match command {
        Command::Copy { from, to, .. } => {
            check(*from, wgpu::BufferUsages::COPY_SRC)?;
            check(*to, wgpu::BufferUsages::COPY_DST)
        }
        Command::Clear { buffer, .. } => check(*buffer, wgpu::BufferUsages::COPY_DST),
        Command::Dispatch(_) => Ok(()),
    })
}

/// Each kernel finds the kinds of memory that its variant reads.
fn check_kinds(plan: &Plan, memory: &[Storage]) -> Result<()> {
    for dispatch in plan.dispatches() {
        let variant = &plan.variants()[dispatch.variant];
        let bindings = &plan.bindings()[dispatch.bindings];
        for (&(name, access), id) in variant.row().bindings.iter().zip(bindings) {
            let is_right = match &memory[id.0] {
                Storage::Cpu(_) => true,
                // Plans have each part as a buffer of its own.
                Storage::Parts(_) => false,
                Storage::Texture(_) => access == Access::Matrix && variant.reads.texture,
                memory @ Storage::Gpu(_) if access == Access::Rows && variant.reads.uniform => {
                    memory.is_windowed(plan.buffers()[id.0].words)
                }
                Storage::Gpu(_) => !(access == Access::Matrix && variant.reads.texture),
            };
            if !is_right {
                return Err(Error::Plan(format!("{variant} can't read {name} from '{}'", plan.buffers()[id.0].name)));
            }
        }
    }
    Ok(())
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Program").field("device", &self.device).finish_non_exhaustive()
    }
}
