//! What is measured, as data: portassay, the limit, and the peers that may be installed.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;
use crate::capture::Made;

/// A program with its words.
#[derive(Debug)]
pub(super) struct Program {
    /// The name in tables.
    pub(super) name: &'static str,
    /// What it does with a capture.
    pub(super) work: &'static str,
    /// The Debian package that has it; empty for what is built here.
    pub(super) package: &'static str,
    /// The command line; words in capitals are filled in.
    words: &'static str,
    /// How to ask for its version.
    version: &'static str,
    pub(super) pace: Pace,
}

/// How often and on what a program is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// On every capture, in every round.
    Always,
    /// On the four mixes, in every round.
    Mixes,
    /// On the four mixes, in the first round: it takes long.
    Once,
    /// On the first mix, in the first round: it takes very long.
    OnceOnImix,
}

/// Names that goals speak of.
pub(super) const OURS_1: &str = "portassay, 1 thread";
pub(super) const OURS_2: &str = "portassay, 2 threads";
pub(super) const LIMIT: &str = "read only, 256 KiB";
pub(super) const SOFTFLOWD: &str = "softflowd";
pub(super) const TCPDUMP: &str = "tcpdump --count";

pub(super) const PROGRAMS: &[Program] = &[
    Program {
        name: OURS_1,
        work: "audit with topology and built-in policy, JSON report",
        package: "",
        words: "PORTASSAY check CAPTURE --topology SITE --format json --exit-zero --threads 1",
        version: "PORTASSAY --version",
        pace: Pace::Always,
    },
    Program {
        name: OURS_2,
        work: "the same",
        package: "",
        words: "PORTASSAY check CAPTURE --topology SITE --format json --exit-zero --threads 2",
        version: "",
        pace: Pace::Always,
    },
    Program {
        name: LIMIT,
        work: "copies bytes, looks at none",
        package: "",
        words: "BENCH read CAPTURE",
        version: "",
        pace: Pace::Always,
    },
    Program {
        name: "dd bs=256K",
        work: "the same",
        package: "coreutils",
        words: "dd if=CAPTURE of=/dev/null bs=256K status=none",
        version: "dd --version",
        pace: Pace::Mixes,
    },
    Program {
        name: TCPDUMP,
        work: "reads and counts",
        package: "tcpdump",
        words: "tcpdump -nn --count -r CAPTURE",
        version: "tcpdump --version",
        pace: Pace::Mixes,
    },
    Program {
        name: "capinfos -c",
        work: "reads and counts",
        package: "wireshark-common",
        words: "capinfos -c CAPTURE",
        version: "capinfos --version",
        pace: Pace::Mixes,
    },
    Program {
        name: SOFTFLOWD,
        work: "flow table, NetFlow v9 to a closed loopback port",
        package: "softflowd",
        words: "softflowd -r CAPTURE -6 -m MAXFLOWS -v 9 -n 127.0.0.1:9",
        version: "softflowd -h",
        pace: Pace::Mixes,
    },
    Program {
        name: "nfpcapd",
        work: "one-way flows, written to files",
        package: "nfdump",
        words: "nfpcapd -r CAPTURE -l OUT -B MAXFLOWS",
        version: "nfpcapd -V",
        pace: Pace::Once,
    },
    Program {
        name: "argus",
        work: "flow records, written to a file",
        package: "argus-server",
        words: "argus -r CAPTURE -w OUT/argus.out",
        version: "argus -h",
        pace: Pace::Once,
    },
    Program {
        name: "ndpiReader",
        work: "flows and protocol classification",
        package: "libndpi-bin",
        words: "ndpiReader -q -i CAPTURE",
        version: "ndpiReader -h",
        pace: Pace::Once,
    },
    Program {
        name: "tshark -z conv",
        work: "full dissection, conversations",
        package: "tshark",
        words: "tshark -q -n -z conv,tcp -z conv,udp -r CAPTURE",
        version: "tshark --version",
        pace: Pace::OnceOnImix,
    },
];

/// What the words in capitals stand for.
#[derive(Debug)]
pub(super) struct Places {
    pub(super) site: PathBuf,
    pub(super) out: PathBuf,
}

impl Program {
    /// The executable, if it is there.
    pub(super) fn executable(&self) -> Option<PathBuf> {
        executable(self.words.split(' ').next()?)
    }

    /// The words behind the executable for a capture.
    pub(super) fn words(&self, made: &Made, places: &Places) -> Vec<String> {
        // Enough that no flow is thrown out early, and no more than the usual where it is enough.
        let max_flows = if made.flows > 300_000 { "4194304" } else { "300000" };
        let fill = |word: &str| {
            word.replace("CAPTURE", &made.path.to_string_lossy())
                .replace("SITE", &places.site.to_string_lossy())
                .replace("OUT", &places.out.to_string_lossy())
                .replace("MAXFLOWS", max_flows)
        };
        self.words.split(' ').skip(1).map(fill).collect()
    }

    /// The command line for people, with the words in capitals as they are.
    pub(super) fn line(&self) -> &'static str {
        self.words
    }

    /// The first line in which the program tells a version.
    pub(super) fn version(&self) -> Result<String> {
        let mut words = self.version.split(' ');
        let Some(path) = words.next().and_then(executable) else {
            return Ok(String::new());
        };
        let output = Command::new(path).args(words).output()?;
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        let tells =
            |line: &&str| line.split('.').any(|part| part.ends_with(|c: char| c.is_ascii_digit()));
        let line = text.lines().find(tells).unwrap_or_default();
        Ok(line.split(". ").next().unwrap_or_default().trim().to_owned())
    }
}

fn executable(name: &str) -> Option<PathBuf> {
    match name {
        "PORTASSAY" => Some(env!("CARGO_BIN_EXE_portassay").into()),
        "BENCH" => std::env::current_exe().ok(),
        name => {
            let path = std::env::var_os("PATH").unwrap_or_default();
            // Not every user's path has the folders of daemons.
            std::env::split_paths(&path)
                .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
                .map(|folder| folder.join(name))
                .find(|path: &PathBuf| Path::is_file(path))
        }
    }
}
