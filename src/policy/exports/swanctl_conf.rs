//! Children in `swanctl.conf`: what strongSwan installs when the file is loaded.
//!
//! Only the settings of children that say what is covered are kept; secrets stand in other sections.

use std::collections::BTreeMap;

use super::{Action, Draft, Outcome, Reader, selectors, swanctl};

pub(super) const READER: Reader = Reader { name: "swanctl-conf", recognises, read };

/// Sections within sections, at most.
const MAX_DEPTH: usize = 32;

/// The settings that matter.
const KEYS: [&str; 6] = ["mode", "local_ts", "remote_ts", "start_action", "priority", "interface"];

fn recognises(text: &str) -> bool {
    text.match_indices("children").any(|(at, word)| {
        text.get(at + word.len()..).is_some_and(|rest| rest.trim_start().starts_with('{'))
    })
}

/// A section that is open.
#[derive(Debug, Default)]
struct Section {
    name: String,
    at: usize,
    settings: BTreeMap<&'static str, String>,
    /// Takes settings of other sections, which are not looked up.
    inherits: bool,
}

fn read(text: &str, draft: &mut Draft) -> Outcome {
    let mut open = vec![Section::default()];
    for (at, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default();
        if line.trim_start().starts_with("include ") {
            draft.remark("the file includes others, which are not read");
            continue;
        }
        let mut setting = None;
        let mut words: Vec<String> = Vec::new();
        for token in tokens(line) {
            match token {
                "{" => {
                    settle(&mut open, setting.take(), &[]);
                    if open.len() > MAX_DEPTH {
                        return Err(format!(
                            "its line {} is more than {MAX_DEPTH} sections deep",
                            at + 1
                        ));
                    }
                    let inherits = words.iter().any(|word| word == ":");
                    let name = words.first().cloned().unwrap_or_default();
                    open.push(Section { name, at: at + 1, inherits, ..Section::default() });
                    words.clear();
                }
                "}" => {
                    settle(&mut open, setting.take(), &words);
                    words.clear();
                    close(&mut open, draft)?;
                }
                "=" => {
                    // The word before is a key; what stands before that belongs to the setting before it.
                    let key = words.pop().unwrap_or_default();
                    settle(&mut open, setting.take(), &words);
                    words.clear();
                    setting = Some(key);
                }
                word => words.push(word.trim_matches('"').to_owned()),
            }
        }
        settle(&mut open, setting, &words);
    }
    while open.len() > 1 {
        draft.remark("a section at the end of the file is not closed");
        close(&mut open, draft)?;
    }
    Ok(())
}

/// Words, and the signs between them.
fn tokens(line: &str) -> impl Iterator<Item = &str> {
    line.split_whitespace().flat_map(|word| word.split_inclusive(['{', '}', '='])).flat_map(
        |part| {
            match part.char_indices().next_back() {
                Some((end, '{' | '}' | '=')) => [part.get(..end), part.get(end..)],
                _ => [Some(part), None],
            }
            .into_iter()
            .flatten()
            .filter(|part| !part.is_empty())
        },
    )
}

/// Keeps a setting of the innermost section, if it matters.
fn settle(open: &mut [Section], key: Option<String>, words: &[String]) {
    let Some(key) = key else { return };
    let known = KEYS.iter().find(|known| **known == key);
    if let (Some(known), Some(section)) = (known, open.last_mut()) {
        section.settings.insert(known, words.join(" "));
    }
}

/// Closes the innermost section; a child becomes rules.
fn close(open: &mut Vec<Section>, draft: &mut Draft) -> Outcome {
    let section = if open.len() > 1 { open.pop() } else { None };
    let Some(section) = section else { return Ok(()) };
    let [.., connection, children] = &open[..] else { return Ok(()) };
    if children.name != "children" {
        return Ok(());
    }
    let setting = |key: &str| section.settings.get(key).map(String::as_str);
    let word = setting("mode").unwrap_or("tunnel");
    let what = swanctl::mode(word).unwrap_or((Action::Unknown, super::Mode::Transport));
    let installed = setting("start_action").is_some_and(|action| action.contains("trap"));
    let list = |key: &str| -> Vec<&str> {
        setting(key)
            .unwrap_or("dynamic")
            .split([',', ' '])
            .filter(|item| !item.is_empty())
            .collect()
    };
    let name = format!("{}/{}", connection.name, section.name);
    let ends = [list("local_ts"), list("remote_ts")];
    selectors::rules(&name, section.at, what, [&ends[0], &ends[1]], draft, |rule| {
        if what.0 != Action::Secure && !installed {
            rule.dead = Some("it is not installed without start_action = trap".into());
        }
        if setting("priority").is_some_and(|priority| priority != "0") {
            rule.doubt("priority");
        }
        if section.inherits || connection.inherits {
            rule.doubt("settings of another section");
        }
        if let Some(interface) = setting("interface") {
            rule.limits.push(format!("the interface {interface}"));
        }
    })
}

#[cfg(test)]
pub(super) const SAMPLE: &str = "\
# exemptions
connections {
  sfb-exempt { children {
    med-udp { local_ts = 0.0.0.0/0[udp]  remote_ts = 10.1.3.10/32[udp/50020-50039]  mode = pass  start_action = trap }
    med-tcp {
      local_ts = 0.0.0.0/0[tcp], ::/0[tcp]
      remote_ts = 10.1.3.10/32[tcp]
      mode=pass
    }
  } }
  isolation { children { all { mode = transport
     remote_ts = 10.0.0.0/8 } } }
}
secrets { ike { secret = \"do not show\" } }
";

#[cfg(test)]
mod tests {
    use crate::policy::exports::tests::{export, read};

    use super::*;

    #[test]
    fn children_are_rules() {
        let export = export(SAMPLE);
        let names: Vec<&str> = export.rules.iter().map(|rule| rule.name.as_str()).collect();
        assert_eq!(
            names,
            ["sfb-exempt/med-udp", "sfb-exempt/med-tcp", "sfb-exempt/med-tcp", "isolation/all"]
        );
        let [udp, tcp, _, all] = &export.rules[..] else { panic!("four rules") };
        assert_eq!((udp.action, udp.protocol, udp.inactive()), (Action::Exempt, Some(17), None));
        assert_eq!(udp.remote_ports.to_string(), "50016-50047");
        assert!(tcp.inactive().unwrap().contains("start_action"));
        assert_eq!(all.action, Action::Secure);
        assert_eq!(
            all.local.words().collect::<Vec<_>>(),
            ["dynamic"],
            "the address of the connection"
        );
        assert!(!format!("{export:?}").contains("do not show"));
    }

    #[test]
    fn sections_are_bounded_and_may_be_left_open() {
        let deep = format!("children {{{}", "a { ".repeat(100));
        assert!(read(deep.as_bytes()).unwrap_err().contains("sections deep"));
        let cut = "c { children { a { mode = pass\nstart_action = trap\nlocal_ts = 10.0.0.0/8\nremote_ts = 10.0.0.0/8\npriority = 5";
        let export = export(cut);
        assert_eq!(export.rules.len(), 1);
        assert!(export.rules[0].uncertain() && export.notes[0].contains("not closed"));
    }
}
