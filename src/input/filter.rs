//! stub
use super::{Frame, LinkType};
use crate::error::Result;
/// A BPF expression, compiled by libpcap for each link type it meets.
#[derive(Debug)]
pub struct Filter {}
impl Filter {
    /// Compiles for one link type at once, so that a bad expression is found before any reading.
    pub fn compile(_expression: &str, _link_type: LinkType) -> Result<Self> {
        todo!()
    }
    /// Whether the frame passes; compiles on the first frame of a further link type.
    pub fn passes(&mut self, _frame: &Frame<'_>) -> Result<bool> {
        todo!()
    }
}
