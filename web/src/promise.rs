//! Promises of what a device has still to do.

use crate::fault::Result;
use js_sys::Promise;
use std::task::{Context, Poll, Waker};
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::future_to_promise;

/// What a call promises, or the rejection of what it can't begin with.
pub fn attempt(call: impl FnOnce() -> Result<Promise>) -> Promise {
    call().unwrap_or_else(|error| Promise::reject(&error.into()))
}

/// Begins at once, up to where the device is waited for: calls act in the order in which they were made, whatever is awaited
/// first. What the CPU device gives is there when this returns.
pub fn promise(future: impl Future<Output = Result<JsValue>> + 'static) -> Promise {
    let mut future = Box::pin(async move { future.await.map_err(JsValue::from) });
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(value)) => Promise::resolve(&value),
        Poll::Ready(Err(error)) => Promise::reject(&error),
        Poll::Pending => future_to_promise(future),
    }
}
