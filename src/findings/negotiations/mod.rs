//! The negotiations of IPsec (`IKEv1`, `AuthIP`, `IKEv2`): who negotiates with whom, how it goes, and how long media wait
//! for it. Media that should be exempt from IPsec, and yet make hosts negotiate, come late even where they come in
//! clear in the end.
//!
//! [`Negotiations`] collects messages by host pair and initiator's cookie while captures are read. What it holds is
//! joined from parts exactly (`attempt`); a part that ran out of room is read again. In the end it is folded
//! into [`Negotiation`]s (`fold`), to which the audit ties security associations and media (`ties`); what belongs to one
//! of them, and what that says, is in `tied`.

mod attempt;
mod fold;
mod tied;
mod ties;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::IpAddr;

use crate::flow::{Endpoint, FrameRef};
use crate::identify::ike::message::Message;
use crate::input::Timestamp;

pub use attempt::Families;
pub use fold::{Course, Negotiation};
pub use tied::{Fallback, Media, Outcome, Tied};

#[cfg(test)]
pub(crate) use tied::Others;
pub(super) use ties::Ties;

use attempt::Attempt;

/// Two hosts, the lower address first, IPv4 in its own form.
pub(super) type Pair = [IpAddr; 2];

/// The pair of two hosts, in either order.
pub(super) fn pair_of(one: IpAddr, other: IpAddr) -> Pair {
    let mut pair = [one.to_canonical(), other.to_canonical()];
    pair.sort_unstable();
    pair
}

/// Messages of negotiations, by attempt.
#[derive(Debug, Clone)]
pub struct Negotiations {
    /// By host pair and initiator's cookie.
    attempts: BTreeMap<(Pair, u64), Attempt>,
    /// First packets of security associations in UDP, by receiver and SPI. They share a flow with messages, so that
    /// no flow shows when they began.
    associations: BTreeMap<(Pair, IpAddr, u32), Timestamp>,
    /// Messages kept of all attempts.
    told: usize,
    most: Room,
    /// Messages and first packets for which there was no room.
    left_out: u64,
}

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Room {
    /// Attempts, and associations.
    attempts: usize,
    /// Different messages of all attempts.
    told: usize,
}

/// The parts cannot be joined exactly, because a bound was or would be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

impl Default for Negotiations {
    fn default() -> Self {
        Self::bounded(Room { attempts: MAX_ATTEMPTS, told: MAX_MESSAGES })
    }
}

impl Negotiations {
    fn bounded(most: Room) -> Self {
        Self {
            attempts: BTreeMap::new(),
            associations: BTreeMap::new(),
            told: 0,
            most,
            left_out: 0,
        }
    }

    /// Messages and first packets for which there was no room.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Takes a message that one end sent to another.
    pub fn take(
        &mut self,
        message: &Message,
        from: Endpoint,
        to: Endpoint,
        at: FrameRef,
        time: Timestamp,
    ) {
        let place = (pair_of(from.address, to.address), message.initiator);
        let ends = [from, to].map(|end| (end.address.to_canonical(), end.port));
        let side = usize::from(ends[0] > ends[1]);
        let moved = [from.port, to.port].contains(&NAT_PORT);
        let new = Attempt::of(message, side, moved, (time, at));
        let (known, before, grows) = match self.attempts.get(&place) {
            Some(known) => (true, known.told.len(), known.grows_by(&new)),
            None => (false, 0, true),
        };
        let full = grows && self.told >= self.most.told;
        if full || (!known && self.attempts.len() >= self.most.attempts) {
            self.left_out += 1;
            return;
        }
        let after = match self.attempts.entry(place) {
            Entry::Vacant(slot) => slot.insert(new).told.len(),
            Entry::Occupied(mut slot) => {
                slot.get_mut().add(new);
                slot.get().told.len()
            }
        };
        self.told += after - before;
    }

    /// Takes a packet of ESP in UDP. Only those that begin an association are kept: they are numbered from 1
    /// (RFC 4303 section 2.2).
    pub fn take_protected(
        &mut self,
        (from, to): (IpAddr, IpAddr),
        spi: u32,
        sequence: u32,
        time: Timestamp,
    ) {
        if !(1..=FIRST_NUMBERS).contains(&sequence) {
            return;
        }
        let place = (pair_of(from, to), to.to_canonical(), spi);
        if let Some(first) = self.associations.get_mut(&place) {
            *first = time.min(*first);
        } else if self.associations.len() < self.most.attempts {
            self.associations.insert(place, time);
        } else {
            self.left_out += 1;
        }
    }

    /// Whether another part can be joined exactly.
    pub fn can_take(&self, next: &Self) -> bool {
        self.left_out == 0
            && next.left_out == 0
            && self.attempts.len() + next.attempts.len() <= self.most.attempts
            && self.associations.len() + next.associations.len() <= self.most.attempts
            && self.told + next.told <= self.most.told
    }

    /// Adds what the part that follows holds, or refuses and changes nothing: then that part must be read again.
    pub fn merge(&mut self, next: Self) -> Result<(), Full> {
        if !self.can_take(&next) {
            return Err(Full);
        }
        for (place, attempt) in next.attempts {
            if let Some(known) = self.attempts.get_mut(&place) {
                let before = known.told.len();
                known.add(attempt);
                self.told += known.told.len() - before;
            } else {
                self.told += attempt.told.len();
                self.attempts.insert(place, attempt);
            }
        }
        for (place, time) in next.associations {
            let first = self.associations.entry(place).or_insert(time);
            *first = time.min(*first);
        }
        Ok(())
    }

    /// Adds `offset` to the frame numbers of a capture.
    pub fn rebase(&mut self, capture: u32, offset: u64) {
        for attempt in self.attempts.values_mut() {
            attempt.rebase(capture, offset);
        }
    }

    /// Forgets what was heard of for the last time before `time`.
    pub fn forget(&mut self, time: Timestamp) {
        self.attempts.retain(|_, attempt| attempt.last >= time);
        self.associations.retain(|_, first| *first >= time);
        self.told = self.attempts.values().map(|attempt| attempt.told.len()).sum();
    }

    /// What the attempts amount to, by time. Those of which no setup was seen are none: they only tell that somebody
    /// is there, or renew what was negotiated before.
    pub fn negotiations(&self) -> Vec<Negotiation> {
        fold::fold(&self.attempts)
    }

    /// Second phases under older cookies, by time: they renew an association, or make a new one when the last is gone.
    pub(super) fn second_phases(&self) -> Vec<Negotiation> {
        fold::second_phases(&self.attempts)
    }

    /// Between whom security associations in UDP began, and when.
    pub(super) fn associations(&self) -> impl Iterator<Item = (Pair, Timestamp)> {
        self.associations.iter().map(|((pair, ..), time)| (*pair, *time))
    }
}

/// Attempts kept.
const MAX_ATTEMPTS: usize = 65_536;
/// Messages kept of all attempts, some 25 MB.
const MAX_MESSAGES: usize = 262_144;
/// Numbers of packets that count as an association's first: some may have been lost.
const FIRST_NUMBERS: u32 = 8;
/// The port to which messages move behind a NAT (RFC 3947).
const NAT_PORT: u16 = 4500;

#[cfg(test)]
pub(super) mod testing;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::testing::{Told, at, end, message};
    use super::*;

    #[test]
    fn a_full_collector_counts_what_it_leaves_out_and_refuses_to_be_joined() {
        let take = |cookies: std::ops::Range<u64>| {
            let mut all = Negotiations::bounded(Room { attempts: 4, told: 100 });
            for cookie in cookies {
                let told = Told { cookie, ..Told::default() };
                all.take(&message(&told), end("10.0.0.1"), end("10.0.0.2"), at(1), Timestamp(0));
            }
            all
        };
        let mut all = take(1..3);
        assert_eq!(all.merge(take(3..5)), Ok(()));
        assert_eq!((all.attempts.len(), all.left_out()), (4, 0));
        assert_eq!(all.merge(take(9..10)), Err(Full));
        assert_eq!(take(1..8).left_out(), 3);
        assert_eq!(take(1..2).merge(take(1..8)), Err(Full));
        all.forget(Timestamp(1));
        assert_eq!((all.attempts.len(), all.told), (0, 0));
    }

    #[test]
    fn messages_have_a_bound_of_their_own() {
        let mut all = Negotiations::bounded(Room { attempts: 4, told: 10 });
        for id in 0..100 {
            let told = Told { id, ..Told::default() };
            all.take(&message(&told), end("10.0.0.1"), end("10.0.0.2"), at(1), Timestamp(0));
        }
        assert_eq!((all.told, all.left_out()), (10, 90));
        let mut all = Negotiations::default();
        for id in 0..100 {
            let told = Told { id, ..Told::default() };
            all.take(&message(&told), end("10.0.0.1"), end("10.0.0.2"), at(1), Timestamp(0));
        }
        assert_eq!((all.told, all.left_out()), (attempt::MAX_TOLD, 0));
        let [one] = all.negotiations().try_into().unwrap();
        assert_eq!((one.messages, one.retransmits), (100, 0));
    }

    #[test]
    fn only_first_packets_begin_an_association() {
        let mut all = Negotiations::default();
        let ends = ("10.0.0.1".parse().unwrap(), "::ffff:10.0.0.2".parse().unwrap());
        for (sequence, time) in [(9, 1), (2, 7), (1, 5), (0, 2)] {
            all.take_protected(ends, 0x1000, sequence, Timestamp(time));
        }
        let pair = pair_of("10.0.0.2".parse().unwrap(), "10.0.0.1".parse().unwrap());
        assert_eq!(all.associations().collect::<Vec<_>>(), [(pair, Timestamp(5))]);
    }

    proptest! {
        #[test]
        fn joining_parts_is_reading_the_whole(
            said in prop::collection::vec(
                (0..3_u64, any::<bool>(), 0..6_usize, 0..40_u32, 0..3_u32), 0..90,
            ),
            cuts in prop::collection::vec(0..90_usize, 2),
        ) {
            let read = |from: usize, until: usize, base: usize| {
                let mut all = Negotiations::default();
                for (nth, told) in (0_u32..).zip(&said).take(until).skip(from) {
                    let (cookie, back, kind, id, body) = *told;
                    let (family, exchange) = testing::KINDS[kind];
                    let told = Told {
                        cookie: cookie + 1,
                        family,
                        exchange,
                        id,
                        body,
                        answered: back,
                        error: (body == 2).then_some(14),
                        knows: body == 1,
                    };
                    let ends = [end("10.0.0.1"), end("10.0.0.2")];
                    let (from, to) = (ends[usize::from(back)], ends[usize::from(!back)]);
                    let time = Timestamp(i64::from(id) * 7 - i64::from(nth));
                    all.take(&message(&told), from, to, at(u64::from(nth) - base as u64), time);
                    all.take_protected((from.address, to.address), id, body, time);
                }
                all
            };
            let (a, b) = (cuts[0].min(cuts[1]).min(said.len()), cuts[0].max(cuts[1]).min(said.len()));
            let whole = read(0, said.len(), 0);
            let part = |from, until| {
                let mut part = read(from, until, from);
                part.rebase(0, from as u64);
                part
            };
            let mut left = part(0, a);
            left.merge(part(a, b)).unwrap();
            left.merge(part(b, said.len())).unwrap();
            let mut tail = part(a, b);
            tail.merge(part(b, said.len())).unwrap();
            let mut right = part(0, a);
            right.merge(tail).unwrap();
            for joined in [left, right] {
                prop_assert_eq!(&joined.attempts, &whole.attempts);
                prop_assert_eq!(&joined.associations, &whole.associations);
                prop_assert_eq!(joined.told, whole.told);
            }
        }
    }
}
