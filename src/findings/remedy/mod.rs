//! How an exemption is made: which rules a row asks for, on whose computers, for which addresses and ports.
//!
//! A rule of IPsec says whose traffic is left alone, not which way it goes, so that the inbound and the
//! outbound row of a role are one pair of rules: one for every peer, and one for the role's own hosts with
//! the two ends exchanged. An exemption on one end only leaves the other end negotiating.
//! Read [`Exempt`], then [`Rule`].

mod blocks;
pub mod windows;

use std::fmt;
use std::net::IpAddr;

pub use blocks::{Block, blocks};

use super::case::Lookup;
use crate::decode::Transport;
use crate::policy::{ExpectationId, MediaSide, Need, Policy, PortSet};

/// Exemption rows that the same rules serve: those of one role with equal transports and ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exempt<'p> {
    /// The rows with their sides, in the policy's order.
    pub rows: Vec<(&'p str, MediaSide)>,
    /// What the names of the rows have in common.
    pub title: String,
    /// Whose traffic.
    pub whose: Whose,
    /// What the rows ask for.
    pub need: Need<'p>,
    /// Another entry of the same list that exempts all this and more.
    pub within: Option<usize>,
}

/// Whose traffic an exemption is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whose {
    /// Anyone's: the rows name no role.
    Anyone,
    /// Hosts of the role, sorted; empty where the topology has none.
    Hosts(Vec<Prefix>),
}

/// An address, or a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Prefix {
    /// The address.
    pub address: IpAddr,
    /// How many of its bits are fixed.
    pub length: u8,
}

/// On whose computers a rule stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// On every computer that talks to the role's hosts: they are the remote end.
    Peer,
    /// On the role's hosts: they are the local end.
    Own,
}

/// One rule: the traffic between the role's hosts and anyone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule<'e> {
    /// Its name, not yet quoted.
    pub name: String,
    /// On whose computers it stands.
    pub end: End,
    /// The transport; `None` means any.
    pub transport: Option<Transport>,
    /// Hosts of the role; empty means anyone.
    pub hosts: &'e [Prefix],
    /// Ports of the role's end; `None` means any.
    pub ports: Option<&'e PortSet>,
}

/// Every exemption row of a policy, those together that the same rules serve.
pub fn exempt(policy: &Policy) -> Vec<Exempt<'_>> {
    gather(policy, policy.needs())
}

fn gather<'p>(lookup: &'p dyn Lookup, needs: Vec<Need<'p>>) -> Vec<Exempt<'p>> {
    let mut entries: Vec<Exempt<'p>> = Vec::new();
    for need in needs {
        let row = lookup.row(need.row);
        let role = role_of(lookup, need.row, need.side);
        let same = |entry: &&mut Exempt<'p>| {
            role_of(lookup, entry.need.row, entry.need.side) == role
                && serves(&entry.need, &need)
                && serves(&need, &entry.need)
        };
        match entries.iter_mut().find(same) {
            Some(entry) => {
                entry.rows.push((row.id, need.side));
                entry.title = in_common(&entry.title, row.service);
            }
            None => entries.push(Exempt {
                rows: vec![(row.id, need.side)],
                title: row.service.to_owned(),
                whose: whose(role, &need),
                need,
                within: None,
            }),
        }
    }
    for at in 0..entries.len() {
        let within = entries.get(at).and_then(|entry| wider(entry, at, &entries));
        if let Some(entry) = entries.get_mut(at) {
            entry.within = within;
        }
    }
    entries
}

/// The roles that a row is about; empty means anyone.
fn role_of(lookup: &dyn Lookup, row: ExpectationId, side: MediaSide) -> u64 {
    let row = lookup.row(row);
    match side {
        MediaSide::To => row.to.0,
        MediaSide::From | MediaSide::Any => row.from.0,
    }
}

fn whose(role: u64, need: &Need<'_>) -> Whose {
    let hosts = need.hosts.iter();
    let hosts = hosts.map(|net| Prefix { address: net.addr(), length: net.prefix_len() });
    if role == 0 { Whose::Anyone } else { Whose::Hosts(hosts.collect()) }
}

/// Whether exempting what `wide` asks for does for `narrow`, for whoever's hosts they name.
fn serves(wide: &Need<'_>, narrow: &Need<'_>) -> bool {
    let hosts = narrow.hosts.iter().all(|net| wide.hosts.iter().any(|outer| outer.contains(net)));
    let transports = wide.transports.is_empty()
        || (!narrow.transports.is_empty()
            && narrow.transports.iter().all(|number| wide.transports.contains(number)));
    let within = |(numbers, ports): (Vec<u8>, &PortSet)| {
        let wide: Vec<&PortSet> = match &numbers[..] {
            [] => vec![wide.ports],
            some => some.iter().map(|number| wide.ports_of(*number)).collect(),
        };
        wide.iter().all(|wide| ports.ranges().iter().all(|range| holds(wide, *range)))
    };
    hosts && transports && narrow.groups().into_iter().all(within)
}

fn holds(ports: &PortSet, (low, high): (u16, u16)) -> bool {
    ports.ranges().iter().any(|(first, last)| *first <= low && high <= *last)
}

/// The first entry that exempts all that this one asks for, and more or the same earlier in the list.
fn wider(entry: &Exempt<'_>, at: usize, entries: &[Exempt<'_>]) -> Option<usize> {
    let named = |entry: &Exempt<'_>| {
        matches!(&entry.whose, Whose::Hosts(hosts) if !hosts.is_empty()) && !entry.is_undecided()
    };
    if !named(entry) {
        return None;
    }
    entries.iter().enumerate().position(|(position, other)| {
        position != at
            && named(other)
            && serves(&other.need, &entry.need)
            && (position < at || !serves(&entry.need, &other.need))
    })
}

/// The words that two names begin with; the first name where there are none.
fn in_common(first: &str, second: &str) -> String {
    let words = first.split(' ').zip(second.split(' '));
    let same: Vec<&str> =
        words.take_while(|(one, other)| one == other).map(|(word, _)| word).collect();
    if same.is_empty() { first.to_owned() } else { same.join(" ") }
}

impl Exempt<'_> {
    /// The row ids, such as `X05+X06`.
    pub fn ids(&self) -> String {
        self.rows.iter().map(|(id, _)| *id).collect::<Vec<_>>().join("+")
    }

    /// The name of its rules, such as `X05+X06 Mediation Server`.
    pub fn name(&self) -> String {
        format!("{} {}", self.ids(), self.title).trim_end().to_owned()
    }

    /// Whether there is anyone to exempt.
    pub fn applies(&self) -> bool {
        !matches!(&self.whose, Whose::Hosts(hosts) if hosts.is_empty())
    }

    /// Whether the rows are about a range of ports that the site has still to set. Until then their rules
    /// would exempt nearly everything of nearly everyone.
    pub fn is_undecided(&self) -> bool {
        self.need.content_required && self.rows.iter().any(|(_, side)| *side == MediaSide::Any)
    }

    /// The rules that make it, by transport, the peers' first; none where the topology has no host of
    /// the role. Many addresses are shared out over several rules, as command lines have an end.
    pub fn rules(&self) -> Vec<Rule<'_>> {
        let hosts: Vec<&[Prefix]> = match &self.whose {
            Whose::Anyone => vec![&[]],
            Whose::Hosts(hosts) => hosts.chunks(MAX_ADDRESSES).collect(),
        };
        let mut rules = Vec::new();
        for transport in self.transports() {
            let ports = transport.map_or(self.need.ports, |known| self.need.ports_of(known.0));
            for end in [End::Peer, End::Own] {
                for (position, &hosts) in hosts.iter().enumerate() {
                    rules.push(Rule {
                        name: self.rule_name(transport, end, position),
                        end,
                        transport,
                        hosts,
                        ports: Some(ports).filter(|ports| !ports.is_any()),
                    });
                }
            }
        }
        rules
    }

    /// Ports go with TCP or UDP, so that a row for any transport that names ports means these two.
    fn transports(&self) -> Vec<Option<Transport>> {
        let numbers = self.need.transports;
        match (numbers.is_empty(), self.need.ports.is_any()) {
            (true, true) => vec![None],
            (true, false) => vec![Some(Transport::TCP), Some(Transport::UDP)],
            (false, _) => numbers.iter().map(|number| Some(Transport(*number))).collect(),
        }
    }

    fn rule_name(&self, transport: Option<Transport>, end: End, position: usize) -> String {
        let mut words = vec![self.name()];
        words.extend(transport.map(|transport| transport.to_string()));
        if end == End::Own {
            words.push("(own end)".to_owned());
        }
        if position > 0 {
            words.push((position + 1).to_string());
        }
        words.join(" ")
    }
}

/// What to do about one row whose exemption is missing: bounded, whatever the topology holds.
pub(super) fn steps(lookup: &dyn Lookup, row: ExpectationId) -> Vec<String> {
    let mut steps = vec![BOTH_ENDS.to_owned()];
    let id = lookup.row(row).id;
    let entries = gather(lookup, lookup.needs());
    // The rules of the plan, so that two rows that one rule serves do not ask for two.
    if let Some(entry) = entries.iter().find(|entry| entry.rows.iter().any(|(own, _)| *own == id)) {
        if entry.is_undecided() {
            return vec![format!(
                "{UNSET} for the clients, in the product and under [media] of the topology: the row asks for the ports {} of every client, and rules for these would leave nearly nothing to IPsec. Then this report and `portassay plan` print the rules.",
                entry.need.ports
            )];
        }
        if entry.need.content_required {
            steps.push(format!(
                "{NEARLY_ALL} {}. Set a narrower media range, and name it in [media] of the topology.",
                entry.need.ports
            ));
        }
        if entry.need.ports.is_any() && !entry.need.media_ports.is_any() {
            steps.push(format!(
                "The rules exempt every port of the hosts, signalling too. To exempt the media only, give {} as the port of the role's end instead of Any.",
                entry.need.media_ports
            ));
        }
        if let Some(wider) = entry.within.and_then(|at| entries.get(at)) {
            steps.push(format!(
                "{WITHIN}{} ({}): where they are made, nothing is left to make here.",
                wider.ids(),
                wider.title
            ));
        }
        let rules = entry.rules();
        let shown = rules.iter().take(MAX_RULES);
        let group = format!(" -Group '{}'", windows::GROUP);
        steps.extend(
            shown.flat_map(|rule| [windows::powershell(rule, &group), windows::netsh(rule)]),
        );
        if rules.len() > MAX_RULES {
            steps.push(format!(
                "These are {MAX_RULES} of {} rules, as the role has many addresses: `portassay plan` prints the others.",
                rules.len()
            ));
        }
    }
    steps.push(AFTERWARDS.to_owned());
    steps.push(THE_REST.to_owned());
    steps
}

/// What to mind before the rules are made, if one of the steps says so: they would exempt nearly everything.
pub fn caution(steps: &[String]) -> Option<&str> {
    let mut steps = steps.iter().map(String::as_str);
    steps.find(|step| step.starts_with(UNSET) || step.starts_with(NEARLY_ALL))
}

/// The ids of the rows whose rules exempt all that a remedy is about, if one of its steps says so.
pub fn within(steps: &[String]) -> Option<impl Iterator<Item = &str>> {
    let wider = steps.iter().find_map(|step| step.strip_prefix(WITHIN))?;
    Some(wider.split(' ').next()?.split('+'))
}

/// The commands among them, for both tools of Windows.
pub(super) fn commands(lookup: &dyn Lookup, row: ExpectationId) -> Vec<String> {
    let mut steps = steps(lookup, row);
    steps.retain(|step| step.starts_with("New-NetIPsecRule ") || step.starts_with("netsh "));
    steps
}

impl fmt::Display for Prefix {
    /// As rules write it: an address alone without its length.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = if self.address.is_ipv4() { 32 } else { 128 };
        if self.length == all {
            write!(f, "{}", self.address)
        } else {
            write!(f, "{}/{}", self.address, self.length)
        }
    }
}

/// Addresses in one rule: with the longest, a command stays under the 8191 characters that cmd takes.
const MAX_ADDRESSES: usize = 100;
/// Rules that the remedy of one row shows: two ends and two transports.
const MAX_RULES: usize = 4;

const BOTH_ENDS: &str = "Make the exemption on both ends: the first rule of each transport on every computer that has an IPsec policy, the one called \"own end\" on the hosts of the role. All may stand in one GPO: a rule about the addresses of others does nothing. For a GPO add -PolicyStore '<domain>\\<GPO>', or in netsh first `advfirewall set store gpo=\"<domain>\\<GPO>\"`.";
const UNSET: &str = "First set a media range";
const NEARLY_ALL: &str = "The rules exempt nearly every port:";
const WITHIN: &str = "All of this lies within the rules of ";
const AFTERWARDS: &str = "Security associations outlive the change: wait until they expire (5 minutes idle, 1 hour at most by default) or run `netsh advfirewall monitor delete qmsa all`, then capture again.";
const THE_REST: &str = "`portassay plan -t TOPOLOGY --format powershell` (or netsh, swanctl, xfrm) prints the commands for every row, for Linux too, and how to take them back.";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Layer, Profile};

    const PACK: &str = r#"
pack = "p"
[[role]]
name = "mediation"
[[role]]
name = "attendant"
[[role]]
name = "absent"
[[role]]
name = "client"
kind = "endpoint"
"#;

    const EXEMPTIONS: &str = r#"
pack = "x"
kind = "exemptions"
row = [
  { id = "X05", name = "Mediation Server Inbound", role = "mediation", side = "to", transport = "tcp+udp", media_port = "49152-57500" },
  { id = "X06", name = "Mediation Server Outbound", role = "mediation", side = "from", transport = "tcp+udp", media_port = "49152-57500" },
  { id = "X07", name = "Attendant Inbound", role = "attendant", side = "to", transport = "udp", media_port = "49152-50000" },
  { id = "X08", name = "Absent", role = "absent", side = "to", transport = "udp", media_port = "1-2" },
  { id = "X15", name = "Clients", role = "client", side = "any", transport = "udp", media_port = "50020-50039,58000-58019" },
  { id = "X16", name = "Everyone", side = "any", transport = "any" },
]
"#;

    const SITE: &str = r#"
[[host]]
name = "med01"
addresses = ["10.0.1.12", "fd00::12"]
roles = ["mediation", "attendant"]
[[network]]
name = "users"
prefixes = ["10.0.20.0/22"]
roles = ["client"]
"#;

    fn layer(text: &str) -> Layer {
        Layer { layer: "test".into(), file: "test".into(), text: text.into() }
    }

    fn policy(site: &str, strict: bool) -> Policy {
        let site = layer(site);
        let layers = [layer(PACK), layer(EXEMPTIONS)];
        Policy::compile(&layers, Some(&site), Profile::default(), strict).unwrap()
    }

    fn names(entries: &[Exempt<'_>]) -> Vec<String> {
        entries.iter().map(Exempt::name).collect()
    }

    #[test]
    fn the_two_directions_of_a_role_are_one_pair_of_rules() {
        let policy = policy(SITE, false);
        let entries = exempt(&policy);
        assert_eq!(
            names(&entries),
            [
                "X05+X06 Mediation Server",
                "X07 Attendant Inbound",
                "X08 Absent",
                "X15 Clients",
                "X16 Everyone"
            ]
        );
        let rules = entries[0].rules();
        let shown: Vec<&str> = rules.iter().map(|rule| rule.name.as_str()).collect();
        assert_eq!(
            shown,
            [
                "X05+X06 Mediation Server tcp",
                "X05+X06 Mediation Server tcp (own end)",
                "X05+X06 Mediation Server udp",
                "X05+X06 Mediation Server udp (own end)",
            ]
        );
        let hosts: Vec<String> = rules[0].hosts.iter().map(Prefix::to_string).collect();
        assert_eq!(hosts, ["10.0.1.12", "fd00::12"]);
        assert_eq!(rules[0].ports.unwrap().to_string(), "49152-57500");
    }

    #[test]
    fn what_a_wider_row_exempts_already_is_said() {
        let policy = policy(SITE, false);
        let entries = exempt(&policy);
        let within: Vec<Option<usize>> = entries.iter().map(|entry| entry.within).collect();
        assert_eq!(within, [None, Some(0), None, None, None]);
        let steps = |at: usize| steps(&policy, entries[at].need.row);
        assert_eq!(super::within(&steps(1)).unwrap().collect::<Vec<_>>(), ["X05", "X06"]);
        assert!(super::within(&steps(0)).is_none());
        let made = steps(0).into_iter().filter(|step| step.starts_with("New-NetIPsecRule"));
        assert!(made.clone().count() == 4, "{:?}", steps(0));
        for command in made {
            assert!(command.contains(" -Group 'portassay exemptions' "), "{command}");
        }
    }

    #[test]
    fn what_no_rule_is_made_for_exempts_nothing_else() {
        let rows = EXEMPTIONS.replace("50020-50039,58000-58019", "1024-65535");
        let site = SITE.replace("10.0.20.0/22", "10.0.0.0/16").replace(", \"fd00::12\"", "");
        let layers = [layer(PACK), layer(&rows)];
        let policy =
            Policy::compile(&layers, Some(&layer(&site)), Profile::default(), false).unwrap();
        let entries = exempt(&policy);
        let clients = entries.iter().position(|entry| entry.ids() == "X15").unwrap();
        assert!(entries[clients].is_undecided());
        let row = policy.needs().iter().map(|need| need.row).nth(4).unwrap();
        let told = steps(&policy, row);
        assert!(
            caution(&told).unwrap().contains("the ports 1024-65535 of every client"),
            "{told:?}"
        );
        assert!(commands(&policy, row).is_empty(), "{told:?}");
        assert!(serves(&entries[clients].need, &entries[1].need), "its hosts and ports hold X07's");
        assert!(entries.iter().all(|entry| entry.within != Some(clients)));
    }

    #[test]
    fn a_role_without_hosts_has_no_rules_and_a_row_for_anyone_has() {
        let policy = policy(SITE, false);
        let entries = exempt(&policy);
        assert!(!entries[2].applies() && entries[2].rules().is_empty());
        let [peer, own] = &entries[4].rules()[..] else { panic!("two rules") };
        assert_eq!((peer.transport, peer.ports, peer.hosts), (None, None, &[][..]));
        assert_eq!(own.name, "X16 Everyone (own end)");
    }

    #[test]
    fn strictly_every_port_is_exempt_but_the_clients() {
        let policy = policy(SITE, true);
        let entries = exempt(&policy);
        assert_eq!(entries[0].rules()[0].ports, None);
        let clients = entries.iter().find(|entry| entry.ids() == "X15").unwrap();
        assert_eq!(clients.rules()[0].ports.unwrap().to_string(), "50020-50039,58000-58019");
    }

    #[test]
    fn many_addresses_are_shared_out_and_the_remedy_stays_bounded() {
        let addresses: Vec<String> =
            (0..250).map(|n| format!("\"10.0.{}.{}\"", n / 100, n % 100 + 1)).collect();
        let site = format!(
            "[[host]]\nname = \"m\"\naddresses = [{}]\nroles = [\"mediation\"]\n",
            addresses.join(", ")
        );
        let policy = policy(&site, false);
        let entries = exempt(&policy);
        let rules = entries[0].rules();
        assert_eq!(rules.len(), 12);
        assert_eq!(rules[1].name, "X05+X06 Mediation Server tcp 2");
        assert_eq!(rules.iter().map(|rule| rule.hosts.len()).sum::<usize>(), 4 * 250);
        let steps = steps(&policy, entries[0].need.row);
        assert!(steps.iter().any(|step| step.starts_with("These are 4 of 12 rules")), "{steps:?}");
        assert!(steps.iter().all(|step| step.len() < 8191));
    }

    #[test]
    fn names_share_their_first_words() {
        assert_eq!(
            in_common("A/V Edge Internal Inbound", "A/V Edge Internal Outbound"),
            "A/V Edge Internal"
        );
        assert_eq!(in_common("Exchange Inbound", "Other"), "Exchange Inbound");
        assert_eq!(in_common("", ""), "");
    }
}
