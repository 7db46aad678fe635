//! The answer in sentences: what every text format says in the same words.
//!
//! Nothing here is escaped or wrapped; whoever writes the words does that for its own format.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::text::{count, counted, listed, share, shell_word};
use super::{Grade, Overall, Report};
use crate::findings::audit::{ClassTotals, Exemption, Expected, ExpectedState};
use crate::findings::{PartyGroup, Severity};
use crate::input::Format as CaptureFormat;
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
        Overall::Pass => match found {
            None => format!("no findings {over}."),
            Some(found) => format!("{found} {over}, none grave enough to fail."),
        },
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

/// How many findings have a severity.
pub(super) fn number_of(report: &Report, severity: Severity) -> u64 {
    let of_it = |finding: &&crate::findings::Finding| finding.severity == severity;
    report.findings().iter().filter(of_it).count() as u64
}

/// One side of a finding: role, names, addresses; at most `limit` of each, where given.
pub(super) fn party(group: &PartyGroup, limit: Option<usize>) -> String {
    let names: Vec<String> = group.names.iter().cloned().collect();
    let addresses: Vec<String> = group.addresses.iter().map(IpAddr::to_string).collect();
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
    let explains = |class| {
        matches!(
            class,
            Class::Confirmed | Class::PortOnly | Class::Infrastructure
        )
    };
    let sum = |of: fn(&ClassTotals) -> u64| {
        let all = report.summary.by_class.iter();
        let whole = all.clone().map(|(_, totals)| of(totals)).sum();
        let part = all
            .filter(|(class, _)| explains(**class))
            .map(|(_, totals)| of(totals))
            .sum();
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
        counted(
            expected.len() as u64,
            "expected service",
            "expected services"
        )
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
    expected
        .iter()
        .filter(|e| !matches!(e.state, ExpectedState::Seen | ExpectedState::NeverSeen))
}

/// What is known of the IPsec exemptions, in one or two sentences.
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
    if report.strict {
        "strict"
    } else {
        "media-only"
    }
}

/// Exemptions that are, or may be, missing.
pub(super) fn missing_exemptions(report: &Report) -> impl Iterator<Item = &Exemption> {
    report
        .summary
        .exemptions
        .iter()
        .filter(|e| matches!(e.status, "proven" | "likely" | "possible"))
}

/// What the reader should do now, most useful first.
pub(super) fn next_steps(report: &Report) -> Vec<String> {
    if !report.topology {
        return steps_without_topology(report);
    }
    let mut steps = Vec::new();
    let rules: BTreeSet<&str> = report.findings().iter().map(|f| f.rule).collect();
    let worst = report.findings().first();
    if let Some(worst) = worst {
        let others = rules.len().saturating_sub(1) as u64;
        let rest = if others == 0 {
            String::new()
        } else {
            format!(
                " (and likewise {})",
                counted(others, "other rule", "other rules")
            )
        };
        steps.push(format!(
            "Why it matters and every step of the remedy: `portassay explain {}`{rest}.",
            worst.rule
        ));
        steps.push(
            "See the frames in Wireshark: run the same command with `-w findings.pcapng`.".into(),
        );
        steps.push(
            "Accept what is meant to be: `--write-baseline accepted.json` once, then \
             `--baseline accepted.json`."
                .into(),
        );
    }
    steps.extend(capture_again(report));
    let never = report
        .summary
        .expected
        .iter()
        .filter(|e| e.state == ExpectedState::NeverSeen)
        .count() as u64;
    if worst.is_none() && never > 0 {
        steps.push(format!(
            "{} never seen: capture longer, or nearer to the hosts; `--format json` lists them.",
            counted(never, "expected service was", "expected services were")
        ));
    }
    if worst.is_none() && report.overall == Overall::Pass {
        steps.push(
            "Keep it so: put the captures into a folder of fixtures and run `portassay test` on it."
                .into(),
        );
    }
    steps
}

fn steps_without_topology(report: &Report) -> Vec<String> {
    let captures = capture_arguments(report);
    let mut steps = vec![
        format!(
            "Draft a topology from this traffic: `portassay infer {captures} > site.toml`, then \
             correct the roles in it."
        ),
        "Or write site.toml by hand: a `[[host]]` with `name`, `addresses` and `roles` for each \
         server, a `[[network]]` with `name`, `prefixes` and `roles` for each range of clients."
            .into(),
    ];
    if let Some(host) = report.seeming_roles.first() {
        steps.push(format!(
            "For example `[[host]]` `name = \"{0}-1\"` `addresses = [\"{1}\"]` `roles = [\"{0}\"]`.",
            host.role, host.address
        ));
    }
    steps.push(format!(
        "Then compare: `portassay {} --topology site.toml`.",
        again(report, &captures)
    ));
    steps.extend(capture_again(report));
    steps
}

/// The capture arguments of a copyable command: the paths when they are few, else a placeholder.
fn capture_arguments(report: &Report) -> String {
    let files: Vec<&str> = report.captures.iter().map(|c| c.path.as_str()).collect();
    let named = report
        .captures
        .iter()
        .all(|c| c.format != CaptureFormat::Live && c.path != "-");
    match files.as_slice() {
        [_] | [_, _] if named => {
            let words: Vec<_> = files.iter().map(|f| shell_word(f)).collect();
            words.join(" ")
        }
        _ => "CAPTURE...".into(),
    }
}

fn again(report: &Report, captures: &str) -> String {
    match report.captures.first() {
        Some(live) if live.format == CaptureFormat::Live => {
            format!("watch -i {}", shell_word(&live.path))
        }
        _ => format!("check {captures}"),
    }
}

/// What a better capture would need, from what this one lacks.
fn capture_again(report: &Report) -> Vec<String> {
    if report.grade == Grade::Good {
        return Vec::new();
    }
    let sum = |of: fn(&super::CaptureReport) -> u64| report.captures.iter().map(of).sum::<u64>();
    let mut wants: Vec<String> = Vec::new();
    if sum(|c| c.tally.truncated_frames) > 0 {
        wants.push("whole frames (`dumpcap -s 0`)".into());
    }
    if sum(|c| c.tally.dropped_by_capture.unwrap_or(0)) > 0 {
        wants.push("a larger capture buffer (`dumpcap -B 64`)".into());
    }
    if report.captures.iter().any(|c| c.damage.is_some()) {
        wants.push("undamaged files (copy them again, or end the capture properly)".into());
    }
    if report.untracked_packets > 0 {
        wants.push("fewer flows at a time (a filter with `-f`, or shorter captures)".into());
    }
    if wants.is_empty() {
        return vec![
            "For a firmer answer capture both directions at the servers' own switch ports.".into(),
        ];
    }
    vec![format!(
        "For a firmer answer capture again with {}.",
        listed(&wants)
    )]
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
