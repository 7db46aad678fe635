//! What one packet announces of flows to come: where media will go, which port a service was given.
//!
//! | announced by | kind | the file |
//! |---|---|---|
//! | SDP, in SIP or alone in a segment | `sdp` | `session.rs` |
//! | answers of the endpoint mapper | `ept-map` | `mapper.rs` |
//! | string bindings of DCOM | `oxid` | `mapper.rs` |
//! | answers of SQL Server Browser | `ssrp` | `browser.rs` |
//!
//! Packets are looked at one by one and no state is kept, so that a capture may be cut anywhere. What is
//! split over two segments of a stream is read as far as each part goes. Ports of the packet itself play no part.
//! Nearly all packets end at the first byte: [`may_announce`] is asked about every one of them.

mod browser;
mod mapper;
mod session;

use std::borrow::Cow;
use std::net::IpAddr;

use crate::flow::sample::Carrier;

/// An endpoint that content announces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signal {
    /// How it is announced.
    pub kind: SignalKind,
    /// The address as written. None where the content names no address: it speaks of its sender.
    pub address: Option<IpAddr>,
    /// How the flow to it will be carried.
    pub carrier: Carrier,
    /// The port, never 0.
    pub port: u16,
    /// What is there: a kind of media, an interface, an instance.
    pub service: Cow<'static, str>,
    /// Of media: which side of the negotiation said so, where that can be told.
    pub exchange: Option<Exchange>,
}

impl Signal {
    /// Whether the flow will be a byte stream.
    pub fn is_stream(&self) -> bool {
        self.carrier == Carrier::Stream
    }
}

/// How an endpoint is announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SignalKind {
    /// By the endpoint mapper (C706, appendix O).
    EptMap,
    /// In a string binding of DCOM, such as the answer of the OXID resolver (MS-DCOM 2.2.19).
    Oxid,
    /// By SQL Server Browser (MC-SQLR).
    Ssrp,
    /// In a session description (RFC 8866).
    Sdp,
}

impl SignalKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::EptMap, Self::Oxid, Self::Ssrp, Self::Sdp];

    /// The stable name used in machine output.
    pub fn token(self) -> &'static str {
        match self {
            Self::EptMap => "ept-map",
            Self::Oxid => "oxid",
            Self::Ssrp => "ssrp",
            Self::Sdp => "sdp",
        }
    }

    /// The kind in a few words for people.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::EptMap => "the endpoint mapper",
            Self::Oxid => "a string binding of DCOM",
            Self::Ssrp => "SQL Server Browser",
            Self::Sdp => "SDP",
        }
    }

    /// Whether media is announced rather than a service.
    pub fn is_media(self) -> bool {
        self == Self::Sdp
    }

    /// The protocol in which it is announced, as its detector calls it.
    pub fn announced_in(self) -> &'static str {
        match self {
            Self::EptMap | Self::Oxid => "dcerpc",
            Self::Ssrp => "ssrp",
            Self::Sdp => "sip",
        }
    }

    /// The protocol to expect there, as its detector calls it.
    pub fn protocol(self) -> &'static str {
        match self {
            Self::EptMap | Self::Oxid => "dcerpc",
            Self::Ssrp => "tds",
            Self::Sdp => "rtp",
        }
    }
}

/// The two steps of negotiating a session (RFC 3264).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exchange {
    /// Proposed.
    Offer,
    /// Agreed to.
    Answer,
}

impl Exchange {
    /// The stable name used in machine output.
    pub fn token(self) -> &'static str {
        match self {
            Self::Offer => "offer",
            Self::Answer => "answer",
        }
    }
}

/// Whether a payload may announce something, by its first byte. Cheap, for every packet.
#[inline]
pub fn may_announce(payload: &[u8]) -> bool {
    payload.first().is_some_and(|first| OPENS[usize::from(*first)])
}

/// Hands on what a payload announces: at most 128 endpoints.
#[inline(never)]
pub fn read(carrier: Carrier, payload: &[u8], take: &mut dyn FnMut(Signal)) {
    let mut left = MAX_SIGNALS;
    let mut bounded = |signal: Signal| {
        if left > 0 {
            left -= 1;
            take(signal);
        }
    };
    match (payload, carrier) {
        ([5, 0 | 1, 2, ..], Carrier::Stream) => mapper::read(payload, &mut bounded),
        ([5, ..], Carrier::Datagrams) => browser::read(payload, &mut bounded),
        ([5, ..], Carrier::Stream) | ([], _) => {}
        _ => session::read(carrier, payload, &mut bounded),
    }
}

/// First bytes behind which something may be announced: DCE/RPC and SQL Server Browser, the start lines
/// of SIP that come with a body, the line ends that keep a connection alive before one, and the lines of SDP.
const OPENS: [bool; 256] = {
    let mut opens = [false; 256];
    let first = b"\x05\r\nSIUAPvosiuepcbtrzkam";
    let mut at = 0;
    while at < first.len() {
        opens[first[at] as usize] = true;
        at += 1;
    }
    opens
};
/// Endpoints taken from one packet. Two bodies with candidates for four media have some fifty.
const MAX_SIGNALS: usize = 128;

#[cfg(test)]
pub(super) fn all(carrier: Carrier, payload: &[u8]) -> Vec<Signal> {
    let mut found = Vec::new();
    if may_announce(payload) {
        read(carrier, payload, &mut |signal| found.push(signal));
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn media_and_encrypted_streams_end_at_the_first_byte() {
        for first in (0x80..=0xbf).chain(20..=23) {
            assert!(!may_announce(&[first, 3, 3, 0]));
        }
        assert!(!may_announce(b""));
        assert!(may_announce(b"SIP/2.0 200 OK\r\n"));
    }

    #[test]
    fn neighbours_announce_nothing() {
        for other in [
            &b"SSH-2.0-x\r\n"[..],
            b"PUT / HTTP/1.1\r\n\r\nm=audio 4000 RTP/AVP 0\r\n",
            b"AUTH a\r\nc=IN IP4 10.0.0.1\r\nm=audio 4000 RTP/AVP 0\r\n",
            b"\x05\x01\x00",
            b"\r\n\r\n",
            b"a=1&m=2",
        ] {
            for carrier in [Carrier::Stream, Carrier::Datagrams] {
                assert_eq!(all(carrier, other), [], "{other:?}");
            }
        }
    }

    fn beginnings() -> impl Strategy<Value = Vec<u8>> {
        let known: Vec<Vec<u8>> = vec![
            vec![],
            b"\x05\x00\x02\x03\x10\x00\x00\x00".to_vec(),
            b"\x05\x20\x00ServerName;".to_vec(),
            b"INVITE sip:a SIP/2.0\r\n\r\nc=IN IP4 10.0.0.1\r\nm=audio ".to_vec(),
            b"a=candidate:".to_vec(),
        ];
        prop::sample::select(known)
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_say_too_much(
            head in beginnings(),
            tail in prop::collection::vec(any::<u8>(), 0..600)
        ) {
            let bytes = [head, tail].concat();
            for carrier in [Carrier::Stream, Carrier::Datagrams] {
                let found = all(carrier, &bytes);
                prop_assert!(found.len() <= MAX_SIGNALS);
                prop_assert!(found.iter().all(|signal| signal.port > 0));
            }
        }
    }
}
