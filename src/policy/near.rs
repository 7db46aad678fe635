//! For a flow that nothing explains: the row that comes nearest, and the field that failed.
//!
//! Nearest first: the port and transport fit but not the peer; all fits the other way round; only
//! the transport differs; the content is not the range's; the port is another. Rows that name a
//! role of this flow come before rows that only share its port, ranges come after both.

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
    Port {
        agrees: std::cmp::Reverse<bool>,
        distance: u16,
    },
}

type Near = (Nearness, ExpectationId, Misfit);

impl Policy {
    /// The nearest row.
    pub(super) fn nearest(&self, ask: &Ask) -> Option<(ExpectationId, Misfit)> {
        let here = self.near_by_port(ask);
        let reversed = self.near_reversed(ask);
        let transport = self.near_by_transport(ask);
        let near = [here, reversed, transport].into_iter().flatten().min();
        near.or_else(|| self.near_by_role(ask))
            .map(|(_, id, misfit)| (id, misfit))
    }

    /// Rows with the port and the transport.
    fn near_by_port(&self, ask: &Ask) -> Option<Near> {
        let [initiator, responder] = ask.ends;
        let forward = self
            .rows_at(ask.transport, responder.port)
            .filter_map(|(id, terms)| {
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
                if terms.content_required {
                    return None;
                }
                Some((ranged(nearness, terms), id, Misfit::Peer))
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
            .map(|(id, terms)| (ranged(Nearness::Transport, terms), id, Misfit::Transport))
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
            let transports = &expectation.transports;
            let same = transports.is_empty() || transports.contains(&ask.transport.0);
            let named = terms.names_responder(&responder) || terms.from.meets(initiator.roles);
            let fits = terms.fits(&initiator, &responder);
            if !same || !named || !fits || terms.content_required || terms.infrastructure {
                return None;
            }
            let nearness = Nearness::Port {
                agrees: std::cmp::Reverse(ask.content.any_of(&terms.speaks)),
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
