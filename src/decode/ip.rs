//! stub
use super::{Decoded, link::Network};
use crate::input::Frame;
pub(super) fn read<'a>(_frame: &Frame<'a>, _network: &Network<'a>) -> Decoded<'a> {
    todo!()
}
