//! What the traffic says about each IPsec exemption row.

use std::collections::BTreeSet;

use super::case::Lookup;
use super::ipsec_on_media_range::MIN_PACKETS;
use super::protected::{Sign, includes, protected};
use super::{Case, Row, remedy};
use crate::decode::Transport;
use crate::flow::{FrameRef, Side};
use crate::policy::{ExpectationId, Party};

/// What is known of one IPsec exemption row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exemption {
    /// The row id, such as `X05`.
    pub row: String,
    /// The row's name.
    pub name: String,
    /// `proven`, `likely` or `possible` for a missing exemption; `inconclusive`, `not-observed` or
    /// `not-applicable` otherwise.
    pub status: &'static str,
    /// What was seen, earliest first.
    pub evidence: Vec<String>,
    /// What to do.
    pub remedy: Vec<String>,
}

/// Collects the signs.
#[derive(Debug)]
pub(super) struct Watch {
    rows: Vec<RowWatch>,
    deployed: bool,
}

#[derive(Debug)]
struct RowWatch {
    key: ExpectationId,
    /// Whether the topology has a host of the row's role.
    has_host: bool,
    /// Packets inside AH, by [`Sign`].
    by_content: u64,
    by_port: u64,
    by_range: u64,
    /// Flows of ESP, whose content is hidden.
    hidden: u64,
    /// What shows media inside AH, the earliest [`MAX_EVIDENCE`].
    evidence: BTreeSet<(FrameRef, String)>,
    /// What hides the answer, the earliest [`MAX_EVIDENCE`].
    hidden_evidence: BTreeSet<(FrameRef, String)>,
}

impl Watch {
    pub(super) fn new(lookup: &dyn Lookup) -> Self {
        let rows = lookup.exemptions().into_iter().map(|(key, has_host)| RowWatch {
            key,
            has_host,
            by_content: 0,
            by_port: 0,
            by_range: 0,
            hidden: 0,
            evidence: BTreeSet::new(),
            hidden_evidence: BTreeSet::new(),
        });
        Self { rows: rows.collect(), deployed: lookup.ipsec_declared() }
    }

    /// Whether IPsec was seen or declared.
    pub(super) fn deployed(&self) -> bool {
        self.deployed
    }

    pub(super) fn add(&mut self, case: &Case<'_>, lookup: &dyn Lookup) {
        let flow = case.judged.flow;
        let hidden = is_esp(case);
        self.deployed |=
            hidden || flow.ah.is_some() || flow.transport == Transport::AH || is_ike(case);
        for protected in protected(case) {
            if let Some(row) = self.rows.iter_mut().find(|r| r.key == protected.row.key) {
                row.add_protected(case, protected.sign, protected.packets);
            }
        }
        if hidden {
            for row in &mut self.rows {
                row.add_hidden(case, &lookup.row(row.key));
            }
        }
    }

    pub(super) fn finish(&self, lookup: &dyn Lookup) -> Vec<Exemption> {
        self.rows.iter().map(|watch| watch.finish(self.deployed, lookup)).collect()
    }
}

impl RowWatch {
    fn add_protected(&mut self, case: &Case<'_>, sign: Sign, packets: u64) {
        let (count, told) = match sign {
            Sign::Content => (&mut self.by_content, "by content"),
            Sign::UdpPort => (&mut self.by_port, "by port"),
            Sign::TcpRange => (&mut self.by_range, "by a range that others use too"),
        };
        *count = count.saturating_add(packets);
        let flow = case.judged.flow;
        let Some(ah) = &flow.ah else { return };
        let [a, b] = flow.ends;
        let text = format!(
            "{} {}:{} -> {}:{} inside AH, SPI 0x{:08x}, media {told}, {packets} packets, {}",
            flow.transport,
            a.address,
            a.port,
            b.address,
            b.port,
            ah.spi,
            place(ah.first_frame)
        );
        keep(&mut self.evidence, (ah.first_frame, text));
    }

    fn add_hidden(&mut self, case: &Case<'_>, row: &Row<'_>) {
        let flow = case.judged.flow;
        let forward = concerns(row, &case.initiator, &case.responder);
        // ESP in UDP is one flow for both directions; ESP itself is one-way.
        let backward = flow.transport == Transport::UDP
            && flow.counters[Side::B.index()].packets > 0
            && concerns(row, &case.responder, &case.initiator);
        if !forward && !backward {
            return;
        }
        self.hidden = self.hidden.saturating_add(1);
        let [a, b] = flow.ends;
        let text = format!(
            "esp {} -> {}, SPI 0x{:08x}, content hidden, {} packets, {}",
            a.address,
            b.address,
            flow.spi.unwrap_or(0),
            flow.packets(),
            place(flow.first_frame)
        );
        keep(&mut self.hidden_evidence, (flow.first_frame, text));
    }

    fn status(&self, deployed: bool) -> &'static str {
        if !self.has_host || !deployed {
            "not-applicable"
        } else if self.by_content >= MIN_PACKETS {
            "proven"
        } else if self.by_port >= LIKELY_PACKETS {
            "likely"
        } else if [self.by_content, self.by_port, self.by_range] != [0; 3] {
            "possible"
        } else if self.hidden > 0 {
            "inconclusive"
        } else {
            "not-observed"
        }
    }

    fn finish(&self, deployed: bool, lookup: &dyn Lookup) -> Exemption {
        let row = lookup.row(self.key);
        let status = self.status(deployed);
        let (evidence, remedy) = match status {
            "proven" | "likely" | "possible" => (&self.evidence, remedy::steps(lookup, row.key)),
            "inconclusive" => (&self.hidden_evidence, vec![LOOK_ON_THE_HOST.to_owned()]),
            _ => (&BTreeSet::new(), Vec::new()),
        };
        Exemption {
            row: row.id.to_owned(),
            name: row.service.to_owned(),
            status,
            evidence: evidence.iter().map(|(_, text)| text.clone()).collect(),
            remedy,
        }
    }
}

/// ESP, wrapped ESP, or ESP in UDP.
fn is_esp(case: &Case<'_>) -> bool {
    let flow = case.judged.flow;
    match flow.transport {
        Transport::ESP | Transport::WESP => true,
        Transport::UDP => flow.spi.is_some(),
        _ => false,
    }
}

/// Key exchange on its own ports (RFC 7296, section 2; RFC 3948).
fn is_ike(case: &Case<'_>) -> bool {
    case.judged.flow.transport == Transport::UDP
        && case.judged.identification.protocol == Some("ike")
}

/// Whether a row is about packets from one party to another. A row for anyone takes two known
/// parties, one of them no server.
fn concerns(row: &Row<'_>, from: &Party<'_>, to: &Party<'_>) -> bool {
    if row.from.0 == 0 && row.to.0 == 0 {
        let known = from.roles.0 != 0 && to.roles.0 != 0;
        return known && !(from.server && to.server);
    }
    includes(row.from, from) && includes(row.to, to)
}

fn place(frame: FrameRef) -> String {
    format!("capture {}, frame {}", frame.capture, frame.frame)
}

fn keep(evidence: &mut BTreeSet<(FrameRef, String)>, item: (FrameRef, String)) {
    evidence.insert(item);
    if evidence.len() > MAX_EVIDENCE {
        evidence.pop_last();
    }
}

const LOOK_ON_THE_HOST: &str = "The content of ESP is hidden. On a host of the role, `netsh advfirewall monitor show qmsa` lists what its security associations cover; or capture before encryption.";
/// Lines of evidence per row.
const MAX_EVIDENCE: usize = 5;
/// Packets on media ports that make a missing exemption likely rather than possible.
const LIKELY_PACKETS: u64 = 100;

#[cfg(test)]
mod tests {
    use crate::findings::Summary;
    use crate::findings::testbed::{EXEMPT_IN, EXEMPT_OUT, Sample, Testbed, flow};

    fn statuses(samples: &[Sample]) -> Vec<&'static str> {
        let summary = Testbed::default().summary(samples);
        summary.exemptions.iter().map(|e| e.status).collect()
    }

    fn media(packets: [u64; 2], content: bool) -> Sample {
        flow("10.20.0.101:50020", "10.0.1.31:49200")
            .udp()
            .exempt(&[(EXEMPT_IN, content), (EXEMPT_OUT, content)])
            .inside_ah(packets)
    }

    #[test]
    fn without_ipsec_nothing_applies() {
        let clear = flow("10.20.0.101:50020", "10.0.1.31:49200").udp();
        let Summary { ipsec_deployed, exemptions, .. } = Testbed::default().summary(&[clear]);
        assert!(!ipsec_deployed);
        assert!(exemptions.iter().all(|e| e.status == "not-applicable"));
        assert_eq!(exemptions.len(), 3);
    }

    #[test]
    fn declared_ipsec_makes_rows_with_hosts_applicable() {
        let bed = Testbed { ipsec_declared: true, ..Testbed::default() };
        let summary = bed.summary(&[]);
        assert!(summary.ipsec_deployed);
        let found: Vec<_> = summary.exemptions.iter().map(|e| (e.row.as_str(), e.status)).collect();
        assert_eq!(
            found,
            [("X05", "not-observed"), ("X06", "not-observed"), ("X11", "not-applicable")]
        );
    }

    #[test]
    fn content_proves_and_each_direction_stands_for_itself() {
        let summary = Testbed::default().summary(&[media([40, 0], true)]);
        let [inbound, outbound, _] = summary.exemptions.as_slice() else {
            panic!("three rows were expected");
        };
        assert_eq!((inbound.status, outbound.status), ("proven", "not-observed"));
        assert_eq!(
            inbound.evidence,
            ["udp 10.20.0.101:50020 -> 10.0.1.31:49200 inside AH, SPI 0x10203040, \
              media by content, 40 packets, capture 0, frame 3"]
        );
        assert!(outbound.evidence.is_empty() && outbound.remedy.is_empty());
        let [peer, netsh] = [&inbound.remedy[1], &inbound.remedy[2]];
        assert!(
            peer.contains("'X05+X06 Mediation Server tcp'")
                && peer.contains("-RemoteAddress '10.0.1.31' -Protocol TCP -LocalPort Any -RemotePort '49152-57500'"),
            "{peer}"
        );
        assert!(netsh.contains("endpoint1=any endpoint2=10.0.1.31"), "{netsh}");
        assert!(inbound.remedy.last().is_some_and(|step| step.contains("portassay plan")));
    }

    #[test]
    fn weaker_signs_are_weaker_statuses() {
        assert_eq!(statuses(&[media([1, 0], true)])[0], "possible");
        assert_eq!(statuses(&[media([99, 0], false)])[0], "possible");
        assert_eq!(statuses(&[media([100, 0], false)])[0], "likely");
        // Counts of several flows add up.
        assert_eq!(statuses(&[media([60, 0], false), media([60, 0], false)])[0], "likely");
    }

    #[test]
    fn esp_hides_the_answer_for_the_direction_it_goes() {
        let inbound = flow("10.20.0.101:0", "10.0.1.31:0").esp(0xaabb);
        assert_eq!(
            statuses(std::slice::from_ref(&inbound)),
            ["inconclusive", "not-observed", "not-applicable"]
        );
        // What is proven is not made inconclusive by other traffic.
        assert_eq!(statuses(&[inbound, media([9, 0], true)])[0], "proven");
        let elsewhere = flow("10.20.0.101:0", "10.0.1.41:0").esp(0xaabb);
        assert_eq!(statuses(&[elsewhere]), ["not-observed", "not-observed", "not-applicable"]);
    }

    #[test]
    fn key_exchange_alone_shows_that_ipsec_is_in_use() {
        let ike = flow("10.20.0.101:500", "10.0.1.31:500").udp().protocol("ike");
        let summary = Testbed::default().summary(&[ike]);
        assert!(summary.ipsec_deployed);
        assert_eq!(summary.exemptions[0].status, "not-observed");
    }
}
