//! What must be open and what must be exempt from IPsec in a network, as `portassay plan` prints it:
//! as tables for people and programs, or as the commands that make it so. One format per file.

mod csv;
mod firewall;
mod json;
mod markdown;
mod netsh;
mod powershell;
mod swanctl;
mod table;
mod xfrm;

use std::io;

use super::Style;
use super::text::escape;
use crate::decode::Transport;
use crate::findings::remedy::{Exempt, Whose};
use crate::policy::{ExpectationId, Openings, Policy, Who};

/// What must be open and what must be exempt, for one topology.
#[derive(Debug)]
pub struct Plan<'p> {
    /// The policy, for the names and words of its rows.
    pub policy: &'p Policy,
    /// What must be open; `None` where it was not asked for.
    pub openings: Option<Openings<'p>>,
    /// What must be exempt; `None` where it was not asked for.
    pub exempt: Option<Vec<Exempt<'p>>>,
}

/// The descriptor of one output format for a plan.
#[derive(Debug)]
pub struct PlanFormat {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it is for, in a few words.
    pub help: &'static str,
    /// What it writes.
    pub holds: Holds,
    /// Writes a plan.
    pub write: fn(&Plan<'_>, Style, &mut dyn io::Write) -> io::Result<()>,
}

/// What a format writes of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// All of it.
    Everything,
    /// The exemptions, or what must be open when only that is asked for: commands of either kind are
    /// for different people.
    Either,
    /// The exemptions.
    Exempt,
}

/// Every output format of `plan`, in the order in which the help lists them.
pub const FORMATS: &[PlanFormat] = &[
    table::FORMAT,
    json::FORMAT,
    csv::FORMAT,
    markdown::FORMAT,
    powershell::FORMAT,
    netsh::FORMAT,
    swanctl::FORMAT,
    xfrm::FORMAT,
];

impl Plan<'_> {
    /// The reading in force, as machine output calls it.
    fn mode(&self) -> &'static str {
        if self.policy.strict() { "strict" } else { "media-only" }
    }

    fn ids(&self, rows: &[ExpectationId]) -> Vec<&str> {
        rows.iter().map(|id| self.policy.expectation(*id).id.as_str()).collect()
    }

    /// Why the traffic is there, by the first row that says so.
    fn purpose(&self, rows: &[ExpectationId]) -> &str {
        let rows = rows.iter().map(|id| self.policy.expectation(*id));
        let words = rows.flat_map(|row| [row.purpose.as_str(), row.service.as_str()]);
        words.into_iter().find(|words| !words.is_empty()).unwrap_or_default()
    }

    /// Names of one side for people.
    fn names(&self, who: &Who<'_>) -> Vec<String> {
        match who {
            Who::Anyone => vec!["anyone".into()],
            Who::Elsewhere(roles) => {
                let roles = self.policy.role_names(*roles).join(" or ");
                vec![format!("{roles} outside of the topology")]
            }
            Who::Members(members) => members.iter().map(|member| member.name().into()).collect(),
        }
    }

    /// What must be exempt, with what people must know of each.
    fn exemptions(&self) -> impl Iterator<Item = (&Exempt<'_>, Option<String>)> {
        let entries = self.exempt.as_deref().unwrap_or_default();
        entries.iter().map(|entry| (entry, remark(entry, entries)))
    }
}

/// What is to be known of an exemption.
fn remark(entry: &Exempt<'_>, entries: &[Exempt<'_>]) -> Option<String> {
    if !entry.applies() {
        return Some("the topology has no host of the role".into());
    }
    if let Some(wider) = entry.within.and_then(|at| entries.get(at)) {
        return Some(format!("within {}", wider.name()));
    }
    if entry.is_undecided() {
        return Some(format!(
            "{} is nearly every port: set a range and name it in [media] of the topology",
            entry.need.ports
        ));
    }
    if entry.need.content_required {
        return Some(
            "nearly every port of the hosts: name a narrower range in [media] where there is one"
                .into(),
        );
    }
    if entry.need.ports.is_any() && !entry.need.media_ports.is_any() {
        return Some(format!(
            "every port, signalling too; of these the media takes {}",
            entry.need.media_ports
        ));
    }
    None
}

/// Whether a script makes rules for it. It makes none where that would exempt nearly everything.
fn is_made(entry: &Exempt<'_>) -> bool {
    entry.applies() && entry.within.is_none() && !entry.is_undecided()
}

/// Whose traffic is exempt, as addresses; none where the topology has no host of the role.
fn hosts(entry: &Exempt<'_>) -> Vec<String> {
    match &entry.whose {
        Whose::Anyone => vec!["anyone".into()],
        Whose::Hosts(hosts) => hosts.iter().map(ToString::to_string).collect(),
    }
}

/// Transports by name; `any` where the row names none.
fn transports(numbers: &[u8]) -> String {
    if numbers.is_empty() {
        return "any".into();
    }
    let names: Vec<String> = numbers.iter().map(|number| Transport(*number).to_string()).collect();
    names.join("+")
}

/// Lines of a script that its reader skips: nothing in them may end the line.
fn comment(text: &str, out: &mut dyn io::Write) -> io::Result<()> {
    if text.is_empty() { writeln!(out, "#") } else { writeln!(out, "# {}", escape(text)) }
}

/// The beginning of a script of exemptions: what it is and what its tool wants to know. `fits` says what the tool
/// can express.
fn preamble(
    plan: &Plan<'_>,
    fits: fn(&Exempt<'_>) -> bool,
    lines: &[&str],
    out: &mut dyn io::Write,
) -> io::Result<()> {
    let entries = plan.exemptions().map(|(entry, _)| entry).filter(|entry| is_made(entry));
    let (made, left): (Vec<&Exempt<'_>>, Vec<&Exempt<'_>>) = entries.partition(|entry| fits(entry));
    let made = made.len();
    let all = plan.exemptions().count();
    let reading = plan.mode();
    comment(
        &format!(
            "Traffic that IPsec must leave alone, {reading} reading: rules for {made} of {all} groups of rows."
        ),
        out,
    )?;
    if !left.is_empty() {
        let left: Vec<String> = left.iter().map(|entry| entry.ids()).collect();
        let left = left.join(", ");
        comment(&format!("Only comments, as this tool cannot express their ports: {left}."), out)?;
    }
    comment("An exemption must exist on both ends, or the other end goes on negotiating.", out)?;
    comment(
        "All of these may stand on every computer: what is about the addresses of others does nothing.",
        out,
    )?;
    for line in lines {
        comment(line, out)?;
    }
    Ok(())
}

/// The heading of one exemption in a script; says whether its commands follow.
fn heading(entry: &Exempt<'_>, remark: Option<&str>, out: &mut dyn io::Write) -> io::Result<bool> {
    writeln!(out)?;
    let about = remark.map_or_else(String::new, |remark| format!(": {remark}"));
    comment(&format!("{}{about}", entry.name()), out)?;
    Ok(is_made(entry))
}

#[cfg(test)]
mod tests;
