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
use super::intervals::{Interval, find, flatten};
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

    /// Whether a host of the file has the address.
    pub(super) fn has_host(&self, address: IpAddr) -> bool {
        self.by_address.contains_key(&address.to_canonical())
    }

    /// Every address of the host that has this one.
    pub(super) fn addresses(&self, address: IpAddr) -> &[IpAddr] {
        let index = self.by_address.get(&address.to_canonical());
        let host = index.and_then(|index| self.hosts.get(*index as usize));
        host.map_or(&[], |host| &host.addresses)
    }

    /// Who an address is.
    pub(super) fn owner(&self, address: IpAddr) -> Owner<'_> {
        let address = address.to_canonical();
        if let Some(host) =
            self.by_address.get(&address).and_then(|index| self.hosts.get(*index as usize))
        {
            return Owner {
                name: Some(&host.name),
                roles: host.roles,
                main_role: host.main_role,
                balances: host.balances,
            };
        }
        let intervals = &self.intervals[usize::from(address.is_ipv6())];
        find(intervals, address)
            .and_then(|network| self.networks.get(network as usize))
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
        let known = self.names.insert(word.text.to_lowercase(), owner.to_owned());
        if let Some(known) = known {
            let text = &word.text;
            diagnosis.add(&word.span, format!("'{text}' is already a name of the host '{known}'"));
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
        self.topology.networks.push(Network { name: name.text, prefixes, roles, main_role });
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

#[cfg(test)]
mod tests {
    use super::super::fixture::{SITE, address, policy, read};

    fn problems(site: &str) -> String {
        read(site, &[], false).unwrap_err().to_string()
    }

    fn name(site: &str, of: &str) -> String {
        let policy = policy(site);
        policy.party(address(of)).name.unwrap_or_default().to_owned()
    }

    #[test]
    fn a_host_beats_a_network_and_the_longest_prefix_wins() {
        let site = r#"
[[host]]
name = "fe01"
addresses = ["10.0.20.9", "fd00::9"]
roles = ["front-end", "mediation"]
[[network]]
name = "all"
prefixes = ["0.0.0.0/0"]
roles = []
[[network]]
name = "ten"
prefixes = ["10.0.0.0/8", "255.255.255.0/24"]
roles = ["client"]
[[network]]
name = "users"
prefixes = ["10.0.20.0/22", "10.0.21.128"]
roles = ["client"]
[[network]]
name = "lab"
prefixes = ["10.0.21.0/24", "fd00::/64"]
roles = ["sql"]
"#;
        for (of, expected) in [
            ("10.0.20.9", "fe01"),
            ("::ffff:10.0.20.9", "fe01"),
            ("fd00::9", "fe01"),
            ("fd00::8", "lab"),
            ("fd00:0:0:1::", ""),
            ("10.0.20.8", "users"),
            ("10.0.21.5", "lab"),
            ("10.0.21.128", "users"),
            ("10.0.21.129", "lab"),
            ("10.0.22.0", "users"),
            ("10.0.24.0", "ten"),
            ("10.255.255.255", "ten"),
            ("11.0.0.0", "all"),
            ("255.255.255.255", "ten"),
            ("0.0.0.0", "all"),
            ("::1", ""),
        ] {
            assert_eq!(name(site, of), expected, "{of}");
        }
    }

    #[test]
    fn the_last_addresses_of_both_families_end_cleanly() {
        let site = r#"
[[network]]
name = "six"
prefixes = ["::/0"]
roles = ["client"]
[[network]]
name = "last"
prefixes = ["ffff::/16"]
roles = ["sql"]
"#;
        let last = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
        assert_eq!(name(site, last), "last");
        assert_eq!(name(site, "fffe::"), "six");
        assert_eq!(name(site, "10.0.0.1"), "", "IPv4 is another family");
    }

    #[test]
    fn a_party_has_its_main_role_first_declared() {
        let site = "[[host]]\nname = \"a\"\naddresses = [\"10.0.0.1\"]\nroles = [\"mediation\", \"front-end\"]\n";
        let policy = policy(site);
        let party = policy.party(address("10.0.0.1"));
        assert_eq!((party.role, party.server), (Some("mediation"), true));
        assert_eq!(policy.role_names(party.roles), ["front-end", "mediation"]);
        let stranger = policy.party(address("10.0.0.2"));
        assert!(stranger.roles.is_empty() && stranger.role.is_none() && !stranger.server);
    }

    #[test]
    fn an_unknown_role_is_told_exactly() {
        let told = problems(
            "[[host]]\nname = \"fe01\"\naddresses = [\"10.0.1.11\"]\nroles = [\"frontend\"]\n",
        );
        let expected = "topology.toml:4:10: unknown role 'frontend'\n  |\n4 | roles = [\"frontend\"]\n  |          ^^^^^^^^^^\n  = did you mean 'front-end'?";
        assert_eq!(told, expected);
    }

    #[test]
    fn every_fault_is_told_with_its_place() {
        let told = problems(
            r#"
[media]
clinet = ["50020-50059"]
server-audio = ["60000-50000"]
[[host]]
name = "fe01"
addresses = ["10.0.1.11"]
roles = ["front-end"]
[[host]]
name = "FE01"
addresses = ["10.0.1.11", "10.0.1.0/24"]
roles = ["front-end"]
balences = "front-end"
[[host]]
name = "x"
[[network]]
name = "n"
prefixes = ["10.0.0.0/40", "10.0.0.0/8"]
roles = ["client"]
[[network]]
name = "m"
prefixes = ["10.9.9.9/8"]
roles = ["client"]
[ipsec]
deployed = "yes"
gateways = ["gw"]
"#,
        );
        for part in [
            "topology.toml:3:1: unknown media range 'clinet'",
            "did you mean 'client'?",
            "the range '60000-50000' is reversed",
            "'FE01' is already a name of the host 'fe01'",
            "topology.toml:11:14: 10.0.1.11 belongs to both 'fe01' and 'FE01'",
            "'10.0.1.0/24' is not an IP address",
            "unknown key in a host 'balences'",
            "did you mean 'balances'?",
            "topology.toml:14:1: a host needs 'addresses'",
            "a host needs 'roles'",
            "'10.0.0.0/40' is not a network prefix",
            "10.0.0.0/8 belongs to both 'n' and 'm'",
            "'deployed' must be true or false, not string",
            "'gw' is not an IP address",
        ] {
            assert_eq!(told.matches(part).count(), 1, "{part}: {told}");
        }
    }

    #[test]
    fn media_and_ipsec_tables_are_kept() {
        let policy = policy(
            "[media]\nserver-audio = \"50000-50999\"\nclient = [\"50020-50039\", \"58000\"]\n[ipsec]\ndeployed = true\ngateways = [\"192.0.2.1\"]\n",
        );
        assert!(policy.ipsec_declared());
        assert_eq!(policy.ipsec_gateways(), [address("192.0.2.1")]);
        let (ports, set) = policy.range("client-media").unwrap();
        assert_eq!((ports.to_string().as_str(), set), ("50020-50039,58000", true));
        assert!(!policy.range("rpc-dynamic").unwrap().1);
        let topology = policy.topology().unwrap();
        assert_eq!(topology.media()["server-audio"], [(50000, 50999)]);
        assert!(!super::super::fixture::policy(SITE).ipsec_declared());
    }
}
