//! Expected traffic to which nothing comes back.

use super::expected_but_refused::severity;
use super::{Case, Rule, Severity, Sight, Spark, Telling};
use crate::decode::Transport;
use crate::flow::Outcome;
use crate::identify::Confidence;

pub(super) const RULE: Rule = Rule {
    name: "expected-but-unanswered",
    severity: Severity::Error,
    what: "Traffic that the policy expects got no answer at all.",
    why: "Packets leave and nothing returns: a firewall drops them without a word, the host is down, or the answer takes another way. Users wait for a time-out instead of an error.",
    remedy: &[
        "Check that the responder is up and reachable from the initiator: Test-NetConnection with -Port, or `nc -vz`.",
        "Check that the capture point sees the way back: other flows of the same two hosts should show packets in both directions.",
        "Compare the firewalls on the way with `portassay rules --role`, which lists what must be open for a role.",
        "Capture at the responder at the same time: if the packets arrive there, its own firewall or its return route is at fault.",
    ],
    sight: Sight::BothWays,
    check,
    message,
};

fn check(case: &Case<'_>) -> Option<Spark> {
    if case.judged.outcome != Outcome::Unanswered {
        return None;
    }
    let row = case.expected_by()?;
    // Connectivity checks try many media ports and expect most of them to stay silent (RFC 8445).
    if row.is_wide() || row.media || !expects_answer(case) {
        return None;
    }
    // A request without a second attempt may only be too close to the end of the capture.
    let confidence = match case.judged.flow.packets() {
        0 | 1 => Confidence::Low,
        _ => Confidence::High,
    };
    Some(Spark {
        severity: severity(&row),
        confidence,
        expectation: Some(row.key),
        rows: vec![row.key],
        misfit: None,
        range: None,
        frame: case.judged.flow.icmp.as_ref().map(|icmp| icmp.first_frame),
        detail: None,
    })
}

/// Whether silence means anything: always after a handshake's first packet, for datagrams only
/// when the application answers each request.
fn expects_answer(case: &Case<'_>) -> bool {
    match case.judged.flow.transport {
        Transport::TCP | Transport::SCTP => true,
        Transport::UDP => case.answers(),
        _ => false,
    }
}

fn message(telling: &Telling<'_>) -> String {
    format!(
        "{} {} not answer {} on {}, which {}",
        telling.responder(),
        telling.responders().verb("does", "do"),
        telling.initiator(),
        telling.service(),
        telling.rows_do("expects", "expect"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::testbed::{AUDIO, DNS, LDAP, SIP, SYSLOG, Testbed, flow};
    use crate::policy::Class;

    #[test]
    fn repeated_requests_without_an_answer() {
        let sample = flow("10.20.0.101:51000", "10.0.1.11:5061")
            .class(Class::PortOnly)
            .row(SIP)
            .packets(3, 0)
            .outcome(Outcome::Unanswered);
        let finding = Testbed::default().only_finding(&sample);
        assert_eq!(finding.rule, "expected-but-unanswered");
        assert_eq!((finding.severity, finding.confidence), (Severity::Error, Confidence::High));
        assert_eq!(
            finding.message,
            "front-end fe01 does not answer client 10.20.0.101 on tcp/5061, which S03 expects"
        );
    }

    #[test]
    fn one_request_alone_proves_little() {
        let sample = flow("10.20.0.101:51000", "10.0.1.11:5061")
            .class(Class::PortOnly)
            .row(SIP)
            .packets(1, 0)
            .outcome(Outcome::Unanswered);
        let finding = Testbed::default().only_finding(&sample);
        assert_eq!(finding.confidence, Confidence::Low);
    }

    #[test]
    fn datagrams_count_only_where_requests_are_answered() {
        let bed = Testbed::default();
        let to = |row, port: &str| {
            flow("10.0.1.11:51000", &format!("10.0.1.41:{port}"))
                .udp()
                .class(Class::Infrastructure)
                .row(row)
                .outcome(Outcome::Unanswered)
        };
        let dns = bed.fires(&RULE, &to(DNS, "53")).map(|s| s.severity);
        assert_eq!(dns, Some(Severity::Warning));
        assert_eq!(bed.fires(&RULE, &to(SYSLOG, "514")), None);
    }

    #[test]
    fn media_ranges_never_count() {
        let bed = Testbed::default();
        for transport in ["tcp", "udp"] {
            let sample = flow("10.20.0.101:50020", "10.0.1.31:49200")
                .class(Class::Confirmed)
                .row(AUDIO)
                .outcome(Outcome::Unanswered);
            let sample = if transport == "udp" { sample.udp() } else { sample };
            assert_eq!(bed.fires(&RULE, &sample), None, "{transport}");
        }
    }

    #[test]
    fn silent_when_answered_or_unexpected() {
        let bed = Testbed::default();
        let base = || flow("10.0.1.11:51000", "10.0.1.41:389");
        let answered = base().class(Class::Infrastructure).row(LDAP);
        let foreign = base().class(Class::Unexpected).outcome(Outcome::Unanswered);
        assert_eq!(bed.fires(&RULE, &answered), None);
        assert_eq!(bed.fires(&RULE, &foreign), None);
    }
}
