//! What the documented PowerShell one-liner writes: JSON, one object for each rule, every value as text.
//!
//! `Get-NetIPsecRule` alone does not show addresses and ports; they hang on filter objects, which the one-liner
//! joins.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer as _, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::words;
use super::{
    Action, ConnectionRule, Draft, MAX_ITEMS, MAX_RULES, Mode, Outcome, Profiles, Reader, Store,
};
use crate::policy::boxes::Axis;

pub(super) const READER: Reader = Reader { name: "powershell", recognises, read };

/// What an administrator runs to export a host's rules with addresses and ports.
pub const ONE_LINER: &str = "Get-NetIPsecRule -PolicyStore ActiveStore | % { $a = $_ | Get-NetFirewallAddressFilter; $p = $_ | Get-NetFirewallPortFilter; $i = $_ | Get-NetFirewallInterfaceTypeFilter; [pscustomobject]@{ name=$_.DisplayName; id=$_.IPsecRuleName; enabled=\"$($_.Enabled)\"; profile=\"$($_.Profile)\"; mode=\"$($_.Mode)\"; in=\"$($_.InboundSecurity)\"; out=\"$($_.OutboundSecurity)\"; source=\"$($_.PolicyStoreSourceType)\"; local=@($a.LocalAddress); remote=@($a.RemoteAddress); proto=\"$($p.Protocol)\"; lport=@($p.LocalPort); rport=@($p.RemotePort); iftype=\"$($i.InterfaceType)\" } } | ConvertTo-Json -Depth 4 | Out-File -Encoding utf8 rules.json";

/// One element; what it does not need it does not keep.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Element {
    #[serde(alias = "DisplayName")]
    name: Words,
    id: Words,
    enabled: Words,
    profile: Words,
    mode: Words,
    #[serde(rename = "in")]
    inbound: Words,
    out: Words,
    source: Words,
    local: Option<Words>,
    remote: Option<Words>,
    proto: Option<Words>,
    lport: Words,
    rport: Words,
    /// Absent in exports of before it was asked for.
    iftype: Words,
    /// Only the raw output of `Get-NetIPsecRule` has it.
    #[serde(rename = "InboundSecurity")]
    raw: Option<IgnoredAny>,
}

/// One value or a list of them, as text.
#[derive(Debug, Default)]
struct Words(Vec<String>);

impl Words {
    fn first(&self) -> &str {
        self.0.first().map_or("", String::as_str)
    }

    /// The items of comma-separated lists.
    fn items(&self) -> impl Iterator<Item = &str> {
        self.0
            .iter()
            .flat_map(|word| word.split(','))
            .map(str::trim)
            .filter(|word| !word.is_empty())
    }
}

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WordsVisitor)
    }
}

struct WordsVisitor;

impl<'de> Visitor<'de> for WordsVisitor {
    type Value = Words;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text or a list of texts")
    }

    fn visit_str<E>(self, text: &str) -> Result<Words, E> {
        Ok(Words(vec![text.to_owned()]))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Words, E> {
        Ok(Words(vec![value.to_string()]))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Words, E> {
        Ok(Words(vec![value.to_string()]))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Words, E> {
        Ok(Words(vec![value.to_string()]))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Words, E> {
        Ok(Words(vec![value.to_string()]))
    }

    fn visit_unit<E>(self) -> Result<Words, E> {
        Ok(Words::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Words, A::Error> {
        let mut all = Vec::new();
        while let Some(Words(words)) = items.next_element()? {
            all.extend(words);
            if all.len() > MAX_ITEMS {
                return Err(A::Error::custom(format!("{MORE_THAN} {MAX_ITEMS} items in a list")));
            }
        }
        Ok(Words(all))
    }

    /// PowerShell 5 wraps some lists: `{"value": [..], "Count": 1}`.
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Words, A::Error> {
        let mut words = Words::default();
        while let Some(key) = map.next_key::<String>()? {
            if key == "value" {
                words = map.next_value()?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(words)
    }
}

fn recognises(text: &str) -> bool {
    let text = text.trim_start();
    let inside = text.strip_prefix('[').map(str::trim_start);
    match inside {
        Some(inside) => inside.starts_with(['{', ']', '[']),
        None => text.starts_with('{'),
    }
}

fn read(text: &str, draft: &mut Draft) -> Outcome {
    let mut json = serde_json::Deserializer::from_str(text);
    let elements = if text.trim_start().starts_with('{') {
        Element::deserialize(&mut json).map(|element| vec![element])
    } else {
        json.deserialize_seq(ElementsVisitor)
    };
    let elements = elements.and_then(|elements| json.end().map(|()| elements));
    let elements = elements.map_err(|error| wrong(&error))?;
    for (at, element) in elements.iter().enumerate() {
        if element.raw.is_some()
            || element.local.is_none()
            || element.remote.is_none()
            || element.proto.is_none()
        {
            return Err(format!(
                "element {} has no addresses and ports, which Get-NetIPsecRule alone does not show; \
                 export with: {ONE_LINER}",
                at + 1
            ));
        }
        let rule = rule(element, at + 1);
        draft.push(rule)?;
    }
    Ok(())
}

/// What is wrong with the JSON. What the parser says of data it did not expect may quote them.
fn wrong(error: &serde_json::Error) -> String {
    let said = error.to_string();
    if !error.is_data() || said.starts_with(MORE_THAN) {
        return format!("its JSON breaks off: {said}");
    }
    format!("its JSON is not a list of rules, at line {} column {}", error.line(), error.column())
}

/// How the errors about bounds begin.
const MORE_THAN: &str = "more than";

struct ElementsVisitor;

impl<'de> Visitor<'de> for ElementsVisitor {
    type Value = Vec<Element>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of rules")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<Element>, A::Error> {
        let mut all = Vec::new();
        while let Some(element) = items.next_element()? {
            all.push(element);
            if all.len() > MAX_RULES {
                return Err(A::Error::custom(format!("{MORE_THAN} {MAX_RULES} rules")));
            }
        }
        Ok(all)
    }
}

fn rule(element: &Element, at: usize) -> ConnectionRule {
    let name =
        if element.name.first().is_empty() { element.id.first() } else { element.name.first() };
    let mut rule = ConnectionRule::new(name, at);
    rule.enabled = words::flag(element.enabled.first());
    if rule.enabled.is_none() {
        rule.doubt("enabled");
    }
    rule.store = match element.source.first() {
        word if word.eq_ignore_ascii_case("GroupPolicy") => Store::GroupPolicy,
        word if word.eq_ignore_ascii_case("Local") => Store::Local,
        _ => Store::Unknown,
    };
    rule.profiles = profiles(&element.profile, &mut rule);
    rule.mode = match element.mode.first() {
        word if word.eq_ignore_ascii_case("Transport") => Mode::Transport,
        word if word.eq_ignore_ascii_case("Tunnel") => Mode::Tunnel,
        _ => {
            rule.doubt("mode");
            Mode::Transport
        }
    };
    rule.action = action(element.inbound.first(), element.out.first());
    for (field, axis, words) in
        [("local", Axis::Local, &element.local), ("remote", Axis::Remote, &element.remote)]
    {
        let mut addresses = super::Addresses::default();
        let mut items = words.iter().flat_map(Words::items).peekable();
        let empty = items.peek().is_none();
        if !items.all(|item| addresses.read(item)) || empty {
            rule.doubt_on(axis, field);
        }
        *if axis == Axis::Local { &mut rule.local } else { &mut rule.remote } = addresses;
    }
    let types: Vec<&str> =
        element.iftype.items().filter(|word| !words::is_any(word) && *word != "0").collect();
    if !types.is_empty() {
        rule.limits.push(format!("interfaces of the type {}", types.join(", ")));
    }
    match words::protocol(element.proto.as_ref().map_or("", Words::first)) {
        Ok(protocol) => rule.protocol = protocol,
        Err(()) => rule.doubt_on(Axis::Protocol, "proto"),
    }
    for (field, axis, words) in
        [("lport", Axis::LocalPort, &element.lport), ("rport", Axis::RemotePort, &element.rport)]
    {
        // Rules without ports have none to show.
        if words.items().next().is_none() {
            continue;
        }
        let (set, strange) = words::ports(words.items());
        if !strange.is_empty() {
            rule.doubt_on(axis, field);
        }
        *if axis == Axis::LocalPort { &mut rule.local_ports } else { &mut rule.remote_ports } = set;
    }
    rule
}

fn profiles(words: &Words, rule: &mut ConnectionRule) -> Profiles {
    let mut all = Profiles::NONE;
    for word in words.items() {
        match Profiles::named(word) {
            Some(profiles) => all = all.with(profiles),
            // The number behind Any.
            None if word == "0" => all = Profiles::ALL,
            None => rule.doubt_on(Axis::Profile, "profile"),
        }
    }
    if all.is_empty() { Profiles::ALL } else { all }
}

/// None in both directions exempts; Request and Require secure.
fn action(inbound: &str, outbound: &str) -> Action {
    let is = |word: &str, known: &str| word.eq_ignore_ascii_case(known);
    let known = |word: &str| ["None", "Request", "Require"].iter().any(|name| is(word, name));
    match (inbound, outbound) {
        (a, b) if is(a, "None") && is(b, "None") => Action::Exempt,
        (a, b) if known(a) && known(b) => Action::Secure,
        _ => Action::Unknown,
    }
}

#[cfg(test)]
pub(super) const SAMPLE: &str = r#"[
  {"name":"Isolation","id":"{1}","enabled":"True","profile":"Domain, Private","mode":"Transport","in":"Require","out":"Request","source":"GroupPolicy","local":["Any"],"remote":["Any"],"proto":"Any","lport":["Any"],"rport":["Any"]},
  {"name":"SfB-15 client media","id":"{2}","enabled":"False","profile":"Any","mode":"Transport","in":"None","out":"None","source":"Local","local":"Any","remote":{"value":["10.1.3.10","fd00::/64"],"Count":2},"proto":"UDP","lport":["50020-50039","58000"],"rport":["Any"],"iftype":"Wired, Wireless"}
]"#;

#[cfg(test)]
mod tests {
    use crate::policy::exports::tests::{export, read};

    use super::*;

    #[test]
    fn rules_are_read() {
        let rules = export(SAMPLE).rules;
        let [isolation, media] = &rules[..] else { panic!("{rules:?}") };
        assert_eq!((isolation.action, isolation.store), (Action::Secure, Store::GroupPolicy));
        assert_eq!(isolation.profiles.spans(), [(0, 0), (1, 1)]);
        assert!(isolation.local.is_any() && !isolation.uncertain());
        assert_eq!((media.action, media.protocol, media.at), (Action::Exempt, Some(17), 2));
        assert_eq!(media.inactive(), Some("disabled"));
        assert_eq!(media.local_ports.to_string(), "50020-50039,58000");
        assert_eq!(media.remote.spans().len(), 2);
        assert_eq!(media.limits, ["interfaces of the type Wired, Wireless"]);
        assert!(isolation.limits.is_empty(), "older exports do not tell");
        let any = export(&SAMPLE.replace("Wired, Wireless", "Any"));
        assert!(any.rules[1].limits.is_empty());
    }

    #[test]
    fn a_single_rule_is_an_object() {
        let object = SAMPLE.lines().nth(1).unwrap().trim().trim_end_matches(',');
        assert_eq!(export(object).rules.len(), 1);
        assert_eq!(export("[]").rules.len(), 0);
    }

    #[test]
    fn without_addresses_the_right_command_is_told() {
        let raw = r#"[{"DisplayName":"x","InboundSecurity":1,"OutboundSecurity":1,"Enabled":1}]"#;
        let why = read(raw.as_bytes()).unwrap_err();
        assert!(why.contains("element 1 has no addresses") && why.ends_with(ONE_LINER), "{why}");
    }

    #[test]
    fn what_is_not_understood_is_doubted() {
        let strange = SAMPLE
            .replace("\"Require\"", "\"3\"")
            .replace("\"False\"", "\"Nein\"")
            .replace("\"58000\"", "\"RPC\"");
        let rules = export(&strange).rules;
        assert_eq!(rules[0].action, Action::Unknown);
        assert!(rules[0].uncertain() && rules[1].uncertain());
        assert_eq!(rules[1].enabled, None);
        let doubts: Vec<&str> = rules[1].doubts.iter().map(String::as_str).collect();
        assert_eq!(doubts, ["enabled", "lport"]);
        assert!(read(&SAMPLE.as_bytes()[..90]).unwrap_err().contains("JSON"));
        let deep = "[".repeat(100_000);
        assert!(read(deep.as_bytes()).is_err());
    }
}
