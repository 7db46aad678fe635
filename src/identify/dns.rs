//! stub
use super::{Detector, Probe};
use crate::flow::sample::{Carrier, Sample};
/// DNS.
pub(super) const DETECTOR: Detector = Detector {
    token: "dns",
    name: "DNS",
    reference: "",
    carriers: &[Carrier::Stream, Carrier::Datagrams],
    probe,
};
fn probe(_sample: &Sample) -> Probe {
    Probe::No
}
