//! The bundled captures.

use std::path::{Path, PathBuf};

/// The folder of the cases.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

/// Every bundled capture, sorted.
pub(crate) fn captures() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for case in std::fs::read_dir(folder()).unwrap() {
        let case = case.unwrap().path();
        if !case.is_dir() {
            continue;
        }
        for file in std::fs::read_dir(case).unwrap() {
            let file = file.unwrap().path();
            if file.extension().is_some_and(|e| e == "pcap" || e == "pcapng") {
                found.push(file);
            }
        }
    }
    found.sort();
    assert!(found.len() >= 25, "only {} captures", found.len());
    found
}
