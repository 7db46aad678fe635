//! stub
use super::{Detector, Probe};
use crate::flow::sample::{Carrier, Sample};
/// SIP.
pub(super) const DETECTOR: Detector = Detector {
    token: "sip",
    name: "SIP",
    reference: "",
    carriers: &[Carrier::Stream, Carrier::Datagrams],
    probe,
};
fn probe(_sample: &Sample) -> Probe {
    Probe::No
}
