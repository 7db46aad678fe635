//! The rooms one by one, over frames of each mix: `make bench-rooms`.
//!
//! Each measures what one room does with what the room before it hands on, through the library's
//! public interface. Throughput is in packets for `decode` and `flow`, in flows for the others.

use divan::counter::ItemsCount;
use divan::{Bencher, Divan, black_box};

use portassay::decode::{Decoded, Packet, decode as decode_frame};
use portassay::flow::sample::Sample;
use portassay::flow::{Flow, FlowTable, Limits, Side};
use portassay::identify::{Identification, identify as identify_sample};
use portassay::input::{Frame, LinkType, Timestamp};
use portassay::policy::{Learned, Policy, Sources};

use crate::Result;
use crate::capture;
use crate::traffic::{Family, Mix, Traffic, Wrap};

/// Flows whose packets are kept in memory to be measured over.
const FLOWS: u64 = 2_000;
const MIXES: [&str; 4] = ["imix", "small", "large", "many"];

/// Measures every room.
pub(crate) fn run() -> Result<()> {
    // Before anything is measured, so that a policy that does not load stops here.
    policy()?;
    Divan::default().run_benches();
    Ok(())
}

/// From bytes to headers.
#[divan::bench(args = MIXES)]
fn decode(bencher: Bencher<'_, '_>, mix: &str) {
    let kept = Kept::of(mix);
    bencher.counter(ItemsCount::new(kept.0.len())).bench(|| {
        for frame in kept.frames() {
            black_box(decode_frame(black_box(&frame)));
        }
    });
}

/// From packets to flows, into a table that is empty at first.
#[divan::bench(args = MIXES)]
fn flow(bencher: Bencher<'_, '_>, mix: &str) {
    let kept = Kept::of(mix);
    let packets = kept.packets();
    bencher.counter(ItemsCount::new(packets.len())).bench(|| table(&packets));
}

/// From first bytes to a protocol.
#[divan::bench(args = MIXES)]
fn identify(bencher: Bencher<'_, '_>, mix: &str) {
    let flows = Kept::of(mix).flows();
    bencher.counter(ItemsCount::new(flows.len())).bench(|| {
        for (_, sample) in &flows {
            black_box(identify_sample(black_box(sample)));
        }
    });
}

/// From a flow that is known to a verdict: who initiated, then the rows.
#[divan::bench(args = MIXES)]
fn judge(bencher: Bencher<'_, '_>, mix: &str) {
    let Ok(policy) = policy() else { return };
    let flows: Vec<(Flow, Identification)> = Kept::of(mix)
        .flows()
        .into_iter()
        .map(|(mut flow, sample)| {
            let mut identification = identify_sample(&sample);
            let (initiator, by) = policy.orient(&flow, &identification, &Learned::default());
            flow.orient(initiator, by);
            if initiator == Side::B {
                identification.flip();
            }
            (flow, identification)
        })
        .collect();
    let learned = Learned::default();
    bencher.counter(ItemsCount::new(flows.len())).bench(|| {
        for (flow, identification) in &flows {
            black_box(policy.orient(flow, identification, &learned));
            black_box(policy.judge(flow, identification, &learned));
        }
    });
}

fn policy() -> Result<Policy> {
    Ok(Policy::load(&Sources { topology: Some(capture::site()?), ..Sources::default() })?)
}

fn table(packets: &[Packet<'_>]) -> FlowTable {
    let mut table = FlowTable::new(Limits::default());
    for packet in packets {
        table.observe(0, packet);
    }
    table
}

/// Frames kept in memory with their times.
struct Kept(Vec<(u64, Vec<u8>)>);

impl Kept {
    fn of(name: &str) -> Self {
        let mix = Mix::ALL.into_iter().find(|mix| mix.name == name).unwrap_or(Mix::ALL[0]);
        let scale = FLOWS as f64 / mix.flows as f64;
        let mut traffic = Traffic::new(mix, Family::V4, Wrap::Nothing, 1, scale);
        let mut frame = Vec::new();
        let mut frames = Vec::new();
        while let Some(time) = traffic.next(&mut frame) {
            frames.push((time, frame.clone()));
        }
        Self(frames)
    }

    fn frames(&self) -> impl Iterator<Item = Frame<'_>> {
        self.0.iter().zip(1..).map(|((time, data), number)| Frame {
            number,
            time: Timestamp(time.cast_signed()),
            link_type: LinkType::ETHERNET,
            data,
            original_len: data.len() as u32,
        })
    }

    fn packets(&self) -> Vec<Packet<'_>> {
        self.frames()
            .filter_map(|frame| match decode_frame(&frame) {
                Decoded::Packet(packet) => Some(packet),
                Decoded::Stopped(_) => None,
            })
            .collect()
    }

    fn flows(&self) -> Vec<(Flow, Sample)> {
        table(&self.packets()).into_flows().collect()
    }
}
