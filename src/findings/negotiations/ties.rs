//! What a negotiation led to, and what it held up: the security association that came of it, the media between the
//! same hosts, and other traffic that may have caused it instead.
//!
//! Adding flows is commutative: of everything the earliest is kept, or a sum, or the lowest few.

use std::collections::{BTreeMap, BTreeSet};

use super::{Course, Negotiation, Negotiations, Pair, pair_of};
use crate::decode::{IKE_PORT, Transport};
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
    fn of(case: &Case<'_>) -> Self {
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
    fn in_clear(&self, flow: &Flow) -> Option<Self> {
        let Some(inside) = flow.associations.as_ref().and_then(|known| known.earliest()) else {
            return Some(self.clone());
        };
        let last = inside.before.filter(|before| *before < inside.first)?;
        (flow.first < inside.first).then(|| Self { last, ..self.clone() })
    }

    /// Keeps the earlier of two. No two flows begin in one frame.
    fn keep(kept: &mut Option<Self>, new: &Self) -> bool {
        let earlier = |kept: &Self| (new.first, new.first_frame) < (kept.first, kept.first_frame);
        let keep = kept.as_ref().is_none_or(earlier);
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
    /// The first media between the hosts, from a second before its first message to a minute after it.
    pub media: Option<Media>,
    /// The first of those that came in clear.
    pub clear: Option<Media>,
    /// Other flows between the hosts that began in the second before its first message, and so may have caused it.
    pub other_triggers: u64,
    /// Those of them that are ICMP.
    pub icmp_triggers: u64,
    /// When the first flow between the hosts began that is neither media nor IPsec, from a second before the first
    /// message to ten seconds after it: traffic that waited may have caused it too.
    pub(crate) other_began: Option<Timestamp>,
    /// Where those begin, the first five.
    pub trigger_frames: BTreeSet<FrameRef>,
    /// The first media once more, with all that is known of it, until it was told.
    pub(crate) kept: Option<Box<Kept>>,
}

impl Tied {
    fn of(negotiation: Negotiation) -> Self {
        Self {
            negotiation,
            association: None,
            media: None,
            clear: None,
            other_triggers: 0,
            icmp_triggers: 0,
            other_began: None,
            trigger_frames: BTreeSet::new(),
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

    /// When media in clear begin, as a host does that falls back to them.
    pub fn fallback(&self) -> Option<Fallback> {
        Fallback::of(self.since(self.clear.as_ref()?.first))
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
    /// the media.
    pub(crate) fn may_be_for_others(&self) -> bool {
        let media = self.media.as_ref().map(|media| media.first);
        self.other_triggers > 0 || self.other_began.is_some_and(|began| Some(began) <= media)
    }

    /// Whether the media went on in clear once the association was there, so that it does not cover them.
    pub(crate) fn media_stays_clear(&self) -> bool {
        let Some(association) = self.association else { return false };
        let after = |clear: &Media| clear.last.0.saturating_sub(association.0) >= BEFORE;
        self.clear.as_ref().is_some_and(after)
    }

    /// Whether the media began long after the association was there, and had nothing to wait for.
    pub(crate) fn media_came_later(&self) -> bool {
        let began = self.media.as_ref().map(|media| media.first.0);
        let came = |(began, association): (i64, Timestamp)| began - association.0 > BEFORE;
        began.zip(self.association).is_some_and(came)
    }

    fn place(&self) -> (Timestamp, FrameRef) {
        (self.negotiation.first, self.negotiation.first_frame)
    }
}

/// Every negotiation, by hosts and time.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ties {
    pairs: BTreeMap<Pair, Vec<Tied>>,
    known: usize,
    /// Negotiations for which there was no room.
    left_out: u64,
    /// Messages that were left out of the negotiations.
    untold: u64,
}

impl Ties {
    /// Takes the negotiations as they stand. To be told before the flows of their time are added; what was told
    /// before stays, and is brought up to date.
    pub(crate) fn heed(&mut self, negotiations: &Negotiations) {
        self.untold = negotiations.left_out();
        let mut left_out = 0;
        for negotiation in negotiations.negotiations() {
            let pair = pair_of(negotiation.initiator, negotiation.responder);
            let full = self.known >= MAX_KNOWN;
            if full && !self.pairs.contains_key(&pair) {
                left_out += 1;
                continue;
            }
            let list = self.pairs.entry(pair).or_default();
            let new = Tied::of(negotiation);
            match list.binary_search_by_key(&new.place(), Tied::place) {
                Ok(at) => {
                    if let Some(known) = list.get_mut(at) {
                        known.negotiation = new.negotiation;
                    }
                }
                Err(_) if full => left_out += 1,
                Err(at) => {
                    list.insert(at, new);
                    self.known += 1;
                }
            }
        }
        self.left_out = self.left_out.max(left_out);
        for (pair, time) in negotiations.associations() {
            self.sa_began(pair, time);
        }
    }

    /// Tells that a security association of two hosts began: its first packet was seen. It belongs to the latest
    /// negotiation before it, one that was answered if there is one.
    pub(crate) fn sa_began(&mut self, pair: Pair, time: Timestamp) {
        let Some(list) = self.pairs.get_mut(&pair) else { return };
        let soonest = Timestamp(time.0.saturating_sub(AFTER));
        let recent = between(list, soonest, Timestamp(time.0.saturating_sub(1)));
        let latest = match recent.iter().rposition(|tied| tied.negotiation.answered) {
            Some(at) => recent.get_mut(at),
            None => recent.last_mut(),
        };
        if let Some(tied) = latest {
            let first = tied.association.map_or(time, |known| known.min(time));
            tied.association = Some(first);
        }
    }

    /// Adds a judged flow.
    pub(crate) fn add(&mut self, case: &Case<'_>) {
        if self.pairs.is_empty() {
            return;
        }
        let flow = case.judged.flow;
        for (_, inside) in flow.associations.iter().flat_map(|around| around.iter()) {
            self.sa_began(pair_of(inside.ends.0, inside.ends.1), inside.first);
        }
        let pair = pair_of(flow.ends[0].address, flow.ends[1].address);
        match flow.transport {
            Transport::ESP | Transport::AH | Transport::WESP => self.sa_began(pair, flow.first),
            Transport::TCP | Transport::UDP | Transport::ICMP | Transport::ICMPV6
                if !is_of_ipsec(case) =>
            {
                self.add_clear(pair, case);
            }
            _ => {}
        }
    }

    fn add_clear(&mut self, pair: Pair, case: &Case<'_>) {
        let Some(list) = self.pairs.get_mut(&pair) else { return };
        let flow = case.judged.flow;
        let media = is_media(case).then(|| Media::of(case));
        let soonest = Timestamp(flow.first.0.saturating_sub(AFTER));
        let latest = Timestamp(flow.first.0.saturating_add(BEFORE));
        for tied in between(list, soonest, latest) {
            if let Some(media) = &media {
                if Media::keep(&mut tied.media, media) {
                    tied.kept = Some(Box::new(Kept::of(&case.judged)));
                }
                if let Some(clear) = media.in_clear(flow) {
                    Media::keep(&mut tied.clear, &clear);
                }
                continue;
            }
            if flow.first.0 <= tied.negotiation.first.0.saturating_add(WAITING) {
                let known = tied.other_began.unwrap_or(flow.first);
                tied.other_began = Some(known.min(flow.first));
            }
            if flow.first <= tied.negotiation.first {
                tied.other_triggers += 1;
                let icmp = [Transport::ICMP, Transport::ICMPV6].contains(&flow.transport);
                tied.icmp_triggers += u64::from(icmp);
                tied.trigger_frames.insert(flow.first_frame);
                if tied.trigger_frames.len() > MAX_TRIGGERS {
                    tied.trigger_frames.pop_last();
                }
            }
        }
    }

    /// Takes out the media of negotiations that began before a time, each with its negotiation.
    pub(crate) fn take_untold(&mut self, until: Timestamp) -> Vec<(Tied, Box<Kept>)> {
        let all = self.pairs.values_mut().flatten();
        all.filter(|tied| tied.negotiation.first < until)
            .filter_map(|tied| Some(tied.kept.take()).flatten().map(|kept| (tied.clone(), kept)))
            .collect()
    }

    /// Whether the hosts of a flow were seen to negotiate with each other: both, for a question that nobody answers
    /// tells of one only.
    pub(crate) fn knows(&self, case: &Case<'_>) -> bool {
        let [a, b] = case.judged.flow.ends.map(|end| end.address);
        let known = self.pairs.get(&pair_of(a, b)).into_iter().flatten();
        known.into_iter().any(|tied| tied.negotiation.answered)
    }

    /// Whether the hosts of a flow negotiated nothing as it began.
    pub(crate) fn is_quiet(&self, case: &Case<'_>) -> bool {
        if self.pairs.is_empty() {
            return true;
        }
        let flow = case.judged.flow;
        let pair = pair_of(flow.ends[0].address, flow.ends[1].address);
        let near = |tied: &Tied| {
            tied.negotiation.first.0.saturating_sub(QUIET) <= flow.first.0
                && flow.first.0 <= tied.negotiation.last.0.saturating_add(QUIET)
        };
        !self.pairs.get(&pair).is_some_and(|list| list.iter().any(near))
    }

    /// Every negotiation with what belongs to it, in no order of time.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Tied> {
        self.pairs.values().flatten()
    }

    /// The first of them by time, as many as are listed, and how many there are beyond those.
    pub(crate) fn listed(&self) -> (Vec<Tied>, u64) {
        let mut all: Vec<&Tied> = self.iter().collect();
        all.sort_by_key(|tied| (tied.place(), tied.negotiation.initiator));
        let rest = all.len().saturating_sub(MAX_LISTED) as u64 + self.left_out;
        (all.into_iter().take(MAX_LISTED).cloned().collect(), rest)
    }

    /// Messages for which there was no room, so that negotiations may be missing.
    pub(crate) fn untold(&self) -> u64 {
        self.untold
    }
}

/// Negotiations that began within a time, both ends included.
fn between(list: &mut [Tied], soonest: Timestamp, latest: Timestamp) -> &mut [Tied] {
    let from = list.partition_point(|tied| tied.negotiation.first < soonest);
    let until = list.partition_point(|tied| tied.negotiation.first <= latest);
    list.get_mut(from..until).unwrap_or_default()
}

/// Whether a flow is IPsec's own: key exchange, or what shares its port behind a NAT.
fn is_of_ipsec(case: &Case<'_>) -> bool {
    let flow = case.judged.flow;
    let own = |end: &Endpoint| [IKE_PORT, super::NAT_PORT].contains(&end.port);
    // Media may be on any port of a client, and what they begin with looks like an SPI.
    flow.transport == Transport::UDP
        && !speaks_media(case)
        && (flow.spi.is_some()
            || case.judged.identification.protocol == Some("ike")
            || flow.ends.iter().any(own))
}

/// Whether a flow is media: as it speaks, or on ports that an exemption is for. The strict reading exempts
/// every port, so that there only the content tells.
fn is_media(case: &Case<'_>) -> bool {
    let exempt = &case.judged.verdict.exempt;
    speaks_media(case) || exempt.iter().any(|(_, sign)| *sign != MediaSign::AnyPort)
}

fn speaks_media(case: &Case<'_>) -> bool {
    case.judged.identification.protocol.is_some_and(|name| MEDIA.contains(&name))
}

/// What media speak, and what prepares them.
const MEDIA: [&str; 3] = ["rtp", "rtcp", "stun"];
/// How long before the first message media, or what else caused a negotiation, may begin, in nanoseconds.
const BEFORE: i64 = 1_000_000_000;
/// How long after the first message an association, or media, may begin, in nanoseconds.
const AFTER: i64 = 60_000_000_000;
/// How long after the first message other traffic may begin that had waited for it, in nanoseconds.
const WAITING: i64 = 10_000_000_000;
/// How long after an association's first packet the peer's packets in clear may still arrive, in nanoseconds.
const CROSSING: i64 = 200_000_000;
/// Media that begin further away from a negotiation did not need it, in nanoseconds.
const QUIET: i64 = 5_000_000_000;
/// Frames kept of other triggers.
const MAX_TRIGGERS: usize = 5;
/// Negotiations kept, some 30 MB.
const MAX_KNOWN: usize = 65_536;
/// Negotiations listed.
const MAX_LISTED: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::super::testing::{Told, at, end, message};
    use super::*;
    use crate::findings::testbed::{EXEMPT_IN, Sample, Testbed, flow};

    const CLIENT: &str = "10.20.0.101";
    const SERVER: &str = "10.0.1.31";
    const MS: i64 = 1_000_000;

    /// Ten seconds after the beginning of time.
    const BEGIN: i64 = 10_000;

    /// A client's negotiations that begin at these milliseconds, each answered or not.
    fn negotiated(begin: &[(i64, bool)]) -> Ties {
        let mut all = Negotiations::default();
        let (client, server) = (end(CLIENT), end(SERVER));
        for (nth, (ms, answered)) in begin.iter().enumerate() {
            let (cookie, frame) = (nth as u64 + 1, nth as u64 * 10 + 1);
            let asks = Told { cookie, ..Told::default() };
            all.take(&message(&asks), client, server, at(frame), Timestamp(ms * MS));
            let answers = Told { cookie, answered: true, knows: false, ..Told::default() };
            if *answered {
                let time = Timestamp((ms + 1) * MS);
                all.take(&message(&answers), server, client, at(frame + 1), time);
            }
        }
        let mut ties = Ties::default();
        ties.heed(&all);
        ties
    }

    fn timed(sample: Sample, first: i64, last: i64) -> Sample {
        let mut sample = sample.frame(first.unsigned_abs());
        (sample.flow.first, sample.flow.last) = (Timestamp(first * MS), Timestamp(last * MS));
        sample
    }

    fn rtp(first: i64, last: i64) -> Sample {
        let sample = flow("10.20.0.101:50020", "10.0.1.31:49200").udp().protocol("rtp");
        timed(sample.exempt(&[(EXEMPT_IN, MediaSign::Content)]), first, last)
    }

    fn esp(first: i64) -> Sample {
        timed(flow("10.0.1.31:0", "10.20.0.101:0").esp(0xaabb), first, first + 500)
    }

    fn tie(mut ties: Ties, samples: &[Sample]) -> Vec<Tied> {
        let bed = Testbed::default();
        let mut backwards = ties.clone();
        for sample in samples {
            ties.add(&Case::of(&sample.judged(), &bed, &bed.deployment));
        }
        for sample in samples.iter().rev() {
            backwards.add(&Case::of(&sample.judged(), &bed, &bed.deployment));
        }
        assert_eq!(ties.listed(), backwards.listed(), "order decides nothing");
        ties.listed().0
    }

    fn one(samples: &[Sample]) -> Tied {
        let mut all = tie(negotiated(&[(BEGIN, true)]), samples);
        assert_eq!(all.len(), 1);
        all.remove(0)
    }

    #[test]
    fn media_that_change_from_clear_to_protected_show_the_gap() {
        let tied = one(&[rtp(BEGIN - 5, BEGIN + 60), esp(BEGIN + 100)]);
        assert_eq!((tied.outcome(), tied.took()), (Outcome::Association, Some(100 * MS)));
        assert_eq!((tied.media_delay(), tied.gap()), (Some(0), Some(40 * MS)));
        assert_eq!(tied.fallback(), Some(Fallback::Parallel));
        assert_eq!(tied.media.unwrap().rows, [(EXEMPT_IN.key, MediaSign::Content)]);
        let crossing = one(&[rtp(BEGIN - 5, BEGIN + 150), esp(BEGIN + 100)]);
        assert_eq!(crossing.gap(), Some(0));
        let goes_on = one(&[rtp(BEGIN - 5, BEGIN + 9000), esp(BEGIN + 100)]);
        assert_eq!(goes_on.gap(), None);
        let later = one(&[rtp(BEGIN + 200, BEGIN + 9000), esp(BEGIN + 100)]);
        assert_eq!((later.media_delay(), later.gap()), (Some(200 * MS), None));
    }

    #[test]
    fn media_that_wait_and_then_come_in_clear_fell_back() {
        for (delay, expected) in [
            (51, None),
            (500, Some(Fallback::HalfASecond)),
            (3000, Some(Fallback::ThreeSeconds)),
            (-51, None),
        ] {
            let tied = one(&[rtp(BEGIN + delay, BEGIN + 9000)]);
            assert_eq!(tied.fallback(), expected, "{delay} ms");
            assert_eq!(tied.media_delay(), Some(delay.max(0) * MS));
            assert_eq!(tied.outcome(), Outcome::Unfinished);
        }
    }

    #[test]
    fn only_what_is_near_belongs_to_it() {
        for (sample, media) in [
            (rtp(BEGIN - 1001, BEGIN), false),
            (rtp(BEGIN - 1000, BEGIN), true),
            (rtp(BEGIN + 60_000, BEGIN + 60_000), true),
            (rtp(BEGIN + 60_001, BEGIN + 60_001), false),
        ] {
            assert_eq!(one(&[sample]).media.is_some(), media);
        }
        for (ms, seen) in [(0, false), (1, true), (60_000, true), (60_001, false)] {
            assert_eq!(one(&[esp(BEGIN + ms)]).association.is_some(), seen, "{ms} ms");
        }
        let elsewhere = timed(flow("10.20.0.101:0", "10.0.1.41:0").esp(1), BEGIN + 9, BEGIN + 9);
        assert_eq!(one(&[elsewhere]).association, None);
    }

    #[test]
    fn an_association_belongs_to_the_latest_negotiation_that_was_answered() {
        let took = |begin: &[(i64, bool)]| -> Vec<Option<i64>> {
            let all = tie(negotiated(begin), &[esp(BEGIN + 41_000)]);
            all.iter().map(|tied| tied.took().map(|time| time / MS)).collect()
        };
        assert_eq!(took(&[(BEGIN, true), (BEGIN + 40_000, true)]), [None, Some(1000)]);
        assert_eq!(took(&[(BEGIN, true), (BEGIN + 40_000, false)]), [Some(41_000), None]);
        assert_eq!(took(&[(BEGIN, false), (BEGIN + 40_000, false)]), [None, Some(1000)]);
    }

    #[test]
    fn other_traffic_just_before_may_have_caused_it() {
        let smb = |ms| timed(flow("10.20.0.101:50001", "10.0.1.31:445"), ms, ms + 5);
        assert_eq!(one(&[smb(BEGIN - 1001), smb(BEGIN + 1)]).other_triggers, 0);
        let tied = one(&[smb(BEGIN - 3), smb(BEGIN), rtp(BEGIN, BEGIN + 5)]);
        assert_eq!(tied.other_triggers, 2);
        assert_eq!(tied.trigger_frames.len(), 2);
        let ike = timed(flow("10.20.0.101:500", "10.0.1.31:500").udp(), BEGIN, BEGIN + 5);
        assert_eq!(one(&[ike.protocol("ike")]).other_triggers, 0);
    }

    #[test]
    fn media_on_the_port_that_esp_shares_are_media() {
        let on_4500 = |sample: Sample| {
            let mut sample = timed(sample.udp(), BEGIN, BEGIN + 5);
            sample.flow.ends[0].port = 4500;
            sample.flow.spi = Some(0x8000_0001);
            one(&[sample])
        };
        let call = || flow("10.20.0.101:4500", "10.0.1.31:49200");
        assert!(on_4500(call().protocol("rtp")).media.is_some());
        let hidden = on_4500(call());
        assert_eq!((hidden.media, hidden.other_triggers), (None, 0));
    }

    #[test]
    fn only_so_many_are_known_and_listed_and_the_rest_is_counted() {
        let heed = |ties: &mut Ties, hosts: std::ops::Range<u32>| {
            let mut all = Negotiations::default();
            for host in hosts {
                let from = end(&std::net::Ipv4Addr::from(host).to_string());
                let time = Timestamp(i64::from(host));
                all.take(&message(&Told::default()), from, end(SERVER), at(host.into()), time);
            }
            ties.heed(&all);
        };
        let mut ties = Ties::default();
        heed(&mut ties, 1..60_001);
        heed(&mut ties, 60_001..70_001);
        heed(&mut ties, 60_001..70_001);
        assert_eq!((ties.known, ties.pairs.len()), (MAX_KNOWN, MAX_KNOWN));
        let (listed, rest) = ties.listed();
        assert_eq!((listed.len(), rest), (MAX_LISTED, 70_000 - MAX_LISTED as u64));
    }

    #[test]
    fn a_negotiation_is_brought_up_to_date_and_keeps_what_is_tied_to_it() {
        let mut ties = negotiated(&[(BEGIN, false)]);
        let bed = Testbed::default();
        ties.add(&Case::of(&rtp(BEGIN, BEGIN + 5).judged(), &bed, &bed.deployment));
        let mut all = Negotiations::default();
        for frame in [1, 2] {
            let asks = Told { cookie: 1, ..Told::default() };
            let time = Timestamp((BEGIN + frame - 1) * MS);
            all.take(&message(&asks), end(CLIENT), end(SERVER), at(frame.unsigned_abs()), time);
        }
        ties.heed(&all);
        let (list, rest) = ties.listed();
        assert_eq!((list.len(), rest), (1, 0));
        assert_eq!(list[0].outcome(), Outcome::TimedOut);
        assert!(list[0].media.is_some());
    }
}
