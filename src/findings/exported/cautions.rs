//! What an administrator should look at beside the answer: rules that do more or less than they seem to.

use std::collections::BTreeSet;

use super::kind::Kind;
use super::walk::{Covering, MAX_RULES, Prepared, Walk};
use super::{ExportAnswer, RowAnswer, Standing};
use crate::findings::Severity;
use crate::policy::PortSet;
use crate::policy::asked::Asked;
use crate::policy::boxes::{Axis, EVERY, Space};
use crate::policy::exports::{Action, ConnectionRule, Direction, Export, Mode};

/// Something to look at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Caution {
    /// How grave it is.
    pub severity: Severity,
    /// What it is about.
    pub kind: Kind,
    /// The rule, where it is about one.
    pub rule: Option<String>,
    /// What it is, in one sentence without a full stop.
    pub message: String,
}

/// The most that are told of one kind.
const MAX_TOLD: usize = 20;
/// A range of more ports is hardly a range.
const NEARLY_ALL: u32 = 32_768;
/// The most names of rules in a list.
const MAX_NAMES: usize = 10;

fn caution(severity: Severity, kind: Kind, rule: &ConnectionRule, message: String) -> Caution {
    Caution { severity, kind, rule: Some(rule.name.clone()), message }
}

/// Names of rules, each once, the first few.
pub(super) fn names(rules: &[&ConnectionRule]) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let fresh = rules.iter().filter(|rule| seen.insert(rule.name.as_str()));
    fresh.take(MAX_NAMES).map(|rule| rule.name.clone()).collect()
}

/// That the comparison was given up.
pub(super) fn too_many() -> Caution {
    Caution {
        severity: Severity::Warning,
        kind: Kind::TooManyRules,
        rule: None,
        message: "the rules cut the traffic into more pieces than can be compared; exempt whole prefixes and ranges".into(),
    }
}

/// What shows in the rules that a row met.
pub(super) fn of_row(
    asked: &Asked,
    walk: &Walk<'_>,
    standing: Standing,
    prepared: &Prepared<'_>,
) -> Vec<Caution> {
    let mut told = BTreeSet::new();
    let aimed = |covering: &&Covering<'_>| asked.is_aimed_at(&covering.spaces);
    for Covering { rule, .. } in prepared.held_back.iter().filter(aimed).take(MAX_TOLD) {
        let why = rule.held_back().unwrap_or_default();
        let message = format!("'{}' would leave it alone, but has no effect: {why}", rule.name);
        let grave = standing.severity().map_or(Severity::Note, |_| Severity::Warning);
        told.insert(caution(grave, Kind::InactiveExemption, rule, message));
    }
    let aimed = |rule: &&&ConnectionRule| asked.is_aimed_at(&rule.spaces());
    for rule in walk.exempting.iter().filter(aimed).take(MAX_TOLD) {
        told.extend(of_exemption(asked, rule, standing, walk, prepared));
    }
    let ports = asked.ports.count();
    if standing.severity().is_some() && !asked.ports.is_any() && ports > NEARLY_ALL {
        told.insert(Caution {
            severity: Severity::Note,
            kind: Kind::NearlyAllPorts,
            rule: None,
            message: format!("the row asks for {ports} ports, which is nearly all; where the site has set a range, write it into [media] of the topology"),
        });
    }
    if standing == Standing::Undecided || walk.doubted {
        let uncertain = prepared.in_force.iter().filter(|covering| {
            (covering.rule.uncertain() || covering.rule.perhaps_ports.is_some())
                && meets(asked, &covering.perhaps)
        });
        for Covering { rule, .. } in uncertain.take(MAX_TOLD) {
            let how_much = if walk.doubted { "more or less of it hangs" } else { "it hangs" };
            let message = format!("{how_much} on '{}': {}", rule.name, what_is_open(rule));
            told.insert(caution(Severity::Warning, Kind::HangsOn, rule, message));
        }
    }
    for secure in &walk.touching {
        let Some(exempt) = walk.exempting.iter().find(|exempt| more_specific(secure, exempt))
        else {
            continue;
        };
        let message = format!(
            "'{}' secures a part of what '{}' leaves alone; which of the two goes first is not documented",
            secure.name, exempt.name
        );
        told.insert(caution(Severity::Warning, Kind::MoreSpecificSecuringRule, secure, message));
        if told.len() >= MAX_RULES {
            break;
        }
    }
    let mut told: Vec<Caution> = told.into_iter().collect();
    told.sort_by(|a, b| b.severity.cmp(&a.severity).then_with(|| a.cmp(b)));
    told
}

fn of_exemption(
    asked: &Asked,
    rule: &ConnectionRule,
    standing: Standing,
    walk: &Walk<'_>,
    prepared: &Prepared<'_>,
) -> Vec<Caution> {
    let mut told = Vec::new();
    let name = &rule.name;
    for limit in &rule.limits {
        let message = format!("'{name}' counts only for {limit}");
        told.push(caution(Severity::Warning, Kind::Restricted, rule, message));
    }
    for remark in &rule.remarks {
        let message = format!("'{name}': {remark}");
        told.push(caution(Severity::Warning, Kind::WiderThanAsked, rule, message));
    }
    let sets = [&rule.local_ports, &rule.remote_ports];
    let mut ranges = asked.ports.ranges().iter().filter(|(first, last)| first < last);
    let singles = |ports: &&PortSet| {
        !ports.is_empty() && ports.ranges().iter().all(|(first, last)| first == last)
    };
    let short_of_ports = standing.severity().is_some() && ranges.clone().next().is_some();
    if short_of_ports && sets.iter().any(singles) {
        let message = format!("'{name}' lists single ports where the row has a range");
        told.push(caution(Severity::Warning, Kind::SinglePorts, rule, message));
    }
    let short = |last: u16| {
        let ends =
            |set: &PortSet| set.ranges().iter().any(|range| range.1.checked_add(1) == Some(last));
        [PORTS, EXCHANGED].into_iter().any(|ports| {
            ends(ports(rule).0)
                && !walk.exempting.iter().any(|other| goes_on(rule, other, ports, last))
        })
    };
    if let Some((_, last)) = ranges.find(|(_, last)| short(*last)) {
        let message =
            format!("'{name}' ends one port short of {last}, the last of the row's range");
        told.push(caution(Severity::Warning, Kind::OnePortShort, rule, message));
    }
    if rule.profiles.spans().len() < 3 {
        let message = format!("'{name}' is not in force in every profile");
        told.push(caution(Severity::Note, Kind::NotEveryProfile, rule, message));
    }
    let common = |space: &Space| {
        asked.spaces.iter().filter_map(|need| space.meet(need)).map(|space| space.breadth()).max()
    };
    let written = rule.written();
    let exchanged = written.clone().mirrored();
    if rule.direction == Direction::Either
        && common(&written) < common(&exchanged)
        && !has_twin(asked, rule, &exchanged, prepared)
    {
        let message = format!(
            "'{name}' names the ends the other way round: endpoint 1 is taken for the peer; add a rule with the ends exchanged to be sure"
        );
        told.push(caution(Severity::Note, Kind::EndsExchanged, rule, message));
    }
    told
}

/// The ports of one end of a rule, and those of the other.
type Ports = fn(&ConnectionRule) -> (&PortSet, &PortSet);
const PORTS: Ports = |rule| (&rule.local_ports, &rule.remote_ports);
const EXCHANGED: Ports = |rule| (&rule.remote_ports, &rule.local_ports);

/// Whether another rule of the same kind has the port behind the last of a rule: a range that is written as several.
fn goes_on(rule: &ConnectionRule, other: &ConnectionRule, ports: Ports, next: u16) -> bool {
    rule.protocol == other.protocol
        && rule.direction == other.direction
        && (&rule.local, &rule.remote) == (&other.local, &other.remote)
        && ports(rule).1 == ports(other).1
        && ports(other).0.contains(next)
}

/// Whether another rule names the ends as they are, for all that a rule exempts with its ends exchanged.
fn has_twin(
    asked: &Asked,
    rule: &ConnectionRule,
    exchanged: &Space,
    prepared: &Prepared<'_>,
) -> bool {
    let mut needs = asked.spaces.iter().filter_map(|need| exchanged.meet(need));
    needs.all(|need| {
        prepared.in_force.iter().any(|covering| {
            covering.rule.action == Action::Exempt
                && !covering.rule.uncertain()
                && !std::ptr::eq(covering.rule, rule)
                && covering.rule.written().holds(&need)
        })
    })
}

/// Rules with the reason why they have no effect, each once, the first few.
pub(super) fn held_back(rules: &[&ConnectionRule]) -> Vec<(String, String)> {
    let mut seen = BTreeSet::new();
    let told = rules.iter().map(|rule| (rule.name.clone(), rule.held_back().unwrap_or_default()));
    told.filter(|told| seen.insert(told.clone())).take(MAX_NAMES).collect()
}

/// Whether one of the spaces has traffic of the row.
fn meets(asked: &Asked, spaces: &[Space]) -> bool {
    spaces.iter().any(|space| asked.spaces.iter().any(|need| space.meet(need).is_some()))
}

/// Whether a securing rule covers a part of what an exempting one covers, and nothing else.
fn more_specific(secure: &ConnectionRule, exempt: &ConnectionRule) -> bool {
    let undocumented =
        |rule: &ConnectionRule| rule.direction == Direction::Either && rule.priority.is_none();
    undocumented(secure) && undocumented(exempt) && {
        let (secure, exempt) = (secure.written(), exempt.written());
        [exempt.clone(), exempt.mirrored()]
            .iter()
            .any(|exempt| exempt.holds(&secure) && !secure.holds(exempt))
    }
}

fn what_is_open(rule: &ConnectionRule) -> String {
    let mut open: Vec<String> =
        rule.doubts.iter().map(|doubt| format!("{doubt} is not understood")).collect();
    open.extend(
        rule.local
            .words()
            .chain(rule.remote.words())
            .map(|word| format!("only the host knows what {word} is")),
    );
    if rule.action == Action::Unknown {
        open.push("its action is not understood".into());
    }
    if rule.perhaps_ports.is_some() {
        open.push(
            "the mask of its port is not printed; `swanctl --list-pols --raw` shows the range"
                .into(),
        );
    }
    if open.is_empty() {
        open.push("whether it is enabled is not known".into());
    }
    open.join("; ")
}

/// What shows in the rules of an export, whatever the row.
pub(super) fn of_export(
    export: &Export,
    asked: &[Asked],
    prepared: &Prepared<'_>,
    strict: bool,
) -> Vec<Caution> {
    let mut told: Vec<Caution> = no_rules(export).into_iter().collect();
    let any_row = |spaces: &[Space]| asked.iter().any(|asked| meets(asked, spaces));
    let exempting =
        prepared.in_force.iter().filter(|covering| covering.rule.action == Action::Exempt);
    let mut wide = 0;
    for Covering { rule, spaces, .. } in exempting {
        // What is not understood as a whole may be narrower than what is.
        let Some((kind, severity, words)) =
            breadth(rule, spaces, asked, strict).filter(|_| !rule.uncertain())
        else {
            continue;
        };
        if !any_row(spaces) {
            continue;
        }
        wide += 1;
        if wide <= MAX_TOLD {
            told.push(caution(severity, kind, rule, format!("'{}' {words}", rule.name)));
        }
    }
    let uncertain =
        export.rules.iter().filter(|rule| rule.uncertain() && rule.inactive().is_none());
    for rule in uncertain.take(MAX_TOLD) {
        let message =
            format!("'{}' is not understood in every part: {}", rule.name, what_is_open(rule));
        told.push(caution(Severity::Warning, Kind::NotUnderstood, rule, message));
    }
    let tunnels = export.rules.iter().filter(|rule| {
        rule.mode == Mode::Tunnel && rule.inactive().is_none() && !rule.between_hosts()
    });
    for rule in tunnels.filter(|rule| any_row(&rule.spaces())).take(MAX_TOLD) {
        let message =
            format!("'{}' carries the traffic through a tunnel, which is not judged", rule.name);
        told.push(caution(Severity::Warning, Kind::Tunnel, rule, message));
    }
    told
}

/// Why an exemption is wider than any row asks.
fn breadth(
    rule: &ConnectionRule,
    spaces: &[Space],
    asked: &[Asked],
    strict: bool,
) -> Option<(Kind, Severity, &'static str)> {
    let everything = |space: &Space| {
        [Axis::Local, Axis::Remote].iter().all(|axis| space.on(*axis) == [EVERY])
            && [Axis::LocalPort, Axis::RemotePort]
                .iter()
                .all(|axis| space.on(*axis) == [(0, u128::from(u16::MAX))])
    };
    let whole = spaces.iter().any(everything);
    if whole && rule.protocol.is_none() {
        return Some((
            Kind::ExemptsEverything,
            Severity::Warning,
            "leaves everything alone: it disables IPsec as a whole",
        ));
    }
    if whole {
        return Some((
            Kind::ExemptsEverything,
            Severity::Warning,
            "leaves every host and port alone: it disables IPsec for its protocol",
        ));
    }
    if rule.protocol.is_none() && asked.iter().all(|asked| !asked.transports.is_empty()) {
        return Some((
            Kind::AnyProtocol,
            Severity::Warning,
            "names no protocol: it leaves ICMP and all others alone as well",
        ));
    }
    let any_ports = rule.local_ports.is_any() && rule.remote_ports.is_any();
    (!strict && any_ports).then_some((
        Kind::WiderThanRow,
        Severity::Note,
        "leaves every port of its hosts alone, signalling and file shares too; the rows ask for media ports",
    ))
}

/// That there is nothing to judge.
fn no_rules(export: &Export) -> Option<Caution> {
    export.rules.is_empty().then(|| {
        let windows = ["netsh", "powershell", "registry", "registry-pol"].contains(&export.format);
        let command = if windows {
            "Get-NetIPsecRule -PolicyStore ActiveStore"
        } else {
            "ip xfrm policy"
        };
        let message = format!("it has 0 rules: perhaps they are in another store; `{command}`, as an administrator, shows all that are in force");
        Caution { severity: Severity::Warning, kind: Kind::NoRules, rule: None, message }
    })
}

/// That a label was given which names nobody; `hint` is what to say of the nearest name.
pub fn stranger(label: &str, hint: &str) -> Caution {
    let message = format!(
        "'{label}' is neither a host nor a network of the topology, so that the export is judged as that of anyone who talks to the roles' hosts{hint}"
    );
    Caution { severity: Severity::Warning, kind: Kind::UnknownLabel, rule: None, message }
}

/// That nothing is said about the role's own ends.
pub(super) fn peers_only(answers: &[ExportAnswer]) -> Option<Caution> {
    let rows = || answers.iter().flat_map(|answer| &answer.rows);
    let applies = rows().any(|row| row.peer);
    (applies && !rows().any(|row| row.own)).then(|| Caution {
        severity: Severity::Note,
        kind: Kind::PeersOnly,
        rule: None,
        message: "only the peers' end was audited: an exemption must exist at the role's own end too, so export a host of each role as well, and write NAME=FILE where the file is not called like the host".into(),
    })
}

/// Rows that one host exempts and another does not, where one of the two plays the row's role.
pub(super) fn across(answers: &[ExportAnswer]) -> Vec<Caution> {
    let mut told = Vec::new();
    let Some(first) = answers.first() else { return told };
    for (at, row) in first.rows.iter().enumerate() {
        let of = |fits: fn(&RowAnswer) -> bool| -> Vec<(&str, bool)> {
            let rows = answers.iter().filter_map(|answer| Some((answer, answer.rows.get(at)?)));
            let fitting = rows.filter(|(_, row)| fits(row));
            fitting.map(|(answer, row)| (answer.label.as_str(), row.own)).collect()
        };
        let exempt = of(|row| row.standing == Standing::Present && !row.exempting.is_empty());
        let not = of(|row| row.standing.severity().is_some());
        let exempt_names = facing(&exempt, &not);
        let not_names = facing(&not, &exempt);
        if !exempt_names.is_empty() && !not_names.is_empty() {
            let message = format!(
                "{} is exempt on {} and not on {}: between them, IPsec is still negotiated",
                row.row,
                few(&exempt_names),
                few(&not_names)
            );
            told.push(Caution {
                severity: Severity::Warning,
                kind: Kind::OneEndOnly,
                rule: None,
                message,
            });
        }
    }
    told
}

/// The names among hosts that have the row's traffic with one of the others: one of the two plays the role.
fn facing<'a>(hosts: &[(&'a str, bool)], others: &[(&str, bool)]) -> Vec<&'a str> {
    let role = others.iter().any(|(_, own)| *own);
    hosts.iter().filter(|(_, own)| *own || role).map(|(name, _)| *name).collect()
}

fn few(names: &[&str]) -> String {
    let shown: Vec<&str> = names.iter().copied().take(MAX_NAMES).collect();
    let more = names.len() - shown.len();
    if more > 0 { format!("{} and {more} more", shown.join(", ")) } else { shown.join(", ") }
}
