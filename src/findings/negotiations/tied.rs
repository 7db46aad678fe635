//! A negotiation with what belongs to it, and what that says: what became of it, how long media waited, and
//! whether anything else may have asked for it.

use std::collections::BTreeSet;

use super::attempt::Mark;
use super::{Course, Negotiation};
use crate::decode::Transport;
use crate::findings::Case;
use crate::findings::kept::Kept;
use crate::flow::{Endpoint, Flow, FrameRef};
use crate::input::Timestamp;
use crate::policy::{ExpectationId, MediaSign};

/// What became of a negotiation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// Packets of a new security association followed.
    Association,
    /// It was brought to an end, and no packet of an association was seen.
    Completed,
    /// It was brought to an end, and media came in clear all the same: Windows can be told to authenticate only.
    NoEncapsulation,
    /// It failed.
    Failed,
    /// It was tried several times and not answered.
    TimedOut,
    /// It was not answered; there was one message only.
    Unanswered,
    /// It was answered, and its end was not captured.
    Unfinished,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 7] = [
        Self::Association,
        Self::Completed,
        Self::NoEncapsulation,
        Self::Failed,
        Self::TimedOut,
        Self::Unanswered,
        Self::Unfinished,
    ];

    /// The stable name used in machine output.
    pub fn token(self) -> &'static str {
        match self {
            Self::Association => "sa",
            Self::Completed => "completed",
            Self::NoEncapsulation => "no-encapsulation",
            Self::Failed => "failed",
            Self::TimedOut => "timeout",
            Self::Unanswered => "unanswered",
            Self::Unfinished => "unfinished",
        }
    }
}

/// When media in clear begin, beside a negotiation: at once, or after the time that a host waits for it before it does
/// without.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fallback {
    /// Within 50 ms.
    Parallel,
    /// After half a second: Windows with the Simple Policy update.
    HalfASecond,
    /// After three seconds: Windows without it.
    ThreeSeconds,
}

impl Fallback {
    /// Every class.
    pub const ALL: [Self; 3] = [Self::Parallel, Self::HalfASecond, Self::ThreeSeconds];

    /// The stable name used in machine output.
    pub fn token(self) -> &'static str {
        match self {
            Self::Parallel => "parallel",
            Self::HalfASecond => "soft-500ms",
            Self::ThreeSeconds => "soft-3s",
        }
    }

    /// The class of media that begin so many nanoseconds after the negotiation.
    fn of(delay: i64) -> Option<Self> {
        match delay {
            -50_000_000..=50_000_000 => Some(Self::Parallel),
            400_000_000..=700_000_000 => Some(Self::HalfASecond),
            2_700_000_000..=3_500_000_000 => Some(Self::ThreeSeconds),
            _ => None,
        }
    }
}

/// A flow of media between the hosts of a negotiation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Media {
    /// The first packet.
    pub first: Timestamp,
    /// Its frame.
    pub first_frame: FrameRef,
    /// The last packet.
    pub last: Timestamp,
    /// The transport.
    pub transport: Transport,
    /// The ends, who initiates first.
    pub ends: [Endpoint; 2],
    /// What it speaks, where that is known.
    pub protocol: Option<&'static str>,
    /// Packets of both sides.
    pub packets: u64,
    /// Exemption rows whose media it is, and what tells so.
    pub rows: Vec<(ExpectationId, MediaSign)>,
}

impl Media {
    pub(super) fn of(case: &Case<'_>) -> Self {
        let flow = case.judged.flow;
        Self {
            first: flow.first,
            first_frame: flow.first_frame,
            last: flow.last,
            transport: flow.transport,
            ends: flow.ends,
            protocol: case.judged.identification.protocol,
            packets: flow.packets(),
            rows: case.judged.verdict.exempt.clone(),
        }
    }

    /// The part of it that came in clear: all of it, or what came before it went on inside IPsec.
    pub(super) fn in_clear(&self, flow: &Flow) -> Option<Self> {
        let Some(inside) = flow.associations.as_ref().and_then(|known| known.earliest()) else {
            return Some(self.clone());
        };
        let last = inside.before.filter(|before| *before < inside.first)?;
        (flow.first < inside.first).then(|| Self { last, ..self.clone() })
    }

    /// Whether it is media for sure: as it speaks, or on ports that only media has. Anything may be on those that
    /// the operating system gives away too.
    pub(crate) fn is_sure(&self) -> bool {
        let sure = |sign: &MediaSign| matches!(sign, MediaSign::OwnRange | MediaSign::Content);
        self.protocol.is_some_and(|name| MEDIA.contains(&name))
            || self.rows.iter().any(|(_, sign)| sure(sign))
    }

    /// Keeps the surer of two, then the earlier. No two flows begin in one frame.
    pub(super) fn keep(kept: &mut Option<Self>, new: &Self) -> bool {
        let place = |one: &Self| (!one.is_sure(), one.first, one.first_frame);
        let keep = kept.as_ref().is_none_or(|kept| place(new) < place(kept));
        if keep {
            *kept = Some(new.clone());
        }
        keep
    }
}

/// A negotiation with what belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tied {
    /// Who negotiated, and how far they got.
    pub negotiation: Negotiation,
    /// The first packet of a security association that it made.
    pub association: Option<Timestamp>,
    /// The first media between the hosts, from a second before its first message to a minute after it; that which
    /// is media for sure before any other.
    pub media: Option<Media>,
    /// The first of those that came in clear.
    pub clear: Option<Media>,
    /// Other flows between the hosts that began in the second before its first message, and so may have caused it.
    pub other_triggers: u64,
    /// Those of them that are ICMP.
    pub icmp_triggers: u64,
    /// Where those begin, the first five.
    pub trigger_frames: BTreeSet<FrameRef>,
    /// What else may have caused it.
    pub(crate) others: Others,
    /// The first media once more, with all that is known of it, until it was told.
    pub(crate) kept: Option<Box<Kept>>,
}

/// What else than media may have caused a negotiation, beside flows that began just before.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Others {
    /// When the first flow between the hosts began that is not surely media and not IPsec, from a second before the
    /// first message to ten seconds after it: traffic that waited may have caused it too.
    pub(super) began: Option<Timestamp>,
    /// The earliest such flow that was under way: it began before the first message and went on until a second
    /// before it or longer. Of its packets no times are known but the first and the last.
    pub(super) under_way: Option<Mark>,
    /// The earliest of those that are ICMP.
    pub(super) icmp: Option<Mark>,
    /// The earliest flow that is surely media and was under way like them.
    pub(super) media: Option<Mark>,
    /// The earliest security association of the hosts that was in use then or in the minute before.
    pub(super) protected: Option<Mark>,
    /// It is a second phase alone, under an older cookie.
    pub(super) second: bool,
    /// Hidden packets that are likely media waited for it.
    pub(super) hidden: bool,
    /// The same host asked the other one at another time too, nothing came of it, and no media was about.
    pub(super) asks_anyway: bool,
}

impl Tied {
    pub(super) fn of(negotiation: Negotiation, second: bool) -> Self {
        Self {
            negotiation,
            association: None,
            media: None,
            clear: None,
            other_triggers: 0,
            icmp_triggers: 0,
            trigger_frames: BTreeSet::new(),
            others: Others { second, ..Others::default() },
            kept: None,
        }
    }

    /// Nanoseconds from the first message to something.
    fn since(&self, time: Timestamp) -> i64 {
        time.0.saturating_sub(self.negotiation.first.0)
    }

    /// How long it took, in nanoseconds: from its first message, if that was captured, to the first packet of its
    /// association.
    pub fn took(&self) -> Option<i64> {
        self.association.filter(|_| self.negotiation.start_seen).map(|time| self.since(time))
    }

    /// How long media came after its first message, if that was captured, in nanoseconds; 0 when they came before.
    pub fn media_delay(&self) -> Option<i64> {
        let media = self.media.as_ref().filter(|_| self.negotiation.start_seen);
        media.map(|media| self.since(media.first).max(0))
    }

    /// How long nothing was sent when media went from clear to protected, in nanoseconds: from the last packet of
    /// the clear flow to the first of the association. None unless the clear flow begins before the association
    /// and ends with it; the peer's packets may cross it by a fifth of a second.
    pub fn gap(&self) -> Option<i64> {
        let (clear, association) = (self.clear.as_ref()?, self.association?);
        let ends = clear.last.0 <= association.0.saturating_add(CROSSING);
        (clear.first < association && ends)
            .then(|| association.0.saturating_sub(clear.last.0).max(0))
    }

    /// When media in clear begin, as a host does that falls back to them. Those that begin once the association is
    /// there do not need it.
    pub fn fallback(&self) -> Option<Fallback> {
        let clear = self.clear.as_ref().filter(|clear| !self.is_past_association(clear))?;
        Fallback::of(self.since(clear.first))
    }

    /// Whether media began after the association did, later than a first packet that crossed its first.
    fn is_past_association(&self, media: &Media) -> bool {
        self.association.is_some_and(|first| media.first.0 > first.0.saturating_add(TURN))
    }

    /// What became of it.
    pub fn outcome(&self) -> Outcome {
        match self.negotiation.course {
            _ if self.association.is_some() => Outcome::Association,
            Course::Completed if self.clear.is_some() => Outcome::NoEncapsulation,
            Course::Completed => Outcome::Completed,
            Course::Failed => Outcome::Failed,
            Course::TimedOut => Outcome::TimedOut,
            Course::Unanswered => Outcome::Unanswered,
            Course::Unfinished => Outcome::Unfinished,
        }
    }

    /// Whether other traffic of the two hosts may have caused it: some began with it, or after it and no later than
    /// the media, or was under way; or it is asked for without media too.
    pub(crate) fn may_be_for_others(&self) -> bool {
        self.cause().is_some()
    }

    /// What else may have caused it, in a few words.
    pub(crate) fn cause(&self) -> Option<&'static str> {
        let media = self.media.as_ref().map(|media| media.first);
        let others = &self.others;
        match () {
            () if self.media.as_ref().is_some_and(|media| !media.is_sure()) => {
                Some("anything may be on such a port")
            }
            () if self.other_triggers > 0 || others.began.is_some_and(|at| Some(at) <= media) => {
                Some("other traffic began with it")
            }
            () if self.media.as_ref().is_some_and(|media| self.is_past_association(media)) => {
                Some("other traffic used the association first")
            }
            () if others.under_way.is_some() => Some("other traffic was under way"),
            () if others.asks_anyway => Some("it was asked for without media too"),
            () => None,
        }
    }

    /// Whether ICMP may have caused it.
    pub(crate) fn may_be_for_icmp(&self) -> bool {
        self.icmp_triggers > 0 || self.others.icmp.is_some()
    }

    /// Whether the media are in clear once the association is there, so that it does not cover them: they went on for
    /// a second, or began after it.
    pub(crate) fn media_stays_clear(&self) -> bool {
        let (Some(association), Some(clear)) = (self.association, self.clear.as_ref()) else {
            return false;
        };
        let goes_on = clear.last.0.saturating_sub(association.0) >= BEFORE;
        let is_it = |media: &Media| media.first_frame == clear.first_frame;
        goes_on || (self.is_past_association(clear) && self.media.as_ref().is_some_and(is_it))
    }

    /// Whether the media waited for it: the wait ends with the association, or with the failure, and the media begin
    /// within a second of that. Without either it is ten seconds at most; nor does a wait last longer where all had
    /// been said before, and the association only began to be used.
    pub(crate) fn media_waited(&self) -> bool {
        let (Some(delay), Some(media)) = (self.media_delay(), self.media.as_ref()) else {
            return false;
        };
        let said = self.negotiation.last;
        let within = |end: Timestamp| media.first.0.saturating_sub(end.0) <= BEFORE;
        match self.association {
            Some(first) => {
                let promptly = first.0.saturating_sub(said.0) <= BEFORE;
                within(first) && (delay <= LONGEST_WAIT || promptly)
            }
            None if matches!(self.outcome(), Outcome::Failed | Outcome::TimedOut) => {
                delay <= LONGEST_WAIT || within(said)
            }
            None => delay <= LONGEST_WAIT,
        }
    }

    /// Whether no media of the two hosts was seen with it.
    pub(super) fn shows_no_media(&self) -> bool {
        self.media.is_none() && self.others.media.is_none()
    }

    /// Whether nothing came of it, and no media that waited for it.
    pub(super) fn was_for_nothing(&self) -> bool {
        self.outcome() != Outcome::Association && !self.media_waited()
    }

    /// Whether hidden packets that are likely media waited for it.
    pub fn hides_media(&self) -> bool {
        self.others.hidden
    }

    /// Whether it is a second phase alone, under an older cookie.
    pub(crate) fn is_second_phase(&self) -> bool {
        self.others.second
    }

    /// Whether an association came of it as soon as all had been said, and none of the two hosts was in use before
    /// a second phase, so that it is no renewal.
    pub(super) fn made_association(&self) -> bool {
        let promptly = |first: Timestamp| first.0.saturating_sub(self.negotiation.last.0) <= BEFORE;
        self.association.is_some_and(promptly) && self.others.protected.is_none()
    }

    pub(super) fn place(&self) -> (Timestamp, FrameRef) {
        (self.negotiation.first, self.negotiation.first_frame)
    }
}

/// What media speak, and what prepares them.
pub(super) const MEDIA: [&str; 3] = ["rtp", "rtcp", "stun"];
/// How long before the first message media, or what else caused a negotiation, may begin, in nanoseconds; and how
/// long media in clear last beside an association that does not cover them, and how soon they begin once they need
/// not wait any longer.
pub(super) const BEFORE: i64 = 1_000_000_000;
/// How long after an association's first packet the peer's packets in clear may still arrive, in nanoseconds.
const CROSSING: i64 = 200_000_000;
/// How long after an association's first packet the first one of the peer's media may arrive, in nanoseconds.
const TURN: i64 = 50_000_000;
/// How long after the first message media wait for what has no end, in nanoseconds.
const LONGEST_WAIT: i64 = 10_000_000_000;
