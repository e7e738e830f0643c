//! safetensors, with PyTorch's names.

use super::{LayerWeights, RnnWeights, tensor_name, tensor_shapes};
use crate::error::{Error, Result};
use crate::layer::RnnConfig;
use ndarray::{ArrayD, Ix1, Ix2};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use std::io::Write;
use std::path::Path;

fn fault(error: &safetensors::SafeTensorError) -> Error {
    Error::Safetensors(error.to_string())
}

impl RnnWeights {
    /// Reads `weight_ih_l0`, `weight_hh_l0_reverse` and so on from a safetensors file. `prefix` stands before each name
    /// (`"encoder."`), and may be empty. Other tensors are left alone.
    ///
    /// # Errors
    /// [`File`](Error::File), [`Safetensors`](Error::Safetensors) for a damaged file or a type other than f32,
    /// [`MissingWeight`](Error::MissingWeight), [`Shape`](Error::Shape), [`NotFinite`](Error::NotFinite).
    pub fn load(path: impl AsRef<Path>, config: &RnnConfig, prefix: &str) -> Result<Self> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(|source| Error::File { path: path.to_owned(), source })?;
        Self::from_safetensors(&bytes, config, prefix)
    }

    /// The same from bytes.
    ///
    /// # Errors
    /// As [`RnnWeights::load`].
    pub fn from_safetensors(bytes: &[u8], config: &RnnConfig, prefix: &str) -> Result<Self> {
        config.validate()?;
        let file = SafeTensors::deserialize(bytes).map_err(|error| fault(&error))?;
        let direction = |layer, direction| {
            let [w, r, b_w, b_r, w_hr] = tensor_shapes(config, layer).map(|(kind, shape)| {
                let name = format!("{prefix}{}", tensor_name(kind, layer, direction));
                match shape {
                    Some(shape) => tensor(&file, &name, &shape).map(Some),
                    // A bias that the configuration says is not there would be left out silently.
                    None if file.tensor(&name).is_ok() => Err(Error::shape(name, "none", "a tensor")),
                    None => Ok(None),
                }
            });
            let matrix = |array: Option<ArrayD<f32>>| array.and_then(|array| array.into_dimensionality::<Ix2>().ok());
            let vector = |array: Option<ArrayD<f32>>| array.and_then(|array| array.into_dimensionality::<Ix1>().ok());
            Ok(LayerWeights {
                w: matrix(w?).unwrap_or_default(),
                r: matrix(r?).unwrap_or_default(),
                b_w: vector(b_w?),
                b_r: vector(b_r?),
                w_hr: matrix(w_hr?),
            })
        };
        let layer = |layer| (0..config.directions()).map(|d| direction(layer, d)).collect::<Result<_>>();
        let weights = Self::new((0..config.layers).map(layer).collect::<Result<_>>()?);
        weights.check(config)?;
        Ok(weights)
    }

    /// As a safetensors file with PyTorch's names, each after `prefix`.
    ///
    /// # Errors
    /// [`Safetensors`](Error::Safetensors).
    pub fn to_safetensors(&self, prefix: &str) -> Result<Vec<u8>> {
        let mut tensors = Vec::new();
        for (layer, directions) in self.layers.iter().enumerate() {
            for (direction, weights) in directions.iter().enumerate() {
                for (kind, array) in weights.tensors() {
                    let Some(array) = array else { continue };
                    let bytes: Vec<u8> = array.iter().flat_map(|value| value.to_le_bytes()).collect();
                    tensors.push((
                        format!("{prefix}{}", tensor_name(kind, layer, direction)),
                        array.shape().to_vec(),
                        bytes,
                    ));
                }
            }
        }
        let views = tensors.iter().map(|(name, shape, bytes)| {
            TensorView::new(Dtype::F32, shape.clone(), bytes).map(|view| (name.as_str(), view))
        });
        let views = views.collect::<Result<Vec<_>, _>>().map_err(|error| fault(&error))?;
        safetensors::serialize(views, None).map_err(|error| fault(&error))
    }

    /// Writes them to a file, beside it first and then in its place: whatever goes wrong, the old file stays whole.
    ///
    /// # Errors
    /// [`File`](Error::File).
    pub fn save(&self, path: impl AsRef<Path>, prefix: &str) -> Result<()> {
        let path = path.as_ref();
        let bytes = self.to_safetensors(prefix)?;
        let write = || {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let mut builder = tempfile::Builder::new();
            // As any new file, for the umask to restrict: temporary ones are private.
            #[cfg(unix)]
            builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
            let mut file = builder.tempfile_in(folder)?;
            file.write_all(&bytes)?;
            file.as_file().sync_all()?;
            file.persist(path)?;
            Ok(())
        };
        write().map_err(|source| Error::File { path: path.to_owned(), source })
    }
}

/// One tensor of a file, of this shape.
fn tensor(file: &SafeTensors<'_>, name: &str, shape: &[usize]) -> Result<ArrayD<f32>> {
    let view = file.tensor(name).map_err(|_| Error::MissingWeight(name.to_owned()))?;
    if view.shape() != shape {
        return Err(Error::shape(name, shape, view.shape()));
    }
    if view.dtype() != Dtype::F32 {
        return Err(Error::Safetensors(format!("{name}: expected F32, got {:?}", view.dtype())));
    }
    let values = view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    ArrayD::from_shape_vec(shape, values).map_err(|_| Error::shape(name, shape, view.shape()))
}
