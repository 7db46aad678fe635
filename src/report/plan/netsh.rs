//! The exemptions as a script for `netsh -f`.

use std::io;

use super::powershell::ENDS;
use super::{Holds, Plan, PlanFormat, comment, heading, is_made, preamble};
use crate::findings::remedy::windows;
use crate::report::Style;

pub(super) const FORMAT: PlanFormat = PlanFormat {
    name: "netsh",
    help: "a script for netsh -f that makes the exemptions",
    holds: Holds::Exempt,
    write,
};

fn write(plan: &Plan<'_>, _style: Style, out: &mut dyn io::Write) -> io::Result<()> {
    preamble(plan, |_| true, &ABOUT, out)?;
    comment("advfirewall set store gpo=\"<domain>\\<GPO>\"", out)?;
    writeln!(out, "advfirewall set store local")?;
    for (entry, remark) in plan.exemptions() {
        if !heading(entry, remark.as_deref(), out)? {
            continue;
        }
        let rules = entry.rules();
        for (end, whom) in ENDS {
            comment(whom, out)?;
            for rule in rules.iter().filter(|rule| rule.end == end) {
                writeln!(out, "{}", inside(&windows::netsh(rule)))?;
            }
        }
    }
    writeln!(out)?;
    for line in AFTERWARDS {
        comment(line, out)?;
    }
    comment("To take it back, with the same store:", out)?;
    for (entry, _) in plan.exemptions().filter(|(entry, _)| is_made(entry)) {
        for rule in entry.rules() {
            let name = windows::netsh_name(&rule.name);
            comment(&format!("advfirewall consec delete rule name={name}"), out)?;
        }
    }
    Ok(())
}

/// The command as it is given inside netsh, where alone a store stays chosen.
fn inside(command: &str) -> &str {
    command.strip_prefix("netsh ").unwrap_or(command)
}

const ABOUT: [&str; 4] = [
    "Run it as an administrator, once: netsh -f FILE. A second run would add every rule again.",
    "No firewall rule may demand a secured connection for these ports: it would now block them.",
    "Filter lists of `netsh ipsec static` are another store, without port ranges: look there too.",
    "The rules go to this computer. For a group policy object take the first of these lines:",
];

const AFTERWARDS: [&str; 4] = [
    "What is protected already stays so until its security associations expire: 5 minutes idle, 1 hour",
    "at most by default. To end them at once: netsh advfirewall monitor delete qmsa all",
    "Check, on a host: netsh advfirewall monitor show consec, and netsh advfirewall monitor show qmsa,",
    "which must not list these ports; then capture again and run portassay check.",
];
