//! Rules as the registry holds them: `reg export`, `reg query`, or a plain list of the values.
//!
//! The form is language-neutral ([MS-GPFAS], section 2.2.6.2): `v2.10|Action=DoNotSecure|Active=TRUE|Name=x|`.

use super::words;
use super::{Action, Addresses, ConnectionRule, Draft, Mode, Outcome, Profiles, Reader, Store};
use crate::policy::boxes::Axis;

pub(super) const READER: Reader = Reader { name: "registry", recognises, read };

fn recognises(text: &str) -> bool {
    text.lines().any(|line| {
        let line = line.trim_start();
        line.starts_with("[HKEY_") || line.starts_with("HKEY_") || value_of(line).is_some()
    })
}

/// The rule in a line, if it holds one.
fn value_of(line: &str) -> Option<&str> {
    let at = line.find("|Action=")?;
    let version = line.get(..at)?;
    let start = version.rfind(['v', 'V'])?;
    let (major, minor) = version.get(start + 1..)?.split_once('.')?;
    let number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    (number(major) && number(minor)).then(|| line.get(start..)).flatten()
}

fn read(text: &str, draft: &mut Draft) -> Outcome {
    // A plain list has no keys; where there are keys, rules of other kinds stand below others than ours.
    let mut key = Key { rules: true, ..Key::default() };
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.starts_with("[HKEY_") || line.starts_with("HKEY_") {
            key = Key::of(line);
        } else if let Some(value) = value_of(line) {
            if !key.rules {
                continue;
            }
            if value.contains("|Dir=") {
                draft.remark(
                    "rules of the firewall are left out: they say nothing about IPsec's reach",
                );
                continue;
            }
            // In a file of reg export the value is a string in quotation marks with backslashes doubled.
            let quoted = line.starts_with('"');
            let value = if quoted { unquoted(value) } else { value.to_owned() };
            draft.push(rule(&value, at + 1, key.store))?;
        } else if let Some(on) = merge(line) {
            if !on {
                key.switch_off(draft);
            }
        } else if key.rules && !line.is_empty() && line.contains("REG_SZ") {
            draft.strange("a value without a rule in it", at + 1);
        }
    }
    Ok(())
}

/// What a registry key says about the values below it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key {
    pub(super) store: Store,
    profile: Option<Profiles>,
    /// Whether its values are rules.
    pub(super) rules: bool,
}

impl Default for Key {
    fn default() -> Self {
        Self { store: Store::Unknown, profile: None, rules: false }
    }
}

impl Key {
    /// Of the path of a key, in brackets or not.
    pub(super) fn of(path: &str) -> Self {
        let path = path.trim_matches(['[', ']']).to_ascii_lowercase();
        let store = if path.contains("policies\\microsoft\\windowsfirewall") {
            Store::GroupPolicy
        } else if path.contains("sharedaccess\\parameters\\firewallpolicy") {
            Store::Local
        } else {
            Store::Unknown
        };
        let profile = [
            ("domainprofile", "domain"),
            ("privateprofile", "private"),
            ("standardprofile", "private"),
            ("publicprofile", "public"),
        ]
        .into_iter()
        .find(|(key, _)| path.ends_with(key))
        .and_then(|(_, name)| Profiles::named(name));
        Self { store, profile, rules: path.ends_with("consecrules") }
    }

    /// Notes that the key switches local rules off in its profile.
    pub(super) fn switch_off(self, draft: &mut Draft) {
        let Some(profile) = self.profile else {
            draft.remark(
                "AllowLocalIPsecPolicyMerge stands outside of a profile's key and is ignored",
            );
            return;
        };
        let off = draft.merge_off.unwrap_or(Profiles::NONE);
        draft.merge_off = Some(off.with(profile));
    }
}

pub(super) const MERGE: &str = "AllowLocalIPsecPolicyMerge";

/// Whether the line lets local rules count, if it says so.
fn merge(line: &str) -> Option<bool> {
    let rest = line.trim_start_matches('"').strip_prefix(MERGE)?.trim_start_matches('"').trim();
    let number = match rest.strip_prefix("=dword:") {
        Some(number) => number,
        None => rest.strip_prefix("REG_DWORD")?.trim().strip_prefix("0x")?,
    };
    u32::from_str_radix(number.trim(), 16).ok().map(|number| number != 0)
}

fn unquoted(value: &str) -> String {
    let value = value.strip_suffix('"').unwrap_or(value);
    let mut out = String::with_capacity(value.len());
    let mut escaped = false;
    for c in value.chars() {
        if c == '\\' && !escaped {
            escaped = true;
        } else {
            out.push(c);
            escaped = false;
        }
    }
    out
}

/// Tokens that change neither what is covered nor what is done: names, cryptography, and whom it admits.
const IRRELEVANT: [&str; 17] = [
    "Desc",
    "EmbedCtxt",
    "Auth1Set",
    "Auth2Set",
    "Crypto2Set",
    "SkipVer",
    "SecureInClearOut",
    "ByPassTunnel",
    "Authz",
    "KeyMod",
    "KeyManagerDictate",
    "KeyManagerNotify",
    "FwdLifetime",
    "TransportMachineAuthzSDDL",
    "TransportUserAuthzSDDL",
    "SecurityRealmEnabled",
    "PSK",
];

/// Tokens that only tunnels have.
const TUNNEL: [&str; 5] = ["LTunnel", "RTunnel", "RTunnelFqdn", "RTunEndpts4", "RTunEndpts6"];

/// One value as a rule.
pub(super) fn rule(value: &str, at: usize, store: Store) -> ConnectionRule {
    let mut rule = ConnectionRule::new("", at);
    rule.store = store;
    // What is not said is not so: a rule without Active is off.
    rule.enabled = Some(false);
    let mut profiles = Profiles::NONE;
    let mut own = End::on([Axis::Local, Axis::LocalPort]);
    let mut peer = End::on([Axis::Remote, Axis::RemotePort]);
    let mut last = "";
    for segment in value.split('|').skip(1) {
        let Some((token, value)) = segment.split_once('=') else {
            // A bar within a name: what stands behind it may be part of the name or not.
            if !segment.trim().is_empty() {
                rule.doubt(format!(
                    "a bar within {}",
                    if last.is_empty() { "the rule" } else { last }
                ));
            }
            continue;
        };
        match token {
            "Action" => {
                rule.action = match value {
                    "DoNotSecure" => Action::Exempt,
                    "SecureServer" | "Boundary" | "Secure" => Action::Secure,
                    _ => Action::Unknown,
                };
            }
            "Active" => rule.enabled = words::flag(value),
            "Name" => value.clone_into(&mut rule.name),
            "Profile" => match Profiles::named(value) {
                Some(profile) => profiles = profiles.with(profile),
                None => rule.doubt_on(Axis::Profile, "Profile"),
            },
            "Protocol" => match words::protocol(value) {
                Ok(protocol) => rule.protocol = protocol,
                Err(()) => rule.doubt_on(Axis::Protocol, "Protocol"),
            },
            "IF" => rule.limits.push("one network interface".to_owned()),
            "IFType" => rule.limits.push(format!("interfaces of the type {value}")),
            "Platform" | "Platform2" => rule.limits.push("some versions of Windows".to_owned()),
            _ if IRRELEVANT.contains(&token) => {}
            _ if TUNNEL.iter().any(|tunnel| token.starts_with(tunnel)) => rule.mode = Mode::Tunnel,
            _ => {
                let read = match token.split_at_checked(3) {
                    Some(("EP1", rest)) => own.read(rest, value),
                    Some(("EP2", rest)) => peer.read(rest, value),
                    _ => {
                        rule.doubt(known_or_unknown(token));
                        Ok(())
                    }
                };
                if let Err(axis) = read {
                    rule.doubt_on(axis, known_or_unknown(token));
                }
            }
        }
        last = if token == "Desc" {
            "Desc"
        } else if token == "Name" {
            "Name"
        } else {
            "the rule"
        };
    }
    if rule.enabled.is_none() {
        rule.doubt("Active");
    }
    if !profiles.is_empty() {
        rule.profiles = profiles;
    }
    (rule.local, rule.local_ports) = own.finish();
    (rule.remote, rule.remote_ports) = peer.finish();
    rule
}

/// A token for messages: nothing that could be a secret.
fn known_or_unknown(token: &str) -> String {
    let plain = token.len() <= 32 && token.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if plain { token.to_owned() } else { "an unknown token".to_owned() }
}

/// One endpoint of a rule.
#[derive(Debug)]
struct End {
    /// Of its addresses and of its ports.
    axes: [Axis; 2],
    addresses: Option<Addresses>,
    /// Single ports and ranges: a rule may have both, each below a token of its own, and both count.
    ports: Vec<(u16, u16)>,
}

impl End {
    fn on([addresses, ports]: [Axis; 2]) -> Self {
        Self { axes: [addresses, ports], addresses: None, ports: Vec::new() }
    }

    /// Reads what stands behind `EP1` or `EP2`. The error is the axis on which it is not understood.
    fn read(&mut self, token: &str, value: &str) -> Result<(), Axis> {
        let [addresses, ports] = self.axes;
        match token {
            "_4" | "_6" if self.addresses.get_or_insert_default().read(value) => Ok(()),
            "Port" | "Port2_10" => {
                self.ports.push(words::port_range(value).ok_or(ports)?);
                Ok(())
            }
            _ => Err(addresses),
        }
    }

    fn finish(self) -> (Addresses, crate::policy::PortSet) {
        let ranges = if self.ports.is_empty() { vec![(0, u16::MAX)] } else { self.ports };
        (self.addresses.unwrap_or_else(Addresses::any), crate::policy::PortSet::new(ranges))
    }
}

#[cfg(test)]
pub(super) const SAMPLE: &str = r#"Windows Registry Editor Version 5.00

[HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Services\SharedAccess\Parameters\FirewallPolicy\ConSecRules]
"{A1}"="v2.33|Action=SecureServer|Name=Auth|Desc=all|Active=TRUE|Auth1Set={x}|Auth2Set={y}|Crypto2Set={z}|"
"{A2}"="v2.10|Action=DoNotSecure|Active=TRUE|Name=Media \"5\" \\ 6|Profile=Domain|Profile=Public|Protocol=17|EP1_4=10.0.0.0/255.255.0.0|EP2_4=10.1.3.10-10.1.3.11|EP2_6=fd00::/64|EP2Port=80|EP2Port2_10=49152-57500|EP2Port2_10=60000|IFType=Lan|"
"{A3}"="v2.10|Action=DoNotSecure|Name=off|"
"#;

#[cfg(test)]
mod tests {
    use crate::policy::exports::tests::export;

    use super::*;

    #[test]
    fn values_are_rules() {
        let rules = export(SAMPLE).rules;
        let [auth, media, off] = &rules[..] else { panic!("{rules:?}") };
        assert_eq!((auth.action, auth.store, auth.at), (Action::Secure, Store::Local, 4));
        assert!(auth.local.is_any() && auth.remote_ports.is_any() && !auth.uncertain());
        assert_eq!(media.name, "Media \"5\" \\ 6");
        assert_eq!((media.action, media.protocol), (Action::Exempt, Some(17)));
        assert_eq!(media.profiles.spans(), [(0, 0), (2, 2)]);
        assert_eq!(media.remote_ports.to_string(), "80,49152-57500,60000", "both forms count");
        assert_eq!((media.local.spans().len(), media.remote.spans().len()), (1, 2));
        assert_eq!(media.limits, ["interfaces of the type Lan"]);
        assert_eq!(off.inactive(), Some("disabled"), "what is not said is not so");
    }

    #[test]
    fn reg_query_and_plain_lists_are_read_alike() {
        let value = "v2.10|Action=DoNotSecure|Active=TRUE|Name=x|Protocol=6|";
        let query = format!(
            "HKEY_LOCAL_MACHINE\\SOFTWARE\\Policies\\Microsoft\\WindowsFirewall\\ConSecRules\n    {{1}}    REG_SZ    {value}\n\nHKEY_LOCAL_MACHINE\\SOFTWARE\\Policies\\Microsoft\\WindowsFirewall\\DomainProfile\n    AllowLocalIPsecPolicyMerge    REG_DWORD    0x0\n"
        );
        let [queried] = &export(&query).rules[..] else { panic!("one rule") };
        let [listed] = &export(value).rules[..] else { panic!("one rule") };
        assert_eq!((queried.store, listed.store), (Store::GroupPolicy, Store::Unknown));
        assert_eq!((&queried.name, queried.protocol), (&listed.name, listed.protocol));
        assert_eq!(
            (merge("\"AllowLocalIPsecPolicyMerge\"=dword:00000001"), merge("x")),
            (Some(true), None)
        );
    }

    #[test]
    fn rules_of_the_firewall_are_no_connection_rules() {
        let rule = "v2.10|Action=Allow|Active=TRUE|Dir=In|Protocol=6|LPort=443|Name=web|";
        let root = "HKEY_LOCAL_MACHINE\\SOFTWARE\\Policies\\Microsoft\\WindowsFirewall";
        let queried = export(&format!("{root}\\FirewallRules\n    {{1}}    REG_SZ    {rule}\n"));
        assert!(queried.rules.is_empty() && queried.notes.is_empty());
        let listed = export(rule);
        assert!(listed.rules.is_empty() && listed.notes[0].contains("firewall"));
    }

    #[test]
    fn what_is_not_understood_makes_a_rule_doubtful() {
        for (value, doubt) in [
            ("v2.40|Action=DoNotSecure|Active=TRUE|Name=a|b|", "a bar within Name"),
            ("v2.40|Action=DoNotSecure|Active=TRUE|Shiny=1|", "Shiny"),
            ("v2.40|Action=DoNotSecure|Active=TRUE|EP1Port=IPHTTPS|", "EP1Port"),
            ("v2.40|Action=DoNotSecure|Active=TRUE|my secret=1|", "an unknown token"),
            ("v2.40|Action=DoNotSecure|Active=maybe|", "Active"),
        ] {
            let rule = rule(value, 1, Store::Local);
            assert!(rule.doubts.contains(doubt) && rule.uncertain(), "{value}: {:?}", rule.doubts);
        }
        assert_eq!(
            rule("v2.40|Action=Other|Active=TRUE|", 1, Store::Local).action,
            Action::Unknown
        );
        let tunnel =
            rule("v2.40|Action=SecureServer|Active=TRUE|LTunnel4=10.0.0.1|", 1, Store::Local);
        assert!(!tunnel.between_hosts() && !tunnel.uncertain());
    }
}
