//! What a negotiation says about exemptions: media that begins with it had to wait for it, or was not meant to
//! need it. The side that begins a negotiation is the one whose outbound policy asked for it; where an
//! association comes of it, the other side's policy agreed.

use std::net::IpAddr;

use super::configured::{Asking, Seen};
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
    pub(in crate::findings) detail: String,
}

/// Says it, of a negotiation between hosts with media of exempted rows; `case` is that media.
pub(in crate::findings) fn held_up<'a>(tied: &Tied, case: &Case<'a>) -> Option<HeldUp<'a>> {
    let negotiation = &tied.negotiation;
    let gateways = [negotiation.initiator, negotiation.responder].map(|host| case.is_gateway(host));
    let delay = tied.media_delay()?;
    if gateways.contains(&true) || delay > LONGEST_WAIT {
        return None;
    }
    let known = [negotiation.initiator, negotiation.responder].map(|host| case.is_known(host));
    // A device between sites, or somebody who knocks at an edge: neither has a policy to be mended here.
    let device = negotiation.vendors.make_gateways() && known.contains(&false);
    let knocks = !known[0] && !negotiation.answered;
    let strangers = known == [false; 2] || device || knocks;
    let ground = ground(tied, case).filter(|_| !strangers)?;
    let agreed = matches!(tied.outcome(), Outcome::Association);
    let senders = [Side::A, Side::B].into_iter().filter(|side| {
        let address = case.judged.flow.ends[side.index()].address.to_canonical();
        agreed || address == negotiation.initiator
    });
    let detail = detail(tied, delay);
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
            "{} negotiates with {}{detail}, {}",
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
    (!rows.is_empty()).then_some(HeldUp { ground, rows, frame, detail: words(tied, delay) })
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
    if !completed || tied.icmp_triggers > 0 {
        return Vec::new();
    }
    let sight = |row: &Row<'_>| Sight {
        ground: Ground::Negotiated,
        packets: negotiation.messages,
        frame: negotiation.first_frame,
        peer: if row.from.0 == 0 { negotiation.initiator } else { negotiation.responder },
        delay: None,
        text: format!(
            "{} negotiates with {}, which succeeded, and no ICMP began with it, {}",
            negotiation.initiator,
            negotiation.responder,
            place(negotiation.first_frame)
        ),
        asking: None,
    };
    rows.iter()
        .filter(|row| concerns(row, initiator, responder))
        .map(|row| (*row, sight(row)))
        .collect()
}

fn ground(tied: &Tied, case: &Case<'_>) -> Option<Ground> {
    let negotiation = &tied.negotiation;
    if !negotiation.answered && tied.outcome() != Outcome::TimedOut {
        return None;
    }
    if tied.other_triggers > 0 {
        return Some(Ground::Triggered);
    }
    let [a, b] = case.judged.flow.ends.map(|end| end.address);
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
    let others = (tied.other_triggers > 0).then(|| "other traffic began with it".to_owned());
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
        (None, _) => format!("media began {} ms after it", shown(delay)),
    };
    format!("{outcome}; {media}")
}

/// Nanoseconds as milliseconds with three digits behind the point.
fn shown(nanoseconds: i64) -> String {
    let micros = nanoseconds.saturating_add(500) / 1_000;
    format!("{}.{:03}", micros / 1_000, micros % 1_000)
}

/// How long after the first message media may begin and still have waited for it, in ns.
const LONGEST_WAIT: i64 = 10_000_000_000;
