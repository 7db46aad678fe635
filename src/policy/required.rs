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
    let end = End {
        roles: host.roles,
        balances: host.balances,
        port: None,
    };
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
