//! What is spoken at the site: who opens what to whom, how it begins and what it goes on with.

use super::hosts::Group::{
    self, Clients, Edges, FrontEnds, Gateways, Mediation, NameServers, Strangers,
};
use super::message::Message::{
    self, ClientFinished, ClientHello, DnsAnswer, DnsQuery, HttpGet, HttpOk, IkeAnswer, IkeInit,
    ServerFinished, ServerHello, SipOk, SipOptions, StunRequest, StunResponse,
};

/// One kind of conversation.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) from: Group,
    pub(crate) to: Group,
    pub(crate) carrier: Carrier,
    /// The responder's first and last port; flows spread over them.
    pub(crate) ports: (u16, u16),
    /// The messages it begins with, by turns.
    pub(crate) opening: &'static [Message],
    pub(crate) body: Body,
}

/// How it is carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Carrier {
    /// TCP from the first SYN to both FINs.
    Tcp,
    /// The same, inside of AH in transport mode.
    TcpInAh,
    /// A SYN that is reset.
    Refused,
    /// A SYN without an answer.
    Silent,
    Udp,
    /// One direction of an ESP security association.
    Esp,
}

/// What follows the opening.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body {
    /// TLS records.
    Records,
    /// Bytes without a form.
    Bytes,
    /// RTP of this payload type, with so many clock ticks from packet to packet.
    Rtp(u8, u32),
    /// The opening again.
    Again,
}

const TLS: &[Message] = &[ClientHello, ServerHello, ClientFinished, ServerFinished];
const HTTP: &[Message] = &[HttpGet, HttpOk];

pub(crate) const SIP_TLS: Service = tcp(Clients, FrontEnds, 5061, TLS, Body::Records);
pub(crate) const HTTPS: Service = tcp(Clients, FrontEnds, 443, TLS, Body::Records);
pub(crate) const FOCUS: Service = tcp(Clients, FrontEnds, 444, TLS, Body::Records);
pub(crate) const HTTP_PLAIN: Service = tcp(Clients, FrontEnds, 80, HTTP, Body::Bytes);
/// What no row expects.
pub(crate) const STRAY: Service = tcp(Clients, FrontEnds, 8888, HTTP, Body::Bytes);
/// What no role has.
pub(crate) const FOREIGN: Service = tcp(Strangers, Strangers, 443, TLS, Body::Records);
pub(crate) const TRUNK: Service =
    tcp(Gateways, Mediation, 5068, &[SipOptions, SipOk, SipOptions, SipOk], Body::Bytes);
pub(crate) const SHORT_TCP: Service = tcp(Clients, FrontEnds, 80, &[], Body::Bytes);
pub(crate) const IN_AH: Service =
    Service { carrier: Carrier::TcpInAh, ..tcp(Clients, FrontEnds, 443, TLS, Body::Records) };
pub(crate) const REFUSED: Service =
    Service { carrier: Carrier::Refused, ..tcp(Clients, FrontEnds, 5065, &[], Body::Bytes) };
pub(crate) const SILENT: Service =
    Service { carrier: Carrier::Silent, ..tcp(Clients, FrontEnds, 5071, &[], Body::Bytes) };

pub(crate) const DNS: Service =
    udp(Clients, NameServers, (53, 53), &[DnsQuery, DnsAnswer], Body::Again);
pub(crate) const STUN: Service =
    udp(Clients, Edges, (3478, 3478), &[StunRequest, StunResponse], Body::Again);
pub(crate) const AUDIO: Service = udp(Clients, FrontEnds, (49_152, 57_500), &[], Body::Rtp(0, 160));
pub(crate) const VIDEO: Service =
    udp(Clients, FrontEnds, (57_501, 65_535), &[], Body::Rtp(122, 3000));
/// Media between clients, with a connectivity check in front (RFC 8445).
pub(crate) const PEER_AUDIO: Service =
    udp(Clients, Clients, (50_020, 50_039), &[StunRequest, StunResponse], Body::Rtp(104, 320));
pub(crate) const IKE: Service =
    udp(Clients, FrontEnds, (500, 500), &[IkeInit, IkeAnswer], Body::Again);
pub(crate) const ESP: Service =
    Service { carrier: Carrier::Esp, ..udp(Clients, FrontEnds, (0, 0), &[], Body::Bytes) };

const fn tcp(
    from: Group,
    to: Group,
    port: u16,
    opening: &'static [Message],
    body: Body,
) -> Service {
    Service { from, to, carrier: Carrier::Tcp, ports: (port, port), opening, body }
}

const fn udp(
    from: Group,
    to: Group,
    ports: (u16, u16),
    opening: &'static [Message],
    body: Body,
) -> Service {
    Service { from, to, carrier: Carrier::Udp, ports, opening, body }
}
