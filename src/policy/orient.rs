//! Who initiated: the order in which evidence counts.
//!
//! A group of hosts never initiates. Then: the handshake; who asks in the content; the only way
//! round that a specific row fits; a service's port against an ephemeral one; for transports
//! without connections, who sent first.

use super::Policy;
use super::terms::{Breadth, End};
use crate::decode::Transport;
use crate::flow::{DirectionBy, Flow, Side, is_group};
use crate::identify::{Confidence, Identification};

impl Policy {
    /// Who initiates, and how that is known.
    pub fn orient(&self, flow: &Flow, identification: &Identification) -> (Side, DirectionBy) {
        let [a, b] = flow.ends.map(|end| is_group(end.address));
        match (a, b) {
            (true, false) => return (Side::B, DirectionBy::FirstSpeaker),
            (false, true) => return (Side::A, DirectionBy::FirstSpeaker),
            _ => {}
        }
        if let Some(shown) = flow.handshake() {
            return shown;
        }
        if flow.transport.is_security_association() {
            return (Side::A, DirectionBy::FirstSpeaker);
        }
        if let Some(side) = identification.requester
            && identification.confidence >= Some(Confidence::Medium)
        {
            return (side, DirectionBy::FirstSpeaker);
        }
        if let Some(side) = self.orient_by_rows(flow) {
            return (side, DirectionBy::Policy);
        }
        if let Some(side) = orient_by_ports(flow) {
            return (side, DirectionBy::Port);
        }
        match flow.transport {
            Transport::TCP => (Side::A, DirectionBy::Unknown),
            _ => (Side::A, DirectionBy::FirstSpeaker),
        }
    }

    fn orient_by_rows(&self, flow: &Flow) -> Option<Side> {
        if !flow.transport.has_ports() {
            return None;
        }
        let [a, b] = flow.ends.map(|end| self.end(end.address, Some(end.port)));
        let forward = self.some_service(flow.transport, &a, &b);
        let backward = self.some_service(flow.transport, &b, &a);
        match (forward, backward) {
            (true, false) => Some(Side::A),
            (false, true) => Some(Side::B),
            _ => None,
        }
    }

    /// Whether a row with few ports fits. Media ports belong to either side and tell nothing.
    fn some_service(&self, transport: Transport, initiator: &End, responder: &End) -> bool {
        self.rows_at(transport, responder.port).any(|(_, terms)| {
            terms.breadth == Breadth::Specific && !terms.media && terms.fits(initiator, responder)
        })
    }
}

fn orient_by_ports(flow: &Flow) -> Option<Side> {
    if !flow.transport.has_ports() {
        return None;
    }
    let [a, b] = flow.ends.map(|end| end.port);
    [FIRST_UNRESERVED, FIRST_EPHEMERAL]
        .into_iter()
        .find_map(|bound| match (a < bound, b < bound) {
            (false, true) => Some(Side::A),
            (true, false) => Some(Side::B),
            _ => None,
        })
}

/// Ports below are reserved for services (RFC 6335, section 6).
const FIRST_UNRESERVED: u16 = 1024;
/// The lowest port that common systems hand out (Linux; Windows and RFC 6335 begin at 49152).
const FIRST_EPHEMERAL: u16 = 32768;
