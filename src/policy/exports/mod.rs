//! A host's IPsec policy as its own tools export it, read into [`ConnectionRule`]s.
//!
//! One file per format, told apart by content. What is not understood makes a rule doubtful and is told, never
//! guessed. Pre-shared keys stand in some exports in clear: no reader keeps a value that it has no use for, and
//! no message quotes a line.

mod host;
mod ipsec_conf;
mod netsh;
mod powershell;
mod registry;
mod registry_pol;
mod rule;
mod selectors;
mod swanctl;
mod swanctl_conf;
mod text;
mod words;
mod xfrm;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

pub use host::{HostPolicy, Passage};
pub use powershell::ONE_LINER;
pub use rule::{Action, ConnectionRule, Direction, Mode, Profiles, Store};
pub use words::Addresses;

use crate::error::{Error, Result};

/// The IPsec policy of one host, as exported.
#[derive(Debug, Clone)]
pub struct Export {
    /// What the host is called: given, or the name of the file.
    pub label: String,
    /// The file.
    pub path: PathBuf,
    /// What wrote it, such as `netsh`.
    pub format: &'static str,
    /// Its rules, in the order of the file.
    pub rules: Vec<ConnectionRule>,
    /// What is worth knowing about the reading, such as lines that are not understood.
    pub notes: Vec<String>,
}

/// The largest file that is read, in bytes.
pub const MAX_BYTES: u64 = 64 * 1024 * 1024;
/// The most rules that an export may have.
pub const MAX_RULES: usize = 100_000;
/// The most addresses or ports that a list of one rule may have.
const MAX_ITEMS: usize = 10_000;
/// The most notes that are kept of one kind.
const MAX_PLACES: usize = 5;

/// A format: how it is recognised and how it is read.
struct Reader {
    name: &'static str,
    recognises: fn(&str) -> bool,
    read: fn(&str, &mut Draft) -> Outcome,
}

/// Why a file is not read, in words that follow `FILE is not an export this tool reads: `.
type Outcome = std::result::Result<(), String>;

/// Every format of text, in the order in which they are tried.
const READERS: &[Reader] = &[
    powershell::READER,
    registry::READER,
    xfrm::READER,
    swanctl::RAW,
    swanctl::LIST,
    swanctl_conf::READER,
    ipsec_conf::READER,
    netsh::READER,
];

impl Export {
    /// Reads a file. Errors: it cannot be read, is too large, or is no export of a known format.
    pub fn load(path: &Path, label: &str) -> Result<Self> {
        let file =
            File::open(path).map_err(|source| Error::Open { path: path.to_owned(), source })?;
        let mut bytes = Vec::new();
        file.take(MAX_BYTES + 1)
            .read_to_end(&mut bytes)
            .map_err(|source| Error::Read { path: path.to_owned(), source })?;
        if bytes.len() as u64 > MAX_BYTES {
            let why = format!("it is larger than {} MiB", MAX_BYTES / (1024 * 1024));
            return Err(Error::NotAnExport { path: path.to_owned(), why });
        }
        Self::read(&bytes, path, label)
            .map_err(|why| Error::NotAnExport { path: path.to_owned(), why })
    }

    /// Reads what a file holds; the error says why it is not an export.
    pub fn read(bytes: &[u8], path: &Path, label: &str) -> std::result::Result<Self, String> {
        let mut draft = Draft::default();
        let format = if bytes.starts_with(registry_pol::SIGNATURE) {
            registry_pol::read(bytes, &mut draft)?;
            registry_pol::NAME
        } else {
            let text = text::decode(bytes, &mut draft);
            let reader = READERS.iter().find(|reader| (reader.recognises)(&text));
            let reader = reader.ok_or_else(|| unknown(&text))?;
            (reader.read)(&text, &mut draft)?;
            reader.name
        };
        draft.settle();
        Ok(Self {
            label: label.to_owned(),
            path: path.to_owned(),
            format,
            notes: draft.notes(),
            rules: draft.rules,
        })
    }

    /// Rules between hosts that have an effect, those that go first in front.
    pub fn in_force(&self) -> Vec<&ConnectionRule> {
        let active = |rule: &&ConnectionRule| rule.inactive().is_none() && rule.between_hosts();
        let mut rules: Vec<&ConnectionRule> = self.rules.iter().filter(active).collect();
        rules.sort_by_key(|rule| {
            (rule.priority.unwrap_or(0), rule.priority.is_none() && rule.action != Action::Exempt)
        });
        rules
    }
}

fn unknown(text: &str) -> String {
    if text.trim().is_empty() {
        return "it is empty; export again, with the rights of an administrator".to_owned();
    }
    "no rule of netsh, PowerShell, the registry, ip xfrm, swanctl or ipsec.conf is in it; \
     `portassay ipsec --help` lists the commands that export"
        .to_owned()
}

/// What a reader has found so far.
#[derive(Debug, Default)]
struct Draft {
    rules: Vec<ConnectionRule>,
    /// Profiles in which Group Policy switches local rules off.
    merge_off: Option<Profiles>,
    /// Places that are not understood, by what is wrong with them.
    strange: BTreeMap<String, Places>,
    remarks: BTreeSet<String>,
}

#[derive(Debug, Default)]
struct Places {
    first: Vec<usize>,
    count: usize,
}

impl Draft {
    /// Keeps a rule. Errors: there are too many.
    fn push(&mut self, rule: ConnectionRule) -> Outcome {
        if self.rules.len() == MAX_RULES {
            return Err(format!("it has more than {MAX_RULES} rules"));
        }
        self.rules.push(rule);
        Ok(())
    }

    /// Notes a place that is not understood.
    fn strange(&mut self, what: &str, at: usize) {
        let places = self.strange.entry(what.to_owned()).or_default();
        places.count += 1;
        if places.first.len() < MAX_PLACES {
            places.first.push(at);
        }
    }

    fn remark(&mut self, what: impl Into<String>) {
        self.remarks.insert(what.into());
    }

    fn notes(&self) -> Vec<String> {
        let places = self.strange.iter().map(|(what, places)| {
            let first: Vec<String> = places.first.iter().map(ToString::to_string).collect();
            let more = places.count - places.first.len();
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let plural = if places.count == 1 { "line" } else { "lines" };
            format!("{what}: {plural} {}{more}", first.join(", "))
        });
        self.remarks.iter().cloned().chain(places).collect()
    }

    /// Decides what Group Policy leaves of the local rules.
    fn settle(&mut self) {
        let overriding: BTreeSet<String> = self
            .rules
            .iter()
            .filter(|rule| rule.store == Store::GroupPolicy)
            .map(|rule| rule.name.to_lowercase())
            .collect();
        let off = self.merge_off.unwrap_or(Profiles::NONE);
        for rule in &mut self.rules {
            rule.local.settle();
            rule.remote.settle();
            if rule.store != Store::Local {
                continue;
            }
            rule.taken = rule.profiles.within(off);
            rule.profiles = rule.profiles.without(off);
            if rule.profiles.is_empty() {
                rule.dead = Some(rule::MERGE_OFF.into());
            } else if overriding.contains(&rule.name.to_lowercase()) {
                rule.dead = Some("a rule of Group Policy with the same name overrides it".into());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a text as a file without a name.
    pub(super) fn export(text: &str) -> Export {
        read(text.as_bytes()).unwrap_or_else(|why| panic!("{why}"))
    }

    pub(super) fn read(bytes: &[u8]) -> std::result::Result<Export, String> {
        Export::read(bytes, Path::new("file"), "host")
    }

    const SAMPLES: [&str; 8] = [
        netsh::SAMPLE,
        powershell::SAMPLE,
        registry::SAMPLE,
        xfrm::SAMPLE,
        swanctl::SAMPLE,
        swanctl::RAW_SAMPLE,
        swanctl_conf::SAMPLE,
        ipsec_conf::SAMPLE,
    ];

    #[test]
    fn every_format_is_told_by_its_content_in_every_encoding() {
        let formats: Vec<&str> = SAMPLES.iter().map(|sample| export(sample).format).collect();
        let expected = [
            "netsh",
            "powershell",
            "registry",
            "ip-xfrm",
            "swanctl-list-pols",
            "swanctl-list-pols-raw",
            "swanctl-conf",
            "ipsec-conf",
        ];
        assert_eq!(formats, expected);
        for sample in SAMPLES {
            let plain = export(sample);
            assert!(!plain.rules.is_empty());
            let windows = sample.replace('\n', "\r\n");
            let little: Vec<u8> = "\u{feff}"
                .encode_utf16()
                .chain(windows.encode_utf16())
                .flat_map(u16::to_le_bytes)
                .collect();
            let big: Vec<u8> = "\u{feff}"
                .encode_utf16()
                .chain(windows.encode_utf16())
                .flat_map(u16::to_be_bytes)
                .collect();
            let marked = format!("\u{feff}{sample}").into_bytes();
            for bytes in [windows.into_bytes(), little, big, marked] {
                let other = read(&bytes).unwrap();
                assert_eq!(other.rules, plain.rules);
                assert_eq!(other.notes, plain.notes);
            }
        }
    }

    #[test]
    fn whatever_is_cut_off_or_damaged_is_read_or_refused() {
        for sample in SAMPLES {
            for end in 0..sample.len() {
                let _read_or_refused = read(&sample.as_bytes()[..end]);
                let mut damaged = sample.as_bytes().to_vec();
                damaged[end] ^= 0x15;
                let _read_or_refused = read(&damaged);
            }
        }
        let mut state = 7u32;
        for length in 0..600 {
            let noise: Vec<u8> = (0..length)
                .map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (state >> 24) as u8
                })
                .collect();
            let _read_or_refused = read(&noise);
            for start in [&b"PReg\x01\0\0\0"[..], b"[{", b"v2.0|Action=", b"src "] {
                let _read_or_refused = read(&[start, &noise].concat());
            }
        }
    }

    #[test]
    fn what_is_no_export_is_refused_with_the_reason() {
        assert!(read(b"").unwrap_err().contains("empty"));
        assert!(read(b"\xff\xfe").unwrap_err().contains("empty"));
        assert!(read(b"hello world\n").unwrap_err().contains("no rule of netsh"));
    }

    #[test]
    fn an_export_of_very_many_rules_is_refused() {
        let line = "v2.10|Action=DoNotSecure|Active=TRUE|Name=x|Protocol=17|\n";
        assert_eq!(export(&line.repeat(MAX_RULES)).rules.len(), MAX_RULES);
        let why = read(line.repeat(MAX_RULES + 1).as_bytes()).unwrap_err();
        assert!(why.contains("more than 100000 rules"), "{why}");
    }

    #[test]
    fn group_policy_overrides_local_rules() {
        let text = "[HKEY_LOCAL_MACHINE\\SOFTWARE\\Policies\\Microsoft\\WindowsFirewall\\ConSecRules]\n\
            \"{1}\"=\"v2.10|Action=SecureServer|Active=TRUE|Name=Same|\"\n\
            [HKEY_LOCAL_MACHINE\\SOFTWARE\\Policies\\Microsoft\\WindowsFirewall\\PublicProfile]\n\
            \"AllowLocalIPsecPolicyMerge\"=dword:00000000\n\
            [HKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet\\Services\\SharedAccess\\Parameters\\FirewallPolicy\\ConSecRules]\n\
            \"{2}\"=\"v2.10|Action=DoNotSecure|Active=TRUE|Name=same|\"\n\
            \"{3}\"=\"v2.10|Action=DoNotSecure|Active=TRUE|Name=other|\"\n\
            \"{4}\"=\"v2.10|Action=DoNotSecure|Active=TRUE|Name=dead|Profile=Public|\"\n";
        let export = export(text);
        let why: Vec<Option<&str>> = export.rules.iter().map(ConnectionRule::inactive).collect();
        assert_eq!(why[0], None);
        assert!(why[1].unwrap().contains("same name"));
        assert_eq!(why[2], None);
        assert_eq!(export.rules[2].profiles.spans(), [(0, 0), (1, 1)]);
        let held_back = export.rules[2].held_back().unwrap();
        assert!(held_back.ends_with("is 0) in the profile public"), "{held_back}");
        assert_eq!(
            export.rules[2].without_effect()[0].on(crate::policy::boxes::Axis::Profile),
            [(2, 2)]
        );
        assert_eq!((export.rules[0].held_back(), export.rules[0].without_effect()), (None, vec![]));
        assert!(why[3].unwrap().contains("switches local rules off"));
        assert_eq!(
            export.rules[3].without_effect()[0].on(crate::policy::boxes::Axis::Profile),
            [(2, 2)]
        );
    }
}
