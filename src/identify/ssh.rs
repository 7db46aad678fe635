//! SSH: the version line that both sides send first. RFC 4253 section 4.2.
//!
//! | first bytes | meaning | sure |
//! |---|---|---|
//! | `SSH-2.0-` software | version 2 | high |
//! | `SSH-1.99-`, `SSH-1.5-` software | version 1 spoken too, or only | high |
//!
//! Easily confused with nothing; but a server may send other lines before its own, which are then
//! not recognised. Both sides speak unasked, so there is no requester.

use super::bytes::{self, Prefix, StartLine};
use super::sides::{self, Seen};
use super::{Claim, Confidence, Detector, Probe, View};
use crate::flow::sample::Carrier;

/// SSH.
pub(super) const DETECTOR: Detector = Detector {
    token: "ssh",
    name: "SSH",
    reference: "RFC 4253",
    carriers: &[(Carrier::Stream, &[b'S'..=b'S'])],
    carried_after: &[],
    probe,
};

fn probe(view: &View<'_>) -> Probe {
    let seen = sides::streams(view, read);
    let software = || sides::fitting(&seen);
    if software().next().is_none() {
        return sides::undecided(&seen);
    }
    let mut names: Vec<&str> = software().map(String::as_str).filter(|n| !n.is_empty()).collect();
    names.sort_unstable();
    Probe::Match(
        Claim::new(Confidence::High, "version line")
            .fact("ssh_software", (!names.is_empty()).then(|| names.join(","))),
    )
}

/// The software that the version line names.
fn read(bytes: &[u8]) -> Seen<String> {
    let mut answer = Seen::Foreign;
    for version in VERSIONS {
        match bytes::prefix(bytes, version) {
            Prefix::Whole => {
                let rest = bytes.get(version.len()..).unwrap_or_default();
                let (StartLine::Whole(line) | StartLine::Open(line)) = bytes::start_line(rest)
                else {
                    return Seen::Foreign;
                };
                let name = line.split(|&b| b == b' ').next().and_then(bytes::text);
                return Seen::Fits(name.unwrap_or_default());
            }
            Prefix::Part => answer = Seen::Short,
            Prefix::Differs => {}
        }
    }
    answer
}

const VERSIONS: [&[u8]; 3] = [b"SSH-2.0-", b"SSH-1.99-", b"SSH-1.5-"];

#[cfg(test)]
pub(super) mod tests {
    use super::super::craft::{ask, claim, stream, survive};
    use super::*;
    use crate::flow::sample::Sample;

    pub(in crate::identify) fn samples() -> Vec<Sample> {
        vec![
            stream(b"SSH-2.0-OpenSSH_9.6 Debian\r\n", b"SSH-2.0-dropbear\r\n"),
            stream(b"", b"SSH-1.99-Cisco-1.25\n"),
        ]
    }

    #[test]
    fn recognises() {
        let both = claim(&DETECTOR, &samples()[0]);
        assert_eq!(both.confidence, Confidence::High);
        assert_eq!(both.requester, None);
        assert_eq!(both.facts["ssh_software"], "OpenSSH_9.6,dropbear");
        assert_eq!(claim(&DETECTOR, &samples()[1]).facts["ssh_software"], "Cisco-1.25");
    }

    #[test]
    fn wants_more() {
        assert_eq!(ask(&DETECTOR, &stream(b"SSH-1", b"")), Probe::NeedMore);
    }

    #[test]
    fn refuses_neighbours() {
        for other in [&b"SSH-3.0-x\r\n"[..], b"SSH-2.0-\x00\x01", b"220 SSH-2.0-x\r\n"] {
            assert_eq!(ask(&DETECTOR, &stream(other, b"")), Probe::No, "{other:?}");
        }
    }

    #[test]
    fn survives_truncation() {
        for sample in samples() {
            survive(&DETECTOR, &sample);
        }
    }
}
