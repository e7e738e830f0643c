//! Waiting for futures: native targets can, a browser's page can't.

use crate::error::Result;

/// Waits for a future.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn block_on<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    pollster::block_on(future)
}

/// What the CPU device does is done at once; for what a GPU does a page has to await it.
#[cfg(target_arch = "wasm32")]
pub(crate) fn block_on<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    use crate::error::Error;
    use std::task::{Context, Poll, Waker};
    match std::pin::pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => Err(Error::Gpu {
            during: "waiting for the GPU".to_owned(),
            message: "a browser can't wait: await the function of this name that is async".to_owned(),
        }),
    }
}
