//! What can stop the tool from doing its job, in one sentence each: what, where, why, what to do.
//!
//! Broken traffic is not an error but data ([`crate::decode::Stop`]); traffic that should not be
//! there is a finding ([`crate::findings::Finding`]).

use std::io;
use std::path::PathBuf;

/// A reason why an input, a policy or an output could not be used. Exit code 2.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file or folder cannot be opened.
    #[error("cannot open {}: {source}", path.display())]
    Open {
        /// The path as the user gave it.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The file was opened, but reading it failed part-way.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The path as the user gave it.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The content is not a capture, or one that this tool does not read.
    #[error("{} is not a capture this tool reads: {why}", path.display())]
    NotACapture {
        /// The path as the user gave it.
        path: PathBuf,
        /// What was found instead, and what to do about it.
        why: String,
    },
    /// A folder was given in which no capture was found.
    #[error("no captures in the folder {}: files named or shaped like pcap or pcapng are looked for", path.display())]
    NoCaptures {
        /// The folder.
        path: PathBuf,
    },
    /// The BPF expression does not compile.
    #[error("the filter '{expression}' does not compile for link type {link_type}: {why}")]
    Filter {
        /// The expression as given.
        expression: String,
        /// The link type it was compiled for.
        link_type: String,
        /// libpcap's message.
        why: String,
    },
    /// A policy or topology file does not say what it must. The text carries file, line and hint.
    #[error("{0}")]
    Policy(String),
    /// The content is not an export of IPsec policy, or not one that this tool reads.
    #[error("{} is not an export this tool reads: {why}", path.display())]
    NotAnExport {
        /// The path as the user gave it.
        path: PathBuf,
        /// What was found instead, and what to do about it.
        why: String,
    },
    /// A live interface cannot be used.
    #[error("cannot capture on {interface}: {why}")]
    Capture {
        /// The interface's name.
        interface: String,
        /// The cause and what to do about it.
        why: String,
    },
    /// A report cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The target; `standard output` when there is no path.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The command line asks for something that does not exist.
    #[error("{0}")]
    Usage(String),
}

/// The result of everything that can fail for the user's inputs.
pub type Result<T> = std::result::Result<T, Error>;
