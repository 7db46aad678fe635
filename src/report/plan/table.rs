//! A plan for people at a terminal: what must be open, what must be exempt, and who the hosts are.

use std::io;

use super::{Holds, Plan, PlanFormat, hosts, transports};
use crate::policy::{Member, Openings, PortSet};
use crate::report::Style;
use crate::report::color::Tone;
use crate::report::table::{Align, Grid, Page};
use crate::report::text::{counted, ports};

pub(super) const FORMAT: PlanFormat = PlanFormat {
    name: "table",
    help: "for people: what must be open, what must be exempt, and who the hosts are",
    holds: Holds::Everything,
    write,
};

fn write(plan: &Plan<'_>, style: Style, out: &mut dyn io::Write) -> io::Result<()> {
    let mut page = Page::new(style, out);
    if let Some(openings) = &plan.openings {
        open(plan, openings, &mut page)?;
    }
    if plan.exempt.is_some() {
        if plan.openings.is_some() {
            page.blank()?;
        }
        exempt(plan, &mut page)?;
    }
    legend(plan, &mut page)
}

fn open(plan: &Plan<'_>, openings: &Openings<'_>, page: &mut Page<'_>) -> io::Result<()> {
    page.tagged(0, "Must be open", Tone::Heading, "")?;
    let few = page.few(FEW);
    let mut grid = Grid::new(&[
        ("Row", Align::Left),
        ("From", Align::Left),
        ("To", Align::Left),
        ("Service", Align::Left),
        ("Purpose", Align::Left),
    ]);
    for opening in &openings.open {
        let own = opening.from_ports.map(|set| format!(" from {}", ports(set.ranges())));
        grid.row(
            Tone::Plain,
            vec![
                plan.ids(&opening.rows).join(", "),
                some(&plan.names(&opening.from), few),
                some(&plan.names(&opening.to), few),
                format!(
                    "{} {}{}",
                    transports(opening.transports),
                    spelled(opening.ports),
                    own.unwrap_or_default()
                ),
                plan.purpose(&opening.rows).to_owned(),
            ],
        );
    }
    page.grid(&grid)?;
    for (reason, rows) in &openings.closed {
        let number = counted(rows.len() as u64, "row opens", "rows open");
        let ids: Vec<String> = plan.ids(rows).into_iter().map(str::to_owned).collect();
        let ids = some(&ids, page.few(FEW_ROWS));
        page.line(2, &format!("{number} nothing, as {}: {ids}", reason.meaning()))?;
    }
    Ok(())
}

fn exempt(plan: &Plan<'_>, page: &mut Page<'_>) -> io::Result<()> {
    let title = format!("Must be exempt from IPsec, {} reading", plan.mode());
    page.tagged(0, &title, Tone::Heading, "")?;
    let few = page.few(FEW);
    let mut grid = Grid::new(&[
        ("Rows", Align::Word),
        ("Traffic of", Align::Left),
        ("Hosts", Align::Left),
        ("Service", Align::Left),
        ("Remark", Align::Left),
    ]);
    for (entry, remark) in plan.exemptions() {
        let groups = entry.need.groups().into_iter();
        let services =
            groups.map(|(numbers, ports)| format!("{} {}", transports(&numbers), spelled(ports)));
        let service = services.collect::<Vec<_>>().join(", ");
        let cells = vec![
            entry.ids(),
            entry.title.clone(),
            some(&hosts(entry), few),
            service,
            remark.unwrap_or_default(),
        ];
        grid.row(Tone::Plain, cells);
    }
    page.grid(&grid)?;
    page.line(2, "Each is about these ports of the hosts, towards anyone and back, on both ends.")?;
    page.line(2, "The commands: `--format powershell`, `netsh`, `swanctl` or `xfrm`.")
}

/// Everyone whom the topology names.
fn legend(plan: &Plan<'_>, page: &mut Page<'_>) -> io::Result<()> {
    let Some(topology) = plan.policy.topology() else { return Ok(()) };
    page.heading("Hosts and networks")?;
    let mut grid =
        Grid::new(&[("Name", Align::Left), ("Roles", Align::Left), ("Addresses", Align::Left)]);
    let hosts = topology.hosts().iter().map(Member::Host);
    let networks = topology.networks().iter().map(Member::Network);
    for member in hosts.chain(networks) {
        let roles = plan.policy.role_names(member.roles()).join(", ");
        let cells = vec![member.name().to_owned(), roles, member.addresses().join(", ")];
        grid.row(Tone::Plain, cells);
    }
    page.grid(&grid)
}

fn spelled(set: &PortSet) -> String {
    if set.is_any() { "any".into() } else { ports(set.ranges()) }
}

/// The first of some items, and how many more there are.
fn some(items: &[String], few: Option<usize>) -> String {
    let shown = few.unwrap_or(items.len());
    // One more takes no more room than to say that there is one.
    if items.len() <= shown + 1 {
        return items.join(", ");
    }
    let first: Vec<&str> = items.iter().take(shown).map(String::as_str).collect();
    format!("{} and {} more", first.join(", "), items.len() - shown)
}

/// Names of a side on a terminal.
const FEW: usize = 4;
/// Rows that open nothing, on a terminal.
const FEW_ROWS: usize = 12;
