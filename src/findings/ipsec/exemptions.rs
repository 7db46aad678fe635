//! What the traffic says about each IPsec exemption row.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::clear::respected;
use super::configured::{Asking, Configured, Said, Seen};
use super::ground::{Ground, Level};
use super::held_up::shown;
use super::protected::{Protected, Told, protected};
use super::sealed::{Sealed, sealed};
use crate::decode::Transport;
use crate::findings::case::Lookup;
use crate::findings::{Case, Row, remedy};
use crate::flow::{FrameRef, Side};
use crate::policy::ExpectationId;
use crate::policy::exports::Passage;

/// What is known of one IPsec exemption row.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Exemption {
    /// The row id, such as `X05`.
    pub row: String,
    /// The row's name.
    pub name: String,
    /// `proven`, `likely` or `possible` for a missing exemption; `exempt-seen`, `inconclusive`, `not-observed`
    /// or `not-applicable` otherwise.
    pub status: &'static str,
    /// Why the answer is no other, where it is none: `no-host-of-the-role`, `ipsec-not-in-use`,
    /// `no-media-seen`, `encrypted`, `cut-by-snaplen`.
    pub reason: Option<&'static str>,
    /// Media was also seen in clear between hosts that use IPsec, though other media was not.
    pub partly_exempt: bool,
    /// What was seen, in a word each, the surest first.
    pub grounds: Vec<&'static str>,
    /// Other rows that exactly the same traffic speaks about.
    pub same_as: Vec<String>,
    /// Who speaks with the role's hosts inside IPsec.
    pub peers: Peers,
    /// Where the evidence begins.
    pub frames: Vec<FrameRef>,
    /// What was seen, the surest first and of one kind the earliest.
    pub evidence: Vec<String>,
    /// What to do.
    pub remedy: Vec<String>,
    /// The longest that media of the row waited for a negotiation, in ns.
    pub delay: Option<i64>,
    /// What exported rules say about it, contradictions first; at most five.
    pub configured: Vec<Configured>,
}

/// Hosts, and how many there are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Peers {
    /// How many; no more than 4,096 are counted.
    pub count: usize,
    /// Those with the most packets, at most five.
    pub addresses: Vec<IpAddr>,
}

/// Collects the signs.
#[derive(Debug)]
pub(in crate::findings) struct Watch {
    rows: Vec<RowWatch>,
    deployed: bool,
}

#[derive(Debug)]
struct RowWatch {
    key: ExpectationId,
    /// Whether the topology has a host of the row's role.
    has_host: bool,
    /// Packets by what was seen.
    packets: BTreeMap<Ground, u64>,
    /// The same with words, the surest and earliest [`MAX_EVIDENCE`].
    evidence: BTreeSet<Evidence>,
    /// What hides the answer, the earliest [`MAX_EVIDENCE`], and how much of it the snaplen hides.
    hidden: BTreeSet<(FrameRef, String)>,
    cut: bool,
    /// Packets by peer.
    peers: BTreeMap<IpAddr, u64>,
    /// The longest that media waited, in ns.
    delay: Option<i64>,
    said: Said,
}

type Evidence = (Reverse<Ground>, FrameRef, String);

/// One thing seen of a row.
#[derive(Debug, Clone)]
pub(in crate::findings) struct Sight {
    pub(in crate::findings) ground: Ground,
    pub(in crate::findings) packets: u64,
    pub(in crate::findings) frame: FrameRef,
    pub(in crate::findings) peer: IpAddr,
    /// How long media waited, in ns.
    pub(in crate::findings) delay: Option<i64>,
    pub(in crate::findings) text: String,
    /// What exported rules are asked about, if it is media that can be named.
    pub(in crate::findings) asking: Option<Asking>,
}

impl Sight {
    /// Notes how long hidden packets waited for a negotiation, and where that began.
    pub(in crate::findings) fn wait_for(&mut self, wait: Option<(i64, FrameRef)>) {
        if let Some((delay, frame)) = wait {
            self.delay = Some(delay);
            let (shown, place) = (shown(delay), place(frame));
            self.text = format!(
                "{}; if they are media, they waited {shown} ms for the negotiation at {place}",
                self.text
            );
        }
    }
}

impl Watch {
    pub(in crate::findings) fn new(lookup: &dyn Lookup) -> Self {
        let rows = lookup.exemptions().into_iter().map(|(key, has_host)| RowWatch {
            key,
            has_host,
            packets: BTreeMap::new(),
            evidence: BTreeSet::new(),
            hidden: BTreeSet::new(),
            cut: false,
            peers: BTreeMap::new(),
            delay: None,
            said: Said::default(),
        });
        Self { rows: rows.collect(), deployed: lookup.ipsec_declared() }
    }

    /// Whether IPsec was seen or declared.
    pub(in crate::findings) fn deployed(&self) -> bool {
        self.deployed
    }

    /// Adds a flow; `quiet` where the two hosts negotiated nothing as it began.
    pub(in crate::findings) fn add(&mut self, case: &Case<'_>, lookup: &dyn Lookup, quiet: bool) {
        let flow = case.judged.flow;
        let sealed = sealed(case);
        self.deployed |= !sealed.is_empty()
            || flow.associations.is_some()
            || flow.transport.is_security_association()
            || is_ike(case);
        for protected in protected(case) {
            self.see(protected.row.key, sight_of(case, &protected), lookup);
        }
        for (row, sender) in respected(case, quiet) {
            self.see(row.key, clear_sight(case, sender), lookup);
        }
        for sealed in sealed {
            for row in &mut self.rows {
                if !sealed.rows(case, &[lookup.row(row.key)]).is_empty() {
                    row.hide(case, &sealed);
                }
            }
        }
    }

    /// Adds to what is known of a row.
    pub(in crate::findings) fn see(
        &mut self,
        key: ExpectationId,
        sight: Sight,
        lookup: &dyn Lookup,
    ) {
        if let Some(row) = self.rows.iter_mut().find(|row| row.key == key) {
            if let Some(asking) = sight.asking {
                row.said.ask(lookup.exported(), asking, sight.frame);
            }
            row.see(sight);
        }
    }

    pub(in crate::findings) fn finish(&self, lookup: &dyn Lookup) -> Vec<Exemption> {
        let mut answers: Vec<Exemption> =
            self.rows.iter().map(|row| row.finish(self.deployed, lookup)).collect();
        for at in 0..answers.len() {
            answers[at].same_as = self.same_as(at, &answers);
        }
        answers
    }

    /// Rows of which exactly the same was seen.
    fn same_as(&self, at: usize, answers: &[Exemption]) -> Vec<String> {
        let own = &self.rows[at].evidence;
        let others = self.rows.iter().zip(answers).enumerate();
        let same = others
            .filter(|(other, (row, _))| *other != at && !own.is_empty() && row.evidence == *own);
        same.map(|(_, (_, answer))| answer.row.clone()).collect()
    }
}

impl RowWatch {
    fn see(&mut self, sight: Sight) {
        let packets = self.packets.entry(sight.ground).or_default();
        *packets = packets.saturating_add(sight.packets);
        self.evidence.insert((Reverse(sight.ground), sight.frame, sight.text));
        if self.evidence.len() > MAX_EVIDENCE {
            self.evidence.pop_last();
        }
        self.delay = self.delay.max(sight.delay);
        if sight.ground != Ground::ClearMedia {
            let packets = self.peers.entry(sight.peer).or_default();
            *packets = packets.saturating_add(sight.packets);
            if self.peers.len() > MAX_PEERS {
                self.peers.pop_last();
            }
        }
    }

    fn hide(&mut self, case: &Case<'_>, sealed: &Sealed<'_>) {
        let flow = case.judged.flow;
        self.cut |= sealed.is_cut();
        let text = sealed_text(case, sealed);
        self.hidden.insert((flow.first_frame, text));
        if self.hidden.len() > MAX_EVIDENCE {
            self.hidden.pop_last();
        }
    }

    /// The surest answer, if anything was seen.
    fn level(&self) -> Option<Level> {
        self.packets.iter().map(|(ground, packets)| ground.level(*packets)).max()
    }

    fn status(&self, deployed: bool) -> (&'static str, Option<&'static str>) {
        match self.level() {
            _ if !self.has_host => ("not-applicable", Some("no-host-of-the-role")),
            _ if !deployed => ("not-applicable", Some("ipsec-not-in-use")),
            Some(level) => (level.token(), None),
            None if self.cut => ("inconclusive", Some("cut-by-snaplen")),
            None if !self.hidden.is_empty() => ("inconclusive", Some("encrypted")),
            None => ("not-observed", Some("no-media-seen")),
        }
    }

    fn finish(&self, deployed: bool, lookup: &dyn Lookup) -> Exemption {
        let row = lookup.row(self.key);
        let (status, reason) = self.status(deployed);
        let name = row.service.to_owned();
        let answer =
            Exemption { row: row.id.to_owned(), name, status, reason, ..Exemption::default() };
        if status == "not-applicable" {
            return answer;
        }
        if status == "inconclusive" {
            return Exemption {
                frames: self.hidden.iter().map(|(frame, _)| *frame).collect(),
                evidence: self.hidden.iter().map(|(_, text)| text.clone()).collect(),
                remedy: vec![LOOK_ON_THE_HOST.to_owned()],
                ..answer
            };
        }
        let missing = self.level().is_some_and(|level| level > Level::ExemptSeen);
        Exemption {
            partly_exempt: missing && self.packets.contains_key(&Ground::ClearMedia),
            grounds: self.packets.keys().rev().map(|ground| ground.token()).collect(),
            peers: self.peers(),
            delay: self.delay,
            configured: self.said.tell(lookup.exported()),
            frames: self.evidence.iter().map(|(_, frame, _)| *frame).collect(),
            evidence: self.evidence.iter().map(|(.., text)| text.clone()).collect(),
            remedy: if missing { remedy::steps(lookup, row.key) } else { Vec::new() },
            ..answer
        }
    }

    fn peers(&self) -> Peers {
        let mut ranked: Vec<_> = self.peers.iter().map(|(host, n)| (Reverse(*n), *host)).collect();
        ranked.sort_unstable();
        let addresses = ranked.into_iter().map(|(_, host)| host).take(MAX_SHOWN_PEERS).collect();
        Peers { count: self.peers.len(), addresses }
    }
}

/// Traffic with readable headers inside IPsec.
fn sight_of(case: &Case<'_>, protected: &Protected<'_>) -> Sight {
    let association = &protected.association;
    let ground = Ground::of(protected.sign);
    let told = match ground {
        Ground::Content => "media by content",
        Ground::OwnRange => "media by a port that only media has",
        Ground::AnyPort => "of a host whose every port is exempt, strictly",
        Ground::SharedRange => "media by port",
        _ => "media by a port of a range that others use too",
    };
    let tunnel = if protected.in_tunnel(case) {
        let (from, to) = association.ends;
        format!(" in a tunnel from {from} to {to}")
    } else {
        String::new()
    };
    Sight {
        ground,
        packets: association.packets,
        frame: association.first_frame,
        peer: peer(case, protected.sender, &protected.row),
        delay: None,
        text: format!(
            "{} inside {}{tunnel}, SPI 0x{:08x}, {told}, {} packets, {}",
            path(case, protected.sender),
            Told(association),
            association.spi,
            association.packets,
            place(association.first_frame)
        ),
        asking: Asking::inside(case, protected),
    }
}

fn clear_sight(case: &Case<'_>, sender: Side) -> Sight {
    let flow = case.judged.flow;
    let packets = flow.counters[sender.index()].packets;
    let path = path(case, sender);
    let text = format!(
        "{path} in clear though both hosts use IPsec, media by content, {packets} packets of the flow that begins at {}",
        place(flow.first_frame)
    );
    let peer = flow.ends[sender.other().index()].address;
    let (ground, frame) = (Ground::ClearMedia, flow.first_frame);
    let asking = Some(Asking::of(case, sender, [Seen::Clear; 2]));
    Sight { ground, packets, frame, peer, delay: None, text, asking }
}

/// Hidden traffic, in words.
pub(in crate::findings) fn sealed_text(case: &Case<'_>, sealed: &Sealed<'_>) -> String {
    let flow = case.judged.flow;
    let [from, to] = [sealed.sender, sealed.sender.other()].map(|side| flow.ends[side.index()]);
    let carried = match flow.transport {
        Transport::UDP => " in UDP",
        Transport::TCP => " in TCP",
        _ => "",
    };
    let hidden = if sealed.is_cut() { "cut or in fragments" } else { "hidden" };
    let lost = match sealed.pace.lost() {
        None | Some(0) => String::new(),
        Some(lost) => format!(" and {lost} not captured, by their numbers,"),
    };
    format!(
        "esp{carried} {} -> {}, SPI 0x{:08x}, content {hidden}, {sealed}, {} packets{lost} of {} bytes in the mean, {}",
        from.address,
        to.address,
        sealed.pace.spi().unwrap_or(0),
        sealed.pace.packets,
        sealed.pace.ip_bytes / sealed.pace.packets.max(1),
        place(flow.first_frame)
    )
}

/// Who sends to whom, such as `udp 10.20.0.101:50020 -> 10.0.1.31:49200`.
pub(in crate::findings) fn path(case: &Case<'_>, sender: Side) -> String {
    let flow = case.judged.flow;
    let [from, to] = [sender, sender.other()].map(|side| flow.ends[side.index()]);
    Passage { transport: flow.transport, from, to }.to_string()
}

/// The end of a direction that is not the row's own.
pub(in crate::findings) fn peer(case: &Case<'_>, sender: Side, row: &Row<'_>) -> IpAddr {
    let of_sender = row.from.0 != 0;
    let side = if of_sender { sender.other() } else { sender };
    case.judged.flow.ends[side.index()].address
}

/// Key exchange (RFC 7296, section 2; RFC 3948; RFC 9329).
/// Whether hosts negotiate: one message that nobody answers is a stranger's knock.
fn is_ike(case: &Case<'_>) -> bool {
    let [there, back] = case.judged.flow.counters.each_ref().map(|side| side.packets);
    let protocol = case.judged.identification.protocol;
    let udp = case.judged.flow.transport == Transport::UDP && protocol == Some("ike");
    (udp && (there.min(back) > 0 || there.max(back) > 1)) || protocol == Some("ike-tcp")
}

/// A frame in words.
pub(in crate::findings) fn place(frame: FrameRef) -> String {
    format!("capture {}, frame {}", frame.capture, frame.frame)
}

const LOOK_ON_THE_HOST: &str = "The content of ESP is hidden. On a host of the role, `netsh advfirewall monitor show qmsa` lists what its security associations cover; or capture before encryption.";
/// Lines of evidence per row.
const MAX_EVIDENCE: usize = 5;
/// Peers counted per row.
const MAX_PEERS: usize = 4096;
/// Peers shown per row.
const MAX_SHOWN_PEERS: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::Summary;
    use crate::findings::testbed::{EXEMPT_IN, EXEMPT_OUT, Sample, Testbed, flow};
    use crate::flow::{Marked, Pace};
    use crate::input::Timestamp;
    use crate::policy::MediaSign;

    const ENDS: (&str, &str) = ("10.20.0.101:50020", "10.0.1.31:49200");

    fn statuses(samples: &[Sample]) -> Vec<&'static str> {
        let summary = Testbed::default().summary(samples);
        summary.exemptions.iter().map(|e| e.status).collect()
    }

    fn clear(sign: MediaSign) -> Sample {
        flow(ENDS.0, ENDS.1).udp().exempt(&[(EXEMPT_IN, sign), (EXEMPT_OUT, sign)])
    }

    fn media(packets: [u64; 2], sign: MediaSign) -> Sample {
        clear(sign).inside_ah(packets)
    }

    /// Five seconds of audio, or of something else.
    fn hidden(audio: bool, marked: u64) -> Sample {
        let sample = flow("10.20.0.101:0", "10.0.1.31:0").esp(0xaabb);
        let first = sample.judged().flow.first;
        sample.paced(Pace {
            spis: Some((0xaabb, 0xaabb)),
            sequences: Some((1, 260)),
            packets: 250,
            ip_bytes: 250 * 248,
            even: if audio { 249 } else { 20 },
            short: 249,
            marked: Marked { audio: marked, ..Marked::default() },
            times: Some((first, Timestamp(first.0 + 5_000_000_000))),
            ..Pace::default()
        })
    }

    #[test]
    fn without_ipsec_nothing_applies() {
        let Summary { ipsec_deployed, exemptions, .. } =
            Testbed::default().summary(&[clear(MediaSign::Content)]);
        assert!(!ipsec_deployed);
        assert!(exemptions.iter().all(|e| e.status == "not-applicable"));
        let reasons: Vec<_> = exemptions.iter().filter_map(|e| e.reason).collect();
        assert_eq!(reasons, ["ipsec-not-in-use", "ipsec-not-in-use", "no-host-of-the-role"]);
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
        let summary = Testbed::default().summary(&[media([40, 0], MediaSign::Content)]);
        let [inbound, outbound, _] = summary.exemptions.as_slice() else {
            panic!("three rows were expected");
        };
        assert_eq!((inbound.status, outbound.status), ("proven", "not-observed"));
        assert_eq!(
            inbound.evidence,
            ["udp 10.20.0.101:50020 -> 10.0.1.31:49200 inside AH, SPI 0x10203040, \
              media by content, 40 packets, capture 0, frame 3"]
        );
        assert_eq!(inbound.grounds, ["media-content"]);
        assert_eq!(inbound.frames, [FrameRef { capture: 0, frame: 3 }]);
        let peer = "10.20.0.101".parse().unwrap();
        assert_eq!(inbound.peers, Peers { count: 1, addresses: vec![peer] });
        assert!(!inbound.remedy.is_empty());
        assert!(outbound.evidence.is_empty() && outbound.remedy.is_empty());
    }

    #[test]
    fn weaker_signs_are_weaker_statuses() {
        assert_eq!(statuses(&[media([1, 0], MediaSign::Content)])[0], "possible");
        assert_eq!(statuses(&[media([99, 0], MediaSign::SharedRange)])[0], "possible");
        assert_eq!(statuses(&[media([100, 0], MediaSign::SharedRange)])[0], "likely");
        assert_eq!(statuses(&[media([2, 0], MediaSign::OwnRange)])[0], "proven");
        // Counts of several flows add up.
        let some = || media([60, 0], MediaSign::SharedRange);
        assert_eq!(statuses(&[some(), some()])[0], "likely");
    }

    #[test]
    fn esp_hides_the_answer_for_the_direction_it_goes() {
        let inbound = flow("10.20.0.101:0", "10.0.1.31:0").esp(0xaabb);
        assert_eq!(
            statuses(std::slice::from_ref(&inbound)),
            ["inconclusive", "not-observed", "not-applicable"]
        );
        // What is proven is not made inconclusive by other traffic.
        assert_eq!(statuses(&[inbound, media([9, 0], MediaSign::Content)])[0], "proven");
        let elsewhere = flow("10.20.0.101:0", "10.0.1.41:0").esp(0xaabb);
        assert_eq!(statuses(&[elsewhere]), ["not-observed", "not-observed", "not-applicable"]);
        let gateway = flow("192.0.2.1:0", "10.0.1.31:0").esp(0xaabb);
        assert_eq!(statuses(&[gateway])[0], "not-observed");
    }

    #[test]
    fn hidden_audio_is_possible_and_in_context_likely() {
        assert_eq!(statuses(&[hidden(false, 0)])[0], "inconclusive");
        assert_eq!(statuses(&[hidden(true, 0)])[0], "possible");
        assert_eq!(statuses(&[hidden(false, 250)])[0], "possible");
        assert_eq!(statuses(&[hidden(true, 250)])[0], "likely");
        let call = flow("10.20.0.101:50000", "10.0.1.11:5061").protocol("sip");
        let bed = Testbed::default();
        let summary = bed.summary(&[hidden(true, 0), call]);
        assert_eq!(summary.exemptions[0].status, "likely");
        let finding = &summary.findings[0];
        assert_eq!(finding.rule, "esp-resembles-media");
        assert_eq!(
            finding.message,
            "ESP from client 10.20.0.101 to mediation med01 has the rhythm and size of audio, and \
             began within 10 s after signalling; its content is hidden; X05 exempts media between them"
        );
    }

    #[test]
    fn strictly_hidden_content_is_possible() {
        let bed = Testbed { strict: true, ..Testbed::default() };
        let summary = bed.summary(&[hidden(false, 0)]);
        assert_eq!(summary.exemptions[0].status, "possible");
        assert_eq!(summary.exemptions[0].grounds, ["hidden-content"]);
    }

    #[test]
    fn clear_media_respects_a_row_only_between_hosts_that_use_ipsec() {
        let esp = flow("10.20.0.101:0", "10.0.1.31:0").esp(0xaabb);
        let talk = clear(MediaSign::Content).packets(300, 290);
        assert_eq!(statuses(std::slice::from_ref(&talk))[0], "not-applicable");
        assert_eq!(statuses(&[talk.clone(), esp.clone()])[..2], ["exempt-seen"; 2]);
        // What comes in may be what the host decrypted, once more.
        let echo = clear(MediaSign::Content).packets(300, 0);
        assert_eq!(statuses(&[echo.clone(), esp.clone()])[0], "exempt-seen", "3 hold no 300");
        let pace = esp.flow.paces.as_ref().unwrap()[0];
        let pace = Pace { packets: 400, ip_bytes: 400 * 128, ..pace };
        assert_eq!(statuses(&[echo, esp.clone().paced(pace)])[0], "inconclusive");
        let short = clear(MediaSign::Content).packets(9, 9);
        assert_eq!(statuses(&[short, esp])[0], "inconclusive");
        let summary = Testbed::default().summary(&[talk, media([40, 0], MediaSign::Content)]);
        assert_eq!(summary.exemptions[0].status, "proven");
        assert!(summary.exemptions[0].partly_exempt);
        assert_eq!(summary.exemptions[1].status, "exempt-seen");
    }

    #[test]
    fn key_exchange_alone_shows_that_ipsec_is_in_use() {
        let ike = flow("10.20.0.101:500", "10.0.1.31:500").udp().protocol("ike");
        let summary = Testbed::default().summary(std::slice::from_ref(&ike));
        assert!(summary.ipsec_deployed);
        assert_eq!(summary.exemptions[0].status, "not-observed");
        // Not so one message that nobody answers.
        for (packets, deployed) in [([1, 0], false), ([2, 0], true), ([1, 1], true)] {
            let ike = ike.clone().packets(packets[0], packets[1]);
            assert_eq!(Testbed::default().summary(&[ike]).ipsec_deployed, deployed);
        }
    }
}
