//! Messages made by hand, for tests.

use super::*;
use crate::identify::ike::Vendors;
use crate::identify::ike::message::{Family, Phase, Sender};

/// A message in the few terms that matter.
#[derive(Debug, Clone, Copy)]
pub(in crate::findings) struct Told {
    pub(in crate::findings) cookie: u64,
    pub(in crate::findings) family: Family,
    pub(in crate::findings) exchange: u8,
    pub(in crate::findings) id: u32,
    /// Stands for its bytes.
    pub(in crate::findings) body: u32,
    /// Whether the responder's cookie is in it.
    pub(in crate::findings) answered: bool,
    pub(in crate::findings) error: Option<u16>,
    /// Whether it says that its sender initiates.
    pub(in crate::findings) knows: bool,
}

impl Default for Told {
    fn default() -> Self {
        Self {
            cookie: 7,
            family: Family::Ike1,
            exchange: 2,
            id: 0,
            body: 0,
            answered: false,
            error: None,
            knows: true,
        }
    }
}

/// Exchanges of every phase and family.
pub(in crate::findings) const KINDS: [(Family, u8); 6] = [
    (Family::Ike1, 2),
    (Family::Ike1, 5),
    (Family::Ike1, 32),
    (Family::AuthIp, 243),
    (Family::Ike2, 34),
    (Family::Ike2, 36),
];

pub(in crate::findings) fn message(told: &Told) -> Message {
    Message {
        family: told.family,
        exchange: told.exchange,
        phase: match told.exchange {
            5 | 37 => Phase::Informational,
            32 | 36 | 244 => Phase::Child,
            _ => Phase::Setup,
        },
        initiator: told.cookie,
        responder: u64::from(told.answered),
        flags: 0,
        id: told.id,
        length: 100,
        sender: if told.knows { Sender::Initiator } else { Sender::Unknown },
        vendors: Vendors::default(),
        error: told.error,
        continues: false,
        checksum: told.body,
    }
}

pub(in crate::findings) fn at(frame: u64) -> FrameRef {
    FrameRef { capture: 0, frame }
}

/// A host's end on the port of key exchange.
pub(in crate::findings) fn end(address: &str) -> Endpoint {
    Endpoint { address: address.parse().unwrap(), port: 500 }
}
