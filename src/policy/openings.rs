//! What must be open in a network: the rows of the policy, applied to the hosts of a topology.

use std::net::IpAddr;

use ipnet::IpNet;

use super::terms::{End, Responders, Terms};
use super::topology::{Host, Network};
use super::{Expectation, ExpectationId, Policy, PortSet, RoleSet, Topology};

/// Traffic that some may open to others, by one or more rows that say the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening<'p> {
    /// The rows, in the policy's order.
    pub rows: Vec<ExpectationId>,
    /// Who initiates.
    pub from: Who<'p>,
    /// Who responds.
    pub to: Who<'p>,
    /// IP protocol numbers; empty means any.
    pub transports: &'p [u8],
    /// The responder's ports.
    pub ports: &'p PortSet,
    /// The initiator's ports, where the rows name them.
    pub from_ports: Option<&'p PortSet>,
}

/// One side of an opening.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who<'p> {
    /// Anyone.
    Anyone,
    /// Hosts of these roles, none of which the topology names: the row allows any host that the
    /// topology does not know.
    Elsewhere(RoleSet),
    /// Hosts and networks of the topology, in the order of the file, hosts first.
    Members(Vec<Member<'p>>),
}

/// A host or a network of the topology.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Member<'p> {
    /// A host.
    Host(&'p Host),
    /// A network.
    Network(&'p Network),
}

/// Why a row opens nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Closed {
    /// The topology has nobody who responds.
    NoResponder,
    /// The topology has nobody who initiates.
    NoInitiator,
    /// The only initiator is the only responder: the traffic stays on the host.
    OneHost,
    /// The row names neither side: it allows what may come up anywhere, such as multicast.
    NoSide,
    /// A leftover in the edition in force: allowed, but not needed.
    Legacy,
}

impl Closed {
    /// The stable name used in machine output.
    pub fn token(self) -> &'static str {
        match self {
            Self::NoResponder => "no-responder",
            Self::NoInitiator => "no-initiator",
            Self::OneHost => "one-host",
            Self::NoSide => "no-side",
            Self::Legacy => "legacy",
        }
    }

    /// The reason in a few words for people.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::NoResponder => "the topology has no host of the role that responds",
            Self::NoInitiator => "the topology has no host of the role that initiates",
            Self::OneHost => "the only initiator is the only responder",
            Self::NoSide => "they name neither side: broadcast, multicast and the like",
            Self::Legacy => "left over from earlier systems, allowed and not needed",
        }
    }
}

/// Every row of a policy, as what it opens or as one that opens nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Openings<'p> {
    /// What must be open, in the order of its first rows.
    pub open: Vec<Opening<'p>>,
    /// Rows that open nothing, by reason.
    pub closed: Vec<(Closed, Vec<ExpectationId>)>,
}

impl Policy {
    /// What the rows in force open between the hosts of the topology. Exemption rows open nothing.
    pub fn openings(&self) -> Openings<'_> {
        let mut openings = Openings::default();
        let Some(topology) = self.topology() else { return openings };
        for (position, (row, terms)) in self.expectations.iter().zip(&self.terms).enumerate() {
            let Some(terms) = terms else { continue };
            let id = ExpectationId(position as u32);
            match opening(id, row, terms, topology) {
                Ok(opening) => openings.add(opening),
                Err(reason) => openings.leave_out(id, reason),
            }
        }
        openings.closed.sort_unstable();
        openings
    }
}

impl<'p> Openings<'p> {
    fn add(&mut self, new: Opening<'p>) {
        let same = |known: &&mut Opening<'p>| {
            known.ports == new.ports
                && known.transports == new.transports
                && known.from_ports == new.from_ports
                && known.to == new.to
                && known.from == new.from
        };
        match self.open.iter_mut().find(same) {
            Some(known) => known.rows.extend(new.rows),
            None => self.open.push(new),
        }
    }

    fn leave_out(&mut self, row: ExpectationId, reason: Closed) {
        match self.closed.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, rows)) => rows.push(row),
            None => self.closed.push((reason, vec![row])),
        }
    }
}

fn opening<'p>(
    id: ExpectationId,
    row: &'p Expectation,
    terms: &Terms,
    topology: &'p Topology,
) -> Result<Opening<'p>, Closed> {
    if row.legacy {
        return Err(Closed::Legacy);
    }
    if row.from.is_empty() && row.to.is_empty() {
        return Err(Closed::NoSide);
    }
    let to = responders(row, terms, topology);
    let from = initiators(row, terms, topology);
    if to.is_nobody() {
        return Err(Closed::NoResponder);
    }
    if from.is_nobody() {
        return Err(Closed::NoInitiator);
    }
    if let (Who::Members(from), Who::Members(to)) = (&from, &to)
        && let ([Member::Host(from)], [Member::Host(to)]) = (from.as_slice(), to.as_slice())
        && from.name == to.name
    {
        return Err(Closed::OneHost);
    }
    Ok(Opening {
        rows: vec![id],
        from,
        to,
        transports: &row.transports,
        ports: &row.ports,
        from_ports: row.from_ports.as_ref(),
    })
}

/// A load balancer responds by its own rows; those of the servers behind it are allowed there, no more.
fn responders<'p>(row: &Expectation, terms: &Terms, topology: &'p Topology) -> Who<'p> {
    if terms.responders == Responders::Strangers {
        return Who::Elsewhere(row.to);
    }
    if row.to.is_empty() {
        return Who::Anyone;
    }
    members(
        topology,
        |host| {
            let end = End { roles: host.roles, balances: host.balances, port: None };
            row.to.meets(host.roles) && terms.answered_by(&end)
        },
        |network| row.to.meets(network.roles) && terms.balances.is_empty(),
    )
}

/// A load balancer also initiates what it passes on to the servers behind it.
fn initiators<'p>(row: &Expectation, terms: &Terms, topology: &'p Topology) -> Who<'p> {
    if row.from.is_empty() {
        return Who::Anyone;
    }
    members(
        topology,
        |host| row.from.meets(host.roles) || (!terms.media && row.to.meets(host.balances)),
        |network| row.from.meets(network.roles),
    )
}

fn members(
    topology: &Topology,
    host: impl Fn(&Host) -> bool,
    network: impl Fn(&Network) -> bool,
) -> Who<'_> {
    let hosts = topology.hosts().iter().filter(|known| host(known)).map(Member::Host);
    let networks = topology.networks().iter().filter(|known| network(known));
    Who::Members(hosts.chain(networks.map(Member::Network)).collect())
}

impl Who<'_> {
    fn is_nobody(&self) -> bool {
        matches!(self, Self::Members(members) if members.is_empty())
    }
}

impl<'p> Member<'p> {
    /// Its name.
    pub fn name(self) -> &'p str {
        match self {
            Self::Host(host) => &host.name,
            Self::Network(network) => &network.name,
        }
    }

    /// Its roles.
    pub fn roles(self) -> RoleSet {
        match self {
            Self::Host(host) => host.roles,
            Self::Network(network) => network.roles,
        }
    }

    /// Addresses and prefixes in the order of the file; a prefix of one address is that address.
    pub fn addresses(self) -> Vec<String> {
        match self {
            Self::Host(host) => host.addresses.iter().map(IpAddr::to_string).collect(),
            Self::Network(network) => network.prefixes.iter().map(spelled).collect(),
        }
    }
}

fn spelled(net: &IpNet) -> String {
    if net.prefix_len() == net.max_prefix_len() { net.addr().to_string() } else { net.to_string() }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{SITE, policy};
    use super::*;

    fn who(who: &Who<'_>) -> String {
        match who {
            Who::Anyone => "anyone".into(),
            Who::Elsewhere(_) => "elsewhere".into(),
            Who::Members(members) => {
                members.iter().map(|member| member.name()).collect::<Vec<_>>().join("+")
            }
        }
    }

    fn shown(policy: &Policy) -> Vec<String> {
        let line = |opening: &Opening<'_>| {
            let rows: Vec<&str> =
                opening.rows.iter().map(|id| policy.expectation(*id).id.as_str()).collect();
            let (from, to) = (who(&opening.from), who(&opening.to));
            format!("{} {from} -> {to} {}", rows.join("+"), opening.ports)
        };
        policy.openings().open.iter().map(line).collect()
    }

    #[test]
    fn rows_are_applied_to_hosts_and_equal_ones_joined() {
        let policy = policy(SITE);
        let lines = shown(&policy);
        for line in [
            "S03 anyone -> fe01 5061",
            "S12+S19 anyone -> fe01 443",
            "S25 fe01+med01 -> gw01 5081",
            "Q01 fe01 -> sql01 1433",
            "C08 anyone -> users 1024-65535",
            "H01 anyone -> lb01 5061",
            "I01 anyone -> elsewhere 53",
        ] {
            assert!(lines.iter().any(|known| known == line), "{line} is missing: {lines:#?}");
        }
        assert!(!lines.iter().any(|line| line.starts_with("H15")), "nothing balances mediation");
    }

    #[test]
    fn every_row_is_open_or_has_a_reason() {
        let policy = policy(SITE);
        let openings = policy.openings();
        let open: usize = openings.open.iter().map(|opening| opening.rows.len()).sum();
        let closed: usize = openings.closed.iter().map(|(_, rows)| rows.len()).sum();
        assert_eq!(open + closed, policy.expectations().len() - policy.needs().len());
        let reasons: Vec<Closed> = openings.closed.iter().map(|(reason, _)| *reason).collect();
        assert_eq!(reasons, [Closed::NoResponder, Closed::NoSide]);
    }

    #[test]
    fn without_a_host_of_a_role_or_between_one_host_nothing_is_open() {
        let alone = policy(
            r#"
            [[host]]
            name = "one"
            addresses = ["10.0.0.1"]
            roles = ["front-end", "sql"]
            "#,
        );
        let openings = alone.openings();
        let reason = |row: &str| {
            let found = openings
                .closed
                .iter()
                .find(|(_, rows)| rows.iter().any(|id| alone.expectation(*id).id == row));
            found.map(|(reason, _)| *reason)
        };
        assert_eq!(reason("Q01"), Some(Closed::OneHost));
        assert_eq!(reason("S25"), Some(Closed::NoResponder));
        assert_eq!(reason("S03"), None);
    }

    #[test]
    fn where_the_topology_names_nobody_only_strangers_respond() {
        let policy = policy("");
        let openings = policy.openings();
        assert!(openings.open.iter().all(|opening| matches!(opening.to, Who::Elsewhere(_))));
    }

    #[test]
    fn a_prefix_of_one_address_is_that_address() {
        assert_eq!(spelled(&"10.0.0.1/32".parse().unwrap()), "10.0.0.1");
        assert_eq!(spelled(&"fd00::/64".parse().unwrap()), "fd00::/64");
    }
}
