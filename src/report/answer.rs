//! The answer in sentences: what every text format says in the same words.
//!
//! Nothing here is escaped or wrapped; whoever writes the words does that for its own format.

use super::text::{count, counted, listed, share};
use super::{Grade, Overall, Report, exemptions};
use crate::findings::audit::{ClassTotals, Expected, ExpectedState};
use crate::findings::{PartyGroup, Severity};
use crate::policy::Class;

/// The answer in one word.
pub(super) fn word(overall: Overall) -> &'static str {
    match overall {
        Overall::Pass => "PASS",
        Overall::Fail => "FAIL",
        Overall::Inconclusive => "INCONCLUSIVE",
    }
}

/// The sentence behind the word.
pub(super) fn headline(report: &Report) -> String {
    let over = format!(
        "in {} of {}",
        counted(report.summary.flows, "flow", "flows"),
        counted(report.captures.len() as u64, "capture", "captures")
    );
    let found = findings_in_words(report);
    match report.overall {
        Overall::Fail => format!("{} {over}.", found.unwrap_or_else(|| "findings".into())),
        Overall::Pass => {
            let open = exemptions::unsettled(report).map(|open| format!(" {open}"));
            let open = open.unwrap_or_default();
            match found {
                None => format!("no findings {over}.{open}"),
                Some(found) => format!("{found} {over}, none grave enough to fail.{open}"),
            }
        }
        Overall::Inconclusive => {
            let cause = match report.reasons.first() {
                Some(reason) => reason.trim_end_matches('.').to_string(),
                None if !report.topology => {
                    "without a topology nothing says which traffic is expected".into()
                }
                None => "the captures cannot support a pass".into(),
            };
            let found = found.unwrap_or_else(|| "no findings".into());
            format!("{cause}; {found} {over}.")
        }
    }
}

/// How many findings of each severity, worst first, such as `2 errors and 1 note`.
pub(super) fn findings_in_words(report: &Report) -> Option<String> {
    let parts: Vec<String> = [Severity::Error, Severity::Warning, Severity::Note]
        .into_iter()
        .map(|severity| (severity, number_of(report, severity)))
        .filter(|&(_, number)| number > 0)
        .map(|(severity, number)| {
            let one = severity.token();
            counted(number, one, &format!("{one}s"))
        })
        .collect();
    (!parts.is_empty()).then(|| listed(&parts))
}

/// A finding in one line for people, as it appears.
pub fn finding_sentence(finding: &crate::findings::Finding) -> String {
    let text = format!("{}: {}: {}", finding.severity.token(), finding.rule, finding.message);
    super::text::escape(&text).into_owned()
}

/// How many findings have a severity.
pub(super) fn number_of(report: &Report, severity: Severity) -> u64 {
    let of_it = |finding: &&crate::findings::Finding| finding.severity == severity;
    report.findings().iter().filter(of_it).count() as u64
}

/// One side of a finding: role, names, addresses; at most `limit` of each, where given. Names that
/// the captures give stand behind the addresses.
pub(super) fn party(report: &Report, group: &PartyGroup, limit: Option<usize>) -> String {
    let names: Vec<String> = group.names.iter().cloned().collect();
    let addresses: Vec<String> =
        group.addresses.iter().map(|address| report.address(*address)).collect();
    let names = some_of(&names, limit, false);
    let addresses = some_of(&addresses, limit, group.more_addresses);
    let who = match &group.role {
        Some(role) if names.is_empty() => role.clone(),
        Some(role) => format!("{role} {names}"),
        None => names,
    };
    match (who.is_empty(), addresses.is_empty()) {
        (true, true) => "unknown".into(),
        (true, false) => format!("{addresses} (no role)"),
        (false, true) => who,
        (false, false) => format!("{who} ({addresses})"),
    }
}

/// The first items of a list and how many follow. `open` when the list itself was cut.
fn some_of(items: &[String], limit: Option<usize>, open: bool) -> String {
    let shown = limit.map_or(items.len(), |limit| limit.min(items.len()));
    let hidden = items.len() - shown;
    let head = items.get(..shown).unwrap_or(items).join(", ");
    match (hidden, open) {
        (0, false) => head,
        (0, true) => format!("{head} and more"),
        (hidden, false) => format!("{head} and {} more", count(hidden as u64)),
        (hidden, true) => format!("{head} and over {} more", count(hidden as u64)),
    }
}

/// How much of the traffic an expectation explains.
pub(super) fn explained(report: &Report) -> String {
    let explains =
        |class| matches!(class, Class::Confirmed | Class::PortOnly | Class::Infrastructure);
    let sum = |of: fn(&ClassTotals) -> u64| {
        let all = report.summary.by_class.iter();
        let whole = all.clone().map(|(_, totals)| of(totals)).sum();
        let part = all.filter(|(class, _)| explains(**class)).map(|(_, totals)| of(totals)).sum();
        share(part, whole)
    };
    format!(
        "Explained by an expectation: {} of the flows, {} of the packets, {} of the bytes.",
        sum(|t| t.flows),
        sum(|t| t.packets),
        sum(|t| t.bytes)
    )
}

/// The grade in one word, as machine output spells it.
pub(super) fn grade(grade: Grade) -> &'static str {
    match grade {
        Grade::Good => "good",
        Grade::Degraded => "degraded",
        Grade::Inconclusive => "inconclusive",
    }
}

/// What became of an expected service, as machine output spells it.
pub(super) fn state(state: ExpectedState) -> &'static str {
    match state {
        ExpectedState::NeverSeen => "never-seen",
        ExpectedState::Unanswered => "unanswered",
        ExpectedState::Refused => "refused",
        ExpectedState::Prohibited => "prohibited",
        ExpectedState::Seen => "seen",
    }
}

/// How many expected services came to which end, in one sentence.
pub(super) fn expected_in_words(expected: &[Expected]) -> String {
    let number = |state| expected.iter().filter(|e| e.state == state).count() as u64;
    let mut parts = vec![format!(
        "{} of {} seen",
        count(number(ExpectedState::Seen)),
        counted(expected.len() as u64, "expected service", "expected services")
    )];
    for (state, words) in [
        (ExpectedState::Prohibited, "prohibited"),
        (ExpectedState::Refused, "refused"),
        (ExpectedState::Unanswered, "unanswered"),
        (ExpectedState::NeverSeen, "never seen in these captures"),
    ] {
        if number(state) > 0 {
            parts.push(format!("{} {words}", count(number(state))));
        }
    }
    format!("{}.", listed(&parts))
}

/// Expected services that were tried and failed.
pub(super) fn failed_services(expected: &[Expected]) -> impl Iterator<Item = &Expected> {
    expected.iter().filter(|e| !matches!(e.state, ExpectedState::Seen | ExpectedState::NeverSeen))
}

/// What is known of the `IPsec` exemptions, in one or two sentences.
pub(super) fn ipsec(report: &Report) -> String {
    let exemptions = &report.summary.exemptions;
    let deployed = if report.summary.ipsec_deployed {
        "IPsec is in use or declared"
    } else {
        "IPsec was neither seen nor declared"
    };
    if exemptions.is_empty() {
        return format!("{deployed}; no exemption applies to the hosts in the captures.");
    }
    let mut statuses: Vec<&str> = Vec::new();
    for exemption in exemptions {
        if !statuses.contains(&exemption.status) {
            statuses.push(exemption.status);
        }
    }
    statuses.sort_by_key(|status| STATUSES.iter().position(|known| known == status));
    let parts: Vec<String> = statuses
        .iter()
        .map(|status| {
            let number = exemptions.iter().filter(|e| e.status == *status).count();
            format!("{} {status}", count(number as u64))
        })
        .collect();
    format!(
        "{deployed}. {} ({} reading): {}.",
        counted(exemptions.len() as u64, "exemption", "exemptions"),
        ipsec_mode(report),
        listed(&parts)
    )
}

/// Which reading of the exemption table is in force.
pub(super) fn ipsec_mode(report: &Report) -> &'static str {
    if report.strict { "strict" } else { "media-only" }
}

/// Exemption statuses, gravest first.
const STATUSES: [&str; 7] = [
    "proven",
    "likely",
    "possible",
    "inconclusive",
    "exempt-seen",
    "not-observed",
    "not-applicable",
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::net::IpAddr;

    use super::*;
    use crate::report::specimen::{empty, failing, first_contact};

    #[test]
    fn a_finding_on_its_own_is_one_line() {
        let mut finding = failing().summary.findings.remove(0);
        finding.message = "SIP in clear\u{1b}[2J\ntext".into();
        let told = finding_sentence(&finding);
        assert!(told.starts_with("error: cleartext-signalling: SIP in clear"), "{told}");
        assert!(!told.contains(['\n', '\u{1b}']), "{told}");
    }

    #[test]
    fn the_headline_agrees_with_the_answer() {
        assert_eq!(headline(&failing()), "1 error and 1 warning in 1,234 flows of 2 captures.");
        assert_eq!(headline(&empty()), "no findings in 0 flows of 0 captures.");
        let mut report = failing();
        report.overall = Overall::Pass;
        report.summary.findings.remove(0);
        assert_eq!(
            headline(&report),
            "1 warning in 1,234 flows of 2 captures, none grave enough to fail. IPsec \
             exemptions missing or in doubt: 1 proven."
        );
        report.overall = Overall::Inconclusive;
        assert_eq!(
            headline(&report),
            "12 frames are cut short; 1 warning in 1,234 flows of 2 captures."
        );
        assert_eq!(
            headline(&first_contact()),
            "without a topology nothing says which traffic is expected; no findings in 40 flows \
             of 1 capture."
        );
    }

    #[test]
    fn parties_are_cut_only_where_asked() {
        let mut report = failing();
        let addresses: BTreeSet<IpAddr> = (1..=6).map(|n| IpAddr::from([10, 0, 0, n])).collect();
        let mut group =
            PartyGroup { role: Some("client".into()), addresses, ..PartyGroup::default() };
        assert_eq!(party(&report, &group, Some(2)), "client (10.0.0.1, 10.0.0.2 and 4 more)");
        let called = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        report.names.insert(IpAddr::from([10, 0, 0, 1]), called(&["pc7"]));
        report.names.insert(IpAddr::from([10, 0, 0, 2]), called(&["pc8", "x", "y"]));
        let named = "client (10.0.0.1 \"pc7\", 10.0.0.2 \"pc8\" and 2 more names and 4 more)";
        assert_eq!(party(&report, &group, Some(2)), named);
        report.names.clear();
        group.more_addresses = true;
        assert_eq!(party(&report, &group, Some(2)), "client (10.0.0.1, 10.0.0.2 and over 4 more)");
        assert!(party(&report, &group, None).ends_with("10.0.0.6 and more)"));
        group.role = None;
        assert!(party(&report, &group, Some(1)).ends_with("and over 5 more (no role)"));
        assert_eq!(party(&report, &PartyGroup::default(), None), "unknown");
    }

    #[test]
    fn shares_count_what_an_expectation_explains() {
        let mut report = failing();
        let moved = ClassTotals { flows: 1234, packets: 0, bytes: 0 };
        report.summary.by_class.insert(Class::OutOfScope, moved);
        assert_eq!(
            explained(&report),
            "Explained by an expectation: 49.9 % of the flows, 98.9 % of the packets, 99.5 % of \
             the bytes."
        );
    }

    #[test]
    fn exemptions_are_counted_gravest_first() {
        let mut report = failing();
        report.summary.exemptions.reverse();
        report.strict = true;
        assert_eq!(
            ipsec(&report),
            "IPsec is in use or declared. 2 exemptions (strict reading): 1 proven and 1 \
             not-observed."
        );
    }
}
