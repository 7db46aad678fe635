//! Where content belongs: media outside of the ports that its host must use, protocols that the rows
//! know on other ports, and versions of protocols that belong to the past.

use super::judge::Ask;
use super::terms::Terms;
use super::{Expectation, ExpectationId, Misfit, Policy};
use crate::decode::Transport;
use crate::flow::Flow;
use crate::identify::Identification;

impl Policy {
    /// The media row of an end that carries media on a port outside of it: `OwnPort` for the
    /// initiator's, else `Port`. Over UDP both ends have media ports of their own, over TCP the
    /// listening one.
    pub fn media_outside(
        &self,
        flow: &Flow,
        identification: &Identification,
    ) -> Option<(ExpectationId, Misfit)> {
        let mut claims = identification.protocol.iter().chain(&identification.also);
        if !claims.any(|claim| MEDIA.contains(claim)) {
            return None;
        }
        let ask = self.ask(flow, identification);
        let missed = |own: usize, misfit| Some((self.missed(&ask, own)?, misfit));
        let responder = missed(1, Misfit::Port);
        match flow.transport {
            Transport::UDP => responder.or_else(|| missed(0, Misfit::OwnPort)),
            _ => responder,
        }
    }

    /// The nearest media row of one end, where none holds its port.
    fn missed(&self, ask: &Ask<'_>, own: usize) -> Option<ExpectationId> {
        let end = &ask.ends[own];
        let port = end.port?;
        let mut nearest: Option<(u16, ExpectationId)> = None;
        for (position, (terms, row)) in self.terms.iter().zip(&self.expectations).enumerate() {
            let own = terms.as_ref().is_some_and(|t| t.media && t.to.meets(end.roles));
            if !own || !row.transports.contains(&ask.transport.0) {
                continue;
            }
            let near = (row.ports.distance(port)?, ExpectationId(position as u32));
            if near.0 == 0 {
                return None;
            }
            nearest = Some(nearest.map_or(near, |known| known.min(near)));
        }
        nearest.map(|(_, id)| id)
    }

    /// Whether the content is a version of a protocol that the policy calls a leftover.
    pub fn speaks_legacy(&self, identification: &Identification) -> bool {
        self.legacy.iter().any(|legacy| {
            identification.protocol == Some(&legacy.protocol)
                && identification.facts.get(&legacy.fact) == Some(&legacy.value)
        })
    }

    /// Whether rows of few ports speak what the flow speaks, and none of them on its port, over any
    /// transport. Rows that only earlier editions have do not count, nor do protocols that programs of
    /// every kind speak.
    pub fn speaks_elsewhere(&self, flow: &Flow, identification: &Identification) -> bool {
        if identification.protocol.is_none_or(|protocol| EVERYBODYS.contains(&protocol)) {
            return false;
        }
        let ask = self.ask(flow, identification);
        let few = |terms: &Terms| terms.ports.count() <= Expectation::WIDE;
        let home = |terms: &Terms| few(terms) && terms.agrees(&ask.content);
        let [initiator, responder] = ask.ends;
        let here = |port| {
            let transports = [Transport::TCP, Transport::UDP, Transport::SCTP];
            let rows = transports.into_iter().flat_map(|over| self.rows_at(over, port));
            rows.into_iter().any(|(_, terms)| home(terms))
        };
        // Answers captured without their requests come from the service's port.
        !here(responder.port) && !here(initiator.port) && self.terms.iter().flatten().any(home)
    }
}

/// Detector tokens of media itself. What only prepares it, such as connectivity checks, may come from
/// any port.
const MEDIA: [&str; 2] = ["rtp", "rtcp"];
/// Detector tokens of protocols that tell nothing of a service: it need not be one of the rows' that
/// was moved.
const EVERYBODYS: [&str; 3] = ["http", "tls", "dtls"];

#[cfg(test)]
mod tests {
    use super::super::fixture::{SITE, flow, id, policy, read, speaks};
    use super::*;

    fn outside(policy: &Policy, text: &str, protocol: &'static str) -> (String, Option<Misfit>) {
        let found = policy.media_outside(&flow(text), &speaks(protocol));
        let row = id(policy, found.map(|(row, _)| row)).to_owned();
        (row, found.map(|(_, misfit)| misfit))
    }

    #[test]
    fn media_belongs_into_the_range_of_the_role() {
        let policy = policy(SITE);
        let none = ("-".to_owned(), None);
        let there = "udp 203.0.113.9:6000 -> 10.0.1.11:30000";
        assert_eq!(outside(&policy, there, "rtp"), ("S40".into(), Some(Misfit::Port)));
        let back = "udp 10.0.1.11:30000 -> 203.0.113.9:6000";
        assert_eq!(outside(&policy, back, "rtcp"), ("S40".into(), Some(Misfit::OwnPort)));
        let within = "udp 203.0.113.9:6000 -> 10.0.1.11:50000";
        assert_eq!(outside(&policy, within, "rtp"), none);
        assert_eq!(outside(&policy, there, "stun"), none);
        assert_eq!(outside(&policy, there, "sip"), none);
        // No row says where this role has media.
        assert_eq!(outside(&policy, "udp 203.0.113.9:6000 -> 10.0.1.20:30000", "rtp"), none);
        // Over TCP the port of who connects is ephemeral.
        assert_eq!(outside(&policy, "tcp 10.0.1.11:30000 -> 203.0.113.9:6000", "rtp"), none);
        let listens = "tcp 203.0.113.9:6000 -> 10.0.1.11:30000";
        assert_eq!(outside(&policy, listens, "rtp"), ("S40".into(), Some(Misfit::Port)));
    }

    #[test]
    fn the_range_that_a_site_sets_for_clients_is_theirs() {
        let site = format!("{SITE}\n[media]\nclient = [\"50020-50059\"]\n");
        let policy = policy(&site);
        let told = outside(&policy, "udp 203.0.113.9:6000 -> 10.0.20.5:51000", "rtp");
        assert_eq!(told, ("C08".into(), Some(Misfit::Port)));
    }

    #[test]
    fn a_version_of_a_protocol_may_be_a_leftover() {
        let old = "pack = \"old\"\n[[legacy]]\nprotocol = \"smb\"\nfact = \"smb_dialect\"\nvalue = \"1\"\n";
        let policy = read(SITE, &[old], false).unwrap();
        let smb = |dialect: &'static str| {
            let mut smb = speaks("smb");
            smb.facts.set("smb_dialect", dialect);
            policy.speaks_legacy(&smb)
        };
        assert!(smb("1"));
        assert!(!smb("3.1.1"));
        assert!(!policy.speaks_legacy(&speaks("smb")));
        let told = read(SITE, &[&old.replace("\"smb\"", "\"smbb\"")], false).unwrap_err();
        assert!(told.to_string().contains("unknown protocol 'smbb'"), "{told}");
    }

    #[test]
    fn a_protocol_of_the_rows_on_another_port_is_elsewhere() {
        let policy = policy(SITE);
        let elsewhere =
            |text: &str, protocol| policy.speaks_elsewhere(&flow(text), &speaks(protocol));
        assert!(elsewhere("tcp 10.0.20.5:50000 -> 10.0.1.11:8888", "sip"));
        assert!(elsewhere("udp 10.0.20.5:50000 -> 10.0.1.11:8888", "sip"));
        assert!(!elsewhere("udp 10.0.20.5:50000 -> 10.0.1.11:5061", "sip"), "another transport");
        assert!(!elsewhere("tcp 10.0.20.5:50000 -> 10.0.1.11:5062", "sip"));
        assert!(!elsewhere("tcp 10.0.20.5:5062 -> 10.0.1.11:8888", "sip"));
        // A port of the protocol, wherever it is expected.
        assert!(!elsewhere("tcp 10.0.20.5:50000 -> 10.0.1.11:1433", "tds"));
        assert!(!elsewhere("tcp 10.0.20.5:50000 -> 10.0.1.11:8888", "ssh"));
        assert!(!elsewhere("tcp 10.0.20.5:50000 -> 10.0.1.11:8888", "http"));
        assert!(!elsewhere("tcp 10.0.20.5:50000 -> 10.0.1.11:8888", "rtp"), "ranges have a rule");
    }
}
