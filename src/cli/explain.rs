//! `explain`: a finding rule, a class of flows, a table row, or what the policy would say of a
//! 5-tuple.

use std::io::{self, Write};

use super::args;
use super::list::{role_words, rule_row};
use super::terminal::Terminal;
use super::{Ended, load_policy, to_stdout};
use crate::decode::Transport;
use crate::error::Error;
use crate::findings::{RULES, Rule, exported, ipsec};
use crate::policy::explain::{Explained, Tuple};
use crate::policy::{Class, Expectation, Misfit, Party, Policy};
use crate::report::text;

pub(super) fn explain(args: &args::Explain, _terminal: &Terminal) -> Ended {
    let subject = args.subject.trim();
    let rule = RULES.iter().find(|rule| rule.name.eq_ignore_ascii_case(subject));
    let class = Class::ALL.into_iter().find(|class| class.token().eq_ignore_ascii_case(subject));
    // One word is the name of a rule and of a class: both are told.
    if rule.is_some() || class.is_some() {
        return to_stdout(|out| {
            if let Some(rule) = rule {
                explain_rule(rule, out)?;
            }
            if rule.is_some() && class.is_some() {
                writeln!(out)?;
            }
            class.map_or(Ok(()), |class| explain_class(class, out))
        });
    }
    let lower = subject.to_ascii_lowercase();
    let meanings: Vec<_> = [
        ("of an IPsec exemption", ipsec::meaning(&lower)),
        ("of exported IPsec rules", exported::meaning(&lower)),
    ]
    .into_iter()
    .filter_map(|(of_what, meaning)| Some((of_what, meaning?)))
    .collect();
    if !meanings.is_empty() {
        return to_stdout(|out| {
            for (of_what, meaning) in &meanings {
                writeln!(out, "{lower} ({of_what})\n")?;
                paragraph(out, "What", meaning)?;
            }
            Ok(())
        });
    }
    let policy = load_policy(&args.expected)?;
    let in_force = policy.find(subject);
    let retired = || policy.retired().find(|row| row.id.eq_ignore_ascii_case(subject));
    if let Some(row) = in_force.or_else(retired) {
        let status = match (in_force, row.legacy) {
            (None, _) => "only earlier editions have it: nothing is allowed by it",
            (Some(_), true) => "left over from earlier systems: allowed, and told",
            (Some(_), false) => "",
        };
        return to_stdout(|out| explain_row(&policy, row, status, out));
    }
    if subject.contains("->") {
        let tuple: Tuple = subject.parse()?;
        let explained = policy.explain_tuple(&tuple)?;
        return to_stdout(|out| explain_tuple(&policy, &tuple, &explained, out));
    }
    Err(unknown(subject, &policy).into())
}

fn unknown(subject: &str, policy: &Policy) -> Error {
    let rules = RULES.iter().map(|rule| rule.name);
    let rows = policy.expectations().iter().map(|row| row.id.as_str());
    let lower = subject.to_ascii_lowercase();
    let nearest = rules
        .chain(rows)
        .chain(Class::ALL.map(Class::token))
        .chain(ipsec::words().chain(exported::words()).map(|word| -> &str { word }))
        .map(|name| (strsim::osa_distance(&lower, &name.to_ascii_lowercase()), name))
        .min();
    let hint = match nearest {
        Some((distance, name)) if distance <= name.len() / 2 => {
            format!("; did you mean '{name}'?")
        }
        _ => String::new(),
    };
    Error::Usage(format!(
        "'{subject}' is neither a finding rule, nor a class of flows, nor a word of the answers about IPsec, nor a row of the tables, nor a \
         5-tuple such as \"tcp 10.0.0.5:* -> fe01:5061\"{hint}"
    ))
}

fn explain_rule(rule: &Rule, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{} (at most {})\n", rule.name, rule.severity.token())?;
    paragraph(out, "What", rule.what)?;
    paragraph(out, "Why", rule.why)?;
    writeln!(out, "What to do")?;
    for (n, step) in rule.remedy.iter().enumerate() {
        let lines = text::wrap(step, WIDTH - 5);
        for (k, line) in lines.iter().enumerate() {
            match k {
                0 => writeln!(out, "  {}. {line}", n + 1)?,
                _ => writeln!(out, "     {line}")?,
            }
        }
    }
    Ok(())
}

fn explain_class(class: Class, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{} (a class of flows): {}\n", class.token(), class.meaning())?;
    let (when, next) = class_words(class);
    paragraph(out, "When", when)?;
    paragraph(out, "What to do", next)
}

/// When a flow is of a class, and what that asks of the reader.
fn class_words(class: Class) -> (&'static str, &'static str) {
    match class {
        Class::Confirmed => (
            "A row matches ends and port, and the content agrees: it is the row's application, in clear or over TLS as the row demands. In a wide range the content was shown to be media.",
            "Nothing. A finding may still speak of it, such as one about an old version of TLS.",
        ),
        Class::PortOnly => (
            "A row of few ports matches, and the content cannot be seen: it is encrypted, cut off by the snaplen, unknown, or there is none. A connection that a load balancer opens and closes is of this class too. Nothing contradicts the row, and nothing confirms it.",
            "Nothing, where encryption is expected. Where the content should be readable, capture whole frames from the beginning of the connection.",
        ),
        Class::RangeUnconfirmed => (
            "Only a wide range matches, one of more than 1,000 ports, and nothing shows that the flow is media. The operating system takes ports of the same range for connections of every kind, so the range alone explains nothing.",
            "Name the media ranges in [media] of the topology, and capture whole frames and the beginning of calls. What stays may be traffic of any kind: look at its ends.",
        ),
        Class::Infrastructure => (
            "A row about the operating system or the directory explains it, such as DNS, Kerberos or time, and no row of the product does.",
            "Nothing. Such rows are not a part of the product's table; `portassay rules` lists them with their packs.",
        ),
        Class::WrongProtocol => (
            "A row of few ports matches, and the content contradicts it: it is another protocol, clear text where TLS must be, or a handshake without a certificate where both servers must show one.",
            "Read the finding about it: wrong-protocol, cleartext-where-tls-expected or mtls-not-presented.",
        ),
        Class::Unexpected => (
            "No row matches. The nearest row is named, with the field that failed. A known protocol that is not media's is of this class too where only a wide range would match.",
            "Read the finding about it. If the traffic is wanted, add a row in a policy file and pass it with --policy; if a host is missing or has the wrong role, correct the topology.",
        ),
        Class::OutOfScope => (
            "Neither end has a role, or both are the same host. The policy is about roles, and says nothing of such a flow.",
            "Nothing, if the hosts do not belong to the site. Otherwise add them to the topology.",
        ),
    }
}

fn paragraph(out: &mut dyn Write, title: &str, words: &str) -> io::Result<()> {
    writeln!(out, "{title}")?;
    for line in text::wrap(words, WIDTH - 2) {
        writeln!(out, "  {line}")?;
    }
    writeln!(out)
}

/// Columns that explanations use.
const WIDTH: usize = 96;

fn explain_row(
    policy: &Policy,
    row: &Expectation,
    status: &str,
    out: &mut dyn Write,
) -> io::Result<()> {
    let words = rule_row(policy, row);
    writeln!(out, "{} {}\n", row.id, row.service)?;
    let ports = row.from_ports.as_ref().map(|ports| text::ports(ports.ranges()));
    let between_servers = row
        .between_servers
        .map_or_else(String::new, |what| format!("{} between them", what.token()));
    for (name, value) in [
        ("from", words.from.as_str()),
        ("from port", ports.as_deref().unwrap_or_default()),
        ("to", &words.to),
        ("transport", &words.transport),
        ("port", &words.ports),
        ("application", &words.application),
        ("security", &words.security),
        ("servers", &between_servers),
        ("legacy", status),
        ("pack", &words.pack),
        ("layer", &words.layer),
    ] {
        if !value.is_empty() {
            writeln!(out, "  {name:<12} {value}")?;
        }
    }
    writeln!(out)?;
    if !row.purpose.is_empty() {
        paragraph(out, "Purpose", &row.purpose)?;
    }
    if !row.note.is_empty() {
        paragraph(out, "Note", &row.note)?;
    }
    Ok(())
}

fn explain_tuple(
    policy: &Policy,
    tuple: &Tuple,
    explained: &Explained<'_>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let who = |party: &Option<Party<'_>>, name: &Option<String>| {
        let name = name.as_deref().unwrap_or("anyone");
        match party.as_ref().and_then(|party| party.role) {
            Some(role) => format!("{role} {name}"),
            None => name.to_owned(),
        }
    };
    let port = tuple.port.map_or_else(String::new, |port| format!("/{port}"));
    writeln!(
        out,
        "{} -> {} on {}{port}: {}",
        who(&explained.initiator, &tuple.from),
        who(&explained.responder, &tuple.to),
        tuple.transport,
        explained.verdict.class.token(),
    )?;
    writeln!(out, "  {}", explained.verdict.class.meaning())?;
    let verdict = &explained.verdict;
    for id in verdict.expectation.iter().chain(&verdict.others) {
        let row = policy.expectation(*id);
        write_row(policy, row, out)?;
    }
    if let (Class::Unexpected, Some((id, misfit))) = (verdict.class, verdict.nearest) {
        let row = policy.expectation(id);
        let names_it = row.transports.contains(&tuple.transport.0)
            && tuple.port.is_some_and(|port| row.ports.contains(port));
        let why = match misfit {
            Misfit::Peer => "in which the peer does not fit",
            Misfit::Direction => "in which the direction does not fit",
            Misfit::Transport => "in which the transport does not fit",
            Misfit::Content => "in which the content does not fit",
            Misfit::Port if names_it => "which is for other hosts",
            Misfit::Port => "in which the port does not fit",
            Misfit::OwnPort => "in which the initiator's own port does not fit",
            Misfit::Edition => "which only earlier editions have",
        };
        writeln!(out, "  the nearest row, {why}:")?;
        write_row(policy, row, out)?;
    }
    Ok(())
}

fn write_row(policy: &Policy, row: &Expectation, out: &mut dyn Write) -> io::Result<()> {
    let transports: Vec<String> =
        row.transports.iter().map(|number| Transport(*number).to_string()).collect();
    writeln!(
        out,
        "  {}: {} -> {} on {}/{} ({}; layer {})",
        row.id,
        role_words(policy, row.from),
        role_words(policy, row.to),
        transports.join("+"),
        text::ports(row.ports.ranges()),
        if row.purpose.is_empty() { &row.service } else { &row.purpose },
        row.layer,
    )
}
