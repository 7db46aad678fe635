//! A plan for programs: `portassay.plan/1`.

use std::io;

use serde::Serialize;

use super::{Holds, Plan, PlanFormat};
use crate::decode::Transport;
use crate::findings::remedy::{Block, Exempt, Whose, blocks};
use crate::policy::{MediaSide, Member, Opening, PortSet, Who};
use crate::report::Style;
use crate::report::json::pretty;
use crate::report::text::port_range;

pub(super) const FORMAT: PlanFormat = PlanFormat {
    name: "json",
    help: "for programs: see `portassay schema plan`",
    holds: Holds::Everything,
    write,
};

fn write(plan: &Plan<'_>, _style: Style, out: &mut dyn io::Write) -> io::Result<()> {
    let document = Document {
        schema: "portassay.plan/1",
        mode: plan.mode(),
        open: plan
            .openings
            .as_ref()
            .map(|openings| openings.open.iter().map(|entry| open(plan, entry)).collect()),
        closed: plan.openings.as_ref().map(|openings| {
            let closed = openings.closed.iter();
            closed
                .map(|(reason, rows)| Closed { reason: reason.token(), rows: plan.ids(rows) })
                .collect()
        }),
        exempt: plan.exempt.as_ref().map(|entries| {
            plan.exemptions().map(|(entry, remark)| exempt(entry, remark, entries)).collect()
        }),
    };
    writeln!(out, "{}", pretty(&document)?)
}

#[derive(Serialize)]
struct Document<'p> {
    schema: &'static str,
    mode: &'static str,
    open: Option<Vec<Open<'p>>>,
    closed: Option<Vec<Closed<'p>>>,
    exempt: Option<Vec<Exemption<'p>>>,
}

#[derive(Serialize)]
struct Open<'p> {
    rows: Vec<&'p str>,
    from: Side<'p>,
    to: Side<'p>,
    transports: Vec<String>,
    ports: Vec<Port>,
    from_ports: Option<Vec<Port>>,
    applications: Vec<&'p str>,
    media: bool,
    infrastructure: bool,
    purpose: &'p str,
}

/// One side; no members where it is anyone, or hosts that the topology does not name.
#[derive(Serialize)]
struct Side<'p> {
    kind: &'static str,
    roles: Vec<&'p str>,
    members: Vec<Named<'p>>,
}

#[derive(Serialize)]
struct Named<'p> {
    name: &'p str,
    roles: Vec<&'p str>,
    addresses: Vec<String>,
}

#[derive(Serialize)]
struct Closed<'p> {
    reason: &'static str,
    rows: Vec<&'p str>,
}

#[derive(Serialize)]
struct ByTransport {
    transport: String,
    ports: Vec<Port>,
}

#[derive(Serialize)]
struct Exemption<'p> {
    rows: Vec<&'p str>,
    name: String,
    sides: Vec<&'static str>,
    applies: bool,
    addresses: Vec<String>,
    transports: Vec<String>,
    ports: Vec<Port>,
    by_transport: Vec<ByTransport>,
    media_ports: Vec<Port>,
    nearly_every_port: bool,
    within: Option<Vec<&'p str>>,
    blocks: Vec<Blocks>,
    remark: Option<String>,
}

/// A range as a kernel keeps it.
#[derive(Serialize)]
struct Blocks {
    range: String,
    exact: Vec<String>,
    widened: String,
}

/// A port as a number, a range as text.
#[derive(Serialize)]
#[serde(untagged)]
enum Port {
    One(u16),
    Range(String),
}

fn open<'p>(plan: &'p Plan<'_>, entry: &'p Opening<'_>) -> Open<'p> {
    let rows: Vec<_> = entry.rows.iter().map(|id| plan.policy.expectation(*id)).collect();
    let mut applications: Vec<&str> =
        rows.iter().filter_map(|row| row.application.as_deref()).collect();
    applications.sort_unstable();
    applications.dedup();
    Open {
        rows: plan.ids(&entry.rows),
        from: side(plan, &entry.from),
        to: side(plan, &entry.to),
        transports: transports(entry.transports),
        ports: ports(entry.ports),
        from_ports: entry.from_ports.map(ports),
        applications,
        media: rows.iter().any(|row| row.media),
        infrastructure: rows.iter().all(|row| row.infrastructure),
        purpose: plan.purpose(&entry.rows),
    }
}

fn side<'p>(plan: &'p Plan<'_>, who: &Who<'p>) -> Side<'p> {
    let named = |member: &Member<'p>| Named {
        name: member.name(),
        roles: plan.policy.role_names(member.roles()),
        addresses: member.addresses(),
    };
    match who {
        Who::Anyone => Side { kind: "anyone", roles: Vec::new(), members: Vec::new() },
        Who::Elsewhere(roles) => {
            Side { kind: "elsewhere", roles: plan.policy.role_names(*roles), members: Vec::new() }
        }
        Who::Members(members) => Side {
            kind: "members",
            roles: Vec::new(),
            members: members.iter().map(named).collect(),
        },
    }
}

fn exempt<'p>(
    entry: &'p Exempt<'_>,
    remark: Option<String>,
    entries: &'p [Exempt<'_>],
) -> Exemption<'p> {
    let ids = |entry: &'p Exempt<'_>| entry.rows.iter().map(|(id, _)| *id).collect::<Vec<_>>();
    let addresses = match &entry.whose {
        Whose::Anyone => Vec::new(),
        Whose::Hosts(hosts) => hosts.iter().map(ToString::to_string).collect(),
    };
    Exemption {
        rows: ids(entry),
        name: entry.name(),
        sides: entry.rows.iter().map(|(_, side)| token(*side)).collect(),
        applies: entry.applies(),
        addresses,
        transports: transports(entry.need.transports),
        ports: ports(entry.need.ports),
        by_transport: entry
            .need
            .transports
            .iter()
            .map(|number| ByTransport {
                transport: Transport(*number).to_string(),
                ports: ports(entry.need.ports_of(*number)),
            })
            .collect(),
        media_ports: ports(entry.need.media_ports),
        nearly_every_port: entry.need.content_required,
        within: entry.within.and_then(|at| entries.get(at)).map(ids),
        blocks: in_blocks(entry.need.ports),
        remark,
    }
}

/// Each range of more than one port, as blocks of the kernel.
fn in_blocks(set: &PortSet) -> Vec<Blocks> {
    let ranges = set.ranges().iter().filter(|(first, last)| first < last);
    let described = ranges.map(|&(first, last)| {
        let around = Block::around(first, last);
        Blocks {
            range: port_range((first, last)),
            exact: blocks(first, last).iter().map(Block::to_string).collect(),
            widened: port_range((around.first, around.last())),
        }
    });
    described.collect()
}

fn token(side: MediaSide) -> &'static str {
    match side {
        MediaSide::From => "from",
        MediaSide::To => "to",
        MediaSide::Any => "any",
    }
}

fn transports(numbers: &[u8]) -> Vec<String> {
    numbers.iter().map(|number| Transport(*number).to_string()).collect()
}

/// None where every port is meant.
fn ports(set: &PortSet) -> Vec<Port> {
    if set.is_any() {
        return Vec::new();
    }
    let port = |&(first, last): &(u16, u16)| {
        if first == last { Port::One(first) } else { Port::Range(port_range((first, last))) }
    };
    set.ranges().iter().map(port).collect()
}
