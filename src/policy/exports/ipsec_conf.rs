//! Connections in `ipsec.conf`, the older form of strongSwan and that of Libreswan.

use std::collections::BTreeMap;

use super::{Action, Direction, Draft, Mode, Outcome, Reader, selectors};

pub(super) const READER: Reader = Reader { name: "ipsec-conf", recognises, read };

/// The settings that matter.
const KEYS: [&str; 9] = [
    "type",
    "auto",
    "left",
    "right",
    "leftsubnet",
    "rightsubnet",
    "leftprotoport",
    "rightprotoport",
    "also",
];

fn recognises(text: &str) -> bool {
    text.lines().any(|line| line.starts_with("conn "))
}

type Settings = BTreeMap<&'static str, String>;

fn read(text: &str, draft: &mut Draft) -> Outcome {
    let mut defaults = Settings::new();
    let mut open: Option<(&str, usize, Settings)> = None;
    for (at, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim_end();
        if line.starts_with(char::is_whitespace) {
            let Some((key, value)) = line.split_once('=') else { continue };
            let known = KEYS.iter().find(|known| **known == key.trim());
            if let (Some(known), Some((_, _, settings))) = (known, &mut open) {
                settings.insert(known, value.trim().trim_matches('"').to_owned());
            }
        } else if !line.is_empty() {
            close(open.take(), &mut defaults, draft)?;
            if line.starts_with("include ") {
                draft.remark("the file includes others, which are not read");
            }
            open = line.strip_prefix("conn ").map(|name| (name.trim(), at + 1, defaults.clone()));
        }
    }
    close(open, &mut defaults, draft)
}

fn close(
    connection: Option<(&str, usize, Settings)>,
    defaults: &mut Settings,
    draft: &mut Draft,
) -> Outcome {
    let Some((name, at, settings)) = connection else { return Ok(()) };
    if name == "%default" {
        *defaults = settings;
        return Ok(());
    }
    let setting = |key: &str| settings.get(key).map(String::as_str);
    let what = match setting("type").unwrap_or("tunnel") {
        "passthrough" | "pass" => (Action::Exempt, Mode::Transport),
        "drop" | "reject" => (Action::Block, Mode::Transport),
        "transport" => (Action::Secure, Mode::Transport),
        "tunnel" => (Action::Secure, Mode::Tunnel),
        _ => (Action::Unknown, Mode::Transport),
    };
    let auto = setting("auto").unwrap_or("ignore");
    let installed = matches!(auto, "route" | "ondemand" | "start");
    let side = |subnet: &str, end: &str, traffic: &str| -> Vec<String> {
        let place = setting(subnet).or(setting(end)).unwrap_or("dynamic");
        let place = if place == "%defaultroute" { "dynamic" } else { place };
        let traffic = setting(traffic).map_or_else(String::new, |traffic| format!("[{traffic}]"));
        place
            .split([',', ' '])
            .filter(|item| !item.is_empty())
            .map(
                |item| {
                    if item.contains('[') { item.to_owned() } else { format!("{item}{traffic}") }
                },
            )
            .collect()
    };
    let left = side("leftsubnet", "left", "leftprotoport");
    let right = side("rightsubnet", "right", "rightprotoport");
    let ends =
        [&left, &right].map(|items| -> Vec<&str> { items.iter().map(String::as_str).collect() });
    selectors::rules(name, at, what, [&ends[0], &ends[1]], draft, |rule| {
        // Which side is the host's, the program finds out when it starts.
        rule.direction = Direction::Either;
        rule.enabled = Some(auto != "ignore");
        if what.0 != Action::Secure && !installed {
            rule.dead = Some("it is not installed without auto=route".into());
        }
        if settings.contains_key("also") {
            rule.doubt("settings of another section");
        }
    })
}

#[cfg(test)]
pub(super) const SAMPLE: &str = "\
config setup
    uniqueids = no
conn %default
    auto=route
conn media   # exempt
    type=passthrough
    leftsubnet=0.0.0.0/0
    rightsubnet=10.1.3.10/32
    leftprotoport=udp
    rightprotoport=udp/49152
conn isolation
    type=transport
    left=10.0.0.1
    right=10.0.0.0/8
conn off
    auto=ignore
    also=media
";

#[cfg(test)]
mod tests {
    use crate::policy::exports::tests::export;

    use super::*;

    #[test]
    fn connections_are_rules() {
        let rules = export(SAMPLE).rules;
        let [media, isolation, off] = &rules[..] else { panic!("{rules:?}") };
        assert_eq!(
            (media.name.as_str(), media.action, media.inactive()),
            ("media", Action::Exempt, None)
        );
        assert_eq!((media.protocol, media.remote_ports.to_string()), (Some(17), "49152".into()));
        assert_eq!(media.spaces().len(), 2, "either side may be the host's");
        assert_eq!((isolation.action, isolation.between_hosts()), (Action::Secure, true));
        assert_eq!(off.inactive(), Some("disabled"));
        assert!(off.uncertain());
    }

    #[test]
    fn a_connection_that_nothing_installs_is_told() {
        let text = "conn a\n type=passthrough\n auto=add\n left=%defaultroute\n right=%any\n";
        let rules = export(text).rules;
        assert!(rules[0].inactive().unwrap().contains("auto=route"));
    }
}
