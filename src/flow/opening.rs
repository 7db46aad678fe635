//! The handshake that names a TCP flow.

use crate::decode::{Detail, Packet, TcpFlags};

/// The handshake that names a TCP flow: which end of the key opened it, with which initial
/// sequence number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Opening {
    pub(super) by_low: bool,
    pub(super) initial_sequence: u32,
}

impl Opening {
    /// The handshake that a packet is a part of: both a SYN and its answer name it.
    #[inline]
    pub(super) fn of(packet: &Packet<'_>, from_low: bool) -> Option<Self> {
        let Detail::Tcp { flags, sequence, acknowledgement } = packet.detail else {
            return None;
        };
        if !flags.has(TcpFlags::SYN) || flags.0 & (TcpFlags::RST | TcpFlags::FIN) != 0 {
            return None;
        }
        Some(if flags.has(TcpFlags::ACK) {
            Self { by_low: !from_low, initial_sequence: acknowledgement.wrapping_sub(1) }
        } else {
            Self { by_low: from_low, initial_sequence: sequence }
        })
    }
}
