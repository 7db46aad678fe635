//! A host that the topology does not know uses a server's service.

use super::{Case, Rule, Severity, Sight, Spark, Telling};
use crate::flow::{Outcome, is_group};
use crate::policy::Class;

pub(super) const RULE: Rule = Rule {
    name: "unknown-host-talks-to-role",
    severity: Severity::Warning,
    what: "A host without a role uses a service of a server in an expected way.",
    why: "Either the topology file lacks a network, and every answer about its hosts is missing too, or a host that does not belong here reaches the servers.",
    remedy: &[
        "Find out what the address is: DHCP leases, ARP tables or the address plan name it.",
        "If it belongs to the site, add its host or network with its role to the topology file.",
        "If it does not, limit the service to the networks that need it at the firewall.",
    ],
    sight: Sight::OneWay,
    check,
    message,
};

fn check(case: &Case<'_>) -> Option<Spark> {
    let severity = match case.judged.verdict.class {
        Class::Confirmed | Class::PortOnly => Severity::Warning,
        // Every computer of a domain uses these; it is the administration's that are of interest.
        Class::Infrastructure => Severity::Note,
        _ => return None,
    };
    let row = case.expected_by()?;
    let stranger = case.initiator.role.is_none() && case.initiator.roles.0 == 0;
    let initiator = case.judged.flow.initiator().address;
    if !stranger || !case.responder.server || is_group(initiator) {
        return None;
    }
    if case.responder.role.is_some_and(|role| PUBLIC.contains(&role)) || !talks(case) {
        return None;
    }
    Some(Spark {
        severity,
        confidence: case.direction_confidence(),
        expectation: Some(row.key),
        rows: vec![row.key],
        misfit: None,
        range: None,
        frame: None,
        detail: None,
    })
}

/// Whether anything came of it; attempts in vain are the business of other rules.
fn talks(case: &Case<'_>) -> bool {
    matches!(
        case.judged.outcome,
        Outcome::Established | Outcome::MidStream | Outcome::OneSided | Outcome::Datagram
    )
}

fn message(telling: &Telling<'_>) -> String {
    format!(
        "{} {} {} on {} ({}), but the topology gives {} no role",
        telling.initiator(),
        telling.initiators().verb("uses", "use"),
        telling.responder(),
        telling.service(),
        telling.row_ids(),
        telling.initiators().verb("it", "them"),
    )
}

/// Roles that exist to be used by strangers from the Internet.
const PUBLIC: &[&str] =
    &["access-edge", "av-edge-external", "reverse-proxy", "web-conferencing-edge"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::testbed::{EDGE_SIP, LDAP, SIP, Testbed, flow};

    #[test]
    fn a_stranger_at_the_front_end() {
        let sample = flow("192.0.2.9:51000", "10.0.1.11:5061").class(Class::Confirmed).row(SIP);
        let finding = Testbed::default().only_finding(&sample);
        assert_eq!(finding.rule, "unknown-host-talks-to-role");
        assert_eq!(finding.severity, Severity::Warning);
        assert_eq!(finding.initiator.role, None);
        assert_eq!(
            finding.message,
            "unknown host 192.0.2.9 uses front-end fe01 on tcp/5061 (S03), \
             but the topology gives it no role"
        );
    }

    #[test]
    fn infrastructure_is_a_note() {
        let sample =
            flow("192.0.2.9:51000", "10.0.1.41:389").class(Class::Infrastructure).row(LDAP);
        let severity = Testbed::default().fires(&RULE, &sample).map(|spark| spark.severity);
        assert_eq!(severity, Some(Severity::Note));
    }

    #[test]
    fn silent_for_known_hosts_public_roles_groups_and_failures() {
        let bed = Testbed::default();
        let confirmed = |from, to| flow(from, to).class(Class::Confirmed).row(SIP);
        let stranger = || confirmed("192.0.2.9:51000", "10.0.1.11:5061");
        for sample in [
            confirmed("10.20.0.101:51000", "10.0.1.11:5061"),
            confirmed("192.0.2.9:51000", "10.20.0.101:5061"),
            confirmed("239.1.1.1:51000", "10.0.1.11:5061"),
            confirmed("192.0.2.9:51000", "198.51.100.5:443").row(EDGE_SIP),
            stranger().outcome(Outcome::Refused),
            stranger().class(Class::RangeUnconfirmed),
            stranger().class(Class::Unexpected),
        ] {
            assert_eq!(bed.fires(&RULE, &sample), None, "{sample:?}");
        }
    }
}
