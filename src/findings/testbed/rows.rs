//! The rows of the testbed's policy.

use crate::findings::Row;
use crate::policy::{ExpectationId, RoleSet, Security};

const FRONT_END: RoleSet = RoleSet(2);
const MEDIATION: RoleSet = RoleSet(4);
pub(super) const ANYONE: RoleSet = RoleSet(0);

const BASE: Row<'static> = Row {
    key: ExpectationId(0),
    id: "",
    layer: "built-in",
    service: "",
    from: ANYONE,
    to: ANYONE,
    transports: &[6],
    ports: &[],
    from_ports: None,
    application: None,
    security: Security::Unspecified,
    media: false,
    infrastructure: false,
    legacy: false,
};

pub(in crate::findings) const SIP: Row<'static> = Row {
    key: ExpectationId(0),
    id: "S03",
    service: "Front-End service",
    to: FRONT_END,
    ports: &[(5061, 5061)],
    application: Some("sip"),
    security: Security::Tls,
    ..BASE
};
pub(in crate::findings) const WEB: Row<'static> = Row {
    key: ExpectationId(1),
    id: "S13",
    service: "Web Compatibility service",
    to: FRONT_END,
    ports: &[(8080, 8080)],
    application: Some("http"),
    ..BASE
};
pub(in crate::findings) const AUDIO: Row<'static> = Row {
    key: ExpectationId(2),
    id: "S40",
    service: "audio",
    to: RoleSet(6),
    transports: &[6, 17],
    ports: &[(49152, 57500)],
    application: Some("media:audio"),
    media: true,
    ..BASE
};
pub(in crate::findings) const MEDIATION_SIP: Row<'static> = Row {
    key: ExpectationId(3),
    id: "S47",
    service: "Mediation service",
    from: FRONT_END,
    to: MEDIATION,
    ports: &[(5070, 5070)],
    application: Some("sip"),
    ..BASE
};
pub(in crate::findings) const LDAP: Row<'static> = Row {
    key: ExpectationId(4),
    id: "I05",
    service: "LDAP",
    to: RoleSet(8),
    transports: &[6, 17],
    ports: &[(389, 389)],
    application: Some("ldap"),
    infrastructure: true,
    ..BASE
};
pub(in crate::findings) const DNS: Row<'static> = Row {
    key: ExpectationId(5),
    id: "I01",
    service: "DNS",
    transports: &[6, 17],
    ports: &[(53, 53)],
    application: Some("dns"),
    infrastructure: true,
    ..BASE
};
pub(in crate::findings) const SYSLOG: Row<'static> = Row {
    key: ExpectationId(6),
    id: "I20",
    service: "syslog",
    transports: &[17],
    ports: &[(514, 514)],
    application: Some("syslog"),
    infrastructure: true,
    ..BASE
};
pub(in crate::findings) const SMB: Row<'static> = Row {
    key: ExpectationId(7),
    id: "I09",
    service: "SMB and NetBIOS",
    ports: &[(139, 139), (445, 445)],
    infrastructure: true,
    ..BASE
};
pub(in crate::findings) const EDGE_SIP: Row<'static> = Row {
    key: ExpectationId(8),
    id: "E01",
    service: "Access Edge",
    to: RoleSet(16),
    ports: &[(443, 443)],
    ..BASE
};
pub(in crate::findings) const EXEMPT_IN: Row<'static> = Row {
    key: ExpectationId(9),
    id: "X05",
    service: "Mediation Server Inbound",
    to: MEDIATION,
    transports: &[6, 17],
    ..BASE
};
pub(in crate::findings) const EXEMPT_OUT: Row<'static> = Row {
    key: ExpectationId(10),
    id: "X06",
    service: "Mediation Server Outbound",
    from: MEDIATION,
    transports: &[6, 17],
    ports: &[(0, 65535)],
    ..BASE
};
pub(in crate::findings) const EXEMPT_EXCHANGE: Row<'static> = Row {
    key: ExpectationId(11),
    id: "X11",
    service: "Exchange Inbound",
    to: RoleSet(32),
    transports: &[6, 17],
    ..BASE
};

pub(in crate::findings) const RPC: Row<'static> = Row {
    key: ExpectationId(12),
    id: "I29",
    service: "RPC",
    to: RoleSet(8),
    ports: &[(49152, 65535)],
    application: Some("dcerpc"),
    infrastructure: true,
    ..BASE
};

pub(in crate::findings) const LOGGING: Row<'static> = Row {
    key: ExpectationId(13),
    id: "N13",
    service: "Centralized logging",
    ports: &[(50001, 50003)],
    security: Security::Mtls,
    ..BASE
};

pub(in crate::findings) const MOBILITY: Row<'static> = Row {
    key: ExpectationId(14),
    id: "S17",
    service: "Mobility Services component",
    to: FRONT_END,
    ports: &[(5086, 5086)],
    application: Some("sip"),
    security: Security::Mtls,
    legacy: true,
    ..BASE
};

pub(in crate::findings) const ROWS: [Row<'static>; 15] = [
    SIP,
    WEB,
    AUDIO,
    MEDIATION_SIP,
    LDAP,
    DNS,
    SYSLOG,
    SMB,
    EDGE_SIP,
    EXEMPT_IN,
    EXEMPT_OUT,
    EXEMPT_EXCHANGE,
    RPC,
    LOGGING,
    MOBILITY,
];
