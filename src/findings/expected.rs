//! What became of every service that the topology's hosts must offer.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::Case;
use super::case::Lookup;
use super::ipsec::protected::includes;
use super::tls_handshake_failed;
use crate::flow::Outcome;
use crate::policy::Required;

/// What became of an expected service. Of several flows the best state counts: a service that
/// answered once is there, and an explicit answer says more than silence. The order is that of
/// the variants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ExpectedState {
    /// No packet went to it.
    NeverSeen,
    /// Packets went to it, none came back.
    Unanswered,
    /// It was refused, by a reset or in the TLS handshake, and never anything better.
    Refused,
    /// A filter forbade it, and it was never seen.
    Prohibited,
    /// Traffic passed: established, in progress, one direction of it, or datagrams both ways.
    Seen,
}

impl ExpectedState {
    /// The stable name used in machine output.
    pub fn token(self) -> &'static str {
        match self {
            Self::NeverSeen => "never-seen",
            Self::Unanswered => "unanswered",
            Self::Refused => "refused",
            Self::Prohibited => "prohibited",
            Self::Seen => "seen",
        }
    }

    fn of(case: &Case<'_>) -> Self {
        let answered = case.judged.flow.counters[1].packets > 0;
        if tls_handshake_failed::failed(case) {
            return Self::Refused;
        }
        match case.judged.outcome {
            Outcome::Established | Outcome::MidStream | Outcome::OneSided => Self::Seen,
            Outcome::Datagram if answered => Self::Seen,
            Outcome::Datagram | Outcome::Unanswered => Self::Unanswered,
            Outcome::Refused => Self::Refused,
            Outcome::Prohibited => Self::Prohibited,
        }
    }
}

/// One expected service of the topology.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// The row id, such as `S03`.
    pub row: String,
    /// The initiating role, if the row names one.
    pub initiator_role: Option<String>,
    /// The responding host's name.
    pub responder: String,
    /// Its port.
    pub port: u16,
    /// The best state seen.
    pub state: ExpectedState,
}

/// Collects the states.
#[derive(Debug)]
pub(super) struct Roll {
    /// One for each of the policy's required services, in their order.
    states: Vec<ExpectedState>,
    /// Their positions by address and port.
    by_service: BTreeMap<(IpAddr, u16), Vec<usize>>,
}

impl Roll {
    pub(super) fn new(required: &[Required]) -> Self {
        let mut by_service: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        for (position, service) in required.iter().enumerate() {
            for &address in &service.addresses {
                by_service.entry((address, service.port)).or_default().push(position);
            }
        }
        Self { states: vec![ExpectedState::NeverSeen; required.len()], by_service }
    }

    pub(super) fn add(&mut self, case: &Case<'_>, lookup: &dyn Lookup) {
        let responder = case.judged.flow.responder();
        let Some(positions) = self.by_service.get(&(responder.address, responder.port)) else {
            return;
        };
        for &position in positions {
            let (Some(service), Some(state)) =
                (lookup.required().get(position), self.states.get_mut(position))
            else {
                continue;
            };
            let row = lookup.row(service.expectation);
            if includes(row.from, &case.initiator)
                && service.transports.contains(&case.judged.flow.transport.0)
            {
                *state = (*state).max(ExpectedState::of(case));
            }
        }
    }

    pub(super) fn finish(&self, lookup: &dyn Lookup) -> Vec<Expected> {
        lookup
            .required()
            .iter()
            .zip(&self.states)
            .map(|(service, &state)| Expected {
                row: lookup.row(service.expectation).id.to_owned(),
                initiator_role: service.initiator_role.clone(),
                responder: service.responder.clone(),
                port: service.port,
                state,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::testbed::{Sample, Testbed, flow, required_ldap, required_mediation};

    fn states(samples: &[Sample]) -> Vec<ExpectedState> {
        let bed =
            Testbed { required: vec![required_ldap(), required_mediation()], ..Testbed::default() };
        let expected = bed.summary(samples).expected;
        assert_eq!(expected[0].row, "I05");
        assert_eq!(expected[1].initiator_role.as_deref(), Some("front-end+director"));
        expected.iter().map(|entry| entry.state).collect()
    }

    fn ldap(outcome: Outcome) -> Sample {
        flow("10.0.1.11:51000", "10.0.1.41:389").outcome(outcome)
    }

    #[test]
    fn the_best_state_counts() {
        use ExpectedState::{NeverSeen, Prohibited, Refused, Seen, Unanswered};
        assert_eq!(states(&[]), [NeverSeen, NeverSeen]);
        for (outcomes, state) in [
            (vec![Outcome::Unanswered], Unanswered),
            (vec![Outcome::Refused, Outcome::Unanswered], Refused),
            (vec![Outcome::Refused, Outcome::Prohibited], Prohibited),
            (vec![Outcome::Established, Outcome::Prohibited], Seen),
            (vec![Outcome::MidStream], Seen),
            (vec![Outcome::OneSided], Seen),
        ] {
            let samples: Vec<Sample> = outcomes.into_iter().map(ldap).collect();
            assert_eq!(states(&samples), [state, NeverSeen], "{samples:?}");
        }
    }

    #[test]
    fn datagrams_must_go_both_ways() {
        let query = |back| flow("10.0.1.11:51000", "10.0.1.41:389").udp().packets(2, back);
        assert_eq!(states(&[query(1)])[0], ExpectedState::Seen);
        assert_eq!(states(&[query(0)])[0], ExpectedState::Unanswered);
    }

    #[test]
    fn transport_port_and_named_role_must_fit() {
        let samples = [
            flow("10.0.1.11:51000", "10.0.1.41:390"),
            flow("10.20.0.101:51000", "10.0.1.31:5070"),
            flow("10.0.1.11:51000", "10.0.1.31:5070").udp(),
        ];
        assert_eq!(states(&samples), [ExpectedState::NeverSeen; 2]);
        let right = flow("10.0.1.11:51000", "10.0.1.31:5070");
        assert_eq!(states(&[right])[1], ExpectedState::Seen);
    }
}
