//! Memory that is asked for in a way that can fail: sizes come from files and callers.

use crate::error::{Error, Result};
use ndarray::{Array, Dimension};

/// Values in a list of `count`, for which memory is had first. `what` is for errors.
pub(super) fn collect<T>(what: &str, count: usize, values: impl Iterator<Item = T>) -> Result<Vec<T>> {
    let mut list = Vec::new();
    list.try_reserve_exact(count).map_err(|_| exhausted(what, Some(count), size_of::<T>()))?;
    list.extend(values.take(count));
    Ok(list)
}

/// An array of zeros.
pub(super) fn zeros<D: Dimension>(what: &str, shape: D) -> Result<Array<f32, D>> {
    let elements = shape.slice().iter().try_fold(1_usize, |all, &size| all.checked_mul(size));
    let fault = || exhausted(what, elements, size_of::<f32>());
    let values = collect(what, elements.ok_or_else(fault)?, std::iter::repeat(0.0))?;
    Array::from_shape_vec(shape, values).map_err(|_| fault())
}

fn exhausted(what: &str, count: Option<usize>, size: usize) -> Error {
    let bytes = count.map_or(u64::MAX, |count| (count as u64).saturating_mul(size as u64));
    Error::OutOfMemory { what: what.to_owned(), bytes }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Ix3, Ix4};

    #[test]
    fn what_does_not_fit_into_memory_is_an_error_that_says_how_much_it_is() {
        assert_eq!(zeros("y", Ix3(2, 3, 4)).unwrap(), ndarray::Array3::<f32>::zeros((2, 3, 4)));
        let error = zeros("y", Ix3(1 << 30, 1 << 20, 1 << 10)).unwrap_err();
        assert!(matches!(error, Error::OutOfMemory { bytes: 4_611_686_018_427_387_904, .. }), "{error}");
        assert!(matches!(zeros("y", Ix4(usize::MAX, 2, 1, 1)), Err(Error::OutOfMemory { bytes: u64::MAX, .. })));
    }
}
