//! A version of TLS that is no longer safe.

use super::{Case, Rule, Severity, Sight, Spark, Telling};
use crate::identify::Confidence;
use crate::policy::{Class, Profile};

pub(super) const RULE: Rule = Rule {
    name: "obsolete-tls",
    severity: Severity::Warning,
    what: "A server agreed on SSL 3.0, TLS 1.0 or TLS 1.1, or a client opened with a hello in the format of SSL 2.0.",
    why: "These versions have known weaknesses, RFC 8996 and RFC 7568 forbid them, and peers that follow refuse the connection: federation, online services and new clients fail first.",
    remedy: &[
        "Find which side is behind: the client's offer and the server's choice stand in the two hellos with which the flow begins.",
        "Update the older side until it can speak TLS 1.2; on Windows also for .NET programs (SchUseStrongCrypto).",
        "Then turn the old versions off on both sides (Schannel's Protocols keys in the registry of Windows), edge and gateways last.",
    ],
    sight: Sight::OneWay,
    check,
    message,
};

fn check(case: &Case<'_>) -> Option<Spark> {
    if !case.judged.identification.claims("tls") {
        return None;
    }
    let facts = &case.judged.identification.facts;
    let chosen = facts.get("tls_version").and_then(|version| {
        OBSOLETE.iter().find(|(token, _)| *token == version).map(|(_, name)| *name)
    });
    let ancient = (facts.get("tls_hello") == Some("sslv2")).then_some("a hello of SSL 2.0");
    let detail = chosen.or(ancient)?;
    if case.judged.verdict.class == Class::OutOfScope {
        return None;
    }
    let row = case.row.map(|row| row.key);
    let servers = case.initiator.server || case.responder.server;
    Some(Spark {
        severity: match case.profile() {
            Profile::Sfb2019 if servers => Severity::Warning,
            Profile::Sfb2019 | Profile::Sfb2015 => Severity::Note,
        },
        confidence: case.judged.identification.confidence.unwrap_or(Confidence::Medium),
        expectation: row,
        rows: row.into_iter().collect(),
        misfit: None,
        range: None,
        frame: None,
        detail: Some(detail.into()),
    })
}

fn message(telling: &Telling<'_>) -> String {
    format!(
        "{} {} {} on {} with {}, which is obsolete",
        telling.initiator(),
        telling.reaches(),
        telling.responder(),
        telling.service(),
        telling.details(),
    )
}

/// The versions below 1.2, as the detector calls them and for people.
const OBSOLETE: [(&str, &str); 3] = [("ssl3", "SSL 3.0"), ("1.0", "TLS 1.0"), ("1.1", "TLS 1.1")];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::testbed::{SIP, Sample, Testbed, flow};

    fn tls() -> Sample {
        flow("10.20.0.101:51000", "10.0.1.11:5061").class(Class::Confirmed).row(SIP).protocol("tls")
    }

    #[test]
    fn the_version_chosen_counts_not_the_one_offered() {
        let bed = Testbed::default();
        for (version, name) in OBSOLETE {
            let finding = bed.only_finding(&tls().fact("tls_version", version));
            assert_eq!((finding.rule, finding.severity), ("obsolete-tls", Severity::Warning));
            assert_eq!(
                finding.message,
                format!(
                    "client 10.20.0.101 reaches front-end fe01 on tcp/5061 with {name}, which is \
                     obsolete"
                )
            );
        }
        for version in ["1.2", "1.3"] {
            assert_eq!(bed.fires(&RULE, &tls().fact("tls_version", version)), None);
        }
        assert_eq!(bed.fires(&RULE, &tls().fact("tls_offered", "1.0")), None);
        let ancient = bed.only_finding(&tls().fact("tls_hello", "sslv2"));
        assert!(ancient.message.contains("with a hello of SSL 2.0, which"), "{}", ancient.message);
        let both = ["1.0", "1.1"].map(|version| tls().fact("tls_version", version));
        let findings = bed.findings(&both);
        assert_eq!(findings.len(), 1);
        assert!(findings[0].message.contains("TLS 1.0 and TLS 1.1"), "{}", findings[0].message);
    }

    #[test]
    fn a_note_in_2015_and_where_no_server_is_involved() {
        let old = || tls().fact("tls_version", "1.0");
        let bed = Testbed { profile: Profile::Sfb2015, ..Testbed::default() };
        assert_eq!(bed.only_finding(&old()).severity, Severity::Note);
        let bed = Testbed::default();
        let out =
            flow("10.20.0.101:51000", "192.0.2.9:443").protocol("tls").class(Class::Infrastructure);
        assert_eq!(bed.only_finding(&out.fact("tls_version", "1.0")).severity, Severity::Note);
        assert_eq!(bed.fires(&RULE, &old().class(Class::OutOfScope)), None);
    }
}
