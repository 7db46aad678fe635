//! What each exemption row asks of the hosts of a topology: which addresses, transports and ports IPsec
//! must leave alone.

use std::net::IpAddr;

use ipnet::IpNet;

use super::terms::ExemptTerms;
use super::{ExpectationId, MediaSide, Policy, PortSet, Topology};

/// One exemption row, applied to a topology.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need<'p> {
    /// The row.
    pub row: ExpectationId,
    /// Whether packets to the role's hosts are meant, from them, or both.
    pub side: MediaSide,
    /// The role's hosts and networks, sorted, none inside another; empty where the topology has none.
    pub hosts: Vec<IpNet>,
    /// IP protocol numbers; empty means any.
    pub transports: &'p [u8],
    /// Ports of the role's end, in the reading in force: the media ports, or strictly every port.
    pub ports: &'p PortSet,
    /// The same by transport, where they differ.
    pub by_transport: &'p [(u8, PortSet)],
    /// Ports of the role's end that carry media.
    pub media_ports: &'p PortSet,
    /// The media ports are nearly all there are, so that an exemption of them exempts nearly everything.
    pub content_required: bool,
}

impl<'p> Need<'p> {
    /// Ports of the role's end over a transport, by its IP protocol number.
    pub fn ports_of(&self, transport: u8) -> &'p PortSet {
        let own = self.by_transport.iter().find(|(number, _)| *number == transport);
        own.map_or(self.ports, |(_, ports)| ports)
    }

    /// Transports with their ports, those together that have the same: no number means any transport.
    pub fn groups(&self) -> Vec<(Vec<u8>, &'p PortSet)> {
        if self.by_transport.is_empty() {
            return vec![(self.transports.to_vec(), self.ports)];
        }
        self.by_transport.iter().map(|(number, ports)| (vec![*number], ports)).collect()
    }
}

impl Policy {
    /// What each exemption row asks, in the policy's order.
    pub fn needs(&self) -> Vec<Need<'_>> {
        self.exempt.iter().map(|terms| need(terms, self.topology())).collect()
    }
}

fn need<'p>(terms: &'p ExemptTerms, topology: Option<&Topology>) -> Need<'p> {
    let mut hosts = Vec::new();
    if let Some(topology) = topology {
        let of_role = topology.hosts().iter().filter(|host| terms.roles.meets(host.roles));
        hosts.extend(of_role.flat_map(|host| &host.addresses).copied().map(alone));
        let of_role = topology.networks().iter().filter(|net| terms.roles.meets(net.roles));
        hosts.extend(of_role.flat_map(|network| &network.prefixes).copied());
    }
    Need {
        row: terms.id,
        side: terms.direction,
        hosts: outermost(hosts),
        transports: &terms.transports,
        ports: &terms.ports,
        by_transport: if terms.strict { &[] } else { &terms.by_transport },
        media_ports: &terms.media_ports,
        content_required: terms.content_required,
    }
}

/// Sorted, without those that lie in another. Neighbours stay apart: who reads a rule knows hosts.
fn outermost(mut nets: Vec<IpNet>) -> Vec<IpNet> {
    nets.sort_unstable();
    let mut kept: Vec<IpNet> = Vec::with_capacity(nets.len());
    for net in nets {
        if !kept.last().is_some_and(|last| last.contains(&net)) {
            kept.push(net);
        }
    }
    kept
}

fn alone(address: IpAddr) -> IpNet {
    IpNet::from(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{SITE, policy, strict};
    use super::*;

    fn shown(need: &Need<'_>) -> String {
        let hosts: Vec<String> = need.hosts.iter().map(ToString::to_string).collect();
        format!("{} {:?} {:?} {}", hosts.join(","), need.side, need.transports, need.ports)
    }

    #[test]
    fn a_row_asks_for_the_hosts_and_media_ports_of_its_role() {
        let policy = policy(SITE);
        let needs = policy.needs();
        assert_eq!(needs.len(), policy.exemptions().len());
        assert_eq!(shown(&needs[0]), "10.0.1.12/32 To [6, 17] 49152-57500");
        assert!(!needs[0].content_required);
        let clients = needs.iter().find(|need| need.side == MediaSide::Any).unwrap();
        assert_eq!(clients.transports, [17]);
        assert!(clients.content_required);
    }

    #[test]
    fn what_lies_in_another_prefix_is_named_once() {
        let nets = ["10.0.1.0/24", "10.0.1.7/32", "10.0.0.9/32", "10.0.0.8/32", "fd00::1/128"];
        let kept = outermost(nets.iter().map(|net| net.parse().unwrap()).collect());
        let kept: Vec<String> = kept.iter().map(ToString::to_string).collect();
        assert_eq!(kept, ["10.0.0.8/32", "10.0.0.9/32", "10.0.1.0/24", "fd00::1/128"]);
    }

    #[test]
    fn strictly_it_asks_for_every_port_but_the_clients_row_for_its_range() {
        let policy = strict(SITE);
        let needs = policy.needs();
        assert!(needs[0].ports.is_any());
        assert_eq!(needs[0].media_ports.to_string(), "49152-57500");
        let clients = needs.iter().find(|need| need.side == MediaSide::Any).unwrap();
        assert_eq!(clients.ports, clients.media_ports);
    }
}
