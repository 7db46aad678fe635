//! What the content of a capture announced, by endpoint, and for which flows it counts.
//!
//! Media may be announced for any host: proxies pass on what others say, and RTP needs its own row all
//! the same. A service is learned of the host that announces it and of no other, so that nobody can excuse
//! the port of another host. The topology may give that host several addresses.
//!
//! An announcement counts for flows that have packets later than [`LEAD`] before it: media may overtake the
//! SIP message that announces it, and a connection that is still in use shows that its port has not changed
//! hands. It counts until the end of the capture; `watch` forgets it after a day.
//!
//! Joining the parts of a capture gives what one reading would have learned: of an endpoint the first
//! frame is kept, sums, extremes and the lowest few of a set. A part that ran out of room is read again.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::net::IpAddr;

use super::Policy;
use crate::decode::Transport;
use crate::flow::{Endpoint, Flow, FrameRef};
use crate::identify::signals::{Exchange, Signal, SignalKind};
use crate::input::Timestamp;

/// Endpoints that content announced.
#[derive(Debug, Clone)]
pub struct Learned {
    endpoints: BTreeMap<Place, Announcement>,
    most: usize,
    /// Announcements of endpoints for which there was no room.
    left_out: u64,
}

/// An endpoint and how it is announced.
type Place = (IpAddr, u8, u16, SignalKind);

/// What is known of an announced endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    /// How it was announced.
    pub kind: SignalKind,
    /// What is there: kinds of media, interfaces, instances; the lowest [`MAX_SERVICES`].
    pub services: BTreeSet<String>,
    /// Of media: who said so first, the side that offers or the one that answers.
    pub exchange: Option<Exchange>,
    /// The host that announced it first.
    pub by: IpAddr,
    /// The frame where it was announced first.
    pub at: FrameRef,
    /// The earliest and the latest time of an announcement.
    pub times: [Timestamp; 2],
}

/// What was announced of a flow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announced {
    /// The announcement that counts: the responder's, for media else the initiator's.
    pub announcement: Announcement,
    /// Which ends are announced for media.
    pub media: [bool; 2],
}

/// The parts cannot be joined exactly, because a bound was or would be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

impl Default for Learned {
    fn default() -> Self {
        Self::bounded(MAX_ENDPOINTS)
    }
}

impl Learned {
    /// Nothing learned, and room for so many endpoints.
    pub fn bounded(most: usize) -> Self {
        Self { endpoints: BTreeMap::new(), most, left_out: 0 }
    }

    /// Whether nothing was learned.
    pub fn is_empty(&self) -> bool {
        self.endpoints.is_empty()
    }

    /// Announcements of endpoints for which there was no room.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Learns what a host says in a frame.
    pub fn take(&mut self, signal: &Signal, by: IpAddr, at: FrameRef, time: Timestamp) {
        let kind = signal.kind;
        let address = if kind.is_media() { signal.address.unwrap_or(by) } else { by };
        let transport = if signal.is_stream() { Transport::TCP } else { Transport::UDP };
        let service = (!signal.service.is_empty()).then(|| signal.service.to_string());
        let new = Announcement {
            kind,
            services: service.into_iter().collect(),
            exchange: signal.exchange,
            by,
            at,
            times: [time, time],
        };
        self.learn((address.to_canonical(), transport.0, signal.port, kind), new);
    }

    fn learn(&mut self, place: Place, new: Announcement) {
        if let Some(known) = self.endpoints.get_mut(&place) {
            known.add(new);
        } else if self.endpoints.len() < self.most {
            self.endpoints.insert(place, new);
        } else {
            self.left_out += 1;
        }
    }

    /// Whether what the part that follows learned can be added and be all that there is.
    pub fn can_take(&self, next: &Self) -> bool {
        let new = || next.endpoints.keys().filter(|place| !self.endpoints.contains_key(place));
        let roomy = || {
            self.endpoints.len() + next.endpoints.len() <= self.most
                || self.endpoints.len() + new().count() <= self.most
        };
        self.left_out == 0 && next.left_out == 0 && roomy()
    }

    /// Adds what the part that follows learned, or refuses and changes nothing: then that part must be
    /// read again.
    pub fn merge(&mut self, next: Self) -> Result<(), Full> {
        if !self.can_take(&next) {
            return Err(Full);
        }
        for (place, announcement) in next.endpoints {
            self.learn(place, announcement);
        }
        Ok(())
    }

    /// Adds `offset` to the frame numbers of a capture.
    pub fn rebase(&mut self, capture: u32, offset: u64) {
        let here = self.endpoints.values_mut().filter(|known| known.at.capture == capture);
        for known in here {
            known.at.frame += offset;
        }
    }

    /// Takes out what was announced for the last time before `time`.
    #[must_use]
    pub fn forget(&mut self, time: Timestamp) -> Self {
        let endpoints = std::mem::take(&mut self.endpoints);
        let (old, young) = endpoints.into_iter().partition(|(_, known)| known.times[1] < time);
        self.endpoints = young;
        Self { endpoints: old, most: self.most, left_out: 0 }
    }

    /// Media endpoints, in order.
    pub fn media(&self) -> impl Iterator<Item = (Transport, Endpoint, &Announcement)> {
        let media = self.endpoints.iter().filter(|(_, known)| known.kind.is_media());
        media.map(|(&(address, transport, port, _), known)| {
            (Transport(transport), Endpoint { address, port }, known)
        })
    }

    /// What was announced of one end of a flow, and counts for it. A service comes before media.
    fn of(&self, flow: &Flow, address: IpAddr, port: u16) -> Option<&Announcement> {
        let [first, .., last] = SignalKind::ALL;
        let place = |kind| (address.to_canonical(), flow.transport.0, port, kind);
        let known = self.endpoints.range(place(first)..=place(last));
        known.map(|(_, known)| known).find(|known| known.counts_for(flow))
    }
}

impl Announcement {
    /// Adds a later one of the same endpoint.
    fn add(&mut self, later: Self) {
        self.services.extend(later.services);
        while self.services.len() > MAX_SERVICES {
            self.services.pop_last();
        }
        let ([first, last], [other_first, other_last]) = (self.times, later.times);
        self.times = [first.min(other_first), last.max(other_last)];
    }

    fn counts_for(&self, flow: &Flow) -> bool {
        flow.last.0.saturating_add(LEAD) >= self.times[0].0
    }

    /// Whether only reports about media are expected there.
    pub fn is_reports(&self) -> bool {
        self.kind.is_media() && self.services.iter().all(|service| service.ends_with("-rtcp"))
    }

    /// The kind and what is there, such as `ept-map samr, lsarpc`.
    pub fn summary(&self) -> String {
        let services: Vec<&str> = self.services.iter().map(String::as_str).collect();
        let blank = if services.is_empty() { "" } else { " " };
        format!("{}{blank}{}", self.kind.token(), services.join(", "))
    }
}

impl Policy {
    /// What was announced of a flow, by its ends as they stand.
    pub fn announced(&self, learned: &Learned, flow: &Flow) -> Option<Announced> {
        if learned.is_empty() || !flow.transport.has_ports() {
            return None;
        }
        let [initiator, responder] = self.announced_ends(learned, flow);
        let media = [initiator, responder]
            .map(|end| end.is_some_and(|announcement| announcement.kind.is_media()));
        // Over TCP the initiator's port is nobody's to announce.
        let own = initiator.filter(|end| end.kind.is_media() && flow.transport == Transport::UDP);
        let announcement = responder.or(own)?.clone();
        Some(Announced { announcement, media })
    }

    /// What was announced of each end.
    pub(super) fn announced_ends<'l>(
        &self,
        learned: &'l Learned,
        flow: &Flow,
    ) -> [Option<&'l Announcement>; 2] {
        flow.ends.map(|end| {
            learned.of(flow, end.address, end.port).or_else(|| {
                let others = self.other_addresses(end.address);
                let mut others = others.iter().filter(|other| **other != end.address);
                let found = others.find_map(|other| learned.of(flow, *other, end.port));
                found.filter(|announcement| !announcement.kind.is_media())
            })
        })
    }

    /// Every address of the host that has this one, as far as the topology knows.
    fn other_addresses(&self, address: IpAddr) -> &[IpAddr] {
        self.topology.as_ref().map_or(&[], |topology| topology.addresses(address))
    }
}

/// Endpoints kept, some 20 MB.
pub const MAX_ENDPOINTS: usize = 65_536;
/// Services named of one endpoint. A domain controller has a dozen interfaces behind one port.
pub const MAX_SERVICES: usize = 8;
/// How long before its announcement a flow may have ended, in nanoseconds: SIP is sent again after half
/// a second and later, and with early media the first packets overtake the answer (RFC 3960).
pub const LEAD: i64 = 5_000_000_000;

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use proptest::prelude::*;

    use super::super::fixture::{SITE, address, flow, policy};
    use super::*;
    use crate::flow::sample::Carrier;

    fn signal(kind: SignalKind, host: Option<&str>, port: u16) -> Signal {
        let media = kind.is_media();
        Signal {
            kind,
            address: host.map(address),
            carrier: if media { Carrier::Datagrams } else { Carrier::Stream },
            port,
            service: Cow::Borrowed(if media { "audio" } else { "samr" }),
            exchange: None,
        }
    }

    fn at(frame: u64) -> FrameRef {
        FrameRef { capture: 0, frame }
    }

    fn told(learned: &Learned, text: &str, time: i64) -> Option<(&'static str, u64)> {
        let mut flow = flow(text);
        (flow.first, flow.last) = (Timestamp(time), Timestamp(time));
        let announced = policy(SITE).announced(learned, &flow)?;
        Some((announced.announcement.kind.token(), announced.announcement.at.frame))
    }

    const SECOND: i64 = 1_000_000_000;

    #[test]
    fn a_service_is_learned_of_the_host_that_announces_it() {
        let mut learned = Learned::default();
        let server = address("10.0.1.11");
        let mapped = signal(SignalKind::EptMap, Some("10.0.1.20"), 49_700);
        learned.take(&mapped, server, at(7), Timestamp(100 * SECOND));
        let to = |host: &str, time| {
            told(&learned, &format!("tcp 10.0.20.5:50000 -> {host}:49700"), time * SECOND)
        };
        assert_eq!(to("10.0.1.11", 100), Some(("ept-map", 7)));
        assert_eq!(to("10.0.1.20", 100), None, "it speaks for itself only");
        assert_eq!(to("10.0.1.11", 95), Some(("ept-map", 7)));
        assert_eq!(to("10.0.1.11", 94), None, "long before");
        assert_eq!(to("10.0.1.11", 100_000), Some(("ept-map", 7)));
        let from = "tcp 10.0.1.11:49700 -> 10.0.20.5:50000";
        assert_eq!(
            told(&learned, from, 100 * SECOND),
            None,
            "over TCP the responder's port counts"
        );
        let udp = "udp 10.0.20.5:50000 -> 10.0.1.11:49700";
        assert_eq!(told(&learned, udp, 100 * SECOND), None);
    }

    #[test]
    fn media_is_learned_of_either_end() {
        let mut learned = Learned::default();
        let media = signal(SignalKind::Sdp, Some("10.0.1.12"), 50_000);
        learned.take(&media, address("10.0.20.9"), at(3), Timestamp(0));
        for text in ["udp 10.0.20.5:4 -> 10.0.1.12:50000", "udp 10.0.1.12:50000 -> 10.0.20.5:4"] {
            assert_eq!(told(&learned, text, 0), Some(("sdp", 3)), "{text}");
        }
    }

    #[test]
    fn the_first_frame_and_every_service_are_kept() {
        let mut learned = Learned::default();
        let by = address("10.0.1.11");
        for (frame, service) in [(5_u32, "samr"), (6, "lsarpc"), (7, "samr")] {
            let service = Cow::Borrowed(service);
            let mapped = Signal { service, ..signal(SignalKind::EptMap, None, 49_700) };
            learned.take(&mapped, by, at(frame.into()), Timestamp(frame.into()));
        }
        let known = learned.endpoints.values().next().unwrap();
        assert_eq!((known.at.frame, known.times), (5, [Timestamp(5), Timestamp(7)]));
        assert_eq!(known.summary(), "ept-map lsarpc, samr");
        assert!(learned.forget(Timestamp(7)).is_empty());
        assert!(!learned.forget(Timestamp(8)).is_empty() && learned.is_empty());
    }

    #[test]
    fn a_full_part_refuses_to_be_joined() {
        let take = |ports: std::ops::Range<u16>| {
            let mut learned = Learned::bounded(4);
            for port in ports {
                let mapped = signal(SignalKind::EptMap, None, port);
                learned.take(&mapped, address("10.0.1.11"), at(1), Timestamp(0));
            }
            learned
        };
        let mut all = take(1..4);
        assert_eq!(all.merge(take(2..5)), Ok(()));
        assert_eq!(all.merge(take(4..6)), Err(Full));
        assert_eq!((all.endpoints.len(), all.left_out()), (4, 0));
        assert_eq!(take(1..7).left_out(), 2);
        assert_eq!(take(1..2).merge(take(1..7)), Err(Full));
    }

    proptest! {
        #[test]
        fn joining_parts_is_reading_the_whole(
            said in prop::collection::vec((0..3_u8, 1..4_u16, 0..4_usize), 0..40),
            cuts in prop::collection::vec(0..40_usize, 2)
        ) {
            let read = |from: usize, until: usize, base: usize| {
                let mut learned = Learned::default();
                let part = said.get(from..until.min(said.len())).unwrap_or_default();
                for (nth, (host, port, kind)) in part.iter().enumerate() {
                    let signal = signal(SignalKind::ALL[*kind], None, *port);
                    let frame = at((from + nth - base) as u64);
                    let time = Timestamp(i64::from(*port) * 3 - i64::from((from + nth) as u32));
                    learned.take(&signal, [10, 0, 0, *host].into(), frame, time);
                }
                learned
            };
            let whole = read(0, said.len(), 0);
            let (a, b) = (cuts[0].min(cuts[1]).min(said.len()), cuts[0].max(cuts[1]).min(said.len()));
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
            prop_assert_eq!(&left.endpoints, &whole.endpoints);
            prop_assert_eq!(&right.endpoints, &whole.endpoints);
        }
    }
}
