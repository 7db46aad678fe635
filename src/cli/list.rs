//! The commands that list: `flows`, `rules`, `policy check`, `policy show`.

use super::args::{self, ListFormat};
use super::terminal::Terminal;
use super::{EXIT_ERROR, Ended, Failure, audit, load_policy, to_stdout};
use crate::decode::Transport;
use crate::error::Error;
use crate::pipeline::flows::{self, Listed};
use crate::pipeline::read::Progress;
use crate::pipeline::{self};
use crate::policy::explain::RowFilter;
use crate::policy::{Expectation, PackKind, Policy, RoleSet};
use crate::report::flows::FlowRow;
use crate::report::rules::RuleRow;
use crate::report::{self, text};

pub(super) fn flows(args: &args::Flows, terminal: &Terminal) -> Ended {
    let policy = load_policy(&args.expected)?;
    let reading = audit::reading(&args.input);
    let progress = Progress::default();
    let listed = terminal.with_progress(&progress, || {
        pipeline::in_pool(reading.threads, || flows::list(&reading, &policy, &progress))
    })?;
    for error in &listed.errors {
        terminal.error(error);
    }
    for capture in &listed.captures {
        if let Some(damage) = &capture.damage {
            terminal.warn(&format!("{}: {damage}", report::display_path(&capture.path)));
        }
    }
    write_flows(&listed, &policy, args.format, terminal)?;
    let frames: u64 = listed.captures.iter().map(|capture| capture.tally.frames).sum();
    let (code, reason) = if !listed.errors.is_empty() {
        (EXIT_ERROR, format!("{} of the inputs could not be used", listed.errors.len()))
    } else if frames == 0 {
        (EXIT_ERROR, "no packets in any capture".to_owned())
    } else {
        (0, text::counted(listed.flows.len() as u64, "flow", "flows"))
    };
    terminal.reason(code, &reason);
    Ok(code)
}

fn write_flows(listed: &Listed, policy: &Policy, format: ListFormat, terminal: &Terminal) -> Ended {
    let judged = policy.has_topology();
    let mut rows = listed.flows.iter().map(|flow| FlowRow {
        flow: &flow.flow,
        identification: &flow.identification,
        verdict: judged.then_some(&flow.verdict),
        expectation: flow
            .verdict
            .expectation
            .filter(|_| judged)
            .map(|id| policy.expectation(id).id.as_str()),
        announced: flow.verdict.announced.as_ref().map(|announced| &announced.announcement),
    });
    let name = format_name(format);
    let style = terminal.style();
    match report::flows::FORMATS.iter().find(|known| known.name == name) {
        Some(known) => to_stdout(|out| (known.write)(&mut rows, style, out)),
        None => Err(unknown_format(name)),
    }
}

pub(super) fn rules(args: &args::Rules, terminal: &Terminal) -> Ended {
    let policy = load_policy(&args.expected)?;
    let filter =
        RowFilter { role: args.role.as_deref(), port: args.port, pack: args.pack.as_deref() };
    let rows: Vec<RuleRow> = policy
        .rows(&filter)?
        .into_iter()
        .filter(|(_, row)| args.pack.is_some() || !exempts(&policy, row))
        .map(|(_, row)| rule_row(&policy, row))
        .collect();
    let name = format_name(args.format);
    let style = terminal.style();
    match report::rules::FORMATS.iter().find(|known| known.name == name) {
        Some(known) => to_stdout(|out| (known.write)(&rows, style, out)),
        None => Err(unknown_format(name)),
    }
}

/// Whether a row says what IPsec must leave alone rather than what may be opened to whom: such rows
/// are listed only when their pack is asked for.
fn exempts(policy: &Policy, row: &Expectation) -> bool {
    policy.packs().iter().any(|pack| pack.name == row.pack && pack.kind == PackKind::Exemptions)
}

/// A row in words.
pub(super) fn rule_row(policy: &Policy, row: &Expectation) -> RuleRow {
    let transports: Vec<String> =
        row.transports.iter().map(|number| Transport(*number).to_string()).collect();
    RuleRow {
        id: row.id.clone(),
        from: role_words(policy, row.from),
        to: role_words(policy, row.to),
        transport: transports.join("+"),
        ports: ports(policy, row),
        application: row.application.clone().unwrap_or_default(),
        security: row.security.token().to_owned(),
        purpose: if row.purpose.is_empty() { row.service.clone() } else { row.purpose.clone() },
        pack: row.pack.clone(),
        layer: row.layer.clone(),
    }
}

/// The ports of a row; of an exemption those of its role's end, as the topology sets them.
fn ports(policy: &Policy, row: &Expectation) -> String {
    let needs = policy.needs();
    let need = needs.iter().find(|need| policy.expectation(need.row).id == row.id);
    text::ports(need.map_or(row.ports.ranges(), |need| need.ports.ranges()))
}

pub(super) fn policy_check(args: &args::Expected, _terminal: &Terminal) -> Ended {
    let policy = load_policy(args)?;
    to_stdout(|out| {
        for pack in policy.packs() {
            writeln!(out, "ok  {:<20} {:>4} rows  {}", pack.name, pack.rows, pack.layer)?;
        }
        let hosts = policy.topology().map_or(0, |topology| topology.hosts().len());
        let networks = policy.topology().map_or(0, |topology| topology.networks().len());
        if let Some(path) = &args.topology {
            writeln!(out, "ok  {}: {hosts} hosts, {networks} networks", path.display())?;
        }
        writeln!(out, "{} rows in force", policy.expectations().len())
    })
}

/// The roles of a side, `any` for anyone.
pub(super) fn role_words(policy: &Policy, roles: RoleSet) -> String {
    if roles.is_empty() { "any".to_owned() } else { policy.role_names(roles).join(" or ") }
}

pub(super) fn policy_show(args: &args::Expected, _terminal: &Terminal) -> Ended {
    let policy = load_policy(args)?;
    to_stdout(|out| {
        for pack in policy.packs() {
            let (name, kind, rows) = (&pack.name, pack.kind.token(), pack.rows);
            writeln!(out, "{name} ({kind}, {rows} rows, layer {})", pack.layer)?;
            writeln!(out, "    {}", pack.title)?;
            writeln!(out, "    from: {}", pack.source)?;
        }
        if !policy.overrides().is_empty() {
            writeln!(out, "\nrows changed by later layers")?;
        }
        for change in policy.overrides() {
            let verb = if change.dropped { "dropped" } else { "replaced" };
            writeln!(out, "    {} of {}: {verb} by {}", change.id, change.from, change.by)?;
        }
        if let Some(topology) = policy.topology() {
            writeln!(out, "\nhosts")?;
            for host in topology.hosts() {
                let addresses: Vec<String> =
                    host.addresses.iter().map(ToString::to_string).collect();
                let roles = role_words(&policy, host.roles);
                writeln!(out, "    {}  {}  {roles}", host.name, addresses.join(" "))?;
            }
            writeln!(out, "networks")?;
            for network in topology.networks() {
                let prefixes: Vec<String> =
                    network.prefixes.iter().map(ToString::to_string).collect();
                let roles = role_words(&policy, network.roles);
                writeln!(out, "    {}  {}  {roles}", network.name, prefixes.join(" "))?;
            }
        }
        Ok(())
    })
}

fn format_name(format: ListFormat) -> &'static str {
    match format {
        ListFormat::Table => "table",
        ListFormat::Json => "json",
        ListFormat::Jsonl => "jsonl",
        ListFormat::Csv => "csv",
        ListFormat::Markdown => "markdown",
    }
}

/// A format that the command line offers but this list does not write.
pub(super) fn unknown_format(name: &str) -> Failure {
    Error::Usage(format!("this list has no format '{name}'")).into()
}
