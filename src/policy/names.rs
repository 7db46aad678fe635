//! The names that rows use, gathered over all layers: roles, groups, applications, port ranges.

use std::collections::BTreeMap;

use super::diagnose::{Diagnosis, Word};
use super::file::{Application, PolicyFile};
use super::ports::{self, NamedRanges, NoNames, PortSet};
use super::roles::{MAX_ROLES, RoleTable};
use crate::identify::DETECTORS;

/// Every declared name; later layers have overridden earlier ones.
#[derive(Debug, Default)]
pub(super) struct Names {
    pub(super) roles: RoleTable,
    pub(super) applications: BTreeMap<String, Application>,
    pub(super) ranges: BTreeMap<String, Range>,
    /// Detector tokens that built-in packs speak of.
    spoken: Vec<String>,
}

/// A named port range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) ports: PortSet,
    /// A later layer or the topology has set it, so it is this site's and no guess.
    pub(super) set_by_site: bool,
}

impl NamedRanges for Names {
    fn ports(&self, name: &str) -> Option<&PortSet> {
        self.ranges.get(name).map(|range| &range.ports)
    }

    fn names(&self) -> Vec<&str> {
        self.ranges.keys().map(String::as_str).collect()
    }
}

impl Names {
    /// Takes the roles, applications and ranges of a file.
    pub(super) fn declare(&mut self, file: &PolicyFile, builtin: bool, diagnosis: &mut Diagnosis) {
        for (word, role) in &file.roles {
            if !self.roles.declare(role.clone()) {
                let text = format!("'{}' is one role too many", word.text);
                diagnosis.advise(&word.span, text, format!("a policy has at most {MAX_ROLES}"));
            }
        }
        self.check_tokens(&file.spoken, builtin, diagnosis);
        let mut seen: Vec<&str> = Vec::new();
        for (word, application) in &file.applications {
            if seen.contains(&word.text.as_str()) {
                let text = format!("the application '{}' is declared twice", word.text);
                diagnosis.add(&word.span, text);
            }
            seen.push(&word.text);
            self.applications.insert(application.name.clone(), application.clone());
        }
        for (word, parts) in &file.ranges {
            let ports = union(parts, diagnosis);
            let set_by_site = self.ranges.contains_key(&word.text);
            let range = Range { ports, set_by_site };
            self.ranges.insert(word.text.clone(), range);
        }
    }

    /// Takes the groups of a file, once all roles are known.
    pub(super) fn declare_groups(&mut self, file: &PolicyFile, diagnosis: &mut Diagnosis) {
        for (word, members) in &file.groups {
            self.roles.group(word, members, diagnosis);
        }
    }

    /// Overrides a range by the topology's `[media]` table, whose keys may leave `-media` out.
    /// Returns the range's name and ports.
    pub(super) fn set_media(
        &mut self,
        key: &Word,
        texts: &[Word],
        diagnosis: &mut Diagnosis,
    ) -> Option<(String, PortSet)> {
        let ports = union(texts, diagnosis);
        if texts.is_empty() {
            diagnosis.add(&key.span, format!("the range '{}' is empty", key.text));
        }
        let long = format!("{}{MEDIA_SUFFIX}", key.text);
        for name in [key.text.clone(), long] {
            if let Some(range) = self.ranges.get_mut(&name) {
                *range = Range { ports: ports.clone(), set_by_site: true };
                return Some((name, ports));
            }
        }
        let valid = self.ranges.keys().map(|name| name.strip_suffix(MEDIA_SUFFIX).unwrap_or(name));
        diagnosis.unknown("media range", key, valid);
        None
    }

    /// A token that no detector has would never agree with anything.
    fn check_tokens(&mut self, spoken: &[Word], builtin: bool, diagnosis: &mut Diagnosis) {
        if builtin {
            self.spoken.extend(spoken.iter().map(|word| word.text.clone()));
            return;
        }
        let known = || {
            let detectors = DETECTORS.iter().map(|detector| detector.token);
            detectors.chain(self.spoken.iter().map(String::as_str))
        };
        for word in spoken {
            if !known().any(|token| token == word.text) {
                diagnosis.unknown("detector", word, known());
            }
        }
    }
}

/// Ranges of numbers only: a range cannot be made of other ranges.
fn union(parts: &[Word], diagnosis: &mut Diagnosis) -> PortSet {
    let sets: Vec<PortSet> =
        parts.iter().map(|part| ports::parse(part, &NoNames, diagnosis)).collect();
    PortSet::new(sets.iter().flat_map(|set| set.ranges().iter().copied()))
}

const MEDIA_SUFFIX: &str = "-media";
