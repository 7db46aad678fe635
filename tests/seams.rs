//! A capture large enough to be cut between workers reads the same on any number of them: also where
//! a copy and its packet, or two fragments of a datagram, lie on both sides of a seam.

use std::path::Path;

use portassay::flow::Limits;
use portassay::pipeline::intake::Duplicates;
use portassay::pipeline::read::{Progress, Reading, Survey, read};

use crate::support::capture::{Order, Pcapng, Recorded, Ticks, pcap};
use crate::support::craft::{ACK, SYN, at, tcp, udp};
use crate::support::wire::noise;

/// A stream of numbers that is the same every time.
struct Dice(u32);

impl Dice {
    fn roll(&mut self, sides: u32) -> u32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) % sides
    }
}

/// Some 7 MB of connections, media, fragments in and out of order, and copies of all of it: at once,
/// some frames later, and from behind a router.
fn frames() -> Vec<Recorded> {
    let mut dice = Dice(7);
    let mut time = 1_700_000_000_000_000_000_u64;
    let mut frames: Vec<Recorded> = Vec::new();
    let mut late: Vec<(usize, Recorded)> = Vec::new();
    for number in 0..24_000_u32 {
        time += u64::from(dice.roll(200_000));
        let client =
            at(&format!("10.0.{}.{}:{}", dice.roll(3), 1 + dice.roll(20), 40_000 + dice.roll(9)));
        let server = at(["10.1.0.1:5061", "10.1.0.2:443"][dice.roll(2) as usize]);
        let id = number as u16;
        let made = match dice.roll(10) {
            0 => vec![tcp(client, server).flags(SYN).numbers(dice.roll(3), 0).number(id)],
            1..=5 => {
                let (from, to) =
                    if dice.roll(2) == 0 { (client, server) } else { (server, client) };
                let says = noise(number, dice.roll(500) as usize);
                vec![
                    tcp(from, to)
                        .flags(ACK)
                        .numbers(dice.roll(900), dice.roll(900))
                        .payload(says)
                        .number(id),
                ]
            }
            6..=8 => vec![udp(client, server).payload(noise(number, 160)).number(id)],
            _ => {
                let whole = udp(client, server).payload(noise(number, 1_200)).number(id % 64);
                let mut pieces: Vec<_> = [(0, 480), (480, 480), (960, 248)]
                    .map(|(from, len)| whole.clone().fragment(from, len))
                    .into();
                let by = dice.roll(3) as usize;
                pieces.rotate_left(by);
                pieces
            }
        };
        for packet in made {
            time += 1_000;
            let frame = Recorded::new(time, packet.ethernet());
            match dice.roll(6) {
                0 => frames.extend([frame.clone(), frame]),
                1 => {
                    let copy = Recorded {
                        time: time + 30_000,
                        ..Recorded::new(0, packet.clone().hops(63).ethernet())
                    };
                    late.push((frames.len() + dice.roll(1_100) as usize, copy));
                    frames.push(frame);
                }
                _ => frames.push(frame),
            }
        }
        let now = frames.len();
        late.retain(|(due, copy)| {
            if *due <= now {
                frames.push(copy.clone());
            }
            *due > now
        });
    }
    frames
}

fn survey(path: &Path, threads: usize, duplicates: Duplicates, filter: Option<&str>) -> Survey {
    let reading = Reading {
        captures: vec![path.to_path_buf()],
        filter: filter.map(str::to_owned),
        threads,
        limits: Limits::default(),
        duplicates,
    };
    read(&reading, &Progress::default()).unwrap()
}

/// Everything that a survey found, for comparison.
fn everything(survey: Survey) -> String {
    let captures = format!("{:?} {:?}", survey.captures, survey.fragments);
    let flows = survey.table.into_flows().collect::<Vec<_>>();
    assert!(flows.len() > 500);
    format!("{captures} {flows:?}")
}

#[test]
fn copies_and_fragments_across_seams_are_those_of_one_reading() {
    let folder = tempfile::tempdir().unwrap();
    let frames = frames();
    let mut section = Pcapng::new(Order::Big).interface(1, Ticks::Nano);
    for frame in &frames {
        section = section.frame(0, frame);
    }
    let files =
        [("a.pcap", pcap(1, Order::Little, Ticks::Nano, &frames)), ("a.pcapng", section.bytes())];
    for (name, bytes) in files {
        assert!(bytes.len() > 7 << 20, "too small to be cut in seven");
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        for filter in [None, Some("udp")] {
            let one = survey(&path, 1, Duplicates::LeftOut, filter);
            let counts = &one.captures[0];
            assert!(
                counts.copies.frames > 1_000 && counts.copies.routed > 500,
                "{:?}",
                counts.copies
            );
            assert!(one.fragments.complete > 1_000, "{:?}", one.fragments);
            let one = everything(one);
            for threads in [2, 3, 7] {
                let many = everything(survey(&path, threads, Duplicates::LeftOut, filter));
                assert!(one == many, "{name} {filter:?} on {threads} threads");
            }
        }
    }
}

#[test]
fn without_copies_a_mirrored_capture_is_the_capture() {
    let folder = tempfile::tempdir().unwrap();
    // A capture without copies of its own, and the same with each frame four microseconds later again.
    let plain: Vec<Recorded> = frames().into_iter().step_by(97).take(200).collect();
    let mut twice = Vec::new();
    for (n, frame) in plain.iter().enumerate() {
        let time = 1_700_000_000_000_000_000 + n as u64 * 3_000_000;
        twice.extend([0, 4_000].map(|later| Recorded { time: time + later, ..frame.clone() }));
    }
    let once: Vec<Recorded> = twice.iter().step_by(2).cloned().collect();
    let read_of = |name: &str, frames: &[Recorded], duplicates| {
        let path = folder.path().join(name);
        std::fs::write(&path, pcap(1, Order::Big, Ticks::Nano, frames)).unwrap();
        survey(&path, 1, duplicates, None)
    };
    let shown = |survey: Survey| -> Vec<(u64, u64)> {
        survey.table.into_flows().map(|(flow, _)| (flow.packets(), flow.bytes())).collect()
    };
    let alone = read_of("once.pcap", &once, Duplicates::LeftOut);
    let mirrored = read_of("twice.pcap", &twice, Duplicates::LeftOut);
    assert_eq!(alone.captures[0].copies.frames, 0);
    assert_eq!(mirrored.captures[0].copies.frames, once.len() as u64);
    let kept = read_of("twice.pcap", &twice, Duplicates::Kept);
    assert_eq!(kept.captures[0].duplicates(), None);
    let (alone, mirrored, kept) = (shown(alone), shown(mirrored), shown(kept));
    assert_eq!(alone, mirrored);
    assert_eq!(kept, alone.iter().map(|(p, b)| (p * 2, b * 2)).collect::<Vec<_>>());
}
