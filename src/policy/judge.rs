//! Compares an oriented flow with the rows: which one explains it, or which one comes nearest.
//!
//! Every row that names the port and fits both ends is a candidate. Candidates are ranked by what
//! explains best ([`Rank`]); equal ones stand beside each other in the verdict.

use std::net::IpAddr;

use super::file::MediaSide;
use super::terms::{Breadth, Content, End, ExemptTerms, Grade, Terms};
use super::{Class, Contradiction, ExpectationId, Misfit, Policy, Verdict};
use crate::decode::Transport;
use crate::flow::{Flow, is_group};
use crate::identify::Identification;

/// A flow as the judge sees it. The first end initiates.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ask<'i> {
    pub(super) transport: Transport,
    pub(super) ends: [End; 2],
    /// Whether each end sent anything.
    pub(super) sent: [bool; 2],
    pub(super) content: Content<'i>,
}

/// How well a row explains a flow, best first. Specific rows come before ranges and the product
/// before infrastructure, but content that agrees speaks louder than either: relayed media on a
/// port that also has a service is media.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Specific(Grade),
    AgreeingInfrastructure,
    AgreeingRange,
    AgreeingInfrastructureRange,
    Contradicted(Grade),
    Uncompared,
    Infrastructure,
    Range,
    InfrastructureRange,
    ContradictedInfrastructure,
}

impl Policy {
    /// Compares an oriented flow with the policy.
    pub fn judge(&self, flow: &Flow, identification: &Identification) -> Verdict {
        self.answer(&self.ask(flow, identification))
    }

    /// The flow as the judge sees it.
    pub(super) fn ask<'i>(&self, flow: &Flow, identification: &'i Identification) -> Ask<'i> {
        Ask {
            transport: flow.transport,
            ends: flow.ends.map(|end| self.end(end.address, Some(end.port))),
            sent: flow.counters.map(|counters| counters.packets > 0),
            content: Content::of(identification),
        }
    }

    /// One end by its address. Groups of hosts have no role, whatever network they lie in.
    pub(super) fn end(&self, address: IpAddr, port: Option<u16>) -> End {
        let owner = if is_group(address) {
            super::topology::Owner::default()
        } else {
            self.owner(address)
        };
        End {
            roles: owner.roles,
            balances: owner.balances,
            port,
        }
    }

    /// The verdict.
    pub(super) fn answer(&self, ask: &Ask) -> Verdict {
        let mut verdict = Verdict {
            class: Class::OutOfScope,
            expectation: None,
            others: Vec::new(),
            contradiction: None,
            nearest: None,
            exempt: Vec::new(),
        };
        if !ask.ends.iter().any(End::known) {
            return verdict;
        }
        verdict.exempt = self.exempted(ask);
        let Some((rank, best)) = self.best(ask, &mut verdict.others) else {
            verdict.class = Class::Unexpected;
            verdict.nearest = self.nearest(ask);
            return verdict;
        };
        verdict.class = self.class(rank, best);
        verdict.contradiction = match rank {
            Rank::Contradicted(Grade::ClearText) => Some(Contradiction::ClearText),
            Rank::Contradicted(_) => Some(Contradiction::Application),
            _ => None,
        };
        if verdict.class == Class::Unexpected {
            verdict.nearest = Some((best, Misfit::Content));
            verdict.others.clear();
        } else {
            verdict.expectation = Some(best);
        }
        verdict
    }

    /// The conditions of a row that explains flows.
    pub(super) fn terms_at(&self, row: u32) -> Option<&Terms> {
        self.terms.get(row as usize)?.as_ref()
    }

    /// Rows that name a port, with their conditions.
    pub(super) fn rows_at(
        &self,
        transport: Transport,
        port: Option<u16>,
    ) -> impl Iterator<Item = (ExpectationId, &Terms)> {
        self.index
            .rows(transport, port.unwrap_or(0))
            .iter()
            .filter_map(|row| Some((ExpectationId(*row), self.terms_at(*row)?)))
    }

    /// The best candidate; equal ones go to `others`.
    fn best(&self, ask: &Ask, others: &mut Vec<ExpectationId>) -> Option<(Rank, ExpectationId)> {
        let [initiator, responder] = ask.ends;
        let mut best: Option<(Rank, ExpectationId)> = None;
        let mut consider = |rank: Rank, id: ExpectationId| match best {
            Some((known, first)) if known == rank => {
                if first != id && !others.contains(&id) {
                    others.push(id);
                }
            }
            Some((known, _)) if known < rank => {}
            _ => {
                best = Some((rank, id));
                others.clear();
            }
        };
        for (id, terms) in self.rows_at(ask.transport, responder.port) {
            if terms.fits(&initiator, &responder)
                && let Some(rank) = self.rank(terms, ask, &initiator)
            {
                consider(rank, id);
            }
        }
        // Over UDP a media port is the host's own, whoever sends first.
        if ask.transport == Transport::UDP && initiator.port.is_some() {
            for (id, terms) in self.rows_at(ask.transport, initiator.port) {
                if terms.media
                    && terms.fits(&responder, &initiator)
                    && let Some(rank) = self.rank(terms, ask, &responder)
                    && !matches!(rank, Rank::Contradicted(_))
                {
                    consider(rank, id);
                }
            }
        }
        let (rank, first) = best?;
        // The other way round rows come in a second pass, so the lowest id may be among the rest.
        if let Some(lower) = others.iter_mut().min().filter(|lower| **lower < first) {
            let id = std::mem::replace(lower, first);
            others.sort_unstable();
            return Some((rank, id));
        }
        others.sort_unstable();
        Some((rank, first))
    }

    /// How well a row that fits both ends explains the flow; `None` when it does not.
    fn rank(&self, terms: &Terms, ask: &Ask, peer: &End) -> Option<Rank> {
        let grade = terms.grade(&ask.content, self.strict);
        if grade != Grade::Agrees {
            if terms.content_required {
                return None;
            }
            let service_of_peer = peer.port.is_some_and(|port| port < FIRST_UNRESERVED);
            if terms.media && ask.transport == Transport::UDP && service_of_peer {
                return None;
            }
        }
        let wide = terms.breadth == Breadth::Wide;
        Some(match (grade, wide, terms.infrastructure) {
            (Grade::Agrees | Grade::Unseen, false, false) => Rank::Specific(grade),
            (Grade::Uncompared, false, false) => Rank::Uncompared,
            (Grade::Agrees, false, true) => Rank::AgreeingInfrastructure,
            (Grade::Agrees, true, false) => Rank::AgreeingRange,
            (Grade::Agrees, true, true) => Rank::AgreeingInfrastructureRange,
            (Grade::Unseen | Grade::Uncompared, false, true) => Rank::Infrastructure,
            (Grade::Unseen | Grade::Uncompared, true, false) => Rank::Range,
            (Grade::Unseen | Grade::Uncompared, true, true) => Rank::InfrastructureRange,
            (_, true, _) => return None,
            (_, false, false) => Rank::Contradicted(grade),
            (_, false, true) => Rank::ContradictedInfrastructure,
        })
    }

    fn class(&self, rank: Rank, id: ExpectationId) -> Class {
        match rank {
            Rank::Specific(Grade::Agrees) | Rank::AgreeingRange => Class::Confirmed,
            Rank::Specific(_) | Rank::Uncompared => match self.terms_at(id.0) {
                // A transport without ports, such as ESP, is all that such a row speaks of.
                Some(terms) if terms.breadth == Breadth::NoPorts && !terms.has_application => {
                    Class::Confirmed
                }
                _ => Class::PortOnly,
            },
            Rank::AgreeingInfrastructure
            | Rank::AgreeingInfrastructureRange
            | Rank::Infrastructure => Class::Infrastructure,
            Rank::Range | Rank::InfrastructureRange => Class::RangeUnconfirmed,
            Rank::Contradicted(_) => Class::WrongProtocol,
            Rank::ContradictedInfrastructure => Class::Unexpected,
        }
    }

    /// Exemption rows whose media the flow is, and whether its content shows media.
    fn exempted(&self, ask: &Ask) -> Vec<(ExpectationId, bool)> {
        let shows_media = ask.content.any_of(&self.media_tokens);
        self.exempt
            .iter()
            .filter(|terms| (0..2).any(|own| terms.covers(ask, own, shows_media)))
            .map(|terms| (terms.id, shows_media))
            .collect()
    }
}

impl ExemptTerms {
    /// Whether the row is about the flow with `own` as the role's end.
    fn covers(&self, ask: &Ask, own: usize, shows_media: bool) -> bool {
        let peer = 1 - own;
        let end = &ask.ends[own];
        let sent = match self.direction {
            MediaSide::From => ask.sent[own],
            MediaSide::To => ask.sent[peer],
            MediaSide::Any => true,
        };
        let transport = ask.transport;
        // A TCP port of the range may be ephemeral, unless it listens or carries media.
        let own_port = transport != Transport::TCP || own == 1 || shows_media || self.strict;
        sent && own_port
            && (self.transports.is_empty() || self.transports.contains(&transport.0))
            && (self.roles.is_empty() || self.roles.meets(end.roles))
            && (shows_media || !self.content_required)
            && end.port_within(&self.ports)
    }
}

/// Ports below are registered for services (RFC 6335, section 6), never a media peer's.
const FIRST_UNRESERVED: u16 = 1024;
