//! The state of a recurrent layer, on the host and on a device.

use crate::config::RnnConfig;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::memory;
use crate::readback::{Readable, Request, Words, read_together_async};
use crate::storage::Storage;
use crate::tensor::elements;
use ndarray::{Array3, ArrayView3, Axis, s};

/// The state of all layers and directions: [L·D, N, ·], layer by layer, forward before reverse. With S heads it is
/// [L·D·S, N, ·], where the heads of a direction lie together.
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
    /// [`Value`](Error::Value) for a configuration that can't be, a batch of 0, or a state of 2³² numbers or more,
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

    /// The device it lives on.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Words of h and of c.
    pub(crate) fn words(&self) -> (u64, u64) {
        let rows = self.config.layers * self.config.tracks() * self.batch;
        let (h, c) = (rows * self.config.state_size().next_multiple_of(4), rows * self.config.cell_state_size());
        (h as u64, c as u64)
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

    /// Copies the state to the host.
    ///
    /// # Errors
    /// [`Gpu`](Error::Gpu) where the device was lost.
    pub fn read(&self) -> Result<State> {
        crate::device::block_on(self.read_async())
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
