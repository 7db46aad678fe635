//! What must be open as rules of the Windows firewall, for the servers of the topology.

use std::io;

use super::{Plan, comment};
use crate::decode::Transport;
use crate::findings::remedy::windows::quoted;
use crate::policy::{Member, Opening, PortSet, Who};
use crate::report::Style;
use crate::report::text::port_range;

pub(super) fn write(plan: &Plan<'_>, _style: Style, out: &mut dyn io::Write) -> io::Result<()> {
    for line in ABOUT {
        comment(line, out)?;
    }
    writeln!(out, "$ErrorActionPreference = 'Stop'")?;
    writeln!(out, "$store = 'PersistentStore'")?;
    writeln!(out, "$group = 'portassay openings'")?;
    writeln!(
        out,
        "Remove-NetFirewallRule -PolicyStore $store -Group $group -ErrorAction SilentlyContinue"
    )?;
    let openings = plan.openings.as_ref().map_or(&[][..], |openings| &openings.open);
    let topology = plan.policy.topology();
    let hosts = topology.map_or(&[][..], |topology| topology.hosts());
    let networks = topology.map_or(&[][..], |topology| topology.networks());
    let mut others: Vec<&str> = Vec::new();
    for host in hosts {
        let member = Member::Host(host);
        let responds: Vec<&Opening<'_>> = openings
            .iter()
            .filter(
                |opening| matches!(&opening.to, Who::Members(members) if members.contains(&member)),
            )
            .collect();
        let main = host.main_role.and_then(|role| plan.policy.roles().get(role));
        if !main.is_some_and(|role| role.server) {
            others.push(&host.name);
            continue;
        }
        writeln!(out)?;
        let number = responds.len();
        comment(
            &format!("{}, {}: {number} openings", host.name, member.addresses().join(", ")),
            out,
        )?;
        for opening in responds {
            rules(plan, opening, member, out)?;
        }
    }
    others.extend(networks.iter().map(|network| network.name.as_str()));
    if !others.is_empty() {
        writeln!(out)?;
        let names = others.join(", ");
        comment(
            &format!("No servers, so without commands: {names}. See the table of the plan."),
            out,
        )?;
    }
    writeln!(out)?;
    comment(
        "To take it back: Remove-NetFirewallRule -PolicyStore $store -Group 'portassay openings'",
        out,
    )
}

/// One rule for each transport of an opening.
fn rules(
    plan: &Plan<'_>,
    opening: &Opening<'_>,
    host: Member<'_>,
    out: &mut dyn io::Write,
) -> io::Result<()> {
    let here = host.addresses();
    let from = match &opening.from {
        Who::Anyone | Who::Elsewhere(_) => vec!["Any".to_owned()],
        Who::Members(members) => quoted_all(members.iter().copied().flat_map(Member::addresses)),
    };
    // Without an address a rule would be for every host.
    if here.is_empty() || from.is_empty() {
        let ids = plan.ids(&opening.rows).join("+");
        return comment(
            &format!("{ids}: no rule, as the topology gives no address of one side"),
            out,
        );
    }
    let [here, from] = [quoted_all(here.into_iter()), from].map(|addresses| addresses.join(","));
    let transports: Vec<Option<Transport>> = match opening.transports {
        [] => vec![None],
        numbers => numbers.iter().map(|number| Some(Transport(*number))).collect(),
    };
    for transport in transports {
        let shown = transport.map_or_else(|| "any".to_owned(), |transport| transport.to_string());
        let name = format!("{} {shown} to {}", plan.ids(&opening.rows).join("+"), host.name());
        write!(
            out,
            "New-NetFirewallRule -PolicyStore $store -Group $group -DisplayName {} \
             -Direction Inbound -Action Allow -LocalAddress {here} -RemoteAddress {from}",
            quoted(&name),
        )?;
        match transport {
            Some(Transport::TCP | Transport::UDP) => {
                write!(out, " -Protocol {}", shown.to_uppercase())?;
                write!(out, " -LocalPort {}", ports(opening.ports))?;
                if let Some(own) = opening.from_ports {
                    write!(out, " -RemotePort {}", ports(own))?;
                }
            }
            Some(Transport(number)) => write!(out, " -Protocol {number}")?,
            None => {}
        }
        writeln!(out, " | Out-Null")?;
    }
    Ok(())
}

fn ports(set: &PortSet) -> String {
    if set.is_any() {
        return "Any".into();
    }
    quoted_all(set.ranges().iter().map(|range| port_range(*range))).join(",")
}

fn quoted_all(items: impl Iterator<Item = String>) -> Vec<String> {
    items.map(|item| quoted(&item)).collect()
}

const ABOUT: [&str; 4] = [
    "What must be open on the servers of the topology, as inbound rules of the Windows firewall.",
    "Run it in PowerShell as an administrator. $store says where the rules go: PersistentStore is this",
    "computer, '<domain>\\<GPO>' a group policy object. Rules of an earlier run are replaced.",
    "All may stand in one GPO: each names the addresses of its host, and elsewhere does nothing.",
];
