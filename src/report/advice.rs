//! What the reader should do next, with commands that can be copied.

use std::collections::BTreeSet;

use super::text::{counted, listed, shell_word};
use super::{Grade, Overall, Report};
use crate::findings::audit::ExpectedState;
use crate::input::Format as CaptureFormat;
use crate::policy::Class;

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
            format!(" (and likewise {})", counted(others, "other rule", "other rules"))
        };
        steps.push(format!(
            "Why it matters and every step of the remedy: `portassay explain {}`{rest}.",
            worst.rule
        ));
        steps.push(
            "See the packets in Wireshark: open the capture and paste the finding's filter.".into(),
        );
        steps.push(
            "What is meant to be goes into the policy: a row in a file of your own, given with \
             `--policy`."
                .into(),
        );
    }
    steps.extend(capture_again(report));
    let never =
        report.summary.expected.iter().filter(|e| e.state == ExpectedState::NeverSeen).count()
            as u64;
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
        "Write site.toml: a `[[host]]` with `name`, `addresses` and `roles` for each server, a \
         `[[network]]` with `name`, `prefixes` and `roles` for each range of clients."
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
    let named = report.captures.iter().all(|c| c.format != CaptureFormat::Live && c.path != "-");
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
    if sum(|c| c.tally.dropped().unwrap_or(0)) > 0 {
        wants.push("a larger capture buffer (`dumpcap -B 64`)".into());
    }
    if report.captures.iter().any(|c| c.damage.is_some()) {
        wants.push("undamaged files (copy them again, or end the capture properly)".into());
    }
    if report.untracked_packets > 0 {
        wants.push("fewer flows at a time (a filter with `-f`, or shorter captures)".into());
    }
    if wants.is_empty() {
        let classes = &report.summary.by_class;
        let judged = classes.iter().any(|(c, totals)| *c != Class::OutOfScope && totals.flows > 0);
        // Without roles that alone is the reason, whatever the captures are like.
        if !report.topology && report.reasons.len() <= 1 {
            return Vec::new();
        }
        if report.topology && !judged && report.summary.flows > 0 {
            let captures = capture_arguments(report);
            return vec![format!(
                "Compare the topology's addresses with those seen: `portassay flows {captures}`."
            )];
        }
        return vec![
            "For a firmer answer capture both directions at the servers' own switch ports.".into(),
        ];
    }
    vec![format!("For a firmer answer capture again with {}.", listed(&wants))]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::specimen::{empty, failing, first_contact};

    #[test]
    fn findings_lead_to_their_explanation_and_their_frames() {
        let steps = next_steps(&failing());
        assert!(steps[0].contains("`portassay explain cleartext-signalling`"));
        assert!(steps[1].contains("Wireshark"));
        assert!(steps[3].contains("whole frames (`dumpcap -s 0`) and undamaged files"));
        assert_eq!(steps.len(), 4);
    }

    #[test]
    fn a_pass_says_what_was_not_seen() {
        let mut report = failing();
        report.summary.findings.clear();
        report.overall = Overall::Pass;
        report.grade = Grade::Good;
        let steps = next_steps(&report);
        assert_eq!(steps.len(), 2);
        assert!(steps[0].starts_with("1 expected service was never seen: capture longer"));
        assert!(steps[1].contains("`portassay test`"));
        assert_eq!(next_steps(&empty()).len(), 1);
    }

    #[test]
    fn another_capture_is_asked_for_only_where_the_capture_lacks_something() {
        let mut report = first_contact();
        report.grade = Grade::Inconclusive;
        report.reasons = vec!["no topology was given".into()];
        let about_capture = |report: &Report| {
            next_steps(report).iter().any(|step| step.starts_with("For a firmer answer"))
        };
        assert!(!about_capture(&report));
        report.reasons.push("90.0 % of the TCP flows show one direction only".into());
        assert!(about_capture(&report));
    }

    #[test]
    fn a_topology_of_other_addresses_leads_to_the_flows() {
        let mut report = first_contact();
        report.topology = true;
        report.grade = Grade::Inconclusive;
        report.summary.flows = 3;
        let steps = next_steps(&report);
        let words = "addresses with those seen: `portassay flows 'my site.pcapng'`.";
        assert!(steps.iter().any(|step| step.ends_with(words)), "{steps:?}");
    }

    #[test]
    fn commands_can_be_copied() {
        let mut report = first_contact();
        let last = |report: &Report| next_steps(report).last().cloned().unwrap_or_default();
        assert_eq!(
            last(&report),
            "Then compare: `portassay check 'my site.pcapng' --topology site.toml`."
        );
        report.captures[0].path = "-".into();
        assert!(last(&report).contains("`portassay check CAPTURE... --topology"));
        report.captures[0].path = "eth0".into();
        report.captures[0].format = CaptureFormat::Live;
        assert!(last(&report).contains("`portassay watch -i eth0 --topology"));
        report.grade = Grade::Degraded;
        report.untracked_packets = 3;
        assert!(last(&report).contains("fewer flows at a time"));
    }
}
