//! The sections of a run without topology: who the hosts seem to be, and what they speak.

use std::io;

use super::coverage::untracked;
use super::{Align, Grid, Page};
use crate::report::color::Tone;
use crate::report::text::{bytes, count, counted};
use crate::report::{Report, ServiceSeen};

/// Writes both sections.
pub(super) fn write(report: &Report, page: &mut Page<'_>) -> io::Result<()> {
    page.heading("Hosts, by what they seem to do")?;
    roles(report, page)?;
    page.heading("Services seen")?;
    services(report, page)?;
    untracked(report, page)
}

fn roles(report: &Report, page: &mut Page<'_>) -> io::Result<()> {
    let hosts = &report.seeming_roles;
    if hosts.is_empty() {
        return page.line(2, "No host shows enough to guess a role.");
    }
    let mut grid = Grid::new(&[
        ("Address", Align::Word),
        ("Seems to be", Align::Word),
        ("Because of", Align::Left),
    ]);
    let shown = page.few(FEW).unwrap_or(hosts.len());
    for host in hosts.iter().take(shown) {
        let cells = vec![report.address(host.address), host.role.clone(), host.evidence.join(", ")];
        grid.row(Tone::Plain, cells);
    }
    page.grid(&grid)?;
    rest(hosts.len().saturating_sub(shown), "host", "hosts", page)
}

fn services(report: &Report, page: &mut Page<'_>) -> io::Result<()> {
    let services = &report.services;
    if services.is_empty() {
        return page.line(2, "No service was seen.");
    }
    let mut grid = Grid::new(&[
        ("Service", Align::Word),
        ("Protocol", Align::Word),
        ("Responders", Align::Right),
        ("Flows", Align::Right),
        ("Packets", Align::Right),
        ("Bytes", Align::Right),
    ]);
    let shown = page.few(FEW).unwrap_or(services.len());
    for service in services.iter().take(shown) {
        grid.row(Tone::Plain, cells(service));
    }
    page.grid(&grid)?;
    rest(services.len().saturating_sub(shown), "service", "services", page)
}

fn cells(service: &ServiceSeen) -> Vec<String> {
    vec![
        service.name(),
        service.protocol.unwrap_or("not recognised").into(),
        count(service.responders),
        count(service.flows),
        count(service.packets),
        bytes(service.bytes),
    ]
}

fn rest(hidden: usize, one: &str, many: &str, page: &mut Page<'_>) -> io::Result<()> {
    if hidden == 0 {
        return Ok(());
    }
    let (one, many) = (format!("more {one}"), format!("more {many}"));
    let more = counted(hidden as u64, &one, &many);
    page.line(2, &format!("and {more}; `--format json` lists all."))
}

/// Rows listed on a terminal.
const FEW: usize = 20;
