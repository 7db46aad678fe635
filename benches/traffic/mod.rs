//! Synthetic traffic of a site, the same bytes for the same seed: what the benchmarks read.
//!
//! Frames come out one at a time and nothing but the flows that are open is remembered, so gigabytes
//! need no memory. A flow is known by its number: who, what and how long follow from it. Flows take
//! turns at random, without the trains that real senders make, which is the hardest order for
//! whoever looks flows up.

pub(crate) mod hosts;
pub(crate) mod mix;
pub(crate) mod random;

mod message;
mod service;
mod wire;

pub(crate) use hosts::Family;
pub(crate) use mix::Mix;
pub(crate) use wire::Wrap;

use std::net::IpAddr;

use mix::Share;
use random::Random;
use service::{Body, Carrier, Service};
use wire::{ACK, FIN, Head, PSH, RST, SYN, Segment};

/// Who is who in the traffic, as a topology file.
pub(crate) const SITE: &str = include_str!("site.toml");

/// Where capture time begins, in nanoseconds: 2026-01-05 08:00 UTC.
const START: u64 = 1_767_600_000_000_000_000;

/// Frames of a mix, one after the other.
#[derive(Debug)]
pub(crate) struct Traffic {
    mix: &'static Mix,
    family: Family,
    wrap: Wrap,
    seed: u64,
    random: Random,
    /// Flows to come: the next one's number, and how many there are.
    next: u64,
    flows: u64,
    open: Vec<Open>,
    time: u64,
    payload: Vec<u8>,
}

/// What is remembered of a flow that goes on.
#[derive(Debug, Clone, Copy)]
struct Open {
    flow: u64,
    step: u32,
    /// Per side: bytes sent over TCP, or packets over anything else.
    sent: [u32; 2],
}

impl Traffic {
    /// The mix at a scale: 1 is its full size, and other sizes have as many flows fewer or more.
    pub(crate) fn new(
        mix: &'static Mix,
        family: Family,
        wrap: Wrap,
        seed: u64,
        scale: f64,
    ) -> Self {
        let flows = whole(mix.flows as f64 * scale).max(1);
        let mut traffic = Self {
            mix,
            family,
            wrap,
            seed,
            random: Random::new(seed),
            next: 0,
            flows,
            open: Vec::new(),
            time: START,
            payload: Vec::new(),
        };
        for _ in 0..(flows / mix.open).max(16) {
            traffic.begin(traffic.open.len());
        }
        traffic
    }

    /// How many flows there are in all.
    pub(crate) fn flows(&self) -> u64 {
        self.flows
    }

    /// Puts the next frame into `frame`; its time in nanoseconds, or `None` at the end.
    pub(crate) fn next(&mut self, frame: &mut Vec<u8>) -> Option<u64> {
        let at = match self.open.len() {
            0 => return None,
            open => self.random.below(open),
        };
        let mut open = self.open[at];
        let talk = Talk::of(self.mix, self.seed, open.flow, self.family);
        let mut payload = std::mem::take(&mut self.payload);
        payload.clear();
        frame.clear();
        talk.say(&mut open, &mut payload, &mut self.random).write(
            frame,
            self.wrap,
            &mut self.random,
        );
        self.payload = payload;
        open.step += 1;
        self.open[at] = open;
        if open.step >= talk.packets {
            self.begin(at);
        }
        self.time += 1 + self.random.next() % (2 * self.mix.gap);
        Some(self.time)
    }

    /// Puts a new flow at a place of the open ones, or takes the place away when there is none left.
    fn begin(&mut self, at: usize) {
        if self.next < self.flows {
            let open = Open { flow: self.next, step: 0, sent: [0; 2] };
            self.next += 1;
            match self.open.get_mut(at) {
                Some(place) => *place = open,
                None => self.open.push(open),
            }
        } else if at < self.open.len() {
            self.open.swap_remove(at);
        }
    }
}

/// A count from a number that was scaled.
#[allow(clippy::cast_sign_loss, reason = "counts and scales are positive")]
pub(crate) fn whole(number: f64) -> u64 {
    number.max(0.0).round() as u64
}

/// A flow as its number tells it.
#[derive(Debug)]
struct Talk {
    flow: u64,
    key: u64,
    share: &'static Share,
    service: &'static Service,
    packets: u32,
    ends: [(IpAddr, u16); 2],
}

impl Talk {
    fn of(mix: &'static Mix, seed: u64, flow: u64, family: Family) -> Self {
        let key = random::mix(seed, flow);
        let share = mix.share(key);
        let service = share.service;
        let (least, most) = share.packets;
        let ports = u64::from(service.ports.1 - service.ports.0) + 1;
        let responder = service.to.host(random::mix(key, 1), family);
        Self {
            flow,
            key,
            share,
            service,
            packets: least + (random::mix(key, 2) % u64::from(most - least + 1)) as u32,
            ends: [
                service.from.initiator(flow, family),
                (responder, service.ports.0 + (random::mix(key, 3) % ports) as u16),
            ],
        }
    }

    /// The packet of the step that `open` is at.
    fn say<'a>(
        &self,
        open: &mut Open,
        payload: &'a mut Vec<u8>,
        random: &mut Random,
    ) -> Segment<'a> {
        match self.service.carrier {
            Carrier::Tcp | Carrier::TcpInAh => self.tcp(open, payload, random),
            Carrier::Refused | Carrier::Silent => match open.step {
                0 => self.segment(0, SYN, open, payload),
                _ => self.segment(1, RST | ACK, open, payload),
            },
            Carrier::Udp => {
                let side = self.datagram(open, payload, random);
                self.packet(side, Head::Udp, open, payload)
            }
            Carrier::Esp => {
                random.fill(payload, self.size(open.step));
                self.packet(0, Head::Esp, open, payload)
            }
        }
    }

    fn tcp<'a>(
        &self,
        open: &mut Open,
        payload: &'a mut Vec<u8>,
        random: &mut Random,
    ) -> Segment<'a> {
        let opening = self.service.opening;
        match (open.step, open.step.saturating_sub(3) as usize) {
            (0, _) => self.segment(0, SYN, open, payload),
            (1, _) => self.segment(1, SYN | ACK, open, payload),
            (2, _) => self.segment(0, ACK, open, payload),
            (_, n) if n < opening.len() => {
                opening[n].write(payload, self.flow, random);
                self.segment(n % 2, PSH | ACK, open, payload)
            }
            (step, _) if step + 2 >= self.packets => {
                self.segment((self.packets - step) as usize % 2, FIN | ACK, open, payload)
            }
            (step, _) => {
                let side = (random::mix(self.key, step.into()) >> 60) as usize & 1;
                let len = self.size(step);
                match self.service.body {
                    Body::Records if len > 5 => {
                        message::record(payload, 23, |out| random.fill(out, len - 5));
                    }
                    _ => random.fill(payload, len),
                }
                self.segment(side, if len > 0 { PSH | ACK } else { ACK }, open, payload)
            }
        }
    }

    /// Fills in a datagram and says which side sends it.
    fn datagram(&self, open: &Open, payload: &mut Vec<u8>, random: &mut Random) -> usize {
        let opening = self.service.opening;
        let step = open.step as usize;
        match self.service.body {
            Body::Rtp(kind, ticks) if step >= opening.len() => {
                let side = step % 2;
                self.rtp(side, (kind, ticks), open, payload);
                random.fill(payload, self.size(open.step) - payload.len());
                side
            }
            _ => {
                let turn = (step / 2) as u64;
                opening[step % opening.len()].write(payload, self.flow ^ turn << 40, random);
                step % 2
            }
        }
    }

    /// The header of RFC 3550, 5.1.
    fn rtp(&self, side: usize, (kind, ticks): (u8, u32), open: &Open, payload: &mut Vec<u8>) {
        let count = open.sent[side];
        let ssrc = random::mix(self.key, 10 + side as u64) as u32;
        payload.extend_from_slice(&[0x80, kind]);
        payload.extend_from_slice(&((ssrc as u16).wrapping_add(count as u16)).to_be_bytes());
        payload.extend_from_slice(&count.wrapping_mul(ticks).to_be_bytes());
        payload.extend_from_slice(&ssrc.to_be_bytes());
    }

    /// The payload's length of a step beyond the opening.
    fn size(&self, step: u32) -> usize {
        self.share.size(random::mix(self.key, 100 + u64::from(step)))
    }

    /// A TCP segment from one side, and what it does to the sequence numbers.
    fn segment<'a>(
        &self,
        side: usize,
        flags: u8,
        open: &mut Open,
        payload: &'a [u8],
    ) -> Segment<'a> {
        let first = |of: usize| random::mix(self.key, 20 + of as u64) as u32;
        let head = Head::Tcp {
            flags,
            sequence: first(side).wrapping_add(open.sent[side]),
            acknowledgement: match flags & ACK {
                0 => 0,
                _ => first(1 - side).wrapping_add(open.sent[1 - side]),
            },
        };
        let segment = self.packet(side, head, open, payload);
        // SYN and FIN take a number each (RFC 9293, 3.4); `packet` has counted one.
        let marks = u32::from(flags & (SYN | FIN) != 0);
        open.sent[side] =
            open.sent[side].wrapping_add(payload.len() as u32 + marks).wrapping_sub(1);
        segment
    }

    fn packet<'a>(
        &self,
        side: usize,
        head: Head,
        open: &mut Open,
        payload: &'a [u8],
    ) -> Segment<'a> {
        open.sent[side] = open.sent[side].wrapping_add(1);
        Segment {
            source: self.ends[side],
            destination: self.ends[1 - side],
            head,
            authenticated: self.service.carrier == Carrier::TcpInAh,
            payload,
            spi: (self.flow as u32) << 1 | side as u32 | 1 << 31,
            serial: open.step + 1,
        }
    }
}
