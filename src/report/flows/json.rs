//! A flow as JSON: schema `portassay.flow/1`.

use std::net::IpAddr;

use serde::{Serialize, Serializer};

use super::{FlowRow, community_id};
use crate::flow::Endpoint;
use crate::identify::{Confidence, Facts};
use crate::report::json::finding::{Frame, Learned};
use crate::report::text::time;

/// One flow. The order of the fields is the order of the keys.
#[derive(Debug, Serialize)]
pub(super) struct FlowJson<'r> {
    schema: &'static str,
    transport: String,
    initiator: End,
    responder: End,
    direction: Direction,
    packets: Both,
    bytes: Both,
    first: String,
    last: String,
    first_frame: Frame,
    vlan: &'r [u16],
    tunnel: Vec<String>,
    outcome: &'static str,
    protocol: Option<&'static str>,
    protocol_confidence: Option<&'static str>,
    #[serde(serialize_with = "by_name")]
    protocol_facts: &'r Facts,
    protocol_also: &'r [&'static str],
    spi: Option<u32>,
    class: Option<&'static str>,
    expectation: Option<&'r str>,
    community_id: Option<String>,
    learned: Option<Learned<'r>>,
}

impl<'r> FlowJson<'r> {
    /// Borrows a row.
    pub(super) fn of(row: &FlowRow<'r>) -> Self {
        let flow = row.flow;
        let ports = flow.transport.has_ports();
        let end = |end: Endpoint| End { address: end.address, port: ports.then_some(end.port) };
        let [forward, backward] = flow.counters;
        Self {
            schema: "portassay.flow/1",
            transport: flow.transport.to_string(),
            initiator: end(flow.initiator()),
            responder: end(flow.responder()),
            direction: Direction { by: flow.direction.token() },
            packets: Both { forward: forward.packets, backward: backward.packets },
            bytes: Both { forward: forward.bytes, backward: backward.bytes },
            first: time(flow.first),
            last: time(flow.last),
            first_frame: Frame { capture: flow.first_frame.capture, frame: flow.first_frame.frame },
            vlan: flow.vlans(),
            tunnel: flow.layers().iter().map(ToString::to_string).collect(),
            outcome: flow.outcome().token(),
            protocol: row.identification.protocol,
            protocol_confidence: row.identification.confidence.map(Confidence::token),
            protocol_facts: &row.identification.facts,
            protocol_also: &row.identification.also,
            spi: flow.spi,
            class: row.class(),
            expectation: row.expectation,
            community_id: community_id(flow),
            learned: row.announced.map(Learned::of),
        }
    }
}

fn by_name<S: Serializer>(facts: &Facts, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(facts.iter())
}

#[derive(Debug, Serialize)]
struct End {
    address: IpAddr,
    port: Option<u16>,
}

#[derive(Debug, Serialize)]
struct Direction {
    by: &'static str,
}

#[derive(Debug, Serialize)]
struct Both {
    forward: u64,
    backward: u64,
}
