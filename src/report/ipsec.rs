//! What `portassay ipsec` says about exported policies, for people and for programs.

mod document;

use std::collections::BTreeSet;
use std::io;

use super::csv::Sheet;
use super::markdown::{self, plain};
use super::table::{Align, Grid, Page};
use super::text::counted;
use super::{Overall, Style, answer, color::Tone};
use crate::findings::Severity;
use crate::findings::exported::{
    Caution, ExportAnswer, ExportsAnswer, Gap, RowAnswer, RuleCounts, Standing,
};

/// Everything that a run has to say.
#[derive(Debug)]
pub struct IpsecReport {
    /// What the exports say.
    pub answer: ExportsAnswer,
    /// The answer of the run.
    pub overall: Overall,
    /// The exit code that goes with it.
    pub exit_code: u8,
    /// Why, in one sentence.
    pub reason: String,
    /// Exports that could not be read, and why.
    pub errors: Vec<String>,
}

/// The descriptor of one output format.
#[derive(Debug)]
pub struct IpsecFormat {
    /// Its name on the command line.
    pub name: &'static str,
    /// Writes a report.
    pub write: fn(&IpsecReport, Style, &mut dyn io::Write) -> io::Result<()>,
}

/// Every output format of `ipsec`.
pub const FORMATS: &[IpsecFormat] = &[
    IpsecFormat { name: "table", write: write_table },
    IpsecFormat { name: "json", write: document::write_json },
    IpsecFormat { name: "csv", write: write_csv },
    IpsecFormat { name: "markdown", write: write_markdown },
];

/// The most cautions of one export that a terminal shows.
const FEW: usize = 20;

fn write_table(report: &IpsecReport, style: Style, out: &mut dyn io::Write) -> io::Result<()> {
    let mut page = Page::new(style, out);
    let tone = match report.overall {
        Overall::Pass => Tone::Good,
        Overall::Fail => Tone::Bad,
        Overall::Inconclusive => Tone::Doubtful,
    };
    page.tagged(0, &format!("{}:", answer::word(report.overall)), tone, &report.reason)?;
    for export in &report.answer.exports {
        page.heading(&title(export))?;
        page.line(2, &summary(export))?;
        for note in &export.notes {
            page.tagged(2, "!", Tone::Doubtful, note)?;
        }
        page.blank()?;
        page.grid(&rows(export))?;
        cautions(&mut page, &told(export))?;
    }
    if !report.answer.cautions.is_empty() {
        page.heading("Between the exports")?;
        let told: Vec<(Option<&str>, &Caution)> =
            report.answer.cautions.iter().map(|caution| (None, caution)).collect();
        cautions(&mut page, &told)?;
    }
    Ok(())
}

fn title(export: &ExportAnswer) -> String {
    format!("{} ({}, {})", export.label, export.format, super::display_path(&export.path))
}

fn summary(export: &ExportAnswer) -> String {
    let RuleCounts { total, exempting, securing, inactive, uncertain } = export.rules;
    let who = match &export.host {
        Some(host) => format!("Judged as {host}"),
        None => format!(
            "Judged as anyone who talks to the roles' hosts, as '{}' is no name of the topology",
            export.label
        ),
    };
    let rules = counted(total as u64, "rule", "rules");
    format!(
        "{who}. {rules}: {exempting} exempt, {securing} secure, {inactive} without effect; {uncertain} not understood in every part."
    )
}

fn rows(export: &ExportAnswer) -> Grid {
    let mut grid = Grid::new(&[
        ("Status", Align::Word),
        ("Row", Align::Word),
        ("Name", Align::Left),
        ("End", Align::Word),
        ("Secured, and should not be", Align::Left),
    ]);
    for row in &export.rows {
        let cells = vec![
            row.standing.token().to_owned(),
            row.row.clone(),
            row.name.clone(),
            ends(row).join("+"),
            gap_words(row),
        ];
        grid.row(tone(row.standing), cells);
    }
    grid
}

fn tone(standing: Standing) -> Tone {
    match standing {
        Standing::Present => Tone::Good,
        Standing::NotSecured | Standing::NotApplicable => Tone::Faint,
        Standing::Undecided => Tone::Doubtful,
        Standing::Partial | Standing::Shadowed | Standing::Missing => Tone::Bad,
    }
}

/// Whose end the row is about.
fn ends(row: &RowAnswer) -> Vec<&'static str> {
    let known = [(row.own, "own"), (row.peer, "peer")];
    known.into_iter().filter(|(there, _)| *there).map(|(_, word)| word).collect()
}

/// What would be enough, the first pieces of a gap, in what the exemption falls short, and what secures it.
fn gap_words(row: &RowAnswer) -> String {
    let pieces = pieces(&row.outline.pieces);
    let mut words = held_back(row);
    words.extend(pieces.iter().take(FEW_PIECES).cloned());
    let more = pieces.len().saturating_sub(FEW_PIECES) + row.outline.more;
    if more > 0 {
        words.push(format!("{more} more"));
    }
    words.extend(holes(row));
    let mut why = Vec::new();
    if !row.lacks.is_empty() {
        why.push(format!("lacks {}", lacks(row).join(", ")));
    }
    if !row.securing.is_empty() {
        why.push(format!("secured by {}", row.securing.join(", ")));
    }
    let why = if why.is_empty() { String::new() } else { format!(" ({})", why.join("; ")) };
    format!("{}{why}", words.join("; "))
}

/// The most pieces of a gap, and the most names, that are shown to people.
const FEW_PIECES: usize = 3;

/// Rules that would do and have no effect, by the reason.
fn held_back(row: &RowAnswer) -> Vec<String> {
    let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
    for (rule, why) in &row.held_back {
        match reasons.iter_mut().find(|(known, _)| known == why) {
            Some((_, rules)) => rules.push(rule),
            None => reasons.push((why, vec![rule])),
        }
    }
    let told = reasons.into_iter().map(|(why, rules)| {
        let more = rules.len().saturating_sub(FEW_PIECES);
        let names: Vec<String> =
            rules.iter().take(FEW_PIECES).map(|rule| format!("'{rule}'")).collect();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!("{}{more} without effect: {why}", names.join(", "))
    });
    told.collect()
}

/// That the pieces are not secured as a whole.
fn holes(row: &RowAnswer) -> Option<String> {
    row.outline.with_holes.then(|| "except where other rules apply".to_owned())
}

/// In what an exemption falls short, with the profiles.
fn lacks(row: &RowAnswer) -> Vec<String> {
    let profiles: BTreeSet<&str> =
        row.gap.iter().flat_map(|gap| gap.profiles.iter().copied()).collect();
    let profiles: Vec<&str> = profiles.into_iter().collect();
    let one = |lack: &&str| match *lack {
        "profile" if !profiles.is_empty() => format!("profile {}", profiles.join(" and ")),
        lack => lack.to_owned(),
    };
    row.lacks.iter().map(one).collect()
}

/// Pieces of a gap that differ only in transports, or only in the ports of one end.
struct Piece<'g> {
    gap: &'g Gap,
    transports: Vec<&'g str>,
    local_ports: Vec<&'g str>,
    remote_ports: Vec<&'g str>,
}

/// Each piece once, with its transports: `tcp+udp 10.1.3.10 port 49152-57500, peer any IPv4`.
fn pieces(gap: &[Gap]) -> Vec<String> {
    let alone = gap.iter().map(|gap| Piece {
        gap,
        transports: vec![&gap.transport],
        local_ports: vec![&gap.local_ports],
        remote_ports: vec![&gap.remote_ports],
    });
    let elsewhere = |a: &Piece<'_>, b: &Piece<'_>| {
        let [a, b] = [a.gap, b.gap];
        (a.direction, &a.local, &a.remote, &a.profiles)
            != (b.direction, &b.local, &b.remote, &b.profiles)
    };
    let mut pieces: Vec<Piece<'_>> = alone.collect();
    // On one after the other, so that nothing is said that is not so.
    for on in 0..3 {
        let mut joined: Vec<Piece<'_>> = Vec::with_capacity(pieces.len());
        for piece in pieces {
            let fits = |known: &&mut Piece<'_>| {
                let same = [
                    known.transports == piece.transports,
                    known.remote_ports == piece.remote_ports,
                    known.local_ports == piece.local_ports,
                ];
                !elsewhere(known, &piece)
                    && same.iter().enumerate().all(|(axis, same)| *same || axis == on)
            };
            match joined.iter_mut().find(fits) {
                Some(known) => known.extend(&piece),
                None => joined.push(piece),
            }
        }
        pieces = joined;
    }
    pieces.iter().map(Piece::words).collect()
}

impl<'g> Piece<'g> {
    fn extend(&mut self, other: &Self) {
        let lists = [
            (&mut self.transports, &other.transports),
            (&mut self.local_ports, &other.local_ports),
            (&mut self.remote_ports, &other.remote_ports),
        ];
        for (mine, theirs) in lists {
            let fresh: Vec<&'g str> =
                theirs.iter().copied().filter(|word| !mine.contains(word)).collect();
            mine.extend(fresh);
        }
    }

    fn words(&self) -> String {
        let gap = self.gap;
        let end = |addresses: &str, ports: &[&str]| match ports {
            ["any"] => addresses.to_owned(),
            ports => format!("{addresses} port {}", ports.join(", ")),
        };
        let direction =
            if gap.direction == "both" { String::new() } else { format!("{} of ", gap.direction) };
        let profiles = match gap.profiles.join(", ") {
            none if none.is_empty() => none,
            some => format!(", in {some}"),
        };
        let local = end(&gap.local, &self.local_ports);
        let remote = end(&gap.remote, &self.remote_ports);
        format!("{} {direction}{local}, peer {remote}{profiles}", self.transports.join("+"))
    }
}

/// What to look at, each sentence once with its rows, gravest first.
fn told(export: &ExportAnswer) -> Vec<(Option<&str>, &Caution)> {
    let own = export.cautions.iter().map(|caution| (None, caution));
    let of_rows = export
        .rows
        .iter()
        .flat_map(|row| row.cautions.iter().map(|caution| (Some(row.row.as_str()), caution)));
    let mut told: Vec<(Option<&str>, &Caution)> = own.chain(of_rows).collect();
    told.sort_by(|a, b| {
        b.1.severity.cmp(&a.1.severity).then_with(|| a.1.cmp(b.1)).then_with(|| a.0.cmp(&b.0))
    });
    told
}

fn cautions(page: &mut Page<'_>, told: &[(Option<&str>, &Caution)]) -> io::Result<()> {
    if told.is_empty() {
        return Ok(());
    }
    page.blank()?;
    let groups: Vec<&[(Option<&str>, &Caution)]> = told.chunk_by(|a, b| a.1 == b.1).collect();
    let few = page.few(FEW).unwrap_or(usize::MAX);
    for group in groups.iter().take(few) {
        let Some((_, caution)) = group.first() else { continue };
        let rows: Vec<&str> = group.iter().filter_map(|(row, _)| *row).collect();
        let rows = if rows.is_empty() { String::new() } else { format!("{}: ", rows.join(", ")) };
        let (tag, tone) = match caution.severity {
            Severity::Error => ("error:", Tone::Bad),
            Severity::Warning => ("warning:", Tone::Doubtful),
            Severity::Note => ("note:", Tone::Notable),
        };
        page.tagged(2, tag, tone, &format!("{rows}{}.", caution.message))?;
    }
    if groups.len() > few {
        let more = counted((groups.len() - few) as u64, "more", "more");
        page.line(2, &format!("{more}; `--format json` has them all."))?;
    }
    Ok(())
}

/// The titles of the columns. Additions go to the end.
const COLUMNS: [&str; 11] = [
    "export",
    "host",
    "row",
    "name",
    "status",
    "ends",
    "lacks",
    "gap",
    "exempting",
    "securing",
    "held_back",
];

fn cells(export: &ExportAnswer, row: &RowAnswer) -> [String; 11] {
    let mut gap = pieces(&row.outline.pieces);
    if row.outline.more > 0 {
        gap.push(format!("{} more", row.outline.more));
    }
    gap.extend(holes(row));
    [
        export.label.clone(),
        export.host.clone().unwrap_or_default(),
        row.row.clone(),
        row.name.clone(),
        row.standing.token().to_owned(),
        ends(row).join(" "),
        row.lacks.join(" "),
        gap.join("; "),
        row.exempting.join("; "),
        row.securing.join("; "),
        held_back(row).join("; "),
    ]
}

fn write_csv(report: &IpsecReport, _style: Style, out: &mut dyn io::Write) -> io::Result<()> {
    let mut sheet = Sheet::new(out);
    sheet.row(COLUMNS)?;
    for export in &report.answer.exports {
        for row in &export.rows {
            sheet.row(cells(export, row))?;
        }
    }
    sheet.finish()
}

fn write_markdown(report: &IpsecReport, _style: Style, out: &mut dyn io::Write) -> io::Result<()> {
    writeln!(out, "# {}\n\n{}", answer::word(report.overall), plain(&report.reason))?;
    for export in &report.answer.exports {
        writeln!(out, "\n## {}\n\n{}\n", plain(&title(export)), plain(&summary(export)))?;
        let columns = [
            ("Row", markdown::Align::Left),
            ("Name", markdown::Align::Left),
            ("Status", markdown::Align::Left),
            ("End", markdown::Align::Left),
            ("Secured, and should not be", markdown::Align::Left),
        ];
        let rows = export.rows.iter().map(|row| {
            let cells =
                [&row.row, &row.name, row.standing.token(), &ends(row).join("+"), &gap_words(row)];
            cells.map(plain).to_vec()
        });
        markdown::table(&columns, rows, out)?;
        let notes: Vec<String> = export.notes.iter().map(|note| plain(note)).collect();
        let told = told(export);
        let told = told.chunk_by(|a, b| a.1 == b.1).filter_map(|group| {
            let (_, caution) = group.first()?;
            let rows: Vec<&str> = group.iter().filter_map(|(row, _)| *row).collect();
            let rows =
                if rows.is_empty() { String::new() } else { format!("{}: ", rows.join(", ")) };
            Some(plain(&format!("{}: {rows}{}", caution.severity.token(), caution.message)))
        });
        list(notes.into_iter().chain(told), out)?;
    }
    let between = report.answer.cautions.iter().map(|caution| plain(&caution.message));
    list(between, out)
}

fn list(items: impl Iterator<Item = String>, out: &mut dyn io::Write) -> io::Result<()> {
    for (at, item) in items.enumerate() {
        if at == 0 {
            writeln!(out)?;
        }
        writeln!(out, "- {item}")?;
    }
    Ok(())
}

#[cfg(test)]
pub(super) mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::findings::exported::{Kind, Outline};
    use crate::report::specimen::NASTY;
    use crate::report::text::is_hidden;

    /// A report with one of everything.
    pub(in crate::report) fn specimen() -> IpsecReport {
        let caution = Caution {
            severity: Severity::Warning,
            kind: Kind::Restricted,
            rule: Some(NASTY.into()),
            message: format!("'{NASTY}' counts only for one network interface"),
        };
        let gap = Gap {
            transport: "tcp".into(),
            direction: "both",
            local: "any IPv4".into(),
            local_ports: "any".into(),
            remote: "10.1.3.10".into(),
            remote_ports: "49152-57500".into(),
            profiles: vec!["domain"],
        };
        let row = |standing: Standing| RowAnswer {
            row: "X05".into(),
            name: "Mediation Server Inbound".into(),
            standing,
            own: false,
            peer: true,
            lacks: vec!["protocol"],
            gap: vec![gap.clone(), Gap { transport: "udp".into(), ..gap.clone() }],
            more_gaps: 2,
            outline: Outline {
                pieces: vec![gap.clone(), Gap { transport: "udp".into(), ..gap.clone() }],
                more: 2,
                with_holes: true,
            },
            held_back: vec![(NASTY.into(), "disabled".into())],
            exempting: vec![NASTY.into()],
            securing: vec!["Isolation".into()],
            cautions: vec![caution.clone()],
        };
        let export = ExportAnswer {
            label: "fe01".into(),
            path: PathBuf::from("fe01.txt"),
            format: "netsh",
            host: None,
            rules: RuleCounts { total: 3, ..RuleCounts::default() },
            notes: vec![NASTY.into()],
            rows: Standing::ALL.map(row).to_vec(),
            cautions: vec![caution.clone()],
        };
        let answer =
            ExportsAnswer { strict: false, exports: vec![export], cautions: vec![caution] };
        let reason = "3 rows are not exempt".to_owned();
        IpsecReport {
            answer,
            overall: Overall::Fail,
            exit_code: 1,
            reason,
            errors: vec![NASTY.into()],
        }
    }

    pub(in crate::report) fn written(
        name: &str,
        report: &IpsecReport,
        width: Option<u16>,
    ) -> String {
        let format = FORMATS.iter().find(|format| format.name == name).unwrap();
        let mut out = Vec::new();
        (format.write)(report, Style { color: false, width }, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn people_are_told_what_is_secured_and_should_not_be() {
        let table = written("table", &specimen(), None);
        assert!(table.starts_with("FAIL: 3 rows are not exempt\n"), "{table}");
        let line = table.lines().find(|line| line.contains("partial")).unwrap();
        let gap = "tcp+udp any IPv4, peer 10.1.3.10 port 49152-57500, in domain; 2 more; except where other rules apply (lacks protocol; secured by Isolation)";
        assert!(line.contains(gap), "{line}");
        let first = line.find("without effect: disabled; tcp").unwrap();
        assert!(first < line.find(gap).unwrap(), "what would do comes first: {line}");
        let told = table.lines().filter(|line| line.contains("counts only for")).count();
        assert_eq!(told, 2, "once with all its rows, and once between the exports: {table}");
        let markdown = written("markdown", &specimen(), None);
        assert!(
            markdown.contains("without effect: disabled; tcp+udp any IPv4, peer 10.1.3.10 port")
        );
        let sheet = written("csv", &specimen(), None);
        assert_eq!(sheet.lines().count(), 1 + Standing::ALL.len());
    }

    #[test]
    fn pieces_are_joined_where_that_says_the_same() {
        let gap = |transport: &str, ports: &str| Gap {
            transport: transport.into(),
            direction: "both",
            local: "any IPv4".into(),
            local_ports: "any".into(),
            remote: "10.1.3.10".into(),
            remote_ports: ports.into(),
            profiles: Vec::new(),
        };
        let square = [gap("tcp", "443"), gap("tcp", "3478"), gap("udp", "443"), gap("udp", "3478")];
        assert_eq!(pieces(&square), ["tcp+udp any IPv4, peer 10.1.3.10 port 443, 3478"]);
        let corner = pieces(&square[..3]);
        assert_eq!(
            corner,
            ["tcp+udp any IPv4, peer 10.1.3.10 port 443", "tcp any IPv4, peer 10.1.3.10 port 3478"]
        );
    }

    #[test]
    fn hostile_texts_are_shown_and_not_obeyed() {
        for format in FORMATS {
            for width in [None, Some(80)] {
                let got = written(format.name, &specimen(), width);
                assert!(!got.contains(|c| c != '\n' && is_hidden(c)), "{}", format.name);
            }
        }
    }
}
