//! The flow table as `portassay flows` prints it, one flow a line.
//!
//! Rows are pulled from an iterator and written as they come, except for the aligned table, which
//! must know them all.

mod community;
mod json;

use std::io;

use super::color::Tone;
use super::csv::Sheet;
use super::markdown::{self, plain};
use super::table::{Align, Grid, Page};
use super::text::{bytes, clock, count, time};
use super::{Style, json::line};
use crate::flow::{Endpoint, Flow};
use crate::identify::Identification;
use crate::policy::{Class, Verdict};
use json::FlowJson;

pub use community::community_id;

/// One flow with what is known of it. The flow is oriented: side A initiates.
#[derive(Debug, Clone, Copy)]
pub struct FlowRow<'a> {
    /// Who, when and how much.
    pub flow: &'a Flow,
    /// What it speaks.
    pub identification: &'a Identification,
    /// What the policy says; `None` without topology.
    pub verdict: Option<&'a Verdict>,
    /// The id of the row that explains it, such as `S03`.
    pub expectation: Option<&'a str>,
}

/// Flows in the order in which they are written: by first frame.
pub type Rows<'i, 'a> = &'i mut dyn Iterator<Item = FlowRow<'a>>;

/// The descriptor of one output format for flows.
#[derive(Debug)]
pub struct FlowsFormat {
    /// Its name on the command line.
    pub name: &'static str,
    /// Writes the rows.
    pub write: fn(Rows<'_, '_>, Style, &mut dyn io::Write) -> io::Result<()>,
}

/// Every output format of `flows`.
pub const FORMATS: &[FlowsFormat] = &[
    FlowsFormat {
        name: "table",
        write: write_table,
    },
    FlowsFormat {
        name: "json",
        write: write_json,
    },
    FlowsFormat {
        name: "jsonl",
        write: write_jsonl,
    },
    FlowsFormat {
        name: "csv",
        write: write_csv,
    },
    FlowsFormat {
        name: "markdown",
        write: write_markdown,
    },
];

fn write_table(rows: Rows<'_, '_>, style: Style, out: &mut dyn io::Write) -> io::Result<()> {
    let mut grid = Grid::new(&[
        ("Start", Align::Word),
        ("Transport", Align::Word),
        ("Initiator", Align::Left),
        ("Responder", Align::Left),
        ("Packets", Align::Right),
        ("Bytes", Align::Right),
        ("Outcome", Align::Word),
        ("Protocol", Align::Left),
        ("Class", Align::Left),
        ("Row", Align::Word),
    ]);
    let mut none = true;
    for row in rows {
        none = false;
        let mut cells = row.people().to_vec();
        if style.width.is_some() {
            // A terminal has room for the time of day, not for the date in every row.
            cells[0] = cells[0].get(11..19).unwrap_or_default().to_string();
        }
        grid.row(Tone::Plain, cells);
    }
    let mut page = Page::new(style, out);
    if none {
        page.line(0, NOTHING)
    } else {
        page.grid(&grid)
    }
}

fn write_json(rows: Rows<'_, '_>, _style: Style, out: &mut dyn io::Write) -> io::Result<()> {
    write!(out, "[")?;
    for (at, row) in rows.enumerate() {
        let comma = if at == 0 { "" } else { "," };
        write!(out, "{comma}\n  {}", line(&FlowJson::of(&row))?)?;
    }
    writeln!(out, "\n]")
}

fn write_jsonl(rows: Rows<'_, '_>, _style: Style, out: &mut dyn io::Write) -> io::Result<()> {
    for row in rows {
        writeln!(out, "{}", line(&FlowJson::of(&row))?)?;
    }
    Ok(())
}

fn write_csv(rows: Rows<'_, '_>, _style: Style, out: &mut dyn io::Write) -> io::Result<()> {
    let mut sheet = Sheet::new(out);
    sheet.row(CSV_COLUMNS)?;
    for row in rows {
        sheet.row(row.programs())?;
    }
    sheet.finish()
}

fn write_markdown(rows: Rows<'_, '_>, _style: Style, out: &mut dyn io::Write) -> io::Result<()> {
    let columns = [
        ("Start", markdown::Align::Left),
        ("Transport", markdown::Align::Left),
        ("Initiator", markdown::Align::Left),
        ("Responder", markdown::Align::Left),
        ("Packets", markdown::Align::Right),
        ("Bytes", markdown::Align::Right),
        ("Outcome", markdown::Align::Left),
        ("Protocol", markdown::Align::Left),
        ("Class", markdown::Align::Left),
        ("Row", markdown::Align::Left),
    ];
    let mut rows = rows.peekable();
    if rows.peek().is_none() {
        return writeln!(out, "{NOTHING}");
    }
    let rows = rows.map(|row| row.people().map(|cell| plain(&cell)).to_vec());
    markdown::table(&columns, rows, out)
}

impl FlowRow<'_> {
    /// Cells for people.
    fn people(&self) -> [String; 10] {
        let flow = self.flow;
        let mut transport = flow.transport.to_string();
        for layer in &flow.layers {
            transport.push_str(&format!(" in {layer}"));
        }
        [
            clock(flow.first),
            transport,
            end(flow, flow.initiator()),
            end(flow, flow.responder()),
            count(flow.packets()),
            bytes(flow.bytes()),
            flow.outcome().token().into(),
            self.identification.protocol.unwrap_or("-").into(),
            self.class().unwrap_or("-").into(),
            self.expectation.unwrap_or("-").into(),
        ]
    }

    /// Cells for programs, in the order of [`CSV_COLUMNS`].
    fn programs(&self) -> Vec<String> {
        let flow = self.flow;
        let port = |end: Endpoint| {
            let ports = flow.transport.has_ports();
            if ports {
                end.port.to_string()
            } else {
                String::new()
            }
        };
        let [forward, backward] = flow.counters;
        let joined = |parts: Vec<String>| parts.join(" ");
        vec![
            time(flow.first),
            time(flow.last),
            flow.transport.to_string(),
            flow.initiator().address.to_string(),
            port(flow.initiator()),
            flow.responder().address.to_string(),
            port(flow.responder()),
            flow.direction.token().into(),
            forward.packets.to_string(),
            backward.packets.to_string(),
            forward.bytes.to_string(),
            backward.bytes.to_string(),
            flow.outcome().token().into(),
            self.identification.protocol.unwrap_or_default().into(),
            self.identification
                .confidence
                .map_or("", |c| c.token())
                .into(),
            flow.spi.map(|spi| spi.to_string()).unwrap_or_default(),
            self.class().unwrap_or_default().into(),
            self.expectation.unwrap_or_default().into(),
            joined(flow.vlans.iter().map(ToString::to_string).collect()),
            joined(flow.layers.iter().map(ToString::to_string).collect()),
            flow.first_frame.capture.to_string(),
            flow.first_frame.frame.to_string(),
            community_id(flow).unwrap_or_default(),
        ]
    }

    fn class(&self) -> Option<&'static str> {
        self.verdict.map(|verdict| Class::token(verdict.class))
    }
}

/// An end as people write it: `10.0.0.1:5061`, `[fe80::1]:5061`, or the address alone.
fn end(flow: &Flow, end: Endpoint) -> String {
    if !flow.transport.has_ports() {
        return end.address.to_string();
    }
    std::net::SocketAddr::new(end.address, end.port).to_string()
}

/// The titles of the columns. Additions go to the end.
const CSV_COLUMNS: [&str; 23] = [
    "first",
    "last",
    "transport",
    "initiator_address",
    "initiator_port",
    "responder_address",
    "responder_port",
    "direction_by",
    "packets_forward",
    "packets_backward",
    "bytes_forward",
    "bytes_backward",
    "outcome",
    "protocol",
    "protocol_confidence",
    "spi",
    "class",
    "expectation",
    "vlan",
    "tunnel",
    "first_capture",
    "first_frame",
    "community_id",
];

/// What an empty table says.
const NOTHING: &str = "No flow was found in the captures.";
