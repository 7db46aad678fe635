//! Turns rows as written into expectations and the terms that the judge compares flows with.

use super::diagnose::{Diagnosis, Word};
use super::file::{MediaSide, Row};
use super::names::Names;
use super::ports::{self, PortSet};
use super::roles::RoleSet;
use super::terms::{Breadth, ExemptTerms, Opening, Responders, Terms};
use super::{Expectation, ExpectationId, PackKind, Profile, Security};
use crate::decode::Transport;

/// A row with every name resolved.
#[derive(Debug, Clone)]
pub(super) struct Resolved {
    pub(super) expectation: Expectation,
    pub(super) duty: Duty,
}

/// What a row is for.
#[derive(Debug, Clone)]
pub(super) enum Duty {
    /// It explains flows.
    Explain(Terms),
    /// It says what IPsec must leave alone.
    Exempt(ExemptTerms),
}

/// Where rows come from and how they are read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context<'c> {
    pub(super) names: &'c Names,
    pub(super) pack: &'c str,
    pub(super) layer: &'c str,
    pub(super) kind: PackKind,
    /// Roles that the topology gives to someone.
    pub(super) declared: RoleSet,
    pub(super) strict: bool,
    /// The edition in force.
    pub(super) profile: Profile,
}

/// Resolves a row; what is wrong with it goes to the diagnosis.
pub(super) fn resolve(row: &Row, context: &Context, diagnosis: &mut Diagnosis) -> Resolved {
    check_id(&row.id, diagnosis);
    let role = |word: &Option<Word>, diagnosis: &mut Diagnosis| {
        word.as_ref().map_or(RoleSet::EMPTY, |word| context.names.roles.resolve(word, diagnosis))
    };
    let transports =
        row.transport.as_ref().map_or_else(Vec::new, |word| read_transports(word, diagnosis));
    let mut expectation = Expectation {
        id: row.id.text.clone(),
        pack: context.pack.to_owned(),
        layer: context.layer.to_owned(),
        from: role(&row.from, diagnosis),
        to: role(&row.to, diagnosis),
        transports,
        ports: PortSet::default(),
        from_ports: None,
        application: row.application.as_ref().map(|word| word.text.clone()),
        security: read_security(row.security.as_ref(), diagnosis),
        between_servers: row.between_servers,
        legacy: row.legacy.is_some_and(|since| since <= context.profile),
        media: row.media,
        infrastructure: context.kind == PackKind::Infrastructure,
        service: row.service.clone(),
        purpose: row.purpose.clone(),
        note: row.note.clone(),
    };
    expectation.ports = read_ports(row, &expectation.transports, context, diagnosis);
    expectation.from_ports = row.from_port.as_ref().map(|word| {
        check_has_ports(word, &expectation.transports, diagnosis);
        ports::parse(word, context.names, diagnosis)
    });
    check_application(row, context.names, diagnosis);
    let duty = if context.kind == PackKind::Exemptions {
        let own = role(&row.role, diagnosis);
        Duty::Exempt(exempt_terms(row, own, &mut expectation, context, diagnosis))
    } else {
        let balances = role(&row.balances, diagnosis);
        Duty::Explain(terms(row, balances, &expectation, context))
    };
    Resolved { expectation, duty }
}

fn terms(row: &Row, balances: RoleSet, expectation: &Expectation, context: &Context) -> Terms {
    let application =
        expectation.application.as_ref().and_then(|name| context.names.applications.get(name));
    let relaxed = row.relax && !expectation.to.meets(context.declared);
    let ported = has_ports(&expectation.transports);
    Terms {
        from: expectation.from,
        to: if relaxed { RoleSet::EMPTY } else { expectation.to },
        responders: if relaxed { Responders::Strangers } else { Responders::ByRole },
        balances,
        ports: expectation.ports.clone(),
        from_ports: expectation.from_ports.clone(),
        breadth: match (ported, expectation.is_wide() && !asked_from_few(expectation)) {
            (false, _) => Breadth::NoPorts,
            (true, false) => Breadth::Specific,
            (true, true) => Breadth::Wide,
        },
        media: row.media,
        infrastructure: expectation.infrastructure,
        port_source: row.port_source,
        content_required: row.content_required && !set_by_site(row.port.as_ref(), context),
        security: expectation.security,
        between_servers: expectation.between_servers,
        speaks: application.map(spoken),
        opening: match application {
            Some(application) if !application.tls => Opening::Own,
            _ => Opening::OwnOrTls,
        },
    }
}

/// Whether the initiator's ports name a service: answers that come back as a flow of their own.
fn asked_from_few(expectation: &Expectation) -> bool {
    expectation.from_ports.as_ref().is_some_and(|ports| ports.count() <= Expectation::WIDE)
}

/// Detector tokens that agree with an application; media without any speaks what media speaks.
fn spoken(application: &super::Application) -> Vec<String> {
    if application.media && application.speaks.is_empty() {
        return MEDIA.map(str::to_owned).to_vec();
    }
    application.speaks.clone()
}

fn exempt_terms(
    row: &Row,
    own: RoleSet,
    expectation: &mut Expectation,
    context: &Context,
    diagnosis: &mut Diagnosis,
) -> ExemptTerms {
    let side = row.side.unwrap_or(match (&row.from, &row.to) {
        (Some(_), None) => MediaSide::From,
        _ => MediaSide::To,
    });
    // `role` is short for the roles of the row's side.
    match side {
        MediaSide::From => expectation.from = expectation.from.with(own),
        MediaSide::To => expectation.to = expectation.to.with(own),
        MediaSide::Any => {}
    }
    let (roles, own_port) = match side {
        MediaSide::From => (expectation.from, &row.from_port),
        MediaSide::To => (expectation.to, &row.port),
        MediaSide::Any => (own.with(expectation.from), &row.from_port),
    };
    let media_port = row.media_port.as_ref().or(own_port.as_ref());
    let by_transport = media_port.filter(|word| word.text.contains('/')).map(|word| {
        let both = [Transport::TCP.0, Transport::UDP.0];
        let named = &expectation.transports[..];
        let transports = if named.is_empty() { &both } else { named };
        ports::parse_by_transport(word, transports, context.names, diagnosis)
    });
    let ports = match (&by_transport, media_port) {
        (Some(sets), _) => PortSet::new(sets.iter().flat_map(|(_, set)| set.ranges()).copied()),
        (None, Some(word)) => ports::parse(word, context.names, diagnosis),
        (None, None) => PortSet::any(),
    };
    if side == MediaSide::Any {
        expectation.from = roles;
    }
    let set_by_site = set_by_site(media_port, context);
    let content_required =
        !set_by_site && (row.content_required || ports.count() > MOSTLY_EVERYTHING);
    // The table's rows name every port, but for the clients': that one names a range.
    let every_port = context.strict && side != MediaSide::Any;
    ExemptTerms {
        id: ExpectationId(0),
        roles,
        direction: side,
        transports: expectation.transports.clone(),
        ports: if every_port { PortSet::any() } else { ports.clone() },
        media_ports: ports,
        by_transport: by_transport.unwrap_or_default(),
        content_required: content_required && !every_port,
        set_by_site,
        strict: every_port,
    }
}

/// Whether a port is a range that this site has set itself. Then it is no guess any more, and
/// the ports alone may speak.
fn set_by_site(port: Option<&Word>, context: &Context) -> bool {
    port.and_then(|word| context.names.ranges.get(&word.text))
        .is_some_and(|range| range.set_by_site)
}

fn check_id(id: &Word, diagnosis: &mut Diagnosis) {
    let legal = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if !id.text.is_empty() && !id.text.chars().all(legal) {
        diagnosis.advise(
            &id.span,
            format!("'{}' cannot be a row id", id.text),
            "letters, digits, '-', '_' and '.'",
        );
    }
}

fn check_application(row: &Row, names: &Names, diagnosis: &mut Diagnosis) {
    if let Some(word) = &row.application
        && !names.applications.contains_key(&word.text)
    {
        let valid = names.applications.keys().map(String::as_str);
        diagnosis.unknown("application", word, valid);
    }
}

fn read_transports(word: &Word, diagnosis: &mut Diagnosis) -> Vec<u8> {
    if word.text == "any" {
        return Vec::new();
    }
    let mut numbers = Vec::new();
    for part in word.split('+') {
        let known = transport(&part.text);
        if known.is_none() {
            diagnosis.unknown("transport", &part, TRANSPORTS);
        }
        // A wrong one counts as one with ports, so that the row's ports are not blamed for it.
        numbers.push(known.unwrap_or(Transport::TCP).0);
    }
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

/// A transport by its stable name, or `ip-89`.
pub(super) fn transport(name: &str) -> Option<Transport> {
    (0..=u8::MAX).map(Transport).find(|transport| transport.to_string() == name)
}

fn read_security(word: Option<&Word>, diagnosis: &mut Diagnosis) -> Security {
    let Some(word) = word else {
        return Security::Unspecified;
    };
    let known = [Security::None, Security::Tls, Security::Mtls, Security::TlsOrPlain];
    let found = known.iter().find(|known| known.token() == word.text);
    found.copied().unwrap_or_else(|| {
        diagnosis.unknown("security", word, known.iter().map(|known| known.token()));
        Security::Unspecified
    })
}

fn read_ports(
    row: &Row,
    transports: &[u8],
    context: &Context,
    diagnosis: &mut Diagnosis,
) -> PortSet {
    match &row.port {
        Some(word) => {
            check_has_ports(word, transports, diagnosis);
            ports::parse(word, context.names, diagnosis)
        }
        None if has_ports(transports) && context.kind != PackKind::Exemptions => {
            if let Some(word) = &row.transport {
                diagnosis.advise(
                    &row.id.span,
                    format!("the row '{}' of {} names no port", row.id.text, word.text),
                    "write port = \"any\" if every port is meant",
                );
            }
            PortSet::default()
        }
        None if transports.is_empty() || context.kind == PackKind::Exemptions => PortSet::any(),
        None => PortSet::default(),
    }
}

fn check_has_ports(port: &Word, transports: &[u8], diagnosis: &mut Diagnosis) {
    if port.text == "any" {
        return;
    }
    let without =
        transports.iter().map(|number| Transport(*number)).find(|transport| !transport.has_ports());
    let (name, hint) = match without {
        Some(transport) => (transport.to_string(), "leave 'port' out"),
        None if transports.is_empty() => ("any".into(), "name the transports, such as tcp+udp"),
        None => return,
    };
    let message = format!("port '{}' with the transport {name}, which has none", port.text);
    diagnosis.advise(&port.span, message, hint);
}

/// Whether flows of these transports have ports. Any transport counts as one without.
fn has_ports(transports: &[u8]) -> bool {
    transports.iter().any(|number| Transport(*number).has_ports())
}

/// Detector tokens of media where an application names none.
pub(super) const MEDIA: [&str; 4] = ["rtp", "rtcp", "stun", "dtls"];
/// A media range over more ports than this cannot tell media from anything else.
const MOSTLY_EVERYTHING: u32 = 32_768;
/// Transports named in advice; others may be written as `ip-89`.
const TRANSPORTS: [&str; 10] =
    ["tcp", "udp", "sctp", "icmp", "icmpv6", "igmp", "esp", "ah", "gre", "any"];
