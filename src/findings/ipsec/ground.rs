//! What makes an exemption look broken or respected, and how sure that is.

use crate::findings::Severity;
use crate::identify::Confidence;
use crate::policy::MediaSign;

/// How sure an answer about an exemption is, the weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::findings) enum Level {
    /// Media was seen in clear between hosts that use IPsec.
    ExemptSeen,
    /// One sign that it is broken.
    Possible,
    /// Two independent signs, one of content and one of context.
    Likely,
    /// Inner headers were read.
    Proven,
}

impl Level {
    /// How grave and how sure a finding of this level is.
    pub(in crate::findings) fn grade(self) -> (Severity, Confidence) {
        match self {
            Self::Proven => (Severity::Error, Confidence::High),
            Self::Likely => (Severity::Warning, Confidence::Medium),
            Self::Possible | Self::ExemptSeen => (Severity::Note, Confidence::Low),
        }
    }

    /// The stable name used in machine output.
    pub(in crate::findings) fn token(self) -> &'static str {
        match self {
            Self::ExemptSeen => "exempt-seen",
            Self::Possible => "possible",
            Self::Likely => "likely",
            Self::Proven => "proven",
        }
    }
}

/// What was seen of an exemption, the weakest first. Each stands for one line of the decision table in
/// `docs/ipsec-evidence.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::findings) enum Ground {
    /// Clear media between hosts that use IPsec.
    ClearMedia,
    /// Strictly: hidden content between a host of the role and another.
    Hidden,
    /// Readable, and by a port of a range that others use too, with nothing that speaks for media.
    SharedPort,
    /// Hidden, and marked as media is.
    Marked,
    /// Hidden, with the rhythm and size of audio.
    Rhythm,
    /// A negotiation as media began that other traffic may have caused.
    Triggered,
    /// Readable, and by a UDP port of a range that others use too.
    SharedRange,
    /// Strictly: a completed negotiation that nothing but TCP or UDP can have caused.
    Negotiated,
    /// A negotiation that one side completed and the other refused, as media began.
    Asymmetric,
    /// A negotiation that only media can have caused.
    CausedByMedia,
    /// Hidden, with the rhythm and size of audio, and marked as audio or begun with a call.
    RhythmInContext,
    /// Media that began in clear and went on hidden.
    Switch,
    /// Hidden, and a host shows media beside it that is its content.
    Decrypted,
    /// Strictly: readable, on any port.
    AnyPort,
    /// Readable, and by a port that only media has.
    OwnRange,
    /// Readable, and media by its content.
    Content,
}

impl Ground {
    /// Of a flow that could be read.
    pub(in crate::findings) fn of(sign: MediaSign) -> Self {
        match sign {
            MediaSign::SharedPort => Self::SharedPort,
            MediaSign::SharedRange => Self::SharedRange,
            MediaSign::AnyPort => Self::AnyPort,
            MediaSign::OwnRange => Self::OwnRange,
            MediaSign::Content => Self::Content,
        }
    }

    /// How sure it is, with so many packets.
    pub(in crate::findings) fn level(self, packets: u64) -> Level {
        match self {
            Self::Content | Self::OwnRange | Self::AnyPort if packets >= PROOF => Level::Proven,
            Self::SharedRange if packets >= SERIES => Level::Likely,
            Self::Decrypted
            | Self::Switch
            | Self::RhythmInContext
            | Self::CausedByMedia
            | Self::Asymmetric
            | Self::Negotiated => Level::Likely,
            Self::ClearMedia => Level::ExemptSeen,
            _ => Level::Possible,
        }
    }

    /// Every ground, the weakest first.
    const ALL: [Self; 16] = [
        Self::ClearMedia,
        Self::Hidden,
        Self::SharedPort,
        Self::Marked,
        Self::Rhythm,
        Self::Triggered,
        Self::SharedRange,
        Self::Negotiated,
        Self::Asymmetric,
        Self::CausedByMedia,
        Self::RhythmInContext,
        Self::Switch,
        Self::Decrypted,
        Self::AnyPort,
        Self::OwnRange,
        Self::Content,
    ];

    /// Whether hidden packets are likely media by it, as the rhythm alone does not make them.
    pub(in crate::findings) fn is_likely_hidden(self) -> bool {
        matches!(self, Self::RhythmInContext | Self::Switch | Self::Decrypted)
    }

    /// What it means, and how sure it is.
    fn meaning(self) -> &'static str {
        match self {
            Self::ClearMedia => {
                "Media of the row flows in clear between hosts that use IPsec with each other or with others: 50 packets or 5 s, and either nothing was negotiated within 5 s of its beginning, or it went on for a second beside an association. The row is respected there (exempt-seen)."
            }
            Self::Hidden => {
                "Strictly: hidden content between a host of the role and another, whatever it is (possible)."
            }
            Self::SharedPort => {
                "Inside readable IPsec on a port of a media range that connections of other kinds use too: UDP one way only, TCP on the side that seems to listen, or between servers (possible)."
            }
            Self::Marked => {
                "Hidden content, 100 packets or more, most of them marked as sites mark media: DSCP 46, 34 or 24 (possible)."
            }
            Self::Rhythm => {
                "Hidden content with the rhythm and size of audio: over 100 packets and 2 s, at least 80 % of the gaps are 20 ms, or nearly all are short and multiples of 20 ms; packets are small (possible)."
            }
            Self::Triggered => {
                "A negotiation as media began that something else may have caused: other traffic of the two hosts began with it, waited as well or was under way; the same host asks at other times without media too; the port may be that of other traffic; one of the hosts is unknown; or the association only renewed an older one (possible)."
            }
            Self::SharedRange => {
                "Inside readable IPsec on a UDP port of a media range that other traffic uses too, both ways, or on a TCP port on which a connection was seen to be opened. 100 packets make it likely, fewer possible."
            }
            Self::Negotiated => {
                "Strictly: a negotiation that succeeded, and no ICMP that could have caused it (likely)."
            }
            Self::Asymmetric => {
                "A negotiation as media began whose second phase was refused: the responder is exempt, the initiator is not (likely)."
            }
            Self::CausedByMedia => {
                "A negotiation as media began, and nothing else between the two hosts that could have caused it. Also one that failed or that nobody answered: media waited all the same (likely)."
            }
            Self::RhythmInContext => {
                "Hidden content with the rhythm and size of audio between known hosts whose roles carry media, and marked as audio (DSCP 46) or begun within 10 s of signalling (likely). In UDP or TCP 4500, which others use too, the hosts were seen to negotiate, or each has an association of its own."
            }
            Self::Switch => {
                "Media that began in clear and ended as hidden content with the same rhythm, or a new association, began (likely)."
            }
            Self::Decrypted => {
                "Hidden content, and beside it the same number of packets in clear, one way only and from the same moment to the same moment, that are media: a host that captures its own traffic shows what it has decrypted (likely)."
            }
            Self::AnyPort => {
                "Strictly: inside readable IPsec on any port of a host of the role. Two packets prove it, one makes it possible."
            }
            Self::OwnRange => {
                "Inside readable IPsec on a port that only media has: a registered one, or of a range that the topology sets under [media]. Two packets prove it, one makes it possible."
            }
            Self::Content => {
                "Inside readable IPsec, and media by its content: RTP, RTCP, STUN or their like. Two packets prove it, one makes it possible."
            }
        }
    }

    /// What it is, in a word for machines.
    pub(in crate::findings) fn token(self) -> &'static str {
        match self {
            Self::ClearMedia => "clear-media",
            Self::Hidden => "hidden-content",
            Self::SharedPort => "shared-port",
            Self::Marked => "marked-as-media",
            Self::Rhythm => "audio-rhythm",
            Self::Triggered => "negotiation-with-other-traffic",
            Self::SharedRange => "shared-range",
            Self::Negotiated => "negotiation",
            Self::Asymmetric => "refused-negotiation",
            Self::CausedByMedia => "negotiation-by-media",
            Self::RhythmInContext => "audio-rhythm-in-context",
            Self::Switch => "clear-then-hidden",
            Self::Decrypted => "shown-decrypted",
            Self::AnyPort => "any-port",
            Self::OwnRange => "media-port",
            Self::Content => "media-content",
        }
    }
}

/// What a word of the answers about exemptions means: an answer, the reason of one, or a ground.
pub fn meaning(word: &str) -> Option<&'static str> {
    let answer = answers().find(|(answer, _)| *answer == word).map(|(_, meaning)| meaning);
    let ground = || Ground::ALL.into_iter().find(|ground| ground.token() == word);
    answer.or_else(|| ground().map(Ground::meaning))
}

/// The words that have a [`meaning`].
pub fn words() -> impl Iterator<Item = &'static str> {
    answers().map(|(answer, _)| answer).chain(Ground::ALL.into_iter().map(Ground::token))
}

fn answers() -> impl Iterator<Item = (&'static str, &'static str)> {
    ANSWERS.into_iter().chain(REASONS)
}

/// The answers about an exemption, the surest first.
const ANSWERS: [(&str, &str); 7] = [
    ("proven", "The exemption is missing: media was read inside IPsec."),
    (
        "likely",
        "The exemption is probably missing: two independent signs, one of content and one of what else happened.",
    ),
    ("possible", "The exemption may be missing: one sign."),
    ("exempt-seen", "The exemption works: media was seen in clear between hosts that use IPsec."),
    (
        "inconclusive",
        "Media of the row may have been inside IPsec, and cannot be seen: it is encrypted, or the snaplen cut what had to be read. Look at the rules themselves (portassay ipsec), or on a host of the role.",
    ),
    (
        "not-observed",
        "IPsec is in use, and no media of the row was captured, or too little to tell.",
    ),
    (
        "not-applicable",
        "The topology has no host of the role, or IPsec was neither seen nor declared.",
    ),
];

/// Why an answer is no other.
const REASONS: [(&str, &str); 5] = [
    ("no-host-of-the-role", "The topology has no host of the row's role (not-applicable)."),
    (
        "ipsec-not-in-use",
        "No IPsec was captured, and the topology does not say that it is in use (not-applicable). Write deployed = true into [ipsec] if it is.",
    ),
    (
        "no-media-seen",
        "IPsec is in use, and no media of the row was captured, or too little to tell (not-observed). Capture a call on a host of the role.",
    ),
    (
        "encrypted",
        "Something between a host of the role and another is encrypted, and may be media (inconclusive).",
    ),
    (
        "cut-by-snaplen",
        "The capture holds too little of each packet to read what is inside (inconclusive). Capture whole packets: snaplen 0.",
    ),
];

/// One packet may be damaged or crafted; two with the same headers prove it.
const PROOF: u64 = 2;
/// Packets on ports that others use too which make media likely.
const SERIES: u64 = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_has_a_meaning_of_its_own() {
        let all: Vec<&str> = words().collect();
        assert_eq!(all.len(), 28);
        for (nth, word) in all.iter().enumerate() {
            assert!(!all[..nth].contains(word), "{word} stands twice");
            assert!(meaning(word).is_some_and(|text| text.ends_with('.')), "{word}");
        }
        assert!(Ground::ALL.is_sorted());
        assert_eq!(meaning("x"), None);
    }

    #[test]
    fn one_packet_proves_nothing() {
        for ground in [Ground::Content, Ground::OwnRange, Ground::AnyPort] {
            assert_eq!(ground.level(1), Level::Possible);
            assert_eq!(ground.level(2), Level::Proven);
        }
        assert_eq!(Ground::SharedRange.level(99), Level::Possible);
        assert_eq!(Ground::SharedRange.level(100), Level::Likely);
        assert_eq!(Ground::SharedPort.level(u64::MAX), Level::Possible);
    }
}
