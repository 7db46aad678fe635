//! What IPsec the flows of a finding came in, as far as filters must name it: other tools look into AH, and into
//! ESP without encryption only when told to.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::decode::{Carriage, Protector};
use crate::flow::Flow;

/// A form in which packets of a security association travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wrap {
    /// AH in IP.
    Ah,
    /// ESP in IP.
    Esp,
    /// Wrapped ESP in IP.
    Wesp,
    /// Any of them in UDP 4500.
    InUdp,
    /// Any of them in TCP 4500.
    InTcp,
}

/// The forms, and the ends of tunnels.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Wraps {
    pub(super) forms: BTreeSet<Wrap>,
    /// The lowest [`MAX_ENDS`].
    pub(super) tunnel_ends: BTreeSet<IpAddr>,
}

/// Ends of tunnels that are kept: two tunnels.
const MAX_ENDS: usize = 4;

impl Wraps {
    /// Those of one flow.
    pub(super) fn of(flow: &Flow) -> Self {
        let mut wraps = Self::default();
        let Some(associations) = &flow.associations else { return wraps };
        for (_, association) in associations.iter() {
            wraps.forms.insert(match (association.carriage, association.protocol) {
                (Carriage::Udp, _) => Wrap::InUdp,
                (Carriage::Tcp, _) => Wrap::InTcp,
                (Carriage::Ip, Protector::Ah) => Wrap::Ah,
                (Carriage::Ip, Protector::Esp(_)) => Wrap::Esp,
                (Carriage::Ip, Protector::Wesp) => Wrap::Wesp,
            });
        }
        let tunnels = associations.tunnel.iter().flatten();
        wraps.tunnel_ends = tunnels.flat_map(|tunnel| [tunnel.ends.0, tunnel.ends.1]).collect();
        wraps
    }

    /// Adds others.
    pub(super) fn merge(&mut self, other: &Self) {
        self.forms.extend(&other.forms);
        self.tunnel_ends.extend(&other.tunnel_ends);
        while self.tunnel_ends.len() > MAX_ENDS {
            self.tunnel_ends.pop_last();
        }
    }
}

impl Wrap {
    /// As Wireshark names them. It does not look for ESP without encryption unless told to, so that behind AH
    /// there may be more as well.
    pub(super) fn display(self) -> &'static str {
        match self {
            Self::Ah => "ah",
            Self::Esp => "esp",
            Self::Wesp => "ip.proto == 141 || ipv6.nxt == 141",
            Self::InUdp => "udp.port == 4500",
            Self::InTcp => "tcp.port == 4500",
        }
    }

    /// As BPF names them.
    pub(super) fn bpf(self) -> &'static str {
        match self {
            Self::Ah => "ah",
            Self::Esp => "esp",
            Self::Wesp => "proto 141",
            Self::InUdp => "udp port 4500",
            Self::InTcp => "tcp port 4500",
        }
    }
}
