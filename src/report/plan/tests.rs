//! What every format of a plan says of a small network.

use super::*;
use crate::findings::remedy;
use crate::policy::{Layer, Profile};

const POLICY: &str = r#"
pack = "p"
[[role]]
name = "front-end"
[[role]]
name = "gateway"
kind = "device"
[[role]]
name = "edge"
[[role]]
name = "absent"
[[role]]
name = "client"
kind = "endpoint"
[ranges]
client-media = "1024-65535"
"#;

const ROWS: &str = r#"
pack = "rows"
row = [
  { id = "S01", from = "client", to = "front-end", transport = "tcp", port = "5061", purpose = "signalling" },
  { id = "S02", to = "gateway", transport = "tcp", port = "5081" },
  { id = "S03", to = "absent", transport = "tcp", port = "1" },
  { id = "S04", from = "front-end", to = "edge", transport = "tcp+udp", port = "3478,5000-5009", from_port = "68", service = "relay" },
]
"#;

const EXEMPTIONS: &str = r#"
pack = "x"
kind = "exemptions"
row = [
  { id = "X01", name = "Edge Inbound", role = "edge", side = "to", transport = "udp", media_port = "443,3478" },
  { id = "X02", name = "Edge Outbound", role = "edge", side = "from", transport = "udp", media_port = "443,3478" },
  { id = "X05", name = "Audio Inbound", role = "front-end", side = "to", transport = "udp", media_port = "49152-57500" },
  { id = "X11", name = "Absent Inbound", role = "absent", side = "to", transport = "udp", media_port = "9" },
  { id = "X15", name = "Clients", role = "client", side = "any", transport = "udp", media_port = "client-media" },
]
"#;

const SITE: &str = r#"
[[host]]
name = "fe01"
addresses = ["10.0.1.11", "fd00::11"]
roles = ["front-end"]
[[host]]
name = "it's a\n\"edge\" \u202e; Stop-Computer"
addresses = ["10.0.2.1"]
roles = ["edge"]
[[host]]
name = "gw01"
addresses = ["10.0.3.1"]
roles = ["gateway"]
[[network]]
name = "users"
prefixes = ["10.0.20.0/22"]
roles = ["client"]
"#;

fn policy(site: &str, strict: bool) -> Policy {
    let layer = |text: &str| Layer { layer: "test".into(), file: "test".into(), text: text.into() };
    let layers = [layer(POLICY), layer(ROWS), layer(EXEMPTIONS)];
    Policy::compile(&layers, Some(&layer(site)), Profile::default(), strict).expect("a policy")
}

fn written(name: &str, policy: &Policy, open: bool, exempt: bool) -> String {
    let format = FORMATS.iter().find(|format| format.name == name).expect("a format");
    let plan = Plan {
        policy,
        openings: open.then(|| policy.openings()),
        exempt: exempt.then(|| remedy::exempt(policy)),
    };
    let mut out = Vec::new();
    let style = Style { color: false, width: None };
    (format.write)(&plan, style, &mut out).expect("memory takes everything");
    String::from_utf8(out).expect("UTF-8")
}

fn exemptions(name: &str, site: &str, strict: bool) -> String {
    written(name, &policy(site, strict), false, true)
}

/// The lines of a script that its tool obeys.
fn commands(script: &str) -> Vec<&str> {
    script.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect()
}

#[test]
fn the_table_shows_both_parts_and_everyone() {
    let table = written("table", &policy(SITE, false), true, true);
    let has = |words: &[&str]| {
        table.lines().any(|line| line.split_whitespace().collect::<Vec<_>>() == words)
    };
    assert!(has(&["S01", "users", "fe01", "tcp", "5061", "signalling"]), "{table}");
    assert!(has(&["S02", "anyone", "gw01", "tcp", "5081"]), "{table}");
    assert!(table.contains("tcp+udp 3478, 5000-5009 from 68"), "{table}");
    assert!(table.contains(
        "1 row opens nothing, as the topology has no host of the role that responds: S03"
    ));
    assert!(has(&["X01+X02", "Edge", "10.0.2.1", "udp", "443,", "3478"]), "{table}");
    assert!(table.contains("the topology has no host of the role"), "{table}");
    assert!(has(&["users", "client", "10.0.20.0/22"]), "{table}");
    assert!(!table.contains('\u{202e}'), "names cannot turn the writing round");
}

#[test]
fn powershell_makes_one_pair_of_rules_for_both_directions() {
    let script = exemptions("powershell", SITE, false);
    let rules: Vec<&str> =
        commands(&script).into_iter().filter(|line| line.starts_with("New-")).collect();
    assert_eq!(
        rules,
        [
            "New-NetIPsecRule -PolicyStore $store -Group $group -DisplayName 'X01+X02 Edge udp' \
             -InboundSecurity None -OutboundSecurity None -LocalAddress Any -RemoteAddress '10.0.2.1' \
             -Protocol UDP -LocalPort Any -RemotePort '443','3478' | Out-Null",
            "New-NetIPsecRule -PolicyStore $store -Group $group -DisplayName \
             'X01+X02 Edge udp (own end)' -InboundSecurity None -OutboundSecurity None -LocalAddress \
             '10.0.2.1' -RemoteAddress Any -Protocol UDP -LocalPort '443','3478' -RemotePort Any \
             | Out-Null",
            "New-NetIPsecRule -PolicyStore $store -Group $group -DisplayName \
             'X05 Audio Inbound udp' -InboundSecurity None -OutboundSecurity None -LocalAddress Any \
             -RemoteAddress '10.0.1.11','fd00::11' -Protocol UDP -LocalPort Any -RemotePort \
             '49152-57500' | Out-Null",
            "New-NetIPsecRule -PolicyStore $store -Group $group -DisplayName \
             'X05 Audio Inbound udp (own end)' -InboundSecurity None -OutboundSecurity None \
             -LocalAddress '10.0.1.11','fd00::11' -RemoteAddress Any -Protocol UDP -LocalPort \
             '49152-57500' -RemotePort Any | Out-Null",
        ]
    );
    assert!(script.contains("\n# X11 Absent Inbound: the topology has no host of the role\n"));
    assert!(script.contains("\n# X15 Clients: 1024-65535 is nearly every port: set a range"));
}

#[test]
fn clients_are_exempt_by_a_range_that_the_site_has_set() {
    let site = format!("[media]\nclient = [\"50016-50047\"]\n{SITE}");
    let script = exemptions("netsh", &site, true);
    let rules: Vec<&str> =
        commands(&script).into_iter().filter(|line| line.contains("X15")).collect();
    assert_eq!(
        rules,
        [
            "advfirewall consec add rule name=\"X15 Clients udp\" endpoint1=any \
             endpoint2=10.0.20.0/22 action=noauthentication protocol=udp port1=any \
             port2=50016-50047",
            "advfirewall consec add rule name=\"X15 Clients udp (own end)\" \
             endpoint1=10.0.20.0/22 endpoint2=any action=noauthentication protocol=udp \
             port1=50016-50047 port2=any",
        ]
    );
    assert!(script.contains("X05 Audio Inbound udp\" endpoint1=any endpoint2=10.0.1.11,fd00::11 action=noauthentication protocol=udp port1=any port2=any"), "{script}");
    assert!(
        script.contains("# advfirewall consec delete rule name=\"X15 Clients udp (own end)\"\n")
    );
    assert!(commands(&script).iter().all(|line| line.starts_with("advfirewall ")));
}

#[test]
fn swanctl_writes_ranges_as_aligned_blocks_and_each_family_by_itself() {
    let script = exemptions("swanctl", SITE, false);
    assert!(script.contains(
        "# 49152-57500 is 6 aligned blocks of ports; written as one range it would become 49152-65535.\n"
    ));
    let child = "      x05-1-v6 {\n        local_ts = ::/0[udp]\n        remote_ts = \
                 fd00::11/128[udp/49152-57343], fd00::11/128[udp/57344-57471], \
                 fd00::11/128[udp/57472-57487], fd00::11/128[udp/57488-57495], \
                 fd00::11/128[udp/57496-57499], fd00::11/128[udp/57500]\n        mode = pass\n        \
                 start_action = trap\n      }\n";
    assert!(script.contains(child), "{script}");
    assert!(script.contains("      x01-x02-2-v4 {\n        local_ts = 10.0.2.1/32[udp/443], 10.0.2.1/32[udp/3478]\n        remote_ts = 0.0.0.0/0[udp]\n"));
    assert!(!script.contains("x01-x02-1-v6"), "the edge has no IPv6 address");
    assert_eq!(script.matches('{').count(), script.matches('}').count());
}

#[test]
fn xfrm_sets_single_ports_and_says_what_it_cannot() {
    let script = exemptions("xfrm", SITE, false);
    let policies: Vec<&str> =
        commands(&script).into_iter().filter(|line| line.starts_with("policy src")).collect();
    assert_eq!(
        policies,
        [
            "policy src 0.0.0.0/0 dst 10.0.2.1/32 proto udp dport 443 dir out",
            "policy src 10.0.2.1/32 dst 0.0.0.0/0 proto udp sport 443 dir in",
            "policy src 0.0.0.0/0 dst 10.0.2.1/32 proto udp dport 3478 dir out",
            "policy src 10.0.2.1/32 dst 0.0.0.0/0 proto udp sport 3478 dir in",
            "policy src 10.0.2.1/32 dst 0.0.0.0/0 proto udp sport 443 dir out",
            "policy src 0.0.0.0/0 dst 10.0.2.1/32 proto udp dport 443 dir in",
            "policy src 10.0.2.1/32 dst 0.0.0.0/0 proto udp sport 3478 dir out",
            "policy src 0.0.0.0/0 dst 10.0.2.1/32 proto udp dport 3478 dir in",
        ]
    );
    assert!(script.contains("# ip xfrm policy sets single ports, not 49152-57500: use swanctl"));
    assert!(script.contains("reading: rules for 1 of 4 groups of rows.\n# Only comments, as this tool cannot express their ports: X05.\n"), "{script}");
    assert!(exemptions("swanctl", SITE, false).contains("rules for 2 of 4 groups of rows.\n# An"));
    let strict = exemptions("xfrm", SITE, true);
    assert!(strict.contains("\npolicy src ::/0 dst fd00::11/128 proto udp dir out\n"), "{strict}");
}

#[test]
fn the_firewall_opens_servers_only_and_hostile_names_stay_names() {
    let script = written("powershell", &policy(SITE, false), true, false);
    let rules: Vec<&str> =
        commands(&script).into_iter().filter(|line| line.starts_with("New-")).collect();
    assert_eq!(rules.len(), 3, "{script}");
    assert_eq!(
        rules[0],
        "New-NetFirewallRule -PolicyStore $store -Group $group -DisplayName 'S01 tcp to fe01' \
         -Direction Inbound -Action Allow -LocalAddress '10.0.1.11','fd00::11' -RemoteAddress \
         '10.0.20.0/22' -Protocol TCP -LocalPort '5061' | Out-Null"
    );
    assert!(
        rules[2].contains("'S04 udp to it''s a\"edge\" ; Stop-Computer' -Direction"),
        "{}",
        rules[2]
    );
    assert!(
        rules[2]
            .ends_with("-Protocol UDP -LocalPort '3478','5000-5009' -RemotePort '68' | Out-Null")
    );
    assert!(script.contains("# No servers, so without commands: gw01, users."));
    let obeyed = commands(&script);
    assert!(obeyed.iter().all(|line| line.starts_with(['$', 'N', 'R'])), "{obeyed:?}");
}

#[test]
fn a_side_without_an_address_is_not_opened_to_everyone() {
    let site = SITE.replace("[\"10.0.1.11\", \"fd00::11\"]", "[]");
    let script = written("powershell", &policy(&site, false), true, false);
    assert!(commands(&script).iter().all(|line| !line.starts_with("New-")), "{script}");
    assert!(script.contains("# S01: no rule, as the topology gives no address of one side\n"));
    assert!(script.contains("# S04: no rule, as the topology gives no address of one side\n"));
}

#[test]
fn sheets_and_documents_hold_every_address() {
    let policy = policy(SITE, false);
    let sheet = written("csv", &policy, true, true);
    assert!(
        sheet.contains(
            "open,S01,users,10.0.20.0/22,fe01,10.0.1.11 fd00::11,tcp,,5061,signalling,\n"
        ),
        "{sheet}"
    );
    assert!(sheet.contains("exempt,X01 X02,anyone,,Edge,10.0.2.1,udp,,\"443,3478\","), "{sheet}");
    let page = written("markdown", &policy, true, true);
    assert!(
        page.contains(
            "| S01 | users (10.0.20.0/22) | fe01 (10.0.1.11 fd00::11) | tcp 5061 | signalling |\n"
        ),
        "{page}"
    );
    assert!(page.contains("## Must be exempt from IPsec, media-only reading\n"));
    assert!(!written("markdown", &policy, true, false).contains("IPsec"));
}

#[test]
fn json_leaves_out_what_was_not_asked_for() {
    let policy = policy(SITE, false);
    let value = |open, exempt| -> serde_json::Value {
        serde_json::from_str(&written("json", &policy, open, exempt)).expect("JSON")
    };
    let both = value(true, true);
    assert_eq!(both["open"][0]["to"]["members"][0]["addresses"][1], "fd00::11");
    assert_eq!(both["exempt"][0]["sides"], serde_json::json!(["to", "from"]));
    assert_eq!(both["exempt"][1]["blocks"][0]["exact"][5], "57500/16");
    assert_eq!(both["exempt"][1]["blocks"][0]["widened"], "49152-65535");
    assert_eq!(both["exempt"][2]["applies"], false);
    assert_eq!(value(true, false)["exempt"], serde_json::Value::Null);
    assert_eq!(value(false, true)["open"], serde_json::Value::Null);
}
