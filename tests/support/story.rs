//! Traffic told as a story: who says what to whom, one line each, with a clock that runs along.
//!
//! ```text
//! let capture = Story::begins(T0)
//!     .tcp_session(client, server, &[Asks(hello), Answers(hello)])
//!     .pause(Duration::from_millis(250))
//!     .rtp_stream(phone, gateway, Rtp { payload_type: 8, ssrc: 7 }, 50)
//!     .pcap();
//! ```

use std::net::SocketAddr;
use std::time::Duration;

use super::capture::{Order, Recorded, Ticks, pcap};
use super::craft::{ACK, FIN, PSH, Packet, RST, SYN, at, tcp, udp};
use super::wire::{noise, put16, put32};

/// 2024-01-01 00:00:00 UTC in nanoseconds: when stories begin that have no other time.
pub(crate) const NEW_YEAR: u64 = 1_704_067_200_000_000_000;

/// One utterance of a conversation.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Says<'a> {
    /// The client to the server.
    Asks(&'a [u8]),
    /// The server to the client.
    Answers(&'a [u8]),
}

/// What stays the same in an RTP stream.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rtp {
    pub(crate) payload_type: u8,
    pub(crate) ssrc: u32,
}

/// Ethernet frames in the order in which they were sent.
#[derive(Debug, Clone)]
pub(crate) struct Story {
    now: u64,
    frames: Vec<Recorded>,
}

impl Story {
    /// An empty story whose first frame is sent at this time (nanoseconds since 1970).
    pub(crate) fn begins(time: u64) -> Self {
        Self { now: time, frames: Vec::new() }
    }

    /// Lets time pass.
    pub(crate) fn pause(mut self, time: Duration) -> Self {
        self.advance(time);
        self
    }

    /// Any packet, on Ethernet.
    pub(crate) fn sends(self, packet: &Packet) -> Self {
        self.frame(packet.ethernet())
    }

    /// Any frame; the next one follows a millisecond later.
    pub(crate) fn frame(mut self, bytes: Vec<u8>) -> Self {
        self.frames.push(Recorded::new(self.now, bytes));
        self.advance(STEP);
        self
    }

    /// A TCP connection from the first SYN to the last ACK; each utterance is acknowledged.
    pub(crate) fn tcp_session(self, client: SocketAddr, server: SocketAddr, says: &[Says]) -> Self {
        tcp_packets(client, server, says).iter().fold(self, Self::sends)
    }

    /// A TCP connection that is still open at the end.
    pub(crate) fn tcp_session_open(
        self,
        client: SocketAddr,
        server: SocketAddr,
        says: &[Says],
    ) -> Self {
        opened(client, server, says).0.iter().fold(self, Self::sends)
    }

    /// A SYN that is answered with RST.
    pub(crate) fn tcp_refused(self, client: SocketAddr, server: SocketAddr) -> Self {
        let mut talk = Talk::new(client, server);
        let syn = talk.client_says(SYN, &[]);
        let reset = talk.server_says(RST | ACK, &[]);
        self.sends(&syn).sends(&reset)
    }

    /// SYNs without any answer, each a second after the other.
    pub(crate) fn tcp_unanswered(
        mut self,
        client: SocketAddr,
        server: SocketAddr,
        tries: u32,
    ) -> Self {
        let syn = Talk::new(client, server).client_says(SYN, &[]);
        for _ in 0..tries {
            self = self.sends(&syn).pause(Duration::from_secs(1));
        }
        self
    }

    /// Datagrams to and fro.
    pub(crate) fn udp_exchange(
        self,
        client: SocketAddr,
        server: SocketAddr,
        says: &[Says],
    ) -> Self {
        says.iter().fold(self, |story, says| {
            story.sends(&match says {
                Says::Asks(bytes) => udp(client, server).payload(bytes),
                Says::Answers(bytes) => udp(server, client).payload(bytes),
            })
        })
    }

    /// One direction of an audio stream: 160 bytes every 20 ms (RFC 3550, 8 kHz).
    pub(crate) fn rtp_stream(
        mut self,
        from: SocketAddr,
        to: SocketAddr,
        stream: Rtp,
        packets: u16,
    ) -> Self {
        for number in 0..packets {
            let payload = rtp(stream, number, &noise(stream.ssrc ^ u32::from(number), 160));
            self = self.sends(&udp(from, to).dscp(46).payload(payload));
            self.advance(RTP_INTERVAL.saturating_sub(STEP));
        }
        self
    }

    /// The frames so far.
    pub(crate) fn frames(&self) -> &[Recorded] {
        &self.frames
    }

    /// A little-endian pcap file with microseconds.
    pub(crate) fn pcap(&self) -> Vec<u8> {
        pcap(1, Order::Little, Ticks::Micro, &self.frames)
    }

    fn advance(&mut self, time: Duration) {
        self.now += u64::try_from(time.as_nanos()).unwrap();
    }
}

/// The packets of a TCP connection from the first SYN to the last ACK; each utterance is
/// acknowledged.
pub(crate) fn tcp_packets(client: SocketAddr, server: SocketAddr, says: &[Says]) -> Vec<Packet> {
    let (mut packets, mut talk) = opened(client, server, says);
    packets.push(talk.client_says(FIN | ACK, &[]));
    packets.push(talk.server_says(FIN | ACK, &[]));
    packets.push(talk.client_says(ACK, &[]));
    packets
}

/// The packets of a TCP connection that is still open, and where its ends stand.
fn opened(client: SocketAddr, server: SocketAddr, says: &[Says]) -> (Vec<Packet>, Talk) {
    let mut talk = Talk::new(client, server);
    let mut packets = vec![
        talk.client_says(SYN, &[]),
        talk.server_says(SYN | ACK, &[]),
        talk.client_says(ACK, &[]),
    ];
    for says in says {
        packets.extend(match says {
            Says::Asks(bytes) => [talk.client_says(PSH | ACK, bytes), talk.server_says(ACK, &[])],
            Says::Answers(bytes) => {
                [talk.server_says(PSH | ACK, bytes), talk.client_says(ACK, &[])]
            }
        });
    }
    (packets, talk)
}

/// Both ends of a TCP connection and how far each has counted.
#[derive(Debug)]
struct Talk {
    client: SocketAddr,
    server: SocketAddr,
    client_next: u32,
    server_next: u32,
}

impl Talk {
    fn new(client: SocketAddr, server: SocketAddr) -> Self {
        Self { client, server, client_next: 1_000, server_next: 2_000 }
    }

    fn client_says(&mut self, flags: u8, bytes: &[u8]) -> Packet {
        let acknowledged = if flags & ACK == 0 { 0 } else { self.server_next };
        let segment = tcp(self.client, self.server)
            .flags(flags)
            .numbers(self.client_next, acknowledged)
            .payload(bytes);
        self.client_next = self.client_next.wrapping_add(counted(flags, bytes));
        segment
    }

    fn server_says(&mut self, flags: u8, bytes: &[u8]) -> Packet {
        let segment = tcp(self.server, self.client)
            .flags(flags)
            .numbers(self.server_next, self.client_next)
            .payload(bytes);
        self.server_next = self.server_next.wrapping_add(counted(flags, bytes));
        segment
    }
}

/// SYN and FIN take a sequence number as a byte does.
fn counted(flags: u8, bytes: &[u8]) -> u32 {
    bytes.len() as u32 + u32::from(flags & (SYN | FIN) != 0)
}

/// An RTP packet of 20 ms.
pub(crate) fn rtp(stream: Rtp, number: u16, audio: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x80, stream.payload_type & 0x7F];
    put16(&mut bytes, number);
    put32(&mut bytes, u32::from(number) * 160);
    put32(&mut bytes, stream.ssrc);
    bytes.extend(audio);
    bytes
}

/// Time between frames when nothing else is said.
const STEP: Duration = Duration::from_millis(1);
/// Time between RTP packets.
const RTP_INTERVAL: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::Says::{Answers, Asks};
    use super::*;
    use portassay::decode::{Decoded, Detail, decode};
    use portassay::input::{Frame, LinkType, Timestamp};

    /// Flags, sequence and acknowledgement numbers and payload length of every frame.
    fn told(story: &Story) -> Vec<(u8, u32, u32, u32)> {
        let segment = |frame: &Recorded| {
            let frame = Frame {
                number: 1,
                time: Timestamp(frame.time.cast_signed()),
                link_type: LinkType::ETHERNET,
                data: &frame.data,
                original_len: frame.original_len,
            };
            match decode(&frame) {
                Decoded::Packet(packet) => match packet.detail {
                    Detail::Tcp { flags, sequence, acknowledgement } => {
                        (flags.0, sequence, acknowledgement, packet.payload_len)
                    }
                    _ => (0, 0, 0, packet.payload_len),
                },
                Decoded::Stopped(stop) => panic!("stopped: {stop}"),
            }
        };
        story.frames().iter().map(segment).collect()
    }

    #[test]
    fn a_tcp_session_counts_its_bytes() {
        let (client, server) = (at("10.0.20.5:50000"), at("10.0.1.11:5061"));
        let story =
            Story::begins(NEW_YEAR).tcp_session(client, server, &[Asks(b"hello"), Answers(b"hi")]);
        let expected = [
            (SYN, 1000, 0, 0),
            (SYN | ACK, 2000, 1001, 0),
            (ACK, 1001, 2001, 0),
            (PSH | ACK, 1001, 2001, 5),
            (ACK, 2001, 1006, 0),
            (PSH | ACK, 2001, 1006, 2),
            (ACK, 1006, 2003, 0),
            (FIN | ACK, 1006, 2003, 0),
            (FIN | ACK, 2003, 1007, 0),
            (ACK, 1007, 2004, 0),
        ];
        assert_eq!(told(&story), expected);
        assert_eq!(story.frames()[9].time, NEW_YEAR + 9_000_000);
    }

    #[test]
    fn connections_may_fail_or_stay_open() {
        let (client, server) = (at("[fd00::5]:50000"), at("[fd00::11]:5061"));
        let refused = Story::begins(0).tcp_refused(client, server);
        assert_eq!(told(&refused), [(SYN, 1000, 0, 0), (RST | ACK, 2000, 1001, 0)]);
        let unanswered = Story::begins(0).tcp_unanswered(client, server, 3);
        assert_eq!(told(&unanswered), [(SYN, 1000, 0, 0); 3]);
        assert_eq!(unanswered.frames()[2].time, 2_002_000_000);
        let open = Story::begins(0).tcp_session_open(client, server, &[]);
        assert_eq!(open.frames().len(), 3);
    }

    #[test]
    fn media_has_its_own_pace() {
        let (phone, gateway) = (at("10.0.20.9:50020"), at("10.0.1.11:49152"));
        let stream = Rtp { payload_type: 8, ssrc: 7 };
        let story = Story::begins(0)
            .udp_exchange(phone, gateway, &[Asks(b"?"), Answers(b"!!")])
            .pause(Duration::from_millis(8))
            .rtp_stream(phone, gateway, stream, 3);
        let times: Vec<_> = story.frames().iter().map(|frame| frame.time / 1_000_000).collect();
        assert_eq!(times, [0, 1, 10, 30, 50]);
        let lens: Vec<_> = told(&story).iter().map(|told| told.3).collect();
        assert_eq!(lens, [1, 2, 172, 172, 172]);
        assert_eq!(story.pcap().len(), 24 + 5 * (16 + 42) + 3 + 3 * 172);
    }
}
