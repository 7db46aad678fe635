//! The right port with the wrong content.

use super::telling::expected_content;
use super::{Case, Rule, Severity, Sight, Spark, Telling};
use crate::identify::Confidence;
use crate::policy::Contradiction;

pub(super) const RULE: Rule = Rule {
    name: "wrong-protocol",
    severity: Severity::Error,
    what: "A flow uses an expected port, but its content is another protocol than the row's.",
    why: "A firewall that goes by ports lets this traffic through. It is a service that took a port reserved for another, a tunnel, or a program that hides behind a port known to be open.",
    remedy: &[
        "Follow the flow in Wireshark, from the frame at which it begins, to confirm the protocol.",
        "Find the program that owns the port on the responder: `netstat -abno` on Windows, `ss -lntup` on Linux.",
        "Move or stop the foreign service, or correct the port of the expected one.",
        "If the content is right for this network, replace the row in a policy file and pass it with --policy.",
    ],
    sight: Sight::OneWay,
    check,
    message,
};

fn check(case: &Case<'_>) -> Option<Spark> {
    if case.judged.verdict.contradiction != Some(Contradiction::Application) {
        return None;
    }
    let row = case.row?;
    let confidence = case.judged.identification.confidence;
    Some(Spark {
        severity: match confidence {
            Some(Confidence::Low) => Severity::Warning,
            _ => Severity::Error,
        },
        confidence: confidence.unwrap_or(Confidence::Medium),
        expectation: Some(row.key),
        rows: vec![row.key],
        misfit: None,
        range: None,
        frame: None,
        detail: None,
    })
}

fn message(telling: &Telling<'_>) -> String {
    let rows = telling.rows();
    let expected = match rows.as_slice() {
        [row] => format!("{} expects {}", row.id, expected_content(row)),
        _ => telling.rows_do("expects otherwise", "expect otherwise"),
    };
    format!(
        "{} {} {} on {} with {}, where {expected}",
        telling.initiator(),
        telling.reaches(),
        telling.responder(),
        telling.service(),
        telling.protocol_or("several foreign protocols"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::testbed::{SIP, Testbed, flow};
    use crate::policy::Class;

    #[test]
    fn http_on_the_sip_port() {
        let sample = flow("10.20.0.101:51000", "10.0.1.11:5061")
            .class(Class::WrongProtocol)
            .row(SIP)
            .contradiction(Contradiction::Application)
            .protocol("http");
        let finding = Testbed::default().only_finding(&sample);
        assert_eq!(
            (finding.rule, finding.severity, finding.confidence),
            ("wrong-protocol", Severity::Error, Confidence::High)
        );
        assert_eq!(
            finding.message,
            "client 10.20.0.101 reaches front-end fe01 on tcp/5061 with http, \
             where S03 expects sip over TLS"
        );
    }

    #[test]
    fn a_weak_identification_is_a_warning() {
        let sample = flow("10.20.0.101:51000", "10.0.1.11:5061")
            .class(Class::WrongProtocol)
            .row(SIP)
            .contradiction(Contradiction::Application)
            .protocol("rtp")
            .confidence(Confidence::Low);
        let finding = Testbed::default().only_finding(&sample);
        assert_eq!(finding.severity, Severity::Warning);
        assert_eq!(finding.confidence, Confidence::Low);
    }

    #[test]
    fn silent_when_the_content_agrees_or_is_only_clear_text() {
        let bed = Testbed::default();
        let base = || flow("10.20.0.101:51000", "10.0.1.11:5061").row(SIP);
        let agrees = base().class(Class::Confirmed);
        let clear = base().class(Class::WrongProtocol).contradiction(Contradiction::ClearText);
        assert_eq!(bed.fires(&RULE, &agrees), None);
        assert_eq!(bed.fires(&RULE, &clear), None);
    }
}
