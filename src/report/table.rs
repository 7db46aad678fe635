//! The report for people at a terminal: the answer first, then what supports it.
//!
//! On a terminal it fits the columns; elsewhere nothing is wrapped, cut or drawn, so that it can
//! be searched. This file owns the page and the grid, and is the only one that names the table
//! crate; the sections are beside it in `table/`.

pub(super) mod coverage;
pub(super) mod finding;
mod hosts;
pub(super) mod inputs;
pub(super) mod negotiations;

use std::borrow::Cow;
use std::io;

use comfy_table::{
    Cell, CellAlignment, ColumnConstraint, ContentArrangement, LineStyle, Table, TableStyle,
    presets,
};

use super::color::{Tone, paint};
use super::text::{escape, wrap};
use super::{Format, Overall, Report, Style, advice, answer};

pub(super) const FORMAT: Format = Format {
    name: "table",
    help: "for people: the answer, the findings and what supports them",
    write,
};

fn write(report: &Report, style: Style, out: &mut dyn io::Write) -> io::Result<()> {
    let mut page = Page::new(style, out);
    let tone = match report.overall {
        Overall::Pass => Tone::Good,
        Overall::Fail => Tone::Bad,
        Overall::Inconclusive => Tone::Doubtful,
    };
    let word = format!("{}:", answer::word(report.overall));
    page.tagged(0, &word, tone, &answer::headline(report))?;
    inputs::write(report, &mut page)?;
    finding::write(report, &mut page)?;
    if report.topology {
        coverage::write(report, &mut page)?;
    } else {
        hosts::write(report, &mut page)?;
    }
    negotiations::write(report, &mut page)?;
    coverage::quality(report, &mut page)?;
    let steps = advice::next_steps(report);
    if !steps.is_empty() {
        page.heading("What to do next")?;
        for (at, step) in steps.iter().enumerate() {
            page.tagged(2, &format!("{}.", at + 1), Tone::Plain, step)?;
        }
    }
    Ok(())
}

/// Text on its way out: escaped, wrapped to the terminal, coloured where wanted.
pub(super) struct Page<'w> {
    style: Style,
    out: &'w mut dyn io::Write,
}

impl<'w> Page<'w> {
    /// A page that is drawn in `style`.
    pub(super) fn new(style: Style, out: &'w mut dyn io::Write) -> Self {
        Self { style, out }
    }

    /// How many items of a list are shown: a few on a terminal, all elsewhere.
    pub(super) fn few(&self, few: usize) -> Option<usize> {
        self.style.width.map(|_| few)
    }

    /// `fancy` on a terminal, `plain` elsewhere.
    pub(super) fn glyph(&self, fancy: &'static str, plain: &'static str) -> &'static str {
        if self.style.width.is_some() { fancy } else { plain }
    }

    /// A heading with an empty line before it.
    pub(super) fn heading(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out)?;
        self.out.write_all(paint(&escape(text), Tone::Heading, self.style.color).as_bytes())?;
        writeln!(self.out)
    }

    /// An empty line.
    pub(super) fn blank(&mut self) -> io::Result<()> {
        writeln!(self.out)
    }

    /// A paragraph behind `indent` spaces.
    pub(super) fn line(&mut self, indent: usize, text: &str) -> io::Result<()> {
        self.tagged(indent, "", Tone::Plain, text)
    }

    /// A paragraph behind `indent` spaces and a tag in its own tone; following lines are set
    /// below the text, not below the tag.
    pub(super) fn tagged(
        &mut self,
        indent: usize,
        tag: &str,
        tone: Tone,
        text: &str,
    ) -> io::Result<()> {
        if tag.is_empty() && text.is_empty() {
            return Ok(());
        }
        let text = escape(text);
        let gap = usize::from(!tag.is_empty() && !text.is_empty());
        let hang = indent + tag.chars().count() + gap;
        let lines = match self.style.width {
            Some(width) => wrap(&text, usize::from(width).saturating_sub(hang).max(MIN_TEXT)),
            None => vec![text.into_owned()],
        };
        for (at, line) in lines.iter().enumerate() {
            if at == 0 {
                let tag = paint(tag, tone, self.style.color);
                writeln!(self.out, "{:indent$}{tag}{:gap$}{line}", "", "")?;
            } else {
                writeln!(self.out, "{:hang$}{line}", "")?;
            }
        }
        Ok(())
    }

    /// A table behind two spaces; a paragraph per row where the terminal is too narrow for it.
    pub(super) fn grid(&mut self, grid: &Grid) -> io::Result<()> {
        let too_narrow = |width| grid.least_width() + GRID_INDENT > usize::from(width);
        if self.style.width.is_some_and(too_narrow) {
            return self.stacked(grid);
        }
        for line in grid.lines(self.style, GRID_INDENT) {
            writeln!(self.out, "{:GRID_INDENT$}{line}", "")?;
        }
        Ok(())
    }

    fn stacked(&mut self, grid: &Grid) -> io::Result<()> {
        for (tone, cells) in &grid.rows {
            let Some((first, rest)) = cells.split_first() else {
                continue;
            };
            self.tagged(GRID_INDENT, &escape(first), *tone, "")?;
            let titles = grid.columns.iter().skip(1).map(|(title, _)| *title);
            let parts: Vec<String> = titles
                .zip(rest)
                .filter(|(_, cell)| !cell.is_empty())
                .map(|(title, cell)| format!("{title}: {cell}"))
                .collect();
            self.line(2 * GRID_INDENT, &parts.join("; "))?;
        }
        Ok(())
    }
}

/// How a column is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Align {
    /// Text.
    Left,
    /// Numbers, never broken.
    Right,
    /// Short words, never broken.
    Word,
}

/// A table: titles with their alignment, and rows of as many cells.
pub(super) struct Grid {
    columns: Vec<(&'static str, Align)>,
    rows: Vec<(Tone, Vec<String>)>,
}

impl Grid {
    /// A table without rows.
    pub(super) fn new(columns: &[(&'static str, Align)]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new() }
    }

    /// Appends a row whose first cell has a tone.
    pub(super) fn row(&mut self, tone: Tone, cells: Vec<String>) {
        self.rows.push((tone, cells));
    }

    /// The columns that the table needs at least to be legible.
    fn least_width(&self) -> usize {
        let columns = self.columns.iter().enumerate().map(|(at, (title, align))| {
            let cells = self.rows.iter().filter_map(|(_, cells)| cells.get(at));
            let cells = cells.map(|cell| escape(cell)).chain([Cow::Borrowed(*title)]);
            cells
                .map(|cell| match align {
                    Align::Right | Align::Word => cell.chars().count(),
                    Align::Left => longest_word(&cell).min(LONG_WORD),
                })
                .max()
                .unwrap_or(0)
        });
        columns.map(|width| width + usize::from(GAP)).sum()
    }

    /// The drawn lines, without trailing spaces.
    fn lines(&self, style: Style, indent: usize) -> Vec<String> {
        let mut table = Table::new();
        match style.width {
            Some(width) => {
                table
                    .load_style(HEADER_LINE)
                    .set_content_arrangement(ContentArrangement::Dynamic)
                    .set_width(width.saturating_sub(indent as u16).max(MIN_TEXT as u16));
            }
            None => {
                table
                    .load_style(presets::NOTHING)
                    .set_content_arrangement(ContentArrangement::Disabled);
            }
        }
        table.set_header(self.columns.iter().map(|(title, _)| *title));
        for (_, cells) in &self.rows {
            table.add_row(cells.iter().map(|cell| Cell::new(escape(cell))));
        }
        for (at, (_, align)) in self.columns.iter().enumerate() {
            if let Some(column) = table.column_mut(at) {
                column.set_padding((0, GAP));
                if *align == Align::Right {
                    column.set_cell_alignment(CellAlignment::Right);
                }
                if *align != Align::Left {
                    column.set_constraint(ColumnConstraint::ContentWidth);
                }
            }
        }
        let lines = table.lines().map(|line| line.trim_end().to_string());
        self.painted(lines.collect(), style.color)
    }

    /// Colours the titles and the first cell of rows with a tone. This is done on the drawn lines
    /// since escape sequences inside cells would be measured as text.
    fn painted(&self, mut lines: Vec<String>, color: bool) -> Vec<String> {
        if !color {
            return lines;
        }
        let mut toned = self.rows.iter().filter_map(|(tone, cells)| {
            let first = escape(cells.first()?);
            (*tone != Tone::Plain && !first.is_empty()).then_some((*tone, first))
        });
        let mut next = toned.next();
        for (at, line) in lines.iter_mut().enumerate() {
            if at == 0 {
                *line = paint(line, Tone::Heading, color).into_owned();
            } else if let Some((tone, first)) = &next
                && let Some(rest) = line.strip_prefix(first.as_ref())
            {
                *line = format!("{}{rest}", paint(first, *tone, color));
                next = toned.next();
            }
        }
        lines
    }
}

/// One line under the titles, and nothing else that the eye must skip.
const HEADER_LINE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─'));
fn longest_word(text: &str) -> usize {
    let words = text.split(' ').map(|word| word.chars().count());
    words.max().unwrap_or(0)
}

/// Spaces between columns.
const GAP: u16 = 2;
/// A longer word than this may be broken inside a table.
const LONG_WORD: usize = 18;
/// Narrower than this nothing is legible, whatever the terminal says.
const MIN_TEXT: usize = 24;
/// Spaces before a table.
const GRID_INDENT: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::specimen::{empty, failing, first_contact, hostile, written};
    use crate::report::text::is_hidden;

    #[test]
    fn a_terminal_of_100_columns_shows_everything() {
        let expected = r"FAIL: 1 error and 1 warning in 1,234 flows of 2 captures.

Captures
  Capture           Link types   Frames    Bytes  Start (UTC)             Duration
  ──────────────────────────────────────────────────────────────────────────────────
  site/fe01.pcapng  ethernet    120,345  97.7 MB  2024-05-01 12:00:00  12 min 30 s
  site/db1.pcap     ethernet          9   7.3 kB  2024-05-01 12:00:00  12 min 30 s
  all 2                         120,354  97.7 MB  2024-05-01 12:00:00  12 min 30 s
  ! site/fe01.pcapng: 12 frames cut short by the snaplen.
  ! site/fe01.pcapng: 31 frames not decoded to a transport: 30 arp and 1 ip-header.
  ! site/db1.pcap: the file ends inside frame 10

Findings
✖ ERROR cleartext-signalling, expectation S03 of built-in
  client users (10.0.20.5, 10.0.20.6) → front-end fe01 (10.0.1.11), tcp/5061 sip
  SIP in clear text on tcp/5061, where S03 expects TLS.
  Traffic  2 flows, 1,340 packets, 451.2 kB; from 2024-05-01 12:00:01 UTC for 1 min 1 s
  Frames   12 and 1015 of site/fe01.pcapng; 3 of site/db1.pcap
  Filter   ip.addr == 10.0.1.11 && tcp.port == 5061
  Remedy   Set the client's transport to TLS. (1 more step:
           `portassay explain cleartext-signalling`)

▲ WARNING unexpected-port, medium confidence
  fe80::9 (no role) → sql db1, db2 (10.0.3.1, 10.0.3.2), udp/137, 1024-65535
  Nothing is expected on these ports of a database server.
  Traffic  1 flow, 1 packet, 92 B; from 2024-05-01 12:00:05 UTC for 0 s
  Frames   7 of site/db1.pcap
  Learned  ept-map lsarpc, samr, by 10.0.1.11 in frame 12 of site/db1.pcap
  Filter   udp.port == 137
  Remedy   Find out what listens there. (3 more steps: `portassay explain unexpected-port`)

Coverage
  Explained by an expectation: 99.8 % of the flows, 98.9 % of the packets, 99.5 % of the bytes.
  Class           Flows  Packets     Bytes  Packets %  Meaning
  ───────────────────────────────────────────────────────────────────────────────────────
  confirmed       1,231  119,000   90.0 MB     98.9 %  expected, and the content agrees
  wrong-protocol      2    1,340  451.2 kB      1.1 %  expected port, wrong content
  unexpected          1        1      92 B     <0.1 %  no expectation matches

Expected services
  1 of 3 expected services seen, 1 refused and 1 never seen in these captures.
  State    Row  From    Responder  Port
  ───────────────────────────────────────
  refused  S02  client  fe01        135

IPsec
  IPsec is in use or declared. 2 exemptions (media-only reading): 1 proven and 1 not-observed.
  proven: X05 A/V Edge internal, 1 peer (10.0.4.1), media waited 141.900 ms, by media-content, the
          same traffic as X09
    - ESP from 10.0.1.11 to 10.0.4.1 in frame 99
    contradiction: rule 'media' of the export of med01 exempts it

IPsec negotiations
  1 negotiation: 1 sa.
  Outcome  Initiator  Responder  Start (UTC)          Took          Media
  ────────────────────────────────────────────────────────────────────────────────────────────
  sa       10.0.20.5  10.0.1.11  2024-05-01 12:00:02  1,250.500 ms  began before, silent for
                                                                    1,150.400 ms, parallel

Capture quality
  degraded: parts of the answer are weakened.
  - 12 frames are cut short

What to do next
  1. Why it matters and every step of the remedy: `portassay explain cleartext-signalling` (and
     likewise 1 other rule).
  2. See the packets in Wireshark: open the capture and paste the finding's filter.
  3. What is meant to be goes into the policy: a row in a file of your own, given with `--policy`.
  4. For a firmer answer capture again with whole frames (`dumpcap -s 0`) and undamaged files (copy
     them again, or end the capture properly).
";
        let got = written(&FORMAT, &failing(), Some(100));
        assert_eq!(got, expected, "got:\n{got}");
    }

    #[test]
    fn a_pipe_gets_plain_lines() {
        let expected = r"FAIL: 1 error and 1 warning in 1,234 flows of 2 captures.

Captures
  Capture           Link types   Frames    Bytes  Start (UTC)             Duration
  site/fe01.pcapng  ethernet    120,345  97.7 MB  2024-05-01 12:00:00  12 min 30 s
  site/db1.pcap     ethernet          9   7.3 kB  2024-05-01 12:00:00  12 min 30 s
  all 2                         120,354  97.7 MB  2024-05-01 12:00:00  12 min 30 s
  ! site/fe01.pcapng: 12 frames cut short by the snaplen.
  ! site/fe01.pcapng: 31 frames not decoded to a transport: 30 arp and 1 ip-header.
  ! site/db1.pcap: the file ends inside frame 10

Findings
x ERROR cleartext-signalling, expectation S03 of built-in
  client users (10.0.20.5, 10.0.20.6) -> front-end fe01 (10.0.1.11), tcp/5061 sip
  SIP in clear text on tcp/5061, where S03 expects TLS.
  Traffic  2 flows, 1,340 packets, 451.2 kB; from 2024-05-01 12:00:01 UTC for 1 min 1 s
  Frames   12 and 1015 of site/fe01.pcapng; 3 of site/db1.pcap
  Filter   ip.addr == 10.0.1.11 && tcp.port == 5061
  Remedy   Set the client's transport to TLS. (1 more step: `portassay explain cleartext-signalling`)

! WARNING unexpected-port, medium confidence
  fe80::9 (no role) -> sql db1, db2 (10.0.3.1, 10.0.3.2), udp/137, 1024-65535
  Nothing is expected on these ports of a database server.
  Traffic  1 flow, 1 packet, 92 B; from 2024-05-01 12:00:05 UTC for 0 s
  Frames   7 of site/db1.pcap
  Learned  ept-map lsarpc, samr, by 10.0.1.11 in frame 12 of site/db1.pcap
  Filter   udp.port == 137
  Remedy   Find out what listens there. (3 more steps: `portassay explain unexpected-port`)

Coverage
  Explained by an expectation: 99.8 % of the flows, 98.9 % of the packets, 99.5 % of the bytes.
  Class           Flows  Packets     Bytes  Packets %  Meaning
  confirmed       1,231  119,000   90.0 MB     98.9 %  expected, and the content agrees
  wrong-protocol      2    1,340  451.2 kB      1.1 %  expected port, wrong content
  unexpected          1        1      92 B     <0.1 %  no expectation matches

Expected services
  1 of 3 expected services seen, 1 refused and 1 never seen in these captures.
  State    Row  From    Responder  Port
  refused  S02  client  fe01        135

IPsec
  IPsec is in use or declared. 2 exemptions (media-only reading): 1 proven and 1 not-observed.
  proven: X05 A/V Edge internal, 1 peer (10.0.4.1), media waited 141.900 ms, by media-content, the same traffic as X09
    - ESP from 10.0.1.11 to 10.0.4.1 in frame 99
    contradiction: rule 'media' of the export of med01 exempts it

IPsec negotiations
  1 negotiation: 1 sa.
  Outcome  Initiator  Responder  Start (UTC)          Took          Media
  sa       10.0.20.5  10.0.1.11  2024-05-01 12:00:02  1,250.500 ms  began before, silent for 1,150.400 ms, parallel

Capture quality
  degraded: parts of the answer are weakened.
  - 12 frames are cut short

What to do next
  1. Why it matters and every step of the remedy: `portassay explain cleartext-signalling` (and likewise 1 other rule).
  2. See the packets in Wireshark: open the capture and paste the finding's filter.
  3. What is meant to be goes into the policy: a row in a file of your own, given with `--policy`.
  4. For a firmer answer capture again with whole frames (`dumpcap -s 0`) and undamaged files (copy them again, or end the capture properly).
";
        let got = written(&FORMAT, &failing(), None);
        assert_eq!(got, expected, "got:\n{got}");
        let plain = |c: char| c.is_ascii() || c == '\u{a0}';
        assert!(got.chars().all(plain), "no box drawing in a pipe");
    }

    #[test]
    fn without_topology_the_hosts_and_the_way_to_one_are_shown() {
        let expected = r#"INCONCLUSIVE: without a topology nothing says which traffic is expected; no findings in 40 flows of
              1 capture.

Captures
  Capture         Link types  Frames     Bytes  Start (UTC)             Duration
  ────────────────────────────────────────────────────────────────────────────────
  my site.pcapng  ethernet     1,000  812.0 kB  2024-05-01 12:00:00  12 min 30 s

Findings
  None. Without a topology only rules that need no roles can find anything.

Hosts, by what they seem to do
  Address    Seems to be  Because of
  ───────────────────────────────────────────────────
  10.0.1.11  front-end    tcp/5061 tls, tcp/443 tls

Services seen
  Service   Protocol  Responders  Flows  Packets   Bytes
  ────────────────────────────────────────────────────────
  tcp/5061  tls                1     40   12,000  3.4 MB

Capture quality
  good: nothing stands against the answer.

What to do next
  1. Write site.toml: a `[[host]]` with `name`, `addresses` and `roles` for each server, a
     `[[network]]` with `name`, `prefixes` and `roles` for each range of clients.
  2. For example `[[host]]` `name = "front-end-1"` `addresses = ["10.0.1.11"]`
     `roles = ["front-end"]`.
  3. Then compare: `portassay check 'my site.pcapng' --topology site.toml`.
"#;
        let got = written(&FORMAT, &first_contact(), Some(100));
        assert_eq!(got, expected, "got:\n{got}");
    }

    #[test]
    fn nothing_is_said_in_sentences() {
        let expected = r"PASS: no findings in 0 flows of 0 captures.

Captures
  No capture was read.

Findings
  None: no flow was found in the captures.

Coverage
  There are no flows to explain.

Expected services
  The policy expects no service of the topology's hosts.

IPsec
  IPsec was neither seen nor declared; no exemption applies to the hosts in the captures.

Capture quality
  good: nothing stands against the answer.

What to do next
  1. Keep it so: put the captures into a folder of fixtures and run `portassay test` on it.
";
        let got = written(&FORMAT, &empty(), Some(100));
        assert_eq!(got, expected, "got:\n{got}");
    }

    #[test]
    fn lines_fit_the_terminal() {
        for report in [failing(), first_contact(), empty()] {
            for width in [60, 72, 80, 100, 132] {
                for line in written(&FORMAT, &report, Some(width)).lines() {
                    // A command is kept in one piece, for copying.
                    let whole = line.contains('`');
                    let fits = line.chars().count() <= usize::from(width);
                    assert!(fits || whole, "{width}: {line}");
                }
            }
        }
    }

    #[test]
    fn a_sliver_of_a_terminal_still_gets_every_word() {
        let got = written(&FORMAT, &failing(), Some(5));
        for word in ["120,345", "cleartext-signalling", "wrong-protocol", "1015"] {
            assert!(got.contains(word), "{word}");
        }
    }

    #[test]
    fn long_lists_are_cut_on_a_terminal_and_whole_in_a_pipe() {
        let mut report = first_contact();
        let host = report.seeming_roles[0].clone();
        for last in 12..62 {
            let mut next = host.clone();
            next.address = std::net::IpAddr::from([10, 0, 1, last]);
            report.seeming_roles.push(next);
        }
        let terminal = written(&FORMAT, &report, Some(100));
        assert!(terminal.contains("and 31 more hosts; `--format json` lists all."));
        assert!(!terminal.contains("10.0.1.61"));
        let pipe = written(&FORMAT, &report, None);
        assert!(pipe.contains("10.0.1.61") && !pipe.contains("more hosts"));
    }

    #[test]
    fn a_remedy_is_told_once_for_findings_in_a_row() {
        let mut report = failing();
        let again = report.summary.findings[0].clone();
        report.summary.findings.insert(1, again);
        let got = written(&FORMAT, &report, None);
        assert_eq!(got.matches("Set the client's transport to TLS.").count(), 1);
        assert_eq!(got.matches("x ERROR").count(), 2);
    }

    #[test]
    fn colour_adds_nothing_but_colour() {
        let style = Style { color: true, width: Some(100) };
        for report in [failing(), first_contact(), empty()] {
            let mut out = Vec::new();
            write(&report, style, &mut out).expect("memory takes everything");
            let colored = String::from_utf8(out).expect("UTF-8");
            assert!(colored.contains("\x1b[1;3"));
            assert_eq!(without_sgr(&colored), written(&FORMAT, &report, Some(100)));
        }
    }

    fn without_sgr(text: &str) -> String {
        let mut parts = text.split("\x1b[");
        let mut out = parts.next().unwrap_or_default().to_string();
        for part in parts {
            let (_, rest) = part.split_once('m').expect("an SGR sequence ends in m");
            out.push_str(rest);
        }
        out
    }

    #[test]
    fn hostile_names_are_shown_and_not_obeyed() {
        for width in [None, Some(200), Some(100), Some(40)] {
            let got = written(&FORMAT, &hostile(), width);
            let obeyed: Vec<char> = got.chars().filter(|&c| c != '\n' && is_hidden(c)).collect();
            assert!(obeyed.is_empty(), "{obeyed:?} at {width:?}");
            assert!(got.contains("\\x1b[2J\\u{202e}<img"), "at {width:?}");
        }
        let lines = |report| written(&FORMAT, &report, None).lines().count();
        let mut same = failing();
        for capture in &mut same.captures {
            capture.damage = Some("damage".into());
            capture.undecoded = [("arp".into(), 1)].into();
            capture.tally.notes.filters.add(b"tcp port 5061");
        }
        assert_eq!(lines(hostile()), lines(same), "a name adds no line");
    }
}
