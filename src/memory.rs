//! Memory of the host, asked for in a way that can fail: a size that can't be had is an error, where a `Vec` of the standard
//! library ends the process.

use crate::error::{Error, Result};

/// An empty list with room for so many items.
pub(crate) fn reserved<T>(what: &str, count: usize) -> Result<Vec<T>> {
    let mut items = Vec::new();
    items
        .try_reserve_exact(count)
        .map_err(|_| out_of_memory(what, (count as u64).saturating_mul(size_of::<T>() as u64)))?;
    Ok(items)
}

/// The same item so many times.
pub(crate) fn filled<T: Clone>(what: &str, count: usize, item: T) -> Result<Vec<T>> {
    let mut items = reserved(what, count)?;
    items.resize(count, item);
    Ok(items)
}

/// Items as a list, of which there are so many.
pub(crate) fn collected<T>(what: &str, count: usize, items: impl IntoIterator<Item = T>) -> Result<Vec<T>> {
    let mut list = reserved(what, count)?;
    list.extend(items);
    Ok(list)
}

/// Whether the system would give so many bytes, before many small pieces of them are asked for: they are asked for in one piece,
/// and given back untouched.
pub(crate) fn check_room(what: &str, bytes: u64) -> Result<()> {
    let count = usize::try_from(bytes).map_err(|_| out_of_memory(what, bytes))?;
    let mut room = Vec::<u8>::new();
    let given = room.try_reserve_exact(count);
    // A compiler may leave out an allocation that nobody looks at.
    std::hint::black_box(&room);
    given.map_err(|_| out_of_memory(what, bytes))
}

fn out_of_memory(what: &str, bytes: u64) -> Error {
    Error::OutOfMemory { what: what.to_owned(), bytes }
}
