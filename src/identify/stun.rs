//! stub
use super::{Detector, Probe};
use crate::flow::sample::{Carrier, Sample};
/// STUN.
pub(super) const DETECTOR: Detector = Detector {
    token: "stun",
    name: "STUN",
    reference: "",
    carriers: &[Carrier::Stream, Carrier::Datagrams],
    probe,
};
fn probe(_sample: &Sample) -> Probe {
    Probe::No
}
