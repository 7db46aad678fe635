//! Layers of policy files and a topology become one [`Policy`].
//!
//! Later layers win: a row with a known id replaces that row, and a role, group, application or
//! range with a known name replaces that one. Port ranges of the topology win over all.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::diagnose::{Diagnosis, suggest};
use super::file::{self, PolicyFile, RowForm};
use super::index::{Entry, Index};
use super::layer::Layer;
use super::names::Names;
use super::rows::{self, Context, Duty, Resolved};
use super::terms::{ExemptTerms, Terms};
use super::topology::{self, Topology};
use super::{
    Application, Expectation, ExpectationId, Override, Pack, PackKind, Party, PortSet, Profile,
    Required, Role, RoleSet, Sources, builtin, required,
};
use crate::error::{Error, Result};

/// The policy in force, ready to judge.
#[derive(Debug)]
pub struct Policy {
    pub(super) expectations: Vec<Expectation>,
    /// By position in `expectations`; exemption rows explain nothing and have none.
    pub(super) terms: Vec<Option<Terms>>,
    pub(super) exempt: Vec<ExemptTerms>,
    pub(super) index: Index,
    pub(super) names: Names,
    pub(super) topology: Option<Topology>,
    pub(super) packs: Vec<Pack>,
    pub(super) overrides: Vec<Override>,
    pub(super) required: Vec<Required>,
    pub(super) media_tokens: Vec<String>,
    pub(super) strict: bool,
    profile: Profile,
}

impl Policy {
    /// Loads and compiles every layer. Errors name file, line, value and the nearest valid one.
    pub fn load(sources: &Sources) -> Result<Self> {
        let mut layers = if sources.no_builtin {
            Vec::new()
        } else {
            builtin::layers()
        };
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
        let (rows, overrides) = compiler.merge(topology.as_ref());
        if let Some(text) = compiler.problems() {
            return Err(Error::Policy(text));
        }
        Ok(compiler.finish(rows, overrides, topology))
    }

    /// Rows in force, sorted by pack and id.
    pub fn expectations(&self) -> &[Expectation] {
        &self.expectations
    }

    /// One row.
    pub fn expectation(&self, id: ExpectationId) -> &Expectation {
        &self.expectations[id.0 as usize]
    }

    /// Rows with this id (case-insensitive).
    pub fn find(&self, id: &str) -> Option<&Expectation> {
        self.expectations
            .iter()
            .find(|expectation| expectation.id.eq_ignore_ascii_case(id))
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
        let role = owner
            .main_role
            .and_then(|position| self.roles().get(position));
        Party {
            roles: owner.roles,
            role: role.map(|role| role.name.as_str()),
            name: owner.name,
            server: role.is_some_and(|role| role.server),
        }
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
        self.topology
            .as_ref()
            .map(|topology| topology.owner(address))
            .unwrap_or_default()
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

type Merged = BTreeMap<String, (usize, Resolved)>;

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
            compiler
                .names
                .declare(&file, layer.is_builtin(), &mut diagnosis);
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
    fn merge(&mut self, topology: Option<&Topology>) -> (Merged, Vec<Override>) {
        let declared = topology.map_or(RoleSet::EMPTY, Topology::roles);
        let mut rows = Merged::new();
        let mut overrides = Vec::new();
        let every = self.files.iter().zip(self.layers).zip(&mut self.diagnoses);
        for (position, ((file, layer), diagnosis)) in every.enumerate() {
            let context = Context {
                names: &self.names,
                pack: &file.pack.text,
                layer: &layer.layer,
                kind: file.kind,
                declared,
                strict: self.strict,
            };
            drop_rows(file, &mut rows, &mut overrides, &context, diagnosis);
            check_unique(&file.rows, diagnosis);
            for form in &file.rows {
                let resolved = resolve_both(form, &context, diagnosis);
                let row = form.reading(self.strict);
                if row.profile.is_some_and(|profile| profile != self.profile) {
                    continue;
                }
                let key = row.id.text.to_lowercase();
                if let Some((_, old)) = rows.insert(key, (position, resolved)) {
                    overrides.push(overridden(&old, &context, false));
                }
            }
        }
        (rows, overrides)
    }

    fn problems(&mut self) -> Option<String> {
        let texts: Vec<String> = std::mem::take(&mut self.diagnoses)
            .into_iter()
            .filter_map(Diagnosis::into_text)
            .collect();
        (!texts.is_empty()).then(|| texts.join("\n"))
    }

    fn finish(self, rows: Merged, overrides: Vec<Override>, topology: Option<Topology>) -> Policy {
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
        let mut sorted: Vec<(usize, Resolved)> = rows.into_values().collect();
        sorted.sort_by_cached_key(|(pack, row)| (*pack, natural(&row.expectation.id)));
        let mut policy = Policy {
            expectations: Vec::with_capacity(sorted.len()),
            terms: Vec::with_capacity(sorted.len()),
            exempt: Vec::new(),
            index: Index::default(),
            media_tokens: media_tokens(&self.names),
            names: self.names,
            topology,
            packs: Vec::new(),
            overrides,
            required: Vec::new(),
            strict: self.strict,
            profile: self.profile,
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
        policy.packs = packs;
        policy.index = index(&policy);
        policy.required = required::list(&policy);
        policy
    }
}

/// The row under the reading in force; the other reading is checked as well.
fn resolve_both(form: &RowForm, context: &Context, diagnosis: &mut Diagnosis) -> Resolved {
    if form.strict.is_some() {
        rows::resolve(form.reading(!context.strict), context, diagnosis);
    }
    rows::resolve(form.reading(context.strict), context, diagnosis)
}

fn drop_rows(
    file: &PolicyFile,
    rows: &mut Merged,
    overrides: &mut Vec<Override>,
    context: &Context,
    diagnosis: &mut Diagnosis,
) {
    for word in &file.dropped {
        match rows.remove(&word.text.to_lowercase()) {
            Some((_, old)) => overrides.push(overridden(&old, context, true)),
            None => {
                let valid = rows.values().map(|(_, row)| row.expectation.id.as_str());
                let message = format!("there is no row '{}' to drop", word.text);
                diagnosis.advise(&word.span, message, suggest(&word.text, valid));
            }
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
