//! One rule of a host's IPsec policy, in the same form whatever tool exported it.

use std::collections::BTreeSet;

use super::words::Addresses;
use crate::policy::PortSet;
use crate::policy::boxes::{self, Axis, Space, Span};

/// What a rule does with the traffic that it covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Leaves it alone.
    Exempt,
    /// Asks for IPsec, whether or not clear traffic is accepted as well.
    Secure,
    /// Discards it.
    Block,
    /// The export does not tell, or in words that are not understood.
    Unknown,
}

impl Action {
    /// The stable name used in machine output.
    pub fn token(self) -> &'static str {
        match self {
            Self::Exempt => "exempt",
            Self::Secure => "secure",
            Self::Block => "block",
            Self::Unknown => "unknown",
        }
    }
}

/// Whether a rule protects packets between two hosts or carries them through a tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Between the two ends themselves.
    Transport,
    /// Through a gateway.
    Tunnel,
}

/// Where a rule comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Store {
    /// The host's own policy.
    Local,
    /// Group Policy.
    GroupPolicy,
    /// The export does not tell.
    Unknown,
}

/// Which packets a rule is about, seen from the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Both: the rules of Windows have no direction, and either endpoint may be the host's.
    Either,
    /// Both, and which end is the host's is certain.
    Both,
    /// Those that the host sends.
    Out,
    /// Those that it receives.
    In,
}

/// A set of Windows' network profiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Profiles(u8);

impl Profiles {
    /// All three.
    pub const ALL: Self = Self(7);
    /// None.
    pub const NONE: Self = Self(0);
    /// Their names, by bit.
    pub const NAMES: [&'static str; 3] = ["domain", "private", "public"];

    /// The profile of that name, letters' case aside; all for `any` and `all`.
    pub fn named(name: &str) -> Option<Self> {
        if name.eq_ignore_ascii_case("any") || name.eq_ignore_ascii_case("all") {
            return Some(Self::ALL);
        }
        let position = Self::NAMES.iter().position(|known| known.eq_ignore_ascii_case(name))?;
        Some(Self(1 << position))
    }

    /// Those of both.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those that are not in the other.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Those that are in both.
    #[must_use]
    pub fn within(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Their names.
    pub fn names(self) -> Vec<&'static str> {
        let bits = Self::NAMES.iter().enumerate();
        bits.filter(|(bit, _)| self.0 & (1 << bit) != 0).map(|(_, name)| *name).collect()
    }

    /// Their places on the axis of profiles.
    pub fn spans(self) -> Vec<Span> {
        (0..3).filter(|bit| self.0 & (1 << bit) != 0).map(|bit| (bit, bit)).collect()
    }
}

/// Why rules of the host's own policy do not count.
pub(super) const MERGE_OFF: &str =
    "Group Policy switches local rules off (AllowLocalIPsecPolicyMerge is 0)";

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionRule {
    /// What the export calls it.
    pub name: String,
    /// The line or element of the export at which it begins, from 1.
    pub at: usize,
    /// What it does.
    pub action: Action,
    /// Between hosts or through a tunnel.
    pub mode: Mode,
    /// Whether it is switched on; `None` where the export does not tell.
    pub enabled: Option<bool>,
    /// Where it comes from.
    pub store: Store,
    /// The profiles it is in force in.
    pub profiles: Profiles,
    /// Which packets.
    pub direction: Direction,
    /// IP protocol number; `None` means any.
    pub protocol: Option<u8>,
    /// The host's addresses (endpoint 1).
    pub local: Addresses,
    /// The peer's addresses (endpoint 2).
    pub remote: Addresses,
    /// The host's ports.
    pub local_ports: PortSet,
    /// The peer's ports.
    pub remote_ports: PortSet,
    /// Ports that it may cover beyond those, the host's and the peer's: exports of the Linux kernel do not show
    /// the mask of a port.
    pub perhaps_ports: Option<[PortSet; 2]>,
    /// Which rule goes first where several match, the least number; `None` where exempting rules do.
    pub priority: Option<u32>,
    /// What narrows it beyond addresses and ports, such as a type of interface.
    pub limits: Vec<String>,
    /// What is worth knowing about it, such as ports that it covers beyond those asked for.
    pub remarks: Vec<String>,
    /// What of it is not understood, so that it can be counted on neither way.
    pub doubts: BTreeSet<String>,
    /// Of what it names on which axes a part is not understood: it may cover anything there.
    pub unread: Vec<Axis>,
    /// Why it is not in force although it is switched on.
    pub dead: Option<String>,
    /// Profiles that it names and that Group Policy takes from it: [`profiles`](Self::profiles) has the others.
    pub taken: Profiles,
}

impl ConnectionRule {
    /// A rule that covers everything and does nothing known.
    pub(super) fn new(name: impl Into<String>, at: usize) -> Self {
        Self {
            name: name.into(),
            at,
            action: Action::Unknown,
            mode: Mode::Transport,
            enabled: Some(true),
            store: Store::Unknown,
            profiles: Profiles::ALL,
            direction: Direction::Either,
            protocol: None,
            local: Addresses::any(),
            remote: Addresses::any(),
            local_ports: PortSet::any(),
            remote_ports: PortSet::any(),
            perhaps_ports: None,
            priority: None,
            limits: Vec::new(),
            remarks: Vec::new(),
            doubts: BTreeSet::new(),
            unread: Vec::new(),
            dead: None,
            taken: Profiles::NONE,
        }
    }

    pub(super) fn doubt(&mut self, what: impl Into<String>) {
        self.doubts.insert(what.into());
    }

    /// Doubts what it names on an axis.
    pub(super) fn doubt_on(&mut self, axis: Axis, what: impl Into<String>) {
        self.doubt(what);
        self.unread.push(axis);
    }

    /// Why it has no effect, if it has none.
    pub fn inactive(&self) -> Option<&str> {
        match (&self.dead, self.enabled) {
            (_, Some(false)) => Some("disabled"),
            (Some(why), _) => Some(why),
            _ => None,
        }
    }

    /// Why it has no effect on some of what it names, or on all of it.
    pub fn held_back(&self) -> Option<String> {
        if let Some(why) = self.inactive() {
            return Some(why.to_owned());
        }
        (!self.taken.is_empty())
            .then(|| format!("{MERGE_OFF} in the profile {}", self.taken.names().join(", ")))
    }

    /// The traffic that it names and has no effect on.
    pub fn without_effect(&self) -> Vec<Space> {
        let profiles = match self.inactive() {
            Some(_) => self.profiles.with(self.taken),
            None => self.taken,
        };
        let named = Self { profiles, ..self.clone() };
        if profiles.is_empty() { Vec::new() } else { named.spaces() }
    }

    /// Whether its effect is not known for certain.
    pub fn uncertain(&self) -> bool {
        self.action == Action::Unknown
            || self.enabled.is_none()
            || !self.doubts.is_empty()
            || self.local.words().chain(self.remote.words()).next().is_some()
    }

    /// Whether it is about traffic between hosts. A tunnel that secures belongs to gateways.
    pub fn between_hosts(&self) -> bool {
        self.mode == Mode::Transport || self.action != Action::Secure
    }

    /// The traffic that it covers: once, or also with the ends exchanged where either endpoint may be the
    /// host's.
    pub fn spaces(&self) -> Vec<Space> {
        self.both_ways(self.space([&self.local_ports, &self.remote_ports]))
    }

    /// The traffic that it may cover beyond that, for all the export shows.
    pub fn perhaps(&self) -> Vec<Space> {
        let ports = match &self.perhaps_ports {
            Some([local, remote]) => [local, remote],
            None if self.uncertain() => [&self.local_ports, &self.remote_ports],
            None => return Vec::new(),
        };
        let space = self.unread.iter().fold(self.space(ports), |space, axis| space.open(*axis));
        self.both_ways(space)
    }

    /// The traffic that it covers if endpoint 1 is the host's.
    pub fn written(&self) -> Space {
        self.space([&self.local_ports, &self.remote_ports])
    }

    fn both_ways(&self, space: Space) -> Vec<Space> {
        let mirrored = space.clone().mirrored();
        if self.direction == Direction::Either && mirrored != space {
            vec![space, mirrored]
        } else {
            vec![space]
        }
    }

    fn space(&self, [local_ports, remote_ports]: [&PortSet; 2]) -> Space {
        let direction = match self.direction {
            Direction::Either | Direction::Both => (0, 1),
            Direction::Out => (0, 0),
            Direction::In => (1, 1),
        };
        let protocol = self.protocol.map_or((0, 255), |number| (number.into(), number.into()));
        Space::everything()
            .with(Axis::Direction, vec![direction])
            .with(Axis::Profile, self.profiles.spans())
            .with(Axis::Protocol, vec![protocol])
            .with(Axis::Local, self.local.spans())
            .with(Axis::Remote, self.remote.spans())
            .with(Axis::LocalPort, boxes::port_spans(local_ports))
            .with(Axis::RemotePort, boxes::port_spans(remote_ports))
    }
}
