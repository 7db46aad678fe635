//! The exemptions for strongSwan, as connections of swanctl.conf.
//!
//! A kernel keeps ports as aligned blocks, and strongSwan widens a range to the smallest block around it.
//! So each range is written as the blocks it is made of, which are installed as they stand.

use std::io;

use super::powershell::ENDS;
use super::{Holds, Plan, PlanFormat, comment, heading, preamble};
use crate::decode::Transport;
use crate::findings::remedy::{Block, End, Exempt, Prefix, Rule, blocks};
use crate::report::Style;
use crate::report::text::port_range;

pub(super) const FORMAT: PlanFormat = PlanFormat {
    name: "swanctl",
    help: "connections of strongSwan's swanctl.conf that make the exemptions on Linux",
    holds: Holds::Exempt,
    write,
};

fn write(plan: &Plan<'_>, _style: Style, out: &mut dyn io::Write) -> io::Result<()> {
    preamble(plan, |_| true, &ABOUT, out)?;
    writeln!(out, "connections {{")?;
    writeln!(out, "  portassay-exempt {{")?;
    writeln!(out, "    children {{")?;
    for (entry, remark) in plan.exemptions() {
        if !heading(entry, remark.as_deref(), out)? {
            continue;
        }
        for told in widened(entry) {
            comment(&told, out)?;
        }
        let rules = entry.rules();
        for (end, whom) in ENDS {
            comment(whom, out)?;
            for (position, rule) in rules.iter().enumerate().filter(|(_, rule)| rule.end == end) {
                children(entry, position, rule, out)?;
            }
        }
    }
    writeln!(out, "    }}")?;
    writeln!(out, "  }}")?;
    writeln!(out, "}}")
}

/// What would be installed if a range were written as one.
pub(super) fn widened(entry: &Exempt<'_>) -> Vec<String> {
    let mut told = Vec::new();
    for &(first, last) in entry.need.ports.ranges() {
        let around = Block::around(first, last);
        if (around.first, around.last()) != (first, last) {
            told.push(format!(
                "{} is {} aligned blocks of ports; written as one range it would become {}.",
                port_range((first, last)),
                blocks(first, last).len(),
                port_range((around.first, around.last())),
            ));
        }
    }
    told
}

/// One child for IPv4 and one for IPv6.
fn children(
    entry: &Exempt<'_>,
    position: usize,
    rule: &Rule<'_>,
    out: &mut dyn io::Write,
) -> io::Result<()> {
    for ipv6 in [false, true] {
        let of_family = |host: &&Prefix| host.address.is_ipv6() == ipv6;
        let hosts: Vec<String> = rule
            .hosts
            .iter()
            .filter(of_family)
            .map(|host| format!("{}/{}", host.address, host.length))
            .collect();
        let everyone = if ipv6 { "::/0" } else { "0.0.0.0/0" };
        let hosts = match (rule.hosts.is_empty(), hosts.is_empty()) {
            (true, _) => vec![everyone.to_owned()],
            (false, true) => continue,
            (false, false) => hosts,
        };
        let own: Vec<String> = hosts.iter().flat_map(|host| selectors(host, rule)).collect();
        let own = own.join(", ");
        let anyone = format!("{everyone}{}", protocol(rule.transport, ""));
        let [local, remote] = match rule.end {
            End::Peer => [&anyone, &own],
            End::Own => [&own, &anyone],
        };
        let family = if ipv6 { "v6" } else { "v4" };
        writeln!(out, "      {}-{}-{family} {{", section(&entry.ids()), position + 1)?;
        writeln!(out, "        local_ts = {local}")?;
        writeln!(out, "        remote_ts = {remote}")?;
        writeln!(out, "        mode = pass")?;
        writeln!(out, "        start_action = trap")?;
        writeln!(out, "      }}")?;
    }
    Ok(())
}

/// The traffic selectors of one address: one for each block of ports.
fn selectors(host: &str, rule: &Rule<'_>) -> Vec<String> {
    let Some(ports) = rule.ports else {
        return vec![format!("{host}{}", protocol(rule.transport, ""))];
    };
    let aligned = ports.ranges().iter().flat_map(|&(first, last)| blocks(first, last));
    aligned
        .map(|block| {
            let range = format!("/{}", port_range((block.first, block.last())));
            format!("{host}{}", protocol(rule.transport, &range))
        })
        .collect()
}

/// TCP and UDP by name, others by number; nothing for any.
fn protocol(transport: Option<Transport>, ports: &str) -> String {
    match transport {
        Some(known @ (Transport::TCP | Transport::UDP)) => format!("[{known}{ports}]"),
        Some(Transport(number)) => format!("[{number}]"),
        None => String::new(),
    }
}

/// Row ids as the name of a section: a dot or a plus has a meaning there.
fn section(ids: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
    ids.chars().map(safe).collect::<String>().to_ascii_lowercase()
}

const ABOUT: [&str; 5] = [
    "Put it into a file of /etc/swanctl/conf.d and load it: swanctl --load-conns. Policies that pass",
    "traffic go before those that protect it, in both directions.",
    "Check: swanctl --list-pols --pass, or ip -s xfrm policy. To take it back, delete the file and load",
    "again. A port range that is one aligned block, such as 50016-50047, needs one selector instead of",
    "several: choose such ranges where you can.",
];
