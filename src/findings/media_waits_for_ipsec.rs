//! A negotiation that media caused, or that began with it, though the hosts are to leave media alone.

use super::ipsec::{HeldUp, Level};
use super::{Case, Rule, Severity, Sight, Spark, Telling};
use crate::identify::Confidence;

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

/// What the rule says once all flows are known.
pub(super) fn late(case: &Case<'_>, held_up: &HeldUp<'_>) -> Spark {
    let likely = held_up.ground.level(case.judged.flow.packets()) >= Level::Likely;
    let (severity, confidence) = if likely {
        (Severity::Warning, Confidence::Medium)
    } else {
        (Severity::Note, Confidence::Low)
    };
    Spark {
        severity,
        confidence,
        expectation: held_up.rows.iter().map(|(row, _)| row.key).min(),
        rows: held_up.rows.iter().map(|(row, _)| row.key).collect(),
        misfit: None,
        range: Some("media-range"),
        frame: Some(held_up.frame),
        detail: Some(held_up.detail.clone().into()),
    }
}

fn message(telling: &Telling<'_>) -> String {
    let number = match telling.flows() {
        0 | 1 => "an IPsec negotiation".to_owned(),
        flows => format!("{flows} IPsec negotiations"),
    };
    format!(
        "{number} came with media between {} and {} on {}, {}; {} it",
        telling.initiator(),
        telling.responder(),
        telling.service(),
        telling.details(),
        telling.rows_do("exempts", "exempt"),
    )
}
