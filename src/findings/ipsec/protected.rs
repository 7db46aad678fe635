//! Which exemption rows are broken by traffic that came inside IPsec with readable headers.
//!
//! Each direction of a security association stands for itself: packets to a host of a role concern
//! its inbound row, packets from it the outbound row. What a declared gateway wraps is not the hosts' own policy
//! and breaks nothing.

use std::fmt;

use crate::decode::{Carriage, Protector};
use crate::findings::{Case, Row};
use crate::flow::{Association, Side};
use crate::policy::{MediaSign, Party, RoleSet};

/// A row with the protected packets that it wants unprotected.
#[derive(Debug, Clone, Copy)]
pub(in crate::findings) struct Protected<'a> {
    pub(in crate::findings) row: Row<'a>,
    pub(in crate::findings) sign: MediaSign,
    pub(in crate::findings) sender: Side,
    pub(in crate::findings) association: Association,
}

impl Protected<'_> {
    /// Whether the packets pass a tunnel of others than their own hosts.
    pub(in crate::findings) fn in_tunnel(&self, case: &Case<'_>) -> bool {
        let ends = case.judged.flow.ends.map(|end| end.address);
        ![(ends[0], ends[1]), (ends[1], ends[0])].contains(&self.association.ends)
    }
}

/// The exemption rows that a flow breaks; none without readable IPsec around it.
pub(in crate::findings) fn protected<'a>(case: &Case<'a>) -> Vec<Protected<'a>> {
    let flow = case.judged.flow;
    let Some(associations) = &flow.associations else {
        return Vec::new();
    };
    let mut broken = Vec::new();
    for &(row, sign) in &case.exempt {
        for (sender, &association) in associations.iter() {
            let (from, to) = association.ends;
            let gateways = case.is_gateway(from) || case.is_gateway(to);
            if !gateways && covers(&row, case, sender) {
                broken.push(Protected { row, sign, sender, association });
            }
        }
    }
    broken
}

/// Whether a row is about what `sender` sends.
pub(in crate::findings) fn covers(row: &Row<'_>, case: &Case<'_>, sender: Side) -> bool {
    let flow = case.judged.flow;
    let (from, to, port) = match sender {
        Side::A => (&case.initiator, &case.responder, flow.initiator().port),
        Side::B => (&case.responder, &case.initiator, flow.responder().port),
    };
    let port_fits = row
        .from_ports
        .is_none_or(|ranges| ranges.iter().any(|&(low, high)| (low..=high).contains(&port)));
    includes(row.from, from) && includes(row.to, to) && port_fits
}

/// Whether a role set, empty for anyone, includes a party.
pub(in crate::findings) fn includes(set: RoleSet, party: &Party<'_>) -> bool {
    set.0 == 0 || set.0 & party.roles.0 != 0
}

/// What protects packets, in words.
pub(in crate::findings) struct Told<'a>(pub(in crate::findings) &'a Association);

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0.protocol {
            Protector::Ah => "AH",
            Protector::Esp(form) if form.icv == 0 => {
                "ESP as it was before a network card finished it"
            }
            Protector::Esp(_) => "ESP without encryption",
            Protector::Wesp => "wrapped ESP without encryption",
        })?;
        f.write_str(match self.0.carriage {
            Carriage::Ip => "",
            Carriage::Udp => " in UDP",
            Carriage::Tcp => " in TCP",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::testbed::{EXEMPT_IN, EXEMPT_OUT, GATEWAYS, Testbed, flow};

    fn broken(bed: &Testbed, sample: &crate::findings::testbed::Sample) -> Vec<(String, u64)> {
        let judged = sample.judged();
        let case = Case::of(&judged, bed, &bed.deployment);
        let all = protected(&case);
        all.iter().map(|p| (p.row.id.to_owned(), p.association.packets)).collect()
    }

    #[test]
    fn each_direction_breaks_the_row_of_its_own() {
        let bed = Testbed::default();
        let both = [(EXEMPT_IN, MediaSign::Content), (EXEMPT_OUT, MediaSign::Content)];
        for (packets, ids) in [
            ([5, 0], vec![("X05".to_owned(), 5)]),
            ([0, 7], vec![("X06".to_owned(), 7)]),
            ([5, 7], vec![("X05".to_owned(), 5), ("X06".to_owned(), 7)]),
        ] {
            let sample =
                flow("10.20.0.101:50020", "10.0.1.31:49200").udp().exempt(&both).inside_ah(packets);
            assert_eq!(broken(&bed, &sample), ids);
        }
    }

    #[test]
    fn clear_media_breaks_nothing() {
        let bed = Testbed::default();
        let sample = flow("10.20.0.101:50020", "10.0.1.31:49200")
            .udp()
            .exempt(&[(EXEMPT_IN, MediaSign::Content)]);
        assert!(broken(&bed, &sample).is_empty());
    }

    #[test]
    fn a_tunnel_breaks_rows_by_what_is_inside_unless_its_gateways_are_declared() {
        let bed = Testbed::default();
        let sample = |ends: (&str, &str)| {
            flow("10.20.0.101:50020", "10.0.1.31:49200")
                .udp()
                .exempt(&[(EXEMPT_IN, MediaSign::Content)])
                .in_tunnel(ends, 40)
        };
        assert_eq!(broken(&bed, &sample(("203.0.113.1", "203.0.113.2"))).len(), 1);
        assert_eq!(broken(&bed, &sample((GATEWAYS[0], "203.0.113.2"))), []);
        assert_eq!(broken(&bed, &sample(("203.0.113.1", GATEWAYS[1]))), []);
    }
}
