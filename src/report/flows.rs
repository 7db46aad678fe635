//! The flow table as `portassay flows` prints it, one flow a line.
//!
//! Rows are pulled from an iterator and written as they come, except for the aligned table, which
//! must know them all.

mod community;
mod json;

use std::fmt::Write as _;
use std::io;

use super::color::Tone;
use super::csv::Sheet;
use super::markdown::{self, plain};
use super::table::{Align, Grid, Page};
use super::text::{bytes, clock, count, time};
use super::{Style, json::line};
use crate::flow::{Endpoint, Flow};
use crate::identify::{Confidence, Identification};
use crate::policy::{Announcement, Class, Verdict};
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
    /// What content announced of it before.
    pub announced: Option<&'a Announcement>,
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
    FlowsFormat { name: "table", write: write_table },
    FlowsFormat { name: "json", write: write_json },
    FlowsFormat { name: "jsonl", write: write_jsonl },
    FlowsFormat { name: "csv", write: write_csv },
    FlowsFormat { name: "markdown", write: write_markdown },
];

fn write_table(rows: Rows<'_, '_>, style: Style, out: &mut dyn io::Write) -> io::Result<()> {
    // The order tells the start and the bytes tell the packets where a terminal has no room. Facts
    // and names for other tools are for files and the widest of terminals.
    let below = |room: u16| style.width.is_some_and(|width| width < room);
    let shown = |title: &str| match title {
        "Start" | "Packets" | "Confidence" => !below(ROOMY),
        "Facts" | "Community ID" => !below(VERY_ROOMY),
        _ => true,
    };
    let columns: Vec<(&str, Align)> = COLUMNS.into_iter().filter(|c| shown(c.0)).collect();
    let mut grid = Grid::new(&columns);
    let mut none = true;
    for row in rows {
        none = false;
        let cells = COLUMNS.iter().zip(row.people());
        let cells = cells.filter(|(column, _)| shown(column.0));
        grid.row(Tone::Plain, cells.map(|(_, cell)| cell).collect());
    }
    let mut page = Page::new(style, out);
    if none { page.line(0, NOTHING) } else { page.grid(&grid) }
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
    let mut rows = rows.peekable();
    if rows.peek().is_none() {
        return writeln!(out, "{NOTHING}");
    }
    let rows = rows.map(|row| row.people().map(|cell| plain(&cell)).to_vec());
    let columns = COLUMNS.map(|(title, align)| match align {
        Align::Right => (title, markdown::Align::Right),
        Align::Left | Align::Word => (title, markdown::Align::Left),
    });
    markdown::table(&columns, rows, out)
}

impl FlowRow<'_> {
    /// Cells for people.
    fn people(&self) -> [String; 13] {
        let flow = self.flow;
        let mut transport = flow.transport.to_string();
        for layer in flow.layers() {
            let _ = write!(transport, " in {layer}");
        }
        [
            clock(flow.first),
            transport,
            end(flow, flow.initiator()),
            end(flow, flow.responder()),
            count(flow.packets()),
            bytes(flow.bytes()),
            flow.outcome().token().into(),
            self.claims(),
            self.identification.confidence.map_or("-", Confidence::token).into(),
            self.class().unwrap_or("-").into(),
            self.expectation.unwrap_or("-").into(),
            or_dash(community_id(flow).unwrap_or_default()),
            or_dash(self.learned_facts()),
        ]
    }

    /// Every protocol that claims the flow, such as `rtp, also stun`.
    fn claims(&self) -> String {
        let protocol = self.identification.protocol.unwrap_or("-");
        match self.identification.also.as_slice() {
            [] => protocol.into(),
            also => format!("{protocol}, also {}", also.join(", ")),
        }
    }

    /// Facts by name, such as `sni=fe01, tls_version=1.3`.
    fn facts(&self, between: &str) -> String {
        let facts = self.identification.facts.iter();
        let facts: Vec<String> = facts.map(|(name, value)| format!("{name}={value}")).collect();
        facts.join(between)
    }

    /// Facts, and what was announced, such as `learned=ept-map samr (frame 12)`.
    fn learned_facts(&self) -> String {
        let mut facts = self.facts(", ");
        if let Some(known) = self.announced {
            let comma = if facts.is_empty() { "" } else { ", " };
            let _ = write!(facts, "{comma}learned={} (frame {})", known.summary(), known.at.frame);
        }
        facts
    }

    /// Cells for programs, in the order of [`CSV_COLUMNS`].
    fn programs(&self) -> Vec<String> {
        let flow = self.flow;
        let port = |end: Endpoint| {
            let ports = flow.transport.has_ports();
            if ports { end.port.to_string() } else { String::new() }
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
            self.identification.confidence.map_or("", |c| c.token()).into(),
            flow.spi.map(|spi| spi.to_string()).unwrap_or_default(),
            self.class().unwrap_or_default().into(),
            self.expectation.unwrap_or_default().into(),
            joined(flow.vlans().iter().map(ToString::to_string).collect()),
            joined(flow.layers().iter().map(ToString::to_string).collect()),
            flow.first_frame.capture.to_string(),
            flow.first_frame.frame.to_string(),
            community_id(flow).unwrap_or_default(),
            self.facts("; "),
            self.identification.also.join(" "),
            self.announced.map_or("", |known| known.kind.token()).into(),
            joined(self.announced.map_or(Vec::new(), |a| a.services.iter().cloned().collect())),
            self.announced.map(|known| known.by.to_string()).unwrap_or_default(),
            self.announced.map(|known| known.at.capture.to_string()).unwrap_or_default(),
            self.announced.map(|known| known.at.frame.to_string()).unwrap_or_default(),
        ]
    }

    fn class(&self) -> Option<&'static str> {
        self.verdict.map(|verdict| Class::token(verdict.class))
    }
}

fn or_dash(text: String) -> String {
    if text.is_empty() { "-".into() } else { text }
}

/// An end as people write it: `10.0.0.1:5061`, `[fe80::1]:5061`, or the address alone.
fn end(flow: &Flow, end: Endpoint) -> String {
    if !flow.transport.has_ports() {
        return end.address.to_string();
    }
    std::net::SocketAddr::new(end.address, end.port).to_string()
}

/// The columns for people.
const COLUMNS: [(&str, Align); 13] = [
    ("Start", Align::Word),
    ("Transport", Align::Word),
    ("Initiator", Align::Word),
    ("Responder", Align::Word),
    ("Packets", Align::Right),
    ("Bytes", Align::Right),
    ("Outcome", Align::Word),
    ("Protocol", Align::Left),
    ("Confidence", Align::Word),
    ("Class", Align::Word),
    ("Row", Align::Word),
    ("Community ID", Align::Word),
    // The only cells of any length come last: nothing is pushed aside by them.
    ("Facts", Align::Left),
];

/// From this many columns on a terminal shows all that is said of a flow but its facts.
const ROOMY: u16 = 150;
/// From this many it shows them as well.
const VERY_ROOMY: u16 = 240;

/// The titles of the sheet's columns. Additions go to the end.
const CSV_COLUMNS: [&str; 30] = [
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
    "protocol_facts",
    "protocol_also",
    "learned_kind",
    "learned_services",
    "learned_by",
    "learned_capture",
    "learned_frame",
];

/// What an empty table says.
const NOTHING: &str = "No flow was found in the captures.";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::Transport;
    use crate::report::specimen::{NASTY, flow};

    fn written(name: &str, facts: &str, width: Option<u16>) -> String {
        let tls = Identification {
            protocol: Some("tls"),
            confidence: Some(Confidence::High),
            facts: [("sni", facts.to_string()), ("tls_version", "1.2".into())].into(),
            also: vec!["stun"],
            ..Identification::default()
        };
        let verdict = Verdict {
            class: Class::Confirmed,
            expectation: None,
            others: Vec::new(),
            contradiction: None,
            nearest: None,
            exempt: Vec::new(),
            announced: None,
        };
        let tcp = flow(Transport::TCP, ("fe80::1", 40000), ("fe80::2", 5061));
        let mut esp = flow(Transport::ESP, ("fe80::1", 0), ("fe80::2", 0));
        esp.spi = Some(0xdead_beef);
        let learned = crate::report::specimen::learned();
        let rows = [
            FlowRow {
                flow: &tcp,
                identification: &tls,
                verdict: Some(&verdict),
                expectation: Some("S03"),
                announced: Some(&learned),
            },
            FlowRow {
                flow: &esp,
                identification: &Identification::default(),
                verdict: None,
                expectation: None,
                announced: None,
            },
        ];
        render(name, &rows, width)
    }

    fn render(name: &str, rows: &[FlowRow<'_>], width: Option<u16>) -> String {
        let format = FORMATS.iter().find(|format| format.name == name);
        let style = Style { color: false, width };
        let mut out = Vec::new();
        (format.expect("a format").write)(&mut rows.iter().copied(), style, &mut out)
            .expect("memory");
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn a_line_of_json_is_the_published_one() {
        let text = written("jsonl", "fe01", None);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[0],
            concat!(
                r#"{"schema":"portassay.flow/1","transport":"tcp","#,
                r#""initiator":{"address":"fe80::1","port":40000},"#,
                r#""responder":{"address":"fe80::2","port":5061},"direction":{"by":"syn"},"#,
                r#""packets":{"forward":1,"backward":2},"bytes":{"forward":100,"backward":3000},"#,
                r#""first":"2024-05-01T12:00:00.000000000Z","last":"2024-05-01T12:00:02.000000000Z","#,
                r#""first_frame":{"capture":0,"frame":7},"vlan":[20],"tunnel":["ah"],"#,
                r#""outcome":"established","protocol":"tls","protocol_confidence":"high","#,
                r#""protocol_facts":{"sni":"fe01","tls_version":"1.2"},"protocol_also":["stun"],"#,
                r#""spi":null,"#,
                r#""class":"confirmed","expectation":"S03","#,
                r#""community_id":"1:zp+i52LlZE9crAbXG64MGXhyjSc=","#,
                r#""learned":{"kind":"ept-map","services":["lsarpc","samr"],"exchange":null,"#,
                r#""by":"10.0.1.11","frame":{"capture":1,"frame":12}}}"#
            )
        );
        assert!(lines[1].contains(r#""initiator":{"address":"fe80::1","port":null}"#));
        assert!(lines[1].contains(r#""spi":3735928559,"class":null,"expectation":null"#));
    }

    #[test]
    fn the_array_holds_the_same_objects() {
        let array = written("json", "fe01", None);
        let array: Vec<serde_json::Value> = serde_json::from_str(&array).expect("JSON");
        let lines = written("jsonl", "fe01", None);
        let lines: Vec<serde_json::Value> =
            lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert_eq!(array, lines);
    }

    #[test]
    fn a_terminal_drops_what_it_has_no_room_for() {
        let got = written("table", "fe01", Some(110));
        let lines: Vec<&str> = got.lines().collect();
        assert_eq!(
            lines[0],
            "  Transport  Initiator        Responder        Bytes  Outcome      Protocol        Class      Row"
        );
        assert_eq!(
            lines[2],
            "  tcp in ah  [fe80::1]:40000  [fe80::2]:5061  3.1 kB  established  tls, also stun  confirmed  S03"
        );
        assert_eq!(
            lines[3],
            "  esp in ah  fe80::1          fe80::2         3.1 kB  datagram     -               -          -"
        );
        let wide = written("table", "fe01", Some(160));
        assert!(wide.contains("2024-05-01 12:00:00 UTC"));
        assert!(wide.contains("tls, also stun  high        confirmed  S03"), "{wide}");
        assert!(!wide.contains("sni=fe01"), "{wide}");
        let file = written("table", "fe01", None);
        let all = "S03  1:zp+i52LlZE9crAbXG64MGXhyjSc=  sni=fe01, tls_version=1.2, learned=ept-map lsarpc, samr (frame 12)\n";
        assert!(file.contains(all), "{file}");
        let sliver = written("table", "fe01", Some(40));
        assert!(sliver.lines().all(|line| line.chars().count() <= 40));
        assert!(sliver.contains("established"));
    }

    #[test]
    fn sheets_and_markdown_have_a_row_per_flow() {
        let sheet = written("csv", "fe01", None);
        let lines: Vec<&str> = sheet.lines().collect();
        assert_eq!(lines[0], CSV_COLUMNS.join(","));
        assert!(lines[1].contains(",tcp,fe80::1,40000,fe80::2,5061,syn,1,2,100,3000,established,"));
        assert!(lines[1].ends_with(",stun,ept-map,lsarpc samr,10.0.1.11,1,12"), "{}", lines[1]);
        assert!(lines[2].contains(",esp,fe80::1,,fe80::2,,syn,"));
        let markdown = written("markdown", "fe01", None);
        assert!(
            markdown
                .contains("| tcp in ah | \\[fe80::1\\]:40000 | \\[fe80::2\\]:5061 | 3 | 3.1 kB |")
        );
    }

    #[test]
    fn no_flows_are_a_sentence_or_an_empty_list() {
        for (name, expected) in [
            ("table", "No flow was found in the captures.\n"),
            ("markdown", "No flow was found in the captures.\n"),
            ("json", "[\n]\n"),
            ("jsonl", ""),
        ] {
            assert_eq!(render(name, &[], Some(80)), expected);
        }
    }

    #[test]
    fn hostile_facts_are_shown_and_not_obeyed() {
        for format in FORMATS {
            let got = written(format.name, NASTY, None);
            let hidden = |c| c != '\n' && crate::report::text::is_hidden(c);
            assert!(!got.contains(hidden), "{}", format.name);
        }
        assert_eq!(written("jsonl", NASTY, None).lines().count(), 2);
    }
}
