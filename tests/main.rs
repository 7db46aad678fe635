//! One test binary: one link, one place to look. The modules stand in reading order.

mod architecture;
mod captures;
mod merge;
mod tables;
