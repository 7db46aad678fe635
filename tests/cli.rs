//! The program as its users meet it: exit codes, messages, formats, bad input beside good.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::support::capture::{self, Order, Pcapng, Recorded, Ticks};
use crate::support::story::Story;
use crate::support::{craft, fixtures};

pub(crate) fn portassay(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_portassay"))
        .args(arguments)
        .env_remove("PORTASSAY_TOPOLOGY")
        .env_remove("NO_COLOR")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

pub(crate) fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or_else(|| panic!("ended by a signal: {}", stderr(output)))
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn case(name: &str) -> PathBuf {
    fixtures::folder().join(name)
}

fn capture(name: &str) -> String {
    let folder = case(name);
    ["pcapng", "pcap"]
        .iter()
        .map(|ending| folder.join(format!("capture.{ending}")))
        .find(|path| path.is_file())
        .unwrap_or_else(|| panic!("no capture in {}", folder.display()))
        .display()
        .to_string()
}

fn topology(name: &str) -> String {
    case(name).join("topology.toml").display().to_string()
}

fn scratch(name: &str, content: &[u8]) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, content).unwrap();
    let path = path.display().to_string();
    (folder, path)
}

/// The last line on stderr names the exit code's reason.
fn assert_reason(output: &Output, words: &str) {
    let text = stderr(output);
    let last = text.lines().last().unwrap_or_default();
    assert!(last.contains(words), "the last line should say '{words}':\n{text}");
}

const GOOD: &str = "tls12-on-5061";
const BAD: &str = "sip-in-clear-on-5061";

#[test]
fn a_clean_capture_exits_0_and_a_finding_exits_1() {
    let good = portassay(&["check", &capture(GOOD), "-t", &topology(GOOD)]);
    assert_eq!(code(&good), 0, "{}{}", stdout(&good), stderr(&good));
    assert_reason(&good, "exit 0: no finding");
    let bad = portassay(&["check", &capture(BAD), "-t", &topology(BAD)]);
    assert_eq!(code(&bad), 1, "{}{}", stdout(&bad), stderr(&bad));
    assert_reason(&bad, "exit 1: 1 finding");
    assert!(stdout(&bad).contains("cleartext-where-tls-expected"), "{}", stdout(&bad));
}

#[test]
fn thresholds_decide_the_exit_code() {
    let run = |flags: &[&str]| {
        let (capture, topology) = (capture(BAD), topology(BAD));
        let mut words = vec!["check", capture.as_str(), "-t", topology.as_str()];
        words.extend(flags);
        code(&portassay(&words))
    };
    assert_eq!(run(&["--fail-on", "never"]), 0);
    assert_eq!(run(&["--exit-zero"]), 0);
    assert_eq!(run(&["--fail-on", "note"]), 1);
    let (capture, topology) = (capture(BAD), topology(BAD));
    let never = portassay(&["check", &capture, "-t", &topology, "--fail-on", "never"]);
    assert_reason(&never, "exit 0: findings do not fail this run (--fail-on never)");
}

#[test]
fn without_a_topology_the_answer_is_inconclusive_but_useful() {
    let output = portassay(&["check", &capture("demo-site")]);
    assert_eq!(code(&output), 3);
    assert_reason(&output, "inconclusive: no topology");
    let text = stdout(&output);
    for words in ["front-end", "5061", "--topology"] {
        assert!(text.contains(words), "no '{words}' in:\n{text}");
    }
    assert!(!text.contains("For a firmer answer"), "nothing is wrong with the capture:\n{text}");
    let allowed = portassay(&["check", &capture("demo-site"), "--allow-inconclusive"]);
    assert_eq!(code(&allowed), 0);
}

#[test]
fn unusable_inputs_say_what_and_why_and_exit_2() {
    let (_a, empty) = scratch("empty.pcap", b"");
    let (_b, text) = scratch("notes.pcap", b"these are notes, not packets\n");
    let (_c, header) = scratch("short.pcap", &[0xD4, 0xC3, 0xB2, 0xA1, 2, 0, 4, 0]);
    let folder = tempfile::tempdir().unwrap();
    let none = folder.path().display().to_string();
    for (input, words) in [
        ("/no/such/file.pcap", "cannot open /no/such/file.pcap"),
        (none.as_str(), "no captures in the folder"),
        (empty.as_str(), "empty"),
        (text.as_str(), "is not a capture"),
        (header.as_str(), "is not a capture"),
    ] {
        let output = portassay(&["check", input, "-t", &topology(GOOD)]);
        assert_eq!(code(&output), 2, "{input}: {}", stderr(&output));
        let errors: Vec<String> =
            stderr(&output).lines().filter(|l| l.starts_with("error: ")).map(Into::into).collect();
        assert_eq!(errors.len(), 1, "{input}: one sentence each:\n{}", stderr(&output));
        assert!(errors[0].contains(words), "{input}: {}", errors[0]);
    }
}

#[test]
fn a_bad_input_does_not_keep_the_others_from_their_answer() {
    let (_keep, text) = scratch("notes.pcap", b"these are notes, not packets\n");
    let output =
        portassay(&["check", &text, &capture(BAD), "-t", &topology(BAD), "--format", "json"]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("notes.pcap is not a capture"));
    let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(report["captures"].as_array().unwrap().len(), 1);
    assert_eq!(report["findings"][0]["rule"], "cleartext-where-tls-expected");
    assert_eq!(report["exit_code"], 2);
}

#[test]
fn a_capture_cut_in_a_record_is_read_to_its_last_whole_record() {
    let bytes = fs::read(capture(GOOD)).unwrap();
    let (_keep, cut) = scratch("cut.pcapng", &bytes[..bytes.len() - 5]);
    let output = portassay(&["check", &cut, "-t", &topology(GOOD), "--format", "json"]);
    let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert!(report["captures"][0]["frames"].as_u64().unwrap() > 5);
    assert_eq!(report["quality"]["grade"], "degraded");
    let warning = stderr(&output);
    assert!(warning.contains("warning: ") && warning.contains("cut by the end"), "{warning}");
    assert_eq!(code(&output), 0, "{warning}");
}

#[test]
fn an_unknown_link_type_alone_exits_2_and_is_named() {
    let mut pcap = Vec::new();
    for word in [0xA1B2_C3D4_u32, 0x0004_0002, 0, 0, 65_535, 147, 0, 0, 4, 4, 0] {
        pcap.extend_from_slice(&word.to_le_bytes());
    }
    let (_keep, path) = scratch("user.pcap", &pcap);
    let output = portassay(&["check", &path, "-t", &topology(GOOD)]);
    assert_eq!(code(&output), 2, "{}", stderr(&output));
    assert_reason(&output, "link type");
    assert_reason(&output, "147");
    let first = stdout(&output).lines().next().unwrap_or_default().to_owned();
    assert!(first.starts_with("INCONCLUSIVE: every frame has a link type"), "{first}");
}

#[test]
fn mistakes_in_the_topology_name_line_value_and_the_nearest_word() {
    let text = "[[host]]\nname = \"fe\"\naddresses = [\"10.0.0.1\"]\nroles = [\"frontend\"]\n";
    let (_keep, path) = scratch("site.toml", text.as_bytes());
    let output = portassay(&["check", &capture(GOOD), "-t", &path]);
    assert_eq!(code(&output), 2);
    let said = stderr(&output);
    for words in ["site.toml:4", "frontend", "front-end"] {
        assert!(said.contains(words), "no '{words}' in:\n{said}");
    }
    let missing = portassay(&["check", &capture(GOOD), "-t", "/no/such/site.toml"]);
    assert_eq!(code(&missing), 2);
    assert!(stderr(&missing).contains("cannot open /no/such/site.toml"), "{}", stderr(&missing));
}

#[test]
fn a_filter_works_offline_and_a_bad_one_exits_2() {
    let all = portassay(&[
        "check",
        &capture("demo-site"),
        "-t",
        &topology("demo-site"),
        "--format",
        "json",
    ]);
    let some = portassay(&[
        "check",
        &capture("demo-site"),
        "-t",
        &topology("demo-site"),
        "--format",
        "json",
        "-f",
        "tcp port 8888",
    ]);
    let all: Value = serde_json::from_str(&stdout(&all)).unwrap();
    let some: Value = serde_json::from_str(&stdout(&some)).unwrap();
    assert!(some["flows"]["total"].as_u64() < all["flows"]["total"].as_u64());
    assert_eq!(some["captures"][0]["frames"], all["captures"][0]["frames"]);
    assert_eq!(some["findings"].as_array().unwrap().len(), 1);
    let bad = portassay(&["check", &capture(GOOD), "-f", "tcp prot 1"]);
    assert_eq!(code(&bad), 2);
    assert!(stderr(&bad).contains("the filter 'tcp prot 1' does not compile"), "{}", stderr(&bad));
}

#[test]
fn any_number_of_threads_gives_the_same_bytes() {
    let run = |threads: &str, format: &str| {
        let folder = fixtures::folder().display().to_string();
        stdout(&portassay(&[
            "check",
            &folder,
            "-t",
            &topology("demo-site"),
            "--threads",
            threads,
            "--format",
            format,
        ]))
    };
    for format in ["table", "json", "jsonl", "csv", "markdown"] {
        let one = run("1", format);
        assert!(one.len() > 500, "{format}: {one}");
        assert_eq!(run("2", format), one, "{format}, 2 threads");
        assert_eq!(run("7", format), one, "{format}, 7 threads");
    }
}

#[test]
fn broken_cases_are_told_beside_good_ones() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    for name in ["good", "large", "pipe"] {
        fs::create_dir(root.join(name)).unwrap();
        fs::copy(capture("demo-site"), root.join(name).join("capture.pcapng")).unwrap();
        fs::copy(case("demo-site").join("case.toml"), root.join(name).join("case.toml")).unwrap();
        fs::copy(topology("demo-site"), root.join(name).join("topology.toml")).unwrap();
    }
    fs::File::create(root.join("large/case.toml")).unwrap().set_len(3 << 30).unwrap();
    fs::create_dir(root.join("pipe/expected.json")).unwrap();
    let output = portassay(&["test", &root.display().to_string()]);
    let said = stdout(&output);
    assert_eq!(code(&output), 2, "{said}");
    assert!(said.contains("ok      good"), "{said}");
    assert!(said.contains("large/case.toml: larger than 64 MiB"), "{said}");
    assert!(said.contains("pipe/expected.json: not a regular file"), "{said}");
}

#[test]
fn names_of_inputs_never_reach_the_terminal_as_commands() {
    let output = portassay(&["check", "no\u{1b}[31mred\u{202e}.pcap"]);
    let said = stderr(&output);
    assert!(said.starts_with("error: cannot open no\\x1b[31mred\\u{202e}.pcap: "), "{said}");
}

#[test]
fn noise_of_a_thousand_ethertypes_is_told_in_a_few_words() {
    let noise = |kind: u16| {
        Recorded::new(1, [&[2; 12][..], &(0x1000 + kind).to_be_bytes(), &[0; 46]].concat())
    };
    let frames: Vec<Recorded> = (0..1_000).map(noise).collect();
    let bytes = capture::pcap(1, Order::Little, Ticks::Nano, &frames);
    let (_folder, path) = scratch("noise.pcap", &bytes);
    let said = stdout(&portassay(&["check", &path]));
    assert!(said.contains("1 ethertype-0x100b and 988 for other reasons."), "{said}");
}

#[test]
fn a_policy_file_of_a_million_mistakes_is_refused_at_once() {
    let (_folder, path) = scratch("mistakes.toml", "a\n".repeat(500_000).as_bytes());
    let output = portassay(&["policy", "check", "-t", &path]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("more problems"), "{}", stderr(&output));
}

#[test]
fn a_port_that_refuses_is_no_service() {
    let (client, server) = (craft::at("10.0.0.9:40000"), craft::at("10.0.0.1:4444"));
    let bytes = Story::begins(1_700_000_000).tcp_refused(client, server).pcap();
    let (_folder, path) = scratch("refused.pcap", &bytes);
    let said = stdout(&portassay(&["check", &path]));
    assert!(said.contains("No service was seen."), "{said}");
}

#[test]
fn more_captures_than_a_program_may_hold_open_are_all_read() {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..300 {
        let copy = folder.path().join(format!("{number}.pcapng"));
        fs::copy(capture("demo-site"), copy).unwrap();
    }
    // A shell's limit counts for what it starts.
    let output = Command::new("sh")
        .args(["-c", r#"ulimit -n 200 && exec "$0" check "$1" --format json"#])
        .args([env!("CARGO_BIN_EXE_portassay"), &folder.path().display().to_string()])
        .output()
        .unwrap();
    assert_eq!(code(&output), 3, "{}", stderr(&output));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let captures = report["captures"].as_array().unwrap();
    assert_eq!(captures.len(), 300);
    assert!(captures.iter().all(|capture| capture["damage"].is_null()));
}

/// What `check` says with 1, 2 and 7 threads, which must be the same.
fn with_any_number_of_threads(path: &str, more: &[&str]) -> (i32, Value) {
    let run = |threads: &str| {
        let arguments = [&["check", path, "--format", "json", "--threads", threads], more].concat();
        let output = portassay(&arguments);
        (code(&output), stdout(&output), stderr(&output))
    };
    let one = run("1");
    assert_eq!(run("2"), one, "2 threads");
    assert_eq!(run("7"), one, "7 threads");
    (one.0, serde_json::from_str(&one.1).unwrap_or_else(|_| panic!("{}", one.2)))
}

/// A datagram of a flow of its own.
fn datagram(number: u32) -> Recorded {
    let [_, a, b, c] = number.to_be_bytes();
    let from = format!("11.{a}.{b}.{c}:4000");
    let packet = craft::udp(craft::at(&from), craft::at("10.0.0.1:5061")).payload([b'x'; 40]);
    Recorded::new(1_700_000_000_000_000_000 + u64::from(number), packet.ethernet())
}

#[test]
fn an_error_behind_damage_is_an_error_with_no_number_of_threads() {
    let mut file = Pcapng::new(Order::Little).interface(1, Ticks::Nano);
    for number in 0..2_000 {
        file = file.frame(0, &datagram(number));
    }
    let damage_at = file.bytes().len();
    let mut file = Pcapng::new(Order::Little).interface(1, Ticks::Nano);
    for number in 0..32_000 {
        if number == 30_000 {
            // Raw IP, for which the filter does not compile.
            file = file.section(Order::Little).interface(101, Ticks::Nano);
        }
        file = file.frame(0, &datagram(number));
    }
    let mut bytes = file.bytes();
    bytes[damage_at + 4..damage_at + 8].fill(0xff);
    assert!(bytes.len() > 3 << 20, "too short for several shares");
    let (_folder, path) = scratch("damaged.pcapng", &bytes);
    let (code, report) = with_any_number_of_threads(&path, &["-f", "ether host 02:00:00:00:00:01"]);
    assert_eq!((code, &report["captures"][0]["frames"]), (3, &Value::from(2_000)));
}

#[test]
fn shares_that_hold_too_many_flows_together_are_read_again() {
    let frames: Vec<Recorded> = (0..75_000).map(datagram).collect();
    let bytes = capture::pcap(1, Order::Little, Ticks::Nano, &frames);
    let (_folder, path) = scratch("many.pcap", &bytes);
    let (_, report) = with_any_number_of_threads(&path, &["--max-flows", "1000"]);
    assert_eq!(report["captures"][0]["frames"], 75_000);
    assert!(report["quality"].to_string().contains("74000 packets"), "{}", report["quality"]);
}

#[test]
fn a_filter_leaves_frames_of_an_unread_link_type_to_be_counted() {
    let mut file =
        Pcapng::new(Order::Little).interface(9_999, Ticks::Nano).interface(1, Ticks::Nano);
    for number in 0..9 {
        file = file.frame(usize::from(number % 3 > 0), &datagram(number));
    }
    let (_folder, path) = scratch("mixed.pcapng", &file.bytes());
    let (code, report) = with_any_number_of_threads(&path, &["-f", "udp port 53"]);
    let capture = &report["captures"][0];
    assert_eq!((code, &capture["filtered_out"]), (3, &Value::from(6)), "{capture}");
    assert_eq!(capture["undecoded"]["link-type-9999"], 3, "{capture}");
}

#[test]
fn frames_undecoded_for_reasons_of_one_name_are_all_counted() {
    let llc = |length: u16| {
        let header = [&[2; 12][..], &length.to_be_bytes(), &[0x42, 0x42, 3, 0, 0]].concat();
        Recorded::new(1, header)
    };
    let frames: Vec<Recorded> = (38..48).map(llc).collect();
    let bytes = capture::pcap(1, Order::Little, Ticks::Nano, &frames);
    let (_folder, path) = scratch("spanning-tree.pcap", &bytes);
    let (_, report) = with_any_number_of_threads(&path, &[]);
    assert_eq!(report["captures"][0]["undecoded"]["llc"], 10);
}

#[test]
fn more_threads_than_a_machine_can_start_are_no_trouble() {
    let output = portassay(&["check", &capture("demo-site"), "--threads", "1000000000"]);
    assert_eq!(code(&output), 3, "{}", stderr(&output));
}

#[test]
fn copies_are_counted_once_unless_asked_for() {
    let name = "mirror-shows-every-frame-twice";
    let numbers = |more: &[&str]| {
        let (path, topology) = (capture(name), topology(name));
        let arguments = ["check", &path, "-t", &topology, "--format", "json"];
        let output = portassay(&[&arguments, more].concat());
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let packets = |class: &Value| class["packets"].as_u64().unwrap();
        let classes = report["flows"]["by_class"].as_object().unwrap();
        let packets: u64 = classes.values().map(packets).sum();
        (report["captures"][0]["duplicates"].as_u64(), packets)
    };
    assert_eq!(numbers(&[]), (Some(27), 27));
    assert_eq!(numbers(&["--keep-duplicates"]), (None, 54));
}

#[test]
fn a_filter_by_port_that_hides_fragments_is_told() {
    let name = "fragments-in-any-order";
    let reasons = |filter: &str| {
        let (path, topology) = (capture(name), topology(name));
        let output =
            portassay(&["check", &path, "-t", &topology, "--format", "json", "-f", filter]);
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        report["quality"]["reasons"].to_string()
    };
    let told = reasons("udp port 57600");
    assert!(told.contains("passes the first fragments of 12 datagrams"), "{told}");
    let mended = "udp port 57600 or (ip[6:2] & 0x1fff != 0) or ip6 proto 44";
    assert_eq!(reasons(mended), "[]");
}

#[test]
fn standard_input_reads_like_the_file() {
    let path = capture("demo-site");
    let topology = topology("demo-site");
    let run = |input: &str, stdin: Stdio| {
        let output = Command::new(env!("CARGO_BIN_EXE_portassay"))
            .args(["check", input, "-t", &topology, "--format", "json"])
            .stdin(stdin)
            .output()
            .unwrap();
        let mut report: Value = serde_json::from_slice(&output.stdout).unwrap();
        report["captures"][0]["path"] = Value::Null;
        report
    };
    let file = run(&path, Stdio::null());
    let piped = run("-", Stdio::from(fs::File::open(&path).unwrap()));
    assert_eq!(piped, file);
}

#[test]
fn several_reports_from_one_run() {
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("report.json");
    let csv = folder.path().join("report.csv");
    let output = portassay(&[
        "check",
        &capture(BAD),
        "-t",
        &topology(BAD),
        "-o",
        &format!("json={}", json.display()),
        "-o",
        &format!("csv={}", csv.display()),
    ]);
    assert_eq!(code(&output), 1);
    let report: Value = serde_json::from_str(&fs::read_to_string(json).unwrap()).unwrap();
    assert_eq!(report["schema"], "portassay.report/1");
    assert!(fs::read_to_string(csv).unwrap().contains("cleartext-where-tls-expected"));
    let nowhere = portassay(&["check", &capture(BAD), "-o", "json=/no/such/folder/x.json"]);
    assert_eq!(code(&nowhere), 2);
    assert!(stderr(&nowhere).contains("cannot write /no/such/folder/x.json"));
}

#[test]
fn a_report_is_never_written_over_what_is_read() {
    let (folder, copy) = scratch("site.pcap", &fs::read(capture(GOOD)).unwrap());
    let onto = |file: &Path| format!("json={}", file.display());
    let itself = portassay(&["check", &copy, "-o", &onto(&folder.path().join("./site.pcap"))]);
    assert_eq!(code(&itself), 2);
    assert!(stderr(&itself).contains("site.pcap, which is read"), "{}", stderr(&itself));
    let within = folder.path().display().to_string();
    let found = portassay(&["check", &within, "-o", &onto(&folder.path().join("site.pcap"))]);
    assert_eq!(code(&found), 2);
    assert_eq!(fs::read(&copy).unwrap(), fs::read(capture(GOOD)).unwrap());
    let report = onto(&folder.path().join("report"));
    let twice = portassay(&["check", &copy, "-o", &report, "-o", &report]);
    assert_eq!(code(&twice), 2);
    assert!(stderr(&twice).contains("two reports"), "{}", stderr(&twice));
}

#[test]
fn a_report_that_cannot_be_written_is_the_reason_of_the_exit_code() {
    let (folder, copy) = scratch("site.pcap", &fs::read(capture(GOOD)).unwrap());
    let nowhere = format!("json={}", folder.path().join("no/such/folder.json").display());
    let output = portassay(&["check", &copy, "-t", &topology(GOOD), "-o", &nowhere]);
    assert_eq!(code(&output), 2);
    assert_reason(&output, "exit 2: a report could not be written; otherwise: no finding");
}

#[test]
fn a_closed_pipe_is_no_error() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_portassay"))
        .args(["rules", "--format", "json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(!stderr(&output).contains("panic"), "{}", stderr(&output));
}

#[test]
fn flows_come_as_the_contract_says() {
    let output = portassay(&["flows", &capture(BAD), "-t", &topology(BAD), "--format", "jsonl"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let text = stdout(&output);
    let flows: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(!flows.is_empty());
    for flow in &flows {
        for key in [
            "transport",
            "initiator",
            "responder",
            "direction",
            "packets",
            "bytes",
            "first",
            "last",
            "first_frame",
            "vlan",
            "tunnel",
            "outcome",
            "protocol",
            "protocol_confidence",
            "protocol_facts",
            "class",
            "expectation",
            "community_id",
        ] {
            assert!(flow.get(key).is_some(), "no {key} in {flow}");
        }
    }
    let sip = flows.iter().find(|flow| flow["protocol"] == "sip").expect("a SIP flow");
    assert_eq!(sip["class"], "wrong-protocol");
    assert_eq!(sip["expectation"], "S03");
    assert_eq!(sip["outcome"], "established");
}

#[test]
fn explain_knows_rules_rows_and_tuples() {
    for (words, expected) in [
        (vec!["explain", "unexpected-port"], "Why"),
        (vec!["explain", "Range-Unconfirmed"], "wide range"),
        (vec!["explain", "wrong-protocol"], "a class of flows"),
        (vec!["explain", "no-media-seen"], "of an IPsec exemption"),
        (vec!["explain", "Shadowed"], "of exported IPsec rules"),
        (vec!["explain", "one-port-short"], "--strict"),
        (vec!["explain", "S03"], "5061"),
        (vec!["explain", "x05"], "Mediation Server Inbound"),
        (vec!["explain", "tcp * -> fe01:5061"], "S03"),
        (vec!["explain", "tcp 10.20.0.101:* -> 10.20.0.11:8888"], "unexpected"),
        (
            vec!["explain", "tcp 10.20.20.101:* -> gw01:135"],
            "nearest row, which is for other hosts",
        ),
    ] {
        let topology = topology("demo-site");
        let mut all = words.clone();
        all.extend(["-t", topology.as_str()]);
        let output = portassay(&all);
        assert_eq!(code(&output), 0, "{words:?}: {}", stderr(&output));
        assert!(stdout(&output).contains(expected), "{words:?}: {}", stdout(&output));
    }
    let unknown = portassay(&["explain", "unexpected-prot"]);
    assert_eq!(code(&unknown), 2);
    assert!(stderr(&unknown).contains("unexpected-port"), "{}", stderr(&unknown));
}

#[test]
fn help_lists_a_commands_own_options_before_the_common_ones() {
    for command in ["check", "watch", "flows", "rules"] {
        let help = stdout(&portassay(&[command, "--help"]));
        let place = |option: &str| help.find(option).unwrap_or_else(|| panic!("{option}: {help}"));
        for own in ["--topology", "--strict", "--format"] {
            assert!(place(own) < place("--color"), "{command} {own}: {help}");
        }
    }
}

#[test]
fn rules_policy_schema_completions_and_man_answer() {
    for (words, expected) in [
        (vec!["rules", "--role", "mediation"], "S24"),
        (vec!["rules", "--port", "5061", "--format", "csv"], "S03"),
        (vec!["rules", "--pack", "ipsec-exemptions", "--format", "markdown"], "X15"),
        (vec!["policy", "check"], "rows in force"),
        (vec!["policy", "show"], "servers"),
        (vec!["schema", "report"], "portassay.report/1"),
        (vec!["schema", "flows"], "portassay.flow/1"),
        (vec!["schema", "finding"], "fingerprint"),
        (vec!["completions", "bash"], "portassay"),
        (vec!["man"], ".TH"),
        (vec!["--version"], env!("CARGO_PKG_VERSION")),
    ] {
        let output = portassay(&words);
        assert_eq!(code(&output), 0, "{words:?}: {}", stderr(&output));
        assert!(stdout(&output).contains(expected), "{words:?}: {}", stdout(&output));
    }
    assert_eq!(code(&portassay(&["chekc"])), 2);
}

#[test]
fn the_cases_pass_and_a_wrong_expectation_fails_readably() {
    let folder = fixtures::folder().display().to_string();
    let all = portassay(&["test", &folder]);
    assert_eq!(code(&all), 0, "{}", stdout(&all));
    let scratch = tempfile::tempdir().unwrap();
    let copy = scratch.path().join("wrong");
    copy_folder(&case(BAD), &copy);
    fs::write(
        copy.join("case.toml"),
        "[expect]\nexit_code = 0\nfindings = [\"unexpected-port\"]\n",
    )
    .unwrap();
    fs::remove_file(copy.join("expected.json")).unwrap();
    let root = scratch.path().display().to_string();
    let wrong = portassay(&["test", &root]);
    assert_eq!(code(&wrong), 1, "{}", stderr(&wrong));
    let text = stdout(&wrong);
    for words in [
        "FAILED  wrong",
        "exit code: expected 0, got 1",
        "- unexpected-port: expected, did not fire",
        "+ cleartext-where-tls-expected: fired, not expected",
        "0 passed, 1 failed",
    ] {
        assert!(text.contains(words), "no '{words}' in:\n{text}");
    }
    let junit = portassay(&["test", &root, "--format", "junit"]);
    let xml = stdout(&junit);
    assert!(xml.contains("<testsuite") && xml.contains("failures=\"1\""), "{xml}");
    let blessed = portassay(&["test", &root, "--bless"]);
    assert_eq!(code(&blessed), 0);
    assert!(copy.join("expected.json").is_file());
    let nothing = tempfile::tempdir().unwrap();
    let none = portassay(&["test", &nothing.path().display().to_string()]);
    assert_eq!(code(&none), 2);
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}
