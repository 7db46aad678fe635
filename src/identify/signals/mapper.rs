//! Ports that DCE/RPC hands out: towers of the endpoint mapper, string bindings of DCOM.
//!
//! Both are looked for in responses that begin as those with them do, wherever they stand in them: NDR and
//! NDR64 place them differently, and an activation hides its bindings deep. A tower is the same bytes in all of them (C706, appendix L):
//!
//! ```text
//! | floors (2) | then for each: | length (2) | protocol, data | length (2) | data |
//! 1: 0d, interface, version   2: 0d, transfer syntax   3: 0b   4: 07 | port (high byte first)   5: 09 | IPv4
//! ```
//!
//! A string binding is a tower id, 7 for TCP, and a text in 16-bit characters that ends with a zero:
//! `host[port]` (MS-DCOM 2.2.19.3).

use std::net::{IpAddr, Ipv4Addr};

use super::{Signal, SignalKind};
use crate::flow::sample::Carrier;
use crate::identify::bytes::{self, Reader};
use crate::identify::interfaces;

/// Hands on what the responses in a payload announce.
pub(super) fn read(payload: &[u8], take: &mut dyn FnMut(Signal)) {
    let mut rest = payload;
    while let Some((order, kind, fragment)) = header(rest) {
        let whole = rest.get(..fragment).unwrap_or(rest);
        if kind == RESPONSE
            && let Some(stub) = whole.get(RESPONSE_HEADER..)
        {
            if leads_to_towers(stub, order) {
                towers(stub, take);
            }
            if leads_to_bindings(stub, order) {
                bindings(stub, order, take);
            }
        }
        rest = rest.get(fragment..).unwrap_or_default();
    }
}

/// Order of bytes, kind and length of a fragment.
fn header(bytes: &[u8]) -> Option<(Order, u8, usize)> {
    let mut reader = Reader::new(bytes);
    let [5, 0 | 1, kind, _] = reader.array()? else { return None };
    let [characters, floats, 0, 0] = reader.array()? else { return None };
    let order = match characters {
        0x00 | 0x01 => Order::Big,
        0x10 | 0x11 => Order::Little,
        _ => return None,
    };
    let fragment = usize::from(order.u16(reader.array()?));
    (floats <= 3 && fragment >= HEADER).then_some((order, kind, fragment))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Big,
    Little,
}

impl Order {
    fn u16(self, bytes: [u8; 2]) -> u16 {
        match self {
            Self::Big => u16::from_be_bytes(bytes),
            Self::Little => u16::from_le_bytes(bytes),
        }
    }

    fn u32(self, bytes: [u8; 4]) -> u32 {
        match self {
            Self::Big => u32::from_be_bytes(bytes),
            Self::Little => u32::from_le_bytes(bytes),
        }
    }
}

/// Whether a response begins as answers of the endpoint mapper do: a handle, then how many entries follow
/// (C706, appendix O). Most responses are long and do not.
fn leads_to_towers(stub: &[u8], order: Order) -> bool {
    let count = stub.get(HANDLE..).and_then(<[u8]>::first_chunk).map(|bytes| order.u32(*bytes));
    count.is_some_and(|count| (1..=MAX_ENTRIES).contains(&count))
}

/// Whether a response begins as those with string bindings do: an array behind a pointer, or behind a
/// version and a pointer, whose two counts agree (MS-DCOM 2.2.19, 3.1.2.5.1); or an object, as activations
/// return it (2.2.18).
fn leads_to_bindings(stub: &[u8], order: Order) -> bool {
    let array = |at: usize| {
        let mut reader = Reader::new(stub.get(at..)?);
        let most = order.u32(reader.array()?);
        let [units, security] = [order.u16(reader.array()?), order.u16(reader.array()?)];
        Some(u32::from(units) == most && security <= units)
    };
    let object = |at: usize| Some(stub.get(at..)?.starts_with(OBJECT));
    [4, 8].iter().any(|at| array(*at) == Some(true))
        || [12, 16, 20, 24].iter().any(|at| object(*at) == Some(true))
}

/// Hands on the towers that lead to TCP.
fn towers(stub: &[u8], take: &mut dyn FnMut(Signal)) {
    for (at, window) in stub.windows(TOWER.len()).enumerate() {
        if window == TOWER
            && let Some(signal) = at.checked_sub(2).and_then(|from| tower(stub.get(from..)?))
        {
            take(signal);
        }
    }
}

fn tower(bytes: &[u8]) -> Option<Signal> {
    let mut reader = Reader::new(bytes);
    let floors = reader.u16_le()?;
    if !(4..=8).contains(&floors) {
        return None;
    }
    let interface = Floor::read(&mut reader)?;
    let syntax = Floor::read(&mut reader)?;
    let protocol = Floor::read(&mut reader)?;
    let transport = Floor::read(&mut reader)?;
    if syntax.left.first() != Some(&UUID) || protocol.left != [CONNECTIONS] {
        return None;
    }
    let port = match (transport.left, transport.right) {
        ([TCP], [high, low]) => u16::from_be_bytes([*high, *low]),
        _ => return None,
    };
    let address = if floors > 4 { Floor::read(&mut reader).and_then(Floor::ipv4) } else { None };
    let id = interface.left.get(1..)?.first_chunk::<16>()?;
    (port > 0).then(|| Signal {
        kind: SignalKind::EptMap,
        address: address.map(IpAddr::V4),
        carrier: Carrier::Stream,
        port,
        service: interfaces::named(interfaces::spelled(*id)),
        exchange: None,
    })
}

/// One floor of a tower.
#[derive(Debug, Clone, Copy)]
struct Floor<'a> {
    /// Which protocol, with what belongs to its name.
    left: &'a [u8],
    /// Where.
    right: &'a [u8],
}

impl<'a> Floor<'a> {
    fn read(reader: &mut Reader<'a>) -> Option<Self> {
        let left = reader.u16_le()?;
        let left = reader.take(left.into())?;
        let right = reader.u16_le()?;
        Some(Self { left, right: reader.take(right.into())? })
    }

    /// The address of a floor of IPv4; a host that leaves it open has the one that it answered from.
    fn ipv4(self) -> Option<Ipv4Addr> {
        match (self.left, self.right) {
            ([IP], [a, b, c, d]) => Some(Ipv4Addr::new(*a, *b, *c, *d)),
            _ => None,
        }
        .filter(|address| !address.is_unspecified())
    }
}

/// Hands on the string bindings that lead to a port of TCP.
fn bindings(stub: &[u8], order: Order, take: &mut dyn FnMut(Signal)) {
    let mut units = stub.chunks_exact(2).map(|pair| order.u16([pair[0], pair[1]]));
    let mut text = Vec::new();
    while let Some(unit) = units.next() {
        if unit != u16::from(TCP) {
            continue;
        }
        text.clear();
        let ended = loop {
            match units.next().map(u8::try_from) {
                Some(Ok(letter)) if bytes::is_printable(letter) && text.len() < MAX_BINDING => {
                    text.push(letter);
                }
                Some(Ok(0)) => break true,
                _ => break false,
            }
        };
        if ended && let Some(signal) = binding(&text) {
            take(signal);
        }
    }
}

/// Reads `host[port]`.
fn binding(text: &[u8]) -> Option<Signal> {
    let open = text.iter().rposition(|&b| b == b'[')?;
    let (host, port) = text.split_at_checked(open)?;
    let port = bytes::port(port.strip_prefix(b"[")?.strip_suffix(b"]")?)?;
    let legal = |b: &u8| b.is_ascii_alphanumeric() || b".-_:%".contains(b);
    (!host.is_empty() && host.iter().all(legal)).then(|| Signal {
        kind: SignalKind::Oxid,
        // A name stays unresolved: it is one of the answering host's own.
        address: std::str::from_utf8(host).ok().and_then(|host| host.parse().ok()),
        carrier: Carrier::Stream,
        port,
        service: "dcom".into(),
        exchange: None,
    })
}

const RESPONSE: u8 = 2;
const HEADER: usize = 16;
/// Behind the header: a hint, the context, a count of cancels (C706 12.6.4.10).
const RESPONSE_HEADER: usize = 24;
/// Length of a context handle.
const HANDLE: usize = 20;
/// Entries that one answer of the endpoint mapper can have.
const MAX_ENTRIES: u32 = 500;
/// The signature of an object reference (MS-DCOM 2.2.18).
const OBJECT: &[u8] = b"MEOW";
/// Length and protocol of a tower's first floor.
const TOWER: [u8; 3] = [19, 0, UUID];
/// Protocol identifiers of floors (C706, appendix I).
const UUID: u8 = 0x0d;
const CONNECTIONS: u8 = 0x0b;
const TCP: u8 = 0x07;
const IP: u8 = 0x09;
/// Characters of a string binding that is read: the longest domain name (RFC 1035, 2.3.4) and a port.
const MAX_BINDING: usize = 255 + 7;

#[cfg(test)]
mod tests {
    use super::super::all;
    use super::*;
    use crate::identify::craft::hex;

    /// The answer of an endpoint mapper: handle, count, array, and one tower for the account service.
    fn mapped() -> Vec<u8> {
        let mut stub = hex("00000000 00000000000000000000000000000000 01000000
                            04000000 00000000 01000000 03000000 4b000000 4b000000
                            0500 1300 0d 785734123412cdabef000123456789ac 0100 0200 0000
                            1300 0d 045d888aeb1cc9119fe808002b104860 0200 0200 0000
                            0100 0b 0200 0000 0100 07 0200 c1c9 0100 09 0400 0a14000b 00 00000000");
        let mut bytes = hex("05 00 02 03 10000000");
        bytes.extend((24 + stub.len() as u16).to_le_bytes());
        bytes.extend(hex("0000 02000000 00000000 0000 00 00"));
        bytes.append(&mut stub);
        bytes
    }

    fn bound(text: &str) -> Vec<u8> {
        let units = (text.len() as u16 + 6).to_le_bytes();
        let mut stub = hex("00000200");
        stub.extend([units[0], units[1], 0, 0, units[0], units[1], 4, 0, 7, 0]);
        stub.extend(text.encode_utf16().flat_map(u16::to_le_bytes));
        stub.extend(hex("0000 0000 0a00 ffff 0000"));
        let mut bytes = hex("05 00 02 03 10000000");
        bytes.extend((24 + stub.len() as u16).to_le_bytes());
        bytes.extend(hex("0000 02000000 00000000 0000 00 00"));
        bytes.append(&mut stub);
        bytes
    }

    #[test]
    fn a_tower_tells_interface_address_and_port() {
        let [signal] = all(Carrier::Stream, &mapped()).try_into().unwrap();
        assert_eq!(signal.kind, SignalKind::EptMap);
        assert_eq!(signal.address, Some("10.20.0.11".parse().unwrap()));
        assert_eq!((signal.port, &*signal.service), (49_609, "samr"));
        assert!(signal.is_stream());
    }

    #[test]
    fn a_tower_without_address_or_port_is_the_hosts_own_or_nothing() {
        let mut open = mapped();
        let at = open.len() - 9;
        open[at..at + 4].fill(0);
        assert_eq!(all(Carrier::Stream, &open)[0].address, None);
        let at = open.iter().rposition(|&b| b == 0xc1).unwrap();
        open[at..at + 2].fill(0);
        assert_eq!(all(Carrier::Stream, &open), []);
    }

    #[test]
    fn a_question_announces_nothing() {
        let mut question = mapped();
        question[2] = 0;
        assert_eq!(all(Carrier::Stream, &question), []);
    }

    #[test]
    fn a_string_binding_tells_a_port() {
        let [signal] = all(Carrier::Stream, &bound("10.20.0.12[49777]")).try_into().unwrap();
        assert_eq!((signal.kind, signal.port), (SignalKind::Oxid, 49_777));
        assert_eq!(signal.address, Some("10.20.0.12".parse().unwrap()));
        let [named] = all(Carrier::Stream, &bound("fe02.contoso.local[49777]")).try_into().unwrap();
        assert_eq!(named.address, None);
        for other in ["10.20.0.12", "10.20.0.12[]", "[49777]", "a b[1]", "a[0]", "a[99999]"] {
            assert_eq!(all(Carrier::Stream, &bound(other)), [], "{other}");
        }
    }

    #[test]
    fn a_response_that_begins_otherwise_is_not_searched() {
        let mut other = mapped();
        other[24 + HANDLE] = 0;
        assert_eq!(all(Carrier::Stream, &other), []);
        let mut other = bound("10.20.0.12[49777]");
        other[24 + 4] ^= 1;
        assert_eq!(all(Carrier::Stream, &other), []);
    }

    #[test]
    fn an_activation_hides_its_bindings_deep() {
        let whole = bound("10.20.0.12[49777]");
        let mut object = whole[..24].to_vec();
        object.extend(hex("00000000 00000000 00000200 a0010000 a0010000 4d454f57 04000000"));
        object.extend([0; 100]);
        object.extend(&whole[24 + 12..]);
        let len = object.len() as u16;
        object[8..10].copy_from_slice(&len.to_le_bytes());
        assert_eq!(all(Carrier::Stream, &object)[0].port, 49_777);
    }

    #[test]
    fn several_responses_of_a_segment_are_read_and_any_cut_survives() {
        let both = [mapped(), bound("fe02[49777]")].concat();
        assert_eq!(all(Carrier::Stream, &both).len(), 2);
        for len in 0..both.len() {
            for signal in all(Carrier::Stream, &both[..len]) {
                assert!([49_609, 49_777].contains(&signal.port));
            }
        }
    }
}
