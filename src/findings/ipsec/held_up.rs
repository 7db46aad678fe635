//! What a negotiation says about exemptions: media that begins with it had to wait for it, or was not meant to
//! need it. The side that begins a negotiation is the one whose outbound policy asked for it; where an
//! association comes of it, the other side's policy agreed.

use std::net::IpAddr;

use super::configured::{Asking, Seen};
use super::deployment::Stream;
use super::exemptions::{Sight, peer, place};
use super::ground::Ground;
use super::protected::covers;
use super::sealed::concerns;
use crate::findings::negotiations::{Course, Fallback, Outcome, Tied};
use crate::findings::{Case, Row};
use crate::flow::{FrameRef, Side};
use crate::policy::Party;

/// What can be said of a negotiation and its media.
pub(in crate::findings) struct HeldUp<'a> {
    pub(in crate::findings) ground: Ground,
    pub(in crate::findings) rows: Vec<(Row<'a>, Sight)>,
    /// The first message.
    pub(in crate::findings) frame: FrameRef,
    /// How long media waited, in ns, and how it went.
    pub(in crate::findings) wait: (i64, String),
}

/// Says it, of a negotiation between hosts with media of exempted rows; `case` is that media.
pub(in crate::findings) fn held_up<'a>(tied: &Tied, case: &Case<'a>) -> Option<HeldUp<'a>> {
    let negotiation = &tied.negotiation;
    let gateways = [negotiation.initiator, negotiation.responder].map(|host| case.is_gateway(host));
    let delay = tied.media_delay()?;
    if gateways.contains(&true) || tied.media_stays_clear() || !tied.media_waited() {
        return None;
    }
    let known = [negotiation.initiator, negotiation.responder].map(|host| case.is_known(host));
    // A device between sites, or somebody who knocks at an edge: neither has a policy to be mended here.
    let device = negotiation.vendors.make_gateways() && known.contains(&false);
    let knocks = !known[0] && !negotiation.answered;
    let strangers = known == [false; 2] || device || knocks;
    let ground = match ground(tied, case).filter(|_| !strangers)? {
        // Of a peer that nobody knows it is unknown as well what else it asks for.
        _ if known.contains(&false) => Ground::Triggered,
        ground => ground,
    };
    let agreed = matches!(tied.outcome(), Outcome::Association);
    let senders = [Side::A, Side::B].into_iter().filter(|side| {
        let address = case.judged.flow.ends[side.index()].address.to_canonical();
        agreed || address == negotiation.initiator
    });
    let detail = detail(tied, delay);
    let second = if tied.is_second_phase() { " in a second phase alone" } else { "" };
    let seen = |sender: Side| {
        [sender, sender.other()].map(|side| {
            let address = case.judged.flow.ends[side.index()].address.to_canonical();
            let began = address == negotiation.initiator;
            match ground {
                _ if !began && !agreed => Seen::AskedByPeer,
                Ground::Triggered => Seen::AmongOthers,
                _ if began => Seen::Initiated,
                _ => Seen::Agreed,
            }
        })
    };
    let sight = |row: &Row<'_>, sender: Side| Sight {
        ground,
        packets: case.judged.flow.counters[sender.index()].packets,
        frame: negotiation.first_frame,
        peer: peer(case, sender, row),
        delay: Some(delay),
        text: format!(
            "{} negotiates with {}{second}{detail}, {}",
            negotiation.initiator,
            negotiation.responder,
            place(negotiation.first_frame)
        ),
        asking: Some(Asking::of(case, sender, seen(sender))),
    };
    let rows: Vec<(Row<'a>, Sight)> = senders
        .flat_map(|sender| {
            let covered = case.exempt.iter().filter(move |(row, _)| covers(row, case, sender));
            covered.map(move |(row, _)| (*row, sight(row, sender)))
        })
        .collect();
    let frame = negotiation.first_frame;
    (!rows.is_empty()).then(|| HeldUp { ground, rows, frame, wait: (delay, words(tied, delay)) })
}

/// What a completed negotiation says strictly: rows leave nothing of their hosts' TCP and UDP to negotiate for, so
/// that only ICMP could have caused it. Of each row of the two hosts.
pub(in crate::findings) fn negotiated<'a>(
    tied: &Tied,
    (initiator, responder): (&Party<'_>, &Party<'_>),
    rows: &[Row<'a>],
) -> Vec<(Row<'a>, Sight)> {
    let negotiation = &tied.negotiation;
    let completed = matches!(
        tied.outcome(),
        Outcome::Association | Outcome::Completed | Outcome::NoEncapsulation
    );
    // A gateway for remote users is a peer that nobody knows.
    let known = initiator.roles.0 != 0 && responder.roles.0 != 0;
    if !completed || tied.may_be_for_icmp() || !known {
        return Vec::new();
    }
    let sight = |row: &Row<'_>| Sight {
        ground: Ground::Negotiated,
        packets: negotiation.messages,
        frame: negotiation.first_frame,
        peer: if concerns(row, initiator, responder) == (row.from.0 == 0) {
            negotiation.initiator
        } else {
            negotiation.responder
        },
        delay: None,
        text: format!(
            "{} negotiates with {}, which succeeded, and no ICMP began with it, {}",
            negotiation.initiator,
            negotiation.responder,
            place(negotiation.first_frame)
        ),
        asking: None,
    };
    // Where an association followed, the responder's policy agreed.
    let agreed = tied.outcome() == Outcome::Association;
    let about = |row: &&Row<'_>| {
        concerns(row, initiator, responder) || (agreed && concerns(row, responder, initiator))
    };
    rows.iter().filter(about).map(|row| (*row, sight(row))).collect()
}

fn ground(tied: &Tied, case: &Case<'_>) -> Option<Ground> {
    let negotiation = &tied.negotiation;
    if !negotiation.answered && tied.outcome() != Outcome::TimedOut {
        return None;
    }
    let [a, b] = case.judged.flow.ends.map(|end| end.address);
    // An association that is older is renewed, whatever is said meanwhile; but for a second phase alone, which is told
    // only where none was in use.
    let older = |stream: Option<&Stream>| stream.is_some_and(|s| s.first < negotiation.first);
    let renews = !tied.is_second_phase()
        && (older(case.deployment.stream(a, b)) || older(case.deployment.stream(b, a)));
    if tied.may_be_for_others() || renews {
        return Some(Ground::Triggered);
    }
    let hidden = |from: IpAddr, to: IpAddr| {
        case.deployment.stream(from, to).is_some_and(|stream| stream.pace.is_some())
    };
    // The error of a first phase is told in clear; without one it was the second that failed.
    let second_failed = negotiation.course == Course::Failed && negotiation.error.is_none();
    Some(match tied.outcome() {
        Outcome::Association
            if tied.fallback() == Some(Fallback::Parallel)
                && tied.gap().is_some()
                && (hidden(a, b) || hidden(b, a)) =>
        {
            Ground::Switch
        }
        Outcome::Failed if second_failed => Ground::Asymmetric,
        _ => Ground::CausedByMedia,
    })
}

/// What happened, for one line of evidence.
fn detail(tied: &Tied, delay: i64) -> String {
    let took = tied.took().map(|took| format!("negotiation {} ms", shown(took)));
    let gap = tied.gap().map(|gap| format!("silence at the change to ESP {} ms", shown(gap)));
    let others = tied.cause().map(str::to_owned);
    let parts = [Some(words(tied, delay)), took, gap, others];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    format!(", {}", parts.join(", "))
}

/// What became of the negotiation and its media, in a few words.
fn words(tied: &Tied, delay: i64) -> String {
    let outcome = match tied.outcome() {
        Outcome::Association => "which succeeded",
        Outcome::Completed | Outcome::NoEncapsulation => "which completed without ESP",
        Outcome::Failed => "which failed",
        Outcome::TimedOut | Outcome::Unanswered => "which nobody answered",
        Outcome::Unfinished => "which did not end",
    };
    let media = match (tied.fallback(), delay) {
        (Some(Fallback::Parallel), _) => "media began in clear at the same time".to_owned(),
        (Some(Fallback::HalfASecond | Fallback::ThreeSeconds), _) => {
            format!("media fell back to clear after {} ms", shown(delay))
        }
        (None, 0) => "media had begun before".to_owned(),
        (None, _) => format!("media began {} ms after its first message", shown(delay)),
    };
    format!("{outcome}; {media}")
}

/// Nanoseconds as milliseconds with three digits behind the point.
pub(in crate::findings) fn shown(nanoseconds: i64) -> String {
    let micros = nanoseconds.saturating_add(500) / 1_000;
    format!("{}.{:03}", micros / 1_000, micros % 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::Deployment;
    use crate::findings::case::Lookup;
    use crate::findings::kept::Kept;
    use crate::findings::negotiations::testing::{Told, at, end, message};
    use crate::findings::negotiations::{Negotiations, Ties};
    use crate::findings::testbed::{DNS, EXEMPT_IN, EXEMPT_OUT, GATEWAYS, Sample, Testbed, flow};
    use crate::identify::ike::message::Family;
    use crate::input::Timestamp;
    use crate::policy::MediaSign;

    const CLIENT: &str = "10.20.0.101";
    const SERVER: &str = "10.0.1.31";
    const STRANGERS: [&str; 2] = ["203.0.113.1", "203.0.113.2"];
    /// When the negotiation begins, in ms.
    const BEGIN: i64 = 20_000;

    /// What is said: after how many ms, whether by the responder, and what.
    type Said = (i64, bool, Told);

    fn first() -> Told {
        Told::default()
    }

    fn answer() -> Told {
        Told { answered: true, knows: false, body: 1, ..Told::default() }
    }

    fn answered() -> Vec<Said> {
        vec![(0, false, first()), (5, true, answer())]
    }

    fn unanswered(tries: i64) -> Vec<Said> {
        (0..tries).map(|n| (n * 500, false, first())).collect()
    }

    /// `IKEv2`, whose responder authenticates.
    fn completed() -> Vec<Said> {
        let init = Told { family: Family::Ike2, exchange: 34, ..first() };
        let auth = Told { exchange: 35, id: 1, ..init };
        let back = |told: Told| Told { answered: true, knows: false, ..told };
        vec![(0, false, init), (5, true, back(init)), (9, false, auth), (14, true, back(auth))]
    }

    /// The second phase is tried twice.
    fn refused() -> Vec<Said> {
        let quick = Told { exchange: 32, id: 7, answered: true, body: 2, ..first() };
        [answered(), vec![(9, false, quick), (509, false, quick)]].concat()
    }

    /// The first phase is refused in clear.
    fn refused_at_once() -> Vec<Said> {
        let no = Told { exchange: 5, id: 9, error: Some(14), ..answer() };
        vec![(0, false, first()), (5, true, no)]
    }

    fn media_between(ends: [&str; 2], first: i64, last: i64) -> Sample {
        let [from, to] = ends;
        let sample = flow(&format!("{from}:50020"), &format!("{to}:49200")).udp().protocol("rtp");
        let sign = MediaSign::Content;
        sample.exempt(&[(EXEMPT_IN, sign), (EXEMPT_OUT, sign)]).during(BEGIN + first, BEGIN + last)
    }

    fn media(first: i64, last: i64) -> Sample {
        media_between([CLIENT, SERVER], first, last)
    }

    fn esp(from: &str, to: &str, first: i64) -> Sample {
        let end = |host| format!("{host}:0");
        flow(&end(from), &end(to)).esp(9).during(BEGIN + first, BEGIN + first + 500)
    }

    /// What belongs to a negotiation of two hosts, the first of which begins it.
    fn tied(hosts: [&str; 2], said: &[Said], samples: &[Sample]) -> Ties {
        let mut all = Negotiations::default();
        for (number, (ms, back, told)) in (1..).zip(said) {
            let ends = hosts.map(end);
            let (from, to) = (ends[usize::from(*back)], ends[usize::from(!*back)]);
            let time = Timestamp((BEGIN + ms) * 1_000_000);
            all.take(&message(told), from, to, at(number), time);
        }
        let mut ties = Ties::default();
        ties.heed(&all);
        let bed = Testbed::default();
        for sample in samples {
            ties.add(&Case::of(&sample.judged(), &bed, Deployment::NONE));
        }
        ties
    }

    /// The ground, the rows and the words.
    type Verdict = (Ground, Vec<String>, String);

    fn verdict(hosts: [&str; 2], said: &[Said], samples: &[Sample]) -> Option<Verdict> {
        let (bed, mut deployment) = (Testbed::default(), Deployment::default());
        for sample in samples {
            deployment.note(&sample.flow);
        }
        let [(tied, kept)] = tied(hosts, said, samples)
            .take_untold(Timestamp(i64::MAX))
            .try_into()
            .expect("a negotiation with media");
        let judged = kept.judged();
        let found = held_up(&tied, &Case::of(&judged, &bed, &deployment))?;
        let rows = found.rows.iter().map(|(row, _)| row.id.to_owned()).collect();
        Some((found.ground, rows, found.wait.1))
    }

    fn of_the_client(said: &[Said], samples: &[Sample]) -> Option<Verdict> {
        verdict([CLIENT, SERVER], said, samples)
    }

    /// Of several negotiations.
    fn grounds(said: &[Said], samples: &[Sample]) -> Vec<Ground> {
        let bed = Testbed::default();
        let untold = tied([CLIENT, SERVER], said, samples).take_untold(Timestamp(i64::MAX));
        let ground = |(tied, kept): &(Tied, Box<Kept>)| {
            held_up(tied, &Case::of(&kept.judged(), &bed, Deployment::NONE)).map(|it| it.ground)
        };
        untold.iter().filter_map(ground).collect()
    }

    fn ground_of(said: &[Said], samples: &[Sample]) -> Option<Ground> {
        of_the_client(said, samples).map(|(ground, ..)| ground)
    }

    #[test]
    fn a_negotiation_speaks_of_what_its_initiator_sends() {
        let (ground, rows, detail) = of_the_client(&answered(), &[media(700, 9_000)]).unwrap();
        assert_eq!((ground, rows), (Ground::CausedByMedia, vec!["X05".to_owned()]));
        let fell_back = "which did not end; media fell back to clear after 700.000 ms";
        assert_eq!(detail, fell_back);
        let (_, rows, _) = verdict([SERVER, CLIENT], &answered(), &[media(700, 9_000)]).unwrap();
        assert_eq!(rows, ["X06"]);
    }

    #[test]
    fn an_association_shows_that_both_sides_agreed() {
        let (ground, rows, detail) =
            of_the_client(&completed(), &[media(80, 900), esp(CLIENT, SERVER, 70)]).unwrap();
        assert_eq!((ground, rows), (Ground::CausedByMedia, vec!["X05".into(), "X06".into()]));
        assert_eq!(detail, "which succeeded; media began 80.000 ms after its first message");
        let (_, rows, detail) = of_the_client(&completed(), &[media(80, 9_000)]).unwrap();
        assert_eq!(rows, ["X05"]);
        assert_eq!(
            detail,
            "which completed without ESP; media began 80.000 ms after its first message"
        );
    }

    #[test]
    fn one_message_that_nobody_answers_is_no_negotiation_and_two_are() {
        assert_eq!(of_the_client(&unanswered(1), &[media(500, 9_000)]), None);
        let (ground, rows, detail) = of_the_client(&unanswered(3), &[media(3_000, 9_000)]).unwrap();
        assert_eq!((ground, rows), (Ground::CausedByMedia, vec!["X05".to_owned()]));
        let fell_back = "which nobody answered; media fell back to clear after 3000.000 ms";
        assert_eq!(detail, fell_back);
    }

    #[test]
    fn media_long_after_did_not_wait_for_it() {
        assert!(ground_of(&answered(), &[media(10_000, 11_000)]).is_some());
        assert!(ground_of(&answered(), &[media(10_001, 11_000)]).is_none());
    }

    #[test]
    fn what_began_just_before_may_have_caused_it_as_well() {
        let smb = flow("10.20.0.101:50001", "10.0.1.31:445").during(BEGIN - 3, BEGIN + 50);
        for said in [answered(), refused(), unanswered(2)] {
            assert_eq!(ground_of(&said, &[media(1, 9), smb.clone()]), Some(Ground::Triggered));
        }
        // What begins before the media may have waited as they did.
        let smb = |ms| flow("10.20.0.101:50001", "10.0.1.31:445").during(BEGIN + ms, BEGIN + 900);
        assert_eq!(ground_of(&answered(), &[media(9, 99), smb(9)]), Some(Ground::Triggered));
        assert_eq!(ground_of(&answered(), &[media(9, 99), smb(10)]), Some(Ground::CausedByMedia));
    }

    #[test]
    fn what_was_under_way_or_asks_at_other_times_may_have_caused_it_as_well() {
        let trunk =
            |last| flow("10.20.0.101:50001", "10.0.1.31:5070").during(BEGIN - 19_000, BEGIN + last);
        for said in [answered(), refused(), unanswered(2)] {
            for last in [-1_000, 60_000] {
                let found = ground_of(&said, &[media(4_000, 9_000), trunk(last)]);
                assert_eq!(found, Some(Ground::Triggered), "{last}");
            }
        }
        let over = ground_of(&answered(), &[media(4_000, 9_000), trunk(-1_001)]);
        assert_eq!(over, Some(Ground::CausedByMedia));
        // Tried in vain and without media, forty seconds before.
        let before = |cookie| {
            let told = Told { cookie, ..first() };
            [0, 500].map(|ms| (ms, false, told)).to_vec()
        };
        let now: Vec<Said> =
            unanswered(2).into_iter().map(|(ms, b, t)| (ms + 40_000, b, t)).collect();
        let call = [media(44_000, 60_000)];
        assert_eq!(grounds(&now, &call), [Ground::CausedByMedia]);
        assert_eq!(grounds(&[before(9), now.clone()].concat(), &call), [Ground::Triggered]);
        // That the other host tries says nothing of this one.
        let back = before(9).into_iter().map(|(ms, _, told)| (ms, true, told)).collect();
        assert_eq!(grounds(&[back, now].concat(), &call), [Ground::CausedByMedia]);
    }

    #[test]
    fn on_ports_that_others_use_too_anything_may_have_caused_it() {
        let on_range = |sign| {
            let sample = flow("10.20.0.101:50020", "10.0.1.31:49200").udp();
            sample.exempt(&[(EXEMPT_IN, sign)]).during(BEGIN + 9, BEGIN + 99)
        };
        for (sign, expected) in [
            (MediaSign::SharedPort, Ground::Triggered),
            (MediaSign::SharedRange, Ground::Triggered),
            (MediaSign::OwnRange, Ground::CausedByMedia),
            (MediaSign::Content, Ground::CausedByMedia),
        ] {
            assert_eq!(ground_of(&answered(), &[on_range(sign)]), Some(expected), "{sign:?}");
        }
        // Media that is surely media goes before it, but does not clear it.
        let with = |ms| ground_of(&answered(), &[on_range(MediaSign::SharedRange), media(ms, 99)]);
        assert_eq!([with(8), with(9)], [Some(Ground::CausedByMedia), Some(Ground::Triggered)]);
        // What was not answered is nothing, nor is a connection without content.
        let mut empty = on_range(MediaSign::SharedRange);
        empty.flow.transport = crate::decode::Transport::TCP;
        for nothing in [on_range(MediaSign::SharedRange).packets(5, 0), empty] {
            assert_eq!(grounds(&answered(), &[nothing]), []);
        }
    }

    #[test]
    fn a_wait_ends_with_the_association_or_the_failure() {
        let inside = |ms: i64| media(ms, ms + 900).inside_ah([9, 9]);
        let late = |tries: &[i64], end: Said| {
            let tries = tries.iter().map(|ms| (*ms, false, first()));
            tries.chain([end]).collect::<Vec<Said>>()
        };
        let again = late(&[0, 7_000, 15_000], (15_005, true, answer()));
        let (ground, _, detail) = of_the_client(&again, &[inside(15_100)]).unwrap();
        assert_eq!(ground, Ground::CausedByMedia);
        assert_eq!(detail, "which succeeded; media began 15100.000 ms after its first message");
        // All had been said long before the association was used.
        assert_eq!(ground_of(&answered(), &[inside(15_100)]), None);
        let no = Told { exchange: 5, id: 9, error: Some(14), ..answer() };
        let failed = late(&[0, 11_000], (11_005, true, no));
        assert!(ground_of(&failed, &[media(12_000, 13_000)]).is_some());
        assert_eq!(ground_of(&failed, &[media(12_001, 13_000)]), None);
        // Nobody answered, and the host gave up.
        let silent: Vec<Said> = [0, 3_000, 15_000].map(|ms| (ms, false, first())).into();
        assert_eq!(ground_of(&silent, &[media(16_000, 17_000)]), Some(Ground::CausedByMedia));
        assert_eq!(ground_of(&silent, &[media(16_001, 17_000)]), None);
    }

    #[test]
    fn packets_before_all_was_said_are_of_an_older_association() {
        let quick =
            |body| Told { exchange: 32, id: 7, body, answered: true, knows: false, ..first() };
        let said = [(0, false, quick(1)), (40, true, quick(2)), (50, false, quick(3))];
        for (first, grounds_told) in [(44, vec![]), (45, vec![Ground::CausedByMedia])] {
            let inside = media(first, 900).inside_ah([9, 9]);
            assert_eq!(grounds(&said, &[inside]), grounds_told, "{first}");
        }
    }

    #[test]
    fn a_second_phase_alone_is_a_negotiation_where_no_association_was_in_use() {
        let quick = Told { exchange: 32, id: 7, answered: true, knows: false, ..first() };
        let body = |body| Told { body, ..quick };
        let said = [(0, false, body(1)), (5, true, body(2)), (9, false, body(3))];
        let inside = media(60, 900).inside_ah([9, 9]);
        let (ground, rows, detail) = of_the_client(&said, std::slice::from_ref(&inside)).unwrap();
        assert_eq!((ground, rows), (Ground::CausedByMedia, vec!["X05".into(), "X06".into()]));
        assert_eq!(detail, "which succeeded; media began 60.000 ms after its first message");
        let with = |ms| grounds(&said, &[inside.clone(), esp(SERVER, CLIENT, ms)]);
        // It is used for half a second, and in use for a minute more.
        assert_eq!(with(-60_500), []);
        assert_eq!(with(-60_501), [Ground::CausedByMedia]);
        // Without an answer, without an association at once, or without media.
        assert_eq!(grounds(&said[..2], &[inside]), []);
        assert_eq!(grounds(&said, &[media(1_010, 2_000).inside_ah([9, 9])]), []);
        assert_eq!(grounds(&said, &[media(60, 900)]), []);
        assert_eq!(tied([CLIENT, SERVER], &said, &[esp(CLIENT, SERVER, 60)]).iter().count(), 0);
    }

    #[test]
    fn a_second_phase_that_fails_is_an_exemption_of_one_side() {
        let (ground, rows, detail) = of_the_client(&refused(), &[media(600, 9_000)]).unwrap();
        assert_eq!((ground, rows), (Ground::Asymmetric, vec!["X05".to_owned()]));
        assert!(detail.starts_with("which failed; "), "{detail}");
        let first_phase = ground_of(&refused_at_once(), &[media(600, 9_000)]);
        assert_eq!(first_phase, Some(Ground::CausedByMedia));
    }

    #[test]
    fn media_that_begin_in_clear_and_end_with_esp_changed_over() {
        let clear = || media(2, 60);
        let (ground, rows, detail) =
            of_the_client(&completed(), &[clear(), esp(SERVER, CLIENT, 90)]).unwrap();
        assert_eq!((ground, rows), (Ground::Switch, vec!["X05".into(), "X06".into()]));
        assert_eq!(detail, "which succeeded; media began in clear at the same time");
        let forth = ground_of(&completed(), &[clear(), esp(CLIENT, SERVER, 90)]);
        assert_eq!(forth, Some(Ground::Switch));
        // They go on in clear, they begin too late, or the association can be read: no such change.
        let readable = flow("10.20.0.101:50001", "10.0.1.31:445")
            .during(BEGIN + 90, BEGIN + 900)
            .inside_ah([9, 9]);
        for (media, esp) in [(media(51, 60), esp(SERVER, CLIENT, 90)), (clear(), readable)] {
            assert_eq!(ground_of(&completed(), &[media, esp]), Some(Ground::CausedByMedia));
        }
    }

    #[test]
    fn media_that_stay_in_clear_or_come_later_did_not_need_the_association() {
        for (media, esp) in [
            (media(2, 1_090), esp(SERVER, CLIENT, 90)),
            (media(3_000, 9_000), esp(CLIENT, SERVER, 90)),
            (media(1_091, 1_095), esp(CLIENT, SERVER, 90)),
            // Short as they are, they began when there was nothing to wait for.
            (media(141, 145), esp(CLIENT, SERVER, 90)),
        ] {
            assert_eq!(ground_of(&completed(), &[media, esp]), None);
        }
        let crossing = [media(140, 145), esp(CLIENT, SERVER, 90)];
        assert_eq!(ground_of(&completed(), &crossing), Some(Ground::CausedByMedia));
        // Other traffic used the association first, so that it may have asked for it.
        for (first, ground) in [(140, Ground::CausedByMedia), (141, Ground::Triggered)] {
            let soon = [media(first, 1_085).inside_ah([9, 9]), esp(CLIENT, SERVER, 90)];
            assert_eq!(ground_of(&completed(), &soon), Some(ground));
        }
        // Or one was there before.
        let renewed = [media(80, 900), esp(CLIENT, SERVER, -5), esp(SERVER, CLIENT, 70)];
        assert_eq!(ground_of(&completed(), &renewed), Some(Ground::Triggered));
    }

    #[test]
    fn declared_gateways_and_strangers_are_left_alone() {
        let between = |hosts: [&str; 2]| {
            let sample = media_between(hosts, 600, 9_000);
            let anyone = [(DNS, MediaSign::Content), (EXEMPT_IN, MediaSign::Content)];
            let found = verdict(hosts, &answered(), &[sample.exempt(&anyone)]);
            found.map(|(_, rows, _)| rows)
        };
        assert_eq!(between([GATEWAYS[0], SERVER]), None);
        assert_eq!(between([CLIENT, GATEWAYS[1]]), None);
        assert_eq!(between(STRANGERS), None);
        assert_eq!(between([STRANGERS[0], SERVER]), Some(vec!["I01".into(), "X05".into()]));
        let stranger = [STRANGERS[0], SERVER];
        let (ground, ..) =
            verdict(stranger, &answered(), &[media_between(stranger, 600, 9_000)]).unwrap();
        assert_eq!(ground, Ground::Triggered, "what else a stranger asks for is unknown");
        assert_eq!(between([CLIENT, STRANGERS[0]]), Some(vec!["I01".into()]));
        // Of no row.
        assert_eq!(between([CLIENT, "10.0.1.41"]), Some(vec!["I01".into()]));
        let nobodys = media_between([CLIENT, "10.0.1.41"], 600, 9_000);
        assert_eq!(verdict([CLIENT, "10.0.1.41"], &answered(), &[nobodys]), None);
    }

    #[test]
    fn strictly_a_completed_negotiation_breaks_the_rows_of_whose_policy_asked_for_it() {
        let rows = |hosts: [&str; 2], said: &[Said], samples: &[Sample]| -> Vec<String> {
            let ties = tied(hosts, said, samples);
            let bed = Testbed::default();
            let [initiator, responder] = hosts.map(|host| bed.party(host.parse().unwrap()));
            let parties = (&initiator, &responder);
            let found =
                ties.iter().flat_map(|tied| negotiated(tied, parties, &[EXEMPT_IN, EXEMPT_OUT]));
            found.map(|(row, sight)| format!("{} {}", row.id, sight.peer)).collect()
        };
        assert_eq!(rows([CLIENT, SERVER], &completed(), &[]), ["X05 10.20.0.101"]);
        assert_eq!(rows([SERVER, CLIENT], &completed(), &[]), ["X06 10.20.0.101"]);
        assert_eq!(rows([CLIENT, "10.0.1.11"], &completed(), &[]), Vec::<String>::new());
        for without_end in [answered(), refused(), refused_at_once(), unanswered(3)] {
            assert_eq!(rows([CLIENT, SERVER], &without_end, &[]), Vec::<String>::new());
        }
        let esp = esp(CLIENT, SERVER, 50);
        // What follows shows that both sides agreed.
        let both = ["X05 10.20.0.101", "X06 10.20.0.101"];
        assert_eq!(rows([CLIENT, SERVER], &answered(), &[esp]), both);
        assert_eq!(rows([CLIENT, STRANGERS[0]], &completed(), &[]), Vec::<String>::new());
        // TCP does not excuse it, ICMP does: no row exempts it.
        let mut before = flow("10.20.0.101:50001", "10.0.1.31:445").during(BEGIN - 9, BEGIN - 1);
        assert_eq!(rows([CLIENT, SERVER], &completed(), &[before.clone()]).len(), 1);
        before.flow.transport = crate::decode::Transport::ICMP;
        assert_eq!(rows([CLIENT, SERVER], &completed(), &[before]), Vec::<String>::new());
    }
}
