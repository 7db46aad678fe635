//! What a negotiation led to, and what it held up: the security association that came of it, the media between the
//! same hosts, and other traffic that may have caused it instead.
//!
//! Adding flows is commutative: of everything the earliest is kept, or a sum, or the lowest few.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::Range;

use super::attempt::Mark;
use super::tied::{BEFORE, MEDIA, Media, Tied};
use super::{Negotiation, Negotiations, Pair, pair_of};
use crate::decode::{IKE_PORT, Transport};
use crate::findings::Case;
use crate::findings::kept::Kept;
use crate::flow::{Endpoint, FrameRef, Outcome as Answer, TcpSeen};
use crate::input::Timestamp;
use crate::policy::MediaSign;

/// Every negotiation, by hosts and time.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ties {
    whole: Known,
    /// Second phases under cookies that are older. Of those only they are told that stand alone.
    second: Known,
    /// Messages that were left out of the negotiations.
    untold: u64,
}

/// Negotiations of one kind.
#[derive(Debug, Clone, Default)]
struct Known {
    pairs: BTreeMap<Pair, Vec<Tied>>,
    count: usize,
    /// Those for which there was no room.
    left_out: u64,
}

impl Known {
    /// Takes them as they stand. What was told before stays, and is brought up to date.
    fn heed(&mut self, negotiations: Vec<Negotiation>, second: bool) {
        let mut left_out = 0;
        for negotiation in negotiations {
            let pair = pair_of(negotiation.initiator, negotiation.responder);
            let full = self.count >= MAX_KNOWN;
            if full && !self.pairs.contains_key(&pair) {
                left_out += 1;
                continue;
            }
            let list = self.pairs.entry(pair).or_default();
            let new = Tied::of(negotiation, second);
            match list.binary_search_by_key(&new.place(), Tied::place) {
                Ok(at) => {
                    if let Some(known) = list.get_mut(at) {
                        known.negotiation = new.negotiation;
                    }
                }
                Err(_) if full => left_out += 1,
                Err(at) => {
                    list.insert(at, new);
                    self.count += 1;
                }
            }
        }
        self.left_out = self.left_out.max(left_out);
    }

    /// An association belongs to the latest negotiation before it, one that was answered if there is one, and to
    /// that which was not over as that one began, a second before it or less: hosts may ask each other at once.
    fn sa_began(&mut self, pair: Pair, time: Timestamp) {
        let Some(list) = self.pairs.get_mut(&pair) else { return };
        let soonest = Timestamp(time.0.saturating_sub(AFTER));
        let recent = between(list, soonest, Timestamp(time.0.saturating_sub(1)));
        let open = |tied: &&Tied| !tied.negotiation.is_too_early(time);
        let answered = recent.iter().filter(open).rfind(|tied| tied.negotiation.answered);
        let latest = answered.or_else(|| recent.iter().rfind(open));
        let Some(latest) = latest.map(|tied| tied.negotiation.clone()) else { return };
        let at_once = Timestamp(latest.first.0.saturating_sub(BEFORE))..=latest.first;
        let its = |one: &Negotiation| {
            at_once.contains(&one.first)
                && one.last >= latest.first
                && one.answered == latest.answered
                && !one.is_too_early(time)
        };
        for tied in recent.iter_mut().filter(|tied| its(&tied.negotiation)) {
            let first = tied.association.map_or(time, |known| known.min(time));
            tied.association = Some(first);
        }
    }

    /// Ties a flow that is not IPsec's own.
    fn add(&mut self, pair: Pair, case: &Case<'_>) {
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
            }
        }
        let mark = (flow.first, flow.first_frame);
        let until = Timestamp(flow.last.0.saturating_add(BEFORE));
        if media.is_some_and(|media| media.is_sure()) {
            spans(list, mark, until, |tied| &mut tied.others.media);
            return;
        }
        let icmp = [Transport::ICMP, Transport::ICMPV6].contains(&flow.transport);
        for tied in between(list, soonest, latest) {
            if flow.first.0 <= tied.negotiation.first.0.saturating_add(WAITING) {
                let known = tied.others.began.unwrap_or(flow.first);
                tied.others.began = Some(known.min(flow.first));
            }
            if flow.first <= tied.negotiation.first {
                tied.other_triggers += 1;
                tied.icmp_triggers += u64::from(icmp);
                tied.trigger_frames.insert(flow.first_frame);
                if tied.trigger_frames.len() > MAX_TRIGGERS {
                    tied.trigger_frames.pop_last();
                }
            }
        }
        spans(list, mark, until, |tied| &mut tied.others.under_way);
        if icmp {
            spans(list, mark, until, |tied| &mut tied.others.icmp);
        }
    }

    /// Tells that a security association was in use from one packet to another.
    fn in_use(&mut self, pair: Pair, first: Mark, last: Timestamp) {
        if let Some(list) = self.pairs.get_mut(&pair) {
            let until = Timestamp(last.0.saturating_add(IDLE));
            spans(list, first, until, |tied| &mut tied.others.protected);
        }
    }

    /// Those of two hosts to which an association may belong that began at a time.
    fn recent(&self, pair: Pair, time: Timestamp) -> &[Tied] {
        let Some(list) = self.pairs.get(&pair) else { return &[] };
        let soonest = Timestamp(time.0.saturating_sub(AFTER.saturating_add(BEFORE)));
        list.get(range(list, soonest, time)).unwrap_or_default()
    }

    /// Takes out those that began before a time and have media that are not told yet.
    fn take_untold(&mut self, until: Timestamp) -> Vec<(Tied, Box<Kept>)> {
        let mut untold = Vec::new();
        for list in self.pairs.values_mut() {
            note_habits(list);
            let due = list.iter_mut().filter(|tied| tied.negotiation.first < until);
            for tied in due {
                untold.extend(tied.kept.take().map(|kept| (tied.clone(), kept)));
            }
        }
        untold
    }
}

impl Ties {
    /// Takes the negotiations as they stand. To be told before the flows of their time are added; what was told
    /// before stays, and is brought up to date.
    pub(crate) fn heed(&mut self, negotiations: &Negotiations) {
        self.untold = negotiations.left_out();
        self.whole.heed(negotiations.negotiations(), false);
        self.second.heed(negotiations.second_phases(), true);
        for (pair, time) in negotiations.associations() {
            self.sa_began(pair, time);
        }
    }

    /// Tells that a security association of two hosts began: its first packet was seen.
    pub(crate) fn sa_began(&mut self, pair: Pair, time: Timestamp) {
        self.whole.sa_began(pair, time);
        self.second.sa_began(pair, time);
    }

    /// Tells that packets of a security association were seen, from a first to a last.
    fn sa_used(&mut self, pair: Pair, first: Mark, last: Timestamp) {
        self.sa_began(pair, first.0);
        self.second.in_use(pair, first, last);
    }

    /// Adds a judged flow.
    pub(crate) fn add(&mut self, case: &Case<'_>) {
        if self.whole.pairs.is_empty() && self.second.pairs.is_empty() {
            return;
        }
        let flow = case.judged.flow;
        for (_, inside) in flow.associations.iter().flat_map(|around| around.iter()) {
            let pair = pair_of(inside.ends.0, inside.ends.1);
            self.sa_used(pair, (inside.first, inside.first_frame), flow.last);
        }
        let pair = pair_of(flow.ends[0].address, flow.ends[1].address);
        match flow.transport {
            Transport::ESP | Transport::AH | Transport::WESP => {
                self.sa_used(pair, (flow.first, flow.first_frame), flow.last);
            }
            Transport::TCP | Transport::UDP | Transport::ICMP | Transport::ICMPV6
                if !is_of_ipsec(case) =>
            {
                self.whole.add(pair, case);
                self.second.add(pair, case);
            }
            // All associations in UDP are one flow: how they follow each other it does not show.
            Transport::UDP if flow.paces.is_some() => {
                self.second.in_use(pair, (flow.first, flow.first_frame), flow.last);
            }
            _ => {}
        }
    }

    /// Takes out the media of negotiations that began before a time, each with its negotiation.
    pub(crate) fn take_untold(&mut self, until: Timestamp) -> Vec<(Tied, Box<Kept>)> {
        let mut untold = self.whole.take_untold(until);
        let second = self.second.take_untold(until);
        untold.extend(second.into_iter().filter(|(tied, _)| self.stands_alone(tied)));
        untold
    }

    /// Whether a second phase is a negotiation of its own: an association and media came of it, and it belongs to no
    /// setup.
    fn stands_alone(&self, tied: &Tied) -> bool {
        let media = tied.media.as_ref().is_some_and(Media::is_sure) && tied.media_waited();
        (media || tied.hides_media()) && self.is_new(tied)
    }

    /// Whether an association came of a negotiation, and of a second phase one that no setup made.
    fn is_new(&self, tied: &Tied) -> bool {
        let pair = pair_of(tied.negotiation.initiator, tied.negotiation.responder);
        let of_setup = || {
            let whole = self.whole.recent(pair, tied.association.unwrap_or_default());
            whole.iter().any(|whole| whole.association == tied.association)
        };
        tied.made_association() && !(tied.is_second_phase() && of_setup())
    }

    /// How long what the hosts of a flow hide had waited as it began, in nanoseconds, and for which negotiation: one
    /// that made the association, and that nothing else may have caused. None where other media of theirs were seen;
    /// those that a host shows `decrypted` are the same. The flow is likely media, so that is noted of the
    /// negotiation.
    pub(crate) fn hidden_wait(
        &mut self,
        case: &Case<'_>,
        decrypted: bool,
    ) -> Option<(i64, FrameRef)> {
        let flow = case.judged.flow;
        let paces = flow.paces.iter().flat_map(|paces| paces.iter());
        let began = paces.filter_map(|pace| pace.times).map(|(first, _)| first).min();
        let began = began.unwrap_or(flow.first);
        let pair = pair_of(flow.ends[0].address, flow.ends[1].address);
        let its = |tied: &&Tied| {
            let begins = |first: Timestamp| (0..=BEFORE).contains(&began.0.saturating_sub(first.0));
            let alone = decrypted || tied.shows_no_media();
            tied.association.is_some_and(begins)
                && alone
                && tied.cause().is_none()
                && self.is_new(tied)
        };
        let place = |known: &Known| known.recent(pair, began).iter().find(its).map(Tied::place);
        let (of_whole, of_second) = (place(&self.whole), place(&self.second));
        let (known, place) = match (of_whole, of_second) {
            (Some(place), _) => (&mut self.whole, place),
            (None, Some(place)) => (&mut self.second, place),
            (None, None) => return None,
        };
        let tied = known.pairs.get_mut(&pair)?.iter_mut().find(|tied| tied.place() == place)?;
        let waited = tied.took()?;
        tied.others.hidden = true;
        Some((waited, tied.negotiation.first_frame))
    }

    /// Whether the hosts of a flow were seen to negotiate with each other: both, for a question that nobody answers
    /// tells of one only.
    pub(crate) fn knows(&self, case: &Case<'_>) -> bool {
        let [a, b] = case.judged.flow.ends.map(|end| end.address);
        let known = [&self.whole, &self.second].into_iter();
        let known = known.filter_map(|known| known.pairs.get(&pair_of(a, b))).flatten();
        known.into_iter().any(|tied| tied.negotiation.answered)
    }

    /// Whether the hosts of a flow negotiated nothing as it began.
    pub(crate) fn is_quiet(&self, case: &Case<'_>) -> bool {
        let flow = case.judged.flow;
        let pair = pair_of(flow.ends[0].address, flow.ends[1].address);
        let near = |tied: &Tied| {
            tied.negotiation.first.0.saturating_sub(QUIET) <= flow.first.0
                && flow.first.0 <= tied.negotiation.last.0.saturating_add(QUIET)
        };
        !self.whole.pairs.get(&pair).is_some_and(|list| list.iter().any(near))
    }

    /// Every negotiation with what belongs to it, in no order of time.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Tied> {
        let second = self.second.pairs.values().flatten().filter(|tied| self.stands_alone(tied));
        self.whole.pairs.values().flatten().chain(second)
    }

    /// The first of them by time, as many as are listed, and how many there are beyond those.
    pub(crate) fn listed(&self) -> (Vec<Tied>, u64) {
        let mut all: Vec<&Tied> = self.iter().collect();
        all.sort_by_key(|tied| (tied.place(), tied.negotiation.initiator));
        let rest = all.len().saturating_sub(MAX_LISTED) as u64 + self.whole.left_out;
        (all.into_iter().take(MAX_LISTED).cloned().collect(), rest)
    }

    /// Messages for which there was no room, so that negotiations may be missing.
    pub(crate) fn untold(&self) -> u64 {
        self.untold
    }
}

/// Negotiations that began within a time, both ends included.
fn between(list: &mut [Tied], soonest: Timestamp, latest: Timestamp) -> &mut [Tied] {
    let range = range(list, soonest, latest);
    list.get_mut(range).unwrap_or_default()
}

fn range(list: &[Tied], soonest: Timestamp, latest: Timestamp) -> Range<usize> {
    let from = list.partition_point(|tied| tied.negotiation.first < soonest);
    let until = list.partition_point(|tied| tied.negotiation.first <= latest);
    from..until
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

/// Tells a flow, by its mark, to the negotiations that began after its first packet and until a time. Of all flows the
/// earliest is kept, and what began before one that knows it knows it as well: so the walk ends there, and many long
/// flows cost no more than one.
fn spans(
    list: &mut [Tied],
    flow: Mark,
    until: Timestamp,
    place: impl Fn(&mut Tied) -> &mut Option<Mark>,
) {
    let after = Timestamp(flow.0.0.saturating_add(1));
    for tied in between(list, after, until).iter_mut().rev() {
        let known = place(tied);
        if known.is_some_and(|known| known <= flow) {
            break;
        }
        *known = Some(flow);
    }
}

/// Notes of negotiations of two hosts whether the same host asks at other times too, though no media is about.
fn note_habits(list: &mut [Tied]) {
    let mut idle: BTreeMap<IpAddr, u64> = BTreeMap::new();
    for tied in list.iter().filter(|tied| tied.was_for_nothing()) {
        *idle.entry(tied.negotiation.initiator).or_default() += 1;
    }
    for tied in list {
        let all = idle.get(&tied.negotiation.initiator).copied().unwrap_or_default();
        tied.others.asks_anyway = all > u64::from(tied.was_for_nothing());
    }
}

/// Whether a flow may be media: as it speaks, or on ports that an exemption is for, if it was answered there and
/// carries something. The strict reading exempts every port, so that there only the content tells.
fn is_media(case: &Case<'_>) -> bool {
    let exempt = &case.judged.verdict.exempt;
    let by_port = exempt.iter().any(|(_, sign)| *sign != MediaSign::AnyPort);
    speaks_media(case) || (by_port && carries_anything(case))
}

fn carries_anything(case: &Case<'_>) -> bool {
    let flow = case.judged.flow;
    let answered = flow.counters.iter().all(|side| side.packets > 0);
    let carries =
        flow.transport != Transport::TCP || flow.tcp.iter().any(|seen| seen.any(TcpSeen::DATA));
    match case.judged.outcome {
        Answer::Refused | Answer::Unanswered | Answer::Prohibited => false,
        Answer::OneSided => carries,
        Answer::Established | Answer::MidStream | Answer::Datagram => answered && carries,
    }
}

fn speaks_media(case: &Case<'_>) -> bool {
    case.judged.identification.protocol.is_some_and(|name| MEDIA.contains(&name))
}

/// How long after the first message an association, or media, may begin, in nanoseconds.
const AFTER: i64 = 60_000_000_000;
/// How long after the first message other traffic may begin that had waited for it, in nanoseconds.
const WAITING: i64 = 10_000_000_000;
/// How long after its last packet an association is still in use, in nanoseconds.
const IDLE: i64 = 60_000_000_000;
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
    use super::super::{Fallback, Outcome};
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
    fn an_association_belongs_to_both_negotiations_that_were_begun_at_once() {
        let outcomes = |apart: i64| -> Vec<Outcome> {
            let mut all = Negotiations::default();
            let hosts = [end(CLIENT), end(SERVER)];
            for (cookie, begin, [from, to]) in [(1, 0, hosts), (2, apart, [hosts[1], hosts[0]])] {
                for (step, answered) in [(0, false), (2_000, true)] {
                    let told =
                        Told { cookie, answered, knows: false, body: step, ..Told::default() };
                    let (from, to) = if answered { (to, from) } else { (from, to) };
                    let time = Timestamp((BEGIN + begin + i64::from(step)) * MS);
                    all.take(&message(&told), from, to, at(cookie * 2 + u64::from(answered)), time);
                }
            }
            let mut ties = Ties::default();
            ties.heed(&all);
            tie(ties, &[esp(BEGIN + 5_000)]).iter().map(Tied::outcome).collect()
        };
        assert_eq!(outcomes(1_000), [Outcome::Association; 2]);
        assert_eq!(outcomes(1_001), [Outcome::Unfinished, Outcome::Association]);
    }

    #[test]
    fn of_what_was_under_way_the_earliest_is_known() {
        let begin: Vec<(i64, bool)> = (0..4).map(|nth| (BEGIN + nth * 40_000, true)).collect();
        let smb = |first: i64, last: i64| {
            timed(flow("10.20.0.101:50001", "10.0.1.31:445"), BEGIN + first, BEGIN + last)
        };
        let under_way = |samples: &[Sample]| -> Vec<Option<i64>> {
            let all = tie(negotiated(&begin), samples);
            let of = |tied: &Tied| tied.others.under_way.map(|(time, _)| time.0 / MS - BEGIN);
            all.iter().map(of).collect()
        };
        let long = [smb(-9_000, 40_500), smb(-8_000, 79_000), smb(70_000, 200_000)];
        assert_eq!(under_way(&long), [Some(-9_000), Some(-9_000), Some(-8_000), Some(70_000)]);
        assert_eq!(under_way(&[smb(5_000, 38_999)]), [None; 4]);
        // Media are no other traffic.
        assert_eq!(under_way(&[rtp(BEGIN - 9_000, BEGIN + 90_000)]), [None; 4]);
    }

    #[test]
    fn hidden_traffic_waited_for_the_negotiation_that_made_its_association() {
        let wait = |others: &[Sample], first: i64| {
            let bed = Testbed::default();
            let mut ties = negotiated(&[(BEGIN, true)]);
            let hidden = esp(BEGIN + first);
            for sample in others.iter().chain([&hidden]) {
                ties.add(&Case::of(&sample.judged(), &bed, &bed.deployment));
            }
            let judged = hidden.judged();
            let found = ties.hidden_wait(&Case::of(&judged, &bed, &bed.deployment), false);
            assert_eq!(ties.iter().any(Tied::hides_media), found.is_some());
            found.map(|(wait, frame)| (wait / MS, frame))
        };
        assert_eq!(wait(&[], 250), Some((250, at(1))));
        let back = timed(flow("10.20.0.101:0", "10.0.1.31:0").esp(9), BEGIN + 240, BEGIN + 900);
        assert_eq!(wait(std::slice::from_ref(&back), 250), Some((240, at(1))));
        // It began later, or so did the association, or media is seen elsewhere, or other traffic.
        assert_eq!(wait(&[back], 1_241), None);
        assert_eq!(wait(&[], 1_002), None);
        let smb = timed(flow("10.20.0.101:50001", "10.0.1.31:445"), BEGIN - 3, BEGIN + 5);
        for other in [rtp(BEGIN - 5, BEGIN + 60), rtp(BEGIN - 9_000, BEGIN + 60), smb] {
            assert_eq!(wait(&[other], 250), None);
        }
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
        let heed = |ties: &mut Ties, hosts: Range<u32>| {
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
        assert_eq!((ties.whole.count, ties.whole.pairs.len()), (MAX_KNOWN, MAX_KNOWN));
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
