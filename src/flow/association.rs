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
