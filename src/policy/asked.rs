//! What the exemption rows ask of the IPsec policy of one host, as boxes of traffic: at the role's own end, and
//! at that of whoever talks to it. An exemption must exist at both.

use std::net::IpAddr;

use ipnet::IpNet;

use super::boxes::{self, Axis, IPV4, IPV6, Space, Span};
use super::{ExpectationId, MediaSide, Need, Policy, PortSet, Topology};

/// A host or network of the topology whose policy is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// Its name.
    pub name: String,
    /// Its addresses.
    addresses: Vec<Span>,
}

/// What one row asks of one host.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The row.
    pub row: ExpectationId,
    /// Whether the topology has hosts of the row's role.
    pub applies: bool,
    /// Whether the host plays the role.
    pub own: bool,
    /// Whether it talks to others that do.
    pub peer: bool,
    /// The traffic that must be left alone, that at the role's own end first.
    pub spaces: Vec<Space>,
    /// How many of them are at the role's own end.
    pub own_spaces: usize,
    /// The ports that the row asks for, at the role's end.
    pub ports: PortSet,
    /// IP protocol numbers; empty means any.
    pub transports: Vec<u8>,
}

impl Owner {
    /// Whether the address is one of its.
    pub fn holds(&self, address: IpAddr) -> bool {
        let at = boxes::number(address.to_canonical());
        self.addresses.iter().any(|(first, last)| (*first..=*last).contains(&at))
    }
}

impl Asked {
    /// Whether a rule with these spaces is about the row: it names hosts or ports at the role's end, or it leaves
    /// out nothing at the other end. A rule of another row is not, though its hosts may talk to this row's.
    pub fn is_aimed_at(&self, spaces: &[Space]) -> bool {
        let (own, peer) = self.spaces.split_at(self.own_spaces.min(self.spaces.len()));
        let host = [Axis::Local, Axis::LocalPort];
        let other = [Axis::Remote, Axis::RemotePort];
        let aimed = |need: &Space, role: [Axis; 2], rest: [Axis; 2]| {
            spaces.iter().filter(|space| space.meet(need).is_some()).any(|space| {
                !role.iter().all(|axis| boxes::is_whole(space, *axis))
                    || rest.iter().all(|axis| space.holds_on(need, *axis))
            })
        };
        own.iter().any(|need| aimed(need, host, other))
            || peer.iter().any(|need| aimed(need, other, host))
    }
}

impl Topology {
    /// The host or network of that name, letters' case aside.
    pub fn owner_named(&self, name: &str) -> Option<Owner> {
        let network = || self.networks().iter().find(|net| net.name.eq_ignore_ascii_case(name));
        let (name, addresses) = match self.host(name) {
            Some(host) => {
                (&host.name, host.addresses.iter().map(|address| alone(*address)).collect())
            }
            None => {
                network().map(|net| (&net.name, net.prefixes.iter().flat_map(spans).collect()))?
            }
        };
        Some(Owner { name: name.clone(), addresses })
    }
}

impl Policy {
    /// What each exemption row asks of the policy of a host, in the policy's order. Of a host that the topology
    /// does not know, what it asks of anyone who talks to the role's hosts.
    pub fn asked(&self, owner: Option<&Owner>) -> Vec<Asked> {
        let declared = self.exemptions();
        let applies = |need: &Need<'_>| declared.contains(&(need.row, true));
        self.needs().iter().map(|need| asked(need, applies(need), owner)).collect()
    }
}

fn asked(need: &Need<'_>, applies: bool, owner: Option<&Owner>) -> Asked {
    let mut asked = Asked {
        row: need.row,
        applies,
        own: false,
        peer: false,
        spaces: Vec::new(),
        own_spaces: 0,
        ports: need.ports.clone(),
        transports: need.transports.to_vec(),
    };
    if !applies {
        return asked;
    }
    // A row without a role is about everyone.
    let everyone = vec![boxes::EVERY];
    let role =
        if need.hosts.is_empty() { everyone } else { need.hosts.iter().flat_map(spans).collect() };
    let role = Space::everything().with(Axis::Local, role);
    let own = owner.map(|owner| role.clone().meet(&here(&owner.addresses)));
    if let Some(Some(own)) = own {
        asked.own = true;
        for (transports, ports) in need.groups() {
            let space = own.clone().with(Axis::LocalPort, boxes::port_spans(ports));
            asked.spaces.extend(of_families(need, &transports, &space, (1, 0)));
        }
        asked.own_spaces = asked.spaces.len();
    }
    let others = without(role.on(Axis::Local), owner.map_or(&[], |owner| &owner.addresses));
    if !others.is_empty() {
        asked.peer = true;
        let mut space = Space::everything().with(Axis::Remote, others);
        if let Some(owner) = owner {
            space = space.with(Axis::Local, owner.addresses.clone());
        }
        for (transports, ports) in need.groups() {
            let space = space.clone().with(Axis::RemotePort, boxes::port_spans(ports));
            asked.spaces.extend(of_families(need, &transports, &space, (0, 1)));
        }
    }
    asked
}

/// The traffic of a space in some of the row's transports and its direction, each family by itself. `to` and `from` are the
/// directions in which the host sees packets to the role and from it.
fn of_families(
    need: &Need<'_>,
    transports: &[u8],
    space: &Space,
    (to, from): (u128, u128),
) -> Vec<Space> {
    let directions = match need.side {
        MediaSide::To => vec![(to, to)],
        MediaSide::From => vec![(from, from)],
        MediaSide::Any => vec![(0, 1)],
    };
    let transports = match transports {
        [] => vec![(0, 255)],
        some => some.iter().map(|number| (u128::from(*number), u128::from(*number))).collect(),
    };
    let space = space.clone().with(Axis::Direction, directions).with(Axis::Protocol, transports);
    let families = [vec![IPV4], IPV6.to_vec()];
    let of = |family: &Vec<Span>| {
        let family = Space::everything()
            .with(Axis::Local, family.clone())
            .with(Axis::Remote, family.clone());
        space.meet(&family)
    };
    families.iter().filter_map(of).collect()
}

fn here(addresses: &[Span]) -> Space {
    Space::everything().with(Axis::Local, addresses.to_vec())
}

/// What is in the first list and not in the second.
fn without(all: &[Span], some: &[Span]) -> Vec<Span> {
    let some = boxes::join(some.to_vec());
    let mut rest = Vec::new();
    for (first, last) in all {
        let mut next = Some(*first);
        for (from, to) in some.iter().filter(|(from, to)| from <= last && first <= to) {
            if let Some(start) = next
                && start < *from
            {
                rest.push((start, from - 1));
            }
            next = to.checked_add(1).filter(|next| next <= last);
        }
        rest.extend(next.map(|start| (start, *last)));
    }
    rest
}

fn alone(address: IpAddr) -> Span {
    let number = boxes::number(address.to_canonical());
    (number, number)
}

fn spans(net: &IpNet) -> Vec<Span> {
    boxes::address_spans(net.network(), net.broadcast())
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{SITE, address, id, policy};
    use super::*;

    fn of<'a>(asked: &'a [Asked], policy: &Policy, row: &str) -> &'a Asked {
        asked.iter().find(|asked| id(policy, Some(asked.row)) == row).unwrap()
    }

    #[test]
    fn a_role_host_is_asked_at_its_own_end() {
        let policy = policy(SITE);
        let owner = policy.topology().unwrap().owner_named("MED01").unwrap();
        let asked = policy.asked(Some(&owner));
        let to = of(&asked, &policy, "X05");
        assert!(to.own && !to.peer && to.spaces.len() == 1);
        assert_eq!(to.spaces[0].on(Axis::Direction), [(1, 1)], "it receives");
        assert_eq!(to.spaces[0].on(Axis::Local), [alone(address("10.0.1.12"))]);
        assert_eq!(to.spaces[0].on(Axis::LocalPort), [(49152, 57500)]);
        assert_eq!(of(&asked, &policy, "X06").spaces[0].on(Axis::Direction), [(0, 0)]);
        let clients = of(&asked, &policy, "X15");
        assert!(clients.peer && !clients.own);
        assert_eq!(clients.spaces[0].on(Axis::Direction), [(0, 1)]);
        assert_eq!(clients.spaces[0].on(Axis::RemotePort), [(1024, 65535)]);
    }

    #[test]
    fn anyone_is_asked_as_a_peer() {
        let policy = policy(SITE);
        let asked = policy.asked(None);
        let to = of(&asked, &policy, "X05");
        assert!(to.peer && !to.own);
        assert_eq!(to.spaces[0].on(Axis::Direction), [(0, 0)], "it sends");
        assert_eq!(to.spaces[0].on(Axis::Local), [IPV4], "of the role's family");
        assert_eq!(to.spaces[0].on(Axis::Protocol), [(6, 6), (17, 17)]);
    }

    #[test]
    fn rules_about_other_hosts_are_not_aimed_at_a_row() {
        let policy = policy(SITE);
        let everything = Space::everything();
        let rule = |axis, address: &str| {
            everything.clone().with(axis, vec![alone(super::super::fixture::address(address))])
        };
        let anyone = policy.asked(None);
        let to = of(&anyone, &policy, "X05");
        assert!(to.is_aimed_at(&[rule(Axis::Remote, "10.0.1.12")]));
        assert!(!to.is_aimed_at(&[rule(Axis::Local, "10.0.1.99")]), "another row's own end");
        let both = rule(Axis::Remote, "10.0.1.12").with(Axis::Local, vec![IPV4]);
        assert!(to.is_aimed_at(&[both]) && to.is_aimed_at(std::slice::from_ref(&everything)));
        let owner = policy.topology().unwrap().owner_named("med01").unwrap();
        let asked = policy.asked(Some(&owner));
        let own = of(&asked, &policy, "X05");
        assert_eq!(own.own_spaces, own.spaces.len());
        assert!(own.is_aimed_at(&[rule(Axis::Local, "10.0.1.12")]));
        assert!(!own.is_aimed_at(&[rule(Axis::Remote, "10.0.1.99")]), "another row's peers");
    }

    #[test]
    fn a_network_is_its_own_peer_in_part() {
        let policy = policy(SITE);
        let topology = policy.topology().unwrap();
        let owner = topology.owner_named("users").unwrap();
        let asked = policy.asked(Some(&owner));
        let clients = of(&asked, &policy, "X15");
        assert!(clients.own && !clients.peer);
        assert!(topology.owner_named("nobody").is_none());
        assert_eq!(without(&[(0, 9)], &[(3, 4), (9, 12)]), [(0, 2), (5, 8)]);
        assert_eq!(without(&[(0, u128::MAX)], &[(5, u128::MAX)]), [(0, 4)]);
    }

    #[test]
    fn a_row_without_hosts_asks_nothing() {
        let policy =
            policy("[[host]]\nname = \"a\"\naddresses = [\"10.0.0.1\"]\nroles = [\"sql\"]\n");
        assert!(policy.asked(None).iter().all(|asked| !asked.applies && asked.spaces.is_empty()));
    }
}
