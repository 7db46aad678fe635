//! stub
use super::{Detector, Probe};
use crate::flow::sample::{Carrier, Sample};
/// HTTP.
pub(super) const DETECTOR: Detector = Detector {
    token: "http",
    name: "HTTP",
    reference: "",
    carriers: &[Carrier::Stream, Carrier::Datagrams],
    probe,
};
fn probe(_sample: &Sample) -> Probe {
    Probe::No
}
