//! Holds the reader against captures that others made, and what other tools counted in them.
//!
//! Each capture lies beside a `NAME.oracle.json`. The folder is not part of the project: point
//! `PORTASSAY_CAPTURES` at it, or put it beside the checkout as `../shared/captures`.

use super::{Records, SaveFile};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// What is expected where the oracle's own count does not settle it: the end of the name, and part
/// of the refusal or the damage.
const EXCEPTIONS: [(&str, Expected); 9] = [
    ("dcerpc_privacy_ntlm.pcapng.gz", Expected::Refused("gzip -dc")),
    ("BitTorrent.Transfer1.cap", Expected::Refused("editcap")),
    ("shb-option-too-long.pcapng", Expected::Refused("at byte 0 a block begins with the length")),
    ("linktype-reserved-field-not-zero.pcap", Expected::Refused("(0x00300000)")),
    ("pcapng-invalid-vers-1.pcapng", Expected::Refused("pcapng version 0.1")),
    ("pcap-invalid-version-1.pcap", Expected::Refused("pcap version 1.4")),
    ("crash-pcapng-epb-unbounded-length", Expected::Damaged(0, "at byte 48 a frame of 65536")),
    (
        "crash-eec28dafde1f1ac2299674a75a914ae16d4046fa",
        Expected::Damaged(1, "at byte 111 a frame of 4294967295 bytes"),
    ),
    // Version 2.0 gave the original length first, which the oracle's own walk does not know.
    ("fuzz-2021-10-13.pcap", Expected::Damaged(1, "at byte 237 is cut")),
];

#[derive(Debug, Clone, Copy)]
enum Expected {
    /// Opening fails with this in the message.
    Refused(&'static str),
    /// So many frames, then damage with this in the sentence.
    Damaged(u64, &'static str),
}

fn folder() -> PathBuf {
    std::env::var_os("PORTASSAY_CAPTURES").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/captures"),
        PathBuf::from,
    )
}

fn oracles(folder: &Path) -> Vec<PathBuf> {
    let entries = |path: &Path| {
        let mut list: Vec<PathBuf> =
            std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
        list.sort();
        list
    };
    let folders = entries(folder).into_iter().filter(|path| path.is_dir());
    let is_oracle = |path: &PathBuf| path.to_string_lossy().ends_with(".oracle.json");
    folders.flat_map(|path| entries(&path)).filter(is_oracle).collect()
}

fn read_all(records: &mut Records) -> (u64, u64) {
    let (mut frames, mut bytes) = (0, 0);
    while let Some(frame) = records.next() {
        frames += 1;
        bytes += u64::from(frame.original_len);
    }
    (frames, bytes)
}

fn check(capture: &Path, oracle: &Value) {
    let name = capture.display();
    let exception = EXCEPTIONS.iter().find(|(end, _)| name.to_string().ends_with(end));
    let file = match (SaveFile::open(capture), exception) {
        (Err(error), Some((_, Expected::Refused(part)))) => {
            assert!(error.to_string().contains(part), "{error}");
            return;
        }
        (opened, _) => opened.unwrap_or_else(|error| panic!("{error}")),
    };
    let mut records = file.records(file.start(), u64::MAX);
    let (frames, bytes) = read_all(&mut records);
    if let Some((_, Expected::Damaged(expected, part))) = exception {
        assert_eq!(frames, *expected, "{name}");
        let damage = records.damage().unwrap_or_default();
        assert!(damage.contains(part), "{name}: {damage}");
        return;
    }
    assert_eq!(Some(frames), oracle["record_counts"]["container"].as_u64(), "{name}");
    assert_eq!(records.damage(), None, "{name}");
    let longer = &oracle["container"]["caplen_gt_origlen"];
    if oracle["counts"]["frames"].as_u64() == Some(frames) && longer.as_u64().unwrap_or(0) == 0 {
        assert_eq!(Some(bytes), oracle["counts"]["frame_bytes"].as_u64(), "{name}");
    }
    let stream = Box::new(std::fs::File::open(capture).unwrap());
    let mut records = Records::from_stream("stream", stream).unwrap();
    assert_eq!(read_all(&mut records), (frames, bytes), "{name} as a stream");
}

#[test]
fn every_capture_has_the_frames_that_others_counted() {
    let folder = folder();
    if !folder.is_dir() {
        eprintln!("SKIPPED: no captures at {}; set PORTASSAY_CAPTURES", folder.display());
        return;
    }
    let oracles = oracles(&folder);
    assert!(oracles.len() > 100, "only {} oracles in {}", oracles.len(), folder.display());
    for path in oracles {
        let text = std::fs::read_to_string(&path).unwrap();
        let capture = path.to_string_lossy().replace(".oracle.json", "");
        check(Path::new(&capture), &serde_json::from_str(&text).unwrap());
    }
}
