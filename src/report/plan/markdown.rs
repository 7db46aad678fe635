//! A plan as GitHub-flavoured Markdown, for wikis and change requests.

use std::io;

use super::{Holds, Plan, PlanFormat, csv};
use crate::report::Style;
use crate::report::markdown::{Align, plain, table};

pub(super) const FORMAT: PlanFormat = PlanFormat {
    name: "markdown",
    help: "for wikis and change requests",
    holds: Holds::Everything,
    write,
};

fn write(plan: &Plan<'_>, _style: Style, out: &mut dyn io::Write) -> io::Result<()> {
    let lines = csv::lines(plan);
    let of = |what: &str| lines.iter().filter(|[kind, ..]| kind == what).collect::<Vec<_>>();
    if let Some(openings) = &plan.openings {
        writeln!(out, "## Must be open\n")?;
        let columns =
            ["Rows", "From", "To", "Service", "Purpose"].map(|title| (title, Align::Left));
        let rows = of("open").into_iter().map(
            |[
                _,
                rows,
                from,
                from_addresses,
                to,
                to_addresses,
                transport,
                from_ports,
                ports,
                why,
                _,
            ]| {
                let own = match from_ports.as_str() {
                    "" => String::new(),
                    own => format!(" from {own}"),
                };
                let service = format!("{transport} {ports}{own}");
                [rows, &side(from, from_addresses), &side(to, to_addresses), &service, why]
                    .map(|cell| plain(cell))
                    .to_vec()
            },
        );
        table(&columns, rows, out)?;
        writeln!(out)?;
        for (reason, rows) in &openings.closed {
            let ids = plain(&plan.ids(rows).join(", "));
            writeln!(out, "- Rows that open nothing, as {}: {ids}", reason.meaning())?;
        }
    }
    if plan.exempt.is_some() {
        if plan.openings.is_some() {
            writeln!(out)?;
        }
        writeln!(out, "## Must be exempt from IPsec, {} reading\n", plan.mode())?;
        let columns =
            ["Rows", "Traffic of", "Hosts", "Service", "Remark"].map(|title| (title, Align::Left));
        let rows = of("exempt").into_iter().map(
            |[_, rows, _, _, whose, addresses, transport, _, ports, _, remark]| {
                let service = format!("{transport} {ports}");
                [rows, whose, addresses, &service, remark].map(|cell| plain(cell)).to_vec()
            },
        );
        table(&columns, rows, out)?;
    }
    Ok(())
}

fn side(names: &str, addresses: &str) -> String {
    if addresses.is_empty() { names.to_owned() } else { format!("{names} ({addresses})") }
}
