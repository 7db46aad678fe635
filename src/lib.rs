//! portassay tells whether the traffic in a packet capture is the traffic that should be there.
//!
//! Data flows one way through seven rooms. A room may name the rooms to its left, never those to
//! its right; `tests/architecture.rs` holds it to that.
//!
//! ```text
//! error < input < decode < flow < identify < policy < findings < report < pipeline < cli
//! ```
//!
//! | room | in | verb | out | knows nothing about |
//! |---|---|---|---|---|
//! | [`input`] | file, standard input, interface | `open`, `next` | [`input::Frame`] | protocols |
//! | [`decode`] | `&Frame` | `decode`, cannot fail | [`decode::Decoded`] | flows |
//! | [`flow`] | `&Packet` | `observe`, `merge` | [`flow::Flow`] + [`flow::sample::Sample`] | protocol names |
//! | [`identify`] | `&Sample` | `identify` | [`identify::Identification`] | addresses, ports, roles |
//! | [`policy`] | `&Flow`, `&Identification` | `judge` | [`policy::Verdict`] | payload bytes |
//! | [`findings`] | judged flows | `add`, `finish` | [`findings::Finding`] | output formats |
//! | [`report`] | `&Report` | `write` | bytes to a writer passed in | how facts were found |
//!
//! [`pipeline`] wires the rooms and is the only home of threads; [`cli`] is the command line.

pub mod error;

pub mod input;

pub mod decode;

pub mod flow;

pub mod identify;

pub mod policy;

pub mod findings;

pub mod report;

pub mod pipeline;

pub mod cli;
