//! Flows about which nothing can be said before all flows are known: what ESP hides is audio rather if a call
//! began with it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::ipsec::Ground;
use super::ipsec::clear::{TURN, is_as_large, is_as_many, is_mostly_decrypted};
use super::ipsec::exemptions::{Sight, peer, sealed_text};
use super::ipsec::protected::covers;
use super::ipsec::sealed::{Sealed, is_surely_esp, sealed};
use super::kept::Kept;
use super::{Case, Row};
use crate::flow::{Counters, FrameRef, Side};
use crate::input::Timestamp;
use crate::policy::{ExpectationId, MediaSign};

/// What waits, and what it waits for.
#[derive(Debug, Default)]
pub(super) struct Later {
    /// Those that resemble media before those that only others could explain, each by first frame; the first
    /// [`MAX_KEPT`].
    kept: BTreeMap<(Likely, FrameRef), Kept>,
    /// When signalling began, by a host that is no server, or by a pair of servers.
    signalling: BTreeMap<Hosts, BTreeSet<Timestamp>>,
    /// From when to when media of two hosts were in clear, and whether they were a stream; the earliest
    /// [`MAX_TIMES`].
    clear: BTreeMap<Hosts, BTreeSet<(Timestamp, Timestamp, bool)>>,
    /// Media in clear that may be what a host decrypted, by sender and receiver; the earliest [`MAX_TIMES`].
    decrypted: BTreeMap<(IpAddr, IpAddr), BTreeSet<Decrypted>>,
}

/// One host, or two, the lower address first.
type Hosts = (IpAddr, Option<IpAddr>);

/// Whether a flow resembles media, or only others could explain it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Likely {
    Media,
    Anything,
}

/// What one host sends another in clear, and the rows that it is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Decrypted {
    first: Timestamp,
    last: Timestamp,
    /// How far the hidden packets may be away from these, in ns.
    within: u64,
    counters: Counters,
    rows: Vec<ExpectationId>,
}

/// Hidden traffic about which something can be said.
pub(super) struct Hidden<'r> {
    pub(super) ground: Ground,
    pub(super) detail: String,
    pub(super) rows: Vec<Row<'r>>,
    pub(super) sights: Vec<(ExpectationId, Sight)>,
}

impl Later {
    /// Keeps a flow if something may have to be said of it, and notes what it says about others.
    pub(super) fn add(&mut self, case: &Case<'_>, rows: &[Row<'_>]) {
        if case.deployment.is_empty() {
            return;
        }
        self.note_signalling(case);
        self.note_clear_media(case);
        let about = |sealed: &Sealed<'_>| {
            if sealed.rows(case, rows).is_empty() {
                return None;
            }
            let resembles = sealed.ground(case, false).is_some();
            let enough = (sealed.pace.packets >= MIN_DECRYPTED).then_some(Likely::Anything);
            if resembles { Some(Likely::Media) } else { enough }
        };
        if let Some(likely) = sealed(case).iter().filter_map(about).min() {
            self.kept.insert((likely, case.judged.flow.first_frame), Kept::of(&case.judged));
            if self.kept.len() > MAX_KEPT {
                self.kept.pop_last();
            }
        }
    }

    fn note_signalling(&mut self, case: &Case<'_>) {
        let expected = case.expected_by().and_then(|row| row.application) == Some(SIGNALLING);
        if !expected && case.judged.identification.protocol != Some(SIGNALLING) {
            return;
        }
        // Of hosts without IPsec nothing is asked, and they are most.
        let asked = |(host, peer): &Hosts| match peer {
            Some(peer) => case.deployment.is_between(*host, *peer),
            None => case.deployment.uses(*host),
        };
        for key in keys(case).into_iter().filter(asked) {
            self.begins(key, case.judged.flow.first);
        }
    }

    /// Notes that a call of a host was announced.
    pub(super) fn note_call(&mut self, host: IpAddr, time: Timestamp) {
        self.begins((host.to_canonical(), None), time);
    }

    fn begins(&mut self, key: Hosts, time: Timestamp) {
        if self.signalling.len() >= MAX_HOSTS && !self.signalling.contains_key(&key) {
            return;
        }
        let times = self.signalling.entry(key).or_default();
        times.insert(time);
        if times.len() > MAX_TIMES {
            times.pop_first();
        }
    }

    fn note_clear_media(&mut self, case: &Case<'_>) {
        let flow = case.judged.flow;
        let media = case.exempt.iter().any(|(_, sign)| *sign == MediaSign::Content);
        let [from, to] = flow.ends.map(|end| end.address);
        let beside = case.deployment.is_between(from, to);
        if !media || !beside || flow.associations.is_some() || flow.packets() < MIN_MEDIA {
            return;
        }
        let senders = [Side::A, Side::B];
        let sends = |side: &Side| flow.counters[side.index()].packets > 0;
        let decrypted = |side: &Side| is_mostly_decrypted(case, *side);
        if senders.iter().filter(|side| sends(side)).all(decrypted) {
            for sender in senders {
                self.note_decrypted(case, sender);
            }
            return;
        }
        let [a, b] = ends(case);
        let key = pair(a, b);
        if self.clear.len() >= MAX_HOSTS && !self.clear.contains_key(&key) {
            return;
        }
        let lasted = flow.last.0.saturating_sub(flow.first.0);
        let streams = flow.packets().saturating_mul(SLOWEST) >= lasted.unsigned_abs();
        let times = self.clear.entry(key).or_default();
        times.insert((flow.first, flow.last, streams));
        if times.len() > MAX_TIMES {
            times.pop_last();
        }
    }

    fn note_decrypted(&mut self, case: &Case<'_>, sender: Side) {
        let flow = case.judged.flow;
        let (packets, key) = (flow.counters[sender.index()].packets, way(case, sender));
        let room = self.decrypted.len() < MAX_HOSTS || self.decrypted.contains_key(&key);
        if packets < MIN_DECRYPTED || !room {
            return;
        }
        let about = |row: &Row<'_>| covers(row, case, sender);
        let media = case.exempt.iter().filter(|(_, sign)| *sign == MediaSign::Content);
        let rows = media.map(|(row, _)| row).filter(|row| about(row)).map(|row| row.key).collect();
        let all = self.decrypted.entry(key).or_default();
        let counters = flow.counters[sender.index()];
        let both_ways = flow.counters.iter().all(|side| side.packets > 0);
        let within = if both_ways { TURN } else { DECRYPTING };
        all.insert(Decrypted { first: flow.first, last: flow.last, within, counters, rows });
        if all.len() > MAX_TIMES {
            all.pop_last();
        }
    }

    /// Takes out the flows that waited.
    pub(super) fn take(&mut self) -> Vec<Kept> {
        std::mem::take(&mut self.kept).into_values().collect()
    }

    /// What can be said of a flow that waited, by direction; `negotiated` where its hosts were seen to negotiate.
    pub(super) fn hidden<'r>(
        &self,
        case: &Case<'_>,
        rows: &[Row<'r>],
        negotiated: bool,
    ) -> Vec<Hidden<'r>> {
        let sure = is_surely_esp(case, negotiated);
        let known = ends(case).into_iter().all(|end| case.is_known(end));
        let say = |sealed: Sealed<'_>| {
            let (first, last) =
                sealed.pace.times.unwrap_or((case.judged.flow.first, case.judged.flow.last));
            let decrypted = self.decrypted(case, &sealed, first, last);
            // The rhythm may be that of something else, as media is in clear meanwhile.
            let beside = sealed.has_rhythm() && self.is_clear_beside(case, first, last);
            let sealed = if beside { sealed.without_rhythm() } else { sealed };
            let with_call = sure && self.call_began(case, first);
            let ground = match sealed.ground(case, with_call) {
                _ if decrypted.is_some() && sure && known => Ground::Decrypted,
                None => return None,
                Some(Ground::Rhythm | Ground::RhythmInContext)
                    if self.clear_ends_at(case, first) =>
                {
                    Ground::Switch
                }
                Some(Ground::RhythmInContext) if !sure => Ground::Rhythm,
                Some(ground) => ground,
            };
            let mut rows = sealed.rows(case, rows);
            if let Some(decrypted) = decrypted {
                rows.retain(|row| decrypted.rows.contains(&row.key));
            }
            let call = if with_call { "; a call began with it" } else { "" };
            let shown = if decrypted.is_some() { "; shown decrypted beside it" } else { "" };
            let sight = |row: &Row<'_>| Sight {
                ground,
                packets: sealed.pace.packets,
                frame: case.judged.flow.first_frame,
                peer: peer(case, sealed.sender, row),
                delay: None,
                text: format!("{}{call}{shown}", sealed_text(case, &sealed)),
                asking: None,
            };
            let sights = rows.iter().map(|row| (row.key, sight(row))).collect();
            let detail = match ground {
                Ground::Switch => format!("{sealed}, and begins where media in clear ends"),
                Ground::Decrypted => {
                    "the number and the times of media that its receiver shows decrypted".to_owned()
                }
                Ground::RhythmInContext if with_call => {
                    format!("{sealed}, and began within 10 s after signalling")
                }
                _ => sealed.to_string(),
            };
            (!rows.is_empty()).then_some(Hidden { ground, detail, rows, sights })
        };
        sealed(case).into_iter().filter_map(say).collect()
    }

    /// Media in clear that has as many packets as hidden packets have, at the same times.
    fn decrypted(
        &self,
        case: &Case<'_>,
        sealed: &Sealed<'_>,
        first: Timestamp,
        last: Timestamp,
    ) -> Option<&Decrypted> {
        let mut all = self.decrypted.get(&way(case, sealed.sender)).into_iter().flatten();
        all.find(|media| {
            let near = |a: Timestamp, b: Timestamp| a.0.abs_diff(b.0) <= media.within;
            near(media.first, first)
                && near(media.last, last)
                && is_as_many(&media.counters, sealed.pace)
                && is_as_large(&media.counters, sealed.pace)
        })
    }

    /// Whether a stream of media of the same hosts was in clear for a while between two times.
    fn is_clear_beside(&self, case: &Case<'_>, first: Timestamp, last: Timestamp) -> bool {
        self.clear_media(case).any(|&(from, until, streams)| {
            streams && until.min(last).0.saturating_sub(from.max(first).0) >= BESIDE
        })
    }

    /// Whether media of the same hosts that was in clear ended at a time.
    fn clear_ends_at(&self, case: &Case<'_>, time: Timestamp) -> bool {
        let since = |time: i64, by: i64| time.saturating_sub(by)..=time.saturating_add(CROSSING);
        self.clear_media(case).any(|(from, until, _)| {
            // What is in clear for long needs no negotiation, and may just end, but not at the very moment.
            let brief = until.0.saturating_sub(from.0) <= BRIEFLY;
            since(time.0, if brief { BESIDE } else { CROSSING }).contains(&until.0)
        })
    }

    fn clear_media(&self, case: &Case<'_>) -> impl Iterator<Item = &(Timestamp, Timestamp, bool)> {
        let [a, b] = ends(case);
        self.clear.get(&pair(a, b)).into_iter().flatten()
    }

    /// Whether signalling of these hosts began shortly before.
    fn call_began(&self, case: &Case<'_>, time: Timestamp) -> bool {
        let since = Timestamp(time.0.saturating_sub(BEFORE_MEDIA));
        let keys = keys(case);
        let times = keys.iter().filter_map(|key| self.signalling.get(key));
        times.into_iter().any(|times| times.range(since..=time).next().is_some())
    }
}

/// Under which the signalling of two hosts is kept. Servers of one role signal to each other all day.
fn keys(case: &Case<'_>) -> Vec<Hosts> {
    let [a, b] = ends(case);
    let (initiator, responder) = (&case.initiator, &case.responder);
    let alike = initiator.server && responder.server && initiator.roles.0 & responder.roles.0 != 0;
    let mut keys = Vec::new();
    keys.extend((!alike).then_some(pair(a, b)));
    keys.extend((!initiator.server).then_some((a, None)));
    keys.extend((!responder.server).then_some((b, None)));
    keys
}

fn ends(case: &Case<'_>) -> [IpAddr; 2] {
    case.judged.flow.ends.map(|end| end.address.to_canonical())
}

/// From whom to whom a side sends.
fn way(case: &Case<'_>, sender: Side) -> (IpAddr, IpAddr) {
    let [a, b] = ends(case);
    if sender == Side::A { (a, b) } else { (b, a) }
}

fn pair(a: IpAddr, b: IpAddr) -> Hosts {
    (a.min(b), Some(a.max(b)))
}

/// What the application is called that begins and ends calls.
const SIGNALLING: &str = "sip";
/// How long before its media a call begins, in ns.
const BEFORE_MEDIA: i64 = 10_000_000_000;
/// How long media in clear lasts beside ESP and then is not in it, in ns; and how long before ESP it may end to
/// go on in it.
const BESIDE: i64 = 1_000_000_000;
/// How long media is in clear at most before ESP takes it over, in ns: the longest wait for a negotiation, doubled.
const BRIEFLY: i64 = 6_000_000_000;
/// How long after the first packet of ESP the peer's packets in clear may still arrive, and how long before it the
/// last one may be of a call that was long in clear, in ns.
const CROSSING: i64 = 200_000_000;
/// Packets that show media.
const MIN_MEDIA: u64 = 3;
/// How far apart the packets of a stream of media are at most, in the mean, in ns. Checks that a path still works
/// (RFC 7675) take seconds.
const SLOWEST: u64 = 100_000_000;
/// Packets from which on their number and times are hardly those of other packets by chance.
const MIN_DECRYPTED: u64 = 50;
/// How long a host takes to decrypt and show a packet at most, in ns.
const DECRYPTING: u64 = 1_000_000;
/// Flows kept, some 4 MB.
const MAX_KEPT: usize = 8192;
/// Hosts and pairs whose signalling is kept.
const MAX_HOSTS: usize = 65_536;
/// Times kept of each.
const MAX_TIMES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::Deployment;
    use crate::findings::testbed::{
        EXEMPT_IN, EXEMPT_OUT, GATEWAYS, MEDIATION_SIP, SIP, Sample, Testbed, flow,
    };
    use crate::flow::{Marked, Pace};
    use crate::policy::Class;

    const ROWS: [Row<'_>; 2] = [EXEMPT_IN, EXEMPT_OUT];
    const MS: i64 = 1_000_000;

    /// Four seconds of what a client sends a mediation server, with a share of even gaps, in the thousandth.
    fn hidden_from(first: i64, even: u64, marked: Marked) -> Sample {
        let pace = Pace {
            sequences: Some((1, 200)),
            steps: 199,
            packets: 200,
            even: even * 199 / 1000,
            short: 199,
            ip_bytes: 200 * 200,
            marked,
            times: Some((Timestamp(first * MS), Timestamp((first + 4_000) * MS))),
            ..Pace::default()
        };
        let sample = flow("10.20.0.101:0", "10.0.1.31:0").esp(9);
        sample.paced(pace).during(first, first + 4_000)
    }

    fn audio(first: i64) -> Sample {
        hidden_from(first, 1000, Marked::default())
    }

    fn noise(marked: Marked) -> Sample {
        hidden_from(20_000, 0, marked)
    }

    fn told(bed: &Testbed, samples: &[Sample]) -> Vec<(Ground, Vec<String>, String)> {
        let mut deployment = Deployment::default();
        for sample in samples {
            deployment.note(&sample.flow);
        }
        let mut later = Later::default();
        for sample in samples {
            later.add(&Case::of(&sample.judged(), bed, &deployment), &ROWS);
        }
        let kept = later.take();
        let all = kept.iter().flat_map(|kept| {
            let judged = kept.judged();
            let case = Case::of(&judged, bed, &deployment);
            let said = later.hidden(&case, &ROWS, true).into_iter().map(|hidden| {
                let rows = hidden.rows.iter().map(|row| row.id.to_owned()).collect();
                let told = hidden.sights.first().map(|(_, sight)| sight.text.clone());
                (hidden.ground, rows, told.unwrap_or_default())
            });
            said.collect::<Vec<_>>()
        });
        all.collect()
    }

    fn grounds(samples: &[Sample]) -> Vec<Ground> {
        told(&Testbed::default(), samples).into_iter().map(|(ground, ..)| ground).collect()
    }

    #[test]
    fn the_rhythm_of_audio_is_a_hint_and_with_its_marking_more() {
        let [(ground, rows, text)] =
            told(&Testbed::default(), &[audio(20_000)]).try_into().unwrap();
        assert_eq!((ground, rows), (Ground::Rhythm, vec!["X05".to_owned()]));
        assert!(text.contains("rhythm and size of audio") && !text.contains("call"), "{text}");
        let expedited = Marked { audio: 150, ..Marked::default() };
        let marked = hidden_from(20_000, 1000, expedited);
        assert_eq!(grounds(&[marked]), [Ground::RhythmInContext]);
        assert_eq!(grounds(&[noise(expedited)]), [Ground::Marked]);
        let video = Marked { video: 150, ..Marked::default() };
        assert_eq!(grounds(&[hidden_from(20_000, 1000, video)]), [Ground::Rhythm]);
    }

    #[test]
    fn what_resembles_nothing_matters_only_strictly() {
        let sample = noise(Marked::default());
        assert_eq!(grounds(std::slice::from_ref(&sample)), []);
        let strict = Testbed { strict: true, ..Testbed::default() };
        let [(ground, rows, _)] = told(&strict, &[sample]).try_into().unwrap();
        assert_eq!((ground, rows), (Ground::Hidden, vec!["X05".to_owned()]));
    }

    #[test]
    fn what_comes_back_must_not_be_other_traffic() {
        let mut back = noise(Marked::default());
        back.flow.ends.swap(0, 1);
        assert_eq!(grounds(&[audio(20_000), back]), []);
        let mut back = audio(20_000).frame(7);
        back.flow.ends.swap(0, 1);
        assert_eq!(grounds(&[audio(20_000), back]), [Ground::Rhythm; 2]);
    }

    #[test]
    fn a_call_that_began_within_ten_seconds_before_makes_it_likely() {
        let sip = |first: i64| {
            flow("10.20.0.101:50001", "10.0.1.11:5061")
                .class(Class::Confirmed)
                .row(SIP)
                .during(first, first + 9)
        };
        let with = |signalling: Sample| grounds(&[signalling, audio(20_000)]);
        assert_eq!(with(sip(10_000)), [Ground::RhythmInContext]);
        assert_eq!(with(sip(20_000)), [Ground::RhythmInContext]);
        assert_eq!(with(sip(9_999)), [Ground::Rhythm]);
        assert_eq!(with(sip(20_001)), [Ground::Rhythm]);
        let text = told(&Testbed::default(), &[sip(15_000), audio(20_000)]).remove(0).2;
        assert!(text.ends_with("; a call began with it"), "{text}");
        // Also where no row expects it and its content shows it; not where it is something else.
        let unexpected = sip(15_000).class(Class::Unexpected);
        assert_eq!(with(unexpected.clone()), [Ground::Rhythm]);
        assert_eq!(with(unexpected.protocol("sip")), [Ground::RhythmInContext]);
    }

    #[test]
    fn a_call_of_other_hosts_says_nothing() {
        let sip = |from: &str, to: &str| {
            let sample = flow(&format!("{from}:50001"), &format!("{to}:5070"));
            sample.class(Class::Confirmed).row(MEDIATION_SIP).during(15_000, 15_009)
        };
        let with = |from, to| grounds(&[sip(from, to), audio(20_000)]);
        // Servers signal for everybody: only with each other it is a sign.
        assert_eq!(with("10.0.1.11", "10.0.1.31"), [Ground::Rhythm]);
        assert_eq!(with("10.20.0.102", "10.0.1.31"), [Ground::Rhythm]);
        assert_eq!(with("10.20.0.101", "10.0.1.11"), [Ground::RhythmInContext]);
        let mut between_servers = audio(20_000);
        between_servers.flow.ends[0].address = "10.0.1.11".parse().unwrap();
        let found = grounds(&[sip("10.0.1.11", "10.0.1.31"), between_servers]);
        assert_eq!(found, [Ground::RhythmInContext]);
    }

    #[test]
    fn declared_gateways_hosts_without_rows_and_other_content_are_silent() {
        for (at, host) in [(0, GATEWAYS[0]), (1, GATEWAYS[1]), (1, "10.0.1.41")] {
            let mut sample = audio(20_000);
            sample.flow.ends[at].address = host.parse().unwrap();
            assert_eq!(grounds(&[sample]), [], "{host}");
        }
        let on_4500 = |sample: Sample| {
            let mut sample = sample.udp();
            sample.flow.ends.iter_mut().for_each(|end| end.port = 4500);
            sample
        };
        assert_eq!(grounds(&[on_4500(audio(20_000)).protocol("ike")]), [Ground::Rhythm]);
        assert_eq!(grounds(&[on_4500(audio(20_000)).protocol("rtp")]), []);
    }

    #[test]
    fn only_so_many_are_kept_and_those_are_the_earliest() {
        let mut bed = Testbed::default();
        bed.deployment.note(&audio(20_000).flow);
        let mut later = Later::default();
        for frame in (1..=MAX_KEPT as u64 + 9).rev() {
            let sample = audio(20_000).frame(frame);
            later.add(&Case::of(&sample.judged(), &bed, &bed.deployment), &ROWS);
        }
        let frames: Vec<u64> =
            later.take().iter().map(|kept| kept.judged().flow.first_frame.frame).collect();
        assert_eq!((frames.len(), frames[0], frames[MAX_KEPT - 1]), (MAX_KEPT, 1, MAX_KEPT as u64));
    }

    #[test]
    fn media_in_clear_that_briefly_precedes_it_changed_over_and_long_calls_did_not() {
        let clear = |first: i64, last: i64| {
            flow("10.20.0.101:50020", "10.0.1.31:49200")
                .udp()
                .exempt(&[(EXEMPT_IN, MediaSign::Content)])
                .packets(150, 150)
                .during(first, last)
        };
        let with = |first, last| grounds(&[clear(first, last), audio(20_000)]);
        assert_eq!(with(19_000, 19_900), [Ground::Switch]);
        assert_eq!(with(13_000, 19_000), [Ground::Switch]);
        assert_eq!(with(12_999, 19_000), [Ground::Rhythm]);
        assert_eq!(with(9_000, 19_799), [Ground::Rhythm]);
        // At the very moment.
        assert_eq!(with(9_000, 19_800), [Ground::Switch]);
        assert_eq!(with(9_000, 20_200), [Ground::Switch]);
        assert_eq!(with(17_000, 18_999), [Ground::Rhythm]);
    }

    /// Media in clear.
    fn in_clear(first: i64, last: i64, packets: [u64; 2]) -> Sample {
        let sample = flow("10.20.0.101:50020", "10.0.1.31:49200").udp();
        let sample = sample.exempt(&[(EXEMPT_IN, MediaSign::Content)]);
        sample.packets(packets[0], packets[1]).during(first, last)
    }

    #[test]
    fn beside_a_stream_of_media_in_clear_only_a_marking_speaks_for_media() {
        let expedited = Marked { audio: 150, ..Marked::default() };
        let with = |clear: Sample| {
            let marked = hidden_from(20_000, 1000, expedited);
            [audio(20_000), marked].map(|hidden| grounds(&[clear.clone(), hidden]))
        };
        let clear = |last, packets| with(in_clear(19_000, last, [packets, packets]));
        assert_eq!(clear(21_000, 150), [vec![], vec![Ground::Marked]]);
        assert_eq!(clear(21_000, 10), [vec![], vec![Ground::Marked]]);
        // Checks that a path still works are no stream.
        let in_context = [vec![Ground::Rhythm], vec![Ground::RhythmInContext]];
        assert_eq!(clear(21_000, 9), in_context);
        assert_eq!(clear(20_999, 150), in_context);
        let strict = Testbed { strict: true, ..Testbed::default() };
        let beside = [in_clear(19_000, 24_000, [150, 150]), audio(20_000)];
        assert_eq!(told(&strict, &beside)[0].0, Ground::Hidden);
    }

    #[test]
    fn media_that_a_host_shows_decrypted_are_what_is_hidden() {
        let with = |clear: Sample| grounds(&[clear, noise(Marked::default())]);
        assert_eq!(with(in_clear(20_000, 24_000, [200, 0])), [Ground::Decrypted]);
        assert_eq!(with(in_clear(20_001, 24_001, [196, 0])), [Ground::Decrypted]);
        for other in [
            in_clear(20_002, 24_000, [200, 0]),
            in_clear(20_000, 23_998, [200, 0]),
            in_clear(20_000, 24_000, [195, 0]),
            in_clear(20_000, 24_000, [205, 0]),
            in_clear(20_000, 24_000, [200, 1]),
            in_clear(20_000, 24_000, [0, 200]),
            in_clear(20_000, 24_000, [200, 0]).exempt(&[(EXEMPT_IN, MediaSign::OwnRange)]),
        ] {
            assert_eq!(with(other.clone()), [], "{:?}", other.flow);
        }
        let samples = [in_clear(20_000, 24_000, [200, 0]), audio(20_000)];
        let (_, rows, text) = told(&Testbed::default(), &samples).remove(0);
        assert_eq!(rows, ["X05"]);
        assert!(text.ends_with("; shown decrypted beside it"), "{text}");
        // Of a somewhat smaller number it rules no rhythm out either.
        for (packets, heard) in [(160, vec![Ground::Rhythm]), (159, vec![])] {
            let some = [in_clear(20_000, 24_000, [packets, 0]), audio(20_000)];
            assert_eq!(grounds(&some), heard);
        }
        // What is about no row of the hidden flow says nothing.
        let elsewhere =
            in_clear(20_000, 24_000, [200, 0]).exempt(&[(EXEMPT_OUT, MediaSign::Content)]);
        assert_eq!(with(elsewhere), []);
    }
}
