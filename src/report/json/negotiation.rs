//! A negotiation of IPsec as JSON: an element of `ipsec.negotiations`.

use std::net::IpAddr;

use serde::Serialize;

use super::finding::Frame;
use crate::findings::negotiations::{Fallback, Media, Tied};
use crate::flow::Endpoint;
use crate::identify::ike::message::Family;
use crate::report::text;

/// One negotiation. The order of the fields is the order of the keys.
#[derive(Debug, Serialize)]
pub(in crate::report) struct NegotiationJson {
    initiator: IpAddr,
    responder: IpAddr,
    families: Vec<&'static str>,
    start_seen: bool,
    first: String,
    first_frame: Frame,
    attempts: u64,
    messages: u64,
    retransmits: u64,
    round_trips: u64,
    renewals: u64,
    behind_nat: bool,
    error: Option<u16>,
    outcome: &'static str,
    nego_ms: Option<f64>,
    media_delay_ms: Option<f64>,
    gap_ms: Option<f64>,
    fallback: Option<&'static str>,
    vendors: Vec<&'static str>,
    other_triggers: u64,
    trigger_frames: Vec<Frame>,
    media: Option<MediaJson>,
}

impl NegotiationJson {
    /// Copies a negotiation.
    pub(in crate::report) fn of(tied: &Tied) -> Self {
        let negotiation = &tied.negotiation;
        Self {
            initiator: negotiation.initiator,
            responder: negotiation.responder,
            families: negotiation.families.iter().map(Family::token).collect(),
            start_seen: negotiation.start_seen,
            first: text::time(negotiation.first),
            first_frame: Frame::of(&negotiation.first_frame),
            attempts: negotiation.attempts,
            messages: negotiation.messages,
            retransmits: negotiation.retransmits,
            round_trips: negotiation.round_trips,
            renewals: negotiation.renewals,
            behind_nat: negotiation.behind_nat,
            error: negotiation.error,
            outcome: tied.outcome().token(),
            nego_ms: tied.took().map(text::milliseconds),
            media_delay_ms: tied.media_delay().map(text::milliseconds),
            gap_ms: tied.gap().map(text::milliseconds),
            fallback: tied.fallback().map(Fallback::token),
            vendors: negotiation.vendors.names(),
            other_triggers: tied.other_triggers,
            trigger_frames: tied.trigger_frames.iter().map(Frame::of).collect(),
            media: tied.media.as_ref().map(MediaJson::of),
        }
    }
}

/// The first flow of media between the hosts.
#[derive(Debug, Serialize)]
struct MediaJson {
    initiator: End,
    responder: End,
    transport: String,
    protocol: Option<&'static str>,
    first: String,
    first_frame: Frame,
    packets: u64,
}

impl MediaJson {
    fn of(media: &Media) -> Self {
        let [initiator, responder] = media.ends.map(End::of);
        Self {
            initiator,
            responder,
            transport: media.transport.to_string(),
            protocol: media.protocol,
            first: text::time(media.first),
            first_frame: Frame::of(&media.first_frame),
            packets: media.packets,
        }
    }
}

#[derive(Debug, Serialize)]
struct End {
    address: IpAddr,
    port: u16,
}

impl End {
    fn of(end: Endpoint) -> Self {
        Self { address: end.address, port: end.port }
    }
}
