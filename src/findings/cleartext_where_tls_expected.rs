//! Clear text where the row demands TLS.

use super::{Case, Rule, Severity, Sight, Spark, Telling};
use crate::identify::Confidence;
use crate::policy::{Contradiction, Security};

pub(super) const RULE: Rule = Rule {
    name: "cleartext-where-tls-expected",
    severity: Severity::Error,
    what: "A flow uses an expected port with readable content, where the row demands TLS or mutual TLS.",
    why: "Whoever can capture the traffic reads and can change it: names, dialled numbers, passwords and the keys of SRTP media, which SIP carries in its session descriptions.",
    remedy: &[
        "Follow the flow in Wireshark, from the frame at which it begins, to confirm that the payload is readable.",
        "Set the transport of the connection to TLS on both ends: for a trunk or a trusted application, in Topology Builder; for a gateway, in its SIP settings.",
        "Check that the responder has a valid certificate assigned: Get-CsCertificate.",
        "Close the clear-text listener, so that no peer can fall back to it.",
    ],
    sight: Sight::OneWay,
    check,
    message,
};

fn check(case: &Case<'_>) -> Option<Spark> {
    if case.judged.verdict.contradiction != Some(Contradiction::ClearText) {
        return None;
    }
    let row = case.row?;
    let what = case.judged.identification;
    Some(Spark {
        severity: Severity::Error,
        // Of lines that no detector knows, so much is sure: they are no TLS.
        confidence: what.confidence.unwrap_or(Confidence::High),
        expectation: Some(row.key),
        rows: vec![row.key],
        misfit: None,
        range: None,
        frame: None,
        detail: what.protocol.is_none().then_some("readable lines".into()),
    })
}

fn message(telling: &Telling<'_>) -> String {
    let rows = telling.rows();
    let demanded = match rows.as_slice() {
        [row] if row.security == Security::Mtls => format!("{} demands mutual TLS", row.id),
        [row] => format!("{} demands TLS", row.id),
        _ => telling.rows_do("demands TLS", "demand TLS"),
    };
    let spoken = match telling.details() {
        lines if telling.protocols() == 1 && !lines.is_empty() => {
            format!("{} {lines} in clear", telling.initiators().verb("sends", "send"))
        }
        _ => format!(
            "{} {} in clear text",
            telling.initiators().verb("speaks", "speak"),
            telling.protocol_or("several protocols")
        ),
    };
    format!(
        "{} {spoken} to {} on {}, where {demanded}",
        telling.initiator(),
        telling.responder(),
        telling.service(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::testbed::{SIP, Testbed, flow};
    use crate::policy::Class;

    #[test]
    fn readable_sip_on_the_tls_port() {
        let sample = flow("10.20.0.101:51000", "10.0.1.11:5061")
            .class(Class::WrongProtocol)
            .row(SIP)
            .contradiction(Contradiction::ClearText)
            .protocol("sip");
        let finding = Testbed::default().only_finding(&sample);
        assert_eq!(finding.rule, "cleartext-where-tls-expected");
        assert_eq!(finding.severity, Severity::Error);
        assert_eq!(
            finding.message,
            "client 10.20.0.101 speaks sip in clear text to front-end fe01 on tcp/5061, \
             where S03 demands TLS"
        );
    }

    #[test]
    fn readable_lines_need_no_name() {
        let sample = flow("10.20.0.101:51000", "10.0.1.11:5061")
            .class(Class::WrongProtocol)
            .row(SIP)
            .contradiction(Contradiction::ClearText);
        let finding = Testbed::default().only_finding(&sample);
        assert_eq!(finding.confidence, Confidence::High);
        assert_eq!(
            finding.message,
            "client 10.20.0.101 sends readable lines in clear to front-end fe01 on tcp/5061, \
             where S03 demands TLS"
        );
    }

    #[test]
    fn silent_without_the_contradiction() {
        let bed = Testbed::default();
        let sample = flow("10.20.0.101:51000", "10.0.1.11:5061").class(Class::PortOnly).row(SIP);
        assert_eq!(bed.fires(&RULE, &sample), None);
    }
}
