//! One judged flow with everything a rule may ask about it, looked up once.
//!
//! Rules see a [`Case`] and not the policy, so that each can be read, and tested, by itself.

use std::fmt;
use std::net::IpAddr;

use super::{Deployment, Judged, silent_media};
use crate::decode::Transport;
use crate::flow::{DirectionBy, Flow};
use crate::identify::{Confidence, Identification};
use crate::policy::exports::HostPolicy;
use crate::policy::{
    Class, Expectation, ExpectationId, MediaSign, Misfit, Need, Party, Policy, PortSet, Profile,
    Required, RoleSet, Security,
};

/// A judged flow, who its ends are, and the rows that its verdict names.
#[derive(Debug, Clone)]
pub struct Case<'a> {
    /// The flow and what is known of it.
    pub judged: Judged<'a>,
    /// Who initiates.
    pub initiator: Party<'a>,
    /// Who responds.
    pub responder: Party<'a>,
    /// The row that explains the flow, or that its content contradicts.
    pub row: Option<Row<'a>>,
    /// For unexpected flows: the nearest row and the field that failed.
    pub nearest: Option<(Row<'a>, Misfit)>,
    /// Exemption rows whose media the flow is, and what tells so.
    pub exempt: Vec<(Row<'a>, MediaSign)>,
    /// Who uses IPsec with whom.
    pub(super) deployment: &'a Deployment,
    lookup: &'a dyn Lookup,
}

impl<'a> Case<'a> {
    /// Looks up what the verdict refers to.
    pub(super) fn of(
        judged: &Judged<'a>,
        lookup: &'a dyn Lookup,
        deployment: &'a Deployment,
    ) -> Self {
        let verdict = judged.verdict;
        Self {
            judged: *judged,
            initiator: lookup.party(judged.flow.initiator().address),
            responder: lookup.party(judged.flow.responder().address),
            row: verdict.expectation.map(|id| lookup.row(id)),
            nearest: verdict.nearest.map(|(id, misfit)| (lookup.row(id), misfit)),
            exempt: verdict.exempt.iter().map(|&(id, sign)| (lookup.row(id), sign)).collect(),
            deployment,
            lookup,
        }
    }

    /// Whether the application of the row that explains the flow answers every request.
    pub(super) fn answers(&self) -> bool {
        let row = self.judged.verdict.expectation;
        row.is_some_and(|id| self.lookup.expects_answer(id))
    }

    /// The row that expects the flow: neither contradicted by the content nor absent.
    pub(super) fn expected_by(&self) -> Option<Row<'a>> {
        match self.judged.verdict.class {
            Class::Confirmed
            | Class::PortOnly
            | Class::RangeUnconfirmed
            | Class::Infrastructure => self.row,
            Class::WrongProtocol | Class::Unexpected | Class::OutOfScope => None,
        }
    }

    /// The row that fits an unexpected flow in everything but its peers. A wide range fits too much
    /// to say so.
    pub(super) fn expected_of_others(&self) -> Option<Row<'a>> {
        match self.nearest {
            Some((row, Misfit::Peer)) if !row.is_wide() => Some(row),
            _ => None,
        }
    }

    /// Whether an address is a gateway's, whose tunnels are no policy of hosts.
    pub(super) fn is_gateway(&self, address: IpAddr) -> bool {
        self.lookup.is_gateway(address)
    }

    /// The exemption row to name first of some: one about the role that a host is mainly known by, of several
    /// the first.
    pub(super) fn lead<'r>(&self, rows: impl Iterator<Item = Row<'r>>) -> Option<ExpectationId> {
        let mains = [self.initiator.role, self.responder.role];
        let aside = |row: &Row<'_>| {
            let roles = self.lookup.role_names(RoleSet(row.from.0 | row.to.0));
            !mains.iter().flatten().any(|main| roles.contains(main))
        };
        rows.map(|row| (aside(&row), row.key)).min().map(|(_, key)| key)
    }

    /// Whether the topology gives an address any role.
    pub(super) fn is_known(&self, address: IpAddr) -> bool {
        self.lookup.party(address).roles.0 != 0
    }

    /// Whether media is a matter of both ends, by the rows about their roles.
    pub(super) fn may_be_media(&self) -> bool {
        [&self.initiator, &self.responder]
            .iter()
            .all(|party| party.roles.0 != 0 && self.lookup.carries_media(party.roles))
    }

    /// Whether the strict reading is in force.
    pub(super) fn strict(&self) -> bool {
        self.lookup.strict()
    }

    /// Which edition of the tables is in force.
    pub(super) fn profile(&self) -> Profile {
        self.lookup.profile()
    }

    /// Whether it speaks a version of a protocol that is a leftover.
    pub(super) fn speaks_legacy(&self) -> bool {
        self.judged.verdict.class != Class::OutOfScope
            && self.lookup.speaks_legacy(self.judged.identification)
    }

    /// For a flow that nothing explains and whose content is media, plainly or as announced: the row whose media ports
    /// it misses, and whose port misses them.
    pub(super) fn media_outside(&self) -> Option<(Row<'a>, Misfit)> {
        let announced = self.announced_unseen();
        if self.judged.verdict.class != Class::Unexpected || !(self.plainly() || announced) {
            return None;
        }
        let media = silent_media::identification();
        let what = if announced { &media } else { self.judged.identification };
        let (id, misfit) = self.lookup.media_outside(self.judged.flow, what)?;
        Some((self.lookup.row(id), misfit))
    }

    /// Whether the flow was announced for media, by what its ends or others said before.
    pub(super) fn announced_media(&self) -> bool {
        let announced = self.judged.verdict.announced.as_ref();
        announced.is_some_and(|announced| announced.announcement.kind.is_media())
    }

    /// Whether it was announced for media and shows nothing itself. What it shows and is nothing known
    /// speaks against media.
    pub(super) fn announced_unseen(&self) -> bool {
        let what = self.judged.identification;
        self.announced_media() && what.protocol.is_none() && !what.payload_seen
    }

    /// For a flow that nothing explains: whether the rows know what it plainly speaks, and expect it
    /// on other ports only.
    pub(super) fn speaks_elsewhere(&self) -> bool {
        let edition = matches!(self.nearest, Some((_, Misfit::Edition)));
        self.judged.verdict.class == Class::Unexpected
            && self.plainly()
            && !edition
            && self.expected_of_others().is_none()
            && self.lookup.speaks_elsewhere(self.judged.flow, self.judged.identification)
    }

    /// Whether its content is recognised beyond doubt.
    fn plainly(&self) -> bool {
        self.judged.identification.confidence == Some(Confidence::High)
    }

    /// How sure it is that the initiator initiates.
    pub(super) fn direction_confidence(&self) -> Confidence {
        match self.judged.flow.direction {
            DirectionBy::Syn | DirectionBy::SynAck => Confidence::High,
            DirectionBy::FirstSpeaker | DirectionBy::Policy | DirectionBy::Port => {
                Confidence::Medium
            }
            DirectionBy::Unknown => Confidence::Low,
        }
    }
}

/// What rules need of one policy row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row<'p> {
    /// Its position in the policy.
    pub key: ExpectationId,
    /// The row id shown to users, such as `S03`.
    pub id: &'p str,
    /// The layer it comes from.
    pub layer: &'p str,
    /// The service as the source calls it.
    pub service: &'p str,
    /// Roles that initiate; empty means anyone.
    pub from: RoleSet,
    /// Roles that respond; empty means anyone.
    pub to: RoleSet,
    /// IP protocol numbers.
    pub transports: &'p [u8],
    /// The responder's ports as sorted, inclusive ranges; empty means any.
    pub ports: &'p [(u16, u16)],
    /// The initiator's ports, where the row names them.
    pub from_ports: Option<&'p [(u16, u16)]>,
    /// The application's stable name.
    pub application: Option<&'p str>,
    /// What must protect it.
    pub security: Security,
    /// A media row.
    pub media: bool,
    /// Infrastructure rather than the product.
    pub infrastructure: bool,
    /// A leftover in the edition in force.
    pub legacy: bool,
}

impl<'p> Row<'p> {
    fn of(key: ExpectationId, row: &'p Expectation) -> Self {
        Self {
            key,
            id: &row.id,
            layer: &row.layer,
            service: &row.service,
            from: row.from,
            to: row.to,
            transports: &row.transports,
            ports: row.ports.ranges(),
            from_ports: row.from_ports.as_ref().map(PortSet::ranges),
            application: row.application.as_deref(),
            security: row.security,
            media: row.media,
            infrastructure: row.infrastructure,
            legacy: row.legacy,
        }
    }

    /// Whether the row names too many ports for one of them to identify a service.
    pub fn is_wide(&self) -> bool {
        let count: u32 =
            self.ports.iter().map(|&(low, high)| u32::from(high.saturating_sub(low)) + 1).sum();
        self.ports.is_empty() || count > Expectation::WIDE
    }

    /// Whether the row names the port.
    pub(super) fn contains(&self, port: u16) -> bool {
        self.ports.iter().any(|&(low, high)| (low..=high).contains(&port))
    }
}

/// The row with its transports and ports, such as `S13 tcp/8080` or `S10 tcp+udp/57501-65535`;
/// any port goes without saying.
impl fmt::Display for Row<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id)?;
        for (position, number) in self.transports.iter().enumerate() {
            let lead = if position == 0 { ' ' } else { '+' };
            write!(f, "{lead}{}", Transport(*number))?;
        }
        if matches!(self.ports, [(0 | 1, u16::MAX)]) {
            return Ok(());
        }
        for (position, (low, high)) in self.ports.iter().enumerate() {
            let lead = match (position, self.transports.is_empty()) {
                (0, true) => " port ",
                (0, false) => "/",
                _ => ",",
            };
            if low == high {
                write!(f, "{lead}{low}")?;
            } else {
                write!(f, "{lead}{low}-{high}")?;
            }
        }
        Ok(())
    }
}

/// The few answers this room needs of a policy.
pub(super) trait Lookup: fmt::Debug + Sync {
    /// Who an address is.
    fn party(&self, address: IpAddr) -> Party<'_>;
    /// One row.
    fn row(&self, id: ExpectationId) -> Row<'_>;
    /// Whether a request without any answer is a failure, by the row's application.
    fn expects_answer(&self, id: ExpectationId) -> bool;
    /// Names of a role set.
    fn role_names(&self, set: RoleSet) -> Vec<&str>;
    /// What the topology's hosts must be reachable on.
    fn required(&self) -> &[Required];
    /// Exemption rows and whether the topology has a host of the role.
    fn exemptions(&self) -> Vec<(ExpectationId, bool)>;
    /// Whether a media row or an exemption row names one of some roles.
    fn carries_media(&self, roles: RoleSet) -> bool;
    /// What each exemption row asks of the topology's hosts.
    fn needs(&self) -> Vec<Need<'_>>;
    /// The IPsec policies that hosts were found to have.
    fn exported(&self) -> &[HostPolicy];
    /// Whether the topology declares IPsec deployed.
    fn ipsec_declared(&self) -> bool;
    /// Whether the topology declares an address to be a gateway's.
    fn is_gateway(&self, address: IpAddr) -> bool;
    /// Whether the strict reading is in force.
    fn strict(&self) -> bool;
    /// Which edition of the tables is in force.
    fn profile(&self) -> Profile;
    /// The media row that a flow of media misses: `OwnPort` for the initiator's, else `Port`.
    fn media_outside(&self, flow: &Flow, what: &Identification) -> Option<(ExpectationId, Misfit)>;
    /// Whether the content is a version of a protocol that is a leftover.
    fn speaks_legacy(&self, what: &Identification) -> bool;
    /// Whether rows of few ports speak the flow's protocol, and none of them on its port.
    fn speaks_elsewhere(&self, flow: &Flow, what: &Identification) -> bool;
}

impl Lookup for Policy {
    fn party(&self, address: IpAddr) -> Party<'_> {
        Self::party(self, address)
    }

    fn row(&self, id: ExpectationId) -> Row<'_> {
        Row::of(id, self.expectation(id))
    }

    fn expects_answer(&self, id: ExpectationId) -> bool {
        Self::expects_answer(self, id)
    }

    fn role_names(&self, set: RoleSet) -> Vec<&str> {
        Self::role_names(self, set)
    }

    fn required(&self) -> &[Required] {
        Self::required(self)
    }

    fn exemptions(&self) -> Vec<(ExpectationId, bool)> {
        Self::exemptions(self)
    }

    fn carries_media(&self, roles: RoleSet) -> bool {
        let names = |row: &Expectation| (row.from.0 | row.to.0) & roles.0 != 0;
        self.expectations().iter().any(|row| row.media && names(row))
            || self.exemptions().iter().any(|(id, _)| names(self.expectation(*id)))
    }

    fn needs(&self) -> Vec<Need<'_>> {
        Self::needs(self)
    }

    fn exported(&self) -> &[HostPolicy] {
        Self::exported(self)
    }

    fn ipsec_declared(&self) -> bool {
        Self::ipsec_declared(self)
    }

    fn is_gateway(&self, address: IpAddr) -> bool {
        self.ipsec_gateways().contains(&address.to_canonical())
    }

    fn strict(&self) -> bool {
        Self::strict(self)
    }

    fn profile(&self) -> Profile {
        Self::profile(self)
    }

    fn media_outside(&self, flow: &Flow, what: &Identification) -> Option<(ExpectationId, Misfit)> {
        Self::media_outside(self, flow, what)
    }

    fn speaks_legacy(&self, what: &Identification) -> bool {
        Self::speaks_legacy(self, what)
    }

    fn speaks_elsewhere(&self, flow: &Flow, what: &Identification) -> bool {
        Self::speaks_elsewhere(self, flow, what)
    }
}

#[cfg(test)]
mod tests {
    use crate::findings::testbed::{AUDIO, EXEMPT_IN, EXEMPT_OUT, SIP, SMB};

    #[test]
    fn rows_are_shown_with_transports_and_ports() {
        assert_eq!(SIP.to_string(), "S03 tcp/5061");
        assert_eq!(AUDIO.to_string(), "S40 tcp+udp/49152-57500");
        assert_eq!(EXEMPT_IN.to_string(), "X05 tcp+udp");
        assert_eq!(EXEMPT_OUT.to_string(), "X06 tcp+udp");
        assert_eq!(SMB.to_string(), "I09 tcp/139,445");
    }

    #[test]
    fn a_row_is_wide_by_its_number_of_ports_or_when_it_names_none() {
        assert!(!SIP.is_wide());
        assert!(AUDIO.is_wide());
        assert!(EXEMPT_IN.is_wide() && EXEMPT_OUT.is_wide());
    }
}
