//! The services that the topology's hosts must offer, for the list of what was seen and what not.

use super::terms::{Breadth, End, Terms};
use super::topology::Host;
use super::{Expectation, ExpectationId, Policy, Required, Topology};

/// One entry per host, row and port, sorted by host, port and row.
///
/// Only rows of the product with few ports say that something must be there. A load balancer must
/// offer the rows of load balancers; those of the servers behind it are allowed there, no more.
pub(super) fn list(policy: &Policy) -> Vec<Required> {
    let hosts = policy.topology.as_ref().map_or(&[][..], Topology::hosts);
    let mut list = Vec::new();
    for (position, (expectation, terms)) in
        policy.expectations.iter().zip(&policy.terms).enumerate()
    {
        let Some(terms) = terms.as_ref().filter(|terms| demands(terms)) else {
            continue;
        };
        for host in hosts.iter().filter(|host| offers(host, terms)) {
            let id = ExpectationId(position as u32);
            list.extend(entries(policy, id, expectation, host));
        }
    }
    list.sort_by(|a, b| {
        (&a.responder, a.port, a.expectation).cmp(&(&b.responder, b.port, b.expectation))
    });
    list
}

fn demands(terms: &Terms) -> bool {
    terms.breadth == Breadth::Specific
        && !terms.infrastructure
        && !terms.to.is_empty()
        && terms.ports.count() <= MAX_PORTS
}

fn offers(host: &Host, terms: &Terms) -> bool {
    let end = End { roles: host.roles, balances: host.balances, port: None };
    terms.to.meets(host.roles) && terms.answered_by(&end)
}

fn entries<'p>(
    policy: &'p Policy,
    id: ExpectationId,
    expectation: &'p Expectation,
    host: &'p Host,
) -> impl Iterator<Item = Required> + 'p {
    expectation.ports.iter().map(move |port| Required {
        expectation: id,
        initiator_role: initiator(policy, expectation),
        responder: host.name.clone(),
        addresses: host.addresses.clone(),
        port,
        transports: expectation.transports.clone(),
    })
}

fn initiator(policy: &Policy, expectation: &Expectation) -> Option<String> {
    let names = policy.role_names(expectation.from);
    (!names.is_empty()).then(|| names.join("+"))
}

/// Rows over more ports than this are ranges to choose from, not services.
const MAX_PORTS: u32 = 16;

#[cfg(test)]
mod tests {
    use super::super::fixture::{SITE, policy};

    #[test]
    fn every_service_of_every_host_is_listed_once() {
        let policy = policy(SITE);
        let list: Vec<String> = policy
            .required()
            .iter()
            .map(|entry| {
                let row = &policy.expectation(entry.expectation).id;
                format!("{} {} {row}", entry.responder, entry.port)
            })
            .collect();
        let expected = [
            "fe01 443 S12",
            "fe01 443 S19",
            "fe01 444 S04",
            "fe01 5060 S02",
            "fe01 5061 S03",
            "fe01 5062 S06",
            "fe01 5072 S21",
            "fe01 8060 S15",
            "fe01 50001 L01",
            "fe01 50002 L01",
            "fe01 50003 L01",
            "gw01 5081 S25",
            "lb01 5061 H01",
            "lb01 5072 H08",
            "med01 50001 L01",
            "med01 50002 L01",
            "med01 50003 L01",
            "sql01 1433 Q01",
        ];
        assert_eq!(list, expected);
        let sql = policy.required().last().unwrap();
        assert_eq!(sql.initiator_role.as_deref(), Some("front-end"));
        assert_eq!(sql.transports, [6]);
        assert_eq!(policy.required()[0].initiator_role, None);
        assert_eq!(policy.required()[0].addresses.len(), 2);
    }

    #[test]
    fn without_hosts_nothing_is_required() {
        assert_eq!(policy("").required(), []);
    }
}
