//! Captures made to exhaust memory: each is much longer than what the program may use, and is read
//! to its end all the same.
//!
//! The limit is one of the operating system, on the address space of a child process. Linux alone
//! keeps to it.
#![cfg(target_os = "linux")]

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::cli::{code, stderr, stdout};
use crate::support::craft::{at, udp};

/// What the program may use, in KiB: less than any of these captures, threads and code included.
const LIMIT: &str = "262144";
/// How long they are at least, in bytes.
const LONG: usize = 320 << 20;

/// A block of pcapng.
fn block(kind: u32, body: &[u8]) -> Vec<u8> {
    let padded = body.len().next_multiple_of(4);
    let length = (padded as u32 + 12).to_le_bytes();
    let mut bytes = [kind.to_le_bytes(), length].concat();
    bytes.extend(body);
    bytes.resize(8 + padded, 0);
    bytes.extend(length);
    bytes
}

fn section() -> Vec<u8> {
    let mut body = 0x1a2b_3c4d_u32.to_le_bytes().to_vec();
    body.extend([1, 0, 0, 0]);
    body.extend([0xff; 8]);
    block(0x0a0d_0d0a, &body)
}

fn interface() -> Vec<u8> {
    block(1, &[1, 0, 0, 0, 0, 0, 0, 0])
}

/// A frame of an interface, with options.
fn frame(interface: u32, options: &[u8]) -> Vec<u8> {
    let mut body = interface.to_le_bytes().to_vec();
    for word in [0_u32, 1, 60, 60] {
        body.extend(word.to_le_bytes());
    }
    body.extend([0xff; 60]);
    body.extend(options);
    block(6, &body)
}

fn option(code: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = code.to_le_bytes().to_vec();
    bytes.extend((value.len() as u16).to_le_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// Checks a capture, made piece by piece and compressed, in little memory.
fn check(pieces: impl Iterator<Item = Vec<u8>>) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hostile.pcapng.zst");
    let mut file = zstd::Encoder::new(std::fs::File::create(&path).unwrap(), 1).unwrap();
    let mut length = 0;
    for piece in pieces {
        file.write_all(&piece).unwrap();
        length += piece.len();
    }
    file.finish().unwrap();
    assert!(length > LONG, "{length} bytes are no test");
    let output = limited(&path);
    assert_eq!(code(&output), 3, "{}", stderr(&output));
    let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(report["captures"][0]["damage"], Value::Null);
    report
}

/// Runs the program over a capture in little memory.
fn limited(path: &Path) -> Output {
    Command::new("sh")
        .args(["-c", "ulimit -v \"$1\" && exec \"$0\" check \"$2\" --format json --threads 2"])
        .args([env!("CARGO_BIN_EXE_portassay"), LIMIT])
        .arg(path)
        .output()
        .unwrap()
}

fn begin() -> std::iter::Once<Vec<u8>> {
    std::iter::once([section(), interface(), frame(0, &[])].concat())
}

#[test]
fn the_limit_is_one() {
    // Otherwise these tests could not fail.
    let output = Command::new("sh")
        .args(["-c", "ulimit -v \"$0\" && head -c 400000000 /dev/zero | tail -n 1 | wc -c", LIMIT])
        .output()
        .unwrap();
    assert_ne!(String::from_utf8_lossy(&output.stdout).trim(), "400000000");
}

#[test]
fn endless_tiny_blocks() {
    let tiny = block(0xbad, &[]).repeat(100_000);
    let count = LONG / tiny.len() + 1;
    let report = check(begin().chain(std::iter::repeat_n(tiny, count)).chain([frame(0, &[])]));
    assert_eq!(report["captures"][0]["frames"], 2);
}

#[test]
fn endless_comments() {
    let comment = option(1, &vec![b'c'; 60_000]);
    let talkative = frame(0, &comment.repeat(200));
    let count = LONG / talkative.len() + 1;
    let report = check(begin().chain(std::iter::repeat_n(talkative, count)));
    assert_eq!(report["captures"][0]["frames"], count + 1);
    assert_eq!(report["captures"][0]["comments"], 200 * count);
}

#[test]
fn a_million_names() {
    let names = (0..1_300_u32).map(|thousand| {
        let records = (0..1_000).flat_map(|index| {
            let address = (10_u32 << 24) + thousand * 1_000 + index;
            let mut value = address.to_be_bytes().to_vec();
            value.extend(format!("{address:x<250}\0").bytes());
            option(1, &value)
        });
        block(4, &records.collect::<Vec<u8>>())
    });
    let report = check(begin().chain(names));
    let reasons = report["quality"]["reasons"].to_string();
    assert!(reasons.contains("name more hosts than are kept (65536 names)"), "{reasons}");
}

#[test]
fn a_million_interfaces_in_many_sections() {
    let many = [section(), interface().repeat(1_000_000), frame(999_999, &[])].concat();
    let count = LONG / many.len() + 1;
    let report = check(std::iter::repeat_n(many, count));
    assert_eq!(report["captures"][0]["frames"], count);
}

#[test]
fn a_hundred_thousand_interfaces_in_a_file_that_is_not_compressed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("interfaces.pcapng");
    let mut bytes = [section(), interface().repeat(100_000)].concat();
    for index in 0..20_000 {
        bytes.extend(frame(index * 5, &[]));
    }
    std::fs::write(&path, bytes).unwrap();
    let output = limited(&path);
    assert_eq!(code(&output), 3, "{}", stderr(&output));
    let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(report["captures"][0]["frames"], 20_000);
    assert_eq!(report["captures"][0]["damage"], Value::Null);
}

#[test]
fn a_window_that_does_not_fit_is_refused_in_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("window.pcap.zst");
    // A frame header that asks for 2 GiB: window descriptor 0xa8 is 2^(10 + 21).
    std::fs::write(&path, [&b"\x28\xb5\x2f\xfd\x00\xa8"[..], &[0; 20]].concat()).unwrap();
    let output = limited(&path);
    assert_eq!(code(&output), 2, "{}", stderr(&output));
    assert!(stderr(&output).contains("needs more than 128 MiB"), "{}", stderr(&output));
}

#[test]
fn files_of_a_million_interfaces_each_are_not_remembered_together() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = [section(), interface().repeat(1_000_000), frame(999_999, &[])].concat();
    for index in 0..12 {
        std::fs::write(folder.path().join(format!("{index}.pcapng")), &bytes).unwrap();
    }
    let output = limited(folder.path());
    assert_eq!(code(&output), 3, "{}", stderr(&output));
    let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
    let captures = report["captures"].as_array().unwrap();
    assert!(captures.iter().all(|capture| capture["frames"] == 1), "{captures:?}");
    assert_eq!(captures.len(), 12);
}

/// A block of pcapng with an Ethernet frame.
fn packet(data: &[u8]) -> Vec<u8> {
    let mut body = 0_u32.to_le_bytes().to_vec();
    for word in [0, 1, data.len() as u32, data.len() as u32] {
        body.extend(word.to_le_bytes());
    }
    body.extend(data);
    block(6, &body)
}

/// Runs the program in little memory over frames that are made by number, with a bound on flows.
fn numbered(count: u32, make: impl Fn(u32) -> Vec<u8>) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("endless.pcapng.zst");
    let mut file = zstd::Encoder::new(std::fs::File::create(&path).unwrap(), 1).unwrap();
    file.write_all(&[section(), interface()].concat()).unwrap();
    for number in 0..count {
        file.write_all(&packet(&make(number))).unwrap();
    }
    file.finish().unwrap();
    let output = Command::new("sh")
        .args([
            "-c",
            "ulimit -v \"$1\" && exec \"$0\" check \"$2\" --format json --threads 2 --max-flows 50000",
        ])
        .args([env!("CARGO_BIN_EXE_portassay"), LIMIT])
        .arg(&path)
        .output()
        .unwrap();
    assert_eq!(code(&output), 3, "{}", stderr(&output));
    let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(report["captures"][0]["frames"], count);
    report
}

#[test]
fn endless_fragments() {
    // A million datagrams of which a later fragment is all there is.
    let whole = udp(at("10.0.0.1:1000"), at("10.0.0.2:2000")).payload([7; 40]);
    let report = numbered(1_000_000, |number| {
        let mut frame = whole.clone().number(number as u16).fragment(16, 16).ethernet();
        // Sixteen bits of number are not enough: the sender changes too.
        frame[28..30].copy_from_slice(&((number >> 16) as u16).to_be_bytes());
        frame
    });
    assert_eq!(report["captures"][0]["undecoded"]["fragment"], 1_000_000);
    assert_eq!(report["fragments"]["without_first"], 1_000_000);
    assert!(report["fragments"]["given_up"].as_u64().unwrap() > 900_000);
    assert_eq!(report["quality"]["grade"], "inconclusive");
}

#[test]
fn endless_flows() {
    let says = udp(at("10.0.0.1:1000"), at("10.0.0.2:2000")).payload([7; 300]);
    let report = numbered(600_000, |number| {
        let mut frame = says.clone().number(number as u16).ethernet();
        frame[26..30].copy_from_slice(&(number + (11 << 24)).to_be_bytes());
        frame
    });
    assert_eq!(report["flows"]["total"], 50_000);
    assert_eq!(report["flows"]["untracked_packets"], 550_000);
    assert_eq!(report["quality"]["grade"], "inconclusive");
}
