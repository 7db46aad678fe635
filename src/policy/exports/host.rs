//! The exported rules of a host of the topology, in the order in which they decide, for asking about single packets:
//! a capture shows what happened, and this what was configured.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use super::{Action, ConnectionRule, Export};
use crate::decode::Transport;
use crate::flow::Endpoint;
use crate::policy::asked::Owner;
use crate::policy::boxes::{self, Space};

/// What is known for certain of the IPsec policy of one host, or of every host of a network.
#[derive(Debug)]
pub struct HostPolicy {
    owner: Owner,
    rules: Vec<Covering>,
    /// Whether every rule in force is understood, so that what none covers is left to itself.
    understood: bool,
}

#[derive(Debug)]
struct Covering {
    name: String,
    action: Action,
    spaces: Vec<Space>,
}

/// Packets from one host to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Passage {
    /// The transport; ports are 0 where it has none.
    pub transport: Transport,
    /// Who sends them.
    pub from: Endpoint,
    /// Whom they reach.
    pub to: Endpoint,
}

/// Such as `udp 10.20.0.101:50020 -> 10.0.1.31:49200`.
impl fmt::Display for Passage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [from, to] = [self.from, self.to].map(|end| SocketAddr::new(end.address, end.port));
        write!(f, "{} {from} -> {to}", self.transport)
    }
}

impl HostPolicy {
    /// Keeps of an export the rules that have an effect and are understood in every part.
    pub fn of(export: &Export, owner: Owner) -> Self {
        let in_force = export.in_force();
        let doubtful = |rule: &&ConnectionRule| rule.uncertain() || rule.perhaps_ports.is_some();
        let understood = !in_force.iter().any(doubtful);
        let certain = in_force.into_iter().filter(|rule| !rule.uncertain());
        let rules = certain.map(|rule| Covering {
            name: rule.name.clone(),
            action: rule.action,
            spaces: rule.spaces(),
        });
        Self { owner, rules: rules.collect(), understood }
    }

    /// Whether what no rule decides about is left to itself: every rule in force is understood.
    pub fn is_understood(&self) -> bool {
        self.understood
    }

    /// The name of the host or network.
    pub fn host(&self) -> &str {
        &self.owner.name
    }

    /// Whether it is the policy of the host with this address.
    pub fn is_of(&self, address: IpAddr) -> bool {
        self.owner.holds(address)
    }

    /// The position of the rule that decides, in some profile, about packets that the host sends.
    pub fn sending(&self, packets: &Passage) -> Option<usize> {
        self.deciding(0, packets.transport, packets.from, packets.to)
    }

    /// The same of packets that it receives.
    pub fn receiving(&self, packets: &Passage) -> Option<usize> {
        self.deciding(1, packets.transport, packets.to, packets.from)
    }

    /// The name of the rule at a position, and what it does.
    pub fn rule(&self, position: usize) -> Option<(&str, Action)> {
        self.rules.get(position).map(|rule| (rule.name.as_str(), rule.action))
    }

    fn deciding(
        &self,
        direction: u128,
        transport: Transport,
        local: Endpoint,
        remote: Endpoint,
    ) -> Option<usize> {
        let [own, peer] = [local, remote].map(|end| boxes::number(end.address.to_canonical()));
        let point = |profile| {
            let ports = [local, remote].map(|end| u128::from(end.port));
            [direction, profile, transport.0.into(), own, peer, ports[0], ports[1]]
        };
        let points = [0, 1, 2].map(point);
        self.rules.iter().position(|rule| {
            rule.spaces.iter().any(|space| points.iter().any(|point| space.holds_point(*point)))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::policy::fixture::{SITE, policy};

    fn end(text: &str) -> Endpoint {
        let end: SocketAddr = text.parse().unwrap();
        Endpoint { address: end.ip(), port: end.port() }
    }

    fn packets(transport: u8, from: &str, to: &str) -> Passage {
        Passage { transport: Transport(transport), from: end(from), to: end(to) }
    }

    fn of_med01(text: &str) -> HostPolicy {
        let export = Export::read(text.as_bytes(), Path::new("x"), "med01").unwrap();
        let owner = policy(SITE).topology().unwrap().owner_named("med01").unwrap();
        HostPolicy::of(&export, owner)
    }

    #[test]
    fn the_rule_that_decides_about_packets_is_named() {
        let host = of_med01(
            "v2.10|Action=SecureServer|Active=TRUE|Name=Isolation|\n\
             v2.10|Action=DoNotSecure|Active=TRUE|Name=Media|Protocol=17|EP2_4=10.0.1.12|EP2Port2_10=49152-57500|\n\
             v2.10|Action=DoNotSecure|Active=FALSE|Name=Off|\n",
        );
        assert!(host.is_of("10.0.1.12".parse().unwrap()));
        assert!(host.is_of("::ffff:10.0.1.12".parse().unwrap()));
        assert!(!host.is_of("10.0.1.13".parse().unwrap()));
        let (own, peer) = ("10.0.1.12:50000", "10.9.9.9:5000");
        let said = |position: Option<usize>| host.rule(position.unwrap()).unwrap();
        let media = ("Media", Action::Exempt);
        assert_eq!(said(host.receiving(&packets(17, peer, own))), media);
        assert_eq!(said(host.sending(&packets(17, own, peer))), media, "either endpoint");
        let isolation = ("Isolation", Action::Secure);
        assert_eq!(said(host.receiving(&packets(6, peer, own))), isolation);
        assert_eq!(said(host.receiving(&packets(17, peer, "10.0.1.12:57501"))), isolation);
    }

    #[test]
    fn directions_are_told_apart_and_what_no_rule_covers_is_not_decided() {
        let host = of_med01(
            "src 10.0.1.12/32 dst 0.0.0.0/0 proto udp\n\tdir out action allow index 1 priority 10 ptype main\n\
             src 0.0.0.0/0 dst 10.0.1.12/32 proto udp\n\tdir in action block index 2 priority 20 ptype main\n",
        );
        let (own, peer) = ("10.0.1.12:50000", "10.9.9.9:5000");
        let out = host.sending(&packets(17, own, peer)).unwrap();
        assert_eq!(host.rule(out).unwrap().1, Action::Exempt);
        let into = host.receiving(&packets(17, peer, own)).unwrap();
        assert_eq!(host.rule(into).unwrap().1, Action::Block);
        assert_eq!(host.sending(&packets(6, own, peer)), None);
    }
}
