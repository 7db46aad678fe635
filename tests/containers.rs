//! One capture, many containers: however the same frames were recorded and kept, the report is the
//! same but for what it says of the container itself.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use portassay::input::savefile::CaptureFile;
use portassay::input::{Compression, Frame};
use portassay::pipeline::check::{Threshold, check};
use portassay::pipeline::read::{Progress, Reading};
use portassay::policy::{Policy, Profile, Sources};
use portassay::report::{FORMATS, Style};
use serde_json::Value;

use crate::support::capture::{Order, Pcapng, Recorded, Ticks, pcap};
use crate::support::fixtures;

/// Frames of one link type, their times cut to what microseconds can hold.
fn frames_of(path: &Path) -> Option<(u32, Vec<Recorded>)> {
    let Ok(CaptureFile::Plain(file)) = CaptureFile::open(path) else { return None };
    let mut records = file.records(file.start(), u64::MAX);
    let (mut link_type, mut frames) = (None, Vec::new());
    while let Some(Frame { time, link_type: kind, data, original_len, .. }) = records.next() {
        if *link_type.get_or_insert(kind.0) != kind.0 {
            return None;
        }
        let time = u64::try_from(time.0).ok()? / 1_000 * 1_000;
        // Seconds of pcap have 32 bits.
        (time < u64::from(u32::MAX) * 1_000_000_000).then_some(())?;
        frames.push(Recorded { time, data: data.to_vec(), original_len });
    }
    let link_type = link_type.filter(|kind| u16::try_from(*kind).is_ok())?;
    records.damage().is_none().then_some((link_type, frames))
}

fn pcapng(link_type: u32, order: Order, ticks: Ticks, frames: &[Recorded]) -> Vec<u8> {
    let start = Pcapng::new(order).interface(link_type as u16, ticks);
    frames.iter().fold(start, |file, frame| file.frame(0, frame)).bytes()
}

fn packed(compression: Compression, bytes: &[u8]) -> Vec<u8> {
    fn finished<W: Write>(mut writer: W, bytes: &[u8]) -> W {
        writer.write_all(bytes).unwrap();
        writer
    }
    match compression {
        Compression::Gzip => {
            let level = flate2::Compression::fast();
            finished(flate2::write::GzEncoder::new(Vec::new(), level), bytes).finish().unwrap()
        }
        Compression::Zstd => zstd::encode_all(bytes, 1).unwrap(),
        Compression::Lz4 => {
            finished(lz4_flex::frame::FrameEncoder::new(Vec::new()), bytes).finish().unwrap()
        }
        Compression::Xz => {
            let options = lzma_rust2::XzOptions::with_preset(0);
            let writer = lzma_rust2::XzWriter::new(Vec::new(), options).unwrap();
            finished(writer, bytes).finish().unwrap()
        }
    }
}

/// The same frames in every container.
fn containers(link_type: u32, frames: &[Recorded]) -> Vec<(&'static str, Vec<u8>)> {
    use Order::{Big, Little};
    let plain = pcap(link_type, Little, Ticks::Micro, frames);
    let modern = pcapng(link_type, Little, Ticks::Nano, frames);
    vec![
        ("gzip.pcap.gz", packed(Compression::Gzip, &plain)),
        ("zstd.pcapng.zst", packed(Compression::Zstd, &modern)),
        ("lz4.pcap.lz4", packed(Compression::Lz4, &plain)),
        ("xz.pcapng.xz", packed(Compression::Xz, &modern)),
        ("big.pcap", pcap(link_type, Big, Ticks::Micro, frames)),
        ("nano.pcap", pcap(link_type, Little, Ticks::Nano, frames)),
        ("big-nano.pcap", pcap(link_type, Big, Ticks::Nano, frames)),
        ("big.pcapng", pcapng(link_type, Big, Ticks::Micro, frames)),
        ("little.pcapng", modern),
        ("little.pcap", plain),
    ]
}

fn policy(topology: Option<&Path>) -> Policy {
    let sources = Sources {
        topology: topology.map(Path::to_path_buf),
        policies: Vec::new(),
        no_builtin: false,
        profile: Profile::Sfb2019,
        strict: false,
    };
    Policy::load(&sources).unwrap()
}

/// The JSON report without what tells of the container.
fn report(policy: &Policy, path: &Path, threads: usize) -> Value {
    let reading = Reading { captures: vec![path.to_path_buf()], threads, ..Reading::default() };
    let checked = check(&reading, policy, Threshold::default(), &Progress::default()).unwrap();
    assert!(checked.errors.is_empty(), "{}: {:?}", path.display(), checked.errors);
    let json = FORMATS.iter().find(|format| format.name == "json").unwrap();
    let mut out = Vec::new();
    let style = Style { color: false, width: None };
    (json.write)(&checked.report.unwrap(), style, &mut out).unwrap();
    neutral(&String::from_utf8(out).unwrap(), &path.display().to_string())
}

fn neutral(json: &str, path: &str) -> Value {
    let mut value: Value = serde_json::from_str(&json.replace(path, "PATH")).unwrap();
    for key in ["path", "format", "compression"] {
        value["captures"][0][key] = Value::Null;
    }
    value
}

/// Holds one capture's containers against each other; false where it cannot be put into all.
fn same_in_all(path: &Path, topology: Option<&Path>) -> bool {
    let Some((link_type, frames)) = frames_of(path).filter(|(_, frames)| !frames.is_empty()) else {
        return false;
    };
    let policy = policy(topology);
    let folder = tempfile::tempdir().unwrap();
    let mut expected: Option<Value> = None;
    for (name, bytes) in containers(link_type, &frames) {
        let kept = folder.path().join(name);
        std::fs::write(&kept, bytes).unwrap();
        for threads in [1, 2, 7] {
            let got = report(&policy, &kept, threads);
            let expected = expected.get_or_insert_with(|| got.clone());
            assert_eq!(&got, expected, "{} as {name}, {threads} threads", path.display());
        }
    }
    let frames_told = &expected.unwrap()["captures"][0]["frames"];
    assert_eq!(frames_told.as_u64(), Some(frames.len() as u64), "{}", path.display());
    true
}

#[test]
fn bundled_captures_tell_the_same_in_every_container() {
    let compared = fixtures::captures().into_iter().filter(|path| {
        let topology = path.with_file_name("topology.toml");
        same_in_all(path, topology.is_file().then_some(topology.as_path()))
    });
    assert!(compared.count() >= 25);
}

#[test]
fn captures_of_others_tell_the_same_in_every_container() {
    let Some(folder) = crate::captures::folder() else { return };
    let all = crate::captures::captures(&folder);
    let compared = all.iter().filter(|(_, path, _)| same_in_all(path, None));
    assert!(compared.count() > 80);
}

#[test]
fn standard_input_tells_the_same_as_a_file() {
    let path = fixtures::folder().join("demo-site");
    let topology = path.join("topology.toml");
    let capture = fixtures::captures().into_iter().find(|file| file.starts_with(&path)).unwrap();
    let (link_type, frames) = frames_of(&capture).unwrap();
    let mut told = Vec::new();
    for (name, bytes) in containers(link_type, &frames) {
        for threads in ["1", "7"] {
            let mut child = Command::new(env!("CARGO_BIN_EXE_portassay"))
                .args(["check", "-", "--format", "json", "--threads", threads, "-t"])
                .arg(&topology)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            child.stdin.take().unwrap().write_all(&bytes).unwrap();
            let output = child.wait_with_output().unwrap();
            told.push((
                name,
                neutral(&String::from_utf8(output.stdout).unwrap(), "standard input"),
            ));
        }
    }
    let file = {
        let folder = tempfile::tempdir().unwrap();
        let kept = folder.path().join("one.pcap");
        std::fs::write(&kept, pcap(link_type, Order::Little, Ticks::Micro, &frames)).unwrap();
        report(&policy(Some(&topology)), &kept, 1)
    };
    for (name, got) in told {
        assert_eq!(got, file, "{name}");
    }
}
