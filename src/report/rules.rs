//! The expected port and protocol table as `portassay rules` prints it.
//!
//! The rows come ready for display; this file knows nothing of policy.

use std::io;

use serde::Serialize;

use super::csv::Sheet;
use super::markdown::{self, plain};
use super::table::{Align, Grid, Page};
use super::text::counted;
use super::{Style, color::Tone, json};

/// One expectation, every field ready for display; empty where the row does not say.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct RuleRow {
    /// The row id, such as `S03`.
    pub id: String,
    /// Roles that initiate, or `any`.
    pub from: String,
    /// Roles that respond, or `any`.
    pub to: String,
    /// Transports, such as `tcp` or `tcp, udp`.
    pub transport: String,
    /// The responder's ports, such as `443, 5061` or `1024-65535`.
    pub ports: String,
    /// The application's stable name, such as `sip`.
    pub application: String,
    /// What must protect it, such as `tls`.
    pub security: String,
    /// Why the traffic is there.
    pub purpose: String,
    /// The pack it comes from.
    pub pack: String,
    /// The layer it comes from.
    pub layer: String,
}

/// The descriptor of one output format for the table of expectations.
#[derive(Debug)]
pub struct RulesFormat {
    /// Its name on the command line.
    pub name: &'static str,
    /// Writes the rows in the order given.
    pub write: fn(&[RuleRow], Style, &mut dyn io::Write) -> io::Result<()>,
}

/// Every output format of `rules`.
pub const FORMATS: &[RulesFormat] = &[
    RulesFormat { name: "table", write: write_table },
    RulesFormat { name: "json", write: write_json },
    RulesFormat { name: "csv", write: write_csv },
    RulesFormat { name: "markdown", write: write_markdown },
];

fn write_table(rows: &[RuleRow], style: Style, out: &mut dyn io::Write) -> io::Result<()> {
    let mut page = Page::new(style, out);
    if rows.is_empty() {
        return page.line(0, NOTHING);
    }
    if style.width.is_none() {
        return page.grid(&everything(rows));
    }
    page.grid(&essentials(rows))?;
    page.blank()?;
    let number = counted(rows.len() as u64, "expectation", "expectations");
    page.line(2, &format!("{number}; `portassay explain ROW` tells more of each."))
}

/// What a terminal has room for.
fn essentials(rows: &[RuleRow]) -> Grid {
    let mut grid = Grid::new(&[
        ("Row", Align::Word),
        ("From", Align::Left),
        ("To", Align::Left),
        ("Service", Align::Left),
        ("Content", Align::Left),
        ("Purpose", Align::Left),
    ]);
    for row in rows {
        let content = [row.application.as_str(), row.security.as_str()];
        let content: Vec<&str> = content.into_iter().filter(|part| !part.is_empty()).collect();
        let cells = vec![
            row.id.clone(),
            row.from.clone(),
            row.to.clone(),
            format!("{} {}", row.transport, row.ports),
            content.join(", "),
            row.purpose.clone(),
        ];
        grid.row(Tone::Plain, cells);
    }
    grid
}

/// A row a line, so that it can be searched. Long lists are cut, as the other formats and `explain`
/// have them whole, and the purpose comes last, where its length pushes nothing aside.
fn everything(rows: &[RuleRow]) -> Grid {
    let mut grid = Grid::new(&purpose_last(COLUMNS).map(|title| (title, Align::Left)));
    for row in rows {
        let [lists @ .., purpose] = purpose_last(row.cells());
        let cells = lists.iter().map(|list| shortened(list)).chain([purpose.to_owned()]);
        grid.row(Tone::Plain, cells.collect());
    }
    grid
}

fn purpose_last(cells: [&str; 10]) -> [&str; 10] {
    let [id, from, to, transport, ports, application, security, purpose, pack, layer] = cells;
    [id, from, to, transport, ports, application, security, pack, layer, purpose]
}

/// The beginning of a list, and how much more there is: `client or phone or 12 more`.
fn shortened(list: &str) -> String {
    let items: Vec<&str> = list.split(OR).collect();
    if list.chars().count() <= LONG_LIST || items.len() == 1 {
        return list.to_owned();
    }
    let mut shown = 1;
    let mut length = items.first().map_or(0, |item| item.chars().count());
    for item in items.iter().skip(1) {
        length += OR.len() + item.chars().count();
        if length + OR_MORE > LONG_LIST {
            break;
        }
        shown += 1;
    }
    let kept: Vec<&str> = items.iter().take(shown).copied().collect();
    format!("{}{OR}{} more", kept.join(OR), items.len().saturating_sub(shown))
}

fn write_json(rows: &[RuleRow], _style: Style, out: &mut dyn io::Write) -> io::Result<()> {
    #[derive(Serialize)]
    struct Document<'r> {
        schema: &'static str,
        rules: &'r [RuleRow],
    }
    let document = Document { schema: "portassay.rules/1", rules: rows };
    writeln!(out, "{}", json::pretty(&document)?)
}

fn write_csv(rows: &[RuleRow], _style: Style, out: &mut dyn io::Write) -> io::Result<()> {
    let mut sheet = Sheet::new(out);
    sheet.row(COLUMNS)?;
    for row in rows {
        sheet.row(row.cells())?;
    }
    sheet.finish()
}

fn write_markdown(rows: &[RuleRow], _style: Style, out: &mut dyn io::Write) -> io::Result<()> {
    if rows.is_empty() {
        return writeln!(out, "{NOTHING}");
    }
    let columns = COLUMNS.map(|title| (title, markdown::Align::Left));
    let rows = rows.iter().map(|row| row.cells().map(plain).to_vec());
    markdown::table(&columns, rows, out)
}

impl RuleRow {
    /// The fields in the order of [`COLUMNS`].
    fn cells(&self) -> [&str; 10] {
        [
            &self.id,
            &self.from,
            &self.to,
            &self.transport,
            &self.ports,
            &self.application,
            &self.security,
            &self.purpose,
            &self.pack,
            &self.layer,
        ]
    }
}

/// The titles of the columns. Additions go to the end.
const COLUMNS: [&str; 10] = [
    "id",
    "from",
    "to",
    "transport",
    "ports",
    "application",
    "security",
    "purpose",
    "pack",
    "layer",
];

/// A list of more characters is cut where a line is a row.
const LONG_LIST: usize = 30;
/// What stands between the roles of a list.
const OR: &str = " or ";
/// The room that ` or 12 more` takes.
const OR_MORE: usize = 12;

/// What an empty table says.
const NOTHING: &str = "No expectation in force fits; `portassay rules` without options lists all.";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::specimen::NASTY;

    fn row() -> RuleRow {
        RuleRow {
            id: "S03".into(),
            from: "client, phone".into(),
            to: "front-end, director".into(),
            transport: "tcp".into(),
            ports: "443, 5061".into(),
            application: "sip".into(),
            security: "tls".into(),
            purpose: "Signalling of clients with the pool, over TLS, for calls".into(),
            pack: "clients".into(),
            layer: "built-in".into(),
        }
    }

    fn written(name: &str, rows: &[RuleRow], width: Option<u16>) -> String {
        let format = FORMATS.iter().find(|format| format.name == name);
        let style = Style { color: false, width };
        let mut out = Vec::new();
        (format.expect("a format").write)(rows, style, &mut out).expect("memory");
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn a_terminal_shows_the_essentials() {
        let expected = "  Row  From           To                   Service        Content   Purpose\n  \
            ──────────────────────────────────────────────────────────────────────────────────────────────────\n  \
            S03  client, phone  front-end, director  tcp 443, 5061  sip, tls  Signalling of clients with the\n                                                                    \
            pool, over TLS, for calls\n\n  1 expectation; `portassay explain ROW` tells more of each.\n";
        let got = written("table", &[row()], Some(100));
        assert_eq!(got, expected, "got:\n{got}");
    }

    #[test]
    fn a_pipe_gets_every_column() {
        let got = written("table", &[row()], None);
        let last = got.lines().last().expect("a row");
        assert!(last.contains("  clients  built-in  Signalling of clients"), "{last}");
        let mut many = row();
        many.from = "client or phone or front-end or director or mediation".into();
        let got = written("table", &[many], None);
        assert!(got.contains("  client or phone or 3 more  front-end, director  tcp"), "{got}");
        assert_eq!(
            written("csv", &[row()], None),
            "id,from,to,transport,ports,application,security,purpose,pack,layer\n\
             S03,\"client, phone\",\"front-end, director\",tcp,\"443, 5061\",sip,tls,\
             \"Signalling of clients with the pool, over TLS, for calls\",clients,built-in\n"
        );
        let markdown = written("markdown", &[row()], None);
        assert!(markdown.contains("\n| S03 | client, phone | front-end, director | tcp | 443,"));
    }

    #[test]
    fn no_rows_are_a_sentence() {
        for name in ["table", "markdown"] {
            assert_eq!(written(name, &[], Some(80)).replace('\n', " ").trim(), NOTHING);
        }
        let json = written("json", &[], None);
        assert!(json.contains("\"rules\": []"));
    }

    #[test]
    fn hostile_texts_are_shown_and_not_obeyed() {
        let mut row = row();
        row.purpose = NASTY.into();
        row.from = NASTY.into();
        for format in FORMATS {
            for width in [None, Some(100)] {
                let got = written(format.name, std::slice::from_ref(&row), width);
                let hidden = |c| c != '\n' && crate::report::text::is_hidden(c);
                assert!(!got.contains(hidden), "{}", format.name);
            }
        }
    }
}
