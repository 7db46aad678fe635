//! Expected traffic that a filter on the way forbids, and says so.

use super::expected_but_refused::severity;
use super::{Case, Rule, Severity, Sight, Spark, Telling};
use crate::flow::Outcome;
use crate::identify::Confidence;
use crate::policy::Class;

pub(super) const RULE: Rule = Rule {
    name: "expected-but-prohibited",
    severity: Severity::Error,
    what: "Traffic that the policy expects was answered with an ICMP error that says a filter forbids it.",
    why: "The service cannot be used from there: a router or a host firewall on the way drops what the port table says must pass, and users see failing sign-ins, calls or conferences.",
    remedy: &[
        "The source address of the ICMP error in the evidence frame is the device that filters.",
        "Compare its rules with `portassay rules --role`, which lists what must be open for a role.",
        "Allow the transport and port from the initiator's to the responder's addresses, then capture again.",
    ],
    sight: Sight::OneWay,
    check,
    message,
};

fn check(case: &Case<'_>) -> Option<Spark> {
    if case.judged.outcome != Outcome::Prohibited {
        return None;
    }
    let row = case.expected_by()?;
    // In a wide range only content shows that this was the expected traffic and not a scan.
    if row.is_wide() && case.judged.verdict.class != Class::Confirmed {
        return None;
    }
    Some(Spark {
        severity: severity(&row),
        confidence: Confidence::High,
        expectation: Some(row.key),
        rows: vec![row.key],
        misfit: None,
        range: None,
        frame: case.judged.flow.icmp.as_ref().map(|icmp| icmp.first_frame),
        detail: None,
    })
}

fn message(telling: &Telling<'_>) -> String {
    format!(
        "a filter keeps {} from {} on {}, which {}",
        telling.initiator(),
        telling.responder(),
        telling.service(),
        telling.rows_do("expects", "expect"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::IcmpErrorKind;
    use crate::findings::testbed::{AUDIO, LDAP, SIP, Testbed, flow};
    use crate::flow::FrameRef;

    #[test]
    fn the_icmp_error_is_the_evidence() {
        let sample = flow("10.20.0.101:51000", "10.0.1.11:5061")
            .class(Class::PortOnly)
            .row(SIP)
            .outcome(Outcome::Prohibited)
            .icmp(IcmpErrorKind::Prohibited, 17);
        let finding = Testbed::default().only_finding(&sample);
        assert_eq!(finding.rule, "expected-but-prohibited");
        assert_eq!(finding.severity, Severity::Error);
        assert_eq!(finding.frames, [FrameRef { capture: 0, frame: 17 }]);
        assert_eq!(
            finding.message,
            "a filter keeps client 10.20.0.101 from front-end fe01 on tcp/5061, which S03 expects"
        );
    }

    #[test]
    fn infrastructure_is_a_warning_and_a_range_needs_content() {
        let bed = Testbed::default();
        let ldap = flow("10.0.1.11:51000", "10.0.1.41:389")
            .class(Class::Infrastructure)
            .row(LDAP)
            .outcome(Outcome::Prohibited);
        assert_eq!(bed.fires(&RULE, &ldap).map(|s| s.severity), Some(Severity::Warning));
        let media = |class| {
            flow("10.20.0.101:50020", "10.0.1.31:49200")
                .udp()
                .class(class)
                .row(AUDIO)
                .outcome(Outcome::Prohibited)
        };
        assert!(bed.fires(&RULE, &media(Class::Confirmed)).is_some());
        assert!(bed.fires(&RULE, &media(Class::RangeUnconfirmed)).is_none());
    }

    #[test]
    fn unexpected_traffic_may_be_forbidden() {
        let sample = flow("10.20.0.101:51000", "10.0.1.11:8888")
            .class(Class::Unexpected)
            .outcome(Outcome::Prohibited);
        assert_eq!(Testbed::default().fires(&RULE, &sample), None);
    }
}
