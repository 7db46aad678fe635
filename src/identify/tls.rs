//! stub
use super::{Detector, Probe};
use crate::flow::sample::{Carrier, Sample};
/// TLS.
pub(super) const DETECTOR: Detector = Detector {
    token: "tls",
    name: "TLS",
    reference: "",
    carriers: &[Carrier::Stream, Carrier::Datagrams],
    probe,
};
fn probe(_sample: &Sample) -> Probe {
    Probe::No
}
