//! A plan as a sheet (RFC 4180): one opening or exemption a row, with every address.

use std::io;

use super::{Holds, Plan, PlanFormat, hosts, transports};
use crate::policy::{Member, PortSet, Who};
use crate::report::Style;
use crate::report::csv::Sheet;

pub(super) const FORMAT: PlanFormat = PlanFormat {
    name: "csv",
    help: "for spreadsheets: one opening or exemption a row",
    holds: Holds::Everything,
    write,
};

fn write(plan: &Plan<'_>, _style: Style, out: &mut dyn io::Write) -> io::Result<()> {
    let mut sheet = Sheet::new(out);
    sheet.row(HEADER)?;
    for line in lines(plan) {
        sheet.row(line)?;
    }
    sheet.finish()
}

/// The plan as rows of cells under [`HEADER`]. An exemption is about both ways, so that its hosts stand
/// as the responder and their ports as the responder's.
pub(super) fn lines(plan: &Plan<'_>) -> Vec<[String; 11]> {
    let openings = plan.openings.iter().flat_map(|openings| &openings.open);
    let mut lines: Vec<[String; 11]> = openings
        .map(|opening| {
            [
                "open".into(),
                plan.ids(&opening.rows).join(" "),
                plan.names(&opening.from).join(", "),
                addresses(&opening.from),
                plan.names(&opening.to).join(", "),
                addresses(&opening.to),
                transports(opening.transports),
                opening.from_ports.map(ToString::to_string).unwrap_or_default(),
                opening.ports.to_string(),
                plan.purpose(&opening.rows).to_owned(),
                String::new(),
            ]
        })
        .collect();
    lines.extend(plan.exemptions().flat_map(|(entry, remark)| {
        let ids: Vec<&str> = entry.rows.iter().map(|(id, _)| *id).collect();
        let line = move |(numbers, ports): (Vec<u8>, &PortSet)| {
            [
                "exempt".into(),
                ids.join(" "),
                "anyone".into(),
                String::new(),
                entry.title.clone(),
                hosts(entry).join(" "),
                transports(&numbers),
                String::new(),
                ports.to_string(),
                "IPsec leaves it alone, both ways".into(),
                remark.clone().unwrap_or_default(),
            ]
        };
        entry.need.groups().into_iter().map(line)
    }));
    lines
}

fn addresses(who: &Who<'_>) -> String {
    match who {
        Who::Anyone | Who::Elsewhere(_) => String::new(),
        Who::Members(members) => {
            members.iter().copied().flat_map(Member::addresses).collect::<Vec<_>>().join(" ")
        }
    }
}

/// The titles of the columns. Additions go to the end.
pub(super) const HEADER: [&str; 11] = [
    "what",
    "rows",
    "from_names",
    "from_addresses",
    "to_names",
    "to_addresses",
    "transport",
    "from_ports",
    "ports",
    "purpose",
    "remark",
];
