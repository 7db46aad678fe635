//! The exemptions as a shell script of `ip xfrm policy`, for Linux without a key exchange daemon.
//!
//! The command sets one port or none: it knows no ranges, and no mask of a block of ports either.

use std::io;

use super::powershell::ENDS;
use super::swanctl::widened;
use super::{Holds, Plan, PlanFormat, comment, heading, preamble};
use crate::decode::Transport;
use crate::findings::remedy::{End, Exempt, Prefix, Rule};
use crate::policy::PortSet;
use crate::report::Style;

pub(super) const FORMAT: PlanFormat = PlanFormat {
    name: "xfrm",
    help: "a shell script of ip xfrm policy that makes the exemptions on Linux, as far as it can",
    holds: Holds::Exempt,
    write,
};

fn write(plan: &Plan<'_>, _style: Style, out: &mut dyn io::Write) -> io::Result<()> {
    writeln!(out, "#!/bin/sh")?;
    preamble(plan, |entry| is_range(entry).is_none(), &ABOUT, out)?;
    out.write_all(FUNCTION.as_bytes())?;
    for (entry, remark) in plan.exemptions() {
        if !heading(entry, remark.as_deref(), out)? {
            continue;
        }
        if let Some(ports) = is_range(entry) {
            comment(
                &format!(
                    "ip xfrm policy sets single ports, not {ports}: use swanctl, or exempt every port with --strict."
                ),
                out,
            )?;
            for told in widened(entry) {
                comment(&told, out)?;
            }
            continue;
        }
        let rules = entry.rules();
        for (end, whom) in ENDS {
            comment(whom, out)?;
            for rule in rules.iter().filter(|rule| rule.end == end) {
                policies(rule, out)?;
            }
        }
    }
    Ok(())
}

/// The ports of an exemption, where they are too many to be set one by one.
fn is_range<'p>(entry: &Exempt<'p>) -> Option<&'p PortSet> {
    let ports = entry.need.ports;
    (!ports.is_any() && ports.count() > MAX_PORTS).then_some(ports)
}

/// The policies of one rule, outbound and inbound.
fn policies(rule: &Rule<'_>, out: &mut dyn io::Write) -> io::Result<()> {
    let ports: Vec<Option<u16>> = match (rule.ports, rule.transport) {
        (Some(ports), Some(Transport::TCP | Transport::UDP)) => ports.iter().map(Some).collect(),
        _ => vec![None],
    };
    let hosts: Vec<(bool, String)> = if rule.hosts.is_empty() {
        [false, true].map(|ipv6| (ipv6, everyone(ipv6).to_owned())).into()
    } else {
        rule.hosts.iter().map(spelled).collect()
    };
    let proto = rule.transport.map_or_else(String::new, |transport| match transport {
        Transport::TCP | Transport::UDP => format!(" proto {transport}"),
        Transport(number) => format!(" proto {number}"),
    });
    for (ipv6, host) in &hosts {
        let anyone = everyone(*ipv6);
        for port in &ports {
            let port = |side: &str| port.map_or_else(String::new, |port| format!(" {side} {port}"));
            // Towards the hosts of the role, and from them.
            let towards = format!("src {anyone} dst {host}{proto}{}", port("dport"));
            let from = format!("src {host} dst {anyone}{proto}{}", port("sport"));
            let [sent, received] = match rule.end {
                End::Peer => [towards, from],
                End::Own => [from, towards],
            };
            writeln!(out, "policy {sent} dir out")?;
            writeln!(out, "policy {received} dir in")?;
        }
    }
    Ok(())
}

fn spelled(host: &Prefix) -> (bool, String) {
    (host.address.is_ipv6(), format!("{}/{}", host.address, host.length))
}

fn everyone(ipv6: bool) -> &'static str {
    if ipv6 { "::/0" } else { "0.0.0.0/0" }
}

/// More ports than this are a range, and a policy for each would burden every look-up.
const MAX_PORTS: u32 = 16;

const ABOUT: [&str; 4] = [
    "Run it as root: sh FILE makes the policies, sh FILE delete takes them back. They last until the next",
    "boot. The lowest priority wins, so that they go before those of key exchange daemons. A router that",
    "protects what it forwards needs them with dir fwd as well.",
    "Check: ip -s xfrm policy, where they have no tmpl line.",
];

const FUNCTION: &str = r#"set -e
action=${1:-update}
policy() {
    case $action in
        update) ip xfrm policy update "$@" priority 1000 ;;
        delete) ip xfrm policy delete "$@" ;;
        *) echo "usage: $0 [update|delete]" >&2; exit 2 ;;
    esac
}
"#;
