//! What the judge asks of a flow for one row, with everything resolved that can be before judging.

use super::file::{MediaSide, PortSource};
use super::ports::PortSet;
use super::roles::RoleSet;
use super::{ExpectationId, Security};
use crate::decode::Transport;
use crate::identify::{Confidence, Identification};

/// The conditions of a row.
#[derive(Debug, Clone)]
pub(super) struct Terms {
    /// Who may initiate; empty means anyone.
    pub(super) from: RoleSet,
    /// Who responds; empty means anyone, also where a relaxed row found no host of its roles.
    pub(super) to: RoleSet,
    pub(super) responders: Responders,
    /// The responder must balance one of these roles, where any are named.
    pub(super) balances: RoleSet,
    pub(super) ports: PortSet,
    pub(super) from_ports: Option<PortSet>,
    pub(super) breadth: Breadth,
    pub(super) media: bool,
    pub(super) infrastructure: bool,
    pub(super) port_source: PortSource,
    /// Never explains a flow whose content does not agree.
    pub(super) content_required: bool,
    pub(super) security: Security,
    /// What must protect it between servers, strictly.
    pub(super) between_servers: Option<Security>,
    /// Detector tokens that agree with the row's application, where it names one.
    pub(super) speaks: Option<Vec<String>>,
    pub(super) opening: Opening,
}

/// With what the row's application begins, where the row does not demand TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opening {
    /// With its own bytes, always.
    Own,
    /// With those or with TLS; many tables say "TCP" and mean so.
    OwnOrTls,
}

/// Who may respond.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Responders {
    /// Hosts of the row's roles, or anyone where it names none.
    ByRole,
    /// For a relaxed row of whose roles the topology has no host: any host that it does not know.
    /// One that it does know plays the roles it says and no other.
    Strangers,
}

/// How much a row's ports say by themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Breadth {
    /// The transport has no ports.
    NoPorts,
    /// Few enough ports to name a service.
    Specific,
    /// So many that only content can tell.
    Wide,
}

/// The conditions of an exemption row.
#[derive(Debug, Clone)]
pub(super) struct ExemptTerms {
    pub(super) id: ExpectationId,
    /// The role whose ports are meant; empty means anyone.
    pub(super) roles: RoleSet,
    /// Packets towards the role, from it, or both.
    pub(super) direction: MediaSide,
    /// IP protocol numbers; empty means any.
    pub(super) transports: Vec<u8>,
    /// The role's own ports, in the reading in force.
    pub(super) ports: PortSet,
    /// Those that carry media, in either reading.
    pub(super) media_ports: PortSet,
    /// The same by transport, where they differ.
    pub(super) by_transport: Vec<(u8, PortSet)>,
    pub(super) content_required: bool,
    /// The site has set the media ports.
    pub(super) set_by_site: bool,
    /// Any traffic of the role, listener or not: the strict reading.
    pub(super) strict: bool,
}

impl ExemptTerms {
    /// The ports that carry media over a transport.
    pub(super) fn media_ports_of(&self, transport: Transport) -> &PortSet {
        let own = self.by_transport.iter().find(|(number, _)| *number == transport.0);
        own.map_or(&self.media_ports, |(_, ports)| ports)
    }

    /// Those meant over a transport, in the reading in force.
    pub(super) fn ports_of(&self, transport: Transport) -> &PortSet {
        if self.strict { &self.ports } else { self.media_ports_of(transport) }
    }
}

/// One end of a flow as the judge sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct End {
    pub(super) roles: RoleSet,
    pub(super) balances: RoleSet,
    /// `None` stands for whatever port.
    pub(super) port: Option<u16>,
}

impl End {
    /// Whether the topology knows it.
    pub(super) fn known(&self) -> bool {
        !self.roles.is_empty() || !self.balances.is_empty()
    }

    pub(super) fn port_within(&self, ports: &PortSet) -> bool {
        self.port.is_none_or(|port| ports.contains(port))
    }
}

impl Terms {
    /// Whether the row may be used between the two.
    pub(super) fn fits(&self, initiator: &End, responder: &End) -> bool {
        self.answered_by(responder) && self.asked_by(initiator, responder)
    }

    /// Whether the responder is one of the row's. A load balancer stands for the role it balances,
    /// except for media, which never passes it; rows that name what is balanced are its own.
    pub(super) fn answered_by(&self, end: &End) -> bool {
        if !self.balances.is_empty() {
            return (self.to.is_empty() || self.to.meets(end.roles))
                && self.balances.meets(end.balances);
        }
        match self.responders {
            Responders::ByRole => self.to.is_empty() || self.names_responder(end),
            Responders::Strangers => !end.known(),
        }
    }

    /// Whether the row names a role that the responder plays or balances.
    pub(super) fn names_responder(&self, end: &End) -> bool {
        if !self.balances.is_empty() {
            return self.balances.meets(end.balances);
        }
        self.to.meets(end.roles) || (!self.media && self.to.meets(end.balances))
    }

    /// Whether the initiator is one of the row's. A load balancer that talks to a server behind it
    /// hides whom it talks for, so it may be anyone.
    pub(super) fn asked_by(&self, end: &End, responder: &End) -> bool {
        let from = self.from.is_empty()
            || self.from.meets(end.roles)
            || (!self.media && self.to.meets(end.balances) && end.balances.meets(responder.roles));
        from && self.from_ports.as_ref().is_none_or(|ports| end.port_within(ports))
    }

    /// Whether the content is the row's application in clear.
    pub(super) fn agrees(&self, content: &Content) -> bool {
        let speaks = self.speaks.as_deref().unwrap_or_default();
        content.any_of(speaks)
    }

    /// Whether content that cannot be seen was announced to be the row's application. A row that
    /// demands TLS wants to see it, and what was seen and is nothing known is not what was announced.
    pub(super) fn foretold(&self, content: &Content) -> bool {
        let speaks = self.speaks.as_deref().unwrap_or_default();
        let demands_tls = matches!(self.security, Security::Tls | Security::Mtls);
        let Some(announced) = content.announced else { return false };
        let hidden = content.guess.is_none_or(|guess| guess == announced);
        let silent = hidden && !content.text && !content.known() && !demands_tls;
        silent && speaks.iter().any(|token| token == announced)
    }

    /// Compares the content with what the row demands.
    pub(super) fn grade(&self, content: &Content, strict: bool) -> Grade {
        let demands_tls = matches!(self.security, Security::Tls | Security::Mtls);
        if !content.known() {
            // Whatever it is that begins with readable lines, it is no TLS.
            if content.text && demands_tls {
                return Grade::ClearText;
            }
            return if self.foretold(content) { Grade::Agrees } else { Grade::Unseen };
        }
        let agrees = self.agrees(content);
        if demands_tls && content.is_half_tls() {
            // One end begins with TLS and the other with something else: nothing is protected.
            return if agrees || self.speaks.is_none() {
                Grade::ClearText
            } else {
                Grade::Application
            };
        }
        if content.is_tls() {
            return self.grade_tls(content, agrees, strict);
        }
        match (agrees || self.speaks.is_none(), demands_tls) {
            (true, true) => Grade::ClearText,
            (false, _) => Grade::Application,
            (true, false) if agrees => Grade::Agrees,
            (true, false) => Grade::Uncompared,
        }
    }

    /// Whether servers show each other certificates, whatever the row demands of others.
    pub(super) fn mutual_between_servers(&self) -> bool {
        self.between_servers == Some(Security::Mtls)
    }

    /// Whether it is for anyone and says nothing of TLS. Then a row that names who initiates and demands
    /// TLS of them knows better.
    pub(super) fn leaves_open(&self) -> bool {
        self.from.is_empty() && self.security == Security::Unspecified
    }

    fn grade_tls(&self, content: &Content, agrees: bool, strict: bool) -> Grade {
        let demanded =
            matches!(self.security, Security::Tls | Security::Mtls | Security::TlsOrPlain);
        let mutual = self.security == Security::Mtls || (strict && self.mutual_between_servers());
        if mutual && content.lacks_certificate {
            return Grade::Certificate;
        }
        if agrees || demanded {
            return Grade::Agrees;
        }
        let only_content_tells = self.media || self.breadth == Breadth::Wide;
        if only_content_tells && self.speaks.is_some() {
            return Grade::Application;
        }
        match self.security {
            Security::None if strict => Grade::Application,
            // Its first bytes are its own; TLS from the middle may follow what was not captured.
            _ if self.opening == Opening::Own && content.opens_tls => Grade::Application,
            _ if self.speaks.is_none() => Grade::Uncompared,
            // Most rows say "TCP" where the product speaks TLS; that is no contradiction.
            _ => Grade::Unseen,
        }
    }
}

/// How content compares with a row, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Grade {
    /// It is what the row says.
    Agrees,
    /// Nothing speaks against it.
    Unseen,
    /// TLS without the certificate that a server shows to a server.
    Certificate,
    /// The right application, or any where the row names none, without the TLS demanded.
    ClearText,
    /// Another application.
    Application,
    /// Something, and the row names no application to compare it with. A row that does name one
    /// knows better, also when it is contradicted.
    Uncompared,
}

/// The identification as far as it may contradict.
#[derive(Debug, Clone, Copy)]
pub(super) struct Content<'i> {
    protocol: Option<&'i str>,
    also: &'i [&'static str],
    /// Readable lines that no detector knows.
    pub(super) text: bool,
    /// Of payload that was seen and not recognised: what it might be, or nothing known.
    guess: Option<&'static str>,
    /// A hello was seen, at the beginning of its connection.
    opens_tls: bool,
    /// What was announced of it.
    pub(super) announced: Option<&'static str>,
    /// A server opened TLS to a server and plainly showed no certificate.
    pub(super) lacks_certificate: bool,
}

impl<'i> Content<'i> {
    /// Nothing known.
    pub(super) const UNSEEN: Content<'static> = Content {
        protocol: None,
        also: &[],
        text: false,
        guess: None,
        opens_tls: false,
        announced: None,
        lacks_certificate: false,
    };

    /// Low confidence counts as nothing known. Only between servers does it matter whether the
    /// initiator showed a certificate: the same listener serves clients, who have none to show.
    pub(super) fn of(identification: &'i Identification, between_servers: bool) -> Self {
        match identification.confidence {
            Some(Confidence::Medium | Confidence::High) => Self {
                protocol: identification.protocol,
                also: &identification.also,
                text: false,
                guess: None,
                opens_tls: identification.confidence == Some(Confidence::High),
                announced: None,
                lacks_certificate: between_servers && lacks_certificate(identification),
            },
            Some(Confidence::Low) | None => Self {
                text: identification.facts.get("text").is_some(),
                guess: identification
                    .payload_seen
                    .then(|| identification.protocol.unwrap_or_default()),
                ..Self::UNSEEN
            },
        }
    }

    /// The same of a connection whose beginning was not captured.
    pub(super) fn without_its_beginning(self) -> Self {
        Self { opens_tls: false, ..self }
    }

    /// A protocol by name.
    pub(super) fn named(protocol: Option<&'i str>) -> Self {
        Self { protocol, ..Self::UNSEEN }
    }

    pub(super) fn known(&self) -> bool {
        self.protocol.is_some()
    }

    pub(super) fn any_of(&self, tokens: &[String]) -> bool {
        self.tokens().any(|claimed| tokens.iter().any(|token| token == claimed))
    }

    /// Whether TLS claims a stream beside a protocol that is none: each end speaks another one.
    fn is_half_tls(&self) -> bool {
        let claims = |wanted: fn(&str) -> bool| self.tokens().any(wanted);
        claims(|token| token == "tls") && claims(|token| token != "tls")
    }

    fn is_tls(&self) -> bool {
        self.tokens().any(|claimed| TLS.contains(&claimed))
    }

    fn tokens(&self) -> impl Iterator<Item = &str> {
        self.protocol.into_iter().chain(self.also.iter().copied())
    }
}

/// Whether a client plainly showed no certificate. A handshake that failed for another reason may have
/// ended before it came to that.
fn lacks_certificate(identification: &Identification) -> bool {
    let facts = &identification.facts;
    let Some(shown) = facts.get("client_certificate") else { return false };
    let failed = facts.get("tls_alert").is_some();
    // Who insists on a certificate and gets an empty list ends the handshake.
    let reason = shown == DECLINED && facts.get("tls_alert_by") == Some("server");
    BARE.contains(&shown) && (!failed || reason)
}

/// Detector tokens of TLS over streams and over datagrams.
const TLS: [&str; 2] = ["tls", "dtls"];
/// What the detector says of a client that plainly showed no certificate. Where that is hidden, by
/// TLS 1.3 or an earlier session, nothing is demanded.
const BARE: [&str; 2] = ["not-requested", DECLINED];
/// It was asked for one and had none.
const DECLINED: &str = "declined";
