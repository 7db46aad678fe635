//! From attempts, one per cookie, to negotiations as a person would count them, and what their messages alone say of
//! their course.
//!
//! A host that tries again after a failure uses a new cookie, and Windows asks in `IKEv1` and `AuthIP` at the same time.
//! So a setup that begins while the same host still sets up with the same peer, or within [`QUIET`] of that, is
//! the same negotiation. Further security associations under a cookie are renewals of what was negotiated, or made
//! anew once the first had gone unused: which of the two, the packets around them tell (`ties`).

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::Pair;
use super::attempt::{Attempt, Families, Mark, Telling, Told};
use crate::flow::FrameRef;
use crate::identify::ike::Vendors;
use crate::identify::ike::message::{Family, Phase};
use crate::input::Timestamp;

/// How far a negotiation got, as its messages alone show. Later ones count more than earlier ones where
/// several attempts make one negotiation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Course {
    /// Nobody answered the only message.
    Unanswered,
    /// Nobody answered, though it was tried again.
    TimedOut,
    /// It was answered and not brought to an end in what was captured.
    Unfinished,
    /// An error was told in clear, or the second phase was tried again and again.
    Failed,
    /// All messages that it takes were exchanged.
    Completed,
}

/// A negotiation of one host with another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Negotiation {
    /// The host whose policy made it begin.
    pub initiator: IpAddr,
    /// The other one.
    pub responder: IpAddr,
    /// What was spoken.
    pub families: Families,
    /// Whether its beginning was captured. Without it, who initiated is a guess, and how long it took is unknown.
    pub start_seen: bool,
    /// The first message.
    pub first: Timestamp,
    /// Its frame.
    pub first_frame: FrameRef,
    /// The last message of its setups and of the second phases that belong to them; there, of messages that are
    /// sent again, the first counts.
    pub last: Timestamp,
    /// Cookies.
    pub attempts: u64,
    /// Messages of both hosts, also those that came later under the same cookies.
    pub messages: u64,
    /// Messages of the negotiation that only repeat another.
    pub retransmits: u64,
    /// Requests that were answered, of the attempt that got furthest.
    pub round_trips: u64,
    /// Further security associations negotiated under the same cookies.
    pub renewals: u64,
    /// What vendor ids say of both hosts.
    pub vendors: Vendors,
    /// It went on in UDP on port 4500: there is a NAT between the hosts.
    pub behind_nat: bool,
    /// Whether the other host answered at all.
    pub answered: bool,
    /// The first error that was told in clear.
    pub error: Option<u16>,
    /// How far it got.
    pub course: Course,
}

/// Folds attempts into negotiations, by time.
pub(super) fn fold(attempts: &BTreeMap<(Pair, u64), Attempt>) -> Vec<Negotiation> {
    let mut setups: Vec<(Pair, usize, [Mark; 2], &Attempt)> = attempts
        .iter()
        .filter_map(|((pair, _), attempt)| {
            Some((*pair, attempt.initiator(), attempt.setup?, attempt))
        })
        .collect();
    setups.sort_by_key(|(pair, initiator, setup, _)| (*pair, *initiator, *setup));
    let mut folded: Vec<Negotiation> = Vec::new();
    for (pair, initiator, [first, last], attempt) in setups {
        let (initiator, responder) = (pair[initiator], pair[1 - initiator]);
        let new = Negotiation::of(attempt, initiator, responder, first, last);
        match folded.last_mut() {
            Some(open)
                if (open.initiator, open.responder) == (initiator, responder)
                    && first.0.0 <= open.last.0.saturating_add(open.stays_open()) =>
            {
                open.add(&new);
            }
            _ => folded.push(new),
        }
    }
    for negotiation in &mut folded {
        negotiation.settle();
    }
    folded.sort_by_key(|one| (one.first, one.first_frame, one.initiator));
    folded
}

/// Second phases under cookies whose setup is older, or was not captured.
pub(super) fn second_phases(attempts: &BTreeMap<(Pair, u64), Attempt>) -> Vec<Negotiation> {
    let of = |((pair, _), attempt): (&(Pair, u64), _)| View::of(attempt).second_phases(*pair);
    let mut all: Vec<Negotiation> = attempts.iter().flat_map(of).collect();
    all.sort_by_key(|one| (one.first, one.first_frame, one.initiator));
    all
}

impl Negotiation {
    fn of(
        attempt: &Attempt,
        initiator: IpAddr,
        responder: IpAddr,
        (first, first_frame): Mark,
        last: Mark,
    ) -> Self {
        let view = View::of(attempt);
        let (last, _) = view.own().map(|(_, told)| told.first).fold(last, Mark::max);
        Self {
            initiator,
            responder,
            families: attempt.families,
            start_seen: attempt.opened,
            first,
            first_frame,
            last,
            attempts: 1,
            messages: attempt.messages[0].saturating_add(attempt.messages[1]),
            retransmits: view.retransmits(),
            round_trips: view.round_trips(),
            renewals: view.renewals(),
            vendors: attempt.vendors,
            behind_nat: attempt.moved,
            answered: view.answered(),
            error: attempt.error.map(|(_, number)| number),
            course: view.course(),
        }
    }

    /// Whether packets of a security association at a time are of an older one: not all had been said.
    pub(super) fn is_too_early(&self, time: Timestamp) -> bool {
        let said = self.course == Course::Completed && self.attempts == 1;
        said && time.0.saturating_add(SLACK) < self.last.0
    }

    /// For how long after its last message a further attempt belongs to it, in ns: what is completed needs no other
    /// attempt, but for that of another family which began with it.
    fn stays_open(&self) -> i64 {
        if self.course == Course::Completed { TOGETHER } else { QUIET }
    }

    /// Adds a further attempt, which began later.
    fn add(&mut self, later: &Self) {
        self.families = self.families.with(later.families);
        self.last = self.last.max(later.last);
        self.attempts += later.attempts;
        self.messages = self.messages.saturating_add(later.messages);
        self.retransmits = self.retransmits.saturating_add(later.retransmits);
        self.round_trips = self.round_trips.max(later.round_trips);
        self.renewals += later.renewals;
        self.vendors = self.vendors.with(later.vendors);
        self.behind_nat |= later.behind_nat;
        self.answered |= later.answered;
        self.error = self.error.or(later.error);
        self.course = self.course.max(later.course);
    }

    /// One message of each family is one try, however many families there are.
    fn settle(&mut self) {
        let tries = self.families.iter().count() as u64;
        if self.course == Course::Unanswered && self.messages > tries {
            self.course = Course::TimedOut;
        }
    }
}

/// An attempt as its initiator sees it.
struct View<'a> {
    attempt: &'a Attempt,
    initiator: usize,
    /// Of `IKEv1`: the message id of the first second phase, which belongs to the negotiation. Windows puts the other
    /// family's, and `IKEv2` its first, into the setup.
    quick: Option<u32>,
}

impl<'a> View<'a> {
    fn of(attempt: &'a Attempt) -> Self {
        let quick = attempt.told.iter().filter(|(telling, _)| telling.exchange == QUICK_MODE);
        let soon = |told: &Told| {
            attempt
                .setup
                .is_none_or(|[_, (last, _)]| told.first.0.0.saturating_sub(last.0) <= QUIET)
        };
        let first = quick.min_by_key(|(telling, told)| (told.first, telling.id));
        let first = first.filter(|(_, told)| soon(told));
        Self {
            attempt,
            initiator: attempt.initiator(),
            quick: first.map(|(telling, _)| telling.id),
        }
    }

    /// Messages that set up, and of a second phase those that are no renewal.
    fn own(&self) -> impl Iterator<Item = (&'a Telling, &'a Told)> {
        self.attempt.told.iter().filter(|(telling, _)| match telling.phase {
            Phase::Setup => true,
            Phase::Child => self.is_first_quick(telling),
            Phase::Informational => false,
        })
    }

    fn is_first_quick(&self, telling: &Telling) -> bool {
        telling.exchange == QUICK_MODE && Some(telling.id) == self.quick
    }

    fn retransmits(&self) -> u64 {
        let repeated = self.own().map(|(_, told)| told.count.saturating_sub(1));
        repeated.fold(0, u64::saturating_add)
    }

    fn round_trips(&self) -> u64 {
        let by = |side| self.own().filter(|(told, _)| told.side == side && !told.continues).count();
        by(0).min(by(1)) as u64
    }

    fn renewals(&self) -> u64 {
        let all = self.attempt.told.keys().filter(|telling| telling.phase == Phase::Child);
        let further = all.filter(|telling| !self.is_first_quick(telling));
        let ids: BTreeSet<(u8, u32)> = further.map(|told| (told.exchange, told.id)).collect();
        ids.len() as u64
    }

    /// The second phases that are not the setup's own, of those that were answered.
    fn second_phases(&self, pair: Pair) -> Vec<Negotiation> {
        let mut by_id: BTreeMap<(u8, u32), Vec<(&Telling, &Told)>> = BTreeMap::new();
        for (telling, told) in &self.attempt.told {
            let own = self.attempt.setup.is_some() && self.is_first_quick(telling);
            if telling.phase == Phase::Child && !own {
                by_id.entry((telling.exchange, telling.id)).or_default().push((telling, told));
            }
        }
        by_id.values().filter_map(|said| self.second_phase(pair, said)).collect()
    }

    /// A second phase of which these messages are, if they are all that it takes: `IKEv2` asks once, and the other
    /// families speak again when they are answered.
    fn second_phase(&self, pair: Pair, said: &[(&Telling, &Told)]) -> Option<Negotiation> {
        let firsts = || said.iter().map(|(telling, told)| (told.first, telling.side));
        let ((first, first_frame), initiator) = firsts().min()?;
        let ((last, _), _) = firsts().max()?;
        let by = |side| {
            said.iter().filter(|(told, _)| told.side == side && !told.continues).count() as u64
        };
        let asks = if self.attempt.families.has(Family::Ike2) { 1 } else { 2 };
        let round_trips = by(initiator).min(by(1 - initiator));
        let messages = said.iter().map(|(_, told)| told.count).fold(0, u64::saturating_add);
        (round_trips > 0 && by(initiator) >= asks).then(|| Negotiation {
            initiator: pair[initiator],
            responder: pair[1 - initiator],
            families: self.attempt.families,
            start_seen: true,
            first,
            first_frame,
            last,
            attempts: 1,
            messages,
            retransmits: messages.saturating_sub(said.len() as u64),
            round_trips,
            renewals: 0,
            vendors: self.attempt.vendors,
            behind_nat: self.attempt.moved,
            answered: true,
            error: None,
            course: Course::Completed,
        })
    }

    fn answered(&self) -> bool {
        self.attempt.answered || self.attempt.messages[1 - self.initiator] > 0
    }

    fn course(&self) -> Course {
        if self.completed() {
            Course::Completed
        } else if self.attempt.error.is_some() || self.second_phase_failed() {
            Course::Failed
        } else if self.answered() {
            Course::Unfinished
        } else if self.attempt.messages[self.initiator] > 1 {
            Course::TimedOut
        } else {
            Course::Unanswered
        }
    }

    fn completed(&self) -> bool {
        let has = |family| self.attempt.families.has(family);
        has(Family::Ike2) && self.authenticated_2()
            || has(Family::Ike1) && self.quick_done()
            || has(Family::AuthIp) && self.authip_done()
    }

    /// The responder spoke in an `IKE_AUTH` exchange. Whether it agreed is encrypted.
    fn authenticated_2(&self) -> bool {
        let responder = 1 - self.initiator;
        let mut told = self.attempt.told.keys();
        told.any(|told| told.exchange == IKE_AUTH && told.side == responder)
    }

    /// Whoever began a quick mode spoke twice in it, which it does only when it was answered (RFC 2409, 5.5).
    fn quick_done(&self) -> bool {
        let mut spoken: BTreeMap<(u32, usize), u32> = BTreeMap::new();
        let quick = self.attempt.told.keys().filter(|told| told.exchange == QUICK_MODE);
        for telling in quick.filter(|told| !told.continues) {
            *spoken.entry((telling.id, telling.side)).or_default() += 1;
        }
        spoken.values().any(|times| *times >= 2)
    }

    /// The first quick mode of `AuthIP` has the exchange type of main mode and is encrypted. Main mode takes two messages of
    /// each side at least, and quick mode follows: with a third of both there was one.
    fn authip_done(&self) -> bool {
        let later = self.attempt.told.keys().any(|told| told.exchange == AUTHIP_QUICK);
        let by = |side| {
            let own = self.own().filter(move |(told, _)| told.side == side && !told.continues);
            own.count()
        };
        later || (by(0) >= 3 && by(1) >= 3)
    }

    /// Quick mode was begun and not done: it was tried again, or answered by an information.
    fn second_phase_failed(&self) -> bool {
        let told = &self.attempt.told;
        let quick = || told.iter().filter(|(telling, _)| telling.exchange == QUICK_MODE);
        let Some(begun) = quick().map(|(_, told)| told.first).min() else { return false };
        let by_initiator = quick().filter(|(telling, _)| telling.side == self.initiator);
        let tries = by_initiator.map(|(_, told)| told.count).fold(0, u64::saturating_add);
        let informed = told
            .iter()
            .any(|(telling, told)| telling.phase == Phase::Informational && told.first >= begun);
        tries >= 2 || informed
    }
}

/// How long after a setup's last message another one is still the same negotiation, in nanoseconds.
const QUIET: i64 = 30_000_000_000;
/// How long before its last message an association may be in use, in ns: the last of an `IKEv1` quick mode may be a mere
/// confirmation.
const SLACK: i64 = 5_000_000;
/// The same once it is completed.
const TOGETHER: i64 = 1_000_000_000;
/// Exchange types.
const QUICK_MODE: u8 = 32;
const AUTHIP_QUICK: u8 = 244;
const IKE_AUTH: u8 = 35;

#[cfg(test)]
mod tests {
    use super::super::Negotiations;
    use super::super::testing::{Told, at, end, message};
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    /// Messages of a client and a server, with the milliseconds at which they were sent.
    fn told(messages: &[(i64, bool, Told)]) -> Vec<Negotiation> {
        let mut all = Negotiations::default();
        let ends = [end("10.0.0.9"), end("10.0.0.1")];
        for (nth, (ms, back, told)) in messages.iter().enumerate() {
            let (from, to) = (ends[usize::from(*back)], ends[usize::from(!*back)]);
            let time = Timestamp(ms * SECOND / 1000);
            all.take(&message(told), from, to, at(nth as u64 + 1), time);
        }
        all.negotiations()
    }

    fn only(messages: &[(i64, bool, Told)]) -> Negotiation {
        let mut found = told(messages);
        assert_eq!(found.len(), 1, "{found:#?}");
        found.remove(0)
    }

    /// A message that differs from others of its side by its number.
    fn main(body: u32) -> Told {
        Told { body, answered: body > 0, knows: body == 0, ..Told::default() }
    }

    fn quick(id: u32, body: u32) -> Told {
        Told { exchange: 32, id, ..main(body) }
    }

    fn main_mode() -> Vec<(i64, bool, Told)> {
        let six = (0..6).map(|n| (i64::from(n) * 10, n % 2 == 1, main(n)));
        six.collect()
    }

    #[test]
    fn a_whole_negotiation_and_its_renewals() {
        let mut all = main_mode();
        all.extend([
            (60, false, quick(5, 10)),
            (70, true, quick(5, 11)),
            (80, false, quick(5, 12)),
        ]);
        let one = only(&all);
        assert_eq!((one.course, one.round_trips, one.retransmits), (Course::Completed, 4, 0));
        assert_eq!((one.initiator.to_string(), one.first_frame), ("10.0.0.9".into(), at(1)));
        assert_eq!((one.messages, one.renewals), (9, 0));
        all.extend([(90_000, true, quick(6, 20)), (90_010, false, quick(6, 21))]);
        let one = only(&all);
        assert_eq!((one.messages, one.renewals, one.round_trips), (11, 1, 4));
    }

    #[test]
    fn second_phases_of_their_own_are_those_that_no_setup_has() {
        let second = |messages: &[(i64, bool, Told)]| -> Vec<(u64, IpAddr, i64, FrameRef)> {
            let mut all = Negotiations::default();
            let ends = [end("10.0.0.9"), end("10.0.0.1")];
            for (nth, (ms, back, told)) in messages.iter().enumerate() {
                let (from, to) = (ends[usize::from(*back)], ends[usize::from(!*back)]);
                all.take(
                    &message(told),
                    from,
                    to,
                    at(nth as u64 + 1),
                    Timestamp(ms * SECOND / 1000),
                );
            }
            let found = all.second_phases().into_iter();
            found
                .map(|one| (one.messages, one.initiator, one.last.0 - one.first.0, one.first_frame))
                .collect()
        };
        let [client, server] = ["10.0.0.9", "10.0.0.1"].map(|host| host.parse().unwrap());
        let phase = |ms: i64, id, back: bool| {
            [
                (ms, back, quick(id, id * 8 + 1)),
                (ms + 10, !back, quick(id, id * 8 + 2)),
                (ms + 20, back, quick(id, id * 8 + 3)),
            ]
        };
        let mut all = [main_mode(), phase(60, 5, false).to_vec()].concat();
        assert_eq!(second(&all), []);
        all.extend(phase(600_000, 6, true));
        assert_eq!(second(&all), [(3, server, 20_000_000, at(10))]);
        // A setup that was long ago has none.
        let late = [main_mode(), phase(30_051, 5, false).to_vec()].concat();
        assert_eq!(second(&late), [(3, client, 20_000_000, at(7))]);
        // Whoever began it was not answered.
        assert_eq!(second(&phase(0, 5, false)[..2]), []);
        let child = |body| Told { family: Family::Ike2, exchange: 36, id: 4, ..main(body) };
        assert_eq!(second(&[(0, false, child(1)), (80, true, child(2))]).len(), 1);
        assert_eq!(second(&[(0, false, child(1)), (80, false, child(1))]), []);
    }

    #[test]
    fn a_second_phase_that_is_tried_again_or_refused_failed() {
        let with = |more: &[(i64, bool, Told)]| {
            let all: Vec<_> = main_mode().into_iter().chain(more.iter().copied()).collect();
            only(&all)
        };
        assert_eq!(with(&[]).course, Course::Unfinished);
        assert_eq!(with(&[(60, false, quick(5, 10))]).course, Course::Unfinished);
        let again = with(&[(60, false, quick(5, 10)), (1060, false, quick(5, 10))]);
        assert_eq!((again.course, again.retransmits), (Course::Failed, 1));
        let anew = with(&[(60, false, quick(5, 10)), (1060, false, quick(6, 11))]);
        assert_eq!(anew.course, Course::Failed);
        let informed = Told { exchange: 5, ..main(30) };
        let refused = with(&[(60, false, quick(5, 10)), (70, true, informed)]);
        assert_eq!(refused.course, Course::Failed);
        let before = with(&[(55, true, informed), (60, false, quick(5, 10))]);
        assert_eq!(before.course, Course::Unfinished);
    }

    #[test]
    fn an_error_in_clear_is_a_failure_until_it_went_on() {
        let refused = Told { error: Some(14), exchange: 5, ..main(1) };
        let one = only(&[(0, false, main(0)), (9, true, refused)]);
        assert_eq!((one.course, one.error, one.answered), (Course::Failed, Some(14), true));
        let ike2 = |exchange, body| Told { family: Family::Ike2, exchange, ..main(body) };
        let refused = Told { error: Some(14), ..ike2(34, 1) };
        let mut all = vec![(0, false, ike2(34, 0)), (9, true, refused)];
        assert_eq!(only(&all).course, Course::Failed);
        all.extend([(20, false, ike2(35, 2)), (30, true, ike2(35, 3))]);
        assert_eq!((only(&all).course, only(&all).round_trips), (Course::Completed, 2));
    }

    #[test]
    fn both_families_at_once_are_one_try() {
        let authip = Told { family: Family::AuthIp, exchange: 243, cookie: 8, ..main(0) };
        let mut all = vec![(0, false, authip), (3, false, main(0))];
        let one = only(&all);
        assert_eq!((one.course, one.attempts, one.messages), (Course::Unanswered, 2, 2));
        let families: Vec<_> = one.families.iter().map(Family::token).collect();
        assert_eq!(families, ["ikev1", "authip"]);
        all.push((1003, false, main(0)));
        assert_eq!((only(&all).course, only(&all).retransmits), (Course::TimedOut, 1));
    }

    #[test]
    fn a_new_cookie_is_a_new_negotiation_when_it_was_quiet_before() {
        let other = Told { cookie: 9, ..main(0) };
        let again = only(&[(0, false, main(0)), (30_000, false, other)]);
        assert_eq!((again.attempts, again.course), (2, Course::TimedOut));
        let two = told(&[(0, false, main(0)), (30_001, false, other)]);
        assert_eq!(two.iter().map(|one| one.course).collect::<Vec<_>>(), [Course::Unanswered; 2]);
        let both = told(&[(0, false, main(0)), (5, true, other)]);
        assert_eq!(both.len(), 2, "each host has its own policy");
    }

    #[test]
    fn who_only_tells_that_it_is_there_negotiates_nothing() {
        let there = Told { exchange: 5, ..main(1) };
        assert_eq!(told(&[(0, false, there), (10, true, there)]), []);
        assert_eq!(told(&[(0, false, quick(5, 1)), (10, true, quick(5, 2))]), []);
    }

    #[test]
    fn authip_hides_its_first_quick_mode_in_main_mode() {
        let authip = |body| Told { family: Family::AuthIp, exchange: 243, ..main(body) };
        let mut all: Vec<_> = (0..5).map(|n| (i64::from(n), n % 2 == 1, authip(n))).collect();
        assert_eq!(only(&all).course, Course::Unfinished);
        all.push((6, true, authip(5)));
        assert_eq!(only(&all).course, Course::Completed);
    }
}
