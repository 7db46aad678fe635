//! `portassay ipsec`, and `--exports` beside a capture, as an administrator meets them: exit codes, the answer as
//! JSON, bad exports beside good ones.

use std::fs;

use serde_json::Value;

use crate::cli::{code, portassay, stderr, stdout};

const SITE: &str = r#"
[media]
client = "50020-50039"
[[host]]
name = "med01"
addresses = ["10.1.3.10", "fd00::10"]
roles = ["mediation"]
[[network]]
name = "users"
prefixes = ["10.1.20.0/24"]
roles = ["client"]
"#;

const GOOD: &str = r#"[
{"name":"Isolation","id":"{1}","enabled":"True","profile":"Any","mode":"Transport","in":"Require","out":"Request","source":"GroupPolicy","local":["Any"],"remote":["Any"],"proto":"Any","lport":["Any"],"rport":["Any"]},
{"name":"media","id":"{2}","enabled":"True","profile":"Any","mode":"Transport","in":"None","out":"None","source":"GroupPolicy","local":["10.1.3.10","fd00::10"],"remote":["Any"],"proto":"UDP","lport":["Any"],"rport":["Any"]},
{"name":"media tcp","id":"{3}","enabled":"True","profile":"Any","mode":"Transport","in":"None","out":"None","source":"GroupPolicy","local":["10.1.3.10","fd00::10"],"remote":["Any"],"proto":"TCP","lport":["Any"],"rport":["Any"]},
{"name":"clients","id":"{4}","enabled":"True","profile":"Any","mode":"Transport","in":"None","out":"None","source":"GroupPolicy","local":["Any"],"remote":["10.1.20.0/24"],"proto":"UDP","lport":["Any"],"rport":["50020-50039"]}
]"#;

const NETSH: &str = "
Rule Name:                            Isolation
----------------------------------------------------------------------
Enabled:                              Yes
Profiles:                             Domain,Private,Public
Type:                                 Static
Mode:                                 Transport
Endpoint1:                            Any
Endpoint2:                            Any
Protocol:                             Any
Action:                               RequireInRequestOut
Auth1:                                ComputerPSK
Auth1PSK:                             correct horse battery
Ok.
";

struct Run {
    folder: tempfile::TempDir,
}

impl Run {
    fn new(files: &[(&str, &[u8])]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("site.toml"), SITE).unwrap();
        for (name, bytes) in files {
            fs::write(folder.path().join(name), bytes).unwrap();
        }
        Self { folder }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// Exit code, standard output, standard error.
    fn ipsec(&self, exports: &[&str], more: &[&str]) -> (i32, String, String) {
        let exports: Vec<String> = exports
            .iter()
            .map(|name| match name.split_once('=') {
                Some((label, name)) => format!("{label}={}", self.path(name)),
                None => self.path(name),
            })
            .collect();
        let site = self.path("site.toml");
        let mut arguments = vec!["ipsec", "-t", &site];
        arguments.extend(exports.iter().map(String::as_str));
        arguments.extend(more);
        let output = portassay(&arguments);
        (code(&output), stdout(&output), stderr(&output))
    }

    fn json(&self, exports: &[&str]) -> (i32, Value) {
        let (code, out, _) = self.ipsec(exports, &["--format", "json"]);
        (code, serde_json::from_str(&out).unwrap())
    }
}

fn status<'a>(answer: &'a Value, export: usize, row: &str) -> &'a str {
    let rows = answer["exports"][export]["rows"].as_array().unwrap();
    rows.iter().find(|known| known["row"] == row).unwrap()["status"].as_str().unwrap()
}

#[test]
fn a_host_that_exempts_its_rows_exits_0_and_one_that_does_not_1() {
    let run = Run::new(&[("med01.json", GOOD.as_bytes()), ("fe01.txt", NETSH.as_bytes())]);
    let (code, out, err) = run.ipsec(&["med01.json"], &[]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.starts_with("PASS: 3 rows are exempt in 1 export\n"), "{out}");
    assert!(err.lines().last().unwrap().contains("exit 0: 3 rows"), "{err}");
    let (code, out, err) = run.ipsec(&["fe01.txt"], &[]);
    assert_eq!(code, 1, "{out}{err}");
    assert!(
        out.contains("missing")
            && out.contains("tcp+udp any IPv4, peer 10.1.3.10 port 49152-57500"),
        "{out}"
    );
    assert!(err.ends_with("portassay: exit 1: 3 rows are not exempt in 1 export\n"), "{err}");
    assert_eq!(run.ipsec(&["fe01.txt"], &["--exit-zero"]).0, 0);
    assert_eq!(run.ipsec(&["fe01.txt"], &["--fail-on", "never"]).0, 0);
    assert_eq!(run.ipsec(&["med01.json"], &["--fail-on", "note"]).0, 1, "it exempts every port");
    assert_eq!(run.ipsec(&["fe01.txt"], &["--host", "MED01"]).0, 1);
}

#[test]
fn json_tells_each_export_and_what_shows_between_them() {
    let wide: Vec<u8> = format!("\u{feff}{}", NETSH.replace('\n', "\r\n"))
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let run = Run::new(&[("a.json", GOOD.as_bytes()), ("b.txt", &wide)]);
    let (code, answer) = run.json(&["med01=a.json", "fe01=b.txt"]);
    assert_eq!((code, answer["schema"].as_str()), (1, Some("portassay.ipsec/1")));
    assert_eq!(
        (answer["exports"][0]["host"].as_str(), answer["exports"][1]["host"].as_str()),
        (Some("med01"), None)
    );
    for row in ["X05", "X06", "X15"] {
        assert_eq!((status(&answer, 0, row), status(&answer, 1, row)), ("present", "missing"));
    }
    assert_eq!(status(&answer, 0, "X11"), "not-applicable");
    let between = answer["cautions"].as_array().unwrap();
    assert!(between.iter().all(|caution| caution["kind"] == "one-end-only"));
    assert_eq!(between.len(), 2, "no client was audited");
    let (_, one) = run.json(&["med01=a.json"]);
    assert_eq!(one["exports"][0], answer["exports"][0], "each is judged by itself");
}

#[test]
fn an_export_that_cannot_be_read_is_told_and_the_others_are_answered() {
    let raw = br#"{"IPsecRuleName":"x","InboundSecurity":1}"#;
    let run =
        Run::new(&[("med01.json", GOOD.as_bytes()), ("raw.json", raw), ("noise", b"\0\xff\x01")]);
    let (code, out, err) = run.ipsec(&["med01.json", "raw.json", "noise", "absent"], &[]);
    assert_eq!(code, 2, "{out}{err}");
    assert!(out.contains("present"), "{out}");
    assert!(
        err.contains("Get-NetIPsecRule -PolicyStore ActiveStore | %"),
        "the command that helps: {err}"
    );
    assert!(err.contains("no rule of netsh") && err.contains("cannot open"), "{err}");
    assert!(
        err.lines()
            .last()
            .unwrap()
            .contains("exit 2: 3 exports could not be read; otherwise: 3 rows"),
        "{err}"
    );
    assert_eq!(run.ipsec(&["noise"], &["--exit-zero"]).0, 2);
}

#[test]
fn what_decides_and_is_not_understood_exits_3() {
    let strange = NETSH.replace("RequireInRequestOut", "AskNicely");
    let run = Run::new(&[("fe01.txt", strange.as_bytes())]);
    let (code, out, err) = run.ipsec(&["fe01.txt"], &[]);
    assert_eq!(code, 3, "{out}{err}");
    assert!(out.contains("undecided") && out.contains("its action is not understood"), "{out}");
    assert_eq!(run.ipsec(&["fe01.txt"], &["--allow-inconclusive"]).0, 0);
}

#[test]
fn mistakes_in_the_question_are_told() {
    let run = Run::new(&[("fe01.txt", NETSH.as_bytes())]);
    let (code, _, err) = run.ipsec(&["fe01.txt"], &["--host", "med02"]);
    assert_eq!(code, 2);
    assert!(err.contains("did you mean 'med01'?"), "{err}");
    assert_eq!(run.ipsec(&["fe01.txt", "fe01.txt"], &["--host", "med01"]).0, 2);
    let output = portassay(&["ipsec", &run.path("fe01.txt")]);
    assert!(stderr(&output).contains("name a topology with --topology"), "{}", stderr(&output));
}

#[test]
fn a_pass_says_what_it_rests_on() {
    let short = GOOD.replace("50020-50039", "50020-50038");
    let run = Run::new(&[
        ("empty.json", b"[]"),
        ("good.json", GOOD.as_bytes()),
        ("short.json", short.as_bytes()),
    ]);
    let (code, out, _) = run.ipsec(&["empty.json"], &[]);
    let headline = out.lines().next().unwrap();
    assert_eq!(
        (code, headline),
        (
            0,
            "PASS: no row is secured in 1 export, so that none need be exempt; 1 export holds no \
             rule at all; only the peers' end was audited"
        )
    );
    assert!(out.contains("it has 0 rules") && out.contains("warning: it has"), "{out}");
    assert!(out.contains("Judged as anyone who talks to the roles' hosts, as 'empty' is"), "{out}");
    let (code, out, _) = run.ipsec(&["nosuch=good.json"], &["--fail-on", "warning"]);
    assert_eq!(code, 1);
    assert!(out.contains("warning: 'nosuch' is neither a host nor a network"), "{out}");
    let (_, out, _) = run.ipsec(&["usres=good.json"], &[]);
    assert!(out.contains("did you mean 'users'?"), "{out}");
    assert!(!run.ipsec(&["good.json"], &[]).1.contains("neither a host"));
    let (code, out, _) = run.ipsec(&["users=short.json"], &["--fail-on", "warning"]);
    assert_eq!(code, 1);
    assert_eq!(
        out.lines().next().unwrap(),
        "FAIL: 1 caution counts by --fail-on in 1 export; no row lacks its exemption"
    );
    assert_eq!(run.ipsec(&["users=short.json"], &["--strict"]).0, 1);
}

#[test]
fn no_output_shows_a_key() {
    let run = Run::new(&[("fe01.txt", NETSH.as_bytes())]);
    for format in ["table", "json", "csv", "markdown"] {
        let (_, out, err) = run.ipsec(&["fe01.txt"], &["--format", format, "-v"]);
        assert!(out.contains("Isolation"), "{format}: {out}");
        assert!(!out.contains("battery") && !err.contains("battery"), "{format}");
    }
    // Even where the label is damaged.
    let damaged = NETSH.replace("Auth1PSK:", "Schlüssel");
    let run = Run::new(&[("fe01.txt", damaged.as_bytes())]);
    let (_, out, err) = run.ipsec(&["fe01.txt"], &["--format", "json", "-v"]);
    assert!(!out.contains("battery") && !err.contains("battery"), "{out}{err}");
}

#[test]
fn help_names_the_commands_that_export_and_the_schema_is_printed() {
    let help = stdout(&portassay(&["ipsec", "--help"]));
    assert!(
        help.contains("netsh advfirewall consec show rule") && help.contains("swanctl --list-pols")
    );
    let schema = stdout(&portassay(&["schema", "ipsec"]));
    assert!(schema.contains("portassay.ipsec/1"));
}

/// The rules of a mediation server, with its media exempt or not.
fn rules(exempt: bool) -> String {
    let media = if exempt { "TRUE" } else { "FALSE" };
    format!(
        "v2.10|Action=SecureServer|Active=TRUE|Name=Isolation|\n\
         v2.10|Action=DoNotSecure|Active={media}|Name=Media|Protocol=17|EP1Port2_10=49152-57500|\n"
    )
}

/// `check` of a recorded case with exports: exit code, standard output, standard error.
fn check(case: &str, exports: &[(&str, &str)], more: &[&str]) -> (i32, String, String) {
    let run =
        Run::new(&exports.iter().map(|(name, text)| (*name, text.as_bytes())).collect::<Vec<_>>());
    let folder = format!("{}/fixtures/{case}", env!("CARGO_MANIFEST_DIR"));
    let site = format!("{folder}/topology.toml");
    let paths: Vec<String> = exports.iter().map(|(name, _)| run.path(name)).collect();
    let mut arguments = vec!["check", &folder, "-t", &site];
    arguments.extend(paths.iter().flat_map(|path| ["--exports", path]));
    arguments.extend(more);
    let output = portassay(&arguments);
    (code(&output), stdout(&output), stderr(&output))
}

fn configured(json: &str, row: &str) -> Vec<(String, String, String, bool)> {
    let report: Value = serde_json::from_str(json).unwrap();
    let rows = report["ipsec"]["exemptions"].as_array().unwrap();
    let row = rows.iter().find(|known| known["row"] == row).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let all = row["configured"].as_array().unwrap().iter().map(|one| {
        let contradicts = one["contradicts"].as_bool().unwrap();
        (text(&one["rule"]), text(&one["says"]), text(&one["seen"]), contradicts)
    });
    all.collect()
}

fn of(rule: &str, says: &str, seen: &str, contradicts: bool) -> (String, String, String, bool) {
    (rule.to_owned(), says.to_owned(), seen.to_owned(), contradicts)
}

#[test]
fn a_rule_that_exempts_what_came_inside_ipsec_is_named_and_one_that_secures_it_explains_it() {
    let case = "esp-null-around-rtp-to-mediation";
    let exempt = rules(true);
    let (code, out, err) = check(case, &[("med01.txt", &exempt)], &[]);
    assert_eq!(code, 1, "{out}{err}");
    assert!(
        out.contains(
            "contradiction: rule 'Media' of the export of med01 exempts udp 10.20.0.200:20000 -> \
             10.20.0.21:49200, and yet it came inside IPsec (capture 0, frame 14)"
        ),
        "{out}"
    );
    let json = ["--format", "json"];
    let (_, out, _) = check(case, &[("med01.txt", &exempt)], &json);
    assert_eq!(configured(&out, "X05"), [of("Media", "exempts", "inside-ipsec", true)]);
    let (_, out, _) = check(case, &[("med01.txt", &rules(false))], &json);
    assert_eq!(configured(&out, "X05"), [of("Isolation", "secures", "inside-ipsec", false)]);
    let (_, out, _) = check(case, &[], &json);
    assert_eq!(configured(&out, "X05"), []);
}

#[test]
fn a_negotiation_that_media_waited_for_is_held_against_the_rules_of_both_ends() {
    let case = "media-waits-for-ike";
    let exports = [("med01.txt", &*rules(true)), ("gw02.txt", &*rules(false))];
    let run = |threads| {
        let (code, out, err) = check(case, &exports, &["--format", "json", "--threads", threads]);
        assert_eq!(code, 1, "{err}");
        out
    };
    let one = run("1");
    assert_eq!(one, run("4"));
    assert_eq!(
        configured(&one, "X05"),
        [
            of("Media", "exempts", "initiated", true),
            of("Media", "exempts", "inside-ipsec", true),
            of("Isolation", "secures", "agreed", false),
            of("Isolation", "secures", "inside-ipsec", false),
        ]
    );
}

#[test]
fn a_refused_negotiation_is_laid_to_the_end_that_began_it() {
    let exports = [("med01.txt", &*rules(true)), ("gw01.txt", &*rules(true))];
    let (_, out, err) = check("ike-refused-then-media-in-clear", &exports, &["--format", "json"]);
    assert_eq!(
        configured(&out, "X06"),
        [of("Media", "exempts", "initiated", true), of("Media", "exempts", "asked-by-peer", false)],
        "{err}"
    );
    assert!(out.contains("and yet med01 began to negotiate"), "{out}");
}

#[test]
fn exports_that_cannot_be_used_exit_2_and_the_capture_is_audited() {
    let case = "esp-null-around-rtp-to-mediation";
    let exports =
        [("med01.txt", &*rules(true)), ("gw01.txt", "noise"), ("med1.txt", &*rules(true))];
    let (code, out, err) = check(case, &exports, &["--format", "json", "--exit-zero"]);
    assert_eq!(code, 2, "{err}");
    assert_eq!(configured(&out, "X05").len(), 1);
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["exit_code"], 2);
    assert!(err.contains("no rule of netsh"), "{err}");
    assert!(
        err.contains(
            "'med1' is neither a host nor a network of the topology; did you mean 'med01'?"
        ),
        "{err}"
    );
    assert!(
        err.lines().last().unwrap().contains("exit 2: 2 exports could not be used; otherwise: "),
        "{err}"
    );
}

#[test]
fn exports_need_a_topology_and_are_not_overwritten() {
    let run = Run::new(&[("med01.txt", NETSH.as_bytes())]);
    let capture = format!("{}/fixtures/media-waits-for-ike", env!("CARGO_MANIFEST_DIR"));
    let export = format!("med01={}", run.path("med01.txt"));
    let output = portassay(&["check", &capture, "--exports", &export]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("name a topology with --topology"), "{}", stderr(&output));
    let report = format!("json={}", run.path("med01.txt"));
    let site = run.path("site.toml");
    let output = portassay(&["check", &capture, "-t", &site, "--exports", &export, "-o", &report]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("would overwrite"), "{}", stderr(&output));
}
