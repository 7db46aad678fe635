//! How `portassay test` tells what became of each recorded case: text, JSON or `JUnit` XML.

use std::io;

use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite};
use serde::Serialize;

/// What became of one case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CaseState {
    /// The audit said what the case expects.
    Passed,
    /// It said something else.
    Failed,
    /// The case could not be run.
    Broken,
    /// The expectation was written anew.
    Blessed,
}

/// One case that was run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CaseResult {
    /// The folder as found below the given one.
    pub name: String,
    /// What became of it.
    pub state: CaseState,
    /// The exit code of the audit, where it ran.
    pub exit_code: Option<u8>,
    /// Each difference from the expectation, or why the case could not be run.
    pub differences: Vec<String>,
}

/// How results may be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CaseFormat {
    /// Lines for people.
    Table,
    /// One JSON document.
    Json,
    /// `JUnit` XML, as the Jenkins schema has it: one suite, one test a case.
    Junit,
}

/// Writes the results of a run over `root`.
pub fn write(
    root: &str,
    results: &[CaseResult],
    format: CaseFormat,
    out: &mut dyn io::Write,
) -> io::Result<()> {
    match format {
        CaseFormat::Table => text(results, out),
        CaseFormat::Json => json(results, out),
        CaseFormat::Junit => junit(root, results, out),
    }
}

/// The closing line: how many cases passed and failed.
pub fn closing_line(results: &[CaseResult]) -> String {
    let count = |state: &CaseState| results.iter().filter(|r| r.state == *state).count();
    let passed = count(&CaseState::Passed) + count(&CaseState::Blessed);
    let failed = count(&CaseState::Failed) + count(&CaseState::Broken);
    format!("{passed} passed, {failed} failed")
}

fn text(results: &[CaseResult], out: &mut dyn io::Write) -> io::Result<()> {
    for result in results {
        let word = match result.state {
            CaseState::Passed => "ok     ",
            CaseState::Failed => "FAILED ",
            CaseState::Broken => "BROKEN ",
            CaseState::Blessed => "blessed",
        };
        writeln!(out, "{word} {}", result.name)?;
        for difference in &result.differences {
            for line in difference.lines() {
                writeln!(out, "        {line}")?;
            }
        }
    }
    writeln!(out, "{}", closing_line(results))
}

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    passed: usize,
    failed: usize,
    cases: &'a [CaseResult],
}

fn json(results: &[CaseResult], out: &mut dyn io::Write) -> io::Result<()> {
    let good = |r: &&CaseResult| matches!(r.state, CaseState::Passed | CaseState::Blessed);
    let passed = results.iter().filter(good).count();
    let document = Document {
        schema: "portassay.cases/1",
        passed,
        failed: results.len() - passed,
        cases: results,
    };
    serde_json::to_writer_pretty(&mut *out, &document).map_err(io::Error::from)?;
    writeln!(out)
}

fn junit(root: &str, results: &[CaseResult], out: &mut dyn io::Write) -> io::Result<()> {
    let mut suite = TestSuite::new(root);
    for result in results {
        let text = result.differences.join("\n");
        let status = match result.state {
            CaseState::Passed | CaseState::Blessed => TestCaseStatus::success(),
            CaseState::Failed => failure(NonSuccessKind::Failure, &text),
            CaseState::Broken => failure(NonSuccessKind::Error, &text),
        };
        let mut case = TestCase::new(result.name.as_str(), status);
        case.set_classname("portassay");
        suite.add_test_case(case);
    }
    let mut report = quick_junit::Report::new("portassay");
    report.add_test_suite(suite);
    let xml = report.to_string().map_err(io::Error::other)?;
    out.write_all(xml.as_bytes())?;
    writeln!(out)
}

fn failure(kind: NonSuccessKind, text: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(kind);
    status.set_message(text.lines().next().unwrap_or_default());
    status.set_description(text);
    status
}
