//! One test binary: one link, one place to look. The modules stand in reading order.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what fails here fails a test")]

mod architecture;
mod captures;
mod cli;
mod decode;
mod hostile;
mod live;
mod merge;
mod support;
mod tables;
