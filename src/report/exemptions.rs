//! What the report says for people about each IPsec exemption, and the commands that make the missing ones: the
//! table and Markdown show the same.

use super::Report;
use super::text::{count, counted, listed, shown_milliseconds};
use crate::findings::audit::{Configured, Exemption};
use crate::findings::remedy;

/// Exemptions about which something was seen or set up, in the policy's order.
pub(super) fn told(report: &Report) -> impl Iterator<Item = &Exemption> {
    let told = |e: &&Exemption| {
        !matches!(e.status, "not-applicable" | "not-observed") || !e.configured.is_empty()
    };
    report.summary.exemptions.iter().filter(told)
}

/// What a pass does not say: that exemptions may be missing all the same.
pub(super) fn unsettled(report: &Report) -> Option<String> {
    let of = |status: &str| {
        let number = report.summary.exemptions.iter().filter(|e| e.status == status).count();
        (number > 0).then(|| format!("{} {status}", count(number as u64)))
    };
    let parts: Vec<String> =
        ["proven", "likely", "possible", "inconclusive"].into_iter().filter_map(of).collect();
    (!parts.is_empty())
        .then(|| format!("IPsec exemptions missing or in doubt: {}.", listed(&parts)))
}

/// One exemption in a line: `proven: X05 Mediation Server Inbound, 1 peer (10.20.0.5), media waited
/// 253.926 ms`.
pub(super) fn headline(exemption: &Exemption) -> String {
    format!("{}: {}", exemption.status, about(exemption))
}

/// The same without the answer.
pub(super) fn about(exemption: &Exemption) -> String {
    let mut parts = vec![format!("{} {}", exemption.row, exemption.name)];
    parts.extend(exemption.reason.map(|reason| reason.replace('-', " ")));
    if exemption.partly_exempt {
        parts.push("though other media came in clear".to_owned());
    }
    if exemption.peers.count > 0 {
        parts.push(peers(exemption));
    }
    let waited = exemption.delay.filter(|ns| *ns > 0);
    parts.extend(waited.map(|ns| format!("media waited {}", shown_milliseconds(ns))));
    if !exemption.grounds.is_empty() {
        parts.push(format!("by {}", exemption.grounds.join(" and ")));
    }
    if !exemption.same_as.is_empty() {
        parts.push(format!("the same traffic as {}", listed(&exemption.same_as)));
    }
    parts.join(", ")
}

/// How an exported rule stands to what was seen, before its sentence.
pub(super) fn relation(configured: &Configured) -> &'static str {
    if configured.contradicts { "contradiction:" } else { "configured:" }
}

fn peers(exemption: &Exemption) -> String {
    let peers = &exemption.peers;
    let names: Vec<String> = peers.addresses.iter().map(ToString::to_string).collect();
    let more = if peers.count > names.len() { ", ..." } else { "" };
    format!("{} ({}{more})", counted(peers.count as u64, "peer", "peers"), names.join(", "))
}

/// The PowerShell commands that make the missing exemptions, each set once with the rows that it is for: also those
/// that lie within a wider row that is missing too.
pub(super) fn mends(report: &Report) -> Vec<(Vec<&str>, Vec<&str>)> {
    let missing: Vec<&Exemption> = told(report).filter(|e| commands(e).next().is_some()).collect();
    let mut mends: Vec<(Vec<&str>, Vec<&str>)> = Vec::new();
    for exemption in &missing {
        let commands: Vec<&str> = commands(widest(exemption, &missing)).collect();
        match mends.iter_mut().find(|(_, known)| *known == commands) {
            Some((rows, _)) => rows.push(&exemption.row),
            None => mends.push((vec![&exemption.row], commands)),
        }
    }
    mends
}

/// What to mind before the rules of a row are made, each once with the rows that it is for.
pub(super) fn cautions(report: &Report) -> Vec<(Vec<&str>, &str)> {
    let mut cautions: Vec<(Vec<&str>, &str)> = Vec::new();
    for exemption in told(report) {
        let Some(caution) = remedy::caution(&exemption.remedy) else { continue };
        match cautions.iter_mut().find(|(_, known)| *known == caution) {
            Some((rows, _)) => rows.push(&exemption.row),
            None => cautions.push((vec![&exemption.row], caution)),
        }
    }
    cautions
}

fn commands(exemption: &Exemption) -> impl Iterator<Item = &str> {
    exemption.remedy.iter().map(String::as_str).filter(|step| step.starts_with(COMMAND))
}

/// The missing exemption that does for this one.
fn widest<'r>(exemption: &'r Exemption, missing: &[&'r Exemption]) -> &'r Exemption {
    let mut widest = exemption;
    // Each step leads to a wider one, so that there are never more than there are rows.
    for _ in missing {
        let Some(mut rows) = remedy::within(&widest.remedy) else { break };
        let wider = rows.find_map(|row| missing.iter().find(|other| other.row == row));
        let Some(wider) = wider else { break };
        widest = wider;
    }
    widest
}

/// What the commands do not say.
pub(super) const BOTH_ENDS: &str = "Both ends need their rules: the one called \"own end\" is for the hosts of the role. Other tools, Linux, and how to take them back: `portassay plan -t TOPOLOGY --only exempt`.";

/// How the commands for PowerShell begin.
const COMMAND: &str = "New-NetIPsecRule ";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::specimen::failing;

    #[test]
    fn an_exemption_is_one_line_with_all_that_is_known() {
        let report = failing();
        let all: Vec<String> = told(&report).map(headline).collect();
        assert_eq!(
            all,
            ["proven: X05 A/V Edge internal, 1 peer (10.0.4.1), media waited 141.900 ms, by \
                media-content, the same traffic as X09"]
        );
    }

    #[test]
    fn what_a_pass_leaves_open_is_said() {
        let mut report = failing();
        assert_eq!(
            unsettled(&report).as_deref(),
            Some("IPsec exemptions missing or in doubt: 1 proven.")
        );
        report.summary.exemptions[0].status = "inconclusive";
        report.summary.exemptions[1].status = "likely";
        let both = "IPsec exemptions missing or in doubt: 1 likely and 1 inconclusive.";
        assert_eq!(unsettled(&report).as_deref(), Some(both));
        report.summary.exemptions.clear();
        assert_eq!(unsettled(&report), None);
    }

    #[test]
    fn rows_with_the_same_commands_share_them() {
        let mut report = failing();
        for exemption in &mut report.summary.exemptions {
            exemption.status = "likely";
            exemption.remedy = vec!["Both.".into(), "New-NetIPsecRule -DisplayName 'x'".into()];
        }
        let rows: Vec<_> = mends(&report);
        assert_eq!(rows, [(vec!["X05", "X06"], vec!["New-NetIPsecRule -DisplayName 'x'"])]);
    }
    #[test]
    fn a_row_within_a_wider_one_takes_its_commands() {
        let mut report = failing();
        let command = |name: &str| format!("New-NetIPsecRule -DisplayName '{name}'");
        for (exemption, name) in report.summary.exemptions.iter_mut().zip(["narrow", "wide"]) {
            exemption.status = "likely";
            exemption.remedy = vec![command(name)];
        }
        assert_eq!(mends(&report).len(), 2);
        let step = "All of this lies within the rules of X06+X07 (Wide): no more.";
        report.summary.exemptions[0].remedy.insert(0, step.into());
        assert_eq!(mends(&report), [(vec!["X05", "X06"], vec![command("wide").as_str()])]);
        report.summary.exemptions[1].status = "not-observed";
        assert_eq!(mends(&report)[0].1, [command("narrow")], "the wider row is not missing");
    }
}
