//! What a rule may use to put its finding into one sentence, and the phrases that rules share.

use std::collections::BTreeSet;

use super::Finding;
use super::case::{Lookup, Row};
use super::group::{Group, Side};
use crate::flow::{Outcome, is_group};
use crate::policy::{Misfit, RoleSet, Security};

/// A finding whose sentence is to be written, with the rows behind it.
#[derive(Debug, Clone, Copy)]
pub struct Telling<'a> {
    finding: &'a Finding,
    group: &'a Group,
    lookup: &'a dyn Lookup,
}

impl<'a> Telling<'a> {
    pub(super) fn new(finding: &'a Finding, group: &'a Group, lookup: &'a dyn Lookup) -> Self {
        Self { finding, group, lookup }
    }

    /// How many flows it is about.
    pub(super) fn flows(&self) -> u64 {
        self.finding.flows
    }

    /// The initiators, such as `client 10.20.0.101` or `front-end fe01`.
    pub(super) fn initiator(&self) -> String {
        party(&self.group.initiator)
    }

    /// The responders.
    pub(super) fn responder(&self) -> String {
        party(&self.group.responder)
    }

    /// Whether several hosts initiate, for the verb.
    pub(super) fn initiators(&self) -> Number {
        Number::of_hosts(&self.group.initiator)
    }

    /// Whether several hosts respond.
    pub(super) fn responders(&self) -> Number {
        Number::of_hosts(&self.group.responder)
    }

    /// `reaches` when anything got through, else `tries`.
    pub(super) fn reaches(&self) -> &'static str {
        let through = self.group.outcomes.iter().any(|outcome| {
            matches!(
                outcome,
                Outcome::Established | Outcome::OneSided | Outcome::MidStream | Outcome::Datagram
            )
        });
        match (through, self.initiators()) {
            (true, Number::One) => "reaches",
            (true, Number::Several) => "reach",
            (false, Number::One) => "tries",
            (false, Number::Several) => "try",
        }
    }

    /// Transport and ports, such as `tcp/8888` or `udp/1-1024,5000`; the transport alone where
    /// there are no ports.
    pub(super) fn service(&self) -> String {
        let transport = self.finding.transport;
        if !transport.has_ports() {
            return transport.to_string();
        }
        let ranges = &self.finding.ports;
        let shown: Vec<String> = ranges
            .iter()
            .take(MAX_RANGES)
            .map(|&(low, high)| if low == high { low.to_string() } else { format!("{low}-{high}") })
            .collect();
        let rest = ranges.len().saturating_sub(MAX_RANGES);
        let more = if rest > 0 { format!(" and {rest} more ranges") } else { String::new() };
        format!("{transport}/{}{more}", shown.join(","))
    }

    /// The protocol seen, or `fallback`. Other claims on the same content stand beside it.
    pub(super) fn protocol_or(&self, fallback: &str) -> String {
        let Some(protocol) = self.finding.protocol else { return fallback.to_owned() };
        let also: Vec<&str> = self.group.also.iter().copied().collect();
        match also.as_slice() {
            [] => protocol.to_owned(),
            also => format!("{protocol} (also {})", also.join(", ")),
        }
    }

    /// How many protocols were seen; an unknown one counts.
    pub(super) fn protocols(&self) -> usize {
        self.group.protocols.len()
    }

    /// `, speaking http`, where the protocol is known.
    pub(super) fn speaking(&self) -> String {
        match self.finding.protocol {
            Some(_) => format!(", speaking {}", self.protocol_or("")),
            None => String::new(),
        }
    }

    /// What was seen, such as `TLS 1.0 and TLS 1.1`.
    pub(super) fn details(&self) -> String {
        let details: Vec<&str> = self.group.details.iter().map(AsRef::as_ref).collect();
        details.join(" and ")
    }

    /// What was seen, where each flow has one of several.
    pub(super) fn alternatives(&self) -> String {
        let details: Vec<&str> = self.group.details.iter().map(AsRef::as_ref).collect();
        // Of two that begin alike the longer says both.
        let said =
            |one: &&str| !details.iter().any(|other| other != one && other.starts_with(*one));
        details.iter().copied().filter(said).collect::<Vec<_>>().join(", or ")
    }

    /// How it went that made media wait longest.
    pub(super) fn longest_wait(&self) -> &str {
        self.group.wait.as_ref().map_or("", |(_, words)| words)
    }

    /// `from` one side `to` the other for what goes one way, such as ESP, else `between` them.
    pub(super) fn way(&self) -> String {
        let (initiator, responder) = (self.initiator(), self.responder());
        if self.finding.transport.is_security_association() {
            format!("from {initiator} to {responder}")
        } else {
            format!("between {initiator} and {responder}")
        }
    }

    /// Whether the strict reading is in force.
    pub(super) fn strict(&self) -> bool {
        self.lookup.strict()
    }

    /// The failed field, where it is the same in all flows.
    pub(super) fn misfit(&self) -> Option<Misfit> {
        self.group.misfit()
    }

    /// Every row the finding names, such as `X05, X06`.
    pub(super) fn row_ids(&self) -> String {
        let rows = self.rows();
        let ids: Vec<&str> = rows.iter().take(MAX_IDS).map(|row| row.id).collect();
        let more = if rows.len() > MAX_IDS { " and more" } else { "" };
        if ids.is_empty() { "the policy".into() } else { format!("{}{more}", ids.join(", ")) }
    }

    /// The rows' ids with their verb, such as `S03 expects` or `X05, X06 exempt`.
    pub(super) fn rows_do(&self, one: &'static str, several: &'static str) -> String {
        let number = Number::of(self.rows().len());
        format!("{} {}", self.row_ids(), number.verb(one, several))
    }

    /// Every row the finding names.
    pub(super) fn rows(&self) -> Vec<Row<'a>> {
        let mut rows: Vec<Row<'a>> = Vec::new();
        for &key in &self.group.rows {
            let row = self.lookup.row(key);
            // The same row may come from several layers.
            if rows.iter().all(|there| there.id != row.id) {
                rows.push(row);
            }
        }
        rows
    }

    /// The nearest row and what does not fit, such as ` (nearest: S13 tcp/8080)`.
    pub(super) fn nearest(&self) -> String {
        let rows = self.rows();
        let [row] = rows.as_slice() else {
            return String::new();
        };
        let aside = match self.group.misfit() {
            Some(Misfit::Transport) => ", another transport",
            Some(Misfit::Direction) => ", the other way round",
            Some(Misfit::Content) => ", for other content",
            Some(Misfit::Peer) => ", for other peers",
            Some(Misfit::Port) if self.same_service(row) => ", for other hosts",
            Some(Misfit::OwnPort) => ", for the initiator's own port",
            Some(Misfit::Edition) => ", of an earlier edition",
            Some(Misfit::Port) | None => "",
        };
        format!(" (nearest: {row}{aside})")
    }

    /// Whether a row names the finding's own service, so that only its hosts differ.
    fn same_service(&self, row: &Row<'_>) -> bool {
        let within = |&(low, high): &(u16, u16)| {
            row.ports.iter().any(|&(from, to)| from <= low && high <= to)
        };
        row.transports.contains(&self.finding.transport.0) && self.finding.ports.iter().all(within)
    }

    /// The parties that a row names, such as `from front-end to mediation`.
    pub(super) fn parties(&self, row: &Row<'_>) -> String {
        let side = |word: &str, set: RoleSet| {
            let names = self.lookup.role_names(set);
            (!names.is_empty()).then(|| format!("{word} {}", names.join(", ")))
        };
        let sides: Vec<String> =
            [side("from", row.from), side("to", row.to)].into_iter().flatten().collect();
        if sides.is_empty() { "between other parties".into() } else { sides.join(" ") }
    }
}

/// Singular or plural.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Number {
    One,
    Several,
}

impl Number {
    fn of(count: usize) -> Self {
        if count > 1 { Self::Several } else { Self::One }
    }

    /// Hosts as they are shown: a server with two addresses is still one.
    fn of_hosts(side: &Side) -> Self {
        if side.goes_by_name() {
            Self::of(side.party.names.len())
        } else {
            Self::of(side.party.addresses.len())
        }
    }

    /// The form of a verb that goes with it.
    pub(super) fn verb(self, one: &'static str, several: &'static str) -> &'static str {
        match self {
            Self::One => one,
            Self::Several => several,
        }
    }
}

/// What a row expects to be spoken, such as `sip over TLS`.
pub(super) fn expected_content(row: &Row<'_>) -> String {
    let application = row.application.unwrap_or("its own protocol");
    match row.security {
        Security::Tls => format!("{application} over TLS"),
        Security::Mtls => format!("{application} over mutual TLS"),
        Security::Unspecified | Security::None | Security::TlsOrPlain => application.to_owned(),
    }
}

/// Role and hosts.
fn party(side: &Side) -> String {
    let party = &side.party;
    let number = Number::of_hosts(side);
    let group_address = party.addresses.iter().all(|&address| is_group(address));
    let role = match (&party.role, group_address) {
        (Some(role), _) => format!("{role}{}", number.verb("", " hosts")),
        (None, true) => number.verb("group address", "group addresses").into(),
        (None, false) if party.names.is_empty() => {
            number.verb("unknown host", "unknown hosts").into()
        }
        (None, false) => number.verb("host", "hosts").into(),
    };
    let hosts = if side.goes_by_name() {
        list(&party.names, party.more_addresses)
    } else {
        list(&party.addresses, party.more_addresses)
    };
    format!("{role} {hosts}")
}

fn list<T: ToString>(items: &BTreeSet<T>, more_exist: bool) -> String {
    let shown: Vec<String> = items.iter().take(MAX_HOSTS).map(T::to_string).collect();
    let more = if more_exist {
        " and more".into()
    } else if items.len() > MAX_HOSTS {
        format!(" and {} more", items.len() - MAX_HOSTS)
    } else {
        String::new()
    };
    format!("{}{more}", shown.join(", "))
}

/// Hosts named per side of a sentence; the finding lists more.
const MAX_HOSTS: usize = 3;
/// Rows named in a sentence.
const MAX_IDS: usize = 6;
/// Port ranges named in a sentence; the finding lists all.
const MAX_RANGES: usize = 6;
