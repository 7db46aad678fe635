//! What `swanctl --list-pols` prints, also with `--raw`: the policies that strongSwan has installed.

use super::selectors;
use super::{Action, Draft, Mode, Outcome, Reader};

pub(super) const LIST: Reader =
    Reader { name: "swanctl-list-pols", recognises: recognises_list, read: read_list };
pub(super) const RAW: Reader =
    Reader { name: "swanctl-list-pols-raw", recognises: recognises_raw, read: read_raw };

/// What a mode does, letters' case aside; `None` for a word that is no mode.
pub(super) fn mode(word: &str) -> Option<(Action, Mode)> {
    Some(match word.to_ascii_lowercase().as_str() {
        "pass" => (Action::Exempt, Mode::Transport),
        "drop" => (Action::Block, Mode::Transport),
        "transport" | "transport_proxy" => (Action::Secure, Mode::Transport),
        "tunnel" | "beet" | "iptfs" => (Action::Secure, Mode::Tunnel),
        _ => return None,
    })
}

/// Name and mode of a line such as `sfb/med-udp, PASS`.
fn heading(line: &str) -> Option<(&str, &str)> {
    let (name, word) = line.rsplit_once(", ")?;
    let upper = word.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
    (upper && !line.starts_with(char::is_whitespace) && mode(word).is_some())
        .then_some((name, word))
}

fn recognises_list(text: &str) -> bool {
    let mut after_heading = false;
    text.lines().any(|line| {
        let found = after_heading && line.trim_start().starts_with("local:");
        after_heading = heading(line).is_some();
        found
    })
}

fn read_list(text: &str, draft: &mut Draft) -> Outcome {
    let mut lines = text.lines().enumerate().peekable();
    while let Some((at, line)) = lines.next() {
        let Some((name, word)) = heading(line) else {
            if !line.trim().is_empty() {
                draft.strange("not a part of a policy", at + 1);
            }
            continue;
        };
        let mut ends = [None, None];
        while let Some((_, line)) = lines.next_if(|(_, line)| line.starts_with(char::is_whitespace))
        {
            let line = line.trim();
            for (end, label) in ends.iter_mut().zip(["local:", "remote:"]) {
                if let Some(list) = line.strip_prefix(label) {
                    *end = Some(list);
                }
            }
        }
        push(name, at + 1, word, ends.map(Option::unwrap_or_default), draft)?;
    }
    Ok(())
}

fn recognises_raw(text: &str) -> bool {
    text.contains("mode=") && text.contains("local-ts=[") && text.contains("remote-ts=[")
}

/// `list-policy event {sfb/med-udp {child=med-udp ike=sfb mode=PASS local-ts=[..] remote-ts=[..]}}`
fn read_raw(text: &str, draft: &mut Draft) -> Outcome {
    for (at, line) in text.lines().enumerate() {
        let Some((before, _)) = line.split_once("local-ts=[") else { continue };
        let value = |key: &str| {
            let (_, rest) = line.split_once(&format!("{key}="))?;
            rest.split([' ', '}']).next()
        };
        let name = before
            .split('{')
            .map(str::trim)
            .rfind(|part| !part.is_empty() && !part.contains('='))
            .unwrap_or_default();
        let list = |key: &str| {
            let (_, rest) = line.split_once(&format!("{key}=["))?;
            let mut depth = 1_usize;
            let end = rest.find(|c| {
                match c {
                    '[' => depth += 1,
                    ']' => depth -= 1,
                    _ => {}
                }
                depth == 0
            })?;
            rest.get(..end)
        };
        let ends = ["local-ts", "remote-ts"].map(|key| list(key).unwrap_or_default());
        push(name, at + 1, value("mode").unwrap_or_default(), ends, draft)?;
    }
    Ok(())
}

fn push(name: &str, at: usize, word: &str, ends: [&str; 2], draft: &mut Draft) -> Outcome {
    let what = mode(word).unwrap_or((Action::Unknown, Mode::Transport));
    let [local, remote] = ends.map(|list| -> Vec<&str> {
        list.split([' ', ',']).filter(|item| !item.is_empty()).collect()
    });
    let missing = local.is_empty() || remote.is_empty();
    let [local, remote] =
        [local, remote].map(|items| if items.is_empty() { vec!["no selector"] } else { items });
    if missing {
        draft.strange("a policy without both selectors", at);
    }
    selectors::rules(name, at, what, [&local, &remote], draft, |_| {})
}

#[cfg(test)]
pub(super) const SAMPLE: &str = "\
sfb-exempt/med-udp, PASS
  local:  0.0.0.0/0[udp] ::/0[udp]
  remote: 10.1.3.10/32[udp/49152-57500]
isolation/all, TRANSPORT
  local:  10.0.0.0/8
  remote: 10.0.0.0/8
site/site, TUNNEL
  local:  10.0.0.0/8
  remote: 192.0.2.0/24
";

#[cfg(test)]
pub(super) const RAW_SAMPLE: &str = "\
list-policy event {sfb-exempt/med-udp {child=med-udp ike=sfb-exempt mode=PASS local-ts=[0.0.0.0/0[udp]] remote-ts=[10.1.3.10/32[udp/49152-57500]]}}
list-policy event {isolation/all {child=all ike=isolation mode=TRANSPORT local-ts=[10.0.0.0/8] remote-ts=[10.0.0.0/8]}}
list-policies reply {success=yes}
";

#[cfg(test)]
mod tests {
    use crate::policy::exports::tests::export;

    use super::*;

    #[test]
    fn policies_are_read_as_installed() {
        let rules = export(SAMPLE).rules;
        assert_eq!(rules.len(), 4, "a rule for each pair of selectors");
        assert_eq!(
            (rules[0].name.as_str(), rules[0].action),
            ("sfb-exempt/med-udp", Action::Exempt)
        );
        assert_eq!(rules[0].remote_ports.to_string(), "49152-65535");
        assert_eq!(rules[0].remarks, ["ports 49152-57500 are installed as 49152-65535"]);
        assert_eq!((rules[2].action, rules[2].protocol), (Action::Secure, None));
        assert!(!rules[3].between_hosts());
    }

    #[test]
    fn raw_messages_say_the_same() {
        let rules = export(RAW_SAMPLE).rules;
        assert_eq!(rules.len(), 2);
        assert_eq!((rules[0].name.as_str(), rules[0].at), ("sfb-exempt/med-udp", 1));
        let listed = export(SAMPLE).rules;
        assert_eq!(rules[0].written(), listed[0].written());
        assert_eq!(rules[1].written(), listed[2].written());
    }

    #[test]
    fn a_policy_without_selectors_is_doubtful() {
        let cut = export("a, PASS\n  local:  10.0.0.0/8[udp]\n");
        assert!(cut.rules.iter().all(super::super::ConnectionRule::uncertain));
        assert_eq!(cut.notes, ["a policy without both selectors: line 1"]);
    }
}
