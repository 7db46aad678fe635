//! What makes an exemption look broken or respected, and how sure that is.

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
/// `docs/ipsec.md`.
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
            Self::Switch
            | Self::RhythmInContext
            | Self::CausedByMedia
            | Self::Asymmetric
            | Self::Negotiated => Level::Likely,
            Self::ClearMedia => Level::ExemptSeen,
            _ => Level::Possible,
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
            Self::AnyPort => "any-port",
            Self::OwnRange => "media-port",
            Self::Content => "media-content",
        }
    }
}

/// One packet may be damaged or crafted; two with the same headers prove it.
const PROOF: u64 = 2;
/// Packets on ports that others use too which make media likely.
const SERIES: u64 = 100;

#[cfg(test)]
mod tests {
    use super::*;

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
