//! The exemptions as a script of PowerShell, or what must be open as rules of the Windows firewall.

use std::io;

use super::{Holds, Plan, PlanFormat, comment, firewall, heading, preamble};
use crate::findings::remedy::{End, windows};
use crate::report::Style;

pub(super) const FORMAT: PlanFormat = PlanFormat {
    name: "powershell",
    help: "a script that makes the exemptions; with --only open, the rules of the Windows firewall",
    holds: Holds::Either,
    write,
};

fn write(plan: &Plan<'_>, style: Style, out: &mut dyn io::Write) -> io::Result<()> {
    if plan.exempt.is_none() {
        return firewall::write(plan, style, out);
    }
    preamble(plan, |_| true, &ABOUT, out)?;
    writeln!(out, "$ErrorActionPreference = 'Stop'")?;
    writeln!(out, "$store = 'PersistentStore'")?;
    writeln!(out, "$group = '{}'", windows::GROUP)?;
    writeln!(
        out,
        "Remove-NetIPsecRule -PolicyStore $store -Group $group -ErrorAction SilentlyContinue"
    )?;
    for (entry, remark) in plan.exemptions() {
        if !heading(entry, remark.as_deref(), out)? {
            continue;
        }
        let rules = entry.rules();
        for (end, whom) in ENDS {
            comment(whom, out)?;
            for rule in rules.iter().filter(|rule| rule.end == end) {
                let command = windows::powershell(rule, " -PolicyStore $store -Group $group");
                writeln!(out, "{command} | Out-Null")?;
            }
        }
    }
    writeln!(out)?;
    for line in AFTERWARDS {
        comment(line, out)?;
    }
    Ok(())
}

/// The two ends, for the comments of every script.
pub(super) const ENDS: [(End, &str); 2] = [
    (End::Peer, "For every computer that talks to these hosts:"),
    (End::Own, "For these hosts themselves:"),
];

const ABOUT: [&str; 3] = [
    "Run it in PowerShell as an administrator. $store says where the rules go: PersistentStore is this",
    "computer, '<domain>\\<GPO>' a group policy object. Rules of an earlier run are replaced.",
    "No firewall rule may demand a secured connection for these ports: it would now block them.",
];

const AFTERWARDS: [&str; 7] = [
    "What is protected already stays so until its security associations expire: 5 minutes idle, 1 hour",
    "at most by default. To end them at once: netsh advfirewall monitor delete qmsa all",
    "Check, on a host: Get-NetIPsecRule -PolicyStore ActiveStore -Group 'portassay exemptions'",
    "What is protected now: netsh advfirewall monitor show qmsa, which must not list these ports; then",
    "capture again and run portassay check.",
    "",
    "To take it back: Remove-NetIPsecRule -PolicyStore $store -Group 'portassay exemptions'",
];
