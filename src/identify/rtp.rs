//! stub
use super::{Detector, Probe};
use crate::flow::sample::{Carrier, Sample};
/// RTP.
pub(super) const DETECTOR: Detector = Detector {
    token: "rtp",
    name: "RTP",
    reference: "",
    carriers: &[Carrier::Stream, Carrier::Datagrams],
    probe,
};
fn probe(_sample: &Sample) -> Probe {
    Probe::No
}
