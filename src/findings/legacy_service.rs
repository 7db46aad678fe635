//! A service that the edition in force no longer has, or that is a leftover in it, or a version of a
//! protocol that is one.

use super::{Case, Rule, Severity, Sight, Spark, Telling, unexpected_port};
use crate::identify::Confidence;
use crate::policy::Misfit;

pub(super) const RULE: Rule = Rule {
    name: "legacy-service",
    severity: Severity::Warning,
    what: "A flow uses a service that only earlier editions have, or that is a leftover of earlier clients and systems.",
    why: "Nobody maintains the service, and what is old there stays: its ports are held open in the firewall for no one, and its protocols lack what newer ones have learned.",
    remedy: &[
        "Read what the row says of the service: portassay explain ROW.",
        "If the site runs the earlier edition, choose its tables with --profile 2015.",
        "Find the program that still uses it: `netstat -abno` on Windows, `ss -tunp` on Linux; update it or turn it off.",
        "Then close the ports at the firewall.",
    ],
    sight: Sight::OneWay,
    check,
    message,
};

fn check(case: &Case<'_>) -> Option<Spark> {
    let (row, severity) = if let Some((row, Misfit::Edition)) = case.nearest {
        // Nothing in force allows it; attempts of clients among themselves stay a note.
        (Some(row), unexpected_port::severity(case).min(Severity::Warning))
    } else {
        let row = case.expected_by().filter(|row| row.legacy);
        if row.is_none() && !case.speaks_legacy() {
            return None;
        }
        // The lenient reading lets leftovers pass.
        (row, if case.strict() { Severity::Warning } else { Severity::Note })
    };
    let row = row.map(|row| row.key);
    Some(Spark {
        severity,
        confidence: case.judged.identification.confidence.unwrap_or(Confidence::Medium),
        expectation: row,
        rows: row.into_iter().collect(),
        misfit: None,
        range: None,
        frame: None,
        detail: None,
    })
}

fn message(telling: &Telling<'_>) -> String {
    let services: Vec<String> = telling
        .rows()
        .iter()
        .map(|row| match row.service {
            "" => row.id.to_owned(),
            service => format!("{}, {service}", row.id),
        })
        .collect();
    let what = match services.as_slice() {
        [] => "in a version that is left over from earlier systems".into(),
        rows => {
            format!("a service left over from earlier editions or systems ({})", rows.join("; "))
        }
    };
    format!(
        "{} {} {} on {}{}, {what}",
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
    use crate::findings::testbed::{MOBILITY, SIP, SMB, Testbed, flow};
    use crate::policy::Class;

    #[test]
    fn what_the_edition_no_longer_has_is_a_warning_and_nothing_else() {
        let sample = flow("10.20.0.101:51000", "10.0.1.11:5086")
            .class(Class::Unexpected)
            .nearest(MOBILITY, Misfit::Edition)
            .protocol("tls");
        let finding = Testbed::default().only_finding(&sample);
        assert_eq!((finding.rule, finding.severity), ("legacy-service", Severity::Warning));
        assert_eq!(finding.expectation.as_deref(), Some("S17"));
        assert_eq!(
            finding.message,
            "client 10.20.0.101 reaches front-end fe01 on tcp/5086, speaking tls, a service left \
             over from earlier editions or systems (S17, Mobility Services component)"
        );
    }

    #[test]
    fn a_leftover_that_is_allowed_is_a_note_unless_strict() {
        let sample =
            flow("10.20.0.101:51000", "10.0.1.11:5086").class(Class::PortOnly).row(MOBILITY);
        assert_eq!(Testbed::default().only_finding(&sample).severity, Severity::Note);
        let strict = Testbed { strict: true, ..Testbed::default() };
        assert_eq!(strict.only_finding(&sample).severity, Severity::Warning);
    }

    #[test]
    fn a_version_may_be_left_over_where_the_service_is_not() {
        let sample = flow("10.0.1.11:51000", "10.0.1.41:445")
            .class(Class::Infrastructure)
            .row(SMB)
            .protocol("smb");
        let bed = Testbed::default();
        assert_eq!(bed.fires(&RULE, &sample), None);
        let finding = bed.only_finding(&sample.fact("smb_dialect", "1"));
        assert_eq!(finding.severity, Severity::Note);
        assert_eq!(
            finding.message,
            "front-end fe01 reaches domain-controller dc01 on tcp/445, speaking smb, in a version \
             that is left over from earlier systems"
        );
    }

    #[test]
    fn silent_for_services_of_today_and_where_the_content_is_wrong() {
        let bed = Testbed::default();
        let base = || flow("10.20.0.101:51000", "10.0.1.11:5061");
        assert_eq!(bed.fires(&RULE, &base().class(Class::Confirmed).row(SIP)), None);
        let wrong = base().class(Class::WrongProtocol).row(MOBILITY);
        assert_eq!(bed.fires(&RULE, &wrong), None);
    }
}
