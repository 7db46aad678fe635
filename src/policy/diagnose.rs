//! What is wrong with a policy or topology file: where, which value, and what was probably meant.
//!
//! Problems of one file are collected rather than ending at the first, so that one run of
//! `policy check` is enough to mend a file.

use std::fmt::Write as _;
use std::ops::Range;

/// Problems told per file; the rest are counted.
pub const MAX_PROBLEMS: usize = 20;
/// Problems kept to choose those told from; beyond, they are only counted.
const MAX_KEPT: usize = 1000;
/// Characters of a source line that are shown around a problem.
const WINDOW: usize = 100;
/// Valid names listed when none is near.
const LISTED: usize = 12;

/// A piece of text from a file, with its place there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    /// The text, unescaped.
    pub(super) text: String,
    /// Byte offsets in the file, quotes included.
    pub(super) span: Range<usize>,
}

impl Word {
    /// The place of a part of the text. Falls back to the whole where escapes shift the offsets.
    pub(super) fn part(&self, offset: usize, len: usize) -> Range<usize> {
        let quotes = self.span.len().saturating_sub(self.text.len());
        if quotes != 2 && quotes != 0 {
            return self.span.clone();
        }
        let start = self.span.start + quotes / 2 + offset;
        start..start + len
    }

    /// The parts between separators, trimmed, each with its place.
    pub(super) fn split(&self, separator: char) -> Vec<Self> {
        if !self.text.contains(separator) {
            return vec![Self { text: self.text.trim().to_owned(), span: self.span.clone() }];
        }
        let mut offset = 0;
        let mut parts = Vec::new();
        for piece in self.text.split(separator) {
            let text = piece.trim();
            let lead = piece.len() - piece.trim_start().len();
            parts.push(Self { text: text.to_owned(), span: self.part(offset + lead, text.len()) });
            offset += piece.len() + separator.len_utf8();
        }
        parts
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Problem {
    span: Range<usize>,
    message: String,
    hint: Option<String>,
}

/// The problems of one file.
#[derive(Debug)]
pub(super) struct Diagnosis<'t> {
    file: &'t str,
    text: &'t str,
    problems: Vec<Problem>,
    /// Problems counted only.
    more: usize,
}

impl<'t> Diagnosis<'t> {
    /// No problems yet.
    pub(super) fn new(file: &'t str, text: &'t str) -> Self {
        Self { file, text, problems: Vec::new(), more: 0 }
    }

    /// Notes a problem.
    pub(super) fn add(&mut self, span: &Range<usize>, message: impl Into<String>) {
        self.note(span, message.into(), None);
    }

    /// Notes a problem with advice.
    pub(super) fn advise(
        &mut self,
        span: &Range<usize>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.note(span, message.into(), Some(hint.into()));
    }

    /// Notes a name that is not among the valid ones, with the nearest of them.
    pub(super) fn unknown<'c>(
        &mut self,
        what: &str,
        word: &Word,
        valid: impl IntoIterator<Item = &'c str>,
    ) {
        let message = format!("unknown {what} '{}'", word.text);
        self.note(&word.span, message, Some(suggest(&word.text, valid)));
    }

    /// How many problems there are.
    pub(super) fn len(&self) -> usize {
        self.problems.len() + self.more
    }

    /// Line and column of an offset, both from 1; the column counts characters.
    pub(super) fn place(&self, offset: usize) -> (usize, usize) {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        (line, before[line_start..].chars().count() + 1)
    }

    /// The problems as text in the order of the file; `None` when there are none.
    pub(super) fn into_text(mut self) -> Option<String> {
        self.problems.sort_by(|a, b| (a.span.start, &a.message).cmp(&(b.span.start, &b.message)));
        let total = self.len();
        let mut texts: Vec<String> =
            self.problems.iter().take(MAX_PROBLEMS).map(|problem| self.render(problem)).collect();
        if total > MAX_PROBLEMS {
            let rest = total - MAX_PROBLEMS;
            texts.push(format!("{}: and {rest} more problems", self.file));
        }
        (total > 0).then(|| texts.join("\n"))
    }

    fn note(&mut self, span: &Range<usize>, message: String, hint: Option<String>) {
        if self.problems.len() >= MAX_KEPT {
            self.more += 1;
            return;
        }
        let problem = Problem { span: span.clone(), message, hint };
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    fn render(&self, problem: &Problem) -> String {
        let (line, column) = self.place(problem.span.start);
        let mut out = format!("{}:{line}:{column}: {}", self.file, problem.message);
        let source = self.text.lines().nth(line - 1).unwrap_or_default();
        let (shown, offset) = window(source, column - 1);
        let span = self.text.get(problem.span.clone()).unwrap_or_default();
        let first_line = span.lines().next().unwrap_or_default();
        let room = shown.chars().count().saturating_sub(offset).max(1);
        let marks = first_line.chars().count().clamp(1, room);
        let gutter = " ".repeat(line.to_string().len());
        let _ = write!(
            out,
            "\n{gutter} |\n{line} | {shown}\n{gutter} | {}{}",
            " ".repeat(offset),
            "^".repeat(marks)
        );
        if let Some(hint) = &problem.hint {
            let _ = write!(out, "\n{gutter} = {hint}");
        }
        out
    }
}

/// Advice for a name that is not valid: the nearest valid one, or a list of what there is.
pub(super) fn suggest<'c>(name: &str, valid: impl IntoIterator<Item = &'c str>) -> String {
    let mut valid: Vec<&str> = valid.into_iter().collect();
    valid.sort_unstable();
    valid.dedup();
    if let Some(near) = nearest(name, &valid) {
        return format!("did you mean '{near}'?");
    }
    if valid.is_empty() {
        return "none is declared".into();
    }
    let more = valid.len().saturating_sub(LISTED);
    valid.truncate(LISTED);
    let mut text = format!("valid: {}", valid.join(", "));
    if more > 0 {
        let _ = write!(text, " and {more} more");
    }
    text
}

/// The valid name nearest to `name`, if one is near enough to be what was meant.
fn nearest<'c>(name: &str, valid: &[&'c str]) -> Option<&'c str> {
    let wanted = name.to_lowercase();
    valid
        .iter()
        .map(|candidate| {
            let distance = strsim::osa_distance(&wanted, &candidate.to_lowercase());
            (distance, *candidate)
        })
        .filter(|(distance, candidate)| {
            let length = wanted.chars().count().max(candidate.chars().count());
            *distance <= (length / 3).max(1)
        })
        .min()
        .map(|(_, candidate)| candidate)
}

/// A line cut to the part around a column (from 0), and the column's place in what is left.
/// Control characters are blanked, so that a file cannot write to the terminal.
fn window(line: &str, column: usize) -> (String, usize) {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    let length = line.chars().count();
    if length <= WINDOW {
        return (line.chars().map(clean).collect(), column);
    }
    let start = column.saturating_sub(WINDOW / 3);
    let mut shown: String = line.chars().skip(start).take(WINDOW).map(clean).collect();
    if start + WINDOW < length {
        shown.push('…');
    }
    if start == 0 {
        return (shown, column);
    }
    (format!("…{shown}"), column - start + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_shows_place_line_and_nearest_name() {
        let text = "[[host]]\nroles = [\"frontend\"]\n";
        let mut diagnosis = Diagnosis::new("site.toml", text);
        let word = Word { text: "frontend".into(), span: 18..28 };
        diagnosis.unknown("role", &word, ["front-end", "director"]);
        let expected = "site.toml:2:10: unknown role 'frontend'\n  |\n2 | roles = [\"frontend\"]\n  |          ^^^^^^^^^^\n  = did you mean 'front-end'?";
        assert_eq!(diagnosis.into_text().unwrap(), expected);
    }

    #[test]
    fn nothing_near_lists_what_there_is() {
        assert_eq!(suggest("zebra", ["sip", "http"]), "valid: http, sip".to_owned());
        assert_eq!(suggest("zebra", []), "none is declared");
        let many: Vec<String> = (0..20).map(|n| format!("role-number-{n:02}")).collect();
        let text = suggest("x", many.iter().map(String::as_str));
        assert!(text.ends_with("role-number-11 and 8 more"), "{text}");
    }

    #[test]
    fn problems_are_sorted_counted_and_bounded() {
        let text = "x\n".repeat(40);
        let mut diagnosis = Diagnosis::new("f", &text);
        for line in (0..30).rev() {
            diagnosis.add(&(line * 2..line * 2 + 1), format!("problem {line}"));
        }
        diagnosis.add(&(0..1), "problem 0");
        assert_eq!(diagnosis.len(), 30, "the same problem is told once");
        let text = diagnosis.into_text().unwrap();
        assert!(text.starts_with("f:1:1: problem 0\n"), "{text}");
        assert!(text.ends_with("f: and 10 more problems"), "{text}");
        assert!(!text.contains("problem 20"));
        assert_eq!(Diagnosis::new("f", "").into_text(), None);
    }

    #[test]
    fn long_lines_are_cut_around_the_place_and_control_characters_blanked() {
        let line = format!("{}\u{1b}[31mBAD{}", "a".repeat(300), "b".repeat(300));
        let (shown, offset) = window(&line, 305);
        assert!(shown.chars().count() <= WINDOW + 2);
        assert!(!shown.contains('\u{1b}'));
        assert_eq!(shown.chars().nth(offset), Some('B'));
    }

    #[test]
    fn parts_of_a_word_keep_their_places() {
        let word = Word { text: "front-end + sql".into(), span: 10..27 };
        let parts = word.split('+');
        assert_eq!(parts[0].text, "front-end");
        assert_eq!(parts[0].span, 11..20);
        assert_eq!((parts[1].text.as_str(), parts[1].span.clone()), ("sql", 23..26));
        let escaped = Word { text: "a+b".into(), span: 0..12 };
        assert_eq!(escaped.split('+')[1].span, 0..12);
    }

    #[test]
    fn a_span_beyond_the_text_does_not_panic() {
        let mut diagnosis = Diagnosis::new("f", "é\n");
        diagnosis.add(&(1..900), "odd");
        assert!(diagnosis.into_text().unwrap().contains("odd"));
    }
}
