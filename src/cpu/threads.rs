//! Work shared out to threads.
//!
//! A pool of our own: a program holds its tensors' locks while it runs, and a thread of a pool that waits for its part
//! may take up any other work of that pool, such as a caller's loop that wants the same tensors. Ours only ever has
//! parts of kernels. For the same reason nothing is shared out from within somebody else's pool.

#[cfg(not(target_arch = "wasm32"))]
use rayon::prelude::*;
#[cfg(not(target_arch = "wasm32"))]
use rayon::{ThreadPool, ThreadPoolBuilder};
#[cfg(not(target_arch = "wasm32"))]
use std::sync::LazyLock;

#[cfg(not(target_arch = "wasm32"))]
static POOL: LazyLock<Option<ThreadPool>> =
    LazyLock::new(|| ThreadPoolBuilder::new().thread_name(|i| format!("wgrnn {i}")).build().ok());

/// Threads that work is shared out to.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn count() -> usize {
    POOL.as_ref().map_or(1, ThreadPool::current_num_threads)
}

/// Calls `work` for each item, with its index.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn for_each<T: Send>(items: &mut [T], work: impl Fn(usize, &mut T) + Send + Sync) {
    match POOL.as_ref().filter(|_| items.len() > 1 && rayon::current_thread_index().is_none()) {
        Some(pool) => pool.install(|| items.par_iter_mut().enumerate().for_each(|(i, item)| work(i, item))),
        None => items.iter_mut().enumerate().for_each(|(i, item)| work(i, item)),
    }
}

/// A page has one thread.
#[cfg(target_arch = "wasm32")]
pub(crate) fn count() -> usize {
    1
}

/// Calls `work` for each item, with its index.
#[cfg(target_arch = "wasm32")]
pub(crate) fn for_each<T: Send>(items: &mut [T], work: impl Fn(usize, &mut T) + Send + Sync) {
    items.iter_mut().enumerate().for_each(|(i, item)| work(i, item));
}
