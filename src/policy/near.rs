//! For a flow that nothing explains: the row that comes nearest, and the field that failed.
//!
//! Nearest first: the port and transport fit but not the peer; all fits the other way round; only
//! the transport differs; the content is not the range's; the port is another. Rows that name a
//! role of this flow come before rows that only share its port, ranges come after both.

use std::cmp::Reverse;

use super::judge::Ask;
use super::terms::{Breadth, Grade, Terms};
use super::{ExpectationId, Misfit, Policy};
use crate::decode::Transport;

/// How near a row is, nearest first; ties go to the lower id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Nearness {
    PeerOfResponder,
    PeerOfInitiator,
    Direction,
    Transport,
    Content,
    PortOfOtherHosts,
    Range,
    Port { agrees: Reverse<bool>, transport: Reverse<bool>, distance: u16 },
}

type Near = (Nearness, ExpectationId, Misfit);

impl Policy {
    /// The nearest row.
    pub(super) fn nearest(&self, ask: &Ask) -> Option<(ExpectationId, Misfit)> {
        let here = self.near_by_port(ask);
        let reversed = self.near_reversed(ask);
        let transport = self.near_by_transport(ask);
        let near = [here, reversed, transport].into_iter().flatten().min();
        near.or_else(|| self.near_own_media(ask))
            .or_else(|| self.near_by_role(ask))
            .map(|(_, id, misfit)| (id, misfit))
    }

    /// Rows with the port and the transport.
    fn near_by_port(&self, ask: &Ask) -> Option<Near> {
        let [initiator, responder] = ask.ends;
        let forward = self.rows_at(ask.transport, responder.port).filter_map(|(id, terms)| {
            if terms.fits(&initiator, &responder) {
                return self.near_content(id, terms, ask);
            }
            // Who asks for another port of its own is not a wrong peer.
            let named = terms.names_responder(&responder);
            let asks = terms.from.meets(initiator.roles) && !terms.answered_by(&responder);
            let nearness = match (named, asks) {
                (true, _) => Nearness::PeerOfResponder,
                (false, true) => Nearness::PeerOfInitiator,
                (false, false) if terms.answered_by(&responder) => return None,
                (false, false) => Nearness::PortOfOtherHosts,
            };
            let others_range =
                nearness == Nearness::PortOfOtherHosts && terms.breadth == Breadth::Wide;
            if terms.content_required || others_range || terms.ports.count() > MOST_PORTS {
                return None;
            }
            // A host that the topology knows lacks the port; a stranger may be the wrong peer.
            let misfit = match nearness {
                Nearness::PortOfOtherHosts if responder.known() => Misfit::Port,
                _ => Misfit::Peer,
            };
            Some((ranged(nearness, terms), id, misfit))
        });
        let backward = self
            .rows_at(ask.transport, initiator.port)
            .filter(|(_, terms)| {
                ask.transport == Transport::UDP && terms.media && terms.fits(&responder, &initiator)
            })
            .filter_map(|(id, terms)| self.near_content(id, terms, ask));
        forward.chain(backward).min()
    }

    /// A row that fits but for the content.
    fn near_content(&self, id: ExpectationId, terms: &Terms, ask: &Ask) -> Option<Near> {
        let grade = terms.grade(&ask.content, self.strict);
        let contradicts = matches!(grade, Grade::ClearText | Grade::Application);
        (contradicts && !terms.content_required).then_some((Nearness::Content, id, Misfit::Content))
    }

    /// Rows that fit when the ends are swapped.
    fn near_reversed(&self, ask: &Ask) -> Option<Near> {
        let [initiator, responder] = ask.ends;
        self.rows_at(ask.transport, initiator.port)
            .filter(|(_, terms)| !terms.content_required && terms.fits(&responder, &initiator))
            .filter(|(_, terms)| terms.breadth != Breadth::NoPorts)
            .filter(|(_, terms)| terms.ports.count() <= MOST_PORTS)
            .map(|(id, terms)| (ranged(Nearness::Direction, terms), id, Misfit::Direction))
            .min()
    }

    /// Rows that fit with another transport that has ports.
    fn near_by_transport(&self, ask: &Ask) -> Option<Near> {
        let [initiator, responder] = ask.ends;
        [Transport::TCP, Transport::UDP, Transport::SCTP]
            .into_iter()
            .filter(|transport| ask.transport.has_ports() && *transport != ask.transport)
            .flat_map(|transport| self.rows_at(transport, responder.port))
            .filter(|(_, terms)| !terms.content_required && terms.fits(&initiator, &responder))
            .filter(|(_, terms)| terms.ports.count() <= MOST_PORTS)
            .map(|(id, terms)| (ranged(Nearness::Transport, terms), id, Misfit::Transport))
            .min()
    }

    /// Media rows of the initiator, where it sends media from a port outside of them.
    fn near_own_media(&self, ask: &Ask) -> Option<Near> {
        let [initiator, responder] = ask.ends;
        let port = initiator.port.filter(|_| ask.transport == Transport::UDP)?;
        if !self.shows_media(&ask.content) || !self.outside_own_media(&initiator) {
            return None;
        }
        let rows = self.terms.iter().zip(&self.expectations).enumerate();
        rows.filter_map(|(position, (terms, expectation))| {
            let terms = terms.as_ref()?;
            let over_udp = expectation.transports.contains(&Transport::UDP.0);
            let own = terms.media && over_udp && terms.fits(&responder, &initiator);
            let distance = terms.ports.distance(port).filter(|_| own)?;
            let nearness =
                Nearness::Port { agrees: Reverse(true), transport: Reverse(true), distance };
            Some((nearness, ExpectationId(position as u32), Misfit::OwnPort))
        })
        .min()
    }

    /// Rows between the two roles on other ports: first those of the application seen, then the
    /// numerically nearest.
    fn near_by_role(&self, ask: &Ask) -> Option<Near> {
        let [initiator, responder] = ask.ends;
        let port = responder.port.filter(|_| ask.transport.has_ports())?;
        let rows = self.terms.iter().zip(&self.expectations).enumerate();
        rows.filter_map(|(position, (terms, expectation))| {
            let terms = terms.as_ref()?;
            let named = terms.names_responder(&responder) || terms.from.meets(initiator.roles);
            let ruled_out = terms.content_required || terms.infrastructure;
            if !named || ruled_out || !terms.fits(&initiator, &responder) {
                return None;
            }
            let transports = &expectation.transports;
            let agrees = terms.agrees(&ask.content);
            let same = transports.is_empty() || transports.contains(&ask.transport.0);
            // Where the application is known, a row of another one is no hint.
            let contradicts = ask.content.known() && !agrees;
            // The application seen is a better hint than any service of the same transport.
            if !(same || agrees) || contradicts {
                return None;
            }
            let nearness = Nearness::Port {
                agrees: Reverse(agrees),
                transport: Reverse(same),
                distance: terms.ports.distance(port)?,
            };
            Some((nearness, ExpectationId(position as u32), Misfit::Port))
        })
        .min()
    }
}

/// What a range nearly fits says little.
fn ranged(nearness: Nearness, terms: &Terms) -> Nearness {
    match terms.breadth {
        Breadth::Wide => Nearness::Range,
        Breadth::Specific | Breadth::NoPorts => nearness,
    }
}

/// A range over more than half of all ports is near everything, which says nothing.
const MOST_PORTS: u32 = 32_768;

#[cfg(test)]
mod tests {
    use super::super::fixture::{SITE, id, judge, policy, read};
    use super::*;
    use crate::policy::Class;

    fn near(policy: &Policy, text: &str, protocol: &'static str) -> (String, Option<Misfit>) {
        let verdict = judge(policy, text, protocol);
        assert_eq!(verdict.class, Class::Unexpected, "{text}");
        let row = id(policy, verdict.nearest.map(|(row, _)| row)).to_owned();
        (row, verdict.nearest.map(|(_, misfit)| misfit))
    }

    #[test]
    fn each_field_that_fails_is_named() {
        let policy = policy(SITE);
        for (text, row, misfit) in [
            ("tcp 10.0.20.5:50000 -> 10.0.1.20:1433", "Q01", Misfit::Peer),
            ("tcp 10.0.1.11:50000 -> 10.0.1.12:1433", "Q01", Misfit::Peer),
            ("tcp 10.0.20.5:50000 -> 203.0.113.9:5061", "S03", Misfit::Peer),
            ("tcp 10.0.1.11:5061 -> 10.0.20.5:700", "S03", Misfit::Direction),
            ("udp 10.0.20.5:50000 -> 10.0.1.11:5061", "S03", Misfit::Transport),
            ("sctp 10.0.20.5:50000 -> 10.0.1.11:5061", "S03", Misfit::Transport),
            ("tcp 10.0.20.5:50000 -> 10.0.1.11:5059", "S02", Misfit::Port),
            ("tcp 10.0.20.5:50000 -> 10.0.1.11:48000", "S40", Misfit::Port),
        ] {
            let expected = (row.to_owned(), Some(misfit));
            assert_eq!(near(&policy, text, ""), expected, "{text}");
        }
    }

    #[test]
    fn on_another_port_the_application_seen_decides_first() {
        let policy = policy(SITE);
        let odd = "tcp 10.0.20.5:50000 -> 10.0.1.11:8061";
        assert_eq!(near(&policy, odd, "").0, "S15");
        assert_eq!(near(&policy, odd, "sip").0, "S21");
        let over_udp = "udp 10.0.20.5:50000 -> 10.0.1.11:8061";
        assert_ne!(near(&policy, over_udp, "").0, "S21");
        assert_eq!(near(&policy, over_udp, "sip").0, "S21");
        assert_eq!(near(&policy, odd, "rdp"), ("-".to_owned(), None));
    }

    #[test]
    fn media_from_a_port_outside_the_initiators_range_names_that_range() {
        let policy = policy(SITE);
        let sent = "udp 10.0.1.11:30000 -> 203.0.113.9:6000";
        assert_eq!(near(&policy, sent, "rtp"), ("S40".to_owned(), Some(Misfit::OwnPort)));
        assert_ne!(near(&policy, sent, "dns").1, Some(Misfit::OwnPort));
    }

    #[test]
    fn of_two_ranges_that_agree_the_one_of_the_transport_is_near() {
        let more = "pack = \"site\"\nrow = [{ id = \"A1\", to = \"front-end\", transport = \"udp\", port = \"49152-65535\", application = \"media:audio\", media = true }]";
        let audio = "udp 10.0.20.5:30000 -> 10.0.1.11:30000";
        let site = "pack = \"servers-first\"\ndrop = [\"S40\"]\nrow = [{ id = \"S99\", to = \"front-end\", transport = \"tcp\", port = \"49152-57500\", application = \"media:audio\", media = true }]";
        let policy = read(SITE, &[site, more], false).unwrap();
        assert_eq!(near(&policy, audio, "rtp"), ("A1".to_owned(), Some(Misfit::Port)));
    }

    #[test]
    fn where_no_row_says_anything_nothing_is_near() {
        let policy = policy(SITE);
        let text = "tcp 10.0.20.5:50000 -> 203.0.113.9:8443";
        assert_eq!(near(&policy, text, ""), ("-".to_owned(), None));
        assert_eq!(near(&policy, "esp 10.0.1.11:0 -> 10.0.1.12:0", "").1, None);
    }

    #[test]
    fn a_range_of_nearly_every_port_is_not_near() {
        let more = "pack = \"site\"\nrow = [{ id = \"A1\", from = \"client\", to = \"client\", transport = \"tcp\", port = \"1024-65535\" }]";
        let policy = read(SITE, &[more], false).unwrap();
        let text = "tcp 10.0.20.5:50000 -> 10.0.1.11:31337";
        assert_eq!(near(&policy, text, ""), ("S40".to_owned(), Some(Misfit::Port)));
    }

    #[test]
    fn a_named_role_is_nearer_than_a_shared_port() {
        let more = "pack = \"site\"\nrow = [{ id = \"A1\", to = \"sql\", transport = \"tcp\", port = \"5081\" }]";
        let policy = read(SITE, &[more], false).unwrap();
        let trunk = "tcp 10.0.20.5:50000 -> 10.0.3.1:5081";
        assert_eq!(near(&policy, trunk, ""), ("S25".to_owned(), Some(Misfit::Peer)));
    }
}
