//! The state of a recurrent layer, on the host and on a device.

use crate::config::RnnConfig;
use crate::device::{Device, block_on, elsewhere, may_wait};
use crate::error::{Error, Result};
use crate::memory;
use crate::readback::{Readable, Request, Words, read_together_async};
use crate::storage::Storage;
use crate::tensor::{Tensor, elements};
use ndarray::{Array3, ArrayView3, Axis, s};

/// The state of all layers and directions: [L·D, N, ·], ordered by layer, then direction, forward before reverse. With
/// S heads it is [L·D·S, N, ·], where the heads of a direction follow each other.
///
/// ```
/// # fn main() -> wgrnn::Result<()> {
/// use ndarray::Array3;
/// use wgrnn::{Cell, Device, Rnn, RnnCall, RnnConfig, RnnWeights, State};
/// let config = RnnConfig::new(Cell::Lstm, 4, 8);
/// let rnn = Rnn::new(&Device::auto(), &config, RnnWeights::init(&config, 0)?)?;
/// let mut state = State::zeros(&config, 2)?; // of 2 sequences
/// state.h.fill(0.5);
/// let output = rnn.forward_with(Array3::ones((5, 2, 4)).view(), Some(&state), &RnnCall::default())?;
/// assert_eq!(output.state.h.dim(), (1, 2, 8));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// The hidden state h: [L·D, N, H], or P in place of H with a projection.
    pub h: Array3<f32>,
    /// The cell state c: [L·D, N, H] of an LSTM, an SRU or a QRNN. An sLSTM has [L·D, N, 3·H]: c, n and m side by side.
    /// Other cells have none.
    pub c: Option<Array3<f32>>,
}

impl State {
    /// A state of zeros, from which sequences without an initial state start.
    ///
    /// # Errors
    /// [`Value`](Error::Value) for an impossible configuration, a batch of 0, or a state of 2³² numbers or more,
    /// [`OutOfMemory`](Error::OutOfMemory).
    pub fn zeros(config: &RnnConfig, batch: usize) -> Result<Self> {
        config.validate()?;
        let rows = config.layers.saturating_mul(config.tracks());
        let zeros = |name: &str, width: usize| {
            let shape = [rows, batch, width];
            let numbers = memory::filled(name, elements(&shape)?, 0.0)?;
            Array3::from_shape_vec(shape, numbers).map_err(|_| Error::shape(name, shape, "other numbers"))
        };
        let h = zeros("h", config.state_size())?;
        let c = config.cell.has_cell_state().then(|| zeros("c", config.cell_state_size())).transpose()?;
        Ok(Self { h, c })
    }

    /// Whether it fits a configuration and a batch.
    pub(crate) fn check(&self, config: &RnnConfig, batch: usize) -> Result<()> {
        let rows = config.layers * config.tracks();
        let shape = |name, width, array: &Array3<f32>| {
            let expected = [rows, batch, width];
            if array.shape() == expected { Ok(()) } else { Err(Error::shape(name, expected, array.shape())) }
        };
        shape("initial h", config.state_size(), &self.h)?;
        match (&self.c, config.cell.has_cell_state()) {
            (Some(c), true) => shape("initial c", config.cell_state_size(), c),
            (None, false) => Ok(()),
            (None, true) => Err(Error::shape("initial c", [rows, batch, config.cell_state_size()], "none")),
            (Some(c), false) => {
                Err(Error::shape("initial c", format!("none, {} has no c", config.cell.name()), c.shape()))
            }
        }
    }
}

/// A [`State`] that stays on the device from call to call. Clones are handles of the same memory.
///
/// A server that runs the sequences of several callers as one batch gives each caller a slot: a sequence of the batch, which
/// can be reset, read and written while the others go on.
///
/// ```
/// # fn main() -> wgrnn::Result<()> {
/// use ndarray::Array3;
/// use wgrnn::{Cell, Device, Rnn, RnnConfig, RnnWeights};
/// let config = RnnConfig::new(Cell::Lstm, 4, 8);
/// let rnn = Rnn::new(&Device::auto(), &config, RnnWeights::init(&config, 0)?)?;
/// let mut stream = rnn.stream(3)?;
/// stream.push(Array3::ones((1, 3, 4)).view())?;
/// let kept = stream.state().read_slot(1)?;
/// stream.state().reset_slot(1)?;
/// // Later, and wherever there is a free slot:
/// stream.state().write_slot(2, &kept)?;
/// assert_eq!(stream.state().read_slot(2)?, kept);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct DeviceState {
    device: Device,
    pub(crate) config: RnnConfig,
    pub(crate) batch: usize,
    /// [L·D·N, width of h padded to whole vectors]; the padding is 0.
    pub(crate) h: Storage,
    /// [L·D·N, width of c].
    pub(crate) c: Option<Storage>,
}

impl DeviceState {
    pub(crate) fn new(device: &Device, config: &RnnConfig, batch: usize) -> Result<Self> {
        let rows = config.tracks().checked_mul(batch).and_then(|rows| rows.checked_mul(config.layers));
        let rows = rows.filter(|&rows| rows > 0 && rows <= u32::MAX as usize);
        let rows =
            rows.ok_or_else(|| Error::value("batch", "at least 1, and a state of less than 2³² rows", batch))? as u64;
        let h = Storage::zeros(device, "h", rows * config.state_size().next_multiple_of(4) as u64)?;
        let c = if config.cell.has_cell_state() {
            Some(Storage::zeros(device, "c", rows * config.cell_state_size() as u64)?)
        } else {
            None
        };
        Ok(Self { device: device.clone(), config: config.clone(), batch, h, c })
    }

    /// The device that holds the state.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Words of h and of c.
    pub(crate) fn words(&self) -> (u64, u64) {
        let rows = self.config.layers * self.config.tracks() * self.batch;
        let (h, c) = (rows * self.config.state_size().next_multiple_of(4), rows * self.config.cell_state_size());
        (h as u64, c as u64)
    }

    /// N: the sequences of the batch.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// h as a tensor over the same memory, [L·D·S, N, H] (P with a projection) with the last axis rounded up to a multiple of 4.
    /// The numbers beyond H are 0. If you write h, write zeros there too.
    pub fn h(&self) -> Tensor {
        Tensor::view(&self.device, &self.h, &self.shapes()[0])
    }

    /// c as a tensor over the same memory, [L·D·S, N, H], or [L·D·S, N, 3·H] for an sLSTM; `None` where the cell has no c.
    pub fn c(&self) -> Option<Tensor> {
        self.c.as_ref().map(|c| Tensor::view(&self.device, c, &self.shapes()[1]))
    }

    /// Copies a state from the host to the device.
    ///
    /// # Errors
    /// [`Shape`](Error::Shape) where it is not one of this configuration and batch.
    pub fn write(&self, state: &State) -> Result<()> {
        state.check(&self.config, self.batch)?;
        let width = self.config.state_size();
        let (rows, batch, _) = state.h.dim();
        let mut padded = Array3::<f32>::zeros((rows, batch, width.next_multiple_of(4)));
        padded.slice_mut(s![.., .., ..width]).assign(&state.h);
        self.write_array(&self.h, padded.view())?;
        self.c.iter().zip(&state.c).try_for_each(|(storage, c)| self.write_array(storage, c.view()))
    }

    fn write_array(&self, storage: &Storage, array: ArrayView3<'_, f32>) -> Result<()> {
        let array = array.as_standard_layout();
        storage.write(&self.device, bytemuck::cast_slice(array.as_slice().unwrap_or_default()))
    }

    /// Sets the state to zeros.
    ///
    /// # Errors
    /// [`Gpu`](Error::Gpu) where the device was lost, [`OutOfMemory`](Error::OutOfMemory).
    pub fn reset(&self) -> Result<()> {
        self.write(&State::zeros(&self.config, self.batch)?)
    }

    /// Copies the state of one sequence, a [`State`] with N = 1, to slot `slot`. The other sequences stay as they are.
    ///
    /// # Errors
    /// [`Value`](Error::Value) unless `slot` is from 0 to N − 1, [`Shape`](Error::Shape) where the state is not one of this
    /// configuration and one sequence, [`Gpu`](Error::Gpu) where the device was lost.
    pub fn write_slot(&self, slot: usize, state: &State) -> Result<()> {
        self.check_slot(slot)?;
        state.check(&self.config, 1)?;
        let arrays = [(&self.h, Some(&state.h)), (self.c.as_ref().unwrap_or(&self.h), state.c.as_ref())];
        for ((storage, array), [_, _, width]) in arrays.into_iter().zip(self.shapes()) {
            for (row, numbers) in array.iter().flat_map(|array| array.outer_iter()).enumerate() {
                let mut words: Vec<u32> = numbers.iter().map(|number| number.to_bits()).collect();
                words.resize(width, 0);
                storage.write_at(&self.device, (row * self.batch + slot) * width, &words)?;
            }
        }
        Ok(())
    }

    /// Sets the state of one sequence to zeros. The other sequences stay as they are.
    ///
    /// # Errors
    /// [`Value`](Error::Value) unless `slot` is from 0 to N − 1, [`Gpu`](Error::Gpu) where the device was lost.
    pub fn reset_slot(&self, slot: usize) -> Result<()> {
        self.write_slot(slot, &State::zeros(&self.config, 1)?)
    }

    /// Copies the state of one sequence to the host: a [`State`] with N = 1.
    ///
    /// # Errors
    /// [`Value`](Error::Value) unless `slot` is from 0 to N − 1, [`Gpu`](Error::Gpu) where the device was lost.
    pub fn read_slot(&self, slot: usize) -> Result<State> {
        block_on(self.read_slot_async(slot))
    }

    /// The asynchronous form of [`DeviceState::read_slot`].
    ///
    /// # Errors
    /// As [`DeviceState::read_slot`].
    pub async fn read_slot_async(&self, slot: usize) -> Result<State> {
        self.check_slot(slot)?;
        let one = if may_wait() || !self.device.is_cpu() {
            self.copy_of_slot(slot)?
        } else {
            // A program that writes the state may be running.
            let state = self.clone();
            elsewhere(move || async move { state.copy_of_slot(slot) }).await?
        };
        one.read_async().await
    }

    /// The state of one sequence in memory of its own.
    fn copy_of_slot(&self, slot: usize) -> Result<Self> {
        let one = Self::new(&self.device, &self.config, 1)?;
        let [h, c] = self.shapes();
        let pairs = |[rows, batch, width]: [usize; 3]| {
            (0..rows).map(|row| ((row * batch + slot) * width, row * width)).collect::<Vec<_>>()
        };
        self.h.copy_to(&self.device, &one.h, &pairs(h), h[2])?;
        for (from, to) in self.c.iter().zip(&one.c) {
            from.copy_to(&self.device, to, &pairs(c), c[2])?;
        }
        Ok(one)
    }

    fn check_slot(&self, slot: usize) -> Result<()> {
        if slot < self.batch {
            return Ok(());
        }
        Err(Error::value("slot", format!("from 0 to {}, for a batch of {}", self.batch - 1, self.batch), slot))
    }

    /// Copies the state to the host.
    ///
    /// # Errors
    /// [`Gpu`](Error::Gpu) where the device was lost.
    pub fn read(&self) -> Result<State> {
        block_on(self.read_async())
    }

    /// The asynchronous form of [`DeviceState::read`].
    ///
    /// # Errors
    /// As [`DeviceState::read`].
    pub async fn read_async(&self) -> Result<State> {
        read_together_async(self).await
    }

    /// [L·D, N, ·] of h with its padding, and of c.
    fn shapes(&self) -> [[usize; 3]; 2] {
        let rows = self.config.layers * self.config.tracks();
        [self.config.state_size().next_multiple_of(4), self.config.cell_state_size()]
            .map(|width| [rows, self.batch, width])
    }
}

impl Readable for DeviceState {
    type Host = State;

    fn request<'a>(&'a self, request: &mut Request<'a>) -> Result<()> {
        let [h, c] = self.shapes().map(|shape| shape.iter().product());
        request.add(&self.device, "state", &self.h, h)?;
        self.c.iter().try_for_each(|storage| request.add(&self.device, "state", storage, c))
    }

    fn receive(&self, words: &mut Words) -> Result<State> {
        let mut read = |shape: [usize; 3]| {
            let array = words.array::<f32>("state read", &shape)?;
            array.into_dimensionality().map_err(|_| Error::shape("state read", shape, "another number of axes"))
        };
        let [of_h, of_c] = self.shapes();
        let mut h: Array3<f32> = read(of_h)?;
        let c = self.c.as_ref().map(|_| read(of_c)).transpose()?;
        h.slice_axis_inplace(Axis(2), (..self.config.state_size()).into());
        Ok(State { h: h.as_standard_layout().into_owned(), c })
    }
}

impl std::fmt::Debug for DeviceState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeviceState").field("batch", &self.batch).field("device", &self.device).finish_non_exhaustive()
    }
}
