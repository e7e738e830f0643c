//! Formats of weight files, by how they begin.

/// The format that arrays come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// Arrays of the caller, from no file.
    Memory,
    /// A safetensors file.
    Safetensors,
    /// A file of `torch.save` or `torch.jit.save`: `.pt`, `.pth`.
    PyTorch,
    /// A file of `numpy.savez`, `savez_compressed` or `save`: `.npz`, `.npy`.
    NumPy,
    /// A file of Keras: `.keras`, `.weights.h5`.
    Keras,
}

impl Format {
    /// Its name, for errors.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Memory => "arrays",
            Self::Safetensors => "safetensors",
            Self::PyTorch => "PyTorch file",
            Self::NumPy => "NumPy file",
            Self::Keras => "Keras file",
        }
    }
}

/// The number that `torch.save` began its files with before it made zip files.
#[cfg(feature = "files")]
pub(super) const LEGACY: &[u8] = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
