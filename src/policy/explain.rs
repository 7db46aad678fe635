//! Answers questions about the policy itself: its packs and rows, and what it would say of a
//! 5-tuple that nobody has sent yet.

use std::net::IpAddr;
use std::str::FromStr;

use super::diagnose::suggest;
use super::judge::Ask;
use super::terms::{Content, End};
use super::{
    Application, Expectation, ExpectationId, Override, Pack, Party, Policy, PortSet, RoleSet,
    Verdict, rows,
};
use crate::decode::Transport;
use crate::error::{Error, Result};

/// A question about a 5-tuple. Unnamed parts (`*`) stand for anyone and for whatever port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tuple {
    /// The transport.
    pub transport: Transport,
    /// The initiator: an address or a host's name; `None` for anyone.
    pub from: Option<String>,
    /// The initiator's port.
    pub from_port: Option<u16>,
    /// The responder: an address or a host's name; `None` for anyone.
    pub to: Option<String>,
    /// The responder's port; `None` only for transports without ports.
    pub port: Option<u16>,
}

/// What the policy says of a 5-tuple, without content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explained<'p> {
    /// The verdict. Content would confirm or contradict it.
    pub verdict: Verdict,
    /// Who would initiate; `None` for anyone.
    pub initiator: Option<Party<'p>>,
    /// Who would respond; `None` for anyone.
    pub responder: Option<Party<'p>>,
}

/// Which rows to list. Conditions add up.
#[derive(Debug, Clone, Default)]
pub struct RowFilter<'f> {
    /// Rows that name this role on either side.
    pub role: Option<&'f str>,
    /// Rows whose responder ports hold this one.
    pub port: Option<u16>,
    /// Rows of this pack.
    pub pack: Option<&'f str>,
}

impl Policy {
    /// Packs in layer order.
    pub fn packs(&self) -> &[Pack] {
        &self.packs
    }

    /// Rows that later layers replaced or dropped, in layer order.
    pub fn overrides(&self) -> &[Override] {
        &self.overrides
    }

    /// Rows in force that pass a filter, with their positions. Errors name an unknown role or pack
    /// and the nearest one.
    pub fn rows(&self, filter: &RowFilter) -> Result<Vec<(ExpectationId, &Expectation)>> {
        let role = filter.role.map(|name| self.role_set(name)).transpose()?;
        if let Some(name) = filter.pack
            && !self.packs.iter().any(|pack| pack.name == name)
        {
            let valid = self.packs.iter().map(|pack| pack.name.as_str());
            return Err(unknown("pack", name, valid));
        }
        let rows = self.expectations.iter().enumerate();
        Ok(rows
            .filter(|(_, row)| role.is_none_or(|role| row.from.with(row.to).meets(role)))
            .filter(|(_, row)| filter.port.is_none_or(|port| row.ports.contains(port)))
            .filter(|(_, row)| filter.pack.is_none_or(|pack| row.pack == pack))
            .map(|(position, row)| (ExpectationId(position as u32), row))
            .collect())
    }

    /// The set behind the name of a role or group.
    pub fn role_set(&self, name: &str) -> Result<RoleSet> {
        let found = self.names.roles.find(name);
        found.ok_or_else(|| unknown("role", name, self.names.roles.valid()))
    }

    /// Roles whose pools the responder of a row must balance; empty for rows not about balancing.
    pub fn balanced_roles(&self, id: ExpectationId) -> RoleSet {
        self.terms_at(id.0).map_or(RoleSet::EMPTY, |terms| terms.balances)
    }

    /// The media ports of an exemption row, on its role's side; `None` for other rows.
    pub fn exempt_ports(&self, id: ExpectationId) -> Option<&PortSet> {
        self.exempt.iter().find(|terms| terms.id == id).map(|terms| &terms.ports)
    }

    /// What the policy says of a 5-tuple before anything is known of its content. Errors name a
    /// host that the topology does not have.
    pub fn explain_tuple(&self, tuple: &Tuple) -> Result<Explained<'_>> {
        let from = self.resolve(tuple.from.as_deref())?;
        let to = self.resolve(tuple.to.as_deref())?;
        let end = |address: Option<IpAddr>, port| match address {
            Some(address) => self.end(address, port),
            None => End { roles: RoleSet::ALL, balances: RoleSet::EMPTY, port },
        };
        let ask = Ask {
            transport: tuple.transport,
            ends: [end(from, tuple.from_port), end(to, tuple.port)],
            sent: [true, true],
            content: Content::UNSEEN,
            announced: false,
            opened: false,
            between_servers: false,
        };
        Ok(Explained {
            verdict: self.answer(&ask),
            initiator: from.map(|address| self.party(address)),
            responder: to.map(|address| self.party(address)),
        })
    }

    fn resolve(&self, name: Option<&str>) -> Result<Option<IpAddr>> {
        let Some(name) = name else { return Ok(None) };
        if let Ok(address) = name.parse() {
            return Ok(Some(address));
        }
        let Some(topology) = &self.topology else {
            let text = format!("'{name}' is not an IP address, and no topology names hosts");
            return Err(Error::Usage(text));
        };
        let hosts = || topology.hosts().iter();
        let Some(host) = topology.host(name) else {
            return Err(unknown("host", name, hosts().map(|host| host.name.as_str())));
        };
        match host.addresses.first() {
            Some(address) => Ok(Some(*address)),
            None => Err(Error::Usage(format!("the host '{name}' has no address"))),
        }
    }

    /// What an application token means.
    pub fn application(&self, name: &str) -> Option<&Application> {
        self.names.applications.get(name)
    }

    /// Every application, by name.
    pub fn applications(&self) -> impl Iterator<Item = &Application> {
        self.names.applications.values()
    }

    /// The ports behind a range's name, and whether this site has set them itself.
    pub fn range(&self, name: &str) -> Option<(&PortSet, bool)> {
        let range = self.names.ranges.get(name)?;
        Some((&range.ports, range.set_by_site))
    }

    /// Whether a request without any answer is a failure, by the row's application.
    pub fn expects_answer(&self, id: ExpectationId) -> bool {
        let expectation = self.expectation(id);
        expectation
            .application
            .as_ref()
            .and_then(|name| self.application(name))
            .map_or(!expectation.media, |application| application.answers)
    }
}

fn unknown<'c>(what: &str, name: &str, valid: impl IntoIterator<Item = &'c str>) -> Error {
    Error::Usage(format!("unknown {what} '{name}': {}", suggest(name, valid)))
}

/// Reads `tcp 10.0.0.5:* -> fe01:5061`. IPv6 addresses with a port stand in brackets; a missing
/// port of the initiator is any.
impl FromStr for Tuple {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = |why: &str| {
            let example = "write it like 'tcp 10.0.0.5:* -> fe01:5061'";
            Error::Usage(format!("'{text}' is not a 5-tuple: {why}; {example}"))
        };
        let (left, to) = text.split_once("->").ok_or_else(|| wrong("no '->'"))?;
        let (transport, from) = left
            .trim()
            .split_once(char::is_whitespace)
            .ok_or_else(|| wrong("no transport before the initiator"))?;
        let transport = rows::transport(&transport.to_ascii_lowercase())
            .ok_or_else(|| wrong("the transport is unknown"))?;
        let (from, from_port) = endpoint(from.trim()).map_err(&wrong)?;
        let (to, port) = endpoint(to.trim()).map_err(&wrong)?;
        if transport.has_ports() && port.is_none() {
            return Err(wrong("the responder's port is missing"));
        }
        Ok(Self { transport, from, from_port, to, port })
    }
}

fn endpoint(text: &str) -> std::result::Result<(Option<String>, Option<u16>), &'static str> {
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or("a bracket is not closed")?;
        (host, rest.strip_prefix(':'))
    } else if text.matches(':').count() > 1 {
        (text, None)
    } else {
        match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        }
    };
    if host.is_empty() {
        return Err("a host is missing");
    }
    let port = match port {
        None | Some("*") => None,
        Some(port) => Some(port.parse().map_err(|_| "a port is not a number up to 65535")?),
    };
    Ok(((host != "*").then(|| host.to_owned()), port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::fixture::{SITE, policy};
    use crate::policy::{Class, Misfit};

    fn ask<'p>(policy: &'p Policy, text: &str) -> Explained<'p> {
        policy.explain_tuple(&text.parse().unwrap()).unwrap()
    }

    #[test]
    fn a_tuple_is_judged_without_content() {
        let policy = policy(SITE);
        let explained = ask(&policy, "tcp 10.0.20.5:* -> fe01:5061");
        assert_eq!(explained.verdict.class, Class::PortOnly);
        let row = explained.verdict.expectation.unwrap();
        assert_eq!(policy.expectation(row).id, "S03");
        assert_eq!(explained.initiator.unwrap().role, Some("client"));
        assert_eq!(explained.responder.unwrap().name, Some("fe01"));
        let explained = ask(&policy, "tcp 10.0.20.5:* -> FE01.example.com:5061");
        assert_eq!(explained.verdict.class, Class::PortOnly, "aliases in any case");
    }

    #[test]
    fn anyone_may_be_whoever_the_row_names() {
        let policy = policy(SITE);
        let explained = ask(&policy, "tcp *:* -> sql01:1433");
        assert_eq!(explained.verdict.class, Class::PortOnly);
        assert_eq!(explained.initiator, None);
        let explained = ask(&policy, "tcp 10.0.20.5:* -> sql01:1433");
        assert_eq!(explained.verdict.class, Class::Unexpected);
        let (row, misfit) = explained.verdict.nearest.unwrap();
        assert_eq!((policy.expectation(row).id.as_str(), misfit), ("Q01", Misfit::Peer));
    }

    #[test]
    fn tuples_are_read() {
        let tuple: Tuple = "udp [fd00::1]:50000 -> [fd00::2]:3478".parse().unwrap();
        assert_eq!(tuple.transport, Transport::UDP);
        assert_eq!(tuple.from.as_deref(), Some("fd00::1"));
        assert_eq!((tuple.from_port, tuple.port), (Some(50000), Some(3478)));
        let tuple: Tuple = "esp fd00::1 -> *".parse().unwrap();
        assert_eq!((tuple.from.as_deref(), tuple.to), (Some("fd00::1"), None));
        for (text, why) in [
            ("tcp a:1", "no '->'"),
            ("a:1 -> b:2", "no transport"),
            ("tpc a:1 -> b:2", "the transport is unknown"),
            ("tcp a -> b", "the responder's port is missing"),
            ("tcp a -> b:99999", "not a number up to 65535"),
            ("tcp [a -> b:1", "a bracket is not closed"),
            ("tcp a -> :1", "a host is missing"),
        ] {
            let error = text.parse::<Tuple>().unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn unknown_hosts_roles_and_packs_name_the_nearest() {
        let policy = policy(SITE);
        let tuple: Tuple = "tcp * -> fe1:5061".parse().unwrap();
        let error = policy.explain_tuple(&tuple).unwrap_err().to_string();
        assert_eq!(error, "unknown host 'fe1': did you mean 'fe01'?");
        let filter = RowFilter { role: Some("frontend"), ..RowFilter::default() };
        let error = policy.rows(&filter).unwrap_err().to_string();
        assert_eq!(error, "unknown role 'frontend': did you mean 'front-end'?");
    }

    #[test]
    fn rows_are_filtered() {
        let policy = policy(SITE);
        let ids = |filter: &RowFilter| -> Vec<String> {
            let rows = policy.rows(filter).unwrap();
            rows.iter().map(|(_, row)| row.id.clone()).collect()
        };
        let filter = RowFilter { role: Some("front-end"), port: Some(5061), pack: Some("servers") };
        assert_eq!(ids(&filter), ["S03"]);
        let filter = RowFilter { pack: Some("exemptions"), ..RowFilter::default() };
        assert_eq!(ids(&filter), ["X05", "X06", "X15"]);
        assert_eq!(ids(&RowFilter::default()).len(), policy.expectations().len());
    }
}
