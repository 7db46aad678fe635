//! ESP without encryption (RFC 2410, RFC 4543), told from encrypted ESP by its content (RFC 5879).
//!
//! ESP does not say how it is protected, so its end is read as if it were not encrypted: a length of
//! padding, the padding 1, 2, 3, ... (RFC 4303, 2.4), a protocol number, and an integrity check value of a
//! length that some algorithm has. Encrypted bytes look like this once in some 3,000 packets; so the header
//! that the protocol number promises must be there as well, and fit to the byte:
//!
//! | content | what fits by chance in |
//! |---|---|
//! | UDP: length of exactly what is there, no port 0 | one of 2^16 |
//! | TCP: a header length that fits, reserved bits 0, flags that may stand together, no urgent pointer without its flag | one of 2^23 |
//! | ICMP: its checksum | one of 2^16 |
//! | IP: version and length, of IPv4 the checksum too | one of 2^20 and more |
//!
//! Together with the end that is less than one of 10^8 packets for UDP and rarer for the rest, so each packet is
//! judged by itself and no state is kept: a capture may be cut anywhere. What is claimed of hosts still takes
//! two such packets. A packet must have been captured whole. Padding for traffic flow confidentiality
//! (RFC 4303, 2.7) is not looked through: UDP would then fit by chance too often.

use std::net::IpAddr;

use super::span::Span;
use super::{TcpFlags, Transport, ip, transport};

/// How the content of an ESP packet is protected, if not by encryption.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NullForm {
    /// Length of the integrity check value in bytes. 0 is not allowed together with no encryption
    /// (RFC 4303, 3.2): such a packet was captured before a network card finished it.
    pub icv: u8,
    /// Length of the initialization vector before the content in bytes: 8 for AES-GMAC (RFC 4543), else 0.
    pub iv: u8,
}

/// What an ESP packet holds in clear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Opened<'a> {
    pub(super) form: NullForm,
    /// What the body begins with.
    pub(super) next: Transport,
    pub(super) body: Span<'a>,
}

/// Reads the content of an ESP packet from one host to another, if it is in clear. The span begins with
/// the SPI.
pub(super) fn open<'a>(esp: Span<'a>, (from, to): (IpAddr, IpAddr)) -> Option<Opened<'a>> {
    let whole = esp.bytes.len() as u64 == u64::from(esp.wire_len);
    // Padding makes it end on a word (RFC 4303, 2.4), and every check value is of whole words.
    if !whole || !esp.bytes.len().is_multiple_of(4) {
        return None;
    }
    FORMS.into_iter().find_map(|form| read(esp, form).filter(|opened| is_right(opened, from, to)))
}

/// What is between header and trailer, if the trailer is right for this form.
fn read(esp: Span<'_>, form: NullForm) -> Option<Opened<'_>> {
    let trailer = esp.bytes.len().checked_sub(usize::from(form.icv) + TRAILER_LEN)?;
    let &[padding, next] = esp.bytes.get(trailer..)?.first_chunk()?;
    let next = Transport(next);
    if !CONTENT.contains(&next) {
        return None;
    }
    let begin = HEADER_LEN + usize::from(form.iv);
    let end = trailer.checked_sub(usize::from(padding)).filter(|end| *end > begin)?;
    let body = esp.after(begin).with_len((end - begin) as u32);
    is_padding(esp.bytes.get(end..trailer)?).then_some(Opened { form, next, body })
}

/// Whether bytes are the padding 1, 2, 3, ... that ESP prescribes.
pub(super) fn is_padding(bytes: &[u8]) -> bool {
    bytes.iter().zip(1..=u8::MAX).all(|(byte, expected)| *byte == expected)
}

/// Whether the content is what the trailer calls it.
fn is_right(opened: &Opened<'_>, from: IpAddr, to: IpAddr) -> bool {
    let body = opened.body;
    match opened.next {
        Transport::UDP => is_udp(body),
        Transport::TCP => is_tcp(body),
        Transport::ICMP => from.is_ipv4() && body.holds(8) && transport::sums_up(body, 0),
        Transport::ICMPV6 => {
            let pseudo = transport::pseudo_header(from, to, Transport::ICMPV6, body.wire_len);
            from.is_ipv6() && body.holds(8) && transport::sums_up(body, pseudo)
        }
        Transport::IPV4 => is_version(body, 4) && ip::fills(body) && header_sums_up(body),
        Transport::IPV6 => is_version(body, 6) && ip::fills(body),
        _ => false,
    }
}

fn is_udp(body: Span<'_>) -> bool {
    let ported = transport::ports(body).is_some_and(|(from, to)| from != 0 && to != 0);
    ported && body.holds(8) && body.u16(4).is_some_and(|len| u32::from(len) == body.wire_len)
}

fn is_tcp(body: Span<'_>) -> bool {
    let Some(header) = body.bytes.first_chunk::<20>() else {
        return false;
    };
    let len = usize::from(header[12] >> 4) * 4;
    let flags = TcpFlags(header[13]);
    let urgent = flags.has(URG) || header[18..20] == [0, 0];
    let ported = transport::ports(body).is_some_and(|(from, to)| from != 0 && to != 0);
    (20..=body.bytes.len()).contains(&len)
        && header[12] & 0x0E == 0
        && go_together(flags)
        && urgent
        && ported
}

/// Whether TCP sends these flags together: a segment opens, ends, resets or acknowledges.
fn go_together(flags: TcpFlags) -> bool {
    let opens = flags.has(TcpFlags::SYN);
    let ends = flags.has(TcpFlags::FIN) || flags.has(TcpFlags::RST);
    let acknowledges = flags.has(TcpFlags::ACK);
    if opens { !ends } else { acknowledges || flags.has(TcpFlags::RST) }
}

fn is_version(body: Span<'_>, version: u8) -> bool {
    body.u8(0).is_some_and(|byte| byte >> 4 == version)
}

fn header_sums_up(body: Span<'_>) -> bool {
    let len = body.u8(0).map_or(0, |byte| u32::from(byte & 0x0F) * 4);
    transport::sums_up(body.with_len(len), 0)
}

/// SPI and sequence number, in bytes.
const HEADER_LEN: usize = 8;
/// Length of the padding and protocol number, in bytes.
const TRAILER_LEN: usize = 2;
/// Urgent pointer in use.
const URG: u8 = 0x20;
/// What is looked for in ESP.
const CONTENT: [Transport; 6] = [
    Transport::UDP,
    Transport::TCP,
    Transport::IPV4,
    Transport::IPV6,
    Transport::ICMP,
    Transport::ICMPV6,
];
/// The forms, the commonest first: HMAC-SHA1-96, HMAC-MD5-96 and AES-XCBC-96; HMAC-SHA-256-128; AES-GMAC;
/// HMAC-SHA-384-192; HMAC-SHA-512-256; and none, above a network card that adds it.
const FORMS: [NullForm; 6] = [
    NullForm { icv: 12, iv: 0 },
    NullForm { icv: 16, iv: 0 },
    NullForm { icv: 16, iv: 8 },
    NullForm { icv: 24, iv: 0 },
    NullForm { icv: 32, iv: 0 },
    NullForm { icv: 0, iv: 0 },
];
