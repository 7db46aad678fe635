//! What a capture says beside its frames reaches the reader, and changes no answer.

use portassay::input::savefile::CaptureFile;
use serde_json::Value;

use crate::cli::{code, portassay, stderr, stdout};
use crate::support::capture::{Order, Pcapng, Recorded, Ticks};
use crate::support::fixtures;

/// A host that the topology of the case does not know talks to one that it calls `fe01`.
const CASE: &str = "unknown-host-on-5061";
const UNKNOWN: [u8; 4] = [10, 20, 0, 77];

/// The frames of the case behind the given blocks.
fn recorded(blocks: impl FnOnce(Pcapng) -> Pcapng) -> Vec<u8> {
    let folder = fixtures::folder().join(CASE);
    let path = fixtures::captures().into_iter().find(|path| path.starts_with(&folder)).unwrap();
    let Ok(CaptureFile::Plain(file)) = CaptureFile::open(&path) else { panic!("not plain") };
    let mut records = file.records(file.start(), u64::MAX);
    let mut out = blocks(Pcapng::new(Order::Little));
    while let Some(frame) = records.next() {
        let time = u64::try_from(frame.time.0).unwrap();
        let frame = Recorded { time, data: frame.data.to_vec(), original_len: frame.original_len };
        out = out.frame(0, &frame);
    }
    out.bytes()
}

/// A record of a name resolution block.
fn record(address: &[u8], names: &str) -> Vec<u8> {
    let mut value = address.to_vec();
    value.extend(names.as_bytes());
    let kind = if address.len() == 4 { 1u16 } else { 2 };
    let mut bytes = kind.to_le_bytes().to_vec();
    bytes.extend((value.len() as u16).to_le_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn check(bytes: &[u8], format: &str) -> (i32, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("named.pcapng");
    std::fs::write(&path, bytes).unwrap();
    let topology = fixtures::folder().join(CASE).join("topology.toml");
    let output = portassay(&[
        "check",
        &path.display().to_string(),
        "-t",
        &topology.display().to_string(),
        "--format",
        format,
    ]);
    assert!(!stderr(&output).contains("panic"), "{}", stderr(&output));
    (code(&output), stdout(&output).replace(&folder.path().display().to_string(), ""))
}

fn named() -> Vec<u8> {
    recorded(|start| {
        let known = server();
        let records = [
            record(&UNKNOWN, "pc\u{1b}[31m7.example.net\0laptop\0"),
            record(&known, "not-what-the-topology-says\0"),
            record(&[192, 0, 2, 200], "never-seen\0"),
            vec![0; 4],
        ];
        start
            .interface_with_filter(1, "tcp port 5061 \u{1b}]0;x\u{7}")
            .unknown(4, &records.concat())
    })
}

/// The address of the responder in the case's finding.
fn server() -> [u8; 4] {
    let (_, json) = check(&plain(), "json");
    let json: Value = serde_json::from_str(&json).unwrap();
    let address = json["findings"][0]["responder"]["addresses"][0].as_str().unwrap();
    address.parse::<std::net::Ipv4Addr>().unwrap().octets()
}

fn plain() -> Vec<u8> {
    recorded(|start| start.interface(1, Ticks::Nano))
}

#[test]
fn names_and_filters_of_a_capture_change_nothing_but_what_is_shown_of_them() {
    let (plain_code, plain) = check(&plain(), "json");
    let (named_code, named) = check(&named(), "json");
    assert_eq!(named_code, plain_code);
    let plain: Value = serde_json::from_str(&plain).unwrap();
    let mut named: Value = serde_json::from_str(&named).unwrap();
    let called = serde_json::json!({ "10.20.0.77": ["laptop", "pc\u{1b}[31m7.example.net"] });
    assert_eq!(named["names"], called, "only what is shown, and has no name of its own");
    let filters = serde_json::json!(["tcp port 5061 \u{1b}]0;x\u{7}"]);
    assert_eq!(named["captures"][0]["capture_filters"], filters);
    named["names"] = plain["names"].clone();
    named["captures"][0]["capture_filters"] = plain["captures"][0]["capture_filters"].clone();
    assert_eq!(named, plain);
}

#[test]
fn people_are_told_names_and_filters_without_what_a_terminal_would_obey() {
    for format in ["table", "markdown"] {
        let (_, text) = check(&named(), format);
        let words: Vec<&str> = text.split_whitespace().collect();
        let text = words.join(" ");
        assert!(text.contains("10.20.0.77 \"laptop\" and 1 more name"), "{text}");
        assert!(text.contains("captured with the filter"), "{text}");
        assert!(text.contains("tcp port 5061"), "{text}");
        assert!(!text.contains("not-what-the-topology-says"), "{text}");
        assert!(!text.contains(['\u{1b}', '\u{7}']), "{text}");
    }
}

#[test]
fn the_name_of_a_network_is_not_the_name_of_its_hosts() {
    let folder = tempfile::tempdir().unwrap();
    let topology = folder.path().join("site.toml");
    let server = std::net::Ipv4Addr::from(server());
    let text = format!(
        "[[host]]\nname = \"fe\"\naddresses = [\"{server}\"]\nroles = [\"sql\"]\n\
         [[network]]\nname = \"users\"\nprefixes = [\"10.20.0.77/32\"]\nroles = [\"client\"]\n"
    );
    std::fs::write(&topology, text).unwrap();
    let path = folder.path().join("named.pcapng");
    std::fs::write(&path, named()).unwrap();
    let [path, topology] = [path, topology].map(|path| path.display().to_string());
    let output = portassay(&["check", &path, "-t", &topology]);
    let text = stdout(&output);
    assert!(text.contains("users (10.20.0.77 \"laptop\""), "{text}{}", stderr(&output));
    assert!(!text.contains("not-what-the-topology-says"), "{text}");
}

#[test]
fn names_of_several_captures_are_one_list_at_any_number_of_threads() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, called: &str| {
        let records = record(&UNKNOWN, called);
        let bytes = recorded(|start| start.interface(1, Ticks::Nano).unknown(4, &records));
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.display().to_string()
    };
    let captures = [write("a.pcapng", "one\0two\0"), write("b.pcapng", "two\0three\0")];
    let topology = fixtures::folder().join(CASE).join("topology.toml").display().to_string();
    let told = |captures: [&str; 2], threads: &str| {
        let [a, b] = captures;
        let arguments = ["check", a, b, "-t", &topology, "--format", "json", "--threads", threads];
        let json: Value = serde_json::from_str(&stdout(&portassay(&arguments))).unwrap();
        json["names"].clone()
    };
    let [a, b] = &captures;
    for threads in ["1", "2", "7"] {
        let all = serde_json::json!({ "10.20.0.77": ["one", "three", "two"] });
        assert_eq!(told([a, b], threads), all);
        assert_eq!(told([b, a], threads), all);
    }
}
