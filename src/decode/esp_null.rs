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
//! | TCP: a header length that fits, reserved bits 0, flags that may stand together, no urgent data | one of 2^22 |
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
pub(super) fn open(esp: Span<'_>, (from, to): (IpAddr, IpAddr)) -> Option<Opened<'_>> {
    let whole = esp.bytes.len() as u64 == u64::from(esp.wire_len);
    // Padding makes it end on a word (RFC 4303, 2.4), and every check value is of whole words.
    if !whole || !esp.bytes.len().is_multiple_of(4) {
        return None;
    }
    let mut right = FORMS
        .into_iter()
        .filter_map(|form| read(esp, form).filter(|opened| is_right(opened, from, to)));
    let first = right.next()?;
    // With and without an initialization vector the end is the same, and one in a hundred connections begins with
    // a segment that then fits twice.
    let second = right.next().filter(|second| sums_up(second, from, to));
    second.filter(|_| !sums_up(&first, from, to)).or(Some(first))
}

/// Whether the checksum of a datagram or segment is right.
fn sums_up(opened: &Opened<'_>, from: IpAddr, to: IpAddr) -> bool {
    let pseudo = transport::pseudo_header(from, to, opened.next, opened.body.wire_len);
    transport::sums_up(opened.body, pseudo)
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
    let ported = transport::ports(body).is_some_and(|(from, to)| from != 0 && to != 0);
    (20..=body.bytes.len()).contains(&len)
        && header[12] & 0x0E == 0
        && go_together(flags)
        && header[18..20] == [0, 0]
        && ported
}

/// Whether TCP sends these flags together: a segment opens, resets, or acknowledges and may end. Urgent data
/// (RFC 6093 advises against it) is not looked for.
fn go_together(flags: TcpFlags) -> bool {
    let kind = flags.0 & (TcpFlags::SYN | TcpFlags::RST | TcpFlags::FIN | TcpFlags::ACK);
    let plain = flags.0 & (URG | PSH) == 0;
    match kind {
        TcpFlags::ACK => flags.0 & URG == 0,
        _ if kind == TcpFlags::FIN | TcpFlags::ACK => flags.0 & URG == 0,
        _ if kind & TcpFlags::SYN != 0 => plain && kind & (TcpFlags::RST | TcpFlags::FIN) == 0,
        _ => plain && kind & TcpFlags::FIN == 0 && kind & TcpFlags::RST != 0,
    }
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
/// Push.
const PSH: u8 = 0x08;
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

#[cfg(test)]
mod tests {
    use super::super::testing::{SYN, hex, ipv4, ipv6};
    use super::*;

    const V4: (&str, &str) = ("10.0.0.1", "10.0.0.2");
    const V6: (&str, &str) = ("fd00::1", "fd00::2");
    const UDP: &str = "c350c030 000c0000 deadbeef";
    /// An echo request with its checksum.
    const PING: &str = "0800f7fe 00000001 00000000";

    /// ESP around a content, ended as the form wants it.
    fn esp(form: NullForm, next: u8, content: &[u8]) -> Vec<u8> {
        let mut bytes = hex("00001000 00000001");
        bytes.extend(vec![0x11; usize::from(form.iv)]);
        bytes.extend(content);
        let padding = (4 - (bytes.len() + 2) % 4) % 4;
        bytes.extend((1..=padding).map(|byte| byte as u8));
        bytes.extend([padding as u8, next]);
        bytes.extend((0..form.icv).map(|byte| 0xa0 + byte));
        bytes
    }

    fn opened(bytes: &[u8], ends: (&str, &str)) -> Option<(NullForm, Transport, Vec<u8>)> {
        let ends = (ends.0.parse().unwrap(), ends.1.parse().unwrap());
        open(Span::new(bytes, bytes.len() as u32), ends)
            .map(|opened| (opened.form, opened.next, opened.body.bytes.to_vec()))
    }

    #[test]
    fn every_form_is_told_by_its_content() {
        for form in FORMS {
            for (next, content) in
                [(17, hex(UDP)), (6, hex(SYN)), (1, hex(PING)), (4, ipv4_sums(&hex(UDP)))]
            {
                let bytes = esp(form, next, &content);
                assert_eq!(opened(&bytes, V4), Some((form, Transport(next), content)));
            }
            let six = ipv6(17, &hex(UDP));
            assert_eq!(opened(&esp(form, 41, &six), V4), Some((form, Transport::IPV6, six)));
        }
    }

    /// IPv4 with its header's checksum.
    fn ipv4_sums(body: &[u8]) -> Vec<u8> {
        let mut bytes = ipv4(17, body);
        let sum: u32 =
            bytes[..20].chunks(2).map(|word| u32::from(word[0]) << 8 | u32::from(word[1])).sum();
        let sum = !((sum >> 16) + (sum & 0xFFFF)) as u16;
        bytes[10..12].copy_from_slice(&sum.to_be_bytes());
        bytes
    }

    #[test]
    fn icmp_is_told_by_its_checksum_and_only_in_its_own_ip() {
        let form = FORMS[0];
        assert_eq!(opened(&esp(form, 1, &hex(PING)), V6), None);
        let mut bad = hex(PING);
        bad[5] = 7;
        assert_eq!(opened(&esp(form, 1, &bad), V4), None);
        // fd00::1 to fd00::2: the pseudo header counts.
        let mut ping = hex("80000000 00000001");
        let pseudo = 2 * 0xfd00 + 3 + 58 + 8;
        let sum: u32 = pseudo + 0x8000 + 1;
        let sum = !((sum >> 16) + (sum & 0xFFFF)) as u16;
        ping[2..4].copy_from_slice(&sum.to_be_bytes());
        assert_eq!(opened(&esp(form, 58, &ping), V6).map(|(.., body)| body), Some(ping.clone()));
        assert_eq!(opened(&esp(form, 58, &ping), V4), None);
    }

    #[test]
    fn a_content_that_does_not_fit_to_the_byte_is_none() {
        let form = FORMS[1];
        for at in 0..4 {
            let mut long = hex(UDP);
            long.extend(vec![0; at + 1]);
            assert_eq!(opened(&esp(form, 17, &long), V4), None);
        }
        for (at, value) in [(12, 0x40), (12, 0x5e), (13, 0x03), (13, 0), (19, 1)] {
            let mut tcp = hex(SYN);
            tcp[at] = value;
            assert_eq!(opened(&esp(form, 6, &tcp), V4), None, "byte {at} = {value}");
        }
        let mut header = ipv4_sums(&hex(UDP));
        header[8] ^= 1;
        assert_eq!(opened(&esp(form, 4, &header), V4), None);
    }

    #[test]
    fn where_two_forms_fit_the_checksum_inside_tells() {
        // With a sequence number that looks like the end of a header.
        let mut syn = hex(SYN);
        syn[4..12].copy_from_slice(&[0x50, 0x10, 0x12, 0x34, 0, 0, 0, 0]);
        syn[16..18].fill(0);
        let (from, to) = (V4.0.parse().unwrap(), V4.1.parse().unwrap());
        let pseudo = transport::pseudo_header(from, to, Transport::TCP, syn.len() as u32);
        let words = syn.chunks(2).map(|word| u32::from(word[0]) << 8 | u32::from(word[1]));
        let sum = pseudo + words.sum::<u32>();
        let sum = !((sum >> 16) + (sum & 0xFFFF)) as u16;
        syn[16..18].copy_from_slice(&sum.to_be_bytes());
        let gmac = NullForm { icv: 16, iv: 8 };
        let found = opened(&esp(gmac, 6, &syn), V4);
        assert_eq!(found, Some((gmac, Transport::TCP, syn.clone())));
        // Without a right checksum anywhere, the commoner form.
        syn[16] ^= 1;
        let found = opened(&esp(gmac, 6, &syn), V4).map(|(form, ..)| form);
        assert_eq!(found, Some(NullForm { icv: 16, iv: 0 }));
    }

    #[test]
    fn only_a_whole_packet_shows_its_end() {
        let bytes = esp(FORMS[0], 17, &hex(UDP));
        let ends = (V4.0.parse().unwrap(), V4.1.parse().unwrap());
        let span = |len: usize| Span::new(&bytes[..len], bytes.len() as u32);
        assert!(open(span(bytes.len()), ends).is_some());
        for len in 0..bytes.len() {
            assert_eq!(open(span(len), ends), None);
        }
        for len in 0..bytes.len() {
            // Bytes that end earlier are another packet. Without the check value it is right again.
            let opened = open(Span::new(&bytes[..len], len as u32), ends);
            assert_eq!(opened.is_some(), len == bytes.len() - 12, "{len}");
        }
    }

    #[test]
    fn three_million_random_packets_are_not_taken_for_clear_ones() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let noise: Vec<u8> = (0..1 << 20).flat_map(|_| next().to_le_bytes()).collect();
        let ends = (V4.0.parse().unwrap(), V4.1.parse().unwrap());
        for _ in 0..3_000_000 {
            let pick = next();
            let len = 32 + (pick >> 40) as usize % 64 * 4;
            let from = pick as usize % (noise.len() - len);
            let bytes = &noise[from..from + len];
            assert_eq!(open(Span::new(bytes, len as u32), ends), None, "{from} {len}");
        }
    }
}
