//! What a detector reads along the way, by name.

use std::borrow::Cow;
use std::ops::Index;

/// Facts by their stable names (`tls_version`, `sni`, …), in the order of the names. There are few
/// of a flow, so they lie in one short list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts(Vec<(&'static str, Cow<'static, str>)>);

impl Facts {
    /// The fact called `name`.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.value(name).map(AsRef::as_ref)
    }

    /// Every fact, in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.iter().map(|(name, value)| (*name, value.as_ref()))
    }

    /// Sets a fact, in place of what was known under its name.
    pub fn set(&mut self, name: &'static str, value: impl Into<Cow<'static, str>>) {
        let value = value.into();
        match self.find(name) {
            Ok(at) => {
                if let Some(known) = self.0.get_mut(at) {
                    known.1 = value;
                }
            }
            Err(at) => self.0.insert(at, (name, value)),
        }
    }

    /// Adds those of `others` whose names are not known yet.
    pub(super) fn fill(&mut self, others: &Self) {
        for (name, value) in &others.0 {
            if let Err(at) = self.find(name) {
                self.0.insert(at, (name, value.clone()));
            }
        }
    }

    fn value(&self, name: &str) -> Option<&Cow<'static, str>> {
        let at = self.find(name).ok()?;
        self.0.get(at).map(|(_, value)| value)
    }

    /// Where a name stands, or where it belongs.
    fn find(&self, name: &str) -> Result<usize, usize> {
        self.0.binary_search_by_key(&name, |(known, _)| known)
    }
}

impl Index<&str> for Facts {
    type Output = Cow<'static, str>;

    /// The fact called `name`; empty where there is none, as no fact is.
    fn index(&self, name: &str) -> &Self::Output {
        self.value(name).unwrap_or(&NOTHING)
    }
}

impl<const N: usize> From<[(&'static str, String); N]> for Facts {
    fn from(facts: [(&'static str, String); N]) -> Self {
        let mut all = Self::default();
        for (name, value) in facts {
            all.set(name, value);
        }
        all
    }
}

const NOTHING: Cow<'static, str> = Cow::Borrowed("");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_stand_by_name_and_the_last_value_holds() {
        let mut facts = Facts::from([("sni", "fe01".to_owned()), ("alpn", "h2".to_owned())]);
        facts.set("sni", "fe02");
        let others = Facts::from([("sni", "no".to_owned()), ("ja", "yes".to_owned())]);
        facts.fill(&others);
        let all: Vec<_> = facts.iter().collect();
        assert_eq!(all, [("alpn", "h2"), ("ja", "yes"), ("sni", "fe02")]);
        assert_eq!((facts.get("sni"), facts.get("none")), (Some("fe02"), None));
        assert_eq!(facts["alpn"], "h2");
        assert_eq!(facts["none"], "");
    }
}
