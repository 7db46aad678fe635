//! `portassay plan`: what must be open and exempt, as tables and as scripts, with the built-in tables.

use std::fs;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::cli::{code, portassay, stderr, stdout};

const SITE: &str = r#"
[media]
client = ["50020-50039", "58000-58019"]
[[host]]
name = "fe01"
addresses = ["10.0.1.12", "10.0.1.11", "fd00::11"]
roles = ["front-end", "conferencing-attendant"]
[[host]]
name = "med01"
addresses = ["10.0.1.31"]
roles = ["mediation"]
[[host]]
name = "gw01"
addresses = ["10.0.5.10"]
roles = ["pstn-gateway"]
[[network]]
name = "users"
prefixes = ["10.0.20.0/22"]
roles = ["client"]
"#;

fn plan(flags: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("site.toml");
    fs::write(&path, SITE).unwrap();
    let path = path.display().to_string();
    let mut words = vec!["plan", "-t", path.as_str()];
    words.extend(flags);
    let output = portassay(&words);
    assert_eq!(code(&output), 0, "{flags:?}: {}", stderr(&output));
    assert_eq!(stderr(&output), "");
    stdout(&output)
}

#[test]
fn without_a_topology_there_is_nothing_to_plan() {
    let output = portassay(&["plan"]);
    assert_eq!(code(&output), 2);
    assert_eq!(stdout(&output), "");
    let told = stderr(&output);
    assert!(told.contains("none was given") && told.contains("--topology"), "{told}");
}

#[test]
fn commands_that_only_exempt_do_not_open() {
    for format in ["netsh", "swanctl", "xfrm"] {
        let topology = "fixtures/demo-site/topology.toml";
        let output = portassay(&["plan", "-t", topology, "--only", "open", "--format", format]);
        assert_eq!(code(&output), 2, "{format}");
        assert!(stderr(&output).contains("--format powershell"), "{}", stderr(&output));
    }
}

#[test]
fn the_json_plan_names_who_opens_what_to_whom() {
    let value: Value = serde_json::from_str(&plan(&["--format", "json"])).unwrap();
    assert_eq!(value["schema"], "portassay.plan/1");
    let open = value["open"].as_array().unwrap();
    let trunk = open.iter().find(|entry| entry["rows"][0] == "S25").unwrap();
    assert_eq!(trunk["from"]["members"][0]["name"], "med01");
    assert_eq!(trunk["to"]["members"][0]["addresses"], serde_json::json!(["10.0.5.10"]));
    assert_eq!(trunk["transports"], serde_json::json!(["tcp"]));
    assert_eq!(trunk["ports"], serde_json::json!([5081]));
    let exempt = value["exempt"].as_array().unwrap();
    let names: Vec<&str> = exempt.iter().map(|entry| entry["name"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        [
            "X01+X03 A/V Edge Server Internal",
            "X02+X04 A/V Edge Server External",
            "X05+X06 Mediation Server",
            "X07+X08 Conferencing Attendant",
            "X09+X10 A/V Conferencing",
            "X11+X14 Exchange",
            "X12+X13 Application Sharing",
            "X15 Clients",
        ]
    );
    assert_eq!(exempt[0]["applies"], false);
    assert_eq!(exempt[3]["within"], serde_json::json!(["X09", "X10"]));
    assert_eq!(exempt[4]["addresses"], serde_json::json!(["10.0.1.11", "10.0.1.12", "fd00::11"]));
    let blocks = &exempt[7]["blocks"];
    assert_eq!(blocks[0]["exact"], serde_json::json!(["50020/14", "50024/13", "50032/13"]));
    assert_eq!(blocks[1]["widened"], "57984-58047");
}

#[test]
fn every_row_of_the_tables_is_open_exempt_or_told() {
    for strict in [&[][..], &["--strict"]] {
        let mut flags = vec!["--format", "json"];
        flags.extend(strict);
        let value: Value = serde_json::from_str(&plan(&flags)).unwrap();
        let rows = |key: &str| -> Vec<String> {
            let entries = value[key].as_array().unwrap().iter();
            let ids = entries.flat_map(|entry| entry["rows"].as_array().unwrap().clone());
            ids.map(|id| id.as_str().unwrap().to_owned()).collect()
        };
        let mut told: Vec<String> =
            ["open", "closed", "exempt"].into_iter().flat_map(rows).collect();
        told.sort();
        let rules = |more: &[&str]| {
            let mut words = vec!["rules", "--format", "json"];
            words.extend(more);
            let value: Value = serde_json::from_str(&stdout(&portassay(&words))).unwrap();
            let rules = value["rules"].as_array().unwrap().clone();
            rules.iter().map(|rule| rule["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        let mut all = rules(&[]);
        all.extend(rules(&["--pack", "ipsec-exemptions"]));
        all.sort();
        assert_eq!(told, all);
    }
}

#[test]
fn the_scripts_speak_of_every_exemption_row() {
    for format in ["powershell", "netsh", "swanctl", "xfrm"] {
        let script = plan(&["--format", format]);
        for number in 1..=15 {
            let row = format!("X{number:02}");
            assert!(script.contains(&row), "{format} says nothing of {row}");
        }
        // Single ports alone are not enough for any of these rows.
        assert_eq!(script.contains("10.0.1.31"), format != "xfrm", "{format}");
    }
}

#[test]
fn the_clients_are_exempt_on_both_sides() {
    let script = plan(&["--format", "powershell"]);
    let peer = "'X15 Clients udp' -InboundSecurity None -OutboundSecurity None -LocalAddress Any \
                -RemoteAddress '10.0.20.0/22' -Protocol UDP -LocalPort Any -RemotePort \
                '50020-50039','58000-58019'";
    let own = "'X15 Clients udp (own end)' -InboundSecurity None -OutboundSecurity None \
               -LocalAddress '10.0.20.0/22' -RemoteAddress Any -Protocol UDP -LocalPort \
               '50020-50039','58000-58019' -RemotePort Any";
    assert!(script.contains(peer) && script.contains(own), "{script}");
}

#[test]
fn strictly_every_port_of_the_servers_is_exempt() {
    let script = plan(&["--format", "netsh", "--strict"]);
    let rule = "name=\"X05+X06 Mediation Server tcp\" endpoint1=any endpoint2=10.0.1.31 \
                action=noauthentication protocol=tcp port1=any port2=any\n";
    assert!(script.contains(rule), "{script}");
    assert!(script.contains("# X05+X06 Mediation Server: every port, signalling too; of these the media takes 49152-57500\n"));
}

#[test]
fn the_shell_script_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("exempt.sh");
    let script = plan(&["--format", "xfrm", "--strict"]);
    assert!(script.contains("\npolicy src ::/0 dst fd00::11/128 proto udp dir out\n"), "{script}");
    fs::write(&path, script).unwrap();
    let said = Command::new("sh").arg("-n").arg(&path).stdin(Stdio::null()).output().unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    // A word that it does not know changes nothing.
    let said = Command::new("sh").arg(&path).arg("remove").stdin(Stdio::null()).output().unwrap();
    assert_eq!(said.status.code(), Some(2));
}

#[test]
fn the_firewall_rules_name_initiators_and_responders() {
    let script = plan(&["--format", "powershell", "--only", "open"]);
    let rule = "'S24+S49 tcp to med01' -Direction Inbound -Action Allow -LocalAddress '10.0.1.31' \
                -RemoteAddress '10.0.5.10' -Protocol TCP -LocalPort '5068' | Out-Null\n";
    assert!(script.contains(rule), "{script}");
    assert!(!script.contains("New-NetIPsecRule"));
}

#[test]
fn a_part_alone_is_that_part() {
    let open = plan(&["--only", "open"]);
    assert!(open.contains("Must be open") && !open.contains("exempt from IPsec"), "{open}");
    let exempt = plan(&["--only", "exempt", "--format", "markdown"]);
    assert!(exempt.starts_with("## Must be exempt from IPsec, media-only reading\n"), "{exempt}");
}
