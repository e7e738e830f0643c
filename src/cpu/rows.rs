//! One buffer, its rows written by several threads.

use std::marker::PhantomData;

/// A mutable slice that threads share, each writing rows of its own. Bounds are checked; that no two threads hold one
/// row is the caller's promise.
#[derive(Clone, Copy)]
pub(crate) struct SharedRows<'a> {
    start: *mut f32,
    len: usize,
    slice: PhantomData<&'a mut [f32]>,
}

// SAFETY: it is a slice in parts; `row` asks its callers to keep the parts disjoint.
unsafe impl Send for SharedRows<'_> {}
// SAFETY: as above.
unsafe impl Sync for SharedRows<'_> {}

impl<'a> SharedRows<'a> {
    pub fn new(slice: &'a mut [f32]) -> Self {
        Self { start: slice.as_mut_ptr(), len: slice.len(), slice: PhantomData }
    }

    /// `len` elements from `at`, to read.
    ///
    /// # Safety
    /// No [`row`](Self::row) that overlaps them is alive.
    pub unsafe fn read(&self, at: usize, len: usize) -> &'a [f32] {
        assert!(at.checked_add(len).is_some_and(|end| end <= self.len), "row {at}+{len} of {}", self.len);
        // SAFETY: in bounds by the assertion, not written by the caller's promise.
        unsafe { std::slice::from_raw_parts(self.start.add(at), len) }
    }

    /// `len` elements from `at`.
    ///
    /// # Safety
    /// No other part that overlaps this one is alive.
    pub unsafe fn row(&self, at: usize, len: usize) -> &'a mut [f32] {
        assert!(at.checked_add(len).is_some_and(|end| end <= self.len), "row {at}+{len} of {}", self.len);
        // SAFETY: in bounds by the assertion, unaliased by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(at), len) }
    }
}
