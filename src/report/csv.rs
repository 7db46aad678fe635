//! Findings as a sheet (RFC 4180), one a row, for spreadsheets and databases.
//!
//! Spreadsheets run cells that look like formulas, and names come from the network: such cells
//! get an apostrophe in front. Control characters are spelled out, so that a row is a line.

use std::io;

use super::{Format, Report, Style, text};
use crate::findings::{Finding, PartyGroup};
use crate::policy::Announcement;

pub(super) const FORMAT: Format =
    Format { name: "csv", help: "for spreadsheets: one finding a row", write };

fn write(report: &Report, _style: Style, out: &mut dyn io::Write) -> io::Result<()> {
    let mut sheet = Sheet::new(out);
    sheet.row(HEADER)?;
    for finding in report.findings() {
        sheet.row(cells(finding))?;
    }
    sheet.finish()
}

fn cells(finding: &Finding) -> Vec<String> {
    let [from_role, from_names, from_addresses] = party(&finding.initiator);
    let [to_role, to_names, to_addresses] = party(&finding.responder);
    let frames: Vec<String> =
        finding.frames.iter().map(|at| format!("{}:{}", at.capture, at.frame)).collect();
    vec![
        finding.severity.token().into(),
        finding.rule.into(),
        finding.confidence.token().into(),
        finding.message.clone(),
        from_role,
        from_names,
        from_addresses,
        to_role,
        to_names,
        to_addresses,
        finding.transport.to_string(),
        text::ports(&finding.ports),
        finding.protocol.unwrap_or_default().into(),
        finding.expectation.clone().unwrap_or_default(),
        finding.layer.clone().unwrap_or_default(),
        finding.flows.to_string(),
        finding.packets.to_string(),
        finding.bytes.to_string(),
        text::time(finding.first),
        text::time(finding.last),
        frames.join(" "),
        finding.display_filter.clone(),
        finding.bpf.clone(),
        finding.remedy.join(" / "),
        finding.fingerprint.clone(),
        finding.announced.as_ref().map(Announcement::summary).unwrap_or_default(),
        finding
            .announced
            .as_ref()
            .map(|known| format!("{}:{}", known.at.capture, known.at.frame))
            .unwrap_or_default(),
    ]
}

fn party(group: &PartyGroup) -> [String; 3] {
    let names: Vec<&str> = group.names.iter().map(String::as_str).collect();
    let mut addresses: Vec<String> = group.addresses.iter().map(ToString::to_string).collect();
    if group.more_addresses {
        addresses.push("...".into());
    }
    [group.role.clone().unwrap_or_default(), names.join(" "), addresses.join(" ")]
}

/// Rows on their way out, every cell made safe.
pub(super) struct Sheet<'w> {
    writer: csv::Writer<&'w mut dyn io::Write>,
}

impl<'w> Sheet<'w> {
    /// An empty sheet.
    pub(super) fn new(out: &'w mut dyn io::Write) -> Self {
        Self { writer: csv::Writer::from_writer(out) }
    }

    /// Writes a row.
    pub(super) fn row<S: AsRef<str>>(
        &mut self,
        cells: impl IntoIterator<Item = S>,
    ) -> io::Result<()> {
        let safe = cells.into_iter().map(|cell| guard(cell.as_ref()));
        self.writer.write_record(safe).map_err(io_error)
    }

    /// Writes what is still in memory.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

/// The cell with control characters spelled out, and an apostrophe before anything that a
/// spreadsheet would take for a formula. A tab counts, although it is spelled out as well.
fn guard(cell: &str) -> String {
    let formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let mark = if formula { "'" } else { "" };
    format!("{mark}{}", text::escape(cell))
}

/// The cause of a failed write, kept as it is: a closed pipe must stay recognisable.
fn io_error(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}

/// The titles of the columns. Additions go to the end.
const HEADER: [&str; 27] = [
    "severity",
    "rule",
    "confidence",
    "message",
    "initiator_role",
    "initiator_names",
    "initiator_addresses",
    "responder_role",
    "responder_names",
    "responder_addresses",
    "transport",
    "ports",
    "protocol",
    "expectation",
    "layer",
    "flows",
    "packets",
    "bytes",
    "first",
    "last",
    "frames",
    "display_filter",
    "bpf",
    "remedy",
    "fingerprint",
    "learned",
    "learned_frame",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::specimen::{empty, failing, hostile, written};

    #[test]
    fn findings_are_rows_under_a_header() {
        let text = written(&FORMAT, &failing(), None);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[0], HEADER.join(","));
        assert_eq!(
            lines[2],
            "warning,unexpected-port,medium,Nothing is expected on these ports of a database \
             server.,,,fe80::9,sql,db1 db2,10.0.3.1 10.0.3.2,udp,\"137, 1024-65535\",,,,1,1,92,\
             2024-05-01T12:00:05.000000000Z,2024-05-01T12:00:05.000000000Z,1:7,udp.port == 137,\
             udp port 137,Find out what listens there.,unexpected-port:-:sql:udp:1024-65535,\
             \"ept-map lsarpc, samr\",1:12"
        );
    }

    #[test]
    fn no_findings_leave_the_header() {
        assert_eq!(written(&FORMAT, &empty(), None), format!("{}\n", HEADER.join(",")));
    }

    #[test]
    fn formulas_are_disarmed() {
        for (cell, safe) in [
            ("=1+1", "'=1+1"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "'\\t=1"),
            ("a=1", "a=1"),
            ("", ""),
        ] {
            assert_eq!(guard(cell), safe);
        }
    }

    #[test]
    fn hostile_names_stay_in_their_cells() {
        let text = written(&FORMAT, &hostile(), None);
        assert_eq!(text.lines().count(), 3);
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        for record in reader.records() {
            let record = record.expect("a record");
            assert_eq!(record.len(), HEADER.len());
            for cell in &record {
                assert!(!cell.starts_with('='), "{cell}");
                assert!(!cell.contains(text::is_hidden), "{cell:?}");
            }
        }
    }

    /// A pipe whose reader has left.
    struct Closed;

    impl io::Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_closed_pipe_is_told_as_one_by_every_format() {
        let style = Style { color: false, width: None };
        for format in crate::report::FORMATS {
            let error = (format.write)(&failing(), style, &mut Closed).expect_err(format.name);
            assert_eq!(error.kind(), io::ErrorKind::BrokenPipe, "{}", format.name);
        }
    }
}
