//! The report as GitHub-flavoured Markdown, for issues, wikis and job summaries.
//!
//! Names come from the network, so nothing in them may become markup, a link, a mention or HTML.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io;

use super::table::{coverage, finding, inputs, negotiations};
use super::text::{bytes, count, escape, share};
use super::{Format, Report, Style, advice, answer, exemptions};
use crate::findings::{Finding, Severity};

pub(super) const FORMAT: Format =
    Format { name: "markdown", help: "for issues and wikis: answer, findings, coverage", write };

fn write(report: &Report, _style: Style, out: &mut dyn io::Write) -> io::Result<()> {
    writeln!(out, "# {}\n\n{}", answer::word(report.overall), plain(&answer::headline(report)))?;
    captures(report, out)?;
    findings(report, out)?;
    if report.topology {
        explained(report, out)?;
    } else {
        hosts(report, out)?;
    }
    negotiated(report, out)?;
    quality(report, out)?;
    let steps = advice::next_steps(report);
    if !steps.is_empty() {
        writeln!(out, "\n## What to do next\n")?;
        for (at, step) in steps.iter().enumerate() {
            writeln!(out, "{}. {}", at + 1, with_code(step))?;
        }
    }
    Ok(())
}

fn captures(report: &Report, out: &mut dyn io::Write) -> io::Result<()> {
    if report.captures.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n## Captures\n")?;
    let rows = report.captures.iter().map(|capture| {
        vec![
            plain(&capture.shown()),
            match capture.compression {
                Some(compression) => {
                    format!("{}, {}", capture.format.token(), compression.token())
                }
                None => capture.format.token().into(),
            },
            count(capture.tally.frames),
            bytes(capture.tally.wire_bytes),
            plain(&inputs::remarks(capture).join(" ")),
        ]
    });
    let columns = [
        ("Capture", Align::Left),
        ("Format", Align::Left),
        ("Frames", Align::Right),
        ("Bytes", Align::Right),
        ("Remarks", Align::Left),
    ];
    table(&columns, rows, out)
}

fn findings(report: &Report, out: &mut dyn io::Write) -> io::Result<()> {
    writeln!(out, "\n## Findings\n")?;
    if report.findings().is_empty() {
        return writeln!(out, "None.");
    }
    let rows = report.findings().iter().map(|finding| {
        vec![
            severity(finding.severity).into(),
            code(finding.rule),
            plain(&answer::party(report, &finding.initiator, Some(FEW))),
            plain(&answer::party(report, &finding.responder, Some(FEW))),
            plain(&finding::service(finding)),
            count(finding.flows),
            count(finding.packets),
            plain(&finding.message),
        ]
    });
    let columns = [
        ("Severity", Align::Left),
        ("Rule", Align::Left),
        ("Initiator", Align::Left),
        ("Responder", Align::Left),
        ("Service", Align::Left),
        ("Flows", Align::Right),
        ("Packets", Align::Right),
        ("Finding", Align::Left),
    ];
    table(&columns, rows, out)?;
    for (at, finding) in report.findings().iter().enumerate() {
        details(report, at + 1, finding, out)?;
    }
    Ok(())
}

fn details(
    report: &Report,
    number: usize,
    finding: &Finding,
    out: &mut dyn io::Write,
) -> io::Result<()> {
    writeln!(out, "\n### {number}. {}\n", plain(finding.rule))?;
    let stop = if finding.message.ends_with('.') { "" } else { "." };
    writeln!(out, "{}{stop} {}\n", plain(&finding.message), with_code(finding.why))?;
    if let Some(row) = &finding.expectation {
        let layer = finding.layer.as_deref().unwrap_or("unknown layer");
        writeln!(out, "- Expectation: {} ({})", plain(row), plain(layer))?;
    }
    if !finding.frames.is_empty() {
        let frames = finding::frames(report, &finding.frames);
        writeln!(out, "- Frames: {}", plain(&frames))?;
    }
    if let Some(known) = &finding.announced {
        writeln!(out, "- Learned: {}", plain(&finding::learned(report, known)))?;
    }
    if !finding.display_filter.is_empty() {
        writeln!(out, "- Display filter: {}", code(&finding.display_filter))?;
    }
    for step in &finding.remedy {
        writeln!(out, "- Remedy: {}", with_code(step))?;
    }
    Ok(())
}

fn explained(report: &Report, out: &mut dyn io::Write) -> io::Result<()> {
    let classes = coverage::rows(report);
    if !classes.is_empty() {
        writeln!(out, "\n## Coverage\n\n{}\n", plain(&answer::explained(report)))?;
        let packets: u64 = classes.iter().map(|(_, totals)| totals.packets).sum();
        let rows = classes.iter().map(|(class, totals)| {
            vec![
                class.token().into(),
                count(totals.flows),
                count(totals.packets),
                bytes(totals.bytes),
                plain(&share(totals.packets, packets)),
                class.meaning().into(),
            ]
        });
        let columns = [
            ("Class", Align::Left),
            ("Flows", Align::Right),
            ("Packets", Align::Right),
            ("Bytes", Align::Right),
            ("Packets %", Align::Right),
            ("Meaning", Align::Left),
        ];
        table(&columns, rows, out)?;
    }
    let expected = &report.summary.expected;
    if !expected.is_empty() {
        writeln!(out, "\n## Expected services\n")?;
        writeln!(out, "{}", plain(&answer::expected_in_words(expected)))?;
        for (at, service) in answer::failed_services(expected).enumerate() {
            if at == 0 {
                writeln!(out)?;
            }
            writeln!(
                out,
                "- {}: {} of {}, port {}",
                answer::state(service.state),
                plain(&service.row),
                plain(&service.responder),
                service.port
            )?;
        }
    }
    writeln!(out, "\n## IPsec\n\n{}", plain(&answer::ipsec(report)))?;
    for (at, exemption) in exemptions::told(report).enumerate() {
        if at == 0 {
            writeln!(out)?;
        }
        writeln!(out, "- {}", plain(&exemptions::headline(exemption)))?;
        for evidence in &exemption.evidence {
            writeln!(out, "  - {}", plain(evidence))?;
        }
        for configured in &exemption.configured {
            let text = plain(&configured.text);
            writeln!(out, "  - {} {text}", exemptions::relation(configured))?;
        }
    }
    for (rows, caution) in exemptions::cautions(report) {
        writeln!(out, "\n{}: {}", plain(&rows.join(", ")), plain(caution))?;
    }
    let mends = exemptions::mends(report);
    for (rows, commands) in &mends {
        let rows = plain(&rows.join(", "));
        writeln!(out, "\nTo make the exemption of {rows}, in PowerShell:\n")?;
        for command in commands {
            writeln!(out, "- {}", code(command))?;
        }
    }
    if !mends.is_empty() {
        writeln!(out, "\n{}", plain(exemptions::BOTH_ENDS))?;
    }
    Ok(())
}

fn negotiated(report: &Report, out: &mut dyn io::Write) -> io::Result<()> {
    let Some(summary) = negotiations::summary(report) else { return Ok(()) };
    writeln!(out, "\n## IPsec negotiations\n\n{}", plain(&summary))?;
    let all = &report.summary.negotiations;
    if all.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    let columns = negotiations::TITLES.map(|title| (title, Align::Left));
    let rows = all.iter().map(|tied| {
        let cells = negotiations::cells(report, tied);
        cells.iter().map(|cell| plain(cell)).collect()
    });
    table(&columns, rows, out)
}

fn hosts(report: &Report, out: &mut dyn io::Write) -> io::Result<()> {
    if !report.seeming_roles.is_empty() {
        writeln!(out, "\n## Hosts, by what they seem to do\n")?;
        let rows = report.seeming_roles.iter().map(|host| {
            vec![
                plain(&report.address(host.address)),
                plain(&host.role),
                plain(&host.evidence.join(", ")),
            ]
        });
        let columns =
            [("Address", Align::Left), ("Seems to be", Align::Left), ("Because of", Align::Left)];
        table(&columns, rows, out)?;
    }
    if !report.services.is_empty() {
        writeln!(out, "\n## Services seen\n")?;
        let rows = report.services.iter().map(|service| {
            vec![
                plain(&service.name()),
                service.protocol.unwrap_or("not recognised").into(),
                count(service.responders),
                count(service.flows),
                count(service.packets),
                bytes(service.bytes),
            ]
        });
        let columns = [
            ("Service", Align::Left),
            ("Protocol", Align::Left),
            ("Responders", Align::Right),
            ("Flows", Align::Right),
            ("Packets", Align::Right),
            ("Bytes", Align::Right),
        ];
        table(&columns, rows, out)?;
    }
    Ok(())
}

fn quality(report: &Report, out: &mut dyn io::Write) -> io::Result<()> {
    writeln!(out, "\n## Capture quality\n\n{}", answer::grade(report.grade))?;
    for (at, reason) in report.reasons.iter().enumerate() {
        if at == 0 {
            writeln!(out)?;
        }
        writeln!(out, "- {}", plain(reason))?;
    }
    Ok(())
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "❌ error",
        Severity::Warning => "⚠️ warning",
        Severity::Note => "ℹ️ note",
    }
}

/// How a column is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Align {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

/// Writes a table. The cells must have been made safe by [`plain`] or [`code`].
pub(super) fn table(
    columns: &[(&str, Align)],
    rows: impl Iterator<Item = Vec<String>>,
    out: &mut dyn io::Write,
) -> io::Result<()> {
    let titles: Vec<&str> = columns.iter().map(|(title, _)| *title).collect();
    let rules = columns.iter().map(|(_, align)| match align {
        Align::Left => "---",
        Align::Right => "---:",
    });
    writeln!(out, "| {} |", titles.join(" | "))?;
    writeln!(out, "|{}|", rules.collect::<Vec<_>>().join("|"))?;
    for cells in rows {
        writeln!(out, "| {} |", cells.join(" | "))?;
    }
    Ok(())
}

/// Text that renders as itself: no markup, no HTML, no links, no mentions, no line breaks.
pub(super) fn plain(text: &str) -> String {
    let text = escape(text);
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '!' | '$' => {
                out.push('\\');
                out.push(c);
            }
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            // These begin mentions and issue references, which a backslash does not stop.
            '@' => out.push_str("&#64;"),
            '#' => out.push_str("&#35;"),
            other => out.push(other),
        }
    }
    // Addresses of web pages become links by themselves unless they are broken up.
    let out = out.replace("://", ":&#47;&#47;");
    match out.find("www.") {
        Some(_) => out.replace("www.", "www&#46;"),
        None => out,
    }
}

/// Text as code, also inside a table: the fence is longer than any run of backticks in it.
pub(super) fn code(text: &str) -> String {
    let text = escape(text);
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    let text = text.replace('|', "\\|");
    let pad = if text.starts_with('`') || text.ends_with('`') { " " } else { "" };
    format!("{fence}{pad}{text}{pad}{fence}")
}

/// Our own sentences, in which commands stand between backticks.
fn with_code(sentence: &str) -> String {
    let mut out = String::new();
    for (at, part) in sentence.split('`').enumerate() {
        let part: Cow<'_, str> = if at % 2 == 1 { code(part).into() } else { plain(part).into() };
        let _ = write!(out, "{part}");
    }
    out
}

/// Names and addresses listed per side.
const FEW: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::specimen::{NASTY, empty, failing, first_contact, hostile, written};
    use crate::report::text::is_hidden;

    #[test]
    fn a_failing_report_reads_like_a_document() {
        let expected = r"# FAIL

1 error and 1 warning in 1,234 flows of 2 captures.

## Captures

| Capture | Format | Frames | Bytes | Remarks |
|---|---|---:|---:|---|
| site/fe01.pcapng | pcapng | 120,345 | 97.7 MB | 12 frames cut short by the snaplen. 31 frames not decoded to a transport: 30 arp and 1 ip-header. |
| site/db1.pcap | pcap | 9 | 7.3 kB | the file ends inside frame 10 |

## Findings

| Severity | Rule | Initiator | Responder | Service | Flows | Packets | Finding |
|---|---|---|---|---|---:|---:|---|
| ❌ error | `cleartext-signalling` | client users (10.0.20.5, 10.0.20.6) | front-end fe01 (10.0.1.11) | tcp/5061 sip | 2 | 1,340 | SIP in clear text on tcp/5061, where S03 expects TLS. |
| ⚠️ warning | `unexpected-port` | fe80::9 (no role) | sql db1, db2 (10.0.3.1, 10.0.3.2) | udp/137, 1024-65535 | 1 | 1 | Nothing is expected on these ports of a database server. |

### 1. cleartext-signalling

SIP in clear text on tcp/5061, where S03 expects TLS. Passwords and call data can be read on the way.

- Expectation: S03 (built-in)
- Frames: 12 and 1015 of site/fe01.pcapng; 3 of site/db1.pcap
- Display filter: `ip.addr == 10.0.1.11 && tcp.port == 5061`
- Remedy: Set the client's transport to TLS.
- Remedy: Close tcp/5060 on the pool.

### 2. unexpected-port

Nothing is expected on these ports of a database server. It may be an intruder.

- Frames: 7 of site/db1.pcap
- Learned: ept-map lsarpc, samr, by 10.0.1.11 in frame 12 of site/db1.pcap
- Display filter: `udp.port == 137`
- Remedy: Find out what listens there.

## Coverage

Explained by an expectation: 99.8 % of the flows, 98.9 % of the packets, 99.5 % of the bytes.

| Class | Flows | Packets | Bytes | Packets % | Meaning |
|---|---:|---:|---:|---:|---|
| confirmed | 1,231 | 119,000 | 90.0 MB | 98.9 % | expected, and the content agrees |
| wrong-protocol | 2 | 1,340 | 451.2 kB | 1.1 % | expected port, wrong content |
| unexpected | 1 | 1 | 92 B | &lt;0.1 % | no expectation matches |

## Expected services

1 of 3 expected services seen, 1 refused and 1 never seen in these captures.

- refused: S02 of fe01, port 135

## IPsec

IPsec is in use or declared. 2 exemptions (media-only reading): 1 proven and 1 not-observed.

- proven: X05 A/V Edge internal, 1 peer (10.0.4.1), media waited 141.900 ms, by media-content, the same traffic as X09
  - ESP from 10.0.1.11 to 10.0.4.1 in frame 99
  - contradiction: rule 'media' of the export of med01 exempts it

## IPsec negotiations

1 negotiation: 1 sa.

| Outcome | Initiator | Responder | Start (UTC) | Took | Media |
|---|---|---|---|---|---|
| sa | 10.0.20.5 | 10.0.1.11 | 2024-05-01 12:00:02 | 1,250.500 ms | began before, silent for 1,150.400 ms, parallel |

## Capture quality

degraded

- 12 frames are cut short

## What to do next

1. Why it matters and every step of the remedy: `portassay explain cleartext-signalling` (and likewise 1 other rule).
2. See the packets in Wireshark: open the capture and paste the finding's filter.
3. What is meant to be goes into the policy: a row in a file of your own, given with `--policy`.
4. For a firmer answer capture again with whole frames (`dumpcap -s 0`) and undamaged files (copy them again, or end the capture properly).
";
        let got = written(&FORMAT, &failing(), None);
        assert_eq!(got, expected, "got:\n{got}");
    }

    #[test]
    fn a_first_contact_shows_hosts_and_services() {
        let got = written(&FORMAT, &first_contact(), None);
        assert!(got.starts_with("# INCONCLUSIVE\n\nwithout a topology nothing says"));
        assert!(got.contains("\n| 10.0.1.11 | front-end | tcp/5061 tls, tcp/443 tls |\n"));
        assert!(got.contains("\n| tcp/5061 | tls | 1 | 40 | 12,000 | 3.4 MB |\n"));
        assert!(got.contains("`portassay check 'my site.pcapng' --topology site.toml`"));
        assert!(!got.contains("## Coverage"));
    }

    #[test]
    fn nothing_is_said_in_a_sentence() {
        let got = written(&FORMAT, &empty(), None);
        assert!(got.contains("## Findings\n\nNone.\n"));
        assert!(!got.contains('|'), "no empty tables");
    }

    #[test]
    fn names_do_not_become_markup() {
        assert_eq!(
            plain(NASTY),
            "=a\\|b\\\\n\\\\x1b\\[2J\\\\u{202e}&lt;img src=x&gt;\\`c\\` &#64;all &#35;1 \
             \\[x\\](http:&#47;&#47;e.vil) \\\\x9b1m\\\\r\\\\t\\*d\\*"
        );
        assert_eq!(plain("www.e.vil & co"), "www&#46;e.vil &amp; co");
        assert_eq!(plain("a_b~c!d$e"), "a\\_b\\~c\\!d\\$e");
    }

    #[test]
    fn code_holds_pipes_and_backticks() {
        assert_eq!(code("a || b"), "`a \\|\\| b`");
        assert_eq!(code("a ` b"), "``a ` b``");
        assert_eq!(code("`x``"), "``` `x`` ```");
        assert_eq!(code("a\nb"), "`a\\nb`");
    }

    #[test]
    fn sentences_end_and_commands_are_code() {
        let mut report = failing();
        report.summary.findings[0].message = "SIP in clear text, where S03 demands TLS".into();
        report.summary.findings[0].remedy = vec!["Look: `ss -lntup` on Linux.".into()];
        let got = written(&FORMAT, &report, None);
        assert!(got.contains("where S03 demands TLS. Passwords and call data"), "{got}");
        assert!(got.contains("- Remedy: Look: `ss -lntup` on Linux."), "{got}");
    }

    #[test]
    fn hostile_names_stay_in_their_cells() {
        let got = written(&FORMAT, &hostile(), None);
        assert!(!got.contains(|c| c != '\n' && is_hidden(c)));
        assert!(!got.contains("<img") || got.contains("``=a"), "only inside code");
        let bars = |line: &str| line.replace("\\|", "").matches('|').count();
        let table = got.lines().skip_while(|line| !line.starts_with("| Severity"));
        for line in table.take(4) {
            assert_eq!(bars(line), 9, "{line}");
        }
    }
}
