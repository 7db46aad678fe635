//! What the tests share: packets and captures made by code, so that every byte has a reason.

pub(crate) mod capture;
pub(crate) mod craft;
pub(crate) mod fixtures;
pub(crate) mod story;
pub(crate) mod tunnel;
pub(crate) mod wire;
pub(crate) mod wrap;
