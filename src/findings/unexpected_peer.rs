//! An expected service, used by somebody who is not expected to.

use super::{Case, Rule, Severity, Sight, Spark, Telling, unexpected_port};
use crate::policy::{Class, Misfit};

pub(super) const RULE: Rule = Rule {
    name: "unexpected-peer",
    severity: Severity::Error,
    what: "A flow uses a port that the policy knows, but between parties that its row does not allow.",
    why: "The service is meant for certain roles only: a client that reaches a port between servers bypasses the front door, and a server that talks to the wrong peer is often misconfigured or taken over.",
    remedy: &[
        "Check that the topology file gives both hosts their roles: a missing role looks the same as a wrong peer.",
        "If the roles are right, find the program on the initiator and why it uses this service.",
        "Limit the port to the allowed roles at the firewall: New-NetFirewallRule with -RemoteAddress, or the list between the networks.",
        "If the peer is legitimate, add an expectation with its reason to a policy file and pass it with --policy.",
    ],
    sight: Sight::OneWay,
    check,
    message,
};

fn check(case: &Case<'_>) -> Option<Spark> {
    if case.judged.verdict.class != Class::Unexpected {
        return None;
    }
    let row = case.expected_of_others()?;
    if case.media_outside().is_some() {
        return None;
    }
    Some(Spark {
        severity: unexpected_port::severity(case),
        confidence: case.direction_confidence(),
        expectation: Some(row.key),
        rows: vec![row.key],
        misfit: Some(Misfit::Peer),
        range: None,
        frame: None,
        detail: None,
    })
}

fn message(telling: &Telling<'_>) -> String {
    let rows = telling.rows();
    let allowed = match rows.as_slice() {
        [row] => format!("which {row} allows only {}", telling.parties(row)),
        _ => format!("which {} for other peers only", telling.rows_do("allows", "allow")),
    };
    format!(
        "{} {} {} on {}{}, {allowed}",
        telling.initiator(),
        telling.reaches(),
        telling.responder(),
        telling.service(),
        telling.speaking(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::testbed::{AUDIO, MEDIATION_SIP, SIP, Testbed, flow};

    #[test]
    fn a_client_on_a_port_between_servers() {
        let sample = flow("10.20.0.101:51000", "10.0.1.31:5070")
            .class(Class::Unexpected)
            .nearest(MEDIATION_SIP, Misfit::Peer)
            .protocol("sip");
        let finding = Testbed::default().only_finding(&sample);
        assert_eq!(finding.rule, "unexpected-peer");
        assert_eq!(finding.severity, Severity::Error);
        assert_eq!(finding.expectation.as_deref(), Some("S47"));
        assert_eq!(
            finding.message,
            "client 10.20.0.101 reaches mediation med01 on tcp/5070, speaking sip, \
             which S47 tcp/5070 allows only from front-end to mediation"
        );
    }

    #[test]
    fn an_open_side_is_not_named() {
        let sample = flow("10.20.0.101:51000", "10.20.0.102:5061")
            .class(Class::Unexpected)
            .nearest(SIP, Misfit::Peer);
        let finding = Testbed::default().only_finding(&sample);
        assert_eq!(finding.severity, Severity::Note);
        assert_eq!(
            finding.message,
            "client 10.20.0.101 reaches client 10.20.0.102 on tcp/5061, \
             which S03 tcp/5061 allows only to front-end"
        );
    }

    #[test]
    fn silent_for_other_misfits_and_classes() {
        let bed = Testbed::default();
        let base = || flow("10.20.0.101:51000", "10.0.1.31:5070");
        for sample in [
            base().class(Class::Unexpected).nearest(MEDIATION_SIP, Misfit::Port),
            base().class(Class::Unexpected),
            base().class(Class::Unexpected).nearest(AUDIO, Misfit::Peer),
            base().class(Class::Confirmed).row(MEDIATION_SIP),
        ] {
            assert_eq!(bed.fires(&RULE, &sample), None);
        }
    }
}
