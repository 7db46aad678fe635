//! TLS between servers without the certificate that one must show the other.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::{Case, Rule, Severity, Sight, Spark, Telling};
use crate::identify::Confidence;
use crate::policy::{Class, Contradiction, Security};

pub(super) const RULE: Rule = Rule {
    name: "mtls-not-presented",
    severity: Severity::Error,
    what: "A server opens TLS to another server and shows no certificate, where both must show one: mutual TLS. The handshake was captured and tells so plainly.",
    why: "Servers of the product trust each other by certificate and by nothing else. A listener that does not ask for one lets any program that reaches the port act as a server; an initiator without one is not the server it should be.",
    remedy: &[
        ASKED,
        NOT_ASKED,
        "Check that the initiator has a valid certificate assigned: Get-CsCertificate.",
        LISTENER,
        "If the initiator is a client and no server, correct its role in the topology file.",
    ],
    sight: Sight::OneWay,
    check,
    message,
};

fn check(case: &Case<'_>) -> Option<Spark> {
    let verdict = case.judged.verdict;
    if verdict.contradiction != Some(Contradiction::NoCertificate) {
        return None;
    }
    let row = case.row?;
    Some(Spark {
        // The lenient reading lets TLS of either kind pass on a port that clients share.
        severity: match verdict.class {
            Class::WrongProtocol => Severity::Error,
            _ => Severity::Warning,
        },
        confidence: case.judged.identification.confidence.unwrap_or(Confidence::Medium),
        expectation: Some(row.key),
        rows: vec![row.key],
        misfit: None,
        range: None,
        frame: None,
        detail: match case.judged.identification.facts.get("client_certificate") {
            Some("declined") => Some(WAS_ASKED.into()),
            Some(_) => Some(WAS_NOT_ASKED.into()),
            None => None,
        },
    })
}

fn message(telling: &Telling<'_>) -> String {
    let rows = telling.rows();
    let demanded = match rows.as_slice() {
        [row] if row.security == Security::Mtls => format!("{} demands mutual TLS", row.id),
        [row] => format!("{} expects mutual TLS between servers", row.id),
        _ => telling.rows_do("expects mutual TLS", "expect mutual TLS"),
    };
    let asked = match telling.details() {
        details if details.is_empty() => String::new(),
        details => format!(" ({details})"),
    };
    format!(
        "{} {} no certificate to {} on {}{asked}, where {demanded}",
        telling.initiator(),
        telling.initiators().verb("shows", "show"),
        telling.responder(),
        telling.service(),
    )
}

/// Whether a step of the remedy is about what was seen. A client that was asked and one that was not
/// look different in the capture.
pub(super) fn applies(step: &str, details: &BTreeSet<Cow<'static, str>>) -> bool {
    // Where the fact is missing, every step may be the right one.
    let seen = |what: &str| details.is_empty() || details.contains(what);
    match step {
        ASKED => seen(WAS_ASKED),
        NOT_ASKED | LISTENER => seen(WAS_NOT_ASKED),
        _ => true,
    }
}

const WAS_ASKED: &str = "asked for one";
const WAS_NOT_ASKED: &str = "not asked for one";

const ASKED: &str = "Asked for one: the responder sent a Certificate Request, and the initiator answered with a Certificate message that is empty. Follow the flow in Wireshark to see both.";
const NOT_ASKED: &str = "Not asked for one: the responder sent no Certificate Request, and behind the initiator's hello its next message is the key exchange. Follow the flow in Wireshark to see it.";
const LISTENER: &str = "If the responder did not ask for it, check its listener: a proxy or a balancer that ends TLS in between cannot pass the certificate on.";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::testbed::{LOGGING, SIP, Testbed, flow};

    #[test]
    fn an_error_where_the_row_demands_it_a_warning_where_clients_share_the_port() {
        let bed = Testbed::default();
        let demanded = |fact| {
            flow("10.0.1.11:51000", "10.0.1.31:50001")
                .class(Class::WrongProtocol)
                .row(LOGGING)
                .contradiction(Contradiction::NoCertificate)
                .fact("client_certificate", fact)
                .protocol("tls")
        };
        let finding = bed.only_finding(&demanded("declined"));
        assert_eq!((finding.rule, finding.severity), ("mtls-not-presented", Severity::Error));
        assert_eq!(
            finding.message,
            "front-end fe01 shows no certificate to mediation med01 on tcp/50001 (asked for \
             one), where N13 demands mutual TLS"
        );
        assert_eq!(finding.remedy[0], ASKED);
        assert!(finding.remedy.iter().all(|step| step != NOT_ASKED && step != LISTENER));
        let finding = bed.only_finding(&demanded("not-requested"));
        assert_eq!(finding.remedy[0], NOT_ASKED);
        assert!(finding.remedy.iter().any(|step| step == LISTENER));
        let shared = flow("10.0.1.31:51000", "10.0.1.11:5061")
            .class(Class::Confirmed)
            .row(SIP)
            .contradiction(Contradiction::NoCertificate)
            .protocol("tls");
        let finding = bed.only_finding(&shared);
        assert_eq!(finding.severity, Severity::Warning);
        assert_eq!(
            finding.message,
            "mediation med01 shows no certificate to front-end fe01 on tcp/5061, \
             where S03 expects mutual TLS between servers"
        );
    }

    #[test]
    fn silent_without_the_contradiction() {
        let bed = Testbed::default();
        let base = || flow("10.0.1.31:51000", "10.0.1.11:5061").row(SIP).protocol("tls");
        assert_eq!(bed.fires(&RULE, &base().class(Class::Confirmed)), None);
        let clear = base().class(Class::WrongProtocol).contradiction(Contradiction::ClearText);
        assert_eq!(bed.fires(&RULE, &clear), None);
    }
}
