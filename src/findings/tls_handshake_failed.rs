//! Expected TLS whose handshake one side ends with an alert, or the server with a reset.

use super::expected_but_refused::severity;
use super::{Case, Rule, Severity, Sight, Spark, Telling};
use crate::flow::TcpSeen;
use crate::identify::Confidence;
use crate::policy::{Class, Contradiction};

pub(super) const RULE: Rule = Rule {
    name: "tls-handshake-failed",
    severity: Severity::Error,
    what: "On an expected port one side ended the TLS handshake with a fatal alert that was captured in clear, or the server answered the hello with a reset. With TLS 1.3 most alerts are encrypted and go unseen.",
    why: "The port is open and these connections carry nothing: no version or cipher in common, a certificate that the other side does not trust, or none where one is demanded. Monitoring that only connects finds nothing wrong.",
    remedy: &[
        "The alert says what its sender did not like. unknown-ca, bad-certificate, certificate-expired, certificate-unknown: look at the certificate of the other side, and at the authorities that the sender trusts.",
        "protocol-version, handshake-failure, insufficient-security: compare the versions and cipher suites that the client offers with what the server is set to (Schannel's keys in the registry of Windows).",
        "handshake-failure or certificate-required from a server that asked for a certificate: the client has none that fits; see Get-CsCertificate there.",
        "Look for events of Schannel in the system log of both hosts at the time of the evidence frames.",
    ],
    sight: Sight::OneWay,
    check,
    message,
};

/// Whether an expected handshake plainly failed.
pub(super) fn failed(case: &Case<'_>) -> bool {
    check(case).is_some()
}

fn check(case: &Case<'_>) -> Option<Spark> {
    if !case.judged.identification.claims("tls") {
        return None;
    }
    let facts = &case.judged.identification.facts;
    let (end, by) = match (facts.get("tls_alert"), facts.get("tls_alert_by")) {
        (Some(alert), Some(by)) => (alert, by),
        _ if reset_by_server(case) => ("a reset", "server"),
        _ => return None,
    };
    let verdict = case.judged.verdict;
    let row = case.row?;
    // Whoever offers SSL 3.0 alone must be refused (RFC 7568); balancers look that way whether a server
    // is there.
    if facts.get("tls_offered") == Some("ssl3") && by == "server" {
        return None;
    }
    let foreign = matches!(
        verdict.contradiction,
        Some(Contradiction::Application | Contradiction::ClearText)
    );
    // In a wide range nothing says that it was the expected traffic.
    if foreign || (row.is_wide() && verdict.class != Class::Confirmed) {
        return None;
    }
    // A server that turns strangers away may well be right.
    let strangers = case.initiator.roles.is_empty() || case.responder.roles.is_empty();
    Some(Spark {
        severity: if strangers { Severity::Warning } else { severity(&row) },
        confidence: Confidence::High,
        expectation: Some(row.key),
        rows: vec![row.key],
        misfit: None,
        range: None,
        frame: None,
        detail: Some(format!("{end} from the {by}").into()),
    })
}

/// Whether the server answers a hello with nothing but a reset, as Schannel does where it has no
/// certificate or no version in common. Who resets or closes it himself, as balancers do that only look
/// whether the server is there, is not meant.
fn reset_by_server(case: &Case<'_>) -> bool {
    let [client, server] = case.judged.flow.tcp;
    case.judged.identification.facts.get("tls_offered").is_some()
        && client.any(TcpSeen::DATA)
        && !client.any(TcpSeen::FIN | TcpSeen::RST)
        && server.any(TcpSeen::RST)
        && !server.any(TcpSeen::DATA)
}

fn message(telling: &Telling<'_>) -> String {
    // Others of the same hosts may have succeeded, so it speaks of these.
    let (handshakes, end) = match telling.flows() {
        1 => ("one TLS handshake".to_owned(), "ends"),
        flows => (format!("{flows} TLS handshakes"), "end"),
    };
    format!(
        "{} of {} with {} on {}, which {}, {} with {}",
        handshakes,
        telling.initiator(),
        telling.responder(),
        telling.service(),
        telling.rows_do("expects", "expect"),
        end,
        telling.details(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::testbed::{DNS, SIP, Sample, Testbed, flow};

    fn failed(from: &str) -> Sample {
        flow(from, "10.0.1.11:5061")
            .class(Class::Confirmed)
            .row(SIP)
            .protocol("tls")
            .fact("tls_alert", "unknown-ca")
            .fact("tls_alert_by", "server")
    }

    #[test]
    fn the_alert_and_its_sender_are_named() {
        let finding = Testbed::default().only_finding(&failed("10.20.0.101:51000"));
        assert_eq!((finding.rule, finding.severity), ("tls-handshake-failed", Severity::Error));
        assert_eq!(
            finding.message,
            "one TLS handshake of client 10.20.0.101 with front-end fe01 on tcp/5061, which S03 expects, \
             ends with unknown-ca from the server"
        );
    }

    #[test]
    fn strangers_and_infrastructure_weigh_less() {
        let bed = Testbed::default();
        let severity = |sample: &Sample| bed.fires(&RULE, sample).map(|spark| spark.severity);
        assert_eq!(severity(&failed("192.0.2.9:51000")), Some(Severity::Warning));
        assert_eq!(severity(&failed("10.20.0.101:51000").row(DNS)), Some(Severity::Warning));
    }

    #[test]
    fn a_reset_for_a_hello_is_a_failure_unless_the_client_went_first() {
        let bed = Testbed::default();
        let hello = |client: u8, server: u8| {
            let opened = TcpSeen(TcpSeen::SYN | TcpSeen::ACK | TcpSeen::DATA | client);
            let sample = flow("10.20.0.101:51000", "10.0.1.11:5061")
                .class(Class::Confirmed)
                .row(SIP)
                .protocol("tls")
                .fact("tls_offered", "1.2")
                .tcp([opened, TcpSeen(TcpSeen::SYN_ACK | server)]);
            bed.fires(&RULE, &sample)
        };
        let spark = hello(0, TcpSeen::RST).unwrap();
        assert_eq!(spark.detail.as_deref(), Some("a reset from the server"));
        assert!(hello(TcpSeen::RST, TcpSeen::RST).is_none());
        assert!(hello(TcpSeen::FIN, TcpSeen::RST).is_none());
        assert!(hello(0, TcpSeen::RST | TcpSeen::DATA).is_none());
        assert!(hello(0, TcpSeen::ACK).is_none());
    }

    #[test]
    fn the_refusal_of_ssl_3_is_right() {
        let bed = Testbed::default();
        let probe = failed("10.20.0.101:51000").fact("tls_offered", "ssl3");
        assert_eq!(bed.fires(&RULE, &probe), None);
        let by_client = probe.fact("tls_alert_by", "client");
        assert!(bed.fires(&RULE, &by_client).is_some());
    }

    #[test]
    fn silent_without_an_alert_or_where_something_else_is_wrong() {
        let bed = Testbed::default();
        let fine = flow("10.20.0.101:51000", "10.0.1.11:5061").row(SIP).protocol("tls");
        assert_eq!(bed.fires(&RULE, &fine.class(Class::Confirmed)), None);
        let foreign = failed("10.20.0.101:51000")
            .class(Class::WrongProtocol)
            .contradiction(Contradiction::Application);
        assert_eq!(bed.fires(&RULE, &foreign), None);
    }
}
