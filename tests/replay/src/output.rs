//! A file that the result goes to: opened before the work, written after it.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::error::Error;

/// A file that is open for writing.
pub(crate) struct Output {
    path: PathBuf,
    file: File,
}

impl Output {
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        match File::create(path) {
            Ok(file) => Ok(Self {
                path: path.into(),
                file,
            }),
            Err(error) => Err(Error::Output {
                path: path.into(),
                error,
            }),
        }
    }

    pub(crate) fn write(mut self, text: &str) -> Result<(), Error> {
        self.file
            .write_all(text.as_bytes())
            .and_then(|()| self.file.flush())
            .map_err(|error| Error::Output {
                path: self.path,
                error,
            })
    }
}
