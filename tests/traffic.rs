//! The synthetic traffic that speed is measured with is what it is said to be: figures over
//! traffic that nobody checks mean nothing.

#[path = "../benches/traffic/mod.rs"]
mod made;

use std::collections::BTreeMap;

use made::{Family, Mix, SITE, Traffic, Wrap};

use portassay::decode::{Decoded, decode};
use portassay::flow::{FlowTable, Limits};
use portassay::input::{Frame, LinkType, Timestamp};
use portassay::pipeline::judge::judge_all;
use portassay::policy::{Class, Learned, Policy, Sources};

/// Packets at full size and the mean frame's length in bytes, by mix: the captures that the goals of
/// speed come from.
const SHAPES: [(&str, u64, u64); 4] = [
    ("imix", 5_010_023, 383),
    ("small", 11_093_648, 74),
    ("large", 1_656_834, 1191),
    ("many", 5_389_653, 77),
];

/// Flows of each mix that are looked at.
const FLOWS: u64 = 4_000;

/// Frames with their times.
fn frames(mix: &'static Mix, family: Family, wrap: Wrap, seed: u64) -> Vec<(u64, Vec<u8>)> {
    let mut traffic = Traffic::new(mix, family, wrap, seed, FLOWS as f64 / mix.flows as f64);
    assert_eq!(traffic.flows(), FLOWS);
    let mut frame = Vec::new();
    std::iter::from_fn(|| traffic.next(&mut frame).map(|time| (time, frame.clone()))).collect()
}

fn table(frames: &[(u64, Vec<u8>)]) -> FlowTable {
    let mut table = FlowTable::new(Limits::default());
    for ((time, data), number) in frames.iter().zip(1..) {
        let frame = Frame {
            number,
            time: Timestamp(time.cast_signed()),
            link_type: LinkType::ETHERNET,
            data,
            original_len: data.len() as u32,
        };
        match decode(&frame) {
            Decoded::Packet(packet) => table.observe(0, &packet),
            Decoded::Stopped(stop) => panic!("frame {number} of {data:02x?}: {stop}"),
        }
    }
    table
}

fn near(found: f64, wanted: f64, by: f64, what: &str) {
    assert!((found / wanted - 1.0).abs() <= by, "{what}: {found:.1} where {wanted} is meant");
}

#[test]
fn the_mixes_have_the_shapes_they_are_said_to_have() {
    for (mix, (name, packets, length)) in Mix::ALL.into_iter().zip(SHAPES) {
        assert_eq!(mix.name, name);
        let frames = frames(mix, Family::V4, Wrap::Nothing, 1);
        let bytes: usize = frames.iter().map(|(_, data)| data.len()).sum();
        let part = FLOWS as f64 / mix.flows as f64;
        near(frames.len() as f64, packets as f64 * part, 0.02, &format!("{} packets", mix.name));
        let mean = bytes as f64 / frames.len() as f64;
        near(mean, length as f64, 0.02, &format!("{} mean frame", mix.name));
        assert!(frames.is_sorted_by_key(|(time, _)| *time), "{}", mix.name);
    }
}

#[test]
fn a_seed_always_makes_the_same_frames_and_another_seed_others() {
    let of = |seed| frames(Mix::ALL[0], Family::V4, Wrap::Nothing, seed);
    assert_eq!(of(1), of(1));
    assert_ne!(of(1), of(2));
}

#[test]
fn a_flow_made_is_a_flow_counted_and_judged_as_it_was_meant() {
    let folder = tempfile::tempdir().unwrap();
    let topology = folder.path().join("site.toml");
    std::fs::write(&topology, SITE).unwrap();
    let sources = Sources { topology: Some(topology), ..Sources::default() };
    let policy = Policy::load(&sources).unwrap();
    for (mix, family) in Mix::ALL.into_iter().flat_map(|m| [(m, Family::V4), (m, Family::V6)]) {
        let table = table(&frames(mix, family, Wrap::Nothing, 1));
        assert_eq!(table.len() as u64, FLOWS, "{} {family:?}", mix.name);
        let mut classes: BTreeMap<Class, usize> = BTreeMap::new();
        for judged in judge_all(&policy, &Learned::default(), table.into_flows().collect()) {
            *classes.entry(judged.verdict.class).or_default() += 1;
        }
        let share = |class| *classes.get(&class).unwrap_or(&0) as f64 / FLOWS as f64;
        let explained =
            share(Class::Confirmed) + share(Class::PortOnly) + share(Class::Infrastructure);
        assert!(explained > 0.93, "{} {family:?}: {classes:?}", mix.name);
        // Strays are in every mix but the one of the shortest flows.
        assert_eq!(share(Class::Unexpected) > 0.005, mix.name != "many", "{classes:?}");
    }
}

#[test]
fn wrapping_keeps_the_flows_and_esp_hides_them() {
    let of = |wrap| table(&frames(Mix::ALL[0], Family::V4, wrap, 1));
    let plain = of(Wrap::Nothing);
    for wrap in [Wrap::Vlan, Wrap::Ah] {
        let wrapped = of(wrap);
        assert_eq!(wrapped.len(), plain.len(), "{wrap:?}");
        let ends = |table: &FlowTable| table.flows().map(|flow| flow.ends).collect::<Vec<_>>();
        assert_eq!(ends(&wrapped), ends(&plain), "{wrap:?}");
    }
    let sealed = of(Wrap::Esp);
    assert!(sealed.len() > plain.len());
    assert!(sealed.flows().all(|flow| flow.spi.is_some()));
}

#[test]
fn mirrors_are_frames_of_their_own() {
    // The outer header is UDP to VXLAN's port, or GRE; the frame inside is the same.
    let plain = frames(Mix::ALL[0], Family::V4, Wrap::Nothing, 1);
    for (wrap, protocol, around) in [(Wrap::Vxlan, 17, 50), (Wrap::Erspan, 47, 50)] {
        let mirrored = frames(Mix::ALL[0], Family::V4, wrap, 1);
        assert_eq!(mirrored.len(), plain.len());
        for ((_, outer), (_, inner)) in mirrored.iter().zip(&plain) {
            assert_eq!((outer[23], &outer[around..]), (protocol, &inner[..]), "{wrap:?}");
        }
    }
}
