//! Files of policy and topology as they come into the program.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use super::builtin;
use crate::error::{Error, Result};

/// One file of policy or topology.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// What messages call it: the path, or the name of a built-in file.
    pub file: String,
    /// What reports call it: the path, or `built-in`.
    pub layer: String,
    /// Its text.
    pub text: String,
}

impl Layer {
    /// A pack that comes with the program.
    pub fn builtin(file: &str, text: &str) -> Self {
        Self {
            file: format!("{}:{file}", builtin::LAYER),
            layer: builtin::LAYER.into(),
            text: text.into(),
        }
    }

    /// A text under a name.
    pub fn named(file: &str, text: &str) -> Self {
        Self { file: file.into(), layer: file.into(), text: text.into() }
    }

    /// Reads a file. Errors: it cannot be opened, is too large, or is not UTF-8.
    pub(super) fn load(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let file =
            File::open(path).map_err(|source| Error::Open { path: path.to_owned(), source })?;
        let mut bytes = Vec::new();
        file.take(MAX_FILE as u64 + 1)
            .read_to_end(&mut bytes)
            .map_err(|source| Error::Read { path: path.to_owned(), source })?;
        if bytes.len() > MAX_FILE {
            let limit = MAX_FILE / (1024 * 1024);
            return Err(Error::Policy(format!("{name}: larger than {limit} MiB")));
        }
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Self::named(&name, text.trim_start_matches('\u{feff}'))),
            Err(error) => {
                let offset = error.utf8_error().valid_up_to();
                let text = format!("{name}: not UTF-8 text, first wrong byte at offset {offset}");
                Err(Error::Policy(text))
            }
        }
    }

    pub(super) fn is_builtin(&self) -> bool {
        self.layer == builtin::LAYER
    }
}

/// A file this large is not a policy.
const MAX_FILE: usize = 16 * 1024 * 1024;
