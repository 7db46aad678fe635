<<<<<<< HEAD
//! One test binary: one link, one place to look. The modules stand in reading order.

mod architecture;
mod captures;
mod merge;
mod tables;
=======
//! One test binary.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "what fails here fails a test"
)]

mod decode;
mod support;
>>>>>>> ff5f36a (decode: packets and captures made by code, and properties over them)
