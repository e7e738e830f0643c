//! Waiting: functions that block may, futures must not stall the executor that polls them.

#[cfg(target_arch = "wasm32")]
use crate::error::{Error, Result};

#[cfg(not(target_arch = "wasm32"))]
thread_local! {
    /// How many blocking functions of this library this thread is inside of.
    static BLOCKING: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// Waits for a future.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    /// Leaves when dropped, so that a panic leaves too.
    struct Inside;
    impl Drop for Inside {
        fn drop(&mut self) {
            BLOCKING.set(BLOCKING.get() - 1);
        }
    }
    BLOCKING.set(BLOCKING.get() + 1);
    let _inside = Inside;
    pollster::block_on(future)
}

/// Whether what is polled on this thread may wait in place: its caller blocks, or there is one thread only.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn may_wait() -> bool {
    BLOCKING.get() > 0
}

/// A browser's page has one thread, in which nothing here waits.
#[cfg(target_arch = "wasm32")]
pub(crate) fn may_wait() -> bool {
    true
}

/// Runs a future that waits in place on a thread made for that, so that the executor which polls this one is free
/// meanwhile. A panic there is one here.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) async fn elsewhere<T: Send + 'static, F: Future<Output = T>>(
    make: impl FnOnce() -> F + Send + 'static,
) -> T {
    blocking::unblock(move || block_on(make())).await
}

/// Where nothing waits in place this is never asked for.
#[cfg(target_arch = "wasm32")]
pub(crate) async fn elsewhere<T, F: Future<Output = T> + 'static>(make: impl FnOnce() -> F) -> T {
    // Of no type of its own: it may be the future that awaits this.
    let future: std::pin::Pin<Box<dyn Future<Output = T>>> = Box::pin(make());
    future.await
}

/// What the CPU device does is done at once; for what a GPU does a page has to await it.
#[cfg(target_arch = "wasm32")]
pub(crate) fn block_on<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    use std::task::{Context, Poll, Waker};
    match std::pin::pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => {
            Err(Error::unsupported("waiting for the GPU in a browser", "await the function of this name that is async"))
        }
    }
}
