//! Which hosts use IPsec with which, told from every flow before the first one is judged: whether a flow of
//! clear media respects an exemption, and whether hidden content is audio, depends on others.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::decode::Transport;
use crate::flow::{Flow, FrameRef, Pace, Side};
use crate::input::Timestamp;

/// Security associations by who sends to whom.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Deployment {
    streams: BTreeMap<(IpAddr, IpAddr), Stream>,
    hosts: BTreeSet<IpAddr>,
}

/// What one host sends another inside IPsec.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stream {
    /// Its earliest packet.
    pub first: Timestamp,
    /// Its latest packet.
    pub last: Timestamp,
    /// The first packet in capture order.
    pub first_frame: FrameRef,
    /// Some of it could be read.
    pub readable: bool,
    /// How the packets follow each other that could not be read, of the association with the most.
    pub pace: Option<Pace>,
}

impl Deployment {
    /// No IPsec anywhere.
    pub const NONE: &'static Self = &Self { streams: BTreeMap::new(), hosts: BTreeSet::new() };

    /// Notes the associations that a flow shows. The order of noting decides nothing.
    pub fn note(&mut self, flow: &Flow) {
        for (_, known) in flow.associations.iter().flat_map(|around| around.iter()) {
            // Later packets of the association are as late as the flow's latest at most.
            self.add(
                known.ends,
                Stream {
                    first: known.first,
                    last: flow.last,
                    first_frame: known.first_frame,
                    readable: true,
                    pace: None,
                },
            );
        }
        for (sender, pace) in sealed_sides(flow) {
            let [from, to] = [sender, sender.other()].map(|side| flow.ends[side.index()].address);
            let (first, last) = pace.times.unwrap_or((flow.first, flow.last));
            self.add(
                (from, to),
                Stream {
                    first,
                    last,
                    first_frame: flow.first_frame,
                    readable: false,
                    pace: Some(*pace),
                },
            );
        }
    }

    fn add(&mut self, (from, to): (IpAddr, IpAddr), new: Stream) {
        let ends = (from.to_canonical(), to.to_canonical());
        if let Some(known) = self.streams.get_mut(&ends) {
            known.join(&new);
        } else if self.streams.len() < MAX_STREAMS {
            self.streams.insert(ends, new);
            self.hosts.extend([ends.0, ends.1]);
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.streams.is_empty()
    }

    /// What one host sends another inside IPsec.
    pub fn stream(&self, from: IpAddr, to: IpAddr) -> Option<&Stream> {
        self.streams.get(&(from.to_canonical(), to.to_canonical()))
    }

    /// Whether two hosts send each other anything inside IPsec.
    pub fn is_between(&self, a: IpAddr, b: IpAddr) -> bool {
        self.stream(a, b).is_some() || self.stream(b, a).is_some()
    }

    /// Whether a host uses IPsec with anybody.
    pub fn uses(&self, host: IpAddr) -> bool {
        self.hosts.contains(&host.to_canonical())
    }
}

impl Stream {
    fn join(&mut self, other: &Self) {
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        self.first_frame = self.first_frame.min(other.first_frame);
        self.readable |= other.readable;
        let rank = |pace: &Option<Pace>| pace.map(|pace| (pace.packets, pace.ip_bytes, pace.spis));
        if rank(&other.pace) > rank(&self.pace) {
            self.pace = other.pace;
        }
    }
}

/// The sides of a flow that send what IPsec hides, and how.
pub(in crate::findings) fn sealed_sides(flow: &Flow) -> impl Iterator<Item = (Side, &Pace)> {
    let in_udp = flow.transport == Transport::UDP;
    let paces = flow.paces.iter().flat_map(|paces| [Side::A, Side::B].into_iter().zip(&**paces));
    // Test traffic of the same protocol number has one number in all packets.
    let rises = |pace: &Pace| pace.packets < 2 || pace.sequences.is_some_and(|(a, b)| a < b);
    paces.filter(move |(_, pace)| {
        pace.packets > 0 && rises(pace) && (!in_udp || pace.is_association())
    })
}

/// Pairs of hosts kept, some 20 MB; further ones are as if IPsec were not seen between them.
const MAX_STREAMS: usize = 65_536;
