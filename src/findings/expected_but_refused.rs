//! Expected traffic that the responder turns away.

use super::{Case, Row, Rule, Severity, Sight, Spark, Telling};
use crate::flow::Outcome;
use crate::identify::Confidence;
use crate::policy::Class;

pub(super) const RULE: Rule = Rule {
    name: "expected-but-refused",
    severity: Severity::Error,
    what: "Traffic that the policy expects was answered with a TCP reset or with ICMP port unreachable.",
    why: "The host is reached, but nothing listens on the port: the service is stopped, listens on another port or address, or a device on the way resets the connection in its name.",
    remedy: &[
        "On the responder, check that the service runs: Get-CsWindowsService, and start it with Start-CsWindowsService.",
        "Check that it listens on this port and address: `netstat -abno` on Windows, `ss -lntup` on Linux.",
        "If the service is meant to use another port, correct the topology or the policy file.",
        "If the service listens, compare the time to live of the reset with that of other packets of the host: a difference points to a device on the way.",
    ],
    sight: Sight::OneWay,
    check,
    message,
};

fn check(case: &Case<'_>) -> Option<Spark> {
    if case.judged.outcome != Outcome::Refused {
        return None;
    }
    let row = case.expected_by()?;
    // In a wide range only content shows that this was the expected traffic and not a scan.
    if row.is_wide() && case.judged.verdict.class != Class::Confirmed {
        return None;
    }
    Some(Spark {
        // One-way media whose end is refused may only have closed a moment before its peer.
        severity: if row.media { Severity::Warning } else { severity(&row) },
        confidence: Confidence::High,
        expectation: Some(row.key),
        rows: vec![row.key],
        misfit: None,
        range: None,
        frame: case.judged.flow.icmp.as_ref().map(|icmp| icmp.first_frame),
        detail: None,
    })
}

/// How grave it is that expected traffic does not get through.
pub(super) fn severity(row: &Row<'_>) -> Severity {
    if row.infrastructure { Severity::Warning } else { Severity::Error }
}

fn message(telling: &Telling<'_>) -> String {
    format!(
        "{} {} {} on {}, which {}",
        telling.responder(),
        telling.responders().verb("refuses", "refuse"),
        telling.initiator(),
        telling.service(),
        telling.rows_do("expects", "expect"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::testbed::{AUDIO, LDAP, SIP, Testbed, flow};

    #[test]
    fn a_reset_from_an_expected_service() {
        let sample = flow("10.20.0.101:51000", "10.0.1.11:5061")
            .class(Class::PortOnly)
            .row(SIP)
            .outcome(Outcome::Refused);
        let finding = Testbed::default().only_finding(&sample);
        assert_eq!(finding.rule, "expected-but-refused");
        assert_eq!(finding.severity, Severity::Error);
        assert_eq!(
            finding.message,
            "front-end fe01 refuses client 10.20.0.101 on tcp/5061, which S03 expects"
        );
    }

    #[test]
    fn infrastructure_and_late_media_are_warnings() {
        let bed = Testbed::default();
        let ldap = flow("10.0.1.11:51000", "10.0.1.41:389")
            .class(Class::Infrastructure)
            .row(LDAP)
            .outcome(Outcome::Refused);
        let media = flow("10.20.0.101:50020", "10.0.1.31:49200")
            .udp()
            .class(Class::Confirmed)
            .row(AUDIO)
            .outcome(Outcome::Refused);
        let severity = |sample| bed.fires(&RULE, sample).map(|spark| spark.severity);
        assert_eq!(severity(&ldap), Some(Severity::Warning));
        assert_eq!(severity(&media), Some(Severity::Warning));
    }

    #[test]
    fn silent_when_established_unexpected_contradicted_or_only_in_a_range() {
        let bed = Testbed::default();
        let base = || flow("10.20.0.101:51000", "10.0.1.11:5061");
        let refused = || base().outcome(Outcome::Refused);
        for sample in [
            base().class(Class::Confirmed).row(SIP),
            refused().class(Class::Unexpected),
            refused().class(Class::WrongProtocol).row(SIP),
            refused().class(Class::RangeUnconfirmed).row(AUDIO),
        ] {
            assert_eq!(bed.fires(&RULE, &sample), None);
        }
    }
}
