//! What the content of a capture announced, by endpoint, and for which flows it counts.
//!
//! Media may be announced for any host: proxies pass on what others say, and RTP needs its own row all
//! the same. A service is learned of the host that announces it and of no other, so that nobody can excuse
//! the port of another host. The topology may give that host several addresses.
//!
//! Anyone can send a packet that announces something. So an announcement is kept with the conversation in which
//! it came, and [`Learned::believe`] takes over those whose conversation has earned it: the right protocol, and
//! both sides spoke. Services are announced from the port of the one that hands them out, and have no reserved port.
//!
//! An announcement counts for flows that have packets later than [`LEAD`] before it: media may overtake the
//! SIP message that announces it, and a connection that is still in use shows that its port has not changed
//! hands. It counts until the end of the capture; `watch` forgets it after a day.
//!
//! Joining the parts of a capture gives what one reading would have learned: of an endpoint the first
//! frame is kept, sums, extremes and the lowest few of a set. A part that ran out of room is read again.
//! Services and media have rooms of their own, so that a flood of one leaves the other.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::net::IpAddr;

use super::Policy;
use crate::decode::Transport;
use crate::flow::{Endpoint, Flow, FlowKey, FrameRef};
use crate::identify::signals::{Exchange, Signal, SignalKind};
use crate::input::Timestamp;

/// Endpoints that content announced.
#[derive(Debug, Clone)]
pub struct Learned {
    /// What is believed.
    endpoints: BTreeMap<Place, Announcement>,
    /// What was said and is not believed yet, by where it was said: of services and of media.
    heard: [BTreeMap<(Place, FlowKey), Announcement>; 2],
    /// Endpoints believed: services and media.
    believed: [usize; 2],
    /// Room for each of services and media, heard and believed.
    most: usize,
    /// Announcements of endpoints for which there was no room.
    left_out: u64,
}

/// An endpoint and how it is announced.
type Place = (IpAddr, u8, u16, SignalKind);

/// The conversation in which something is announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conversation {
    /// Its flow.
    pub key: FlowKey,
    /// The end that announces.
    pub by: Endpoint,
}

impl Conversation {
    /// What one end says to another.
    pub fn between(transport: Transport, by: Endpoint, to: Endpoint) -> Self {
        let ends = [by, to].map(|end| (end.address, end.port));
        Self { key: FlowKey::of_ends(transport, ends[0], ends[1]).0, by }
    }
}

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
        Self {
            endpoints: BTreeMap::new(),
            heard: Default::default(),
            believed: [0; 2],
            most,
            left_out: 0,
        }
    }

    /// Whether nothing is believed.
    pub fn is_empty(&self) -> bool {
        self.endpoints.is_empty()
    }

    /// Announcements of endpoints for which there was no room.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Hears what an end of a conversation says in a frame. It is believed later, if at all.
    pub fn take(&mut self, signal: &Signal, within: &Conversation, at: FrameRef, time: Timestamp) {
        let kind = signal.kind;
        let wrong_port = announcer_port(kind).is_some_and(|port| within.by.port != port);
        if wrong_port || (!kind.is_media() && signal.port < FIRST_UNRESERVED) {
            return;
        }
        let by = within.by.address;
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
        let place = (address.to_canonical(), transport.0, signal.port, kind);
        self.hear((place, within.key), new);
    }

    fn hear(&mut self, place: (Place, FlowKey), new: Announcement) {
        let room = &mut self.heard[usize::from(new.kind.is_media())];
        if let Some(known) = room.get_mut(&place) {
            known.add(new);
        } else if room.len() < self.most {
            room.insert(place, new);
        } else {
            self.left_out += 1;
        }
    }

    /// Believes what was said in conversations that earned it, by their flow and the kind of what was said.
    /// Others may still earn it.
    pub fn believe(&mut self, mut earned: impl FnMut(&FlowKey, SignalKind) -> bool) {
        let mut asked = BTreeMap::new();
        let mut earns = |key: FlowKey, kind: SignalKind| {
            *asked.entry((key, kind)).or_insert_with(|| earned(&key, kind))
        };
        for room in 0..self.heard.len() {
            let (yes, no) = std::mem::take(&mut self.heard[room])
                .into_iter()
                .partition(|((place, key), _)| earns(*key, place.3));
            self.heard[room] = no;
            for ((place, _), announcement) in yes {
                self.learn(room, place, announcement);
            }
        }
    }

    fn learn(&mut self, room: usize, place: Place, new: Announcement) {
        if let Some(known) = self.endpoints.get_mut(&place) {
            known.add(new);
        } else if self.believed[room] < self.most {
            self.endpoints.insert(place, new);
            self.believed[room] += 1;
        } else {
            self.left_out += 1;
        }
    }

    /// Whether what the part that follows learned can be added and be all that there is.
    pub fn can_take(&self, next: &Self) -> bool {
        let roomy = self.heard.iter().zip(&next.heard).all(|(own, next)| {
            let new = || next.keys().filter(|place| !own.contains_key(place));
            own.len() + next.len() <= self.most || own.len() + new().count() <= self.most
        });
        self.left_out == 0 && next.left_out == 0 && roomy
    }

    /// Adds what the part that follows learned, or refuses and changes nothing: then that part must be
    /// read again.
    pub fn merge(&mut self, next: Self) -> Result<(), Full> {
        if !self.can_take(&next) {
            return Err(Full);
        }
        for (place, announcement) in next.heard.into_iter().flatten() {
            self.hear(place, announcement);
        }
        Ok(())
    }

    /// Adds `offset` to the frame numbers of a capture.
    pub fn rebase(&mut self, capture: u32, offset: u64) {
        let all = self.heard.iter_mut().flat_map(BTreeMap::values_mut);
        for known in all.filter(|known| known.at.capture == capture) {
            known.at.frame += offset;
        }
    }

    /// Takes out what was announced for the last time before `time`, and forgets what of that time never was
    /// believed.
    #[must_use]
    pub fn forget(&mut self, time: Timestamp) -> Self {
        let endpoints = std::mem::take(&mut self.endpoints);
        let (old, young) = endpoints.into_iter().partition(|(_, known)| known.times[1] < time);
        self.endpoints = young;
        let media = self.media().count();
        self.believed = [self.endpoints.len() - media, media];
        for room in &mut self.heard {
            room.retain(|_, said| said.times[1] >= time);
        }
        Self { endpoints: old, ..Self::bounded(self.most) }
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
    /// Adds another one of the same endpoint. The first frame says who and how.
    fn add(&mut self, other: Self) {
        if other.at < self.at {
            (self.at, self.by, self.exchange) = (other.at, other.by, other.exchange);
        }
        self.services.extend(other.services);
        while self.services.len() > MAX_SERVICES {
            self.services.pop_last();
        }
        let ([first, last], [other_first, other_last]) = (self.times, other.times);
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

/// The port from which a kind of announcement must come: the endpoint mapper's, with which the OXID resolver
/// and activation share it (MS-RPCE 2.1.1.1, MS-DCOM 2.1), and SQL Server Browser's (MC-SQLR 2.1).
fn announcer_port(kind: SignalKind) -> Option<u16> {
    match kind {
        SignalKind::EptMap | SignalKind::Oxid => Some(135),
        SignalKind::Ssrp => Some(1434),
        SignalKind::Sdp => None,
    }
}

/// Ports below are reserved for services that are known by them (RFC 6335, section 6): nobody hands them out.
const FIRST_UNRESERVED: u16 = 1024;
/// Endpoints kept of services, and of media, each some 25 MB.
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

    /// What a host says from the port that is right for it.
    fn says(host: &str, kind: SignalKind) -> Conversation {
        let by = Endpoint { address: address(host), port: announcer_port(kind).unwrap_or(5060) };
        let to = Endpoint { address: address("10.0.20.5"), port: 50_000 };
        Conversation::between(Transport::TCP, by, to)
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
        let server = says("10.0.1.11", SignalKind::EptMap);
        let mapped = signal(SignalKind::EptMap, Some("10.0.1.20"), 49_700);
        learned.take(&mapped, &server, at(7), Timestamp(100 * SECOND));
        learned.believe(|_, _| true);
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
        learned.take(&media, &says("10.0.20.9", media.kind), at(3), Timestamp(0));
        learned.believe(|_, _| true);
        for text in ["udp 10.0.20.5:4 -> 10.0.1.12:50000", "udp 10.0.1.12:50000 -> 10.0.20.5:4"] {
            assert_eq!(told(&learned, text, 0), Some(("sdp", 3)), "{text}");
        }
    }

    #[test]
    fn the_first_frame_and_every_service_are_kept() {
        let mut learned = Learned::default();
        let by = says("10.0.1.11", SignalKind::EptMap);
        for (frame, service) in [(5_u32, "samr"), (6, "lsarpc"), (7, "samr")] {
            let service = Cow::Borrowed(service);
            let mapped = Signal { service, ..signal(SignalKind::EptMap, None, 49_700) };
            learned.take(&mapped, &by, at(frame.into()), Timestamp(frame.into()));
        }
        learned.believe(|_, _| true);
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
                learned.take(&mapped, &says("10.0.1.11", mapped.kind), at(1), Timestamp(0));
            }
            learned
        };
        let mut all = take(2001..2004);
        assert_eq!(all.merge(take(2002..2005)), Ok(()));
        assert_eq!(all.merge(take(2004..2006)), Err(Full));
        assert_eq!((all.heard[0].len(), all.left_out()), (4, 0));
        assert_eq!(take(2001..2007).left_out(), 2);
        assert_eq!(take(2001..2002).merge(take(2001..2007)), Err(Full));
    }

    #[test]
    fn what_is_said_is_believed_when_its_conversation_earned_it() {
        let mapped = signal(SignalKind::EptMap, None, 49_700);
        let to = "tcp 10.0.20.5:50000 -> 10.0.1.11:49700";
        let mut learned = Learned::default();
        let server = says("10.0.1.11", SignalKind::EptMap);
        learned.take(&mapped, &server, at(7), Timestamp(0));
        let stranger = Endpoint { address: address("203.0.113.9"), port: 80 };
        let spoofed = Conversation::between(Transport::TCP, server.by, stranger);
        learned.take(&mapped, &spoofed, at(3), Timestamp(0));
        assert_eq!(told(&learned, to, 0), None, "nobody asked yet");
        learned.believe(|_, _| false);
        assert_eq!(told(&learned, to, 0), None);
        learned.believe(|key, kind| *key == server.key && kind == SignalKind::EptMap);
        assert_eq!(told(&learned, to, 0), Some(("ept-map", 7)));
        learned.believe(|_, _| true);
        assert_eq!(told(&learned, to, 0), Some(("ept-map", 3)));
    }

    #[test]
    fn services_are_announced_from_their_port_and_have_no_reserved_one() {
        let take = |kind, from, port| {
            let mut learned = Learned::default();
            let within = says("10.0.1.11", kind);
            let by = Endpoint { port: from, ..within.by };
            learned.take(
                &signal(kind, None, port),
                &Conversation { by, ..within },
                at(1),
                Timestamp(0),
            );
            learned.believe(|_, _| true);
            !learned.is_empty()
        };
        assert!(take(SignalKind::EptMap, 135, 1024) && !take(SignalKind::EptMap, 135, 1023));
        assert!(!take(SignalKind::Oxid, 49_700, 49_701) && !take(SignalKind::EptMap, 1434, 5000));
        assert!(take(SignalKind::Ssrp, 1434, 5000) && !take(SignalKind::Ssrp, 135, 5000));
        assert!(take(SignalKind::Sdp, 9, 5000));
    }

    #[test]
    fn a_flood_of_media_leaves_room_for_services() {
        let mut learned = Learned::bounded(2);
        for kind in [SignalKind::Sdp, SignalKind::EptMap] {
            for port in 5000..5003 {
                let within = says("10.0.1.11", kind);
                learned.take(&signal(kind, None, port), &within, at(1), Timestamp(0));
            }
        }
        assert_eq!(learned.left_out(), 2);
        learned.believe(|_, _| true);
        assert_eq!((learned.believed, learned.left_out()), ([2, 2], 2));
        let old = learned.forget(Timestamp(1));
        assert_eq!((old.endpoints.len(), learned.believed), (4, [0, 0]));
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
                    let signal = signal(SignalKind::ALL[*kind], None, 2_000 + *port);
                    let frame = at((from + nth - base) as u64);
                    let time = Timestamp(i64::from(*port) * 3 - i64::from((from + nth) as u32));
                    let within = says(&format!("10.0.0.{host}"), signal.kind);
                    learned.take(&signal, &within, frame, time);
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
            prop_assert_eq!(&left.heard, &whole.heard);
            prop_assert_eq!(&right.heard, &whole.heard);
        }
    }
}
