//! The laws of the house, read off the sources as text: rooms look to their left only, each
//! external crate has one door, every file says why it exists and stays short.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The rooms in the order in which data passes them.
const ROOMS: [&str; 10] = [
    "error", "input", "decode", "flow", "identify", "policy", "findings", "report", "pipeline",
    "cli",
];

/// The only places that may name a crate.
const DOORS: &[(&str, &[&str])] = &[
    ("pcap", &["input/"]),
    ("flate2", &["input/unpack/"]),
    ("zstd", &["input/unpack/"]),
    ("lz4_flex", &["input/unpack/"]),
    ("lzma_rust2", &["input/unpack/"]),
    ("etherparse", &["decode/"]),
    ("comfy_table", &["report/"]),
    ("rayon", &["pipeline/"]),
    ("clap", &["cli/"]),
    ("clap_complete", &["cli/"]),
    ("clap_mangen", &["cli/"]),
    ("indicatif", &["cli/"]),
    ("toml", &["policy/", "pipeline/cases.rs"]),
    ("csv", &["report/"]),
    ("jiff", &["report/"]),
    ("quick_junit", &["report/"]),
    ("ipnet", &["policy/"]),
    ("strsim", &["policy/", "cli/"]),
    ("signal_hook", &["pipeline/"]),
    ("rustix", &["input/", "cli/"]),
];

/// Lines of a file without its tests.
const MAX_LINES: usize = 500;

struct Source {
    /// Path below `src`, with `/`.
    name: String,
    text: String,
}

fn sources() -> Vec<Source> {
    fn walk(folder: &Path, out: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, out);
            } else if path.extension().is_some_and(|e| e == "rs") {
                out.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    walk(&root, &mut paths);
    paths.sort();
    paths
        .into_iter()
        .map(|path| Source {
            name: path.strip_prefix(&root).unwrap().to_string_lossy().replace('\\', "/"),
            text: fs::read_to_string(&path).unwrap(),
        })
        .collect()
}

impl Source {
    fn room(&self) -> &str {
        self.name.split('/').next().unwrap().trim_end_matches(".rs")
    }

    /// The lines before the tests.
    fn body(&self) -> Vec<&str> {
        self.text.lines().take_while(|line| !line.starts_with("#[cfg(test)]")).collect()
    }

    /// The body without comments and string contents that look like code.
    fn code(&self) -> String {
        self.body()
            .into_iter()
            .map(|line| line.split("//").next().unwrap_or_default())
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// Rooms named as `crate::room` or in `use crate::{room…}`.
    fn rooms_named(&self) -> Vec<String> {
        let code = self.code();
        let mut rooms = Vec::new();
        for (at, _) in code.match_indices("crate::") {
            let rest = &code[at + "crate::".len()..];
            if let Some(list) = rest.strip_prefix('{') {
                let inside = list.split('}').next().unwrap_or_default();
                rooms.extend(inside.split(',').map(first_word));
            } else {
                rooms.push(first_word(rest));
            }
        }
        rooms.retain(|room| !room.is_empty());
        rooms
    }
}

fn first_word(text: &str) -> String {
    text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

#[test]
fn rooms_look_to_their_left_only() {
    let place: BTreeMap<&str, usize> =
        ROOMS.iter().enumerate().map(|(n, room)| (*room, n)).collect();
    for source in sources() {
        let Some(here) = place.get(source.room()) else {
            assert!(["lib", "main"].contains(&source.room()), "{}: not in a room", source.name);
            continue;
        };
        for named in source.rooms_named() {
            let there = place.get(named.as_str()).unwrap_or_else(|| {
                panic!("{}: crate::{named} is no room; name the room it lives in", source.name)
            });
            assert!(there <= here, "{} must not use {named}: it is to its right", source.name);
        }
        assert!(!source.code().contains("super::super"), "{}: super::super", source.name);
    }
}

#[test]
fn identification_sees_samples_only() {
    for source in sources().iter().filter(|source| source.room() == "identify") {
        let code = source.code();
        for (at, _) in code.match_indices("crate::flow") {
            let rest = &code[at..];
            let allowed = ["crate::flow::sample::", "crate::flow::key::Side"];
            assert!(
                allowed.iter().any(|path| rest.starts_with(path)),
                "{}: a detector may know samples and sides, no addresses and no ports",
                source.name
            );
        }
        assert!(!code.contains("crate::decode"), "{}: knows packets", source.name);
    }
}

#[test]
fn the_policy_never_sees_a_byte() {
    for source in sources().iter().filter(|source| source.room() == "policy") {
        assert!(!source.code().contains("sample"), "{}: names samples", source.name);
        assert!(!source.code().contains("decode::Packet"), "{}: names packets", source.name);
    }
}

#[test]
fn each_external_crate_has_one_door() {
    for source in sources() {
        let code = source.code();
        for (name, doors) in DOORS {
            let used = [format!("use {name}::"), format!(" {name}::"), format!("({name}::")]
                .iter()
                .any(|form| code.contains(form.as_str()));
            let inside = doors.iter().any(|door| source.name.starts_with(door));
            assert!(!used || inside, "{}: {name} belongs in {}", source.name, doors.join(" or "));
        }
    }
}

#[test]
fn threads_live_in_the_pipeline() {
    for source in sources().iter().filter(|source| source.room() != "pipeline") {
        assert!(!source.code().contains("std::thread"), "{}: names threads", source.name);
    }
}

#[test]
fn every_file_says_why_it_exists_and_stays_short() {
    for source in sources() {
        assert!(source.text.starts_with("//! "), "{}: opens without a reason", source.name);
        let lines = source.body().len();
        assert!(lines <= MAX_LINES, "{}: {lines} lines without tests", source.name);
        for word in ["todo!(", "unimplemented!(", "FIXME", "//! stub"] {
            assert!(!source.text.contains(word), "{}: {word}", source.name);
        }
    }
}

#[test]
fn every_file_is_declared() {
    let all = sources();
    for source in &all {
        let path = Path::new(&source.name);
        let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
        let parent = path.parent().unwrap().to_string_lossy().into_owned();
        let (name, home) = match (stem.as_str(), parent.as_str()) {
            ("lib" | "main", "") => continue,
            ("mod", folder) => {
                let folder = Path::new(folder);
                let above = folder.parent().unwrap().to_string_lossy().into_owned();
                (folder.file_name().unwrap().to_string_lossy().into_owned(), above)
            }
            (stem, folder) => (stem.to_owned(), folder.to_owned()),
        };
        let homes = if home.is_empty() {
            ["lib.rs".to_owned(), "main.rs".to_owned()]
        } else {
            [format!("{home}/mod.rs"), format!("{home}.rs")]
        };
        let declared = all
            .iter()
            .filter(|other| homes.contains(&other.name))
            .any(|other| other.text.contains(&format!("mod {name};")));
        assert!(declared, "{} is not declared in {}", source.name, homes.join(" or "));
    }
}
