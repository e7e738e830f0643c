//! safetensors, with PyTorch's names.

use super::RnnWeights;
use crate::error::{Error, Result};
use crate::layer::RnnConfig;
use half::{bf16, f16};
use ndarray::{ArrayD, ArrayViewD};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use std::collections::HashMap;
#[cfg(not(target_arch = "wasm32"))]
use std::io::Write;
use std::path::Path;

pub(crate) fn fault(error: &safetensors::SafeTensorError) -> Error {
    Error::Safetensors(error.to_string())
}

impl RnnWeights {
    /// Reads `weight_ih_l0`, `weight_hh_l0_reverse` and so on from a safetensors file. `prefix` stands before each name
    /// (`"encoder."`), and may be empty. Other tensors are left alone.
    ///
    /// # Errors
    /// [`File`](Error::File), [`Safetensors`](Error::Safetensors) for a damaged file or a type other than f32, f16 and bf16,
    /// [`MissingWeight`](Error::MissingWeight), [`Shape`](Error::Shape), [`NotFinite`](Error::NotFinite).
    pub fn load(path: impl AsRef<Path>, config: &RnnConfig, prefix: &str) -> Result<Self> {
        Self::from_safetensors(&read_file(path.as_ref())?, config, prefix)
    }

    /// The same from bytes.
    ///
    /// # Errors
    /// As [`RnnWeights::load`].
    pub fn from_safetensors(bytes: &[u8], config: &RnnConfig, prefix: &str) -> Result<Self> {
        config.validate()?;
        let file = SafeTensors::deserialize(bytes).map_err(|error| fault(&error))?;
        // Errors name tensors as the file does.
        let rename = |error| match error {
            Error::MissingWeight(name) => Error::MissingWeight(format!("{prefix}{name}")),
            Error::Shape { tensor, expected, got } => {
                Error::Shape { tensor: format!("{prefix}{tensor}"), expected, got }
            }
            other => other,
        };
        let weights = Self::collect(config, |name| tensor(&file, &format!("{prefix}{name}"))).map_err(rename)?;
        weights.check(config)?;
        Ok(weights)
    }

    /// As a safetensors file with PyTorch's names, each after `prefix`.
    ///
    /// # Errors
    /// [`Safetensors`](Error::Safetensors), [`Value`](Error::Value) where a layer has neither one direction nor two.
    pub fn to_safetensors(&self, prefix: &str) -> Result<Vec<u8>> {
        self.check_names()?;
        let named = self.named().map(|(name, array)| (format!("{prefix}{name}"), array));
        serialize(named, None)
    }

    /// Writes them to a file, beside it first and then in its place: whatever goes wrong, the old file stays whole.
    ///
    /// # Errors
    /// [`File`](Error::File).
    pub fn save(&self, path: impl AsRef<Path>, prefix: &str) -> Result<()> {
        replace(path.as_ref(), &self.to_safetensors(prefix)?)
    }
}

pub(crate) fn read_file(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|source| Error::File { path: path.to_owned(), source })
}

/// Arrays as a safetensors file.
pub(crate) fn serialize<'a>(
    arrays: impl Iterator<Item = (String, ArrayViewD<'a, f32>)>,
    metadata: Option<HashMap<String, String>>,
) -> Result<Vec<u8>> {
    let tensors: Vec<_> = arrays
        .map(|(name, array)| {
            let bytes: Vec<u8> = array.iter().flat_map(|value| value.to_le_bytes()).collect();
            (name, array.shape().to_vec(), bytes)
        })
        .collect();
    let views = tensors.iter().map(|(name, shape, bytes)| {
        TensorView::new(Dtype::F32, shape.clone(), bytes).map(|view| (name.as_str(), view))
    });
    let views = views.collect::<Result<Vec<_>, _>>().map_err(|error| fault(&error))?;
    safetensors::serialize(views, metadata).map_err(|error| fault(&error))
}

/// A browser has no files: the bytes are the caller's to keep.
#[cfg(target_arch = "wasm32")]
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    std::fs::write(path, bytes).map_err(|source| Error::File { path: path.to_owned(), source })
}

/// Puts bytes in the place of a file, written beside it first: whatever goes wrong, the old file stays whole.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let write = || {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut builder = tempfile::Builder::new();
        // As any new file, for the umask to restrict: temporary ones are private.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let mut file = builder.tempfile_in(folder)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    };
    write().map_err(|source| Error::File { path: path.to_owned(), source })
}

/// One tensor of a file, if it is there.
pub(crate) fn tensor(file: &SafeTensors<'_>, name: &str) -> Result<Option<ArrayD<f32>>> {
    let Ok(view) = file.tensor(name) else { return Ok(None) };
    let data = view.data();
    let values = match view.dtype() {
        Dtype::F32 => data.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect(),
        Dtype::F16 => data.chunks_exact(2).map(|b| f16::from_le_bytes([b[0], b[1]]).to_f32()).collect(),
        Dtype::BF16 => data.chunks_exact(2).map(|b| bf16::from_le_bytes([b[0], b[1]]).to_f32()).collect(),
        other => return Err(Error::Safetensors(format!("{name}: expected F32, F16 or BF16, got {other:?}"))),
    };
    let array = ArrayD::from_shape_vec(view.shape(), values);
    array.map(Some).map_err(|_| Error::Safetensors(format!("{name}: its data is not {:?}", view.shape())))
}
