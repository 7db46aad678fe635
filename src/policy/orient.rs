//! Who initiated: the order in which evidence counts.
//!
//! A group of hosts never initiates. Then: the handshake; who asks in the content; without
//! connections, who alone sent anything; the only way round that a specific row fits; a service's
//! port against an ephemeral one; where ports tell nothing, the end whose service was announced; over UDP, media on a wrong port of one end; for transports without
//! connections, who sent first.

use super::Policy;
use super::learned::Learned;
use super::terms::{Breadth, Content, End};
use crate::decode::Transport;
use crate::flow::{DirectionBy, Flow, Side, is_group};
use crate::identify::{Confidence, Identification};

impl Policy {
    /// Who initiates, and how that is known.
    pub fn orient(
        &self,
        flow: &Flow,
        identification: &Identification,
        learned: &Learned,
    ) -> (Side, DirectionBy) {
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
        if let Some(side) = only_sender(flow) {
            return (side, DirectionBy::FirstSpeaker);
        }
        if let Some(side) = self.orient_by_rows(flow) {
            return (side, DirectionBy::Policy);
        }
        if let Some(side) = orient_by_ports(flow) {
            return (side, DirectionBy::Port);
        }
        if let Some(side) = self.orient_by_services(flow, learned) {
            return (side, DirectionBy::Policy);
        }
        if let Some(side) = self.orient_by_media_ports(flow, identification) {
            return (side, DirectionBy::Policy);
        }
        match flow.transport {
            Transport::TCP => (Side::A, DirectionBy::Unknown),
            _ => (Side::A, DirectionBy::FirstSpeaker),
        }
    }

    /// An announced service responds.
    fn orient_by_services(&self, flow: &Flow, learned: &Learned) -> Option<Side> {
        if learned.is_empty() || flow.transport != Transport::TCP {
            return None;
        }
        let ends = self.announced_ends(learned, flow);
        match ends.map(|end| end.is_some_and(|known| !known.kind.is_media())) {
            [false, true] => Some(Side::A),
            [true, false] => Some(Side::B),
            _ => None,
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

    /// Media has no initiator. Where one end alone is outside of its own media ports, that port is
    /// what there is to say, whoever happened to send first.
    fn orient_by_media_ports(&self, flow: &Flow, identification: &Identification) -> Option<Side> {
        let media = self.shows_media(&Content::of(identification, false));
        if !media || flow.transport != Transport::UDP {
            return None;
        }
        let outside =
            flow.ends.map(|end| self.outside_own_media(&self.end(end.address, Some(end.port))));
        match outside {
            [true, false] => Some(Side::B),
            [false, true] => Some(Side::A),
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

/// Who sent all datagrams, when nothing came back: an answer without a question is rare, a question
/// without an answer is what this tool looks for.
fn only_sender(flow: &Flow) -> Option<Side> {
    let connected = matches!(flow.transport, Transport::TCP | Transport::SCTP);
    match flow.counters.map(|counters| counters.packets > 0) {
        [true, false] if !connected => Some(Side::A),
        [false, true] if !connected => Some(Side::B),
        _ => None,
    }
}

fn orient_by_ports(flow: &Flow) -> Option<Side> {
    if !flow.transport.has_ports() {
        return None;
    }
    let [a, b] = flow.ends.map(|end| end.port);
    // Media ports lie on both sides of the ephemeral bound, so over UDP it tells nothing.
    let bounds: &[u16] = match flow.transport {
        Transport::UDP => &[FIRST_UNRESERVED],
        _ => &[FIRST_UNRESERVED, FIRST_EPHEMERAL],
    };
    bounds.iter().copied().find_map(|bound| match (a < bound, b < bound) {
        (false, true) => Some(Side::A),
        (true, false) => Some(Side::B),
        _ => None,
    })
}

/// Ports below are reserved for services (RFC 6335, section 6).
const FIRST_UNRESERVED: u16 = 1024;
/// The lowest port that common systems hand out (Linux; Windows and RFC 6335 begin at 49152).
const FIRST_EPHEMERAL: u16 = 32768;

#[cfg(test)]
mod tests {
    use super::super::fixture::{SITE, flow, policy, speaks};
    use super::super::learned::Conversation;
    use super::*;
    use crate::flow::TcpSeen;
    use crate::flow::sample::Carrier;
    use crate::identify::signals::{Signal, SignalKind};
    use crate::input::Timestamp;

    fn told(text: &str) -> (Side, DirectionBy) {
        policy(SITE).orient(&flow(text), &Identification::default(), &Learned::default())
    }

    #[test]
    fn the_handshake_counts_before_everything() {
        let mut odd = flow("tcp 10.0.1.11:5061 -> 10.0.20.5:50000");
        odd.tcp[0] = TcpSeen(TcpSeen::SYN);
        let asked = Identification { requester: Some(Side::B), ..speaks("sip") };
        let policy = policy(SITE);
        assert_eq!(policy.orient(&odd, &asked, &Learned::default()), (Side::A, DirectionBy::Syn));
        odd.tcp = [TcpSeen(TcpSeen::SYN_ACK), TcpSeen(0)];
        assert_eq!(
            policy.orient(&odd, &asked, &Learned::default()),
            (Side::B, DirectionBy::SynAck)
        );
    }

    #[test]
    fn who_asks_counts_before_the_ports_but_not_by_circumstance() {
        let policy = policy(SITE);
        let answer = flow("tcp 10.0.1.11:50000 -> 10.0.20.5:5061");
        let mut asked = Identification { requester: Some(Side::B), ..speaks("sip") };
        let by_content = (Side::B, DirectionBy::FirstSpeaker);
        assert_eq!(policy.orient(&answer, &asked, &Learned::default()), by_content);
        asked.confidence = Some(Confidence::Low);
        assert_eq!(
            policy.orient(&answer, &asked, &Learned::default()),
            (Side::A, DirectionBy::Port)
        );
    }

    #[test]
    fn a_row_that_fits_one_way_round_tells() {
        let midstream = told("tcp 10.0.1.11:5061 -> 10.0.20.5:6000");
        assert_eq!(midstream, (Side::B, DirectionBy::Policy));
        let midstream = told("tcp 10.0.20.5:6000 -> 10.0.1.11:5061");
        assert_eq!(midstream, (Side::A, DirectionBy::Policy));
        // Both ways fit, and media ranges tell nothing.
        let both = told("tcp 10.0.1.11:5061 -> 10.0.1.11:5062");
        assert_eq!(both, (Side::A, DirectionBy::Unknown));
        let range = told("tcp 10.0.1.11:50100 -> 203.0.113.9:50000");
        assert_eq!(range, (Side::A, DirectionBy::Unknown));
    }

    #[test]
    fn ports_tell_by_two_bounds() {
        for (text, side, by) in [
            ("tcp 192.0.2.1:443 -> 192.0.2.2:2000", Side::B, DirectionBy::Port),
            ("tcp 192.0.2.1:8000 -> 192.0.2.2:40000", Side::B, DirectionBy::Port),
            ("tcp 192.0.2.1:40000 -> 192.0.2.2:8000", Side::A, DirectionBy::Port),
            ("tcp 192.0.2.1:80 -> 192.0.2.2:443", Side::A, DirectionBy::Unknown),
            ("udp 192.0.2.1:8000 -> 192.0.2.2:9000", Side::A, DirectionBy::FirstSpeaker),
            ("icmp 192.0.2.1:0 -> 192.0.2.2:0", Side::A, DirectionBy::FirstSpeaker),
        ] {
            assert_eq!(told(text), (side, by), "{text}");
        }
    }

    #[test]
    fn media_outside_the_ports_of_one_end_is_told_of_that_end() {
        let policy = policy(SITE);
        let told = |text: &str, protocol| {
            policy.orient(&flow(text), &speaks(protocol), &Learned::default())
        };
        let at_responder = "udp 10.0.20.5:50030 -> 10.0.1.11:30000";
        let at_initiator = "udp 10.0.1.11:30000 -> 10.0.20.5:50030";
        assert_eq!(told(at_responder, "rtp"), (Side::A, DirectionBy::Policy));
        assert_eq!(told(at_initiator, "rtp"), (Side::B, DirectionBy::Policy));
        assert_eq!(told(at_initiator, ""), (Side::A, DirectionBy::FirstSpeaker));
        let in_range = "udp 10.0.1.11:50000 -> 10.0.20.5:50030";
        assert_eq!(told(in_range, "rtp"), (Side::A, DirectionBy::FirstSpeaker));
    }

    #[test]
    fn a_group_never_initiates() {
        let flipped = told("udp 224.0.0.252:53 -> 10.0.1.11:50000");
        assert_eq!(flipped.0, Side::B);
        assert_eq!(told("udp 10.0.1.11:53 -> 255.255.255.255:50000").0, Side::A);
    }

    #[test]
    fn an_announced_service_responds() {
        let mut learned = Learned::default();
        let by = super::super::fixture::address("10.0.1.11");
        let at = crate::flow::FrameRef { capture: 0, frame: 1 };
        let signal = Signal {
            kind: SignalKind::EptMap,
            address: None,
            carrier: Carrier::Stream,
            port: 50_700,
            service: "samr".into(),
            exchange: None,
        };
        let end = |address, port| crate::flow::Endpoint { address, port };
        let asker = super::super::fixture::address("203.0.113.9");
        let within = Conversation::between(Transport::TCP, end(by, 135), end(asker, 50_001));
        learned.take(&signal, &within, at, Timestamp(0));
        learned.believe(|_, _| true);
        let midstream = flow("tcp 10.0.1.11:50700 -> 203.0.113.9:50000");
        let nothing = Identification::default();
        let told = policy(SITE).orient(&midstream, &nothing, &learned);
        assert_eq!(told, (Side::B, DirectionBy::Policy));
        let own_port = flow("tcp 10.0.1.11:50700 -> 203.0.113.9:31337");
        let told = policy(SITE).orient(&own_port, &nothing, &learned);
        assert_eq!(told, (Side::A, DirectionBy::Port), "ports know better");
    }
}
