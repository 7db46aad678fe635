//! Compares an oriented flow with the rows: which one explains it, or which one comes nearest.
//!
//! Every row that names the port and fits both ends is a candidate. Candidates are ranked by what
//! explains best (see `Rank`); equal ones stand beside each other in the verdict.
//!
//! What was announced of an endpoint stands for content that cannot be seen, and never against what can.

use std::net::IpAddr;

use super::file::{MediaSide, PortSource};
use super::learned::{Announced, Learned};
use super::terms::{Breadth, Content, End, ExemptTerms, Grade, Terms};
use super::{Class, Contradiction, Expectation, ExpectationId, MediaSign, Misfit, Policy, Verdict};
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
    /// Whether the responder's port was announced for a service.
    pub(super) announced: bool,
    /// The opening of the connection was seen.
    pub(super) opened: bool,
    /// Both ends are servers.
    pub(super) between_servers: bool,
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
    /// A service of the host that the row names.
    ContradictedInfrastructure(Grade),
    /// The port of a service that any host may have, or that nobody in the topology has.
    ForeignToInfrastructure,
}

impl Rank {
    /// How the content contradicts the row, where the flow is held against it.
    fn contradiction(self) -> Option<Contradiction> {
        match self {
            Self::Contradicted(grade) | Self::ContradictedInfrastructure(grade) => {
                Some(match grade {
                    Grade::ClearText => Contradiction::ClearText,
                    Grade::Certificate => Contradiction::NoCertificate,
                    _ => Contradiction::Application,
                })
            }
            _ => None,
        }
    }

    /// Whether the row explains the flow, for all that can be seen, as one of few ports.
    fn explains_by_few_ports(self) -> bool {
        matches!(self, Self::Specific(_))
    }
}

impl Ask<'_> {
    /// The same with what was announced of the flow.
    fn knowing(mut self, announced: Option<&Announced>) -> Self {
        if let Some(Announced { announcement, .. }) = announced {
            self.announced = !announcement.kind.is_media();
            self.content.announced = Some(announcement.kind.protocol());
        }
        self
    }
}

impl Policy {
    /// Compares an oriented flow with the policy, and with what content announced.
    pub fn judge(
        &self,
        flow: &Flow,
        identification: &Identification,
        learned: &Learned,
    ) -> Verdict {
        let [a, b] = flow.ends.map(|end| end.address);
        if a == b {
            // What a host says to itself crosses no firewall and needs no expectation.
            return Verdict::out_of_scope();
        }
        let announced = self.announced(learned, flow);
        let mut verdict = self.answer(&self.ask(flow, identification).knowing(announced.as_ref()));
        verdict.announced = announced.map(Box::new);
        verdict
    }

    /// The flow as the judge sees it.
    pub(super) fn ask<'i>(&self, flow: &Flow, identification: &'i Identification) -> Ask<'i> {
        let ends = flow.ends.map(|end| self.end(end.address, Some(end.port)));
        let between_servers = ends.iter().all(|end| end.roles.meets(self.servers));
        let content = Content::of(identification, between_servers);
        Ask {
            transport: flow.transport,
            ends,
            sent: flow.counters.map(|counters| counters.packets > 0),
            content: if flow.handshake().is_some() {
                content
            } else {
                content.without_its_beginning()
            },
            announced: false,
            opened: flow.handshake().is_some(),
            between_servers,
        }
    }

    /// One end by its address. Groups of hosts have no role, whatever network they lie in.
    pub(super) fn end(&self, address: IpAddr, port: Option<u16>) -> End {
        let owner =
            if is_group(address) { super::topology::Owner::default() } else { self.owner(address) };
        End { roles: owner.roles, balances: owner.balances, port }
    }

    /// The verdict.
    pub(super) fn answer(&self, ask: &Ask) -> Verdict {
        let mut verdict = Verdict::out_of_scope();
        if !ask.ends.iter().any(End::known) {
            return verdict;
        }
        verdict.exempt = self.exempted(ask);
        let Some((rank, best)) = self.best(ask, &mut verdict.others) else {
            verdict.class = Class::Unexpected;
            verdict.nearest = self.retired_row(ask).or_else(|| self.nearest(ask));
            return verdict;
        };
        verdict.class = self.class(rank, best);
        verdict.contradiction = match rank.contradiction() {
            Some(contradiction) => Some(contradiction),
            None if ask.content.lacks_certificate && self.mutual_between_servers(best) => {
                Some(Contradiction::NoCertificate)
            }
            None => None,
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

    fn mutual_between_servers(&self, id: ExpectationId) -> bool {
        self.terms_at(id.0).is_some_and(Terms::mutual_between_servers)
    }

    /// A row of earlier editions that would explain the flow.
    fn retired_row(&self, ask: &Ask) -> Option<(ExpectationId, Misfit)> {
        let [initiator, responder] = ask.ends;
        let explains = |(row, terms): &(Expectation, Terms)| {
            row.transports.contains(&ask.transport.0)
                && responder.port_within(&row.ports)
                && terms.fits(&initiator, &responder)
                && terms.grade(&ask.content, self.strict) != Grade::Application
        };
        let at = self.retired.iter().position(explains)?;
        Some((ExpectationId((self.expectations.len() + at) as u32), Misfit::Edition))
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

    /// Rows for ports that a service hands out, where the responder's port was announced for what the row
    /// speaks. Their own ports are a default that an administrator may narrow or move.
    fn handed_out(&self, ask: &Ask) -> impl Iterator<Item = (ExpectationId, &Terms)> {
        let rows = if ask.announced { self.terms.as_slice() } else { &[] };
        let every = rows.iter().zip(&self.expectations).enumerate();
        every.filter_map(|(position, (terms, row))| {
            let terms = terms.as_ref()?;
            let own = terms.port_source == PortSource::Announced
                && row.transports.contains(&ask.transport.0)
                && (terms.agrees(&ask.content) || terms.foretold(&ask.content));
            own.then_some((ExpectationId(position as u32), terms))
        })
    }

    /// The best candidate; equal ones go to `others`.
    fn best(&self, ask: &Ask, others: &mut Vec<ExpectationId>) -> Option<(Rank, ExpectationId)> {
        let [initiator, responder] = ask.ends;
        let mut best: Option<(Rank, ExpectationId)> = None;
        // A row that names who initiates, and demands the TLS that is missing.
        let mut broken = None;
        for (id, terms) in self.rows_at(ask.transport, responder.port).chain(self.handed_out(ask)) {
            if terms.fits(&initiator, &responder)
                && self.media_is_in_range(terms, ask, &initiator)
                && let Some(rank) = self.rank(terms, ask, &initiator)
            {
                if rank == Rank::Contradicted(Grade::ClearText) && terms.from.meets(initiator.roles)
                {
                    broken = broken.or(Some(id));
                }
                consider(&mut best, others, (rank, id));
            }
        }
        // Over UDP a media port is the host's own, whoever sends first, unless the other end is known
        // for a service on its port.
        let service = best.is_some_and(|(rank, _)| rank.contradiction().is_some());
        if ask.transport == Transport::UDP && initiator.port.is_some() && !service {
            for (id, terms) in self.rows_at(ask.transport, initiator.port) {
                if terms.media
                    && terms.fits(&responder, &initiator)
                    && self.media_is_in_range(terms, ask, &responder)
                    && let Some(rank) = self.rank(terms, ask, &responder)
                    && !matches!(rank, Rank::Contradicted(_))
                {
                    consider(&mut best, others, (rank, id));
                }
            }
        }
        let (rank, first) = best?;
        if let Some(id) = broken
            && rank.explains_by_few_ports()
            && self.terms_at(first.0).is_some_and(Terms::leaves_open)
        {
            others.clear();
            return Some((Rank::Contradicted(Grade::ClearText), id));
        }
        // The other way round rows come in a second pass, so the lowest id may be among the rest.
        if let Some(lower) = others.iter_mut().min().filter(|lower| **lower < first) {
            let id = std::mem::replace(lower, first);
            others.sort_unstable();
            return Some((rank, id));
        }
        others.sort_unstable();
        Some((rank, first))
    }

    /// Whether the other end of media sends from a media port of its own roles. A media row speaks
    /// for its own end only: a gateway's range does not explain a Mediation Server's port.
    fn media_is_in_range(&self, terms: &Terms, ask: &Ask, peer: &End) -> bool {
        !(terms.media && ask.transport == Transport::UDP && self.outside_own_media(peer))
    }

    /// Whether an end's roles have media ports over UDP, and its port is none of them.
    pub(super) fn outside_own_media(&self, end: &End) -> bool {
        let Some(port) = end.port else { return false };
        let mut own =
            self.media_ports.iter().filter(|(roles, _)| roles.meets(end.roles)).peekable();
        own.peek().is_some() && !own.any(|(_, ports)| ports.contains(port))
    }

    /// Whether content shows media.
    pub(super) fn shows_media(&self, content: &Content<'_>) -> bool {
        content.any_of(&self.media_tokens)
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
            (_, false, true) if terms.names_responder(&ask.ends[1]) => {
                Rank::ContradictedInfrastructure(grade)
            }
            (_, false, true) => Rank::ForeignToInfrastructure,
        })
    }

    fn class(&self, rank: Rank, id: ExpectationId) -> Class {
        match rank {
            Rank::Specific(Grade::Agrees) | Rank::AgreeingRange => Class::Confirmed,
            Rank::Specific(_) | Rank::Uncompared => match self.terms_at(id.0) {
                // A transport without ports, such as ESP, is all that such a row speaks of.
                Some(terms) if terms.breadth == Breadth::NoPorts && terms.speaks.is_none() => {
                    Class::Confirmed
                }
                _ => Class::PortOnly,
            },
            Rank::AgreeingInfrastructure
            | Rank::AgreeingInfrastructureRange
            | Rank::Infrastructure => Class::Infrastructure,
            Rank::Range | Rank::InfrastructureRange => Class::RangeUnconfirmed,
            Rank::Contradicted(_) | Rank::ContradictedInfrastructure(_) => Class::WrongProtocol,
            Rank::ForeignToInfrastructure => Class::Unexpected,
        }
    }

    /// Exemption rows whose media the flow is, and what tells so.
    fn exempted(&self, ask: &Ask) -> Vec<(ExpectationId, MediaSign)> {
        let shows_media = self.shows_media(&ask.content);
        if ask.content.known() && !shows_media && !self.strict {
            return Vec::new();
        }
        let mut exempted = Vec::new();
        for terms in &self.exempt {
            // Most rows are about other roles.
            let [a, b] = [&ask.ends[0], &ask.ends[1]].map(|end| terms.is_about(end));
            if !a && !b {
                continue;
            }
            let of = |own: usize, is: bool| is.then(|| terms.sign(ask, own, shows_media)).flatten();
            if let Some(sign) = of(0, a).max(of(1, b)) {
                exempted.push((terms.id, sign));
            }
        }
        exempted
    }
}

/// Keeps the better one; equal ones go to `others`.
fn consider(
    best: &mut Option<(Rank, ExpectationId)>,
    others: &mut Vec<ExpectationId>,
    (rank, id): (Rank, ExpectationId),
) {
    match *best {
        Some((known, first)) if known == rank => {
            if first != id && !others.contains(&id) {
                others.push(id);
            }
        }
        Some((known, _)) if known < rank => {}
        _ => {
            *best = Some((rank, id));
            others.clear();
        }
    }
}

impl ExemptTerms {
    /// Whether an end has the row's role.
    fn is_about(&self, end: &End) -> bool {
        self.roles.is_empty() || self.roles.meets(end.roles)
    }

    /// What makes the row be about the flow with `own` as the role's end, which it is, if anything does.
    fn sign(&self, ask: &Ask, own: usize, shows_media: bool) -> Option<MediaSign> {
        let peer = 1 - own;
        let end = &ask.ends[own];
        let sent = match self.direction {
            MediaSide::From => ask.sent[own],
            MediaSide::To => ask.sent[peer],
            MediaSide::Any => true,
        };
        let transport = ask.transport;
        let fits = sent
            && (self.transports.is_empty() || self.transports.contains(&transport.0))
            && (shows_media || !self.content_required)
            && end.port_within(self.ports_of(transport));
        if !fits {
            return None;
        }
        let carries_media = end.port_within(self.media_ports_of(transport));
        if shows_media && carries_media {
            return Some(MediaSign::Content);
        }
        // A TCP port of the range may be ephemeral, unless it listens.
        let listens = transport != Transport::TCP || own == 1;
        let service_of_peer = ask.ends[peer].port.is_some_and(|port| port < FIRST_UNRESERVED);
        let unknown = !ask.content.known() && listens && !service_of_peer;
        if !unknown || !carries_media {
            return self.strict.then_some(MediaSign::AnyPort);
        }
        let registered = end.port.is_some_and(|port| port < FIRST_SHARED);
        // Media goes both ways; servers open connections to each other's ports all day.
        let likely = match transport {
            Transport::UDP => ask.sent == [true; 2],
            _ => ask.opened && !ask.between_servers,
        };
        let sign = if self.set_by_site || (registered && !self.content_required) {
            MediaSign::OwnRange
        } else if likely {
            MediaSign::SharedRange
        } else {
            MediaSign::SharedPort
        };
        // Strictly no port of the role's is weaker than any other.
        Some(if self.strict { sign.max(MediaSign::AnyPort) } else { sign })
    }
}

/// Ports from here on are also those of connections that hosts open (RFC 6335, section 6).
const FIRST_SHARED: u16 = 49152;
/// Ports below are registered for services (RFC 6335, section 6), never a media peer's.
const FIRST_UNRESERVED: u16 = 1024;

#[cfg(test)]
mod tests {
    use super::super::fixture::{self, SITE, flow, id, judge, policy, read, speaks, strict};
    use super::super::learned::Conversation;
    use super::*;
    use crate::flow::sample::Carrier;
    use crate::flow::{Endpoint, FrameRef};
    use crate::identify::Confidence;
    use crate::identify::signals::{Signal, SignalKind};
    use crate::input::Timestamp;

    /// Class and row of a verdict.
    fn told(policy: &Policy, text: &str, protocol: &'static str) -> (Class, String) {
        let verdict = judge(policy, text, protocol);
        let row = id(policy, verdict.expectation).to_owned();
        (verdict.class, row)
    }

    fn expect(policy: &Policy, text: &str, protocol: &'static str, class: Class, row: &str) {
        let told = told(policy, text, protocol);
        assert_eq!(told, (class, row.to_owned()), "{text} {protocol}");
    }

    const TO_SIP: &str = "tcp 10.0.20.5:50000 -> 10.0.1.11:5061";

    #[test]
    fn content_confirms_or_cannot_be_seen() {
        let policy = policy(SITE);
        expect(&policy, TO_SIP, "tls", Class::Confirmed, "S03");
        expect(&policy, TO_SIP, "", Class::PortOnly, "S03");
        let silent = policy.judge(&flow(TO_SIP), &Identification::default(), &Learned::default());
        assert_eq!(silent.class, Class::PortOnly);
        let sql = "tcp 10.0.1.11:50000 -> 10.0.1.20:1433";
        expect(&policy, sql, "tds", Class::Confirmed, "Q01");
        let clear = "tcp 10.0.20.5:50000 -> 10.0.1.11:5060";
        expect(&policy, clear, "sip", Class::Confirmed, "S02");
        let either = "tcp 10.0.20.5:50000 -> 10.0.1.11:444";
        expect(&policy, either, "http", Class::Confirmed, "S04");
        expect(&policy, either, "tls", Class::Confirmed, "S04");
    }

    #[test]
    fn clear_text_where_tls_must_be_is_a_contradiction() {
        let policy = policy(SITE);
        let verdict = judge(&policy, TO_SIP, "sip");
        assert_eq!(verdict.class, Class::WrongProtocol);
        assert_eq!(verdict.contradiction, Some(Contradiction::ClearText));
        assert_eq!(id(&policy, verdict.expectation), "S03");
        let bare = judge(&policy, "tcp 10.0.20.5:50000 -> 10.0.1.11:8060", "http");
        assert_eq!(bare.contradiction, Some(Contradiction::ClearText));
    }

    #[test]
    fn servers_show_each_other_certificates_where_the_row_demands_it() {
        let policy = policy(SITE);
        let logging = "tcp 10.0.1.11:50000 -> 10.0.1.12:50001";
        for bare in ["declined", "not-requested"] {
            let verdict = policy.judge(&flow(logging), &fixture::tls(bare), &Learned::default());
            assert_eq!(verdict.class, Class::WrongProtocol, "{bare}");
            assert_eq!(verdict.contradiction, Some(Contradiction::NoCertificate));
            assert_eq!(id(&policy, verdict.expectation), "L01");
        }
        for fine in ["seen", "not-observable"] {
            let verdict = policy.judge(&flow(logging), &fixture::tls(fine), &Learned::default());
            assert_eq!((verdict.class, verdict.contradiction), (Class::Confirmed, None), "{fine}");
        }
        // A client has no certificate to show, and who is behind a balancer is hidden.
        for from in ["10.0.20.5", "10.0.1.5", "203.0.113.9"] {
            let text = format!("tcp {from}:50000 -> 10.0.1.11:50001");
            let verdict =
                policy.judge(&flow(&text), &fixture::tls("not-requested"), &Learned::default());
            assert_eq!((verdict.class, verdict.contradiction), (Class::Confirmed, None), "{text}");
        }
    }

    #[test]
    fn on_a_port_that_clients_share_it_depends_on_who_connects() {
        let (lenient, strict) = (policy(SITE), strict(SITE));
        let servers = "tcp 10.0.1.12:50000 -> 10.0.1.11:5061";
        let bare = fixture::tls("not-requested");
        let verdict = lenient.judge(&flow(servers), &bare, &Learned::default());
        assert_eq!(verdict.class, Class::Confirmed);
        assert_eq!(verdict.contradiction, Some(Contradiction::NoCertificate));
        let verdict = strict.judge(&flow(servers), &bare, &Learned::default());
        assert_eq!(verdict.class, Class::WrongProtocol);
        assert_eq!(verdict.contradiction, Some(Contradiction::NoCertificate));
        for policy in [&lenient, &strict] {
            let client = policy.judge(&flow(TO_SIP), &bare, &Learned::default());
            assert_eq!((client.class, client.contradiction), (Class::Confirmed, None));
        }
    }

    #[test]
    fn a_connection_without_data_contradicts_nothing() {
        let policy = policy(SITE);
        let probe = Identification::default();
        for from in ["10.0.1.5", "10.0.1.12", "10.0.20.5"] {
            for port in [5061, 5060, 443, 8060] {
                let text = format!("tcp {from}:50000 -> 10.0.1.11:{port}");
                let verdict = policy.judge(&flow(&text), &probe, &Learned::default());
                let told = (verdict.class, verdict.contradiction);
                assert_eq!(told, (Class::PortOnly, None), "{text}");
            }
        }
    }

    #[test]
    fn what_only_earlier_editions_have_is_named_and_allowed_by_nothing() {
        let policy = policy(SITE);
        let xmpp = judge(&policy, "tcp 10.0.20.5:50000 -> 10.0.1.11:5269", "");
        assert_eq!(xmpp.class, Class::Unexpected);
        let (row, misfit) = xmpp.nearest.unwrap();
        assert_eq!((id(&policy, Some(row)), misfit), ("P15", Misfit::Edition));
        assert!(policy.expectation(row).legacy);
        let elsewhere = judge(&policy, "tcp 10.0.20.5:50000 -> 10.0.1.12:5269", "");
        assert_ne!(elsewhere.nearest.map(|(_, misfit)| misfit), Some(Misfit::Edition));
        // A row of the site's own stands in its place, and it can be dropped.
        let own = "pack = \"site\"\nrow = [{ id = \"P15\", to = \"sql\", transport = \"tcp\", port = \"5269\" }]";
        for layer in [own, "pack = \"site\"\ndrop = [\"P15\"]"] {
            let policy = read(SITE, &[layer], false).unwrap();
            let verdict = judge(&policy, "tcp 10.0.20.5:50000 -> 10.0.1.11:5269", "");
            assert_ne!(verdict.nearest.map(|(_, misfit)| misfit), Some(Misfit::Edition));
        }
    }

    #[test]
    fn a_hello_that_is_answered_in_clear_is_no_tls() {
        let policy = policy(SITE);
        let both = |other| Identification { also: vec!["tls"], ..speaks(other) };
        let of = |other| policy.judge(&flow(TO_SIP), &both(other), &Learned::default());
        assert_eq!(of("sip").contradiction, Some(Contradiction::ClearText));
        assert_eq!(of("ssh").contradiction, Some(Contradiction::Application));
        // Where either may be spoken there is nothing to say.
        expect(&policy, "tcp 10.0.20.5:50000 -> 10.0.1.11:444", "http", Class::Confirmed, "S04");
    }

    #[test]
    fn another_application_is_a_contradiction() {
        let policy = policy(SITE);
        for (text, protocol) in [
            (TO_SIP, "http"),
            ("tcp 10.0.20.5:50000 -> 10.0.1.11:5060", "http"),
            ("tcp 10.0.20.5:50000 -> 10.0.1.11:5062", "rtp"),
        ] {
            let verdict = judge(&policy, text, protocol);
            assert_eq!(verdict.class, Class::WrongProtocol, "{text} {protocol}");
            assert_eq!(verdict.contradiction, Some(Contradiction::Application));
        }
    }

    #[test]
    fn low_confidence_neither_contradicts_nor_confirms() {
        let policy = policy(SITE);
        let unsure =
            |protocol| Identification { confidence: Some(Confidence::Low), ..speaks(protocol) };
        let verdict = policy.judge(&flow(TO_SIP), &unsure("http"), &Learned::default());
        assert_eq!(verdict.class, Class::PortOnly);
        let medium = Identification { confidence: Some(Confidence::Medium), ..speaks("http") };
        let verdict = policy.judge(&flow(TO_SIP), &medium, &Learned::default());
        assert_eq!(verdict.class, Class::WrongProtocol);
    }

    #[test]
    fn an_equally_sure_claim_that_agrees_is_enough() {
        let policy = policy(SITE);
        let torn = Identification { also: vec!["sip"], ..speaks("http") };
        let verdict = policy.judge(
            &flow("tcp 10.0.20.5:50000 -> 10.0.1.11:5060"),
            &torn,
            &Learned::default(),
        );
        assert_eq!(verdict.class, Class::Confirmed);
    }

    #[test]
    fn tls_on_a_row_that_does_not_ask_for_it_is_no_fault() {
        let plain = policy(SITE);
        let strict = strict(SITE);
        let unsaid = "tcp 10.0.20.5:50000 -> 10.0.1.11:5062";
        let none = "tcp 10.0.20.5:50000 -> 10.0.1.11:5060";
        for policy in [&plain, &strict] {
            expect(policy, unsaid, "tls", Class::PortOnly, "S06");
        }
        expect(&plain, none, "tls", Class::PortOnly, "S02");
        expect(&strict, none, "tls", Class::WrongProtocol, "S02");
    }

    /// The site with a domain controller, and applications that never begin with TLS.
    fn directory() -> Policy {
        let site = format!(
            "{SITE}\n[[host]]\nname = \"dc01\"\naddresses = [\"10.0.9.9\"]\nroles = [\"domain-controller\"]\n"
        );
        let more = r#"
pack = "directory"
kind = "infrastructure"
row = [
  { id = "Z1", to = "domain-controller", transport = "tcp", port = "389", application = "ldap" },
  { id = "Z2", to = "domain-controller", transport = "tcp", port = "636", application = "ldap", security = "tls" },
  { id = "Z3", transport = "udp", port = "1024-65535", from_port = "3702", application = "discovery" },
]
[[application]]
name = "ldap"
speaks = ["ldap"]
tls = false
[[application]]
name = "discovery"
speaks = []
answers = false
"#;
        read(&site, &[more], false).unwrap()
    }

    #[test]
    fn the_service_of_a_known_host_is_contradicted_whoever_it_belongs_to() {
        let policy = directory();
        let lookup = "udp 10.0.20.5:50000 -> 10.0.9.9:53";
        expect(&policy, lookup, "dns", Class::Infrastructure, "I01");
        expect(&policy, lookup, "sip", Class::WrongProtocol, "I01");
        // The client's own port is a media port, yet port 53 of this host is known for something else.
        expect(&policy, lookup, "stun", Class::WrongProtocol, "I01");
        expect(&policy, "udp 10.0.20.5:50000 -> 10.0.9.9:5300", "stun", Class::Confirmed, "C08");
        let verdict = judge(&policy, "tcp 10.0.1.11:50000 -> 10.0.9.9:636", "ldap");
        assert_eq!(verdict.class, Class::WrongProtocol);
        assert_eq!(verdict.contradiction, Some(Contradiction::ClearText));
        // A port that any host may have proves nothing.
        let anyone = judge(&policy, "udp 10.0.20.5:800 -> 10.0.1.11:5355", "sip");
        assert_eq!((anyone.class, anyone.contradiction), (Class::Unexpected, None));
    }

    #[test]
    fn what_never_begins_with_tls_is_contradicted_by_a_hello_only() {
        let policy = directory();
        let text = "tcp 10.0.1.11:50000 -> 10.0.9.9:389";
        // Without its handshake it may have turned into TLS before the capture began.
        expect(&policy, text, "tls", Class::Infrastructure, "Z1");
        let mut begun = flow(text);
        begun.tcp[0] = crate::flow::TcpSeen(crate::flow::TcpSeen::SYN);
        let none = Learned::default();
        let class = |what: &Identification| policy.judge(&begun, what, &none).class;
        assert_eq!(class(&speaks("tls")), Class::WrongProtocol);
        let middle = Identification { confidence: Some(Confidence::Medium), ..speaks("tls") };
        assert_eq!(class(&middle), Class::Infrastructure);
        begun.ends[1].port = 636;
        assert_eq!(policy.judge(&begun, &speaks("tls"), &none).class, Class::Infrastructure);
    }

    #[test]
    fn answers_from_the_port_of_a_service_need_no_range() {
        let policy = directory();
        let answer = "udp 10.0.9.9:3702 -> 10.0.20.5:42797";
        expect(&policy, answer, "", Class::Infrastructure, "Z3");
        assert_eq!(judge(&policy, answer, "sip").class, Class::Unexpected);
        let other = "udp 10.0.9.9:3703 -> 10.0.20.5:42797";
        assert_eq!(judge(&policy, other, "").class, Class::Unexpected);
    }

    #[test]
    fn readable_lines_are_clear_text_where_tls_must_be() {
        let policy = policy(SITE);
        let mut lines = speaks("");
        lines.facts.set("text", "lines");
        let verdict = policy.judge(&flow(TO_SIP), &lines, &Learned::default());
        assert_eq!(verdict.class, Class::WrongProtocol);
        assert_eq!(verdict.contradiction, Some(Contradiction::ClearText));
        for port in ["5060", "5062", "444"] {
            let open = policy.judge(
                &flow(&format!("tcp 10.0.20.5:50000 -> 10.0.1.11:{port}")),
                &lines,
                &Learned::default(),
            );
            assert_eq!((open.class, open.contradiction), (Class::PortOnly, None), "{port}");
        }
    }

    #[test]
    fn a_row_that_names_the_initiator_and_demands_tls_beats_one_that_says_nothing_of_it() {
        let more = r#"
pack = "site"
row = [{ id = "Z1", from = "client", to = "front-end", transport = "tcp", port = "444,5060,5062", application = "sip", security = "tls" }]
"#;
        let policy = read(SITE, &[more], false).unwrap();
        let silent = judge(&policy, "tcp 10.0.20.5:50000 -> 10.0.1.11:5062", "sip");
        assert_eq!(id(&policy, silent.expectation), "Z1");
        assert_eq!(silent.contradiction, Some(Contradiction::ClearText));
        assert_eq!(silent.others, []);
        // Others may still, and what a row says in words stands beside the other.
        expect(&policy, "tcp 10.0.1.12:50000 -> 10.0.1.11:5062", "sip", Class::Confirmed, "S06");
        expect(&policy, "tcp 10.0.20.5:50000 -> 10.0.1.11:5060", "sip", Class::Confirmed, "S02");
        expect(&policy, "tcp 10.0.20.5:50000 -> 10.0.1.11:444", "http", Class::Confirmed, "S04");
    }

    #[test]
    fn a_failed_handshake_lacks_a_certificate_only_where_that_is_the_reason() {
        let policy = policy(SITE);
        let failed = |certificate, by: &'static str| {
            let mut tls = fixture::tls(certificate);
            tls.facts.set("tls_alert", "handshake-failure");
            tls.facts.set("tls_alert_by", by);
            policy
                .judge(&flow("tcp 10.0.1.11:50000 -> 10.0.1.12:50001"), &tls, &Learned::default())
                .contradiction
        };
        assert_eq!(failed("declined", "server"), Some(Contradiction::NoCertificate));
        assert_eq!(failed("declined", "client"), None);
        assert_eq!(failed("not-requested", "server"), None);
    }

    #[test]
    fn content_that_is_known_and_no_media_is_not_explained_by_a_media_range() {
        let policy = policy(SITE);
        let inside = "udp 10.0.20.5:34868 -> 10.0.1.11:50010";
        expect(&policy, inside, "", Class::RangeUnconfirmed, "S40");
        let verdict = judge(&policy, inside, "quic");
        assert_eq!(verdict.class, Class::Unexpected);
        let nearest = verdict.nearest.map(|(row, misfit)| (id(&policy, Some(row)), misfit));
        assert_eq!(nearest, Some(("S40", Misfit::Content)));
    }

    #[test]
    fn equal_rows_stand_beside_each_other() {
        let policy = policy(SITE);
        let verdict = judge(&policy, "tcp 10.0.20.5:50000 -> 10.0.1.11:443", "tls");
        assert_eq!(id(&policy, verdict.expectation), "S12");
        let others: Vec<&str> = verdict.others.iter().map(|row| id(&policy, Some(*row))).collect();
        assert_eq!(others, ["S19"]);
    }

    #[test]
    fn ranges_need_media_to_be_confirmed() {
        let policy = policy(SITE);
        let media = "udp 10.0.1.12:50000 -> 10.0.1.11:52000";
        expect(&policy, media, "rtp", Class::Confirmed, "S40");
        expect(&policy, media, "", Class::RangeUnconfirmed, "S40");
        let verdict = judge(&policy, media, "dns");
        assert_eq!(verdict.class, Class::Unexpected);
        let (row, misfit) = verdict.nearest.unwrap();
        assert_eq!((id(&policy, Some(row)), misfit), ("S40", Misfit::Content));
    }

    #[test]
    fn a_specific_row_beats_a_range_unless_the_content_is_the_ranges() {
        let policy = policy(SITE);
        let inside = "tcp 10.0.20.5:50000 -> 10.0.1.11:50001";
        expect(&policy, inside, "tls", Class::Confirmed, "L01");
        expect(&policy, inside, "", Class::PortOnly, "L01");
        expect(&policy, inside, "rtp", Class::Confirmed, "S40");
        let verdict = judge(&policy, inside, "http");
        assert_eq!(verdict.class, Class::WrongProtocol);
    }

    #[test]
    fn over_tcp_a_media_range_counts_on_the_listening_side_only() {
        let policy = policy(SITE);
        let out = "tcp 10.0.1.11:50000 -> 203.0.113.9:3000";
        assert_eq!(judge(&policy, out, "rtp").class, Class::Unexpected);
        let listens = "tcp 203.0.113.9:3000 -> 10.0.1.11:50000";
        expect(&policy, listens, "rtp", Class::Confirmed, "S40");
        expect(&policy, listens, "", Class::RangeUnconfirmed, "S40");
    }

    #[test]
    fn over_udp_a_media_port_is_the_hosts_own_whoever_sends_first() {
        let policy = policy(SITE);
        let out = "udp 10.0.1.11:50000 -> 203.0.113.9:3000";
        expect(&policy, out, "rtp", Class::Confirmed, "S40");
        expect(&policy, out, "", Class::RangeUnconfirmed, "S40");
        // The other end is a service: only content says media.
        let service = "udp 10.0.1.11:50000 -> 203.0.113.9:500";
        assert_eq!(judge(&policy, service, "").class, Class::Unexpected);
        expect(&policy, service, "rtp", Class::Confirmed, "S40");
        let back = "udp 203.0.113.9:500 -> 10.0.1.11:50000";
        assert_eq!(judge(&policy, back, "").class, Class::Unexpected);
    }

    #[test]
    fn required_content_is_required_until_the_site_sets_the_range() {
        let policy = policy(SITE);
        let peer = "udp 203.0.113.9:3000 -> 10.0.20.5:50025";
        assert_eq!(judge(&policy, peer, "").class, Class::Unexpected);
        assert_eq!(judge(&policy, peer, "").nearest, None, "E20: it explains nothing");
        expect(&policy, peer, "rtp", Class::Confirmed, "C08");
        let site = format!("{SITE}\n[media]\nclient = [\"50020-50059\"]\n");
        let set = fixture::policy(&site);
        expect(&set, peer, "", Class::PortOnly, "C08");
        expect(&set, peer, "rtp", Class::Confirmed, "C08");
        let outside = "udp 203.0.113.9:3000 -> 10.0.20.5:51000";
        assert_eq!(judge(&set, outside, "rtp").class, Class::Unexpected);
    }

    #[test]
    fn infrastructure_is_a_class_of_its_own() {
        let policy = policy(SITE);
        let lookup = "udp 10.0.1.11:50000 -> 10.0.9.9:53";
        expect(&policy, lookup, "dns", Class::Infrastructure, "I01");
        expect(&policy, lookup, "", Class::Infrastructure, "I01");
        let verdict = judge(&policy, lookup, "sip");
        assert_eq!(verdict.class, Class::Unexpected);
        let (row, misfit) = verdict.nearest.unwrap();
        assert_eq!((id(&policy, Some(row)), misfit), ("I01", Misfit::Content));
        let ping = "icmp 10.0.1.11:0 -> 203.0.113.9:0";
        expect(&policy, ping, "", Class::Infrastructure, "I60");
    }

    #[test]
    fn a_relaxed_row_is_strict_once_the_topology_has_its_role() {
        let site = format!(
            "{SITE}\n[[host]]\nname = \"dc01\"\naddresses = [\"10.0.9.9\"]\nroles = [\"domain-controller\"]\n"
        );
        let policy = policy(&site);
        let known = "udp 10.0.1.11:50000 -> 10.0.9.9:53";
        expect(&policy, known, "dns", Class::Infrastructure, "I01");
        let stranger = "udp 10.0.1.11:50000 -> 203.0.113.9:53";
        assert_eq!(judge(&policy, stranger, "dns").class, Class::Unexpected);
    }

    #[test]
    fn a_relaxed_row_is_not_for_hosts_that_play_another_role() {
        let policy = policy(SITE);
        let stranger = "udp 10.0.20.5:50000 -> 203.0.113.9:53";
        expect(&policy, stranger, "dns", Class::Infrastructure, "I01");
        let front_end = "udp 10.0.20.5:50000 -> 10.0.1.11:53";
        assert_eq!(judge(&policy, front_end, "dns").class, Class::Unexpected);
    }

    #[test]
    fn media_must_be_in_range_at_both_ends() {
        let policy = policy(SITE);
        let call = "udp 10.0.1.11:50000 -> 10.0.1.12:50002";
        expect(&policy, call, "rtp", Class::Confirmed, "S40");
        for outside in
            ["udp 10.0.1.11:50000 -> 10.0.1.12:30000", "udp 10.0.1.12:30000 -> 10.0.1.11:50000"]
        {
            assert_eq!(judge(&policy, outside, "rtp").class, Class::Unexpected, "{outside}");
        }
    }

    #[test]
    fn what_a_host_says_to_itself_is_out_of_scope() {
        let policy = policy(SITE);
        let own = judge(&policy, "tcp 10.0.1.11:50000 -> 10.0.1.11:8888", "http");
        assert_eq!((own.class, own.nearest), (Class::OutOfScope, None));
    }

    #[test]
    fn dynamic_rpc_needs_its_content() {
        let policy = policy(SITE);
        let dynamic = "tcp 10.0.1.11:50000 -> 10.0.1.20:60000";
        expect(&policy, dynamic, "dcerpc", Class::Infrastructure, "I15");
        assert_eq!(judge(&policy, dynamic, "").class, Class::Unexpected);
    }

    #[test]
    fn groups_have_no_role_but_rows_to_anyone_match() {
        let site = format!(
            "{SITE}\n[[network]]\nname = \"all\"\nprefixes = [\"0.0.0.0/0\"]\nroles = [\"sql\"]\n"
        );
        let policy = policy(&site);
        let query = "udp 10.0.1.11:50000 -> 224.0.0.252:5355";
        expect(&policy, query, "dns", Class::Infrastructure, "I30");
        let group = "tcp 10.0.1.11:50000 -> 224.0.0.252:1433";
        assert_eq!(judge(&policy, group, "").class, Class::Unexpected);
    }

    #[test]
    fn strangers_among_themselves_are_out_of_scope() {
        let policy = policy(SITE);
        let verdict = judge(&policy, "tcp 192.0.2.1:50000 -> 203.0.113.9:5061", "tls");
        assert_eq!(verdict.class, Class::OutOfScope);
        assert_eq!(verdict.expectation, None);
    }

    #[test]
    fn a_load_balancer_answers_its_rows_and_those_behind_it_but_no_media() {
        let policy = policy(SITE);
        expect(&policy, "tcp 10.0.20.5:50000 -> 10.0.1.5:5061", "tls", Class::Confirmed, "S03");
        let verdict = judge(&policy, "tcp 10.0.20.5:50000 -> 10.0.1.5:5061", "tls");
        assert_eq!(id(&policy, verdict.others.first().copied()), "H01");
        // H08 names no application; S21 behind it does, and is contradicted.
        let talk = "tcp 10.0.20.5:50000 -> 10.0.1.5:5072";
        expect(&policy, talk, "http", Class::WrongProtocol, "S21");
        expect(&policy, talk, "sip", Class::Confirmed, "S21");
        // Balanced for another role.
        let other = "tcp 10.0.20.5:50000 -> 10.0.1.5:5070";
        assert_eq!(judge(&policy, other, "").class, Class::Unexpected);
        let media = "udp 10.0.20.5:50000 -> 10.0.1.5:50000";
        assert_eq!(judge(&policy, media, "").class, Class::Unexpected);
        // Rows of the balancer are not the servers'.
        let direct = judge(&policy, "tcp 10.0.20.5:50000 -> 10.0.1.11:5061", "tls");
        assert_eq!(direct.others, []);
    }

    #[test]
    fn a_load_balancer_may_speak_for_anyone_to_the_servers_behind_it() {
        let more = "pack = \"site\"\nrow = [{ id = \"Z1\", from = \"sql\", to = \"front-end\", transport = \"tcp\", port = \"7777\" }]";
        let policy = read(SITE, &[more], false).unwrap();
        expect(&policy, "tcp 10.0.1.5:50000 -> 10.0.1.11:7777", "", Class::PortOnly, "Z1");
        assert_eq!(
            judge(&policy, "tcp 10.0.20.5:50000 -> 10.0.1.11:7777", "").class,
            Class::Unexpected
        );
    }

    #[test]
    fn the_strict_reading_of_a_row_replaces_its_fields() {
        let trunk = "tcp 10.0.1.11:50000 -> 10.0.3.1:5081";
        expect(&policy(SITE), trunk, "sip", Class::Confirmed, "S25");
        assert_eq!(judge(&strict(SITE), trunk, "sip").class, Class::Unexpected);
        let trunk = "tcp 10.0.1.12:50000 -> 10.0.3.1:5081";
        expect(&strict(SITE), trunk, "sip", Class::Confirmed, "S25");
    }

    fn exempt(policy: &Policy, flow: &Flow, protocol: &'static str) -> Vec<(String, MediaSign)> {
        let verdict = policy.judge(flow, &speaks(protocol), &Learned::default());
        let rows = verdict.exempt.iter();
        rows.map(|(row, sign)| (id(policy, Some(*row)).to_owned(), *sign)).collect()
    }

    #[test]
    fn exemptions_follow_role_range_and_direction() {
        let policy = policy(SITE);
        let mut call = flow("udp 10.0.3.1:30000 -> 10.0.1.12:50000");
        let both = ["X05", "X06"].map(|row| (row.to_owned(), MediaSign::Content));
        assert_eq!(exempt(&policy, &call, "rtp"), both);
        assert_eq!(exempt(&policy, &call, "")[0], ("X05".to_owned(), MediaSign::SharedRange));
        call.counters[1].packets = 0;
        assert_eq!(exempt(&policy, &call, "rtp"), both[..1], "nothing came back");
        let outside = flow("udp 10.0.3.1:30000 -> 10.0.1.12:60000");
        assert_eq!(exempt(&policy, &outside, "rtp"), []);
        let elsewhere = flow("udp 10.0.3.1:30000 -> 10.0.1.11:50000");
        assert_eq!(exempt(&policy, &elsewhere, "rtp"), []);
    }

    #[test]
    fn exemptions_over_tcp_need_the_listener_or_media() {
        let policy = policy(SITE);
        let out = flow("tcp 10.0.1.12:50000 -> 10.0.3.1:5081");
        assert_eq!(exempt(&policy, &out, "sip"), []);
        assert_eq!(exempt(&policy, &out, "rtp").len(), 2);
        let mut listens = flow("tcp 10.0.3.1:5081 -> 10.0.1.12:50000");
        let sign = |flow: &Flow| exempt(&policy, flow, "").first().map(|(_, sign)| *sign);
        listens.tcp = Default::default();
        assert_eq!(sign(&listens), Some(MediaSign::SharedPort));
        listens.tcp[0].0 = crate::flow::TcpSeen::SYN;
        assert_eq!(sign(&listens), Some(MediaSign::SharedRange));
    }

    #[test]
    fn what_is_shown_to_be_something_else_is_not_exempted_media() {
        let policy = policy(SITE);
        let lookup = flow("udp 10.0.1.12:50000 -> 10.0.9.9:5300");
        assert_eq!(exempt(&policy, &lookup, "").len(), 2);
        assert_eq!(exempt(&policy, &lookup, "dns"), []);
        let service = flow("udp 10.0.1.12:50000 -> 10.0.9.9:53");
        assert_eq!(exempt(&policy, &service, ""), []);
        assert_eq!(exempt(&policy, &service, "rtp").len(), 2);
    }

    #[test]
    fn the_clients_exemption_is_udp_and_needs_media_until_the_range_is_set() {
        let policy = policy(SITE);
        let call = flow("udp 10.0.20.5:50025 -> 203.0.113.9:3000");
        assert_eq!(exempt(&policy, &call, "rtp"), [("X15".to_owned(), MediaSign::Content)]);
        assert_eq!(exempt(&policy, &call, ""), []);
        let stream = flow("tcp 10.0.20.5:50025 -> 203.0.113.9:3000");
        assert_eq!(exempt(&policy, &stream, "rtp"), []);
        let site = format!("{SITE}\n[media]\nclient = [\"50020-50059\"]\n");
        let set = fixture::policy(&site);
        assert_eq!(exempt(&set, &call, ""), [("X15".to_owned(), MediaSign::OwnRange)]);
    }

    #[test]
    fn strictly_every_port_of_an_exempted_role_is_exempt() {
        let policy = strict(SITE);
        let any = flow("tcp 10.0.1.12:40000 -> 10.0.3.1:5081");
        let any = exempt(&policy, &any, "sip");
        let signs: Vec<MediaSign> = any.into_iter().map(|(_, sign)| sign).collect();
        assert_eq!(signs, [MediaSign::AnyPort; 2]);
        let media = flow("udp 10.0.3.1:30000 -> 10.0.1.12:50000");
        assert_eq!(exempt(&policy, &media, "rtp")[0].1, MediaSign::Content);
        let outside = flow("udp 10.0.3.1:30000 -> 10.0.1.12:30000");
        assert_eq!(exempt(&policy, &outside, "rtp")[0].1, MediaSign::AnyPort);
    }

    /// Walking every row must give what the index gives.
    #[test]
    fn the_index_finds_every_row_that_fits() {
        let policy = policy(SITE);
        let hosts = ["10.0.20.5", "10.0.1.11", "10.0.1.12", "10.0.1.5", "203.0.113.9"];
        let ports = [53, 443, 444, 1433, 5060, 5061, 5072, 5355, 8060, 49_152, 50_001, 57_501];
        for transport in [Transport::TCP, Transport::UDP] {
            for (from, to) in hosts.iter().flat_map(|a| hosts.iter().map(move |b| (a, b))) {
                for port in ports {
                    let initiator = policy.end(fixture::address(from), Some(3000));
                    let responder = policy.end(fixture::address(to), Some(port));
                    let indexed: Vec<u32> = policy
                        .rows_at(transport, Some(port))
                        .filter(|(_, terms)| terms.fits(&initiator, &responder))
                        .map(|(id, _)| id.0)
                        .collect();
                    let walked: Vec<u32> = (0..policy.expectations().len() as u32)
                        .filter(|row| {
                            let expectation = policy.expectation(ExpectationId(*row));
                            expectation.transports.contains(&transport.0)
                                && expectation.ports.contains(port)
                                && policy
                                    .terms_at(*row)
                                    .is_some_and(|terms| terms.fits(&initiator, &responder))
                        })
                        .collect();
                    assert_eq!(indexed, walked, "{transport} {from} {to} {port}");
                }
            }
        }
    }

    /// Learned from one announcement at time 0.
    fn learned(kind: SignalKind, host: &str, port: u16) -> Learned {
        let carrier = if kind.is_media() { Carrier::Datagrams } else { Carrier::Stream };
        let (address, service) = (Some(fixture::address(host)), "samr".into());
        let signal = Signal { kind, address, carrier, port, service, exchange: None };
        let mut learned = Learned::default();
        let at = FrameRef { capture: 0, frame: 7 };
        let end = |host, port| Endpoint { address: fixture::address(host), port };
        let from = if kind.is_media() { 5060 } else { 135 };
        let within =
            Conversation::between(Transport::TCP, end(host, from), end("10.0.20.5", 50_000));
        learned.take(&signal, &within, at, Timestamp(0));
        learned.believe(|_, _| true);
        learned
    }

    #[test]
    fn an_announced_service_is_explained_where_its_content_is_not_seen() {
        let policy = policy(SITE);
        for (port, before, after) in [
            (50_700, Class::RangeUnconfirmed, Class::Infrastructure),
            (20_001, Class::Unexpected, Class::Infrastructure),
        ] {
            let learned = learned(SignalKind::EptMap, "10.0.1.12", port);
            let text = format!("tcp 10.0.1.11:50000 -> 10.0.1.12:{port}");
            let known = |protocol| policy.judge(&flow(&text), &speaks(protocol), &learned);
            assert_eq!(judge(&policy, &text, "").class, before, "{text}");
            let verdict = known("");
            assert_eq!((verdict.class, id(&policy, verdict.expectation)), (after, "I15"), "{text}");
            assert_eq!(verdict.announced.unwrap().announcement.at.frame, 7);
            assert_eq!(known("dcerpc").class, Class::Infrastructure);
            let other = known("ssh");
            assert_eq!(other.class, Class::Unexpected, "what is seen counts");
            assert!(other.announced.is_some());
        }
    }

    #[test]
    fn content_that_is_seen_and_is_nothing_known_is_not_what_was_announced() {
        let policy = policy(SITE);
        let learned = learned(SignalKind::EptMap, "10.0.1.12", 20_001);
        let to = flow("tcp 10.0.1.11:50000 -> 10.0.1.12:20001");
        let class = |what: &Identification| policy.judge(&to, what, &learned).class;
        let mut what = Identification::default();
        assert_eq!(class(&what), Class::Infrastructure);
        what.payload_seen = true;
        assert_eq!(class(&what), Class::Unexpected);
        (what.protocol, what.confidence) = (Some("dcerpc"), Some(Confidence::Low));
        assert_eq!(class(&what), Class::Infrastructure, "a guess that agrees");
        what.facts.set("text", "lines");
        assert_eq!(class(&what), Class::Unexpected);
    }

    #[test]
    fn announced_media_is_media() {
        let policy = policy(SITE);
        let text = "udp 10.0.20.5:50000 -> 10.0.1.12:50100";
        let learned = learned(SignalKind::Sdp, "10.0.1.12", 50_100);
        let verdict = |text, protocol| policy.judge(&flow(text), &speaks(protocol), &learned);
        assert_eq!(judge(&policy, text, "").class, Class::RangeUnconfirmed);
        assert_eq!(verdict(text, "").class, Class::Confirmed);
        assert_eq!(verdict(text, "dns").class, Class::Unexpected);
        let [_, responder] = verdict(text, "rtp").announced.unwrap().media;
        assert!(responder);
    }

    #[test]
    fn an_announcement_contradicts_nothing() {
        let policy = policy(SITE);
        let learned = learned(SignalKind::EptMap, "10.0.1.11", 5061);
        let verdict = policy.judge(&flow(TO_SIP), &speaks(""), &learned);
        assert_eq!((verdict.class, id(&policy, verdict.expectation)), (Class::PortOnly, "S03"));
    }
}
