//! A flow that nothing explains but a wide port range.

use super::{Case, Rule, Severity, Sight, Spark, Telling};
use crate::identify::Confidence;
use crate::policy::Class;

pub(super) const RULE: Rule = Rule {
    name: "range-only-match",
    severity: Severity::Note,
    what: "A flow matches nothing but a range of more than 1,000 ports, and its content does not say what the range is for.",
    why: "The media ranges are also the operating system's ephemeral and RPC ports, so the match explains little: this may be media that is encrypted or cut off, or any other program.",
    remedy: &[
        "Capture full packets from the start of the flow (snaplen 0), so that the first bytes can tell what it is.",
        "Narrow the media ranges of clients and servers, and give them in the topology file under [media].",
        "If it is a known service, such as RPC of a management tool, add an expectation to a policy file.",
    ],
    sight: Sight::OneWay,
    check,
    message,
};

fn check(case: &Case<'_>) -> Option<Spark> {
    if case.judged.verdict.class != Class::RangeUnconfirmed {
        return None;
    }
    let row = case.row?;
    Some(Spark {
        severity: Severity::Note,
        confidence: Confidence::Low,
        expectation: Some(row.key),
        rows: vec![row.key],
        misfit: None,
        range: None,
        frame: None,
        detail: None,
    })
}

fn message(telling: &Telling<'_>) -> String {
    let media = telling.rows().iter().all(|row| row.media);
    format!(
        "{} {} {} on {}{}, which only the range of {} matches; its content does not show {}",
        telling.initiator(),
        telling.reaches(),
        telling.responder(),
        telling.service(),
        telling.speaking(),
        telling.row_ids(),
        if media { "media" } else { "what it is" },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::testbed::{AUDIO, RPC, Testbed, flow};

    #[test]
    fn ports_of_a_range_are_one_finding_under_the_name_of_its_row() {
        let bed = Testbed::default();
        let samples: Vec<_> = [49200, 49201, 51000]
            .map(|port| {
                flow("10.20.0.101:50020", &format!("10.0.1.31:{port}"))
                    .class(Class::RangeUnconfirmed)
                    .row(AUDIO)
            })
            .into();
        let findings = bed.findings(&samples);
        assert_eq!(findings.len(), 1);
        let finding = &findings[0];
        assert_eq!(
            (finding.rule, finding.severity, finding.confidence),
            ("range-only-match", Severity::Note, Confidence::Low)
        );
        assert_eq!(finding.ports, [(49200, 49201), (51000, 51000)]);
        assert_eq!(
            finding.message,
            "client 10.20.0.101 reaches mediation med01 on tcp/49200-49201,51000, which only the \
             range of S40 matches; its content does not show media"
        );
        assert_eq!(finding.fingerprint, bed.only_finding(&samples[2]).fingerprint);
    }

    #[test]
    fn a_range_that_is_not_for_media_is_not_said_to_be() {
        let sample =
            flow("10.0.1.11:51000", "10.0.1.41:49668").class(Class::RangeUnconfirmed).row(RPC);
        let message = Testbed::default().only_finding(&sample).message;
        assert!(message.ends_with("; its content does not show what it is"), "{message}");
    }

    #[test]
    fn silent_when_the_content_says_media() {
        let sample =
            flow("10.20.0.101:50020", "10.0.1.31:49200").class(Class::Confirmed).row(AUDIO);
        assert_eq!(Testbed::default().fires(&RULE, &sample), None);
    }
}
