//! The IPsec security associations around a flow whose packets could be read all the same.
//!
//! An association is one-way, so each side of a flow has its own, and may have one of its host and one of
//! gateways on the way. Of each the first is kept: who asks whether media is protected needs no list of
//! rekeyings, and what is kept stays exact however a capture is cut.

use std::net::IpAddr;

use super::{FrameRef, Side};
use crate::decode::{Carriage, Protector, Shield};
use crate::input::Timestamp;

/// Packets of one side inside IPsec.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Association {
    /// What protects the first of them.
    pub protocol: Protector,
    /// Its security parameters index.
    pub spi: u32,
    /// What carries it.
    pub carriage: Carriage,
    /// Source and destination of the IP header around it.
    pub ends: (IpAddr, IpAddr),
    /// The first of them.
    pub first_frame: FrameRef,
    /// Its time.
    pub first: Timestamp,
    /// When the flow's latest packet before it was captured, of either side and protected or not.
    pub before: Option<Timestamp>,
    /// How many, of any association.
    pub packets: u64,
}

/// The associations around a flow; per side, in the order of [`Side`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Associations {
    /// Between the flow's own hosts.
    pub hosts: [Option<Association>; 2],
    /// Between the ends of a tunnel that the flow passes.
    pub tunnel: [Option<Association>; 2],
}

impl Associations {
    /// Notes the packet that a side sent; `own_ends` are its addresses.
    pub(super) fn note(&mut self, shield: &Shield, own_ends: (IpAddr, IpAddr), seen: &Seen) {
        let sides = if shield.ends == own_ends { &mut self.hosts } else { &mut self.tunnel };
        let known = &mut sides[seen.side.index()];
        let new = Association {
            protocol: shield.protocol,
            spi: shield.spi,
            carriage: shield.carriage,
            ends: shield.ends,
            first_frame: seen.at,
            first: seen.time,
            before: seen.before,
            packets: 0,
        };
        known.get_or_insert(new).packets += 1;
    }

    /// Appends those of the following part; `last` is the time of the latest packet of this one.
    pub(super) fn join(&mut self, next: &Self, flipped: bool, last: Timestamp) {
        let mut next = *next;
        if flipped {
            next.swap();
        }
        let ours = self.hosts.iter_mut().chain(&mut self.tunnel);
        for (own, next) in ours.zip(next.hosts.into_iter().chain(next.tunnel)) {
            match (own, next) {
                (own @ None, Some(next)) => {
                    let before = next.before.map_or(last, |before| before.max(last));
                    *own = Some(Association { before: Some(before), ..next });
                }
                (Some(own), Some(next)) => own.packets += next.packets,
                (_, None) => {}
            }
        }
    }

    /// Exchanges the sides.
    pub(super) fn swap(&mut self) {
        self.hosts.swap(0, 1);
        self.tunnel.swap(0, 1);
    }

    /// Adds to frame numbers.
    pub(super) fn rebase(&mut self, shift: impl Fn(&mut FrameRef)) {
        for known in self.hosts.iter_mut().chain(&mut self.tunnel).flatten() {
            shift(&mut known.first_frame);
        }
    }

    /// Packets that a side sent inside IPsec.
    pub fn packets(&self, side: Side) -> u64 {
        let of = |known: &[Option<Association>; 2]| known[side.index()].map_or(0, |a| a.packets);
        of(&self.hosts) + of(&self.tunnel)
    }

    /// All of them, those of the hosts before those of tunnels.
    pub fn iter(&self) -> impl Iterator<Item = (Side, &Association)> {
        let sides = [Side::A, Side::B, Side::A, Side::B];
        let all = sides.into_iter().zip(self.hosts.iter().chain(&self.tunnel));
        all.filter_map(|(side, known)| Some((side, known.as_ref()?)))
    }

    /// The one whose first packet was captured first.
    pub fn earliest(&self) -> Option<&Association> {
        self.iter().map(|(_, known)| known).min_by_key(|known| known.first_frame)
    }
}

/// Where and when a packet was seen.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    pub(super) side: Side,
    pub(super) at: FrameRef,
    pub(super) time: Timestamp,
    /// The time of the flow's latest packet before.
    pub(super) before: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::decode::NullForm;

    const HOSTS: [&str; 2] = ["10.0.0.1", "10.0.0.2"];
    const GATEWAYS: [&str; 2] = ["192.0.2.1", "192.0.2.2"];

    /// A packet of a flow: who sends it, what protects it, whether in a tunnel, and how much later than the one before.
    type Small = (bool, Option<(u8, bool)>, i64);

    fn shield(side: Side, kind: u8, in_tunnel: bool) -> Shield {
        let hosts = if in_tunnel { GATEWAYS } else { HOSTS };
        let [a, b] = hosts.map(|host| host.parse().unwrap());
        Shield {
            protocol: [
                Protector::Ah,
                Protector::Wesp,
                Protector::Esp(NullForm { icv: 12, iv: 0 }),
                Protector::Esp(NullForm { icv: 16, iv: 8 }),
            ][usize::from(kind)],
            spi: u32::from(kind) + 300,
            carriage: [Carriage::Ip, Carriage::Udp][usize::from(kind % 2)],
            ends: if side == Side::A { (a, b) } else { (b, a) },
        }
    }

    /// What is known of packets that were captured from a frame on, with the latest time.
    fn of(packets: &[(Small, Timestamp)], first_frame: usize) -> (Associations, Option<Timestamp>) {
        let (mut known, mut last) = (Associations::default(), None);
        for (at, ((back, around, _), time)) in packets.iter().enumerate() {
            let side = if *back { Side::B } else { Side::A };
            if let Some((kind, in_tunnel)) = around {
                let [a, b] = HOSTS.map(|host| host.parse().unwrap());
                let own_ends = if side == Side::A { (a, b) } else { (b, a) };
                let frame = (first_frame + at) as u64;
                let at = FrameRef { capture: 0, frame };
                let seen = Seen { side, at, time: *time, before: last };
                known.note(&shield(side, *kind, *in_tunnel), own_ends, &seen);
            }
            last = last.max(Some(*time));
        }
        (known, last)
    }

    #[test]
    fn of_each_side_the_first_is_kept_and_all_are_counted() {
        let packets = [
            ((false, None, 0), Timestamp(5)),
            ((false, Some((2, false)), 0), Timestamp(9)),
            ((false, Some((0, false)), 0), Timestamp(11)),
            ((true, Some((1, true)), 0), Timestamp(12)),
        ];
        let (known, _) = of(&packets, 1);
        assert_eq!((known.packets(Side::A), known.packets(Side::B)), (2, 1));
        let first = known.earliest().unwrap();
        assert_eq!((first.spi, first.first_frame.frame, first.first), (302, 2, Timestamp(9)));
        assert_eq!(first.before, Some(Timestamp(5)));
        let sides: Vec<(Side, u32)> = known.iter().map(|(side, known)| (side, known.spi)).collect();
        assert_eq!(sides, [(Side::A, 302), (Side::B, 301)]);
        assert_eq!(
            known.tunnel[1].map(|known| known.ends.0.to_string()).as_deref(),
            Some("192.0.2.2")
        );
    }

    proptest! {
        #[test]
        fn parts_joined_in_order_are_the_whole(
            packets in prop::collection::vec(
                (any::<bool>(), prop::option::of((0..4_u8, any::<bool>())), -5..50_i64),
                1..30,
            ),
            cut in 0..30_usize,
            flipped: bool,
        ) {
            let mut time = 1_000;
            let packets: Vec<(Small, Timestamp)> = packets
                .into_iter()
                .map(|small| {
                    time += small.2;
                    (small, Timestamp(time))
                })
                .collect();
            let (part, rest) = packets.split_at(cut.min(packets.len()));
            let (mut joined, last) = of(part, 1);
            let (mut next, _) = of(rest, 1);
            next.rebase(|frame| frame.frame += part.len() as u64);
            if flipped {
                next.swap();
            }
            if let Some(last) = last {
                joined.join(&next, flipped, last);
                prop_assert_eq!(joined, of(&packets, 1).0);
            }
        }
    }
}
