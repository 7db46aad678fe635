//! One test binary: one link, one place to look. The modules stand in reading order.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what fails here fails a test")]
#![allow(clippy::print_stderr, reason = "a test that is skipped says so loudly")]
#![allow(clippy::disallowed_methods, reason = "tests of live capture watch the clock")]

mod architecture;
mod bounds;
mod captures;
mod cli;
mod containers;
mod crafted;
mod decode;
mod esp_null;
mod flaws;
mod hostile;
mod identification;
mod ike;
mod ipsec;
mod ipsec_captures;
mod ipsec_exports;
mod learned;
mod live;
mod merge;
mod names;
mod plan;
mod readme;
mod rows;
mod seams;
mod support;
mod tables;
mod traffic;
