//! stub
use super::{Stop, Vlans};
use crate::input::Frame;
/// What the link header leads to.
pub(super) struct Network<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) vlans: Vlans,
}
pub(super) fn strip<'a>(_frame: &Frame<'a>) -> Result<Network<'a>, Stop> {
    todo!()
}
