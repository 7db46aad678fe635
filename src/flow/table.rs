//! stub
use super::{Flow, sample::Sample};
use crate::decode::Packet;
/// Bounds of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Flows kept.
    pub max_flows: usize,
}
/// Flows by key.
#[derive(Debug)]
pub struct FlowTable {}
impl FlowTable {
    /// Empty.
    pub fn new(_limits: Limits) -> Self {
        todo!()
    }
    /// Counts a packet of a capture.
    pub fn observe(&mut self, _capture: u32, _packet: &Packet<'_>) {
        todo!()
    }
    /// Flows in first-seen order.
    pub fn into_flows(self) -> Vec<(Flow, Sample)> {
        todo!()
    }
}
