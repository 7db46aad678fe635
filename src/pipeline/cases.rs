//! Recorded cases: folders with a capture, its topology and what a correct audit must say.
//!
//! ```text
//! sip-in-clear-on-5061/
//!   capture.pcapng     any captures; all of them are audited
//!   topology.toml      optional, as for `check --topology`
//!   policy.toml        optional, as for `check --policy`
//!   case.toml          optional: inputs, options and the expectation
//!   expected.json      optional: the whole report, written by `test --bless`
//! ```
//!
//! A folder is a case when it holds `case.toml`, `expected.json` or a topology beside a capture.
//! Without any expectation the audit must pass.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::Deserialize;
use serde_json::Value;

use crate::error::{Error, Result};
use crate::findings::Severity;
use crate::flow::Limits;
use crate::pipeline::check::{self, Checked, Threshold};
use crate::pipeline::intake::Duplicates;
use crate::pipeline::read::{Progress, Reading};
use crate::policy::{Policy, Profile, Sources};
use crate::report::cases::{CaseResult, CaseState};
use crate::report::{FORMATS, Style};

/// What `case.toml` may say.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
struct CaseFile {
    captures: Vec<PathBuf>,
    topology: Option<PathBuf>,
    policy: Vec<PathBuf>,
    filter: Option<String>,
    profile: Option<String>,
    strict: bool,
    no_builtin: bool,
    keep_duplicates: bool,
    expect: Expect,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Expect {
    exit_code: Option<u8>,
    /// Rules that fire at severity warning or error: exactly these.
    findings: Option<BTreeSet<String>>,
    /// Rules that fire as notes: at least these.
    notes: BTreeSet<String>,
}

/// Finds the case folders below the given ones, sorted.
pub fn find(roots: &[PathBuf]) -> Result<Vec<(String, PathBuf)>> {
    let mut cases = Vec::new();
    for root in roots {
        let before = cases.len();
        collect(root, root, 0, &mut cases)?;
        if cases.len() == before {
            return Err(Error::Usage(format!(
                "no cases in {}: a case is a folder with a capture and a case.toml, an \
                 expected.json or a topology.toml",
                root.display()
            )));
        }
    }
    cases.sort();
    cases.dedup();
    Ok(cases)
}

/// Runs cases in parallel; the results keep the order of the cases.
pub fn run(cases: &[(String, PathBuf)], bless: bool) -> Vec<CaseResult> {
    cases.par_iter().map(|(name, folder)| run_one(name, folder, bless)).collect()
}

/// How deep case folders are looked for.
const MAX_DEPTH: usize = 8;
/// Bytes read of `case.toml` and `expected.json`.
const MAX_TEXT: u64 = 64 << 20;
/// Differences shown per case.
const MAX_DIFFERENCES: usize = 20;

fn collect(
    root: &Path,
    folder: &Path,
    depth: usize,
    cases: &mut Vec<(String, PathBuf)>,
) -> Result<()> {
    let listed: Result<BTreeSet<PathBuf>> = list(folder);
    let unreadable = listed.is_err();
    let paths = match listed {
        Err(error) if depth == 0 => return Err(error),
        // It may hold a case: it becomes one that says why it cannot be run.
        listed => listed.unwrap_or_default(),
    };
    if unreadable || is_case(&paths) {
        let name = folder.strip_prefix(root).unwrap_or(folder).display().to_string();
        let name = if name.is_empty() { folder.display().to_string() } else { name };
        cases.push((name, folder.to_path_buf()));
    }
    for path in paths.iter().filter(|path| path.is_dir() && !path.is_symlink()) {
        if depth < MAX_DEPTH {
            collect(root, path, depth + 1, cases)?;
        }
    }
    Ok(())
}

fn list(folder: &Path) -> Result<BTreeSet<PathBuf>> {
    let open = |source| Error::Open { path: folder.to_path_buf(), source };
    let entries = folder.read_dir().map_err(open)?;
    entries.map(|entry| entry.map(|entry| entry.path()).map_err(open)).collect()
}

/// The text of a file beside a case; `None` when there is none.
fn text_of(path: &Path) -> Result<Option<String>> {
    let open = |source| Error::Open { path: path.to_path_buf(), source };
    match path.metadata() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(open(source)),
        Ok(metadata) if !metadata.is_file() => {
            return Err(Error::Usage(format!("{}: not a regular file", path.display())));
        }
        Ok(_) => {}
    }
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(open)?;
    file.take(MAX_TEXT + 1).read_to_string(&mut text).map_err(open)?;
    if text.len() as u64 > MAX_TEXT {
        let limit = MAX_TEXT >> 20;
        return Err(Error::Usage(format!("{}: larger than {limit} MiB", path.display())));
    }
    Ok(Some(text))
}

fn is_case(paths: &BTreeSet<PathBuf>) -> bool {
    let has = |name: &str| paths.iter().any(|path| path.file_name().is_some_and(|n| n == name));
    has("case.toml")
        || has("expected.json")
        || (has("topology.toml") && paths.iter().any(|path| is_capture(path)))
}

fn is_capture(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "pcap" || e == "pcapng" || e == "cap")
}

fn run_one(name: &str, folder: &Path, bless: bool) -> CaseResult {
    let result = |state, exit_code, differences| CaseResult {
        name: name.to_owned(),
        state,
        exit_code,
        differences,
    };
    let (case, checked) = match audit(folder) {
        Ok(done) => done,
        Err(error) => return result(CaseState::Broken, None, vec![error.to_string()]),
    };
    let code = Some(checked.exit_code);
    if bless {
        return match write_expected(folder, &checked) {
            Ok(()) => result(CaseState::Blessed, code, Vec::new()),
            Err(error) => result(CaseState::Broken, code, vec![error.to_string()]),
        };
    }
    match differences(folder, &case, &checked) {
        Ok(none) if none.is_empty() => result(CaseState::Passed, code, none),
        Ok(mut some) => {
            let more = some.len().saturating_sub(MAX_DIFFERENCES);
            some.truncate(MAX_DIFFERENCES);
            if more > 0 {
                some.push(format!("… and {more} more differences"));
            }
            result(CaseState::Failed, code, some)
        }
        Err(error) => result(CaseState::Broken, code, vec![error.to_string()]),
    }
}

fn audit(folder: &Path) -> Result<(CaseFile, Checked)> {
    let case = read_case(folder)?;
    let topology = match &case.topology {
        Some(path) => Some(folder.join(path)),
        None => Some(folder.join("topology.toml")).filter(|path| path.is_file()),
    };
    let mut policies: Vec<PathBuf> = case.policy.iter().map(|path| folder.join(path)).collect();
    let own = folder.join("policy.toml");
    if case.policy.is_empty() && own.is_file() {
        policies.push(own);
    }
    let profile = match case.profile.as_deref() {
        None | Some("2019") => Profile::Sfb2019,
        Some("2015") => Profile::Sfb2015,
        Some(other) => {
            return Err(Error::Usage(format!(
                "{}: unknown profile '{other}'; it is 2015 or 2019",
                folder.join("case.toml").display()
            )));
        }
    };
    let policy = Policy::load(&Sources {
        topology,
        policies,
        no_builtin: case.no_builtin,
        profile,
        strict: case.strict,
    })?;
    let captures = if case.captures.is_empty() {
        vec![folder.to_path_buf()]
    } else {
        case.captures.iter().map(|path| folder.join(path)).collect()
    };
    let reading = Reading {
        captures,
        filter: case.filter.clone(),
        threads: 1,
        limits: Limits::default(),
        duplicates: if case.keep_duplicates { Duplicates::Kept } else { Duplicates::LeftOut },
    };
    let checked = check::check(&reading, &policy, Threshold::default(), &Progress::default())?;
    Ok((case, checked))
}

fn read_case(folder: &Path) -> Result<CaseFile> {
    list(folder)?;
    let path = folder.join("case.toml");
    let Some(text) = text_of(&path)? else {
        return Ok(CaseFile::default());
    };
    toml::from_str(&text).map_err(|error| Error::Policy(format!("{}: {error}", path.display())))
}

/// Every way in which the audit differs from what the case expects.
fn differences(folder: &Path, case: &CaseFile, checked: &Checked) -> Result<Vec<String>> {
    let golden = folder.join("expected.json");
    let mut out = Vec::new();
    let said_nothing = case.expect.exit_code.is_none() && case.expect.findings.is_none();
    let wanted = case.expect.exit_code.or((said_nothing && !golden.is_file()).then_some(0));
    if let Some(wanted) = wanted.filter(|wanted| *wanted != checked.exit_code) {
        out.push(format!(
            "exit code: expected {wanted}, got {} ({})",
            checked.exit_code, checked.reason
        ));
    }
    compare_findings(&case.expect, checked, &mut out);
    if let Some(text) = text_of(&golden)? {
        let expected: Value = serde_json::from_str(&text)
            .map_err(|error| Error::Usage(format!("{}: not JSON: {error}", golden.display())))?;
        compare("", &expected, &portable_report(folder, checked)?, &mut out);
    }
    Ok(out)
}

fn compare_findings(expect: &Expect, checked: &Checked, out: &mut Vec<String>) {
    let findings = checked.report.as_ref().map_or(&[][..], |report| report.findings());
    let at = |note: bool| -> BTreeMap<&str, &str> {
        findings
            .iter()
            .filter(|finding| (finding.severity == Severity::Note) == note)
            .map(|finding| (finding.rule, finding.message.as_str()))
            .collect()
    };
    let (graver, notes) = (at(false), at(true));
    if let Some(wanted) = &expect.findings {
        for rule in wanted.iter().filter(|rule| !graver.contains_key(rule.as_str())) {
            out.push(format!("- {rule}: expected, did not fire"));
        }
        for (rule, message) in graver.iter().filter(|(rule, _)| !wanted.contains(**rule)) {
            out.push(format!("+ {rule}: fired, not expected: {message}"));
        }
    }
    for rule in expect.notes.iter().filter(|rule| !notes.contains_key(rule.as_str())) {
        out.push(format!("- {rule}: expected as a note, did not fire"));
    }
}

/// The JSON report without what differs from machine to machine: the tool's version and the
/// folder in which the case lies.
fn portable_report(folder: &Path, checked: &Checked) -> Result<Value> {
    let broken = |why: String| Error::Usage(format!("{}: {why}", folder.display()));
    let Some(report) = &checked.report else {
        return Ok(Value::Null);
    };
    let json = FORMATS
        .iter()
        .find(|format| format.name == "json")
        .ok_or_else(|| broken("no JSON format".to_owned()))?;
    let mut bytes = Vec::new();
    (json.write)(report, Style { color: false, width: None }, &mut bytes)
        .map_err(|error| broken(error.to_string()))?;
    let mut value: Value =
        serde_json::from_slice(&bytes).map_err(|error| broken(error.to_string()))?;
    if let Some(tool) = value.get_mut("tool").and_then(Value::as_object_mut) {
        tool.remove("version");
    }
    for capture in value.get_mut("captures").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(path) = capture.get_mut("path")
            && let Some(text) = path.as_str()
            && let Ok(inside) = Path::new(text).strip_prefix(folder)
        {
            *path = Value::String(inside.display().to_string());
        }
    }
    // Reasons begin with the path that they are about.
    let prefix = format!("{}/", folder.display());
    let reasons = value.pointer_mut("/quality/reasons").and_then(Value::as_array_mut);
    for reason in reasons.into_iter().flatten() {
        if let Some(inside) = reason.as_str().and_then(|text| text.strip_prefix(&prefix)) {
            *reason = Value::String(inside.to_owned());
        }
    }
    Ok(value)
}

fn write_expected(folder: &Path, checked: &Checked) -> Result<()> {
    let path = folder.join("expected.json");
    let value = portable_report(folder, checked)?;
    let mut text = serde_json::to_string_pretty(&value)
        .map_err(|error| Error::Usage(format!("{}: {error}", path.display())))?;
    text.push('\n');
    std::fs::write(&path, text).map_err(|source| Error::Write { path, source })
}

/// Lists where two JSON values differ. Findings are matched by fingerprint, so that one more or
/// one less does not shift the rest.
fn compare(at: &str, expected: &Value, got: &Value, out: &mut Vec<String>) {
    match (expected, got) {
        (Value::Object(a), Value::Object(b)) => {
            let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for key in keys {
                let (old, new) = (a.get(key), b.get(key));
                compare_entry(&format!("{at}.{key}"), old, new, out);
            }
        }
        (Value::Array(a), Value::Array(b)) => {
            if let (Some(old), Some(new)) = (by_fingerprint(a), by_fingerprint(b)) {
                let keys: BTreeSet<&&str> = old.keys().chain(new.keys()).collect();
                for key in keys {
                    let here = format!("{at}[{key}]");
                    compare_entry(&here, old.get(*key).copied(), new.get(*key).copied(), out);
                }
                return;
            }
            for index in 0..a.len().max(b.len()) {
                compare_entry(&format!("{at}[{index}]"), a.get(index), b.get(index), out);
            }
        }
        _ if expected == got => {}
        _ => out.push(format!("{at}: expected {}, got {}", short(expected), short(got))),
    }
}

fn compare_entry(at: &str, old: Option<&Value>, new: Option<&Value>, out: &mut Vec<String>) {
    match (old, new) {
        (Some(old), Some(new)) => compare(at, old, new, out),
        (Some(old), None) => out.push(format!("- {at}: {}", short(old))),
        (None, Some(new)) => out.push(format!("+ {at}: {}", short(new))),
        (None, None) => {}
    }
}

fn by_fingerprint(items: &[Value]) -> Option<BTreeMap<&str, &Value>> {
    let keyed: Option<BTreeMap<&str, &Value>> =
        items.iter().map(|item| Some((item.get("fingerprint")?.as_str()?, item))).collect();
    keyed.filter(|map| map.len() == items.len() && !map.is_empty())
}

/// A value on one line: a finding by its rule and message, anything else as JSON, cut.
fn short(value: &Value) -> String {
    if let (Some(rule), Some(message)) =
        (value.get("rule").and_then(Value::as_str), value.get("message").and_then(Value::as_str))
    {
        return format!("{rule}: {message}");
    }
    let text = value.to_string();
    match text.char_indices().nth(200) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text,
    }
}
