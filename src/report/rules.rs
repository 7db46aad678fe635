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
    RulesFormat {
        name: "table",
        write: write_table,
    },
    RulesFormat {
        name: "json",
        write: write_json,
    },
    RulesFormat {
        name: "csv",
        write: write_csv,
    },
    RulesFormat {
        name: "markdown",
        write: write_markdown,
    },
];

fn write_table(rows: &[RuleRow], style: Style, out: &mut dyn io::Write) -> io::Result<()> {
    let mut page = Page::new(style, out);
    if rows.is_empty() {
        return page.line(0, NOTHING);
    }
    // On a terminal the origin gives way to the purpose; everything is in the other formats.
    let narrow = style.width.is_some();
    let mut columns = vec![
        ("Row", Align::Word),
        ("From", Align::Left),
        ("To", Align::Left),
        ("Transport", Align::Word),
        ("Ports", Align::Left),
        ("Application", Align::Left),
        ("Security", Align::Left),
        ("Purpose", Align::Left),
    ];
    if !narrow {
        columns.extend([("Pack", Align::Left), ("Layer", Align::Left)]);
    }
    let mut grid = Grid::new(&columns);
    for row in rows {
        let mut cells = row.cells().map(String::from).to_vec();
        cells.truncate(columns.len());
        grid.row(Tone::Plain, cells);
    }
    page.grid(&grid)?;
    if narrow {
        page.blank()?;
        let number = counted(rows.len() as u64, "expectation", "expectations");
        page.line(
            2,
            &format!("{number}; `portassay explain ROW` tells more of each."),
        )?;
    }
    Ok(())
}

fn write_json(rows: &[RuleRow], _style: Style, out: &mut dyn io::Write) -> io::Result<()> {
    #[derive(Serialize)]
    struct Document<'r> {
        schema: &'static str,
        rules: &'r [RuleRow],
    }
    let document = Document {
        schema: "portassay.rules/1",
        rules: rows,
    };
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

/// What an empty table says.
const NOTHING: &str = "No expectation in force fits; `portassay rules` without options lists all.";
