//! The content of a file, and its name in errors.

use crate::error::{Error, Result};
use std::path::Path;

/// Errors of a file's content say which file.
pub(crate) fn of_file(path: &Path) -> impl Fn(Error) -> Error {
    move |error| match error {
        Error::Safetensors(text) => Error::Safetensors(format!("{}: {text}", path.display())),
        Error::WeightFile { format, reason } => {
            Error::WeightFile { format, reason: format!("{}: {reason}", path.display()) }
        }
        other => other,
    }
}

/// The content of a file.
pub(crate) fn read_file(path: &Path) -> Result<Vec<u8>> {
    let fault = |source| Error::File { path: path.to_owned(), source };
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        let kind = std::fs::metadata(path).map_err(fault)?.file_type();
        // Some have no end.
        if kind.is_char_device() || kind.is_block_device() {
            return Err(fault(std::io::Error::new(std::io::ErrorKind::InvalidInput, "this is a device, not a file")));
        }
    }
    std::fs::read(path).map_err(fault)
}
