//! Guesses roles from the services that hosts offer, when no topology names them.
//!
//! A port that many roles offer says nothing; one that few offer says much, and more when the
//! content is that of the row. The role that explains most is taken first, and what it does not
//! explain may speak for another.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::terms::{Content, Grade, Terms};
use super::{Policy, PortSet, RoleSet};
use crate::decode::Transport;

/// A service seen on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceOf {
    /// The responder.
    pub address: IpAddr,
    /// The transport.
    pub transport: Transport,
    /// The responder's port.
    pub port: u16,
    /// The protocol identified with medium or high confidence.
    pub protocol: Option<&'static str>,
    /// How many flows.
    pub flows: u64,
}

/// A role that a host seems to play.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guess {
    /// The host.
    pub address: IpAddr,
    /// The role's name.
    pub role: String,
    /// The services that speak for it, such as `tcp/5061 tls`.
    pub evidence: Vec<String>,
}

/// Transport number, port and protocol.
type Service = (u8, u16, Option<&'static str>);

/// One service of a host and what it says for each role.
#[derive(Debug)]
struct Clue {
    text: String,
    /// Any kind of host may offer it: it supports a guess but cannot found one.
    common: bool,
    /// Weight by the role's position.
    weights: BTreeMap<usize, u32>,
}

/// Roles that hosts seem to play, sorted by address; per host the best supported first.
pub fn infer(policy: &Policy, services: impl IntoIterator<Item = ServiceOf>) -> Vec<Guess> {
    let mut seen: BTreeMap<IpAddr, BTreeSet<Service>> = BTreeMap::new();
    for service in services.into_iter().filter(|service| service.flows > 0) {
        seen.entry(service.address).or_default().insert((
            service.transport.0,
            service.port,
            service.protocol,
        ));
    }
    let mut guesses = Vec::new();
    for (address, services) in seen {
        let clues: Vec<Clue> =
            services.into_iter().filter_map(|service| policy.clue(service)).collect();
        guesses.extend(policy.guess(address, clues));
    }
    guesses
}

impl Policy {
    fn clue(&self, (number, port, protocol): Service) -> Option<Clue> {
        let transport = Transport(number);
        let content = Content::named(protocol);
        let mut offered = RoleSet::EMPTY;
        let mut factors: BTreeMap<usize, u32> = BTreeMap::new();
        for (id, terms) in self.rows_at(transport, Some(port)) {
            let named = self.expectation(id).to;
            if !tells(terms) || named.is_empty() {
                continue;
            }
            offered = offered.with(named);
            let factor = match terms.grade(&content, false) {
                Grade::Agrees => AGREEING,
                Grade::Unseen | Grade::Uncompared => UNSEEN,
                Grade::Certificate | Grade::ClearText | Grade::Application => continue,
            };
            for position in named.positions() {
                let known = factors.entry(position).or_default();
                *known = factor.max(*known);
            }
        }
        let rivals = offered.0.count_ones().max(1);
        let weights: BTreeMap<usize, u32> =
            factors.into_iter().map(|(position, factor)| (position, factor / rivals)).collect();
        let protocol = protocol.map(|protocol| format!(" {protocol}"));
        let text = format!("{transport}/{port}{}", protocol.unwrap_or_default());
        let common = COMMON.contains(&port);
        (!weights.is_empty()).then_some(Clue { text, common, weights })
    }

    fn guess(&self, address: IpAddr, mut clues: Vec<Clue>) -> Vec<Guess> {
        let mut guesses = Vec::new();
        while let Some(position) = strongest(&clues) {
            let (speaking, rest): (Vec<Clue>, Vec<Clue>) =
                clues.into_iter().partition(|clue| clue.weights.contains_key(&position));
            clues = rest;
            if let Some(role) = self.roles().get(position) {
                guesses.push(Guess {
                    address,
                    role: role.name.clone(),
                    evidence: speaking.into_iter().map(|clue| clue.text).collect(),
                });
            }
        }
        guesses
    }
}

/// Rows that name a service by its port. Balanced rows name what is behind, not who it is.
fn tells(terms: &Terms) -> bool {
    let few = |ports: &PortSet| ports.count() <= MAX_PORTS;
    few(&terms.ports) && !terms.media && !terms.content_required && terms.balances.is_empty()
}

/// The role with most weight among those with a distinctive clue; the one declared first among
/// equals.
fn strongest(clues: &[Clue]) -> Option<usize> {
    let mut totals: BTreeMap<usize, (bool, u32)> = BTreeMap::new();
    for clue in clues {
        for (position, weight) in &clue.weights {
            let (founded, total) = totals.entry(*position).or_default();
            *founded |= !clue.common && *weight >= DISTINCTIVE;
            *total += weight;
        }
    }
    totals
        .into_iter()
        .filter(|(_, (founded, _))| *founded)
        .max_by_key(|(position, (_, weight))| (*weight, std::cmp::Reverse(*position)))
        .map(|(position, _)| position)
}

/// Weight of a service whose content is the row's, shared by all roles that offer the port.
const AGREEING: u32 = 240;
/// Weight of a service whose content says nothing.
const UNSEEN: u32 = 120;
/// Weight that one clue of a guess needs: agreeing content on a port of at most eight roles, or the
/// port alone of at most four.
const DISTINCTIVE: u32 = 30;
/// Ports of the web, found on hosts of every kind.
const COMMON: [u16; 4] = [80, 443, 8080, 8443];
/// Rows over more ports name no service.
const MAX_PORTS: u32 = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::builtin;
    use crate::policy::{Policy, Profile};

    fn guesses(services: &[(&str, u8, u16, Option<&'static str>)]) -> Vec<(String, String)> {
        let policy = Policy::compile(&builtin::layers(), None, Profile::Sfb2019, false).unwrap();
        let services = services.iter().map(|(address, transport, port, protocol)| ServiceOf {
            address: address.parse().unwrap(),
            transport: Transport(*transport),
            port: *port,
            protocol: *protocol,
            flows: 1,
        });
        infer(&policy, services)
            .into_iter()
            .map(|guess| (format!("{} {}", guess.address, guess.role), guess.evidence.join(", ")))
            .collect()
    }

    #[test]
    fn web_ports_alone_name_nobody() {
        let seen = guesses(&[
            ("10.0.0.1", 6, 443, Some("tls")),
            ("10.0.0.1", 6, 80, Some("http")),
            ("10.0.0.1", 6, 8080, Some("http")),
        ]);
        assert_eq!(seen, []);
    }

    #[test]
    fn distinctive_services_name_a_role() {
        let seen = guesses(&[
            ("10.0.0.2", 6, 5061, Some("tls")),
            ("10.0.0.2", 6, 5063, Some("tls")),
            ("10.0.0.2", 6, 443, Some("tls")),
            ("10.0.0.1", 6, 88, Some("kerberos")),
        ]);
        assert_eq!(seen.len(), 2, "{seen:?}");
        assert_eq!(seen[0], ("10.0.0.1 domain-controller".into(), "tcp/88 kerberos".into()));
        assert_eq!(seen[1].0, "10.0.0.2 front-end");
        assert_eq!(seen[1].1, "tcp/443 tls, tcp/5061 tls, tcp/5063 tls");
    }

    #[test]
    fn what_one_role_does_not_explain_may_speak_for_another() {
        let seen =
            guesses(&[("10.0.0.1", 6, 5061, Some("tls")), ("10.0.0.1", 6, 1433, Some("tds"))]);
        let roles: Vec<&str> = seen.iter().map(|(role, _)| role.as_str()).collect();
        assert_eq!(roles, ["10.0.0.1 sql", "10.0.0.1 front-end"]);
    }

    #[test]
    fn contradicting_content_and_unknown_ports_say_nothing() {
        assert_eq!(guesses(&[("10.0.0.1", 6, 5061, Some("http"))]), []);
        assert_eq!(guesses(&[("10.0.0.1", 6, 31337, None)]), []);
        assert_eq!(guesses(&[]), []);
    }
}
