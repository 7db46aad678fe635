//! A file that may be closed between two readings: a run may name more captures than a system lets
//! a program hold open.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// An opened file, or one that is opened again when it is read.
#[derive(Debug)]
pub(super) struct Handle {
    path: PathBuf,
    /// None once released.
    file: Option<Arc<File>>,
    /// Device and inode, so that another file of the same name is not taken for it.
    identity: (u64, u64),
}

impl Handle {
    /// Holds an opened file.
    pub(super) fn over(path: &Path, file: Arc<File>) -> io::Result<Self> {
        let metadata = file.metadata()?;
        let identity = (metadata.dev(), metadata.ino());
        Ok(Self { path: path.to_owned(), file: Some(file), identity })
    }

    /// The path as given.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Closes the file until it is read.
    pub(super) fn release(&mut self) {
        self.file = None;
    }

    /// The file, opened again if it was released.
    pub(super) fn file(&self) -> io::Result<Arc<File>> {
        if let Some(file) = &self.file {
            return Ok(Arc::clone(file));
        }
        let file = File::open(&self.path)?;
        let metadata = file.metadata()?;
        if (metadata.dev(), metadata.ino()) == self.identity {
            Ok(Arc::new(file))
        } else {
            Err(io::Error::other("it was replaced by another file meanwhile"))
        }
    }
}
