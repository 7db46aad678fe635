//! What content announces changes what flows are taken for, names the frame that said so, and is the
//! same wherever a capture is cut.

use std::net::SocketAddr;
use std::path::Path;

use portassay::flow::Limits;
use portassay::pipeline::intake::Duplicates;
use portassay::pipeline::read::{Progress, Reading, read};
use serde_json::Value;

use crate::cli::{portassay, stdout};
use crate::support::capture::{Order, Recorded, Ticks, pcap};
use crate::support::craft::{ACK, PSH, SYN, at, tcp, udp};
use crate::support::fixtures;
use crate::support::wire::noise;

/// What `flows` says of the flows to a port.
fn flows_to(port: u16, capture: &Path, topology: &Path, more: &[&str]) -> Vec<Value> {
    let (capture, topology) = (capture.display().to_string(), topology.display().to_string());
    let arguments = [&["flows", &capture, "-t", &topology, "--format", "jsonl"], more].concat();
    let lines = stdout(&portassay(&arguments));
    let flows = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    flows.filter(|flow| flow["responder"]["port"] == port).collect()
}

/// The same of a bundled capture, for the one flow there is.
fn bundled(case: &str, port: u16, more: &[&str]) -> Value {
    let case = fixtures::folder().join(case);
    let capture = ["capture.pcapng", "capture.pcap"].map(|name| case.join(name));
    let capture = capture.iter().find(|path| path.exists()).unwrap();
    let flows = flows_to(port, capture, &case.join("topology.toml"), more);
    let [flow] = flows.as_slice() else { panic!("{port}: {flows:?}") };
    flow.clone()
}

#[test]
fn a_port_is_explained_by_the_answer_that_named_it() {
    for (case, port, answers, kind, service, class, row) in [
        (
            "rpc-port-named-outside-the-range",
            20_001,
            "not port 135",
            "ept-map",
            "srvsvc",
            "infrastructure",
            "I15",
        ),
        ("sql-port-named-outside-the-range", 14_330, "tcp", "ssrp", "ARCHIVE", "confirmed", "Q03"),
    ] {
        let flow = bundled(case, port, &[]);
        assert_eq!((&flow["class"], &flow["expectation"]), (&class.into(), &row.into()), "{case}");
        let learned = &flow["learned"];
        assert_eq!(learned["kind"], kind);
        assert_eq!(learned["services"], serde_json::json!([service]));
        assert_eq!(learned["by"], flow["responder"]["address"]);
        let frame = learned["frame"]["frame"].as_u64();
        assert!(frame < flow["first_frame"]["frame"].as_u64() && frame > Some(0), "{flow}");
        let untold = bundled(case, port, &["--filter", answers]);
        assert_eq!((&untold["class"], &untold["learned"]), (&"unexpected".into(), &Value::Null));
    }
    let object = bundled("dcom-object-on-a-named-port", 49_777, &[]);
    assert_eq!(object["learned"]["kind"], "oxid");
    let media = bundled("sip-over-udp-5068-media-outside-the-range", 30_000, &[]);
    assert_eq!(
        (&media["learned"]["kind"], &media["learned"]["exchange"]),
        (&"sdp".into(), &"answer".into())
    );
}

/// What a client asks an endpoint mapper.
fn asked() -> Vec<u8> {
    let mut bytes = vec![5, 0, 0, 3, 16, 0, 0, 0, 40, 0];
    bytes.resize(22, 0);
    // Operation 3 is ept_map.
    bytes.push(3);
    bytes.resize(40, 0);
    bytes
}

/// The answer of an endpoint mapper that names a port for the account service.
fn mapped(port: u16) -> Vec<u8> {
    let mut tower = vec![5, 0, 19, 0, 13];
    tower.extend([
        0x78, 0x57, 0x34, 0x12, 0x34, 0x12, 0xcd, 0xab, 0xef, 0, 1, 0x23, 0x45, 0x67, 0x89, 0xac,
    ]);
    tower.extend([1, 0, 2, 0, 0, 0, 19, 0, 13]);
    tower.extend([
        4, 0x5d, 0x88, 0x8a, 0xeb, 0x1c, 0xc9, 0x11, 0x9f, 0xe8, 8, 0, 0x2b, 0x10, 0x48, 0x60,
    ]);
    tower.extend([2, 0, 2, 0, 0, 0, 1, 0, 11, 2, 0, 0, 0, 1, 0, 7, 2, 0]);
    tower.extend(port.to_be_bytes());
    tower.extend([1, 0, 9, 4, 0, 0, 0, 0, 0]);
    let mut bytes = vec![5, 0, 2, 3, 16, 0, 0, 0];
    bytes.extend((24 + 48 + tower.len() as u16).to_le_bytes());
    // A handle, the number of towers, and counts and a pointer that nobody reads.
    bytes.resize(24 + 20, 0);
    bytes.push(1);
    bytes.resize(24 + 48, 0);
    bytes.extend(tower);
    bytes
}

/// The answer of SQL Browser that names some ports.
fn browsed(ports: impl Iterator<Item = u16>) -> Vec<u8> {
    let text: Vec<String> =
        ports.map(|port| format!("ServerName;DB;InstanceName;A;tcp;{port};;")).collect();
    let text = text.concat();
    let mut bytes = vec![5];
    bytes.extend((text.len() as u16).to_le_bytes());
    bytes.extend(text.bytes());
    bytes
}

fn offered(host: &str, port: u16) -> String {
    format!(
        "INVITE sip:a@b SIP/2.0\r\nContent-Type: application/sdp\r\n\r\nv=0\r\nc=IN IP4 {host}\r\n\
         m=audio {port} RTP/AVP 0\r\n"
    )
}

const START: u64 = 1_700_000_000_000_000_000;

fn written(folder: &Path, frames: impl IntoIterator<Item = Vec<u8>>) -> std::path::PathBuf {
    let frames: Vec<Recorded> = (frames.into_iter().enumerate())
        .map(|(n, frame)| Recorded::new(START + n as u64 * 1_000_000, frame))
        .collect();
    let path = folder.join("a.pcap");
    std::fs::write(&path, pcap(1, Order::Little, Ticks::Nano, &frames)).unwrap();
    path
}

const SITE: &str = r#"
[[host]]
name = "fe01"
addresses = ["10.0.1.11"]
roles = ["front-end"]
[[host]]
name = "med01"
addresses = ["10.0.1.31"]
roles = ["mediation"]
[[host]]
name = "gw01"
addresses = ["10.0.9.1"]
roles = ["pstn-gateway"]
"#;

#[test]
fn content_that_is_hidden_is_what_was_announced() {
    let folder = tempfile::tempdir().unwrap();
    let topology = folder.path().join("site.toml");
    std::fs::write(&topology, SITE).unwrap();
    let (asks, answers) = (at("10.0.1.31:50010"), at("10.0.1.11:49700"));
    let (mapper, client) = (at("10.0.1.11:135"), at("10.0.1.31:50009"));
    let ask = tcp(client, mapper).flags(ACK | PSH).numbers(1, 1).payload(asked()).ethernet();
    // Nothing was said yet, so nothing can be seen.
    let conversation = [
        tcp(asks, answers).flags(SYN).numbers(1, 0),
        tcp(answers, asks).flags(SYN | ACK).numbers(7, 2),
        tcp(asks, answers).flags(ACK | PSH).numbers(2, 8),
        tcp(answers, asks).flags(ACK | PSH).numbers(8, 2),
    ]
    .map(|packet| packet.ethernet());
    let class = |frames: Vec<Vec<u8>>| {
        let flows = flows_to(49_700, &written(folder.path(), frames), &topology, &[]);
        assert_eq!(flows.len(), 1);
        (flows[0]["class"].clone(), flows[0]["learned"]["frame"]["frame"].clone())
    };
    assert_eq!(class(conversation.to_vec()), ("range-unconfirmed".into(), Value::Null));
    let told = tcp(mapper, client).flags(ACK | PSH).numbers(1, 41).payload(mapped(49_700));
    let told = told.ethernet();
    let mut frames = vec![ask.clone(), told.clone()];
    frames.extend(conversation.clone());
    assert_eq!(class(frames), ("infrastructure".into(), 2.into()));
    // The other way round in the capture, and within seconds.
    let mut frames = conversation.to_vec();
    frames.extend([ask, told.clone()]);
    assert_eq!(class(frames), ("infrastructure".into(), 6.into()));
    // An answer that nobody asked for is not believed.
    let mut frames = vec![told];
    frames.extend(conversation.clone());
    assert_eq!(class(frames), ("range-unconfirmed".into(), Value::Null));
}

#[test]
fn media_announced_outside_of_the_range_is_told_with_the_frame_of_the_signalling() {
    let folder = tempfile::tempdir().unwrap();
    let topology = folder.path().join("site.toml");
    std::fs::write(&topology, SITE).unwrap();
    let sip = |port| {
        udp(at("10.0.1.31:5068"), at("10.0.9.1:5060"))
            .payload(offered("10.0.1.31", port))
            .ethernet()
    };
    let heard = udp(at("10.0.9.1:5060"), at("10.0.1.31:5068"))
        .payload(b"SIP/2.0 100 Trying\r\nContent-Length: 0\r\n\r\n")
        .ethernet();
    let frames = [sip(49_200), sip(30_060), heard];
    let capture = written(folder.path(), frames).display().to_string();
    let arguments = ["check", &capture, "-t", &topology.display().to_string(), "--format", "json"];
    let report: Value = serde_json::from_str(&stdout(&portassay(&arguments))).unwrap();
    let of_rule = |finding: &&Value| finding["rule"] == "media-outside-range";
    let findings: Vec<&Value> =
        report["findings"].as_array().unwrap().iter().filter(of_rule).collect();
    let [finding] = findings.as_slice() else { panic!("{report:#}") };
    assert_eq!((&finding["severity"], &finding["flows"]), (&"warning".into(), &0.into()));
    assert_eq!(finding["evidence"]["frames"][0]["frame"], 2);
    assert_eq!(
        (&finding["learned"]["kind"], &finding["learned"]["exchange"]),
        (&"sdp".into(), &"offer".into())
    );
}

fn learned(path: &Path, threads: usize) -> String {
    let reading = Reading {
        captures: vec![path.to_path_buf()],
        filter: None,
        threads,
        limits: Limits::default(),
        duplicates: Duplicates::LeftOut,
    };
    let survey = read(&reading, &Progress::default()).unwrap();
    let all = format!("{:?}", survey.learned);
    assert!(all.len() > 10_000, "little was announced: {all}");
    format!("{} {all}", survey.learned.left_out())
}

/// Announcements among noise, some 9 MB of it: of the same endpoints again and again. `widely`: of more than are kept.
fn announcements(widely: bool) -> Vec<Vec<u8>> {
    let client = at("10.0.20.5:50000");
    let server = |host: u32, port| SocketAddr::new([10, 0, 1, host as u8].into(), port);
    (0..9_000_u32)
        .map(|n| match n % 9 {
            0 => {
                let mapper = server(n % 5, 135);
                tcp(mapper, client)
                    .flags(ACK | PSH)
                    .numbers(n, n)
                    .payload(mapped(49_152 + (n * 7 % 300) as u16))
            }
            1 => {
                let host = format!("10.0.1.{}", n % 4);
                udp(client, server(1, 5068)).payload(offered(&host, 49_152 + (n % 800) as u16 * 2))
            }
            2 => {
                let (first, ports) = if widely { (n % 500 * 100, 100) } else { (n % 500, 25) };
                let ports = (1..=ports).map(|port| (first + port) as u16);
                udp(server(n / 500, 1434), client).payload(browsed(ports))
            }
            _ => udp(client, server(2, 40_000)).payload(noise(n, 1_100)),
        })
        .enumerate()
        .map(|(n, packet)| packet.number(n as u16).ethernet())
        .collect()
}

#[test]
fn where_a_capture_is_cut_does_not_matter() {
    let folder = tempfile::tempdir().unwrap();
    for widely in [false, true] {
        let path = written(folder.path(), announcements(widely));
        assert!(path.metadata().unwrap().len() > 7 << 20, "too small to be cut in seven");
        let one = learned(&path, 1);
        for threads in [2, 7] {
            assert!(learned(&path, threads) == one, "{threads} threads, widely: {widely}");
        }
        assert_eq!(one.starts_with("0 "), !widely, "whether there was room for all");
    }
}
