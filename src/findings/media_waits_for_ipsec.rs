//! A negotiation that media caused, or that began with it, though the hosts are to leave media alone.

use super::ipsec::{Ground, HeldUp};
use super::{Case, Rule, Severity, Sight, Spark, Telling};

pub(super) const RULE: Rule = Rule {
    name: "media-waits-for-ipsec",
    severity: Severity::Warning,
    what: "Two hosts negotiate IPsec as media between them begins, though the media is to be exempt.",
    why: "Until the negotiation ends, media ports cannot be used, or a fall back to clear has to be waited for. Calls start late or lose their first words, even where the media then flows in clear.",
    remedy: &[
        "The host that begins the negotiation has no exemption for what it sends: make it there. Where ESP follows, both ends lack it.",
        "If the negotiation fails or nobody answers it, the other end is exempt already, or has no IPsec policy: the exemption is missing on this end only.",
        "Other traffic between the same two hosts may have begun it as well; where the report says so, look whether it begins again with the next call.",
        "The report names the commands for each row under ipsec.exemptions, and portassay plan prints them for the whole topology.",
    ],
    sight: Sight::OneWay,
    // What else the two hosts do decides, so it is asked when all flows are known.
    check: |_| None,
    message,
};

/// What the rule says once all flows are known, of media and the negotiations that came with it: more than one where
/// both hosts ask at once.
pub(super) fn late(case: &Case<'_>, all: &[HeldUp<'_>]) -> Option<Spark> {
    let ground: Ground = all.iter().map(|held_up| held_up.ground).max()?;
    let (severity, confidence) = ground.level(case.judged.flow.packets()).grade();
    let rows = || all.iter().flat_map(|held_up| &held_up.rows).map(|(row, _)| *row);
    Some(Spark {
        severity,
        confidence,
        expectation: case.lead(rows()),
        rows: rows().map(|row| row.key).collect(),
        misfit: None,
        range: Some("media-range"),
        frame: all.iter().map(|held_up| held_up.frame).min(),
        detail: None,
    })
}

fn message(telling: &Telling<'_>) -> String {
    let (number, longest) = match telling.flows() {
        0 | 1 => ("an IPsec negotiation".to_owned(), ", "),
        flows => (format!("{flows} IPsec negotiations"), "; media waited longest for one "),
    };
    format!(
        "{number} came with media between {} and {} on {}{longest}{}; {} it",
        telling.initiator(),
        telling.responder(),
        telling.service(),
        telling.longest_wait(),
        telling.rows_do("exempts", "exempt"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::Negotiations;
    use crate::findings::negotiations::testing::{Told, at, end, message};
    use crate::findings::testbed::{EXEMPT_IN, EXEMPT_OUT, Sample, Testbed, flow};
    use crate::flow::FrameRef;
    use crate::identify::Confidence;
    use crate::input::Timestamp;
    use crate::policy::MediaSign;

    /// In ms.
    const BEGIN: i64 = 20_000;

    /// The client asks the mediation server so many times, half a second apart.
    fn asked(tries: u64) -> Testbed {
        let mut negotiations = Negotiations::default();
        for nth in 0..tries {
            let time = Timestamp((BEGIN + nth.cast_signed() * 500) * 1_000_000);
            let (from, to) = (end("10.20.0.101"), end("10.0.1.31"));
            negotiations.take(&message(&Told::default()), from, to, at(nth + 4), time);
        }
        Testbed { negotiations, ..Testbed::default() }
    }

    fn media(first: i64) -> Sample {
        media_of("10.20.0.101:50020", first)
    }

    fn media_of(client: &str, first: i64) -> Sample {
        let sample = flow(client, "10.0.1.31:49200").udp().protocol("rtp");
        let sign = MediaSign::Content;
        sample
            .exempt(&[(EXEMPT_IN, sign), (EXEMPT_OUT, sign)])
            .packets(40, 40)
            .during(BEGIN + first, BEGIN + first + 800)
    }

    #[test]
    fn media_that_fall_back_to_clear_are_told_with_their_wait() {
        let finding = asked(3).only_finding(&media(3_000));
        assert_eq!(finding.rule, RULE.name);
        assert_eq!((finding.severity, finding.confidence), (Severity::Warning, Confidence::Medium));
        assert_eq!(finding.expectation.as_deref(), Some("X05"));
        assert_eq!(finding.frames, [FrameRef { capture: 0, frame: 4 }]);
        assert_eq!(
            finding.message,
            "an IPsec negotiation came with media between client 10.20.0.101 and mediation med01 on \
             udp/49200, which nobody answered; media fell back to clear after 3000.000 ms; X05 exempts it"
        );
    }

    /// Each of these asks another twice, half a second apart.
    fn both(asking: [[&str; 2]; 2]) -> Testbed {
        let mut negotiations = Negotiations::default();
        for (nth, [from, to]) in asking.into_iter().enumerate() {
            for turn in 0..2 {
                let told = Told { cookie: nth as u64 + 1, ..Told::default() };
                let time = Timestamp((BEGIN + turn * 500) * 1_000_000);
                let frame = at(nth as u64 * 2 + turn.unsigned_abs() + 4);
                negotiations.take(&message(&told), end(from), end(to), frame, time);
            }
        }
        Testbed { negotiations, ..Testbed::default() }
    }

    #[test]
    fn media_for_which_both_hosts_ask_count_once() {
        let asking = [["10.20.0.101", "10.0.1.31"], ["10.0.1.31", "10.20.0.101"]];
        let finding = both(asking).only_finding(&media(3_000));
        assert_eq!((finding.flows, finding.packets, finding.bytes), (1, 80, 8_000));
        assert!(finding.message.ends_with("; X05, X06 exempt it"), "{}", finding.message);
    }

    #[test]
    fn of_several_the_longest_wait_is_told() {
        let bed = both([["10.20.0.101", "10.0.1.31"], ["10.20.0.102", "10.0.1.31"]]);
        let samples = [media(900), media_of("10.20.0.102:50020", 3_000).frame(9)];
        let [finding] = bed.findings(&samples).try_into().expect("one finding");
        assert_eq!(
            finding.message,
            "2 IPsec negotiations came with media between client hosts 10.20.0.101, 10.20.0.102 and \
             mediation med01 on udp/49200; media waited longest for one which nobody answered; media \
             fell back to clear after 3000.000 ms; X05 exempts it"
        );
    }

    #[test]
    fn other_traffic_that_began_with_it_makes_it_a_note() {
        let smb = flow("10.20.0.101:50001", "10.0.1.31:445").during(BEGIN - 2, BEGIN + 100);
        let findings = asked(3).findings(&[media(3_000), smb]);
        let told: Vec<_> = findings.iter().filter(|finding| finding.rule == RULE.name).collect();
        assert_eq!(told.len(), 1);
        assert_eq!((told[0].severity, told[0].confidence), (Severity::Note, Confidence::Low));
    }

    #[test]
    fn one_unanswered_message_and_media_without_a_row_are_silent() {
        let silent = |bed: Testbed, media: Sample| {
            let findings = bed.findings(&[media]);
            assert!(findings.iter().all(|finding| finding.rule != RULE.name), "{findings:#?}");
        };
        silent(asked(1), media(3_000));
        silent(asked(0), media(3_000));
        silent(asked(3), media(3_000).exempt(&[]));
        silent(asked(3), media(10_001));
    }
}
