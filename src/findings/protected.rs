//! Which exemption rows are broken by media that came inside IPsec with readable headers.
//!
//! Each direction of a security association stands for itself: packets to a host of a role concern
//! its inbound row, packets from it the outbound row.

use super::{Case, Row};
use crate::decode::Transport;
use crate::flow::Side;
use crate::policy::{Party, RoleSet};

/// How media is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Sign {
    /// By a TCP port of a range that other services use too.
    TcpRange,
    /// By a UDP port of a media range.
    UdpPort,
    /// By its content.
    Content,
}

/// A row with the protected packets that it wants unprotected.
#[derive(Debug, Clone, Copy)]
pub(super) struct Protected<'a> {
    pub(super) row: Row<'a>,
    pub(super) sign: Sign,
    pub(super) packets: u64,
}

/// The exemption rows that a flow breaks; none without AH.
pub(super) fn protected<'a>(case: &Case<'a>) -> Vec<Protected<'a>> {
    let flow = case.judged.flow;
    let Some(associations) = &flow.associations else {
        return Vec::new();
    };
    let mut broken = Vec::new();
    for &(row, content) in &case.exempt {
        let sign = match (content, flow.transport) {
            (true, _) => Sign::Content,
            (false, Transport::UDP) => Sign::UdpPort,
            (false, _) => Sign::TcpRange,
        };
        let packets = [Side::A, Side::B]
            .into_iter()
            .filter(|&sender| covers(&row, case, sender))
            .map(|sender| associations.packets(sender))
            .sum();
        if packets > 0 {
            broken.push(Protected { row, sign, packets });
        }
    }
    broken
}

/// Whether a row is about what `sender` sends.
pub(super) fn covers(row: &Row<'_>, case: &Case<'_>, sender: Side) -> bool {
    let flow = case.judged.flow;
    let (from, to, port) = match sender {
        Side::A => (&case.initiator, &case.responder, flow.initiator().port),
        Side::B => (&case.responder, &case.initiator, flow.responder().port),
    };
    let port_fits = row
        .from_ports
        .is_none_or(|ranges| ranges.iter().any(|&(low, high)| (low..=high).contains(&port)));
    includes(row.from, from) && includes(row.to, to) && port_fits
}

/// Whether a role set, empty for anyone, includes a party.
pub(super) fn includes(set: RoleSet, party: &Party<'_>) -> bool {
    set.0 == 0 || set.0 & party.roles.0 != 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::testbed::{EXEMPT_IN, EXEMPT_OUT, Testbed, flow};

    #[test]
    fn each_direction_breaks_the_row_of_its_own() {
        let bed = Testbed::default();
        let both = [(EXEMPT_IN, true), (EXEMPT_OUT, true)];
        for (packets, ids) in [
            ([5, 0], vec![("X05", 5)]),
            ([0, 7], vec![("X06", 7)]),
            ([5, 7], vec![("X05", 5), ("X06", 7)]),
        ] {
            let sample =
                flow("10.20.0.101:50020", "10.0.1.31:49200").udp().exempt(&both).inside_ah(packets);
            let judged = sample.judged();
            let found: Vec<(&str, u64)> =
                protected(&Case::of(&judged, &bed)).iter().map(|p| (p.row.id, p.packets)).collect();
            assert_eq!(found, ids);
        }
    }

    #[test]
    fn clear_media_breaks_nothing() {
        let bed = Testbed::default();
        let sample =
            flow("10.20.0.101:50020", "10.0.1.31:49200").udp().exempt(&[(EXEMPT_IN, true)]);
        let judged = sample.judged();
        assert!(protected(&Case::of(&judged, &bed)).is_empty());
    }

    #[test]
    fn the_sign_is_content_before_udp_port_before_tcp_range() {
        let bed = Testbed::default();
        let sign = |content, tcp: bool| {
            let sample = flow("10.20.0.101:50020", "10.0.1.31:49200")
                .exempt(&[(EXEMPT_IN, content)])
                .inside_ah([2, 0]);
            let sample = if tcp { sample } else { sample.udp() };
            let judged = sample.judged();
            protected(&Case::of(&judged, &bed)).first().map(|p| p.sign)
        };
        assert_eq!(sign(true, false), Some(Sign::Content));
        assert_eq!(sign(true, true), Some(Sign::Content));
        assert_eq!(sign(false, false), Some(Sign::UdpPort));
        assert_eq!(sign(false, true), Some(Sign::TcpRange));
    }
}
