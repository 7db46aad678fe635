//! EtherTypes: what stands between an Ethernet header and IP.
//!
//! Tags are walked: IEEE 802.1Q, 802.1ad and the 0x9100 of older equipment, 802.1BR E-Tags, Cisco
//! VN-Tags and `MetaData`, MACsec (IEEE 802.1AE) where it only signs. What holds a header of another
//! family (MPLS, PPPoE, backbone bridging, NSH) is handed to that family's file. Anything else is
//! named by its EtherType.

use super::layer::{Layer, Path};
use super::span::Span;
use super::{Stop, mpls, nsh, ppp};

/// Ethernet II and IEEE 802.3: two addresses, then an EtherType or a length. Leads to IP.
#[inline]
pub(super) fn frame<'a>(span: Span<'a>, path: &mut Path) -> Result<Span<'a>, Stop> {
    let (mut kind, mut rest) = kind_at(span, ADDRESSES)?;
    // Most frames are IP with one tag or none, and all else stays out of their way.
    if kind == VLAN {
        (kind, rest) = vlan(rest, path)?;
    }
    if matches!(kind, IPV4 | IPV6) { Ok(rest) } else { payload(kind, rest, path) }
}

/// Takes a VLAN tag off. The list keeps the outermost tags; deeper ones are walked all the same.
#[inline]
fn vlan<'a>(tag: Span<'a>, path: &mut Path) -> Result<(u16, Span<'a>), Stop> {
    let &[c1, c0, k1, k0] = tag.bytes.first_chunk::<4>().ok_or(Stop::LinkHeader)?;
    path.vlans.push(u16::from_be_bytes([c1, c0]) & VLAN_ID_BITS);
    Ok((u16::from_be_bytes([k1, k0]), tag.after(4)))
}

/// Follows tags and headers until IP or something else is named.
#[inline(never)]
pub(super) fn payload<'a>(
    mut kind: u16,
    mut rest: Span<'a>,
    path: &mut Path,
) -> Result<Span<'a>, Stop> {
    for _ in 0..MAX_HEADERS {
        (kind, rest) = match kind {
            IPV4 | IPV6 => return Ok(rest),
            VLAN | VLAN_SERVICE | VLAN_OLD => vlan(rest, path)?,
            0..ETHER_TYPES_FROM => snap(kind, rest)?,
            E_TAG | VN_TAG | TRUST_SEC | MAC_SEC => tag(kind, rest, path)?,
            _ => return family(kind, rest, path),
        };
    }
    Err(Stop::TooDeep)
}

/// Tags that say something of the way and are followed by the EtherType of what they tag.
fn tag<'a>(kind: u16, rest: Span<'a>, path: &mut Path) -> Result<(u16, Span<'a>), Stop> {
    let (layer, len) = match kind {
        // IEEE 802.1BR, 7.5: priority, ingress and egress channel.
        E_TAG => (Layer::ETag, 6),
        // Direction, pointer, two interface numbers.
        VN_TAG => (Layer::VnTag, 4),
        // Version 1, then a count of options of four bytes each.
        TRUST_SEC => match (rest.u8(0), rest.u8(1)) {
            (Some(1), Some(options)) => (Layer::TrustSec, 2 + 4 * usize::from(options)),
            (Some(_), Some(_)) => return Err(Stop::NotIp(kind)),
            _ => return Err(Stop::LinkHeader),
        },
        _ => (Layer::MacSec, sec_tag(rest)?),
    };
    path.enter(layer)?;
    kind_at(rest, len)
}

/// The length of a SecTAG (IEEE 802.1AE, 9.3) whose content is in clear. With both bits, E for
/// encrypted and C for changed text, off, the content is signed only.
fn sec_tag(rest: Span<'_>) -> Result<usize, Stop> {
    let control = rest.u8(0).ok_or(Stop::LinkHeader)?;
    if control & 0x80 != 0 {
        // Only version 0 is defined.
        return Err(Stop::NotIp(MAC_SEC));
    }
    if control & 0x0C != 0 {
        return Err(Stop::MacSecEncrypted);
    }
    // Control, short length, packet number; the secure channel's name where it is not implied.
    Ok(if control & 0x20 == 0 { 6 } else { 14 })
}

/// Headers with a file of their own, and what is not IP.
fn family<'a>(kind: u16, rest: Span<'a>, path: &mut Path) -> Result<Span<'a>, Stop> {
    match kind {
        MPLS | MPLS_UPSTREAM => mpls::read(rest, path),
        PPPOE => ppp::over_ethernet(rest, path),
        BACKBONE => {
            let tag = rest.u32(0).ok_or(Stop::LinkHeader)?;
            path.enter(Layer::Pbb { isid: tag & 0x00FF_FFFF })?;
            frame(rest.after(4), path)
        }
        NSH => nsh::read(rest, path),
        other => Err(Stop::NotIp(other)),
    }
}

/// IEEE 802.2 LLC: only a SNAP header with the zero OUI (RFC 1042), or the one that IEEE 802.1H sets
/// aside for bridges, holds an EtherType.
fn snap(length: u16, llc: Span<'_>) -> Result<(u16, Span<'_>), Stop> {
    match *llc.bytes {
        [0xAA, 0xAA, 0x03, 0, 0, 0 | 0xF8, high, low, ..] => {
            match u16::from_be_bytes([high, low]) {
                // A length inside SNAP would go round in circles.
                0..ETHER_TYPES_FROM => Err(Stop::NotIp(length)),
                kind => Ok((kind, llc.after(SNAP_LEN))),
            }
        }
        [0xAA, 0xAA, 0x03, ..] if !llc.holds(SNAP_LEN) => Err(Stop::LinkHeader),
        [_, _, _, ..] => Err(Stop::NotIp(length)),
        _ => Err(Stop::LinkHeader),
    }
}

/// An LLC header without a length before it, as on token ring, FDDI, ATM and radio.
pub(super) fn llc<'a>(span: Span<'a>, path: &mut Path) -> Result<Span<'a>, Stop> {
    payload(0, span, path)
}

/// Whether a span reads as an Ethernet frame of known content. Where nothing but a port or a label
/// says that a frame follows, this is the question to ask before believing it.
pub(super) fn is_plausible(span: Span<'_>) -> bool {
    match span.u16(ADDRESSES) {
        Some(length @ 0..ETHER_TYPES_FROM) => {
            let service = span.bytes.get(HEADER_LEN..HEADER_LEN + 3);
            let known = service.is_some_and(|llc| LLC_SERVICES.contains(&llc));
            known && u32::from(length) + HEADER_LEN as u32 <= span.wire_len
        }
        Some(kind) => known(kind).is_some(),
        None => false,
    }
}

/// The EtherType at an offset and what follows it.
pub(super) fn kind_at(span: Span<'_>, at: usize) -> Result<(u16, Span<'_>), Stop> {
    let kind = span.u16(at).ok_or(Stop::LinkHeader)?;
    Ok((kind, span.after(at + 2)))
}

/// The stable name of what an EtherType (or, under 0x0600, an LLC length) stands for; None for a
/// number that means nothing here.
pub(super) fn known(kind: u16) -> Option<&'static str> {
    Some(match kind {
        0..ETHER_TYPES_FROM => "llc",
        IPV4 => "ipv4",
        IPV6 => "ipv6",
        0x0806 => "arp",
        0x8035 => "rarp",
        VLAN | VLAN_SERVICE | VLAN_OLD => "vlan",
        0x22F3 => "trill",
        0x8808 => "ethernet-flow-control",
        0x8809 => "slow-protocols",
        0x8863 | PPPOE => "pppoe",
        MPLS | MPLS_UPSTREAM => "mpls",
        BACKBONE => "pbb",
        0x888E => "eapol",
        0x8892 => "profinet",
        0x88A2 => "aoe",
        0x88A4 => "ethercat",
        0x88CC => "lldp",
        MAC_SEC => "macsec",
        0x88F7 => "ptp",
        0x8902 => "cfm",
        0x8906 => "fcoe",
        0x8914 => "fip",
        TRUST_SEC => "trustsec",
        VN_TAG => "vntag",
        E_TAG => "etag",
        NSH => "nsh",
        0x9000 => "loopback-test",
        _ => return None,
    })
}

/// EtherType of IPv4.
pub(super) const IPV4: u16 = 0x0800;
/// EtherType of IPv6.
pub(super) const IPV6: u16 = 0x86DD;
/// Customer VLAN tag (IEEE 802.1Q).
const VLAN: u16 = 0x8100;
/// Service VLAN tag (IEEE 802.1ad).
const VLAN_SERVICE: u16 = 0x88A8;
/// Outer VLAN tag of equipment older than 802.1ad.
const VLAN_OLD: u16 = 0x9100;
/// MPLS (RFC 3032), labels chosen by the receiver.
pub(super) const MPLS: u16 = 0x8847;
/// MPLS, labels chosen by the sender (RFC 5332).
pub(super) const MPLS_UPSTREAM: u16 = 0x8848;
/// PPP over Ethernet, session stage (RFC 2516).
const PPPOE: u16 = 0x8864;
/// Provider backbone bridging (IEEE 802.1ah).
const BACKBONE: u16 = 0x88E7;
/// MACsec (IEEE 802.1AE).
const MAC_SEC: u16 = 0x88E5;
/// Port extension (IEEE 802.1BR).
const E_TAG: u16 = 0x893F;
/// Cisco's tag for virtual interfaces.
const VN_TAG: u16 = 0x8926;
/// Cisco `MetaData`, which holds security group tags.
const TRUST_SEC: u16 = 0x8909;
/// Network service header (RFC 8300).
pub(super) const NSH: u16 = 0x894F;
/// The part of a VLAN tag that is the id; priority and drop bits are above it.
const VLAN_ID_BITS: u16 = 0x0FFF;
/// Numbers below this are lengths or a link's own (IEEE 802.3).
pub(super) const ETHER_TYPES_FROM: u16 = 0x0600;
/// Bytes of the two addresses before the EtherType.
const ADDRESSES: usize = 12;
/// Bytes of an Ethernet header.
pub(super) const HEADER_LEN: usize = 14;
/// LLC headers in use: spanning tree, SNAP, ISO, NetBIOS, and IPX with LLC and without.
const LLC_SERVICES: [&[u8]; 6] = [
    b"\x42\x42\x03",
    b"\xAA\xAA\x03",
    b"\xFE\xFE\x03",
    b"\xF0\xF0\x03",
    b"\xE0\xE0\x03",
    b"\xFF\xFF\x00",
];
/// Bytes of LLC and SNAP headers together.
const SNAP_LEN: usize = 8;
/// Headers walked per frame behind a first tag, IP included, so that a frame made of tags costs
/// little.
const MAX_HEADERS: usize = 16;

#[cfg(test)]
mod tests {
    use super::super::testing::{frame, hex, inner, inner_frame, layers_around_inner, stop};
    use super::*;
    use crate::input::LinkType;

    const MACS: &str = "020000000002 020000000001";

    fn tagged(tags: &str, body: &[u8]) -> Vec<u8> {
        [hex(MACS), hex(tags), body.to_vec()].concat()
    }

    #[track_caller]
    fn layers(tags: &str, body: &[u8]) -> String {
        layers_around_inner(LinkType::ETHERNET, &tagged(tags, body))
    }

    #[test]
    fn tags_tell_of_the_way() {
        assert_eq!(layers("893f 000000010000 0800", &inner()), "etag");
        assert_eq!(layers("8926 00010002 8100 0014 0800", &inner()), "vntag");
        assert_eq!(layers("8909 01 01 0001 0007 0800", &inner()), "trustsec");
        assert_eq!(layers("88e7 00012345", &inner_frame()), "pbb:74565");
        assert_eq!(layers("894f 00020201 000000ff", &inner()), "nsh");
        assert_eq!(layers("893f 000000010000 8926 00010002 0800", &inner()), "etag vntag");
    }

    #[test]
    fn macsec_is_read_where_it_only_signs() {
        assert_eq!(layers("88e5 00 00 00000001 0800", &inner()), "macsec");
        // With the channel's name, a tag inside, and the check value behind the packet.
        let signed = [inner(), vec![0xA5; 16]].concat();
        let tag = "88e5 20 00 00000001 020000000001 0001 8100 0014 0800";
        assert_eq!(layers(tag, &signed), "macsec");
        for control in ["0c", "2c", "08", "04"] {
            let bytes = tagged(&format!("88e5 {control} 00 00000001"), &[0x5A; 60]);
            let sealed = frame(LinkType::ETHERNET, &bytes);
            assert_eq!(stop(&sealed).to_string(), "macsec-encrypted");
        }
        let version = tagged("88e5 80 00 00000001 0800", &inner());
        assert_eq!(stop(&frame(LinkType::ETHERNET, &version)), Stop::NotIp(0x88E5));
    }

    #[test]
    fn bridges_of_old_use_a_snap_header_of_their_own() {
        assert_eq!(layers("0028 aaaa03 0000f8 0800", &inner()), "");
    }

    #[test]
    fn operations_of_service_chains_are_no_packets() {
        for header in
            ["20020201 000000ff", "40020201 000000ff", "00010201 000000ff", "00020206 000000ff"]
        {
            let bytes = tagged(&format!("894f {header}"), &inner());
            assert_eq!(stop(&frame(LinkType::ETHERNET, &bytes)), Stop::NotIp(0x894F), "{header}");
        }
    }

    #[test]
    fn plausible_frames_are_of_a_known_kind() {
        let plausible = |bytes: &[u8]| is_plausible(Span::new(bytes, 0));
        assert!(plausible(&inner_frame()));
        assert!(plausible(&tagged("0026 424203", &[0; 35])));
        assert!(!plausible(&tagged("0026 424203", &[0; 34])));
        assert!(!plausible(&tagged("0026 123456", &[0; 35])));
        assert!(!plausible(&tagged("1234", &inner())));
        assert!(!plausible(&inner_frame()[..13]));
    }
}
