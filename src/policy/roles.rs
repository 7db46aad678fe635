//! Roles that hosts play, their groups, and sets of them.

use std::collections::BTreeMap;

use super::diagnose::{Diagnosis, Word};

/// A set of roles, as bits by their position in the policy's list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, PartialOrd, Ord)]
pub struct RoleSet(pub u64);

impl RoleSet {
    /// No role; in an expectation, anyone.
    pub const EMPTY: Self = Self(0);
    /// Every role.
    pub const ALL: Self = Self(u64::MAX);

    /// Whether it holds no role.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether the two have a role in common.
    pub fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// The roles of both.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Positions of its roles, in order.
    pub fn positions(self) -> impl Iterator<Item = usize> {
        (0..64).filter(move |position| self.0 & (1 << position) != 0)
    }
}

/// A role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// Stable name.
    pub name: String,
    /// For people.
    pub title: String,
    /// A server rather than a client, phone or foreign device.
    pub server: bool,
}

/// Every declared role and group.
#[derive(Debug, Clone, Default)]
pub(super) struct RoleTable {
    roles: Vec<Role>,
    groups: BTreeMap<String, RoleSet>,
}

/// The most roles that a policy may declare: a set of roles is one machine word.
pub(super) const MAX_ROLES: usize = 64;
/// The word for everyone.
const ANY: &str = "any";

impl RoleTable {
    /// Roles in declaration order.
    pub(super) fn roles(&self) -> &[Role] {
        &self.roles
    }

    /// The roles of a set, in declaration order.
    pub(super) fn names(&self, set: RoleSet) -> Vec<&str> {
        set.positions()
            .filter_map(|position| self.roles.get(position))
            .map(|role| role.name.as_str())
            .collect()
    }

    /// Declares a role, or describes a declared one anew. Says whether there was room.
    pub(super) fn declare(&mut self, role: Role) -> bool {
        if let Some(known) = self.roles.iter_mut().find(|known| known.name == role.name) {
            *known = role;
            return true;
        }
        if self.roles.len() == MAX_ROLES {
            return false;
        }
        self.roles.push(role);
        true
    }

    /// Declares a group by the roles and groups declared before it.
    pub(super) fn group(&mut self, name: &Word, members: &[Word], diagnosis: &mut Diagnosis) {
        if self.position(&name.text).is_some() {
            diagnosis.add(&name.span, format!("'{}' is already a role", name.text));
            return;
        }
        if members.is_empty() {
            diagnosis.advise(
                &name.span,
                format!("the group '{}' is empty", name.text),
                "an empty set would mean anyone",
            );
            return;
        }
        let set = members
            .iter()
            .map(|member| self.resolve_one(member, diagnosis))
            .fold(RoleSet::EMPTY, RoleSet::with);
        self.groups.insert(name.text.clone(), set);
    }

    /// The set behind a role or group name.
    pub(super) fn find(&self, name: &str) -> Option<RoleSet> {
        self.position(name)
            .map(|position| RoleSet(1 << position))
            .or_else(|| self.groups.get(name).copied())
    }

    /// Names that a row may use.
    pub(super) fn valid(&self) -> impl Iterator<Item = &str> {
        self.roles
            .iter()
            .map(|role| role.name.as_str())
            .chain(self.groups.keys().map(String::as_str))
    }

    /// Reads `front-end+mediation`; `any` is the empty set.
    pub(super) fn resolve(&self, word: &Word, diagnosis: &mut Diagnosis) -> RoleSet {
        if word.text == ANY {
            return RoleSet::EMPTY;
        }
        word.split('+')
            .iter()
            .map(|part| self.resolve_one(part, diagnosis))
            .fold(RoleSet::EMPTY, RoleSet::with)
    }

    fn resolve_one(&self, word: &Word, diagnosis: &mut Diagnosis) -> RoleSet {
        if word.text == ANY {
            diagnosis.advise(&word.span, "'any' stands alone", "leave the others out");
            return RoleSet::EMPTY;
        }
        self.find(&word.text).unwrap_or_else(|| {
            diagnosis.unknown("role", word, self.valid());
            RoleSet::EMPTY
        })
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.roles.iter().position(|role| role.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(text: &str) -> Word {
        Word { text: text.into(), span: 0..text.len() }
    }

    fn role(name: &str) -> Role {
        Role { name: name.into(), title: String::new(), server: true }
    }

    #[test]
    fn expressions_name_roles_and_groups() {
        let mut table = RoleTable::default();
        for name in ["front-end", "director", "client"] {
            assert!(table.declare(role(name)));
        }
        let mut diagnosis = Diagnosis::new("f", "");
        table.group(&word("servers"), &[word("front-end"), word("director")], &mut diagnosis);
        table.group(&word("all"), &[word("servers"), word("client")], &mut diagnosis);
        assert_eq!(table.resolve(&word("any"), &mut diagnosis), RoleSet::EMPTY);
        assert_eq!(table.resolve(&word("servers"), &mut diagnosis), RoleSet(3));
        assert_eq!(table.resolve(&word("front-end+client"), &mut diagnosis), RoleSet(5));
        assert_eq!(table.names(RoleSet(6)), ["director", "client"]);
        assert_eq!(table.find("all"), Some(RoleSet(7)));
        assert_eq!(diagnosis.into_text(), None);
    }

    #[test]
    fn unknown_roles_empty_groups_and_mixed_any_are_problems() {
        let mut table = RoleTable::default();
        table.declare(role("front-end"));
        let mut diagnosis = Diagnosis::new("f", "");
        table.resolve(&word("front-edn"), &mut diagnosis);
        table.resolve(&word("any+front-end"), &mut diagnosis);
        table.group(&word("none"), &[], &mut diagnosis);
        table.group(&word("front-end"), &[word("front-end")], &mut diagnosis);
        let text = diagnosis.into_text().unwrap();
        for part in [
            "unknown role 'front-edn'",
            "did you mean 'front-end'?",
            "'any' stands alone",
            "the group 'none' is empty",
            "'front-end' is already a role",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn there_is_room_for_sixty_four() {
        let mut table = RoleTable::default();
        for number in 0..MAX_ROLES {
            assert!(table.declare(role(&format!("r{number}"))));
        }
        assert!(!table.declare(role("one-more")));
        assert!(table.declare(role("r0")), "a known role takes no room");
        assert_eq!(table.find("r63"), Some(RoleSet(1 << 63)));
    }
}
