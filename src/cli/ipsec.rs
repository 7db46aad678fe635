//! `ipsec`: exported IPsec policies against the exemption rows.

use std::collections::BTreeSet;

use super::args::{self, FailOn};
use super::exports::{is_named, labelled, nearest, unknown_owner};
use super::list::unknown_format;
use super::terminal::Terminal;
use super::{EXIT_ERROR, Ended, load_policy, to_stdout};
use crate::error::Error;
use crate::findings::Severity;
use crate::findings::exported::{self, ExportsAnswer, Standing};
use crate::policy::Policy;
use crate::policy::asked::Owner;
use crate::policy::exports::Export;
use crate::report::Overall;
use crate::report::ipsec::{FORMATS, IpsecReport};
use crate::report::text::counted;

pub(super) fn ipsec(args: &args::Ipsec, terminal: &Terminal) -> Ended {
    let policy = load_policy(&args.expected)?;
    let Some(topology) = policy.topology() else {
        return Err(Error::Usage(
            "the rows are about roles: name a topology with --topology, which says whose addresses are which role's".into(),
        )
        .into());
    };
    if args.host.is_some() && args.exports.len() > 1 {
        let text = "--host names the host of one export; with several, write NAME=FILE for each";
        return Err(Error::Usage(text.into()).into());
    }
    let mut exports = Vec::new();
    let mut errors = Vec::new();
    let mut strangers = BTreeSet::new();
    for given in &args.exports {
        let (label, path) = labelled(given);
        let named = is_named(given);
        let label = args.host.clone().unwrap_or(label);
        let owner = topology.owner_named(&label);
        if owner.is_none() && args.host.is_some() {
            return Err(unknown_owner(&format!("--host {label}"), &label, &policy, "").into());
        }
        if owner.is_none() && named {
            strangers.insert(label.clone());
        }
        match Export::load(&path, &label) {
            Ok(export) => exports.push((export, owner)),
            Err(error) => {
                terminal.error(&error);
                errors.push(error.to_string());
            }
        }
    }
    let report = conclude(&policy, &exports, &strangers, errors, &args.verdict);
    let name = args.format.name();
    let Some(format) = FORMATS.iter().find(|known| known.name == name) else {
        return Err(unknown_format(name));
    };
    to_stdout(|out| (format.write)(&report, terminal.style(), out))?;
    terminal.reason(report.exit_code, &report.reason);
    Ok(report.exit_code)
}

fn conclude(
    policy: &Policy,
    exports: &[(Export, Option<Owner>)],
    strangers: &BTreeSet<String>,
    errors: Vec<String>,
    verdict: &args::Verdict,
) -> IpsecReport {
    let mut answer = exported::judge(policy, exports);
    for export in &mut answer.exports {
        if strangers.contains(&export.label) {
            let hint = nearest(&export.label, policy).unwrap_or_default();
            export.cautions.push(exported::stranger(&export.label, &hint));
        }
    }
    let (overall, mut exit_code, mut reason) = decide(&answer, verdict);
    if verdict.exit_zero {
        exit_code = 0;
    }
    if !errors.is_empty() {
        exit_code = EXIT_ERROR;
        let unread = counted(errors.len() as u64, "export", "exports");
        reason = if exports.is_empty() {
            format!("{unread} could not be read")
        } else {
            format!("{unread} could not be read; otherwise: {reason}")
        };
    }
    let overall = if exports.is_empty() { Overall::Inconclusive } else { overall };
    IpsecReport { answer, overall, exit_code, reason, errors }
}

fn decide(answer: &ExportsAnswer, verdict: &args::Verdict) -> (Overall, u8, String) {
    let at = match verdict.fail_on {
        FailOn::Error => Some(Severity::Error),
        FailOn::Warning => Some(Severity::Warning),
        FailOn::Note => Some(Severity::Note),
        FailOn::Never => None,
    };
    let (rows, cautions) = at.map_or((0, 0), |at| answer.failing(at));
    let on = counted(answer.exports.len() as u64, "export", "exports");
    if rows + cautions > 0 {
        let not = counted(rows as u64, "row is", "rows are");
        let told = counted(cautions as u64, "caution counts", "cautions count");
        let reason = match (rows, cautions) {
            (_, 0) => format!("{not} not exempt in {on}"),
            (0, _) => format!("{told} by --fail-on in {on}; no row lacks its exemption"),
            _ => format!("{not} not exempt in {on}, and {told} by --fail-on"),
        };
        return (Overall::Fail, 1, reason);
    }
    let undecided = answer.undecided();
    let nothing = answer.decided() == 0;
    if undecided > 0 || nothing {
        let reason = if undecided > 0 {
            format!("{} undecided in {on}", counted(undecided as u64, "row is", "rows are"))
        } else {
            "no row applies: the topology has no host of a role that the rows name".to_owned()
        };
        return (Overall::Inconclusive, if verdict.allow_inconclusive { 0 } else { 3 }, reason);
    }
    let below = answer.failing(Severity::Error).0;
    let reason = if below > 0 {
        format!(
            "{} not exempt in {on}, below --fail-on",
            counted(below as u64, "row is", "rows are")
        )
    } else {
        passed(answer, &on)
    };
    (Overall::Pass, 0, reason)
}

/// What a pass rests on.
fn passed(answer: &ExportsAnswer, on: &str) -> String {
    let [exempt, open] = [Standing::Present, Standing::NotSecured].map(|s| answer.count(s) as u64);
    let rows = counted(exempt, "row is", "rows are");
    let mut reason = match (exempt, open) {
        (_, 0) => format!("{rows} exempt in {on}"),
        (0, _) => format!("no row is secured in {on}, so that none need be exempt"),
        _ => format!("{rows} exempt and {open} not secured in {on}"),
    };
    let empty = answer.without_rules() as u64;
    if empty > 0 {
        let empty = counted(empty, "export holds", "exports hold");
        reason = format!("{reason}; {empty} no rule at all");
    }
    if answer.peers_only() {
        reason.push_str("; only the peers' end was audited");
    }
    reason
}
