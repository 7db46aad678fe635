//! Flows about which nothing can be said before all flows are known: what ESP hides is audio rather if a call
//! began with it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::ipsec::Ground;
use super::ipsec::exemptions::{Sight, peer, sealed_text};
use super::ipsec::sealed::{Sealed, sealed};
use super::kept::Kept;
use super::{Case, Row};
use crate::decode::Transport;
use crate::flow::FrameRef;
use crate::input::Timestamp;
use crate::policy::{ExpectationId, MediaSign};

/// What waits, and what it waits for.
#[derive(Debug, Default)]
pub(super) struct Later {
    /// By first frame; the earliest [`MAX_KEPT`].
    kept: BTreeMap<FrameRef, Kept>,
    /// When signalling began, by a host that is no server, or by a pair of servers.
    signalling: BTreeMap<Hosts, BTreeSet<Timestamp>>,
    /// From when to when media of two hosts were in clear; the earliest [`MAX_TIMES`].
    clear: BTreeMap<Hosts, BTreeSet<(Timestamp, Timestamp)>>,
}

/// One host, or two, the lower address first.
type Hosts = (IpAddr, Option<IpAddr>);

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
        let matters = |sealed: &Sealed<'_>| {
            sealed.ground(case, false).is_some() && !sealed.rows(case, rows).is_empty()
        };
        if sealed(case).iter().any(matters) {
            self.kept.insert(case.judged.flow.first_frame, Kept::of(&case.judged));
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
        for key in keys(case) {
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
        let [a, b] = ends(case);
        let key = pair(a, b);
        let room = self.clear.len() < MAX_HOSTS || self.clear.contains_key(&key);
        if !media || flow.associations.is_some() || flow.packets() < MIN_MEDIA || !room {
            return;
        }
        let times = self.clear.entry(key).or_default();
        times.insert((flow.first, flow.last));
        if times.len() > MAX_TIMES {
            times.pop_last();
        }
    }

    /// Takes out the flows that waited.
    pub(super) fn take(&mut self) -> Vec<Kept> {
        std::mem::take(&mut self.kept).into_values().collect()
    }

    /// What can be said of a flow that waited, by direction. ESP in UDP between hosts that were not seen to
    /// negotiate (`negotiated`) may be anything.
    pub(super) fn hidden<'r>(
        &self,
        case: &Case<'_>,
        rows: &[Row<'r>],
        negotiated: bool,
    ) -> Vec<Hidden<'r>> {
        let sure = case.judged.flow.transport != Transport::UDP || negotiated;
        let say = |sealed: Sealed<'_>| {
            let (first, last) =
                sealed.pace.times.unwrap_or((case.judged.flow.first, case.judged.flow.last));
            let with_call = sure && self.call_began(case, first);
            let ground = match sealed.ground(case, with_call)? {
                // Media that is in clear meanwhile is not what ESP hides.
                _ if sealed.has_rhythm() && self.is_clear_beside(case, first, last) => return None,
                Ground::Rhythm | Ground::RhythmInContext if self.clear_ends_at(case, first) => {
                    Ground::Switch
                }
                Ground::RhythmInContext if !sure => Ground::Rhythm,
                ground => ground,
            };
            let rows = sealed.rows(case, rows);
            let call = if with_call { "; a call began with it" } else { "" };
            let sight = |row: &Row<'_>| Sight {
                ground,
                packets: sealed.pace.packets,
                frame: case.judged.flow.first_frame,
                peer: peer(case, sealed.sender, row),
                delay: None,
                text: format!("{}{call}", sealed_text(case, &sealed)),
                asking: None,
            };
            let sights = rows.iter().map(|row| (row.key, sight(row))).collect();
            let takes_over =
                if ground == Ground::Switch { ", from where media in clear ends" } else { "" };
            let context = if with_call && ground == Ground::RhythmInContext {
                ", and began within 10 s after signalling"
            } else {
                ""
            };
            let detail = format!("{sealed}{takes_over}{context}");
            (!rows.is_empty()).then_some(Hidden { ground, detail, rows, sights })
        };
        sealed(case).into_iter().filter_map(say).collect()
    }

    /// Whether media of the same hosts was in clear for a while between two times.
    fn is_clear_beside(&self, case: &Case<'_>, first: Timestamp, last: Timestamp) -> bool {
        let beside = |&(from, until): &(Timestamp, Timestamp)| {
            until.min(last).0.saturating_sub(from.max(first).0) >= BESIDE
        };
        self.clear_media(case).any(beside)
    }

    /// Whether media of the same hosts that was in clear for a while ended at a time.
    fn clear_ends_at(&self, case: &Case<'_>, time: Timestamp) -> bool {
        let range = time.0.saturating_sub(BESIDE)..=time.0.saturating_add(CROSSING);
        // What is in clear for long needs no negotiation.
        let brief = |from: &Timestamp, until: &Timestamp| until.0 - from.0 <= BRIEFLY;
        self.clear_media(case).any(|(from, until)| range.contains(&until.0) && brief(from, until))
    }

    fn clear_media(&self, case: &Case<'_>) -> impl Iterator<Item = &(Timestamp, Timestamp)> {
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
/// How long after the first packet of ESP the peer's packets in clear may still arrive, in ns.
const CROSSING: i64 = 200_000_000;
/// Packets that show media.
const MIN_MEDIA: u64 = 3;
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
        assert_eq!(with(14_000, 20_000), [Ground::Switch]);
        assert_eq!(with(13_999, 20_000), [Ground::Rhythm]);
        assert_eq!(with(17_000, 18_999), [Ground::Rhythm]);
        // Beside it, the media are not what it hides.
        assert_eq!(with(19_000, 21_000), []);
    }
}
