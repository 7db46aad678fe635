//! The handshake that names a TCP flow.

use super::observation::Observation;
use crate::decode::TcpFlags;

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
    pub(super) fn of(packet: &Observation<'_>) -> Option<Self> {
        let flags = packet.flags;
        if !flags.has(TcpFlags::SYN) || flags.0 & (TcpFlags::RST | TcpFlags::FIN) != 0 {
            return None;
        }
        Some(if flags.has(TcpFlags::ACK) {
            let initial_sequence = packet.acknowledgement.wrapping_sub(1);
            Self { by_low: !packet.from_low, initial_sequence }
        } else {
            Self { by_low: packet.from_low, initial_sequence: packet.sequence }
        })
    }
}
