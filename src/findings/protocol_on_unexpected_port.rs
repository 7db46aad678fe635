//! A protocol of the tables, recognised on a port where they do not have it.

use super::{Case, Rule, Severity, Sight, Spark, Telling, unexpected_port};
use crate::identify::Confidence;
use crate::policy::Misfit;

pub(super) const RULE: Rule = Rule {
    name: "protocol-on-unexpected-port",
    severity: Severity::Error,
    what: "A flow that no expectation allows plainly speaks a protocol that the policy knows on other ports only. HTTP and TLS are left out: programs of every kind speak them.",
    why: "The service was moved, or a second one runs beside it: firewall rules, balancers and quality of service go by the port of the table and miss it. It may as well be a program that talks to servers where nobody watches.",
    remedy: &[
        "Follow the flow in Wireshark, from the frame at which it begins, to confirm the protocol.",
        "Find the program on the responder: `netstat -abno` on Windows, `ss -lntup` on Linux.",
        "If a service was moved to this port by mistake, move it back to the port of the table.",
        "If it was moved on purpose, replace the port of its row in a policy file and pass it with --policy.",
    ],
    sight: Sight::OneWay,
    check,
    message,
};

fn check(case: &Case<'_>) -> Option<Spark> {
    if !case.speaks_elsewhere() || case.media_outside().is_some() {
        return None;
    }
    let nearest = case.nearest.as_ref().filter(|(_, misfit)| *misfit != Misfit::Peer);
    Some(Spark {
        severity: unexpected_port::severity(case),
        confidence: case.direction_confidence().max(Confidence::Medium),
        // The nearest row with another port is a hint, not what the finding is about.
        expectation: nearest
            .filter(|(_, misfit)| *misfit == Misfit::Content)
            .map(|(row, _)| row.key),
        rows: nearest.map(|(row, _)| row.key).into_iter().collect(),
        misfit: nearest.map(|&(_, misfit)| misfit),
        range: None,
        frame: None,
        detail: None,
    })
}

fn message(telling: &Telling<'_>) -> String {
    format!(
        "{} {} {} on {} with {}, which the policy knows on other ports only{}",
        telling.initiator(),
        telling.reaches(),
        telling.responder(),
        telling.service(),
        telling.protocol_or("protocols"),
        telling.nearest(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::testbed::{MEDIATION_SIP, SIP, Testbed, flow};
    use crate::policy::Class;

    #[test]
    fn sip_on_a_port_of_its_own() {
        let sample = flow("10.20.0.101:51000", "10.0.1.11:8888")
            .class(Class::Unexpected)
            .nearest(SIP, Misfit::Port)
            .protocol("sip");
        let finding = Testbed::default().only_finding(&sample);
        assert_eq!(
            (finding.rule, finding.severity, finding.confidence),
            ("protocol-on-unexpected-port", Severity::Error, Confidence::High)
        );
        assert_eq!(
            finding.message,
            "client 10.20.0.101 reaches front-end fe01 on tcp/8888 with sip, which the policy knows \
             on other ports only (nearest: S03 tcp/5061)"
        );
    }

    #[test]
    fn both_claims_are_named() {
        let sample = flow("10.20.0.101:51000", "10.0.1.11:8888")
            .class(Class::Unexpected)
            .protocol("sip")
            .also("http");
        let message = Testbed::default().only_finding(&sample).message;
        assert!(message.contains(" with sip (also http), which"), "{message}");
    }

    #[test]
    fn another_rule_speaks_of_what_is_less_sure_unknown_or_at_home() {
        let bed = Testbed::default();
        let base = || flow("10.20.0.101:51000", "10.0.1.11:8888").class(Class::Unexpected);
        for (sample, rule) in [
            (base().protocol("ssh"), "unexpected-port"),
            (base(), "unexpected-port"),
            (base().protocol("sip").confidence(Confidence::Medium), "unexpected-port"),
            (base().protocol("sip").nearest(MEDIATION_SIP, Misfit::Peer), "unexpected-peer"),
            (
                flow("10.20.0.101:51000", "10.20.0.102:5061")
                    .class(Class::Unexpected)
                    .protocol("sip"),
                "unexpected-port",
            ),
        ] {
            assert_eq!(bed.only_finding(&sample).rule, rule);
        }
        assert_eq!(bed.fires(&RULE, &base().class(Class::Confirmed).protocol("sip")), None);
    }
}
