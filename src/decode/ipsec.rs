//! IPsec: the Authentication Header (RFC 4302), ESP (RFC 4303) and ESP inside UDP (RFC 3948).
//!
//! AH leaves what it protects in clear, so it is opened like an envelope. ESP shows only its SPI and
//! sequence number here; whether its content is readable after all (NULL encryption) takes several
//! packets to tell and is not this room's work.

use super::span::Span;
use super::transport::Segment;
use super::{Detail, Stop, Transport, UdpEncapsulation};

/// An Authentication Header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Authentication<'a> {
    /// Security parameters index.
    pub(super) spi: u32,
    /// Sequence number.
    pub(super) sequence: u32,
    /// What it protects.
    pub(super) next: Transport,
    /// What follows it.
    pub(super) body: Span<'a>,
}

impl<'a> Authentication<'a> {
    /// Reads the header at the start of the span (RFC 4302, 2). Its length counts words of four
    /// bytes less two and includes an integrity check value, so 0 is impossible; more than 64
    /// would be a check value no algorithm has.
    pub(super) fn read(span: Span<'a>) -> Result<Self, Stop> {
        let bad = Stop::TransportHeader(Transport::AH);
        let (&[next, words, r1, r0], Some(spi), Some(sequence)) = (
            span.bytes.first_chunk::<4>().ok_or(bad)?,
            span.u32(4),
            span.u32(8),
        ) else {
            return Err(bad);
        };
        let len = (usize::from(words) + 2) * 4;
        if !(1..=64).contains(&words) || [r1, r0] != [0, 0] || len as u64 > u64::from(span.wire_len)
        {
            return Err(bad);
        }
        Ok(Self {
            spi,
            sequence,
            next: Transport(next),
            body: span.after(len),
        })
    }
}

/// AH around something that cannot be read: the AH packet is all there is to tell.
pub(super) fn opaque_ah(span: Span<'_>) -> Result<Segment<'_>, Stop> {
    let header = Authentication::read(span)?;
    let detail = Detail::Security {
        spi: header.spi,
        sequence: header.sequence,
    };
    Ok(Segment::portless(detail, header.body))
}

/// ESP: SPI and sequence number; all behind them may be encrypted.
pub(super) fn esp(span: Span<'_>) -> Result<Segment<'_>, Stop> {
    let (Some(spi), Some(sequence)) = (span.u32(0), span.u32(4)) else {
        return Err(Stop::TransportHeader(Transport::ESP));
    };
    Ok(Segment::portless(
        Detail::Security { spi, sequence },
        span.after(ESP_LEN),
    ))
}

/// What a datagram on port 4500 carries (RFC 3948, 2); None when it has none of the three shapes.
pub(super) fn udp_encapsulation(payload: Span<'_>) -> Option<UdpEncapsulation> {
    if payload.wire_len == 1 {
        return (payload.u8(0)? == 0xFF).then_some(UdpEncapsulation::Keepalive);
    }
    match payload.u32(0)? {
        0 if payload.wire_len >= MARKER_LEN + IKE_LEN => Some(UdpEncapsulation::Ike),
        spi @ FIRST_SPI.. if payload.wire_len >= ESP_LEN as u32 => {
            Some(UdpEncapsulation::Esp { spi })
        }
        _ => None,
    }
}

/// The port to which IKE and ESP move behind a NAT (RFC 3947).
pub(super) const NAT_PORT: u16 = 4500;
/// SPI and sequence number, in bytes.
const ESP_LEN: usize = 8;
/// The zero bytes in SPI place that mark IKE, in bytes.
const MARKER_LEN: u32 = 4;
/// An IKE header (RFC 7296, 3.1), in bytes.
const IKE_LEN: u32 = 28;
/// SPIs 1 to 255 are reserved (RFC 4303, 2.1).
const FIRST_SPI: u32 = 256;
