//! Layers of policy files and a topology become one [`Policy`].
//!
//! Later layers win: a row with a known id replaces that row, and a role, group, application or
//! range with a known name replaces that one. Port ranges of the topology win over all.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::diagnose::{Diagnosis, suggest};
use super::exports::HostPolicy;
use super::file::{self, LegacyContent, PolicyFile, RowForm};
use super::index::{Entry, Index};
use super::layer::Layer;
use super::names::Names;
use super::rows::{self, Context, Duty, Resolved};
use super::terms::{ExemptTerms, Terms};
use super::topology::{self, Topology};
use super::{
    Expectation, ExpectationId, Override, Pack, Party, PortSet, Profile, Required, Role, RoleSet,
    Sources, builtin, required,
};
use crate::decode::Transport;
use crate::error::{Error, Result};

/// The policy in force, ready to judge.
#[derive(Debug)]
pub struct Policy {
    pub(super) expectations: Vec<Expectation>,
    /// By position in `expectations`; exemption rows explain nothing and have none.
    pub(super) terms: Vec<Option<Terms>>,
    pub(super) exempt: Vec<ExemptTerms>,
    /// Rows that the edition in force no longer has. They allow nothing; what still uses them is told
    /// by their names. Their positions follow those of `expectations`.
    pub(super) retired: Vec<(Expectation, Terms)>,
    /// Roles that servers play.
    pub(super) servers: RoleSet,
    /// Contents that are leftovers.
    pub(super) legacy: Vec<LegacyContent>,
    pub(super) index: Index,
    pub(super) names: Names,
    pub(super) topology: Option<Topology>,
    pub(super) packs: Vec<Pack>,
    pub(super) overrides: Vec<Override>,
    pub(super) required: Vec<Required>,
    pub(super) media_tokens: Vec<String>,
    /// Who has media ports of its own over UDP, and which.
    pub(super) media_ports: Vec<(RoleSet, PortSet)>,
    pub(super) strict: bool,
    profile: Profile,
    exported: Vec<HostPolicy>,
}

impl Policy {
    /// Loads and compiles every layer. Errors name file, line, value and the nearest valid one.
    pub fn load(sources: &Sources) -> Result<Self> {
        let mut layers = if sources.no_builtin { Vec::new() } else { builtin::layers() };
        for path in &sources.policies {
            layers.push(Layer::load(path)?);
        }
        let topology = sources.topology.as_deref().map(Layer::load).transpose()?;
        Self::compile(&layers, topology.as_ref(), sources.profile, sources.strict)
    }

    /// Compiles layers that are in memory, later ones winning.
    pub fn compile(
        layers: &[Layer],
        topology: Option<&Layer>,
        profile: Profile,
        strict: bool,
    ) -> Result<Self> {
        let mut compiler = Compiler::new(layers, profile, strict);
        let topology = topology.map(|layer| compiler.read_topology(layer));
        let merged = compiler.merge(topology.as_ref());
        if let Some(text) = compiler.problems() {
            return Err(Error::Policy(text));
        }
        Ok(compiler.finish(merged, topology))
    }

    /// The same with the IPsec policies that hosts were found to have. They decide no verdict.
    #[must_use]
    pub fn with_exported(self, exported: Vec<HostPolicy>) -> Self {
        Self { exported, ..self }
    }

    /// The IPsec policies that hosts were found to have.
    pub fn exported(&self) -> &[HostPolicy] {
        &self.exported
    }

    /// Rows in force, sorted by pack and id.
    pub fn expectations(&self) -> &[Expectation] {
        &self.expectations
    }

    /// One row; also one that the edition in force no longer has, where a verdict names it.
    pub fn expectation(&self, id: ExpectationId) -> &Expectation {
        let position = id.0 as usize;
        match self.expectations.get(position) {
            Some(row) => row,
            None => &self.retired[position - self.expectations.len()].0,
        }
    }

    /// Rows with this id (case-insensitive).
    pub fn find(&self, id: &str) -> Option<&Expectation> {
        self.expectations.iter().find(|expectation| expectation.id.eq_ignore_ascii_case(id))
    }

    /// Rows that only earlier editions have, as verdicts name them.
    pub fn retired(&self) -> impl Iterator<Item = &Expectation> {
        self.retired.iter().map(|(row, _)| row)
    }

    /// Roles in declaration order.
    pub fn roles(&self) -> &[Role] {
        self.names.roles.roles()
    }

    /// Names of a role set, in declaration order.
    pub fn role_names(&self, set: RoleSet) -> Vec<&str> {
        self.names.roles.names(set)
    }

    /// Whether a topology is in force.
    pub fn has_topology(&self) -> bool {
        self.topology.is_some()
    }

    /// The topology in force.
    pub fn topology(&self) -> Option<&Topology> {
        self.topology.as_ref()
    }

    /// Whether the strict reading is in force.
    pub fn strict(&self) -> bool {
        self.strict
    }

    /// Which edition of the built-in tables is in force.
    pub fn profile(&self) -> Profile {
        self.profile
    }

    /// Whether the topology declares IPsec deployed.
    pub fn ipsec_declared(&self) -> bool {
        self.topology.as_ref().is_some_and(Topology::ipsec_deployed)
    }

    /// Site-to-site devices that the topology declares; their tunnels are no host policy.
    pub fn ipsec_gateways(&self) -> &[IpAddr] {
        self.topology.as_ref().map_or(&[], Topology::gateways)
    }

    /// Who an address is.
    pub fn party(&self, address: IpAddr) -> Party<'_> {
        let owner = self.owner(address);
        let role = owner.main_role.and_then(|position| self.roles().get(position));
        Party {
            roles: owner.roles,
            role: role.map(|role| role.name.as_str()),
            name: owner.name,
            server: role.is_some_and(|role| role.server),
        }
    }

    /// Whether the topology names the host of an address, not only a network that it is in.
    pub fn names_host(&self, address: IpAddr) -> bool {
        self.topology.as_ref().is_some_and(|topology| topology.has_host(address))
    }

    /// What the topology's hosts must be reachable on.
    pub fn required(&self) -> &[Required] {
        &self.required
    }

    /// Exemption rows (X01…) and whether the topology has a host of the role.
    pub fn exemptions(&self) -> Vec<(ExpectationId, bool)> {
        let declared = self.topology.as_ref().map(Topology::roles);
        self.exempt
            .iter()
            .map(|terms| {
                let there = declared
                    .is_some_and(|declared| terms.roles.is_empty() || terms.roles.meets(declared));
                (terms.id, there)
            })
            .collect()
    }

    pub(super) fn owner(&self, address: IpAddr) -> topology::Owner<'_> {
        self.topology.as_ref().map(|topology| topology.owner(address)).unwrap_or_default()
    }
}

struct Compiler<'l> {
    layers: &'l [Layer],
    files: Vec<PolicyFile>,
    /// By layer, then the topology's.
    diagnoses: Vec<Diagnosis<'l>>,
    names: Names,
    profile: Profile,
    strict: bool,
}

/// Rows by id in lower case, with the position of their pack.
type Rows = BTreeMap<String, (usize, Resolved)>;

/// What is left of the rows of all layers.
#[derive(Debug, Default)]
struct Merged {
    rows: Rows,
    /// Rows that only earlier editions have.
    retired: Rows,
    overrides: Vec<Override>,
}

impl<'l> Compiler<'l> {
    /// Reads every file and gathers the names.
    fn new(layers: &'l [Layer], profile: Profile, strict: bool) -> Self {
        let mut compiler = Self {
            layers,
            files: Vec::new(),
            diagnoses: Vec::new(),
            names: Names::default(),
            profile,
            strict,
        };
        for layer in layers {
            let mut diagnosis = Diagnosis::new(&layer.file, &layer.text);
            let file = file::read(&layer.text, &mut diagnosis);
            if compiler.files.iter().any(|f| f.pack.text == file.pack.text) && diagnosis.len() == 0
            {
                diagnosis.advise(
                    &file.pack.span,
                    format!("there is already a pack '{}'", file.pack.text),
                    "choose another name: rows with a known id replace that row anyway",
                );
            }
            compiler.names.declare(&file, layer.is_builtin(), &mut diagnosis);
            compiler.files.push(file);
            compiler.diagnoses.push(diagnosis);
        }
        for (file, diagnosis) in compiler.files.iter().zip(&mut compiler.diagnoses) {
            compiler.names.declare_groups(file, diagnosis);
        }
        compiler
    }

    fn read_topology(&mut self, layer: &'l Layer) -> Topology {
        let mut diagnosis = Diagnosis::new(&layer.file, &layer.text);
        let file = topology::read(&layer.text, &self.names.roles, &mut diagnosis);
        let mut topology = file.topology;
        for (key, parts) in &file.media {
            if let Some((name, ports)) = self.names.set_media(key, parts, &mut diagnosis) {
                topology.set_media(&name, ports.ranges());
            }
        }
        self.diagnoses.push(diagnosis);
        topology
    }

    /// Resolves every row and lets later layers win, by id.
    fn merge(&mut self, topology: Option<&Topology>) -> Merged {
        let declared = topology.map_or(RoleSet::EMPTY, Topology::roles);
        let mut merged = Merged::default();
        let every = self.files.iter().zip(self.layers).zip(&mut self.diagnoses);
        for (position, ((file, layer), diagnosis)) in every.enumerate() {
            let context = Context {
                names: &self.names,
                pack: &file.pack.text,
                layer: &layer.layer,
                kind: file.kind,
                declared,
                strict: self.strict,
                profile: self.profile,
            };
            drop_rows(file, &mut merged, &context, diagnosis);
            check_unique(&file.rows, diagnosis);
            for form in &file.rows {
                let resolved = resolve_both(form, &context, diagnosis);
                let row = form.reading(self.strict);
                let key = row.id.text.to_lowercase();
                match row.profile {
                    Some(profile) if profile > self.profile => {}
                    Some(profile) if profile < self.profile => {
                        merged.retired.insert(key, (position, resolved));
                    }
                    _ => {
                        merged.retired.remove(&key);
                        if let Some((_, old)) = merged.rows.insert(key, (position, resolved)) {
                            merged.overrides.push(overridden(&old, &context, false));
                        }
                    }
                }
            }
        }
        merged
    }

    fn problems(&mut self) -> Option<String> {
        let texts: Vec<String> = std::mem::take(&mut self.diagnoses)
            .into_iter()
            .filter_map(Diagnosis::into_text)
            .collect();
        (!texts.is_empty()).then(|| texts.join("\n"))
    }

    fn finish(self, merged: Merged, topology: Option<Topology>) -> Policy {
        let mut packs: Vec<Pack> = self
            .files
            .iter()
            .zip(self.layers)
            .map(|(file, layer)| Pack {
                name: file.pack.text.clone(),
                title: file.title.clone(),
                source: file.source.clone(),
                kind: file.kind,
                layer: layer.layer.clone(),
                rows: 0,
            })
            .collect();
        let sorted = in_order(merged.rows);
        let mut policy = Policy {
            expectations: Vec::with_capacity(sorted.len()),
            terms: Vec::with_capacity(sorted.len()),
            exempt: Vec::new(),
            retired: Vec::new(),
            servers: servers(&self.names),
            legacy: self.files.iter().flat_map(|file| file.legacy.iter().cloned()).collect(),
            index: Index::default(),
            media_tokens: media_tokens(&self.names),
            media_ports: Vec::new(),
            names: self.names,
            topology,
            packs: Vec::new(),
            overrides: merged.overrides,
            required: Vec::new(),
            strict: self.strict,
            profile: self.profile,
            exported: Vec::new(),
        };
        for (pack, row) in sorted {
            if let Some(pack) = packs.get_mut(pack) {
                pack.rows += 1;
            }
            let id = ExpectationId(policy.expectations.len() as u32);
            policy.expectations.push(row.expectation);
            match row.duty {
                Duty::Explain(terms) => policy.terms.push(Some(terms)),
                Duty::Exempt(terms) => {
                    policy.terms.push(None);
                    policy.exempt.push(ExemptTerms { id, ..terms });
                }
            }
        }
        for (_, row) in in_order(merged.retired) {
            if let Duty::Explain(terms) = row.duty {
                policy.retired.push((Expectation { legacy: true, ..row.expectation }, terms));
            }
        }
        policy.packs = packs;
        policy.index = index(&policy);
        policy.media_ports = media_ports(&policy);
        policy.required = required::list(&policy);
        policy
    }
}

/// Rows by pack, then by id.
fn in_order(rows: Rows) -> Vec<(usize, Resolved)> {
    let mut sorted: Vec<_> = rows.into_values().collect();
    sorted.sort_by_cached_key(|(pack, row)| (*pack, natural(&row.expectation.id)));
    sorted
}

/// Roles that servers play.
fn servers(names: &Names) -> RoleSet {
    let roles = names.roles.roles().iter().enumerate().filter(|(_, role)| role.server);
    roles.fold(RoleSet::EMPTY, |set, (position, _)| set.with(RoleSet(1 << position)))
}

/// The row under the reading in force; the other reading is checked as well.
fn resolve_both(form: &RowForm, context: &Context, diagnosis: &mut Diagnosis) -> Resolved {
    if form.strict.is_some() {
        rows::resolve(form.reading(!context.strict), context, diagnosis);
    }
    rows::resolve(form.reading(context.strict), context, diagnosis)
}

fn drop_rows(file: &PolicyFile, merged: &mut Merged, context: &Context, diagnosis: &mut Diagnosis) {
    for word in &file.dropped {
        let key = word.text.to_lowercase();
        if let Some((_, old)) = merged.rows.remove(&key) {
            merged.overrides.push(overridden(&old, context, true));
        } else if merged.retired.remove(&key).is_none() {
            let valid = merged.rows.values().map(|(_, row)| row.expectation.id.as_str());
            let message = format!("there is no row '{}' to drop", word.text);
            diagnosis.advise(&word.span, message, suggest(&word.text, valid));
        }
    }
}

fn overridden(old: &Resolved, context: &Context, dropped: bool) -> Override {
    Override {
        id: old.expectation.id.clone(),
        from: old.expectation.layer.clone(),
        by: context.layer.to_owned(),
        dropped,
    }
}

fn check_unique(forms: &[RowForm], diagnosis: &mut Diagnosis) {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for form in forms {
        let id = &form.plain.id;
        let (line, _) = diagnosis.place(id.span.start);
        if let Some(first) = seen.insert(id.text.to_lowercase(), line) {
            let message = format!("the row id '{}' was used in line {first}", id.text);
            diagnosis.add(&id.span, message);
        }
    }
}

fn index(policy: &Policy) -> Index {
    let rows = policy.expectations.iter().zip(&policy.terms).enumerate();
    let entries: Vec<Entry> = rows
        .filter(|(_, (_, terms))| terms.is_some())
        .map(|(row, (expectation, _))| Entry {
            row: row as u32,
            transports: &expectation.transports,
            ports: &expectation.ports,
        })
        .collect();
    Index::new(&entries)
}

/// Who has media ports of its own over UDP, and which.
fn media_ports(policy: &Policy) -> Vec<(RoleSet, PortSet)> {
    policy
        .terms
        .iter()
        .zip(&policy.expectations)
        .filter(|(_, row)| row.transports.contains(&Transport::UDP.0))
        .filter_map(|(terms, _)| terms.as_ref())
        .filter(|terms| terms.media && !terms.to.is_empty())
        .map(|terms| (terms.to, terms.ports.clone()))
        .collect()
}

/// Detector tokens that show media: those of every media application.
fn media_tokens(names: &Names) -> Vec<String> {
    let spoken = names
        .applications
        .values()
        .filter(|application| application.media)
        .flat_map(|application| application.speaks.iter().cloned());
    let mut tokens: Vec<String> = spoken.chain(rows::MEDIA.map(str::to_owned)).collect();
    tokens.sort();
    tokens.dedup();
    tokens
}

/// Orders `S2` before `S10`.
fn natural(id: &str) -> (String, u64, String) {
    let head = id.trim_end_matches(|c: char| c.is_ascii_digit());
    let number = id.get(head.len()..).and_then(|digits| digits.parse().ok());
    (head.to_lowercase(), number.unwrap_or(0), id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{self, SITE, layers, policy, read};
    use super::*;

    fn problems(more: &[&str]) -> String {
        read(SITE, more, false).unwrap_err().to_string()
    }

    fn ids(policy: &Policy, pack: &str) -> Vec<String> {
        let rows = policy.expectations().iter();
        rows.filter(|row| row.pack == pack).map(|row| row.id.clone()).collect()
    }

    #[test]
    fn a_later_row_with_the_id_replaces_the_earlier_one() {
        let site = "pack = \"site\"\nrow = [\n  { id = \"s03\", to = \"front-end\", transport = \"tcp\", port = \"5071\" },\n]\n";
        let policy = read(SITE, &[site], false).unwrap();
        let row = policy.find("S03").unwrap();
        assert_eq!((row.pack.as_str(), row.layer.as_str()), ("site", "site.toml"));
        assert_eq!(row.ports.ranges(), [(5071, 5071)]);
        let expected = Override {
            id: "S03".into(),
            from: "built-in".into(),
            by: "site.toml".into(),
            dropped: false,
        };
        assert_eq!(policy.overrides(), [expected]);
    }

    #[test]
    fn rows_can_be_dropped_and_a_wrong_id_is_told() {
        let policy = read(SITE, &["pack = \"site\"\ndrop = [\"S02\"]\n"], false).unwrap();
        assert_eq!(policy.find("S02"), None);
        assert!(policy.overrides()[0].dropped);
        let told = problems(&["pack = \"site\"\ndrop = [\"S2\"]\n"]);
        let expected = "site.toml:2:9: there is no row 'S2' to drop\n  |\n2 | drop = [\"S2\"]\n  |         ^^^^\n  = did you mean 'S02'?";
        assert_eq!(told, expected);
    }

    #[test]
    fn profiles_choose_rows() {
        assert_eq!(policy(SITE).find("P15"), None);
        let old = Policy::compile(&layers(), None, Profile::Sfb2015, false).unwrap();
        assert!(old.find("P15").is_some());
        assert!(!old.has_topology());
    }

    #[test]
    fn rows_are_sorted_by_pack_and_number() {
        let row =
            |id: &str| format!("{{ id = \"{id}\", to = \"sql\", transport = \"tcp\", port = 1 }}");
        let rows = [row("B10"), row("B2"), row("A3")].join(", ");
        let site = format!("pack = \"site\"\nrow = [{rows}]\n");
        let policy = read(SITE, &[&site], false).unwrap();
        assert_eq!(ids(&policy, "site"), ["A3", "B2", "B10"]);
        let packs: Vec<(&str, usize)> =
            policy.packs().iter().map(|pack| (pack.name.as_str(), pack.rows)).collect();
        assert_eq!(packs[0], ("base", 0));
        assert_eq!(packs[5], ("site", 3));
        let sum: usize = packs.iter().map(|(_, rows)| rows).sum();
        assert_eq!(sum, policy.expectations().len());
    }

    #[test]
    fn every_wrong_value_of_a_file_is_told_at_once() {
        let told = problems(&[r#"
pack = "site"
row = [
  { id = "A1", to = "frontend", transport = "tcp", port = "5061" },
  { id = "A2", to = "sql", transport = "tpc", port = "70000" },
  { id = "A3", to = "sql", transport = "icmp", port = "5" },
  { id = "A4", to = "sql", transport = "tcp", port = "90-80", application = "sipp", security = "tsl" },
  { id = "A4", to = "sql", transport = "tcp" },
  { id = "A5", to = "sql", transport = "tcp", port = "sever-audio", strict = { to = "sqll" } },
  { id = "A 6", to = "any", transport = "any", port = "5" },
]
[[application]]
name = "chat"
speaks = ["htpp"]
"#]);
        for part in [
            "site.toml:4:21: unknown role 'frontend'",
            "site.toml:5:40: unknown transport 'tpc'",
            "'70000' is not a port",
            "site.toml:6:55: port '5' with the transport icmp, which has none",
            "the range '90-80' is reversed",
            "unknown application 'sipp'",
            "unknown security 'tsl'",
            "site.toml:8:10: the row id 'A4' was used in line 7",
            "the row 'A4' of tcp names no port",
            "unknown port range 'sever-audio'",
            "did you mean 'server-audio'?",
            "unknown role 'sqll'",
            "'A 6' cannot be a row id",
            "port '5' with the transport any, which has none",
            "unknown detector 'htpp'",
            "did you mean 'http'?",
        ] {
            assert_eq!(told.matches(part).count(), 1, "{part}: {told}");
        }
    }

    #[test]
    fn problems_of_several_files_are_told_together() {
        let told = problems(&["pack = \"a\"\nx = 1\n", "pack = \"a\"\n"]);
        assert!(told.contains("unknown key in a policy file 'x'"), "{told}");
        assert!(told.contains("there is already a pack 'a'"), "{told}");
    }

    /// Whatever a broken file says, it is told; nothing panics and nothing half-read is used.
    #[test]
    fn files_cut_anywhere_are_told() {
        for cut in 0..fixture::SERVERS.len() {
            let Some(text) = fixture::SERVERS.get(..cut) else {
                continue;
            };
            let told = read(SITE, &[text], false).map(|_| ());
            assert!(told.is_err(), "cut at {cut}");
        }
        for cut in 0..SITE.len() {
            if let Some(text) = SITE.get(..cut) {
                let _ = read(text, &[], false);
            }
        }
    }

    #[test]
    fn files_are_read_and_missing_ones_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("site.toml");
        std::fs::write(&path, "\u{feff}pack = \"site\"\n").unwrap();
        let mut sources = Sources { policies: vec![path.clone()], ..Sources::default() };
        assert!(Policy::load(&sources).is_ok());
        std::fs::write(&path, [b'a', 0xff]).unwrap();
        let error = Policy::load(&sources).unwrap_err().to_string();
        assert!(error.ends_with("first wrong byte at offset 1"), "{error}");
        sources.policies[0] = folder.path().join("absent.toml");
        assert!(matches!(Policy::load(&sources), Err(Error::Open { .. })));
    }

    #[test]
    fn a_site_s_own_range_and_application_count() {
        let site = "pack = \"site\"\n[ranges]\nserver-audio = \"40000-40999\"\n[[application]]\nname = \"sip\"\nspeaks = [\"http\"]\n";
        let policy = read(SITE, &[site], false).unwrap();
        assert_eq!(policy.find("S40").unwrap().ports.to_string(), "40000-40999");
        let verdict = fixture::judge(&policy, "tcp 10.0.20.5:50000 -> 10.0.1.11:5060", "http");
        assert_eq!(verdict.class, crate::policy::Class::Confirmed);
    }

    #[test]
    fn exemptions_know_whether_their_role_is_there() {
        let policy =
            policy("[[host]]\nname = \"a\"\naddresses = [\"10.0.0.1\"]\nroles = [\"mediation\"]\n");
        let there: Vec<(&str, bool)> = policy
            .exemptions()
            .into_iter()
            .map(|(id, there)| (policy.expectation(id).id.as_str(), there))
            .collect();
        assert_eq!(there, [("X05", true), ("X06", true), ("X15", false)]);
        let (id, _) = policy.exemptions()[0];
        assert_eq!(policy.expectation(id).service, "Mediation Server Inbound");
        assert_eq!(policy.exempt_ports(id).unwrap().to_string(), "49152-57500");
    }

    #[test]
    fn answers_are_expected_by_application() {
        let policy = policy(SITE);
        let expects = |id: &str| {
            let rows = policy.expectations();
            let position = rows.iter().position(|row| row.id == id).unwrap();
            policy.expects_answer(ExpectationId(position as u32))
        };
        assert!(expects("S03"));
        assert!(expects("H08"), "no application: a service answers");
        assert!(!expects("S40"));
    }
}
