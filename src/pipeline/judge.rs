//! From observed flows to judged ones: identify, orient, judge, in that order for each flow.

use rayon::prelude::*;

use crate::decode::Transport;
use crate::findings::{Deployment, Judged};
use crate::flow::sample::{Heard, Sample};
use crate::flow::{Flow, FlowTable, Outcome, Side, TcpSeen};
use crate::identify::{self, Confidence, Identification};
use crate::policy::{Learned, Policy, Verdict};

/// A flow with everything known about it.
#[derive(Debug, Clone)]
pub struct JudgedFlow {
    /// Who, when and how much; side A initiates.
    pub flow: Flow,
    /// What it speaks.
    pub identification: Identification,
    /// What the policy says.
    pub verdict: Verdict,
    /// How far it got.
    pub outcome: Outcome,
}

impl JudgedFlow {
    /// The view that rules take.
    pub fn as_judged(&self) -> Judged<'_> {
        Judged {
            flow: &self.flow,
            identification: &self.identification,
            verdict: &self.verdict,
            outcome: self.outcome,
        }
    }
}

/// Believes what was announced in conversations of the table that speak what it is announced in, and in
/// which both sides spoke. To be asked before flows leave the table, or it is finished.
pub fn believe(learned: &mut Learned, table: &FlowTable) {
    learned.believe(|key, kind| {
        table.heard_between(key).is_some_and(|(flow, sample)| {
            both_spoke(&flow) && {
                let what = identify::identify(&sample);
                what.confidence >= Some(Confidence::Medium) && what.claims(kind.announced_in())
            }
        })
    });
}

/// Who uses IPsec with whom, by the flows that the table holds. To be asked before flows leave it.
pub fn deployment(table: &FlowTable) -> Deployment {
    let mut deployment = Deployment::default();
    for flow in table.secured() {
        deployment.note(&flow);
    }
    deployment
}

/// Whether both sides said something. A reset or an acknowledgement is no answer.
fn both_spoke(flow: &Flow) -> bool {
    match flow.transport {
        Transport::TCP => flow.tcp.iter().all(|seen| seen.any(TcpSeen::DATA)),
        _ => flow.counters.iter().all(|counters| counters.packets > 0),
    }
}

/// Judges one flow.
pub fn judge<'s>(
    policy: &Policy,
    learned: &Learned,
    mut flow: Flow,
    heard: impl Into<Heard<'s>>,
) -> JudgedFlow {
    let mut identification = identify::identify(heard);
    let (initiator, by) = policy.orient(&flow, &identification, learned);
    flow.orient(initiator, by);
    if initiator == Side::B {
        identification.flip();
    }
    let verdict = policy.judge(&flow, &identification, learned);
    let outcome = flow.outcome();
    JudgedFlow { flow, identification, verdict, outcome }
}

/// Judges many flows in parallel, keeping their order.
pub fn judge_all(
    policy: &Policy,
    learned: &Learned,
    flows: Vec<(Flow, Sample)>,
) -> Vec<JudgedFlow> {
    flows.into_par_iter().map(|(flow, sample)| judge(policy, learned, flow, &sample)).collect()
}

/// Judges the flows of a table in parallel and hands each on in order, a batch at a time, so that judged
/// flows do not pile up beside observed ones. While one batch is handed on, the next is judged.
pub fn judge_in_turn(
    policy: &Policy,
    learned: &Learned,
    mut table: FlowTable,
    mut take: impl FnMut(&JudgedFlow) + Send,
) {
    table.finish();
    let of_part = |first: usize| -> Vec<JudgedFlow> {
        let mut judged = Vec::with_capacity(PART);
        table.each_heard(first..first + PART, |flow, heard| {
            judged.push(judge(policy, learned, flow, heard));
        });
        judged
    };
    let of_batch = |first: usize| -> Vec<Vec<JudgedFlow>> {
        let parts = (first..(first + BATCH).min(table.positions())).into_par_iter().step_by(PART);
        parts.map(of_part).collect()
    };
    let mut first = 0;
    let mut batch = of_batch(first);
    while !batch.is_empty() {
        first += BATCH;
        let ((), next) =
            rayon::join(|| batch.iter().flatten().for_each(&mut take), || of_batch(first));
        batch = next;
    }
}

/// Flows judged at a time: enough to keep every core busy, few enough to stay in the cache.
const BATCH: usize = 2048;
/// Flows judged by one core at a time.
const PART: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::{Limits, mix};
    use crate::input::{Format, Frame, LinkType, Timestamp};
    use crate::pipeline::counts::CaptureCounts;
    use crate::pipeline::intake::{Duplicates, Intake};

    const CLIENT: (u8, u16) = (5, 50_000);
    const SERVER: (u8, u16) = (11, 1434);

    /// A packet of IPv4 from one host to another, with what stands behind the ports.
    fn packet(transport: u8, from: (u8, u16), to: (u8, u16), rest: &[u8]) -> Vec<u8> {
        let len = (24 + rest.len()) as u16;
        let mut bytes = vec![0x45, 0];
        bytes.extend(len.to_be_bytes());
        bytes.extend([0, 0, 0, 0, 64, transport, 0, 0, 10, 0, 0, from.0, 10, 0, 0, to.0]);
        bytes.extend(from.1.to_be_bytes());
        bytes.extend(to.1.to_be_bytes());
        bytes.extend(rest);
        bytes
    }

    fn udp(from: (u8, u16), to: (u8, u16), payload: &[u8]) -> Vec<u8> {
        let mut rest = (8 + payload.len() as u16).to_be_bytes().to_vec();
        rest.extend([0, 0]);
        rest.extend(payload);
        packet(17, from, to, &rest)
    }

    fn tcp(flags: u8, from: (u8, u16), to: (u8, u16), sequence: u32, payload: &[u8]) -> Vec<u8> {
        let mut rest = sequence.to_be_bytes().to_vec();
        rest.extend([0, 0, 0, 1, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
        rest.extend(payload);
        packet(6, from, to, &rest)
    }

    /// Whether anything is believed of what these packets announce.
    fn believed(packets: &[Vec<u8>]) -> bool {
        let seed = mix::seed();
        let mut intake = Intake::new(None, Duplicates::LeftOut, seed);
        let mut table = FlowTable::new(Limits::default()).seeded(seed).tasting(identify::TASTE);
        let mut counts = CaptureCounts::new("a.pcap".as_ref(), Format::Pcap);
        for (nth, data) in (0_u32..).zip(packets) {
            let frame = Frame {
                number: u64::from(nth) + 1,
                time: Timestamp(i64::from(nth) * 1_000_000),
                link_type: LinkType::RAW,
                data,
                original_len: data.len() as u32,
            };
            intake.take(&frame, 0, &mut counts, &mut table);
        }
        believe(intake.learned(), &table);
        !intake.learned().is_empty()
    }

    fn instance() -> Vec<u8> {
        let text =
            b"ServerName;BE01;InstanceName;RTC;IsClustered;No;Version;13.0.1601.5;tcp;50211;;";
        [&[5, text.len() as u8, 0], &text[..]].concat()
    }

    #[test]
    fn an_answer_without_a_question_is_not_believed() {
        let asked = udp(CLIENT, SERVER, b"\x04RTC\0");
        let answer = udp(SERVER, CLIENT, &instance());
        assert!(believed(&[asked.clone(), answer.clone()]));
        assert!(believed(&[answer.clone(), asked.clone()]), "all that was captured counts");
        assert!(!believed(std::slice::from_ref(&answer)));
        let elsewhere = udp(SERVER, (9, 80), &instance());
        assert!(!believed(&[asked, elsewhere]));
    }

    #[test]
    fn what_is_said_within_another_protocol_is_not_believed() {
        let sdp = b"v=0\r\nc=IN IP4 10.0.0.5\r\nm=audio 4000 RTP/AVP 0\r\n";
        let invite = b"INVITE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP x\r\nCSeq: 1 INVITE\r\n\r\n";
        let sip = [&invite[..], sdp].concat();
        let trying = b"SIP/2.0 100 Trying\r\nVia: SIP/2.0/UDP x\r\nCSeq: 1 INVITE\r\n\r\n";
        assert!(believed(&[udp(CLIENT, SERVER, &sip), udp(SERVER, CLIENT, trying)]));
        assert!(!believed(&[udp(CLIENT, SERVER, sdp), udp(SERVER, CLIENT, b"yes, thank you\r\n")]));
    }

    #[test]
    fn segments_that_open_or_reset_announce_nothing() {
        let invite =
            b"INVITE sip:a@b SIP/2.0\r\nVia: SIP/2.0/TCP x\r\nCSeq: 1 INVITE\r\nl: 52\r\n\r\n";
        let sdp = b"v=0\r\nc=IN IP4 10.0.0.5\r\nm=audio 4000 RTP/AVP 0\r\nt=\r\n";
        assert_eq!(sdp.len(), 52);
        let trying = b"SIP/2.0 100 Trying\r\nVia: SIP/2.0/TCP x\r\nCSeq: 1 INVITE\r\n\r\n";
        let option = b"OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/TCP x\r\nCSeq: 1 OPTIONS\r\n\r\n";
        let with = |flags| {
            believed(&[
                tcp(0x18, CLIENT, SERVER, 1, option),
                tcp(0x18, SERVER, CLIENT, 1, trying),
                tcp(flags, CLIENT, SERVER, 500, &[&invite[..], sdp].concat()),
            ])
        };
        assert!(with(0x18));
        assert!(!with(0x14), "RST");
        assert!(!with(0x02), "SYN");
        let text = [&invite[..], sdp].concat();
        let refused = [tcp(0x18, CLIENT, SERVER, 1, &text), tcp(0x14, SERVER, CLIENT, 1, b"")];
        assert!(!believed(&refused), "a reset is no answer");
    }
}
