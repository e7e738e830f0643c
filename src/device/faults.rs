//! What goes wrong on a GPU: errors that wgpu reports to scopes or later, and the loss of the device.

use crate::error::{Error, Result};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// Errors that reached no scope, which the next call reports, and the device's loss, which every later one does.
#[derive(Default)]
pub(crate) struct Faults {
    errors: Mutex<Errors>,
    loss: OnceLock<String>,
    /// The caller's, to be told of the loss.
    on_loss: Mutex<Vec<LossCallback>>,
}

/// What a caller wants to do with the reason for which a device was lost.
pub(super) type LossCallback = Box<dyn FnOnce(&str) + Send>;

#[derive(Default)]
pub(super) struct Errors {
    /// How many there were, and after how many of them somebody was told.
    count: u64,
    told: u64,
    /// The first that nobody was told of, or the last.
    message: String,
}

impl Faults {
    pub fn report(&self, message: &str) {
        let mut errors = locked(&self.errors);
        if errors.told == errors.count {
            message.clone_into(&mut errors.message);
        }
        errors.count += 1;
    }

    pub fn report_loss(&self, reason: String) {
        // The first reason is the one that matters.
        if self.loss.set(reason).is_ok() {
            self.tell_loss();
        }
    }

    /// Calls this once when the device is lost, or now if it is.
    pub fn on_loss(&self, callback: LossCallback) {
        locked(&self.on_loss).push(callback);
        self.tell_loss();
    }

    fn tell_loss(&self) {
        if let Some(reason) = self.loss.get() {
            // Not while the lock is held: a callback may ask for another one.
            let callbacks = std::mem::take(&mut *locked(&self.on_loss));
            callbacks.into_iter().for_each(|callback| callback(reason));
        }
    }

    /// An error if the device is known to be lost.
    pub fn lost(&self) -> Result<()> {
        self.loss.get().map_or(Ok(()), |reason| Err(Error::DeviceLost { reason: reason.clone() }))
    }

    pub fn count(&self) -> u64 {
        locked(&self.errors).count
    }

    /// What nobody was told of yet.
    pub fn take(&self, during: &str) -> Result<()> {
        let told = locked(&self.errors).told;
        self.since(told, during)
    }

    /// What came after so many errors: whoever waited meanwhile is told.
    pub fn since(&self, count: u64, during: &str) -> Result<()> {
        self.lost()?;
        let mut errors = locked(&self.errors);
        let error = (errors.count > count).then(|| fault(during, &errors.message));
        errors.told = errors.count;
        error.map_or(Ok(()), Err)
    }
}

/// What wgpu's validation says, as an error of this library.
pub(super) fn fault(during: &str, message: &str) -> Error {
    // As wgpu words it where two devices meet.
    if message.contains("doesn't match Device with") {
        return Error::OtherDevice { tensor: format!("something used while {during}") };
    }
    Error::Gpu { during: during.to_owned(), message: message.to_owned() }
}

/// A lock that a panic elsewhere does not close: what these locks hold is replaced whole.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits for all submitted work.
pub(super) fn finish(device: &wgpu::Device, faults: &Faults, during: &str) -> Result<()> {
    // Where the driver loses the device, wgpu tells its callback and then panics.
    let polled = catch_unwind(AssertUnwindSafe(|| device.poll(wgpu::PollType::wait_indefinitely())));
    let polled = polled.map_err(|_| {
        faults.report_loss("its driver failed".to_owned());
        loss(device, faults)
    });
    polled?.map(drop).map_err(|error| Error::Gpu { during: during.to_owned(), message: error.to_string() })
}

/// The error of a device that is lost, with the reason where the driver tells it: wgpu does once no work is left.
pub(super) fn loss(device: &wgpu::Device, faults: &Faults) -> Error {
    if faults.lost().is_ok() {
        // What it answers does not matter: the device is lost.
        drop(catch_unwind(AssertUnwindSafe(|| device.poll(wgpu::PollType::wait_indefinitely()))));
    }
    // The callback may have been replaced by the caller's own.
    faults.report_loss("it was destroyed, or its driver failed".to_owned());
    faults.lost().err().unwrap_or(Error::DeviceLost { reason: String::new() })
}

/// What a scope saw.
#[cfg(not(target_arch = "wasm32"))]
pub(super) fn popped(scope: wgpu::ErrorScopeGuard, _during: &str, _faults: &Arc<Faults>) -> Option<wgpu::Error> {
    pollster::block_on(scope.pop())
}

/// A browser tells later: the next call reports it.
#[cfg(target_arch = "wasm32")]
pub(super) fn popped(scope: wgpu::ErrorScopeGuard, during: &str, faults: &Arc<Faults>) -> Option<wgpu::Error> {
    let (error, faults, during) = (scope.pop(), Arc::clone(faults), during.to_owned());
    wasm_bindgen_futures::spawn_local(async move {
        if let Some(error) = error.await {
            faults.report(&format!("{during}: {error}"));
        }
    });
    None
}

/// Error scopes around wgpu calls: without them an error would panic on a device that the caller lent.
pub(super) fn guard<T>(
    device: &wgpu::Device,
    faults: &Arc<Faults>,
    during: &str,
    calls: impl FnOnce() -> T,
) -> Result<T> {
    let filters = [wgpu::ErrorFilter::Internal, wgpu::ErrorFilter::OutOfMemory, wgpu::ErrorFilter::Validation];
    let mut scopes = filters.map(|filter| Some(device.push_error_scope(filter)));
    let value = calls();
    let mut first = None;
    // The last scope pushed is the first to go.
    for scope in scopes.iter_mut().rev() {
        first = first.or(scope.take().and_then(|scope| popped(scope, during, faults)));
    }
    match first {
        None => Ok(value),
        Some(error) => Err(fault(during, &error.to_string())),
    }
}
