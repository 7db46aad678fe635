//! Tunnels above IP: when one is believed, and what is done with what it holds.
//!
//! A tunnel with a protocol number of its own (GRE, IP in IP, EtherIP, ...) is what the IP header
//! says. A tunnel in UDP is only a port, and ports lie: media ranges cover 1024-65535, so RTP may use
//! 4789 or 2152 too. The rule for UDP is therefore: the tunnel's header is strictly well formed,
//! **and** what is inside reads as a packet, that is an IP header whose lengths fit what is there, or
//! an Ethernet frame with a known EtherType. Otherwise the datagram stays plain UDP with its own
//! 5-tuple.
//!
//! What a tunnel carries that is no packet between two hosts behind it:
//!
//! - Its own messages (GTP echo, L2TP control, Geneve OAM, GRE keepalives, Teredo bubbles, associated
//!   channels) and content of an unknown kind stay a packet between the tunnel's ends.
//! - So does a packet that the snaplen cut before its inner headers: what was understood is kept.
//! - ARP, LLDP, spanning tree and the like in a tunnel with a protocol number of its own are counted
//!   under their own reason, as without the tunnel. In UDP they stay a packet between the tunnel's ends:
//!   else a few bytes of header would hide any datagram from an audit.

use std::net::IpAddr;

use super::ip::{self, Datagram, Fragment};
use super::layer::{Layer, Path};
use super::span::Span;
use super::{Stop, Transport, ether, gre, l2tp, mpls, nsh, ppp, udp_tunnel, wlan};

/// What a tunnel's header is followed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// An IP header.
    Ip,
    /// An Ethernet frame.
    Ethernet,
    /// An Ethernet frame behind zero to three words that nothing but the ends know of.
    EthernetBehindCookie,
    /// What an EtherType names.
    EtherType(u16),
    /// A stack of MPLS labels.
    Mpls,
    /// A network service header.
    Nsh,
    /// PPP.
    Ppp,
    /// An IEEE 802.11 frame.
    Wlan,
}

/// A tunnel's header, read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tunnel<'a> {
    /// Its name; None where the content names it better.
    pub(super) layer: Option<Layer>,
    /// What follows.
    pub(super) content: Content,
    /// What it holds.
    pub(super) body: Span<'a>,
}

impl<'a> Tunnel<'a> {
    /// A tunnel with a name of its own.
    pub(super) fn new(layer: Layer, content: Content, body: Span<'a>) -> Self {
        Self { layer: Some(layer), content, body }
    }
}

/// The datagram inside the tunnel that a datagram is, and None when it is none, or none that can be
/// read. Then `path` is as before.
#[inline(never)]
pub(super) fn open<'a>(
    outer: &Datagram<'a>,
    path: &mut Path,
) -> Result<Option<Datagram<'a>>, Stop> {
    let Some(tunnel) = header(outer) else {
        return Ok(None);
    };
    let before = *path;
    let by_port = outer.transport == Transport::UDP;
    match inside(&tunnel, outer, path) {
        Ok(inner) if !is_keepalive(outer, &inner) => return Ok(Some(inner)),
        Err(stop) if is_told(stop, by_port) => return Err(stop),
        _ => {}
    }
    *path = before;
    Ok(None)
}

fn header<'a>(outer: &Datagram<'a>) -> Option<Tunnel<'a>> {
    let body = outer.body;
    match outer.transport {
        Transport::UDP => udp_tunnel::read(body, outer.fragment == Fragment::First),
        Transport::GRE => gre::read(body),
        Transport::IPV4 => ip_in_ip(outer, 4),
        Transport::IPV6 => ip_in_ip(outer, 6),
        // RFC 3378, 3: version 3 and twelve reserved bits.
        Transport::ETHER_IP if body.u16(0)? == 0x3000 => {
            Some(Tunnel::new(Layer::EtherIp, Content::Ethernet, body.after(2)))
        }
        Transport::L2TP => l2tp::over_ip(body),
        // RFC 4023, 3.
        Transport::MPLS => Some(Tunnel { layer: None, content: Content::Mpls, body }),
        _ => None,
    }
}

/// IP directly in IP.
fn ip_in_ip<'a>(outer: &Datagram<'a>, version: u8) -> Option<Tunnel<'a>> {
    let body = outer.body;
    if body.u8(0)? >> 4 != version {
        return None;
    }
    Some(Tunnel::new(ip_layer(outer.source, body), Content::Ip, body))
}

/// What IP in IP is called, by the outer address and the inner header.
pub(super) fn ip_layer(outer: IpAddr, inner: Span<'_>) -> Layer {
    let six = inner.u8(0).is_some_and(|byte| byte >> 4 == 6);
    match (outer, six) {
        (IpAddr::V4(_), false) => Layer::IpInIp,
        // RFC 3056, 2: 2002 and the IPv4 address of the tunnel's end.
        (IpAddr::V4(_), true) if [8, 24].map(|at| inner.u16(at)).contains(&Some(0x2002)) => {
            Layer::SixToFour
        }
        (IpAddr::V4(_), true) => Layer::SixInFour,
        (IpAddr::V6(_), false) => Layer::FourInSix,
        (IpAddr::V6(_), true) => Layer::SixInSix,
    }
}

fn inside<'a>(
    tunnel: &Tunnel<'a>,
    outer: &Datagram<'a>,
    path: &mut Path,
) -> Result<Datagram<'a>, Stop> {
    if let Some(layer) = tunnel.layer {
        path.enter(layer)?;
    }
    let by_port = outer.transport == Transport::UDP;
    let body = tunnel.body;
    let span = match tunnel.content {
        Content::Ip => body,
        Content::Ethernet if by_port && !ether::is_plausible(body) => return Err(Stop::LinkHeader),
        Content::Ethernet | Content::EtherType(BRIDGED) => ether::frame(body, path)?,
        Content::EthernetBehindCookie => behind_cookie(body, path)?,
        Content::EtherType(kind) => ether::payload(kind, body, path)?,
        Content::Mpls => mpls::read(body, path)?,
        Content::Nsh => nsh::read(body, path)?,
        Content::Ppp => {
            // L2TP holds nothing else; GRE does, so there PPP is told.
            if tunnel.layer == Some(Layer::Gre) {
                path.enter(Layer::Ppp)?;
            }
            ppp::read(body, path)?
        }
        Content::Wlan => wlan::maybe_swapped(body, path)?,
    };
    // Of a first fragment the rest is in other frames, so the inner length may be the longer one.
    let partial = outer.fragment == Fragment::First;
    if by_port && !partial && !ip::is_framed(span) {
        return Err(Stop::IpHeader);
    }
    Datagram::read(span)
}

/// The cookie of L2TP version 3 is 0, 4 or 8 bytes long (RFC 3931, 4.1) and a sublayer of 4 bytes may
/// follow, which only the ends know. A hardware address at the wrong place may look like an EtherType
/// (08:00:27 is a common vendor), so the place that leads to a packet counts, and an EtherType alone
/// only where no other place shows one.
fn behind_cookie<'a>(body: Span<'a>, path: &mut Path) -> Result<Span<'a>, Stop> {
    let frames = PLACES.map(|at| body.after(at)).into_iter().filter(|at| ether::is_plausible(*at));
    for frame in frames.clone() {
        let mut inside = *path;
        match ether::frame(frame, &mut inside) {
            Ok(span) if ip::is_framed(span) => {
                *path = inside;
                return Ok(span);
            }
            _ => {}
        }
    }
    let mut frames = frames;
    match (frames.next(), frames.next()) {
        (Some(frame), None) if body.holds(PLACES[3] + ether::HEADER_LEN) => {
            ether::frame(frame, path)
        }
        _ => Err(Stop::LinkHeader),
    }
}

/// Where an Ethernet frame may begin behind the session of L2TP version 3.
const PLACES: [usize; 4] = [0, 4, 8, 12];

/// Whether the frame is counted under the reason why the inside is no packet. What could not be read
/// leaves the outer packet as it is.
fn is_told(stop: Stop, by_port: bool) -> bool {
    match stop {
        // The datagram that it belongs to has a first fragment, or the report says how many have none.
        Stop::Fragment => true,
        Stop::LinkHeader | Stop::IpHeader | Stop::NotIp(ether::MPLS | ether::NSH) => false,
        _ => !by_port,
    }
}

/// A GRE keepalive is a packet that the other end is to send back: GRE with nothing in it, from the
/// outer receiver to the outer sender.
fn is_keepalive(outer: &Datagram<'_>, inner: &Datagram<'_>) -> bool {
    outer.transport == Transport::GRE
        && inner.transport == Transport::GRE
        && (inner.source, inner.destination) == (outer.destination, outer.source)
        && inner.body.u16(2) == Some(0)
}

/// Transparent Ethernet bridging (RFC 1701, as GRE uses it).
pub(super) const BRIDGED: u16 = 0x6558;

#[cfg(test)]
mod tests {
    use super::super::testing::{UDP, hex, inner, inner_frame, ipv4, ipv6, layers_in_ip, raw};
    use super::*;

    #[test]
    fn ip_in_ip_is_named_by_both_versions() {
        assert_eq!(layers_in_ip(&ipv4(4, &inner())), "ipip");
        assert_eq!(layers_in_ip(&ipv6(4, &inner())), "4in6");
        let six = ipv6(17, &hex(UDP));
        assert_eq!(layers_in_ip(&ipv4(41, &six)), "6in4");
        assert_eq!(layers_in_ip(&ipv6(41, &six)), "6in6");
        let mut automatic = six.clone();
        automatic[8..14].copy_from_slice(&hex("2002 0a000001"));
        assert_eq!(layers_in_ip(&ipv4(41, &automatic)), "6to4");
        assert_eq!(layers_in_ip(&ipv6(4, &ipv4(41, &ipv6(4, &inner())))), "4in6 6in4 4in6");
    }

    #[test]
    fn what_is_no_ip_stays_between_the_ends() {
        for (number, body) in
            [(4, ipv6(17, &hex(UDP))), (41, inner()), (4, hex("4500")), (4, vec![])]
        {
            let bytes = ipv4(number, &body);
            let packet = raw(&bytes);
            assert_eq!(packet.transport, Transport(number));
            assert_eq!(packet.source.to_string(), "10.0.0.1");
            assert!(packet.layers.as_slice().is_empty());
        }
    }

    #[test]
    fn ethernet_and_mpls_in_ip() {
        assert_eq!(layers_in_ip(&ipv4(97, &[hex("3000"), inner_frame()].concat())), "etherip");
        let other_version = ipv4(97, &[hex("4000"), inner_frame()].concat());
        assert_eq!(raw(&other_version).transport, Transport::ETHER_IP);
        assert_eq!(layers_in_ip(&ipv6(137, &[hex("00013140"), inner()].concat())), "mpls:19");
    }
}
