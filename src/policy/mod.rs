//! Room 5: what was expected. Flows and identifications become [`Verdict`]s.
//!
//! In: layers of policy files, a topology, and flows with what they speak. Out: for each flow the
//! expectation that explains it, or the nearest one and the field that failed. The engine knows
//! nothing of any product: the built-in packs are data under `packs/`, in the same form as a
//! user's own file. It never sees a payload byte. Read [`Expectation`], then
//! [`compile`], then [`judge`].

pub mod asked;
pub mod boxes;
pub mod builtin;
pub mod compile;
pub mod diagnose;
pub mod explain;
pub mod exports;
pub mod file;
pub mod index;
pub mod infer;
pub mod judge;
pub mod learned;
pub mod ports;
pub mod roles;
pub mod topology;

mod elsewhere;
mod intervals;
mod layer;
mod names;
mod near;
mod needs;
mod openings;
mod orient;
mod read;
mod required;
mod rows;
mod terms;

#[cfg(test)]
mod fixture;

use std::path::PathBuf;

pub use compile::Policy;
pub use file::{Application, MediaSide};
pub use layer::Layer;
pub use learned::{Announced, Announcement, Conversation, Learned};
pub use needs::Need;
pub use openings::{Closed, Member, Opening, Openings, Who};
pub use ports::PortSet;
pub use roles::{Role, RoleSet};
pub use topology::Topology;

/// Which edition of the built-in tables is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Profile {
    /// Skype for Business Server 2015.
    Sfb2015,
    /// Skype for Business Server 2019: without XMPP, Persistent Chat, SQL mirroring and Mcx.
    #[default]
    Sfb2019,
}

/// Where a policy comes from.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The topology file, if any.
    pub topology: Option<PathBuf>,
    /// Further policy layers; later ones win.
    pub policies: Vec<PathBuf>,
    /// Leave the built-in packs out.
    pub no_builtin: bool,
    /// Which built-in tables.
    pub profile: Profile,
    /// The strict reading of every ambiguity.
    pub strict: bool,
}

/// What the rows of a pack are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PackKind {
    /// The product's own traffic.
    #[default]
    Product,
    /// The operating system's and the directory's traffic around it.
    Infrastructure,
    /// Traffic that IPsec must leave alone.
    Exemptions,
}

impl PackKind {
    /// The stable name used in files and machine output.
    pub fn token(self) -> &'static str {
        match self {
            Self::Product => "product",
            Self::Infrastructure => "infrastructure",
            Self::Exemptions => "exemptions",
        }
    }
}

/// A pack in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pack {
    /// Its name.
    pub name: String,
    /// What it holds, in a few words.
    pub title: String,
    /// The document it was taken from.
    pub source: String,
    /// What its rows are about.
    pub kind: PackKind,
    /// The layer: `built-in`, or the path of the file.
    pub layer: String,
    /// Its rows in force, after later layers replaced or dropped some and the profile chose.
    pub rows: usize,
}

/// A row that a later layer replaced or dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    /// The row's id.
    pub id: String,
    /// The layer it came from.
    pub from: String,
    /// The layer that replaced or dropped it.
    pub by: String,
    /// Whether nothing stands in its place.
    pub dropped: bool,
}

/// What protects the content, as an expectation demands it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// The row does not say; clear text and TLS both fit.
    Unspecified,
    /// Clear text (TLS is tolerated unless strict).
    None,
    /// TLS.
    Tls,
    /// TLS with certificates of both sides.
    Mtls,
    /// TLS or clear text by peer.
    TlsOrPlain,
}

impl Security {
    /// The word used in files and machine output; empty when the row does not say.
    pub fn token(self) -> &'static str {
        match self {
            Self::Unspecified => "",
            Self::None => "none",
            Self::Tls => "tls",
            Self::Mtls => "mtls",
            Self::TlsOrPlain => "tls-or-plain",
        }
    }
}

/// Position of an expectation in [`Policy::expectations`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExpectationId(pub u32);

/// One row of policy: who may open what to whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expectation {
    /// The row id shown to users, such as `S03`.
    pub id: String,
    /// The pack or file it comes from.
    pub pack: String,
    /// The layer it comes from: `built-in`, or the path of the file.
    pub layer: String,
    /// Roles that initiate; empty means anyone.
    pub from: RoleSet,
    /// Roles that respond; empty means anyone.
    pub to: RoleSet,
    /// TCP, UDP or both (or other IP protocols), by number.
    pub transports: Vec<u8>,
    /// The responder's ports.
    pub ports: PortSet,
    /// The initiator's ports, where the row names them.
    pub from_ports: Option<PortSet>,
    /// The application's stable name, such as `sip` or `media:audio`.
    pub application: Option<String>,
    /// What must protect it.
    pub security: Security,
    /// What must protect it between servers, where that is more than the row demands of others.
    pub between_servers: Option<Security>,
    /// A leftover in the edition in force: allowed, and told.
    pub legacy: bool,
    /// A media row: the ports belong to the role's host whoever sends first (UDP), and count only
    /// on the listening side for TCP.
    pub media: bool,
    /// Infrastructure of the operating system rather than of the product.
    pub infrastructure: bool,
    /// The service as the source calls it.
    pub service: String,
    /// Why the traffic is there.
    pub purpose: String,
    /// Remarks that `explain` shows: ambiguities and how they are settled.
    pub note: String,
}

impl Expectation {
    /// Ranges over this many ports match too much to explain a flow without its content.
    pub const WIDE: u32 = 1000;

    /// Whether the row matches by a wide range only.
    pub fn is_wide(&self) -> bool {
        self.ports.count() > Self::WIDE
    }
}

/// How a flow compares with the policy (design: verdict classes).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// An expectation matches and the content agrees.
    Confirmed,
    /// An expectation matches; the content cannot be seen.
    PortOnly,
    /// Only a wide range matches and the content does not say media.
    RangeUnconfirmed,
    /// Matches the infrastructure pack, not the product's table.
    Infrastructure,
    /// An expectation matches the port, the content contradicts it.
    WrongProtocol,
    /// No expectation matches.
    Unexpected,
    /// Neither endpoint has a role, or both are the same host.
    OutOfScope,
}

impl Class {
    /// Every class, in reporting order.
    pub const ALL: [Self; 7] = [
        Self::Confirmed,
        Self::PortOnly,
        Self::RangeUnconfirmed,
        Self::Infrastructure,
        Self::WrongProtocol,
        Self::Unexpected,
        Self::OutOfScope,
    ];

    /// The stable name used in machine output.
    pub fn token(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::PortOnly => "port-only",
            Self::RangeUnconfirmed => "range-unconfirmed",
            Self::Infrastructure => "infrastructure",
            Self::WrongProtocol => "wrong-protocol",
            Self::Unexpected => "unexpected",
            Self::OutOfScope => "out-of-scope",
        }
    }

    /// The class in a few words for people.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Confirmed => "expected, and the content agrees",
            Self::PortOnly => "expected by port; the content cannot be seen",
            Self::RangeUnconfirmed => "in a media range, but not shown to be media",
            Self::Infrastructure => "operating system and directory services",
            Self::WrongProtocol => "expected port, wrong content",
            Self::Unexpected => "no expectation matches",
            Self::OutOfScope => "no endpoint has a role",
        }
    }
}

/// Why the content contradicts an expectation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Contradiction {
    /// Clear text where TLS must be.
    ClearText,
    /// Another application than the row's.
    Application,
    /// TLS between two servers without the initiator's certificate, where both must show one.
    NoCertificate,
}

/// The field of the nearest expectation that did not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Misfit {
    /// The row's port and transport fit, but not from (or to) this peer.
    Peer,
    /// The row fits the other way round.
    Direction,
    /// The port fits with another transport.
    Transport,
    /// The content shows another application than the range row's.
    Content,
    /// No row of the role has the port.
    Port,
    /// The initiator sends media from a port outside of its own range.
    OwnPort,
    /// The row fits, but only earlier editions have it.
    Edition,
}

/// What makes a flow one that an exemption row is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MediaSign {
    /// A port of a range that is also the operating system's for short-lived ports: over UDP one way only,
    /// over TCP on the side that seems to listen, or between servers.
    SharedPort,
    /// A UDP port of such a range, both ways, or a TCP port of one on which a connection was seen to be opened.
    SharedRange,
    /// Any port: the strict reading leaves all of a role's traffic alone.
    AnyPort,
    /// A port that is media's alone: registered, or of a range that the site has set.
    OwnRange,
    /// Its content is media.
    Content,
}

/// What the policy says about one flow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The class.
    pub class: Class,
    /// The expectation that explains the flow, or that its content contradicts.
    pub expectation: Option<ExpectationId>,
    /// Further rows that explain it equally well (duplicates of the tables, overlapping ranges).
    pub others: Vec<ExpectationId>,
    /// Why the content contradicts the expectation. Also set for a flow that its row explains, where
    /// the lenient reading alone lets a missing certificate pass.
    pub contradiction: Option<Contradiction>,
    /// For unexpected flows: the nearest row and the field that failed.
    pub nearest: Option<(ExpectationId, Misfit)>,
    /// Exemption rows (`X01`…) whose media the flow is, by role and media range; what IPsec must
    /// leave alone, and what tells so.
    pub exempt: Vec<(ExpectationId, MediaSign)>,
    /// What content announced of the flow before.
    pub announced: Option<Box<Announced>>,
}

impl Verdict {
    /// The verdict on a flow that the policy is not about.
    pub fn out_of_scope() -> Self {
        Self {
            class: Class::OutOfScope,
            expectation: None,
            others: Vec::new(),
            contradiction: None,
            nearest: None,
            exempt: Vec::new(),
            announced: None,
        }
    }
}

/// Who an address is, by the topology.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Party<'p> {
    /// Its roles; empty for a host the topology does not know.
    pub roles: RoleSet,
    /// The role it is mainly known by: the first declared.
    pub role: Option<&'p str>,
    /// The name of its host or network entry.
    pub name: Option<&'p str>,
    /// Whether its main role is a server's.
    pub server: bool,
}

/// One expected service of the topology, for the list of what was seen and what was not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Required {
    /// The row.
    pub expectation: ExpectationId,
    /// The initiating role the row names, if any.
    pub initiator_role: Option<String>,
    /// The responding host's name.
    pub responder: String,
    /// Its addresses.
    pub addresses: Vec<std::net::IpAddr>,
    /// The port.
    pub port: u16,
    /// IP protocol numbers.
    pub transports: Vec<u8>,
}
