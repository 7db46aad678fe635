//! Gives a report the names by which its captures call hosts that the topology does not name.
//!
//! Whoever writes a capture can write any name into it. So names are for reading: they are added
//! when the answer stands, and nothing is judged, grouped or told apart by them.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::input::notes::{MAX_NAMES, Names};
use crate::policy::Policy;
use crate::report::Report;

/// Adds what the captures call the addresses that a report shows.
pub(super) fn show(report: &mut Report, policy: &Policy, names: &Names) {
    let parties = report.summary.findings.iter().flat_map(|f| [&f.initiator, &f.responder]);
    let shown: BTreeSet<IpAddr> = parties
        .flat_map(|party| party.addresses.iter().copied())
        .chain(negotiating(report))
        .chain(report.seeming_roles.iter().map(|host| host.address))
        .filter(|address| !policy.names_host(*address))
        .collect();
    for address in shown {
        let called: Vec<String> = names.of(address).take(MAX_SHOWN).map(str::to_owned).collect();
        if !called.is_empty() {
            report.names.insert(address, called);
        }
    }
    if names.cut() {
        report.reasons.push(format!(
            "the captures name more hosts than are kept ({MAX_NAMES} names): some are shown \
             without theirs"
        ));
    }
}

/// The hosts of the negotiations that are listed.
fn negotiating(report: &Report) -> impl Iterator<Item = IpAddr> {
    let listed = report.summary.negotiations.iter().map(|tied| &tied.negotiation);
    listed.flat_map(|negotiation| [negotiation.initiator, negotiation.responder])
}

/// Names told of one address.
const MAX_SHOWN: usize = 16;
