//! Whole exports against the rows of a small site.

use std::path::Path;

use super::*;
use crate::policy::{Layer, Profile, builtin};

const SITE: &str = r#"
[media]
client = "50020-50039"
[[host]]
name = "med01"
aliases = ["med01.example.net"]
addresses = ["10.1.3.10"]
roles = ["mediation"]
[[host]]
name = "sql01"
addresses = ["10.1.4.1"]
roles = ["sql"]
[[network]]
name = "users"
prefixes = ["10.1.20.0/24"]
roles = ["client"]
"#;

fn policy(site: &str, strict: bool) -> Policy {
    let site = Layer::named("site.toml", site);
    Policy::compile(&builtin::layers(), Some(&site), Profile::Sfb2019, strict)
        .unwrap_or_else(|error| panic!("{error}"))
}

fn judged(policy: &Policy, exports: &[(&str, &str)]) -> ExportsAnswer {
    let exports: Vec<(Export, Option<Owner>)> = exports
        .iter()
        .map(|(label, text)| {
            let export = Export::read(text.as_bytes(), Path::new("file"), label)
                .unwrap_or_else(|why| panic!("{why}"));
            (export, policy.topology().and_then(|topology| topology.owner_named(label)))
        })
        .collect();
    judge(policy, &exports)
}

fn row<'a>(answer: &'a ExportsAnswer, export: usize, id: &str) -> &'a RowAnswer {
    answer.exports[export].rows.iter().find(|row| row.row == id).unwrap()
}

fn rules(lines: &[&str]) -> String {
    let lines: Vec<String> =
        lines.iter().map(|line| format!("v2.10|Active=TRUE|Action={line}|")).collect();
    // The reader looks for the action first.
    lines.join("\n").replace("|Active=TRUE|Action=", "|Action=").replace("|\n", "|Active=TRUE|\n")
        + "Active=TRUE|"
}

const ISOLATION: &str = "SecureServer|Name=Isolation";
const MEDIA_UDP: &str = "DoNotSecure|Name=media udp|Protocol=17|EP2_4=10.1.3.10";
const MEDIA_TCP: &str = "DoNotSecure|Name=media tcp|Protocol=6|EP2_4=10.1.3.10";
const CLIENTS: &str = "DoNotSecure|Name=clients|Protocol=17|EP2Port2_10=50020-50039";

fn standing(lines: &[&str], label: &str, id: &str) -> Standing {
    let policy = policy(SITE, false);
    row(&judged(&policy, &[(label, &rules(lines))]), 0, id).standing
}

fn kinds(cautions: &[Caution]) -> Vec<&str> {
    cautions.iter().map(|caution| caution.kind.token()).collect()
}

#[test]
fn each_standing_is_reached() {
    let all = [ISOLATION, MEDIA_UDP, MEDIA_TCP, CLIENTS];
    for label in ["med01", "sql01", "somebody"] {
        for id in ["X05", "X06", "X15"] {
            assert_eq!(standing(&all, label, id), Standing::Present, "{label} {id}");
            assert_eq!(standing(&[ISOLATION], label, id), Standing::Missing, "{label} {id}");
        }
        assert_eq!(standing(&[ISOLATION, MEDIA_UDP], label, "X05"), Standing::Partial);
        assert_eq!(standing(&all, label, "X11"), Standing::NotApplicable);
        let elsewhere = "SecureServer|Name=echo|Protocol=1";
        assert_eq!(standing(&[elsewhere], label, "X05"), Standing::NotSecured);
    }
}

#[test]
fn the_gap_is_what_is_secured_and_not_exempt() {
    let policy = policy(SITE, false);
    let answer = judged(&policy, &[("sql01", &rules(&[ISOLATION, MEDIA_UDP]))]);
    let inbound = row(&answer, 0, "X05");
    assert_eq!((inbound.lacks.as_slice(), inbound.more_gaps), (&["protocol"][..], 0));
    let expected = Gap {
        transport: "tcp".into(),
        direction: "both",
        local: "10.1.4.1".into(),
        local_ports: "any".into(),
        remote: "10.1.3.10".into(),
        remote_ports: "49152-57500".into(),
        profiles: Vec::new(),
    };
    assert_eq!(inbound.gap, [expected]);
    assert_eq!(
        (inbound.exempting.as_slice(), inbound.securing.as_slice()),
        (&["media udp".to_owned()][..], &["Isolation".to_owned()][..])
    );
    assert!(!inbound.own && inbound.peer);
    assert_eq!(answer.failing(Severity::Error).0, 3, "X05, X06 and the clients");
    assert!(answer.decided() >= 3 && answer.undecided() == 0);
}

#[test]
fn what_an_exemption_falls_short_in_is_named() {
    let six = SITE.replace("\"10.1.3.10\"", "\"10.1.3.10\", \"fd00::10\"");
    let policy = policy(&six, false);
    for (short, lacks) in [
        ("DoNotSecure|Name=a|EP2_4=10.1.3.10", "ipv6"),
        ("DoNotSecure|Name=a|Profile=Domain|Profile=Private", "profile"),
        ("DoNotSecure|Name=a|EP2Port2_10=49152-50000|Protocol=17", "ports"),
        ("DoNotSecure|Name=a|EP2Port2_10=49152-57500|Protocol=17", "protocol"),
    ] {
        let answer = judged(&policy, &[("somebody", &rules(&[ISOLATION, short]))]);
        let row = row(&answer, 0, "X05");
        assert_eq!(row.standing, Standing::Partial, "{short}");
        assert!(row.lacks.contains(&lacks), "{short}: {:?}", row.lacks);
    }
    let answer = judged(&policy, &[("somebody", &rules(&[ISOLATION]))]);
    assert!(row(&answer, 0, "X05").lacks.is_empty(), "missing is missing in everything");
}

#[test]
fn an_exemption_without_effect_is_shadowed() {
    let off = rules(&[ISOLATION, MEDIA_TCP, MEDIA_UDP])
        .replace("10.1.3.10|Active=TRUE", "10.1.3.10|Active=FALSE");
    let policy = policy(SITE, false);
    let answer = judged(&policy, &[("med01", &off)]);
    let inbound = row(&answer, 0, "X05");
    assert_eq!(inbound.standing, Standing::Shadowed);
    assert_eq!(kinds(&inbound.cautions), ["inactive-exemption"; 2]);
    assert!(inbound.cautions[0].message.contains("disabled"));
    // The kernel takes the policy of the least number.
    let order = |exempt: u32, secure: u32| {
        let text = ["out", "in"].map(|direction| {
            let (src, dst) = if direction == "out" { ("0.0.0.0/0", "10.1.3.10/32") } else { ("10.1.3.10/32", "0.0.0.0/0") };
            format!("src {src} dst {dst}\n\tdir {direction} priority {exempt}\nsrc 0.0.0.0/0 dst 0.0.0.0/0\n\tdir {direction} priority {secure}\n\ttmpl src 0.0.0.0 dst 0.0.0.0\n\t\tproto esp mode transport\n")
        });
        let answer = judged(&policy, &[("sql01", &text.concat())]);
        ["X05", "X06"].map(|id| row(&answer, 0, id).standing)
    };
    assert_eq!(order(1, 2), [Standing::Present; 2]);
    assert_eq!(order(2, 1), [Standing::Shadowed; 2]);
}

#[test]
fn a_kernel_policy_of_one_direction_serves_one_row() {
    let policy = policy(SITE, false);
    let text = "src 0.0.0.0/0 dst 10.1.3.10/32\n\tdir out priority 1\nsrc 0.0.0.0/0 dst 0.0.0.0/0\n\tdir out priority 9\n\ttmpl src ::\nsrc 0.0.0.0/0 dst 0.0.0.0/0\n\tdir in priority 9\n\ttmpl src ::\n";
    let answer = judged(&policy, &[("sql01", text)]);
    assert_eq!(row(&answer, 0, "X05").standing, Standing::Present, "packets to it go out");
    let outbound = row(&answer, 0, "X06");
    assert_eq!((outbound.standing, outbound.gap[0].direction), (Standing::Missing, "in"));
}

#[test]
fn what_is_not_understood_decides_nothing() {
    for doubtful in [
        "DoNotSecure|Name=a|Protocol=17|EP2_4=10.1.3.10|Shiny=1",
        "Strange|Name=a",
        "DoNotSecure|Name=a|EP2_4=LocalSubnet",
    ] {
        let lines = [ISOLATION, doubtful, MEDIA_TCP];
        assert_eq!(standing(&lines, "med01", "X05"), Standing::Undecided, "{doubtful}");
    }
    assert_eq!(standing(&["Strange|Name=a"], "med01", "X05"), Standing::Undecided);
    // What cannot be read may be anything, and so may secure the row's traffic.
    for doubtful in [
        "SecureServer|Name=a|EP1_4=foo",
        "SecureServer|Name=a|EP2_4=foo|EP2_6=fd00::/64",
        "SecureServer|Name=a|EP1Port=RPC",
        "SecureServer|Name=a|EP2Port2_10=9-3|EP2Port=443",
        "SecureServer|Name=a|Profile=Domane",
        "SecureServer|Name=a|Protocol=alle",
        "SecureServer|Name=a|EP2_4=CaptivePortal",
    ] {
        assert_eq!(standing(&[doubtful], "med01", "X05"), Standing::Undecided, "{doubtful}");
        // Where all of it is exempt for certain, nothing hangs on it.
        let lines = [doubtful, MEDIA_UDP, MEDIA_TCP];
        assert_eq!(standing(&lines, "med01", "X05"), Standing::Present, "{doubtful}");
    }
    let known = ["DoNotSecure|Name=a|Shiny=1", MEDIA_UDP, MEDIA_TCP, ISOLATION];
    assert_eq!(standing(&known, "med01", "X05"), Standing::Present, "it hangs on nothing");
    let policy = policy(SITE, false);
    let port = "src 0.0.0.0/0 dst 10.1.3.10/32 proto udp dport 49152\n\tdir out priority 1\nsrc 0.0.0.0/0 dst 0.0.0.0/0\n\tdir out priority 9\n\ttmpl src ::\n\t\tmode transport\n";
    let answer = judged(&policy, &[("sql01", port)]);
    let inbound = row(&answer, 0, "X05");
    assert_eq!((inbound.standing, inbound.gap.len()), (Standing::Partial, 1), "TCP for certain");
    assert!(inbound.cautions.iter().any(|caution| caution.message.contains("mask of its port")));
    let answer = judged(&policy, &[("med01", &rules(&[ISOLATION, "DoNotSecure|Name=a|Shiny=1"]))]);
    assert!(kinds(&row(&answer, 0, "X05").cautions).contains(&"hangs-on"));
    assert_eq!(kinds(&answer.exports[0].cautions), ["not-understood"]);
}

#[test]
fn a_range_that_misses_the_last_port_is_told_and_strictly_a_gap() {
    let short = "DoNotSecure|Name=short|Protocol=17|EP2Port2_10=50020-50038";
    let lines = rules(&[ISOLATION, MEDIA_UDP, MEDIA_TCP, short]);
    let told = |strict: bool| {
        let answer = judged(&policy(SITE, strict), &[("sql01", &lines)]);
        let row = row(&answer, 0, "X15").clone();
        assert!(kinds(&row.cautions).contains(&"one-port-short"), "{:?}", row.cautions);
        row.standing
    };
    assert_eq!((told(false), told(true)), (Standing::Present, Standing::Partial));
}

#[test]
fn rules_that_do_more_or_less_than_they_seem_to_are_told() {
    let policy = policy(SITE, false);
    for (rule, kind) in [
        ("DoNotSecure|Name=a|EP2_4=10.1.3.10|IFType=Lan", "restricted"),
        ("DoNotSecure|Name=a|EP2_4=10.1.3.10|Profile=Domain", "not-every-profile"),
        ("DoNotSecure|Name=a|EP1_4=10.1.3.10", "ends-exchanged"),
        ("DoNotSecure|Name=a|Protocol=17|EP2Port2_10=49152|EP2Port2_10=49160", "single-ports"),
    ] {
        let answer = judged(&policy, &[("sql01", &rules(&[ISOLATION, rule]))]);
        let row = row(&answer, 0, "X05");
        assert!(kinds(&row.cautions).contains(&kind), "{kind}: {:?}", row.cautions);
    }
    for (rule, kind) in [
        ("DoNotSecure|Name=a", "exempts-everything"),
        ("DoNotSecure|Name=a|EP2_4=10.1.3.10", "any-protocol"),
        (MEDIA_UDP, "wider-than-row"),
        ("SecureServer|Name=t|RTunnel4=192.0.2.1", "tunnel"),
    ] {
        let answer = judged(&policy, &[("sql01", &rules(&[ISOLATION, rule]))]);
        assert_eq!(kinds(&answer.exports[0].cautions), [kind]);
    }
    let specific = "SecureServer|Name=narrow|Protocol=17|EP2_4=10.1.3.10|EP2Port=5060";
    let narrow = specific.replace("5060", "50000");
    for (securing, told) in [(specific, false), (narrow.as_str(), true)] {
        let answer = judged(&policy, &[("sql01", &rules(&[MEDIA_UDP, MEDIA_TCP, securing]))]);
        let kinds = kinds(&row(&answer, 0, "X05").cautions).join(" ");
        assert_eq!(
            kinds.contains("more-specific-securing-rule"),
            told,
            "only where the row is meant"
        );
    }
}

#[test]
fn an_exemption_at_one_end_only_is_told() {
    let policy = policy(SITE, false);
    let [whole, none] = [rules(&[ISOLATION, MEDIA_UDP, MEDIA_TCP, CLIENTS]), rules(&[ISOLATION])];
    let answer = judged(&policy, &[("med01", &whole), ("sql01", &none)]);
    assert_eq!(kinds(&answer.cautions), ["one-end-only"; 2], "neither is a client");
    assert!(answer.cautions[0].message.starts_with("X05 is exempt on med01 and not on sql01"));
    assert!(judged(&policy, &[("med01", &whole), ("sql01", &whole)]).cautions.is_empty());
}

#[test]
fn exports_of_peers_alone_and_without_rules_are_told() {
    let policy = policy(SITE, false);
    let whole = rules(&[ISOLATION, MEDIA_UDP, MEDIA_TCP, CLIENTS]);
    let answer = judged(&policy, &[("sql01", &whole), ("somebody", &whole)]);
    assert_eq!((kinds(&answer.cautions), answer.peers_only()), (vec!["peers-only"], true));
    assert_eq!(answer.cautions[0].severity, Severity::Note);
    let answer = judged(&policy, &[("med01", "[]")]);
    assert_eq!((answer.without_rules(), answer.count(Standing::NotSecured)), (1, 3));
    assert_eq!(kinds(&answer.exports[0].cautions), ["no-rules"]);
    assert!(answer.exports[0].cautions[0].message.contains("-PolicyStore ActiveStore"));
    assert!(!answer.peers_only());
}

/// Local rules below a Group Policy that switches them off in some profiles.
fn local(lines: &[&str], profiles: &[&str]) -> String {
    let root = "HKEY_LOCAL_MACHINE\\SOFTWARE\\Policies\\Microsoft\\WindowsFirewall";
    let local = "HKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet\\Services\\SharedAccess\\Parameters\\FirewallPolicy\\ConSecRules";
    let off: Vec<String> = profiles
        .iter()
        .map(|profile| format!("{root}\\{profile}\nAllowLocalIPsecPolicyMerge REG_DWORD 0x0\n"))
        .collect();
    let domain = format!("{ISOLATION}|Profile=Domain");
    format!(
        "{}{root}\\ConSecRules\n{}\n{local}\n{}\n",
        off.concat(),
        rules(&[&domain]),
        rules(lines)
    )
}

#[test]
fn local_rules_that_group_policy_switches_off_shadow() {
    let policy = policy(SITE, false);
    let every = ["DomainProfile", "PrivateProfile", "PublicProfile"];
    for off in [&every[..], &every[..1]] {
        let answer = judged(&policy, &[("med01", &local(&[MEDIA_UDP, MEDIA_TCP], off))]);
        let inbound = row(&answer, 0, "X05");
        assert_eq!((inbound.standing, inbound.lacks.len()), (Standing::Shadowed, 0), "{off:?}");
        assert_eq!(kinds(&inbound.cautions)[..2], ["inactive-exemption"; 2]);
        assert!(inbound.cautions[0].message.contains("Group Policy"), "{:?}", inbound.cautions);
        let names: Vec<&str> = inbound.held_back.iter().map(|(rule, _)| rule.as_str()).collect();
        assert_eq!(names, ["media udp", "media tcp"]);
    }
    let answer = judged(&policy, &[("med01", &local(&[MEDIA_UDP, MEDIA_TCP], &every[1..]))]);
    let inbound = row(&answer, 0, "X05");
    assert_eq!((inbound.standing, inbound.held_back.len()), (Standing::Present, 0));
}

#[test]
fn a_profile_that_is_lacking_is_named() {
    let policy = policy(SITE, false);
    let lines = [
        format!("{ISOLATION}|Profile=Domain"),
        format!("{MEDIA_UDP}|Profile=Private"),
        format!("{MEDIA_TCP}|Profile=Private"),
    ];
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let answer = judged(&policy, &[("med01", &rules(&lines))]);
    let inbound = row(&answer, 0, "X05");
    assert_eq!((inbound.standing, &inbound.lacks[..]), (Standing::Partial, &["profile"][..]));
    assert_eq!(inbound.gap[0].profiles, ["domain"]);
}

#[test]
fn rules_of_other_rows_neither_caution_nor_cut_up_what_people_are_told() {
    let policy = policy(SITE, false);
    let other = "DoNotSecure|Name=other|Protocol=17|EP1_4=10.1.4.1|EP1Port=443|EP1Port=3478";
    let off = "DoNotSecure|Name=off|Protocol=17|EP2_4=10.1.4.2|EP2Port=9";
    let lines = rules(&[ISOLATION, other, off]).replace("EP2Port=9|Active=TRUE", "EP2Port=9");
    let answer = judged(&policy, &[("somebody", &lines)]);
    let inbound = row(&answer, 0, "X05");
    assert!(inbound.cautions.is_empty() && inbound.held_back.is_empty(), "{:?}", inbound.cautions);
    assert!(inbound.gap.len() > 2, "{:?}", inbound.gap);
    let outline = &inbound.outline;
    let locals: Vec<(&str, &str)> =
        outline.pieces.iter().map(|gap| (gap.transport.as_str(), gap.local.as_str())).collect();
    assert_eq!(locals, [("tcp", "any IPv4"), ("udp", "any IPv4")]);
    assert!(outline.with_holes && outline.more == 0);
    let answer = judged(&policy, &[("somebody", &rules(&[ISOLATION]))]);
    assert!(!row(&answer, 0, "X05").outline.with_holes);
}

#[test]
fn a_disabled_rule_that_would_do_is_named() {
    let policy = policy(SITE, false);
    let off = rules(&[ISOLATION, MEDIA_TCP, CLIENTS, MEDIA_UDP])
        .replace("10.1.3.10|Active=TRUE", "10.1.3.10|Active=FALSE")
        .replacen("10.1.3.10|Active=FALSE", "10.1.3.10|Active=TRUE", 1);
    let answer = judged(&policy, &[("sql01", &off)]);
    let inbound = row(&answer, 0, "X05");
    assert_eq!((inbound.standing, inbound.lacks.len()), (Standing::Shadowed, 0));
    assert_eq!(inbound.held_back, [("media udp".to_owned(), "disabled".to_owned())]);
    let clients = row(&answer, 0, "X15");
    assert_eq!((clients.standing, clients.cautions.len()), (Standing::Present, 0));
}

#[test]
fn a_range_in_blocks_is_one_range_and_rules_for_both_ends_are_the_right_way_round() {
    let policy = policy(SITE, false);
    let block = |name: &str, ports: &str| {
        format!("DoNotSecure|Name={name}|Protocol=17|EP2_4=10.1.20.0/24|EP2Port2_10={ports}")
    };
    let [low, high] = [block("low", "50020-50038"), block("high", "50039")];
    let told = |lines: &[&str]| {
        let answer = judged(&policy, &[("sql01", &rules(lines))]);
        kinds(&row(&answer, 0, "X15").cautions).contains(&"one-port-short")
    };
    assert!(told(&[ISOLATION, &low]) && !told(&[ISOLATION, &low, &high]));
    let own = "DoNotSecure|Name=own|Protocol=17|EP1_4=10.1.3.10";
    let told = |lines: &[&str]| {
        let answer = judged(&policy, &[("sql01", &rules(lines))]);
        kinds(&row(&answer, 0, "X05").cautions).contains(&"ends-exchanged")
    };
    assert!(told(&[ISOLATION, own]) && !told(&[ISOLATION, own, MEDIA_UDP]));
}

#[test]
fn very_many_rules_are_compared_or_given_up() {
    let policy = policy(SITE, false);
    let mut text = rules(&[ISOLATION]);
    for n in 0..20_000_u32 {
        let [_, _, a, b] = (2 * n).to_be_bytes();
        // Neighbours would be one piece.
        let exempt = format!("DoNotSecure|Name=r{n}|Active=TRUE|Protocol=17|EP1_4=10.9.{a}.{b}|");
        let secure = format!("SecureServer|Name=s{n}|Active=TRUE|EP2_4=10.8.{a}.{b}|");
        for rule in [exempt, secure] {
            text.push_str("\nv2.10|Action=");
            text.push_str(&rule);
        }
    }
    let answer = judged(&policy, &[("somebody", &text)]);
    let inbound = row(&answer, 0, "X05");
    assert_eq!(inbound.standing, Standing::Undecided, "{inbound:?}");
    assert_eq!(kinds(&inbound.cautions), ["too-many-rules"]);
    let whole = text + &format!("\n{}", rules(&[MEDIA_UDP, MEDIA_TCP]));
    let answer = judged(&policy, &[("med01", &whole)]);
    assert_eq!(row(&answer, 0, "X05").standing, Standing::Present);
    assert_eq!(answer.exports[0].rules.total, 40_003);
}
