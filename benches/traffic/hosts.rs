//! The hosts of the site whose traffic is made up; `site.toml` beside this file gives them roles.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Hosts that do the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Group {
    Clients,
    FrontEnds,
    Mediation,
    Edges,
    Gateways,
    NameServers,
    /// Nobody the topology knows.
    Strangers,
}

/// Which addresses the hosts use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}

impl Group {
    /// How many hosts there are, and the last two bytes of the first one's address.
    fn place(self) -> (u64, u64) {
        match self {
            Self::Clients | Self::Strangers => (50_000, 0x0101),
            Self::FrontEnds => (6, 11),
            Self::Mediation => (3, 21),
            Self::Edges => (2, 31),
            Self::Gateways => (2, 41),
            Self::NameServers => (2, 51),
        }
    }

    /// The second byte of IPv4 addresses, and the second group of IPv6 addresses.
    fn net(self) -> u8 {
        match self {
            Self::Clients => 20,
            Self::Strangers => 99,
            _ => 1,
        }
    }

    /// A host by any number.
    pub(crate) fn host(self, number: u64, family: Family) -> IpAddr {
        let (count, base) = self.place();
        let at = base + number % count;
        match family {
            Family::V4 => Ipv4Addr::new(10, self.net(), (at >> 8) as u8, at as u8).into(),
            Family::V6 => Ipv6Addr::new(0xfd00, self.net().into(), 0, 0, 0, 0, 0, at as u16).into(),
        }
    }

    /// The initiator's host and port of a flow. Among clients no two flows share both, so that a
    /// flow made up is a flow counted.
    pub(crate) fn initiator(self, flow: u64, family: Family) -> (IpAddr, u16) {
        let (count, _) = self.place();
        (self.host(flow, family), 49_152 + (flow / count % 16_384) as u16)
    }
}
