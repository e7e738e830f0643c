//! Plans put together from operations.

use super::commands::{BufferId, Plan, Role};
use super::draft::Draft;
use super::elements::Elements;
use super::program::Program;
use super::trace::Trace;
use super::value::{PlanId, Value};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::parameters::Parameters;
use crate::storage::Storage;
use crate::tensor::{Element, Tensor, elements};

/// Writes a plan operation by operation, so that a whole model runs without coming back to the host between layers.
///
/// ```
/// # fn main() -> wgrnn::Result<()> {
/// use ndarray::array;
/// use wgrnn::{Device, Linear, PlanBuilder, Tensor};
/// let device = Device::cpu();
/// let head = Linear::new(&device, array![[1., 2.], [3., 4.]].view(), None)?;
/// let (x, best) = (Tensor::<f32>::zeros(&device, &[3, 2])?, Tensor::<u32>::zeros(&device, &[3])?);
/// let mut plan = PlanBuilder::new(&device);
/// let input = plan.tensor(&x)?;
/// let logits = plan.linear(&head, &input)?;
/// let output = plan.tensor(&best)?;
/// plan.argmax(&logits, &output)?;
/// let program = plan.build()?;
/// x.write(array![[1., 0.], [0., -1.], [-1., -1.]].view())?;
/// program.run()?;
/// assert_eq!(best.read()?.into_raw_vec_and_offset().0, [1, 0, 0]);
/// # Ok(())
/// # }
/// ```
pub struct PlanBuilder {
    id: PlanId,
    device: Device,
    pub(crate) draft: Draft,
    binds: Vec<(BufferId, Storage)>,
    /// Copies at the plan's end.
    last: Vec<(BufferId, BufferId, u64)>,
    /// The operations so far.
    pub(crate) traces: Vec<Trace>,
    /// What an operation wants done to all commands before the plan is checked.
    pub(crate) finish: Option<(Finish, Emit)>,
}

/// Appends an element-wise operation.
pub(crate) type Emit = fn(&mut PlanBuilder, &Elements) -> Result<()>;
/// A change of a plan's commands, which appends operations anew, and keeps numbers of commands up to date.
pub(crate) type Finish = fn(&mut PlanBuilder, Emit, &mut [usize]) -> Result<()>;

impl PlanBuilder {
    /// Starts an empty plan for a device.
    pub fn new(device: &Device) -> Self {
        Self {
            id: PlanId::new(),
            device: device.clone(),
            draft: Draft::new(device.plan_limits().workgroups),
            binds: Vec::new(),
            last: Vec::new(),
            traces: Vec::new(),
            finish: None,
        }
    }

    /// Makes a tensor a value of the plan, to be read or written.
    ///
    /// # Errors
    /// [`OtherDevice`](Error::OtherDevice).
    pub fn tensor<T: Element>(&mut self, tensor: &Tensor<T>) -> Result<Value> {
        if !tensor.device().is(&self.device) {
            return Err(Error::OtherDevice { tensor: format!("tensor {:?}", tensor.shape()) });
        }
        let shape = tensor.shape().to_vec();
        let words = shape.iter().product::<usize>() as u64;
        let buffer = self.external(&format!("tensor {shape:?}"), &tensor.storage, words);
        let is_index = std::any::TypeId::of::<T>() == std::any::TypeId::of::<u32>();
        Ok(Value::dense(self.id, buffer, shape, is_index))
    }

    /// Memory that is not the plan's own; the same memory is the same buffer.
    pub(crate) fn external(&mut self, name: &str, storage: &Storage, words: u64) -> BufferId {
        self.bind(name, storage, words, Role::External)
    }

    /// What a forward pass keeps for the backward one.
    pub(crate) fn reserve(&mut self, name: &str, storage: &Storage, words: u64) -> BufferId {
        self.bind(name, storage, words, Role::Reserve)
    }

    /// Indices that change between runs, none ever larger than the one in `largest`.
    pub(crate) fn indices(&mut self, name: &str, storage: &Storage, largest: &[u32]) -> BufferId {
        self.bind(name, storage, largest.len() as u64, Role::Indices(largest.to_vec()))
    }

    fn bind(&mut self, name: &str, storage: &Storage, words: u64, role: Role) -> BufferId {
        if let Some(bind) = self.binds.iter().find(|bind| bind.1.is(storage)) {
            self.draft.widen(bind.0, words);
            return bind.0;
        }
        let id = self.draft.buffer(name, words, role);
        self.binds.push((id, storage.clone()));
        id
    }

    /// Memory between two operations. Operations follow one another, so equal ones share it.
    pub(crate) fn workspace(&mut self, name: &str, words: usize) -> BufferId {
        let words = words.max(1) as u64;
        let same = |buffer: &super::commands::Buffer| {
            buffer.name == name && buffer.words == words && buffer.role == Role::Workspace
        };
        match self.draft.plan.buffers().iter().position(same) {
            Some(i) => BufferId(i),
            None => self.draft.buffer(name, words, Role::Workspace),
        }
    }

    /// Indices known now; equal ones are kept once.
    pub(crate) fn constant(&mut self, name: &str, indices: &[u32]) -> BufferId {
        let same = |buffer: &super::commands::Buffer| matches!(&buffer.role, Role::Constant(data) if data == indices);
        match self.draft.plan.buffers().iter().position(same) {
            Some(i) => BufferId(i),
            None => self.draft.buffer(name, indices.len() as u64, Role::Constant(indices.to_vec())),
        }
    }

    /// Memory for the indices of a buffer, or zeros in their place.
    pub(crate) fn guarded(&mut self, name: &str, indices: &[u32]) -> BufferId {
        let same = |buffer: &super::commands::Buffer| matches!(&buffer.role, Role::Guarded(data) if data == indices);
        match self.draft.plan.buffers().iter().position(same) {
            Some(i) => BufferId(i),
            None => self.draft.buffer(name, indices.len() as u64, Role::Guarded(indices.to_vec())),
        }
    }

    pub(crate) fn device(&self) -> &Device {
        &self.device
    }

    /// A block of parameters, or the first part of one, as an array.
    pub(crate) fn parameters(&mut self, parameters: &Parameters, shape: &[usize]) -> Result<Value> {
        if !parameters.device().is(&self.device) {
            return Err(Error::OtherDevice { tensor: "parameters".to_owned() });
        }
        let (buffer, _) = self.parts("parameters", parameters.values(), parameters.len()).at(0);
        Ok(Value::dense(self.id, buffer, shape.to_vec(), false))
    }

    /// One of its arrays, from this one of its numbers on.
    pub(crate) fn parameters_at(&mut self, parameters: &Parameters, offset: usize, shape: &[usize]) -> Result<Value> {
        if !parameters.device().is(&self.device) {
            return Err(Error::OtherDevice { tensor: "parameters".to_owned() });
        }
        let (buffer, offset) = self.parts("parameters", parameters.values(), parameters.len()).at(offset);
        Ok(Value { offset, ..Value::dense(self.id, buffer, shape.to_vec(), false) })
    }

    /// An index known now, as a value that is broadcast.
    pub(crate) fn constant_value(&mut self, name: &str, index: usize) -> Value {
        let buffer = self.constant(name, &[u32::try_from(index).unwrap_or(u32::MAX)]);
        Value::dense(self.id, buffer, vec![1], true)
    }

    /// Memory of the plan's that no other operation shares.
    pub(crate) fn own(&mut self, name: &str, words: u64) -> BufferId {
        self.draft.buffer(name, words, Role::Workspace)
    }

    /// The buffers that are copied when all else of the plan is done.
    pub(crate) fn copied_last(&self) -> impl Iterator<Item = BufferId> {
        self.last.iter().flat_map(|&(from, to, _)| [from, to])
    }

    /// Copies words when all else of the plan is done.
    pub(crate) fn copy_last(&mut self, from: BufferId, to: BufferId, words: u64) {
        self.last.push((from, to, words));
    }

    /// Whether windows of a buffer can be bound as uniform buffers: of a workspace always, of a tensor where it was made so.
    pub(crate) fn is_windowed(&self, buffer: BufferId) -> bool {
        let words = self.draft.plan.buffers()[buffer.0].words;
        match self.binds.iter().find(|bind| bind.0 == buffer) {
            Some((_, storage)) => storage.is_windowed(words),
            None => self.draft.plan.buffers()[buffer.0].role == Role::Workspace,
        }
    }

    /// Whether a buffer is the plan's own.
    pub(crate) fn is_own(&self, buffer: BufferId) -> bool {
        self.draft.plan.buffers()[buffer.0].role.is_own()
    }

    /// Memory that no other value shares.
    pub(crate) fn fresh(&mut self, name: &str, shape: &[usize]) -> Result<Value> {
        let words = elements(shape)? as u64;
        let buffer = self.draft.buffer(name, words, Role::Workspace);
        Ok(Value::dense(self.id, buffer, shape.to_vec(), false))
    }

    /// Whether a value is one of this plan.
    ///
    /// # Errors
    /// [`OtherPlan`](Error::OtherPlan).
    pub(crate) fn owns(&self, value: &Value, name: &str) -> Result<()> {
        if value.plan == self.id {
            return Ok(());
        }
        Err(Error::OtherPlan { value: format!("{name} {:?}", value.shape) })
    }

    /// Whether a value is one of this plan, holds indices or numbers as it should, and lies in one piece.
    pub(crate) fn expect(&self, value: &Value, name: &str, is_index: bool) -> Result<()> {
        self.expect_view(value, name, is_index)?;
        let expected =
            "elements one after the other, which PlanBuilder::contiguous or Tape::contiguous makes of a view";
        let got = || format!("a view of shape {:?} and strides {:?}", value.shape, value.strides);
        if value.is_dense() { Ok(()) } else { Err(Error::value(name, expected, got())) }
    }

    /// The same of a value that may be a view.
    pub(crate) fn expect_view(&self, value: &Value, name: &str, is_index: bool) -> Result<()> {
        self.owns(value, name)?;
        let kind = |is_index| if is_index { "indices (u32)" } else { "numbers (f32)" };
        if value.is_index == is_index { Ok(()) } else { Err(Error::value(name, kind(is_index), kind(value.is_index))) }
    }

    /// Remembers an operation that was just appended.
    pub(crate) fn record(&mut self, name: &'static str, reads: &[&Value], writes: &[&Value]) -> &mut Trace {
        let regions = |values: &[&Value]| values.iter().map(|&value| value.into()).collect();
        let (reads, discrete) = (regions(reads), !writes.is_empty() && writes.iter().all(|value| value.is_index));
        let trace = Trace { name, reads, beside: Vec::new(), writes: regions(writes), parameters: None, discrete };
        self.traces.push(trace);
        let last = self.traces.len() - 1;
        &mut self.traces[last]
    }

    /// The plan as it stands. [`PlanBuilder::build`] makes chains of element-wise operations one.
    pub fn plan(&self) -> &Plan {
        &self.draft.plan
    }

    /// Checks the plan and makes a program of it that is ready to run.
    ///
    /// # Errors
    /// [`Plan`](Error::Plan) where a buffer is written that is also read, [`Limit`](Error::Limit) where the adapter allows
    /// less than the plan needs, [`Value`](Error::Value) where a caller's buffer lacks a usage.
    pub fn build(self) -> Result<Program> {
        self.build_parts(&mut [])
    }

    /// The same; `ends` are how many commands there were at some point, and become how many of the program's these are.
    pub(crate) fn build_parts(mut self, ends: &mut [usize]) -> Result<Program> {
        if let Some((finish, emit)) = self.finish.take() {
            finish(&mut self, emit, ends)?;
        }
        for (from, to, words) in std::mem::take(&mut self.last) {
            self.draft.copy(from, to, words);
        }
        let places = self.draft.plan.share_memory();
        self.binds.iter_mut().for_each(|bind| bind.0 = places[bind.0.0]);
        Program::new(&self.device, self.draft.plan, &self.binds)
    }
}
