//! Who an address is: hosts, networks and their roles.
//!
//! A host's address beats a network; among networks the longest prefix wins. Networks are
//! flattened into disjoint intervals, so that a look-up is one hash and one binary search.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use foldhash::fast::RandomState;
use ipnet::IpNet;

use super::diagnose::{Diagnosis, Word};
use super::file::named_lists;
use super::read::{self, Fields};
use super::roles::{RoleSet, RoleTable};

/// Hosts, networks and their roles.
#[derive(Debug, Clone, Default)]
pub struct Topology {
    hosts: Vec<Host>,
    networks: Vec<Network>,
    media: BTreeMap<String, Vec<(u16, u16)>>,
    ipsec_deployed: bool,
    gateways: Vec<IpAddr>,
    by_address: HashMap<IpAddr, u32, RandomState>,
    /// Of IPv4, and of IPv6.
    intervals: [Vec<Interval>; 2],
}

/// A host of the topology.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// Its name.
    pub name: String,
    /// Other names of it.
    pub aliases: Vec<String>,
    /// Its addresses, in the order of the file.
    pub addresses: Vec<IpAddr>,
    /// Its roles.
    pub roles: RoleSet,
    /// The first role named: what it is mainly known by.
    pub main_role: Option<usize>,
    /// Roles whose pools it balances.
    pub balances: RoleSet,
}

/// A network of the topology.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// Its name.
    pub name: String,
    /// Its prefixes.
    pub prefixes: Vec<IpNet>,
    /// The roles of whoever is in it.
    pub roles: RoleSet,
    /// The first role named.
    pub main_role: Option<usize>,
}

/// What the topology says of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Owner<'t> {
    pub(super) name: Option<&'t str>,
    pub(super) roles: RoleSet,
    pub(super) main_role: Option<usize>,
    pub(super) balances: RoleSet,
}

/// Addresses of one family as numbers, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Interval {
    first: u128,
    last: u128,
    network: u32,
}

impl Topology {
    /// Hosts in the order of the file.
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// Networks in the order of the file.
    pub fn networks(&self) -> &[Network] {
        &self.networks
    }

    /// Port ranges that the site has set, by the range's name.
    pub fn media(&self) -> &BTreeMap<String, Vec<(u16, u16)>> {
        &self.media
    }

    /// Whether it declares IPsec deployed.
    pub fn ipsec_deployed(&self) -> bool {
        self.ipsec_deployed
    }

    /// Devices whose tunnels are no host policy.
    pub fn gateways(&self) -> &[IpAddr] {
        &self.gateways
    }

    /// The host with this name or alias, letters' case aside.
    pub fn host(&self, name: &str) -> Option<&Host> {
        self.hosts.iter().find(|host| {
            std::iter::once(&host.name)
                .chain(&host.aliases)
                .any(|known| known.eq_ignore_ascii_case(name))
        })
    }

    /// Every role that a host or network plays.
    pub(super) fn roles(&self) -> RoleSet {
        let hosts = self.hosts.iter().map(|host| host.roles);
        let networks = self.networks.iter().map(|network| network.roles);
        hosts.chain(networks).fold(RoleSet::EMPTY, RoleSet::with)
    }

    /// Who an address is.
    pub(super) fn owner(&self, address: IpAddr) -> Owner<'_> {
        let address = address.to_canonical();
        if let Some(host) = self
            .by_address
            .get(&address)
            .and_then(|index| self.hosts.get(*index as usize))
        {
            return Owner {
                name: Some(&host.name),
                roles: host.roles,
                main_role: host.main_role,
                balances: host.balances,
            };
        }
        let number = as_number(address);
        let intervals = &self.intervals[usize::from(address.is_ipv6())];
        let after = intervals.partition_point(|interval| interval.first <= number);
        after
            .checked_sub(1)
            .and_then(|index| intervals.get(index))
            .filter(|interval| number <= interval.last)
            .and_then(|interval| self.networks.get(interval.network as usize))
            .map(|network| Owner {
                name: Some(&network.name),
                roles: network.roles,
                main_role: network.main_role,
                balances: RoleSet::EMPTY,
            })
            .unwrap_or_default()
    }
}

/// What a topology file holds before port ranges are resolved.
pub(super) struct TopologyFile {
    pub(super) topology: Topology,
    /// The `[media]` table.
    pub(super) media: Vec<(Word, Vec<Word>)>,
}

/// Reads a topology file. What cannot be read is in the diagnosis and left out.
pub(super) fn read(text: &str, roles: &RoleTable, diagnosis: &mut Diagnosis) -> TopologyFile {
    let document = read::parse(text, diagnosis);
    let mut top = Fields::new(document.get_ref(), document.span());
    let mut reader = Reader {
        roles,
        topology: Topology::default(),
        names: BTreeMap::new(),
        prefixes: BTreeMap::new(),
    };
    let media = named_lists("media", &mut top, diagnosis);
    for fields in top.tables("host", diagnosis) {
        reader.host(fields, diagnosis);
    }
    for fields in top.tables("network", diagnosis) {
        reader.network(fields, diagnosis);
    }
    if let Some(fields) = top.table("ipsec", diagnosis) {
        reader.ipsec(fields, diagnosis);
    }
    top.close("a topology file", diagnosis);
    let mut topology = reader.topology;
    topology.intervals = [false, true].map(|ipv6| flatten(&topology.networks, ipv6));
    TopologyFile { topology, media }
}

impl Topology {
    /// Notes a port range that the site has set.
    pub(super) fn set_media(&mut self, name: &str, ranges: &[(u16, u16)]) {
        self.media.insert(name.to_owned(), ranges.to_vec());
    }
}

struct Reader<'r> {
    roles: &'r RoleTable,
    topology: Topology,
    /// Host names and aliases, in lower case.
    names: BTreeMap<String, String>,
    prefixes: BTreeMap<IpNet, String>,
}

impl Reader<'_> {
    fn host(&mut self, mut fields: Fields, diagnosis: &mut Diagnosis) {
        let name = fields.required("name", "a host", diagnosis);
        let aliases = fields.words("aliases", diagnosis);
        fields.demand("addresses", "a host", diagnosis);
        let addresses = fields.words("addresses", diagnosis);
        let (roles, main_role) = self.read_roles(&mut fields, "a host", diagnosis);
        let balances = fields.words("balances", diagnosis);
        fields.close("a host", diagnosis);
        let Some(name) = name else { return };
        for word in std::iter::once(&name).chain(&aliases) {
            self.claim_name(word, &name.text, diagnosis);
        }
        let mut host = Host {
            name: name.text,
            aliases: aliases.into_iter().map(|word| word.text).collect(),
            addresses: Vec::new(),
            roles,
            main_role,
            balances: self.union(&balances, diagnosis),
        };
        for word in &addresses {
            self.claim_address(word, &mut host, diagnosis);
        }
        self.topology.hosts.push(host);
    }

    fn claim_name(&mut self, word: &Word, owner: &str, diagnosis: &mut Diagnosis) {
        let known = self
            .names
            .insert(word.text.to_lowercase(), owner.to_owned());
        if let Some(known) = known {
            let text = &word.text;
            diagnosis.add(
                &word.span,
                format!("'{text}' is already a name of the host '{known}'"),
            );
        }
    }

    fn claim_address(&mut self, word: &Word, host: &mut Host, diagnosis: &mut Diagnosis) {
        let Ok(address) = word.text.parse::<IpAddr>() else {
            diagnosis.advise(
                &word.span,
                format!("'{}' is not an IP address", word.text),
                "whole networks stand under [[network]]",
            );
            return;
        };
        let address = address.to_canonical();
        let index = self.topology.hosts.len() as u32;
        if let Some(other) = self.topology.by_address.insert(address, index) {
            let other = self.topology.hosts.get(other as usize);
            let other = other.map_or(host.name.as_str(), |other| other.name.as_str());
            let message = format!("{address} belongs to both '{other}' and '{}'", host.name);
            diagnosis.add(&word.span, message);
            return;
        }
        host.addresses.push(address);
    }

    fn network(&mut self, mut fields: Fields, diagnosis: &mut Diagnosis) {
        let name = fields.required("name", "a network", diagnosis);
        fields.demand("prefixes", "a network", diagnosis);
        let words = fields.words("prefixes", diagnosis);
        let (roles, main_role) = self.read_roles(&mut fields, "a network", diagnosis);
        fields.close("a network", diagnosis);
        let Some(name) = name else { return };
        let mut prefixes = Vec::new();
        for word in &words {
            let Some(prefix) = parse_prefix(&word.text) else {
                diagnosis.advise(
                    &word.span,
                    format!("'{}' is not a network prefix", word.text),
                    "write 10.0.20.0/22 or fd00::/64",
                );
                continue;
            };
            if let Some(other) = self.prefixes.insert(prefix, name.text.clone()) {
                let text = &name.text;
                let message = format!("{prefix} belongs to both '{other}' and '{text}'");
                diagnosis.add(&word.span, message);
                continue;
            }
            prefixes.push(prefix);
        }
        self.topology.networks.push(Network {
            name: name.text,
            prefixes,
            roles,
            main_role,
        });
    }

    fn read_roles(
        &self,
        fields: &mut Fields,
        what: &str,
        diagnosis: &mut Diagnosis,
    ) -> (RoleSet, Option<usize>) {
        fields.demand("roles", what, diagnosis);
        let words = fields.words("roles", diagnosis);
        let main = words
            .first()
            .and_then(|word| self.roles.find(&word.text))
            .and_then(|set| set.positions().next());
        (self.union(&words, diagnosis), main)
    }

    fn union(&self, words: &[Word], diagnosis: &mut Diagnosis) -> RoleSet {
        let mut set = RoleSet::EMPTY;
        for word in words {
            match self.roles.find(&word.text) {
                Some(found) => set = set.with(found),
                None => diagnosis.unknown("role", word, self.roles.valid()),
            }
        }
        set
    }

    fn ipsec(&mut self, mut fields: Fields, diagnosis: &mut Diagnosis) {
        self.topology.ipsec_deployed = fields.flag("deployed", diagnosis).unwrap_or(false);
        for word in fields.words("gateways", diagnosis) {
            match word.text.parse::<IpAddr>() {
                Ok(address) => self.topology.gateways.push(address.to_canonical()),
                Err(_) => {
                    diagnosis.add(&word.span, format!("'{}' is not an IP address", word.text));
                }
            }
        }
        fields.close("[ipsec]", diagnosis);
    }
}

fn parse_prefix(text: &str) -> Option<IpNet> {
    let net = match text.parse::<IpNet>() {
        Ok(net) => net.trunc(),
        Err(_) => IpNet::from(text.parse::<IpAddr>().ok()?),
    };
    Some(net)
}

fn as_number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_bits().into(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// Disjoint intervals of one family in order, each with the most specific network that covers it. Prefixes
/// either nest or do not touch, so a stack of the open ones is enough.
fn flatten(networks: &[Network], ipv6: bool) -> Vec<Interval> {
    let mut prefixes: Vec<Interval> = Vec::new();
    for (index, network) in networks.iter().enumerate() {
        let family = network
            .prefixes
            .iter()
            .filter(|prefix| prefix.addr().is_ipv6() == ipv6);
        prefixes.extend(family.map(|prefix| Interval {
            first: as_number(prefix.network()),
            last: as_number(prefix.broadcast()),
            network: index as u32,
        }));
    }
    prefixes.sort_by(|a, b| (a.first, b.last, a.network).cmp(&(b.first, a.last, b.network)));
    let mut flat: Vec<Interval> = Vec::new();
    let mut open: Vec<Interval> = Vec::new();
    for prefix in prefixes {
        while let Some(top) = open.pop_if(|top| top.last < prefix.first) {
            close(top, &mut open, &mut flat);
        }
        if let Some(top) = open.last()
            && top.first < prefix.first
        {
            flat.push(Interval {
                last: prefix.first - 1,
                ..*top
            });
        }
        open.push(prefix);
    }
    while let Some(top) = open.pop() {
        close(top, &mut open, &mut flat);
    }
    flat
}

/// Ends the innermost open prefix: what is left of the one around it begins behind it.
fn close(top: Interval, open: &mut [Interval], flat: &mut Vec<Interval>) {
    if top.first <= top.last {
        flat.push(top);
    }
    if let Some(outer) = open.last_mut() {
        match top.last.checked_add(1) {
            Some(next) => outer.first = outer.first.max(next),
            // Nothing is behind the last address: the outer one is used up too.
            None => (outer.first, outer.last) = (u128::MAX, u128::MAX - 1),
        }
    }
}

#[cfg(test)]
mod tests {}
