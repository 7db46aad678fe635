//! Parts of files, read as the pipeline reads them, add up to the whole, whatever is in them.

use super::craft::{Blocks, pcap_header, pcap_record};
use super::order::Order;
use super::tests::{
    MICRO, Reading, opened, sequential, small_pcap, streamed, varied_pcapng, written,
};
use super::*;
use crate::input::LinkType;
use proptest::prelude::*;

/// Reads a file in parts as the pipeline does: guess, read, compare, read again what was guessed
/// wrong. Also tells how many guesses were wrong.
fn in_parts(file: &SaveFile, splits: &[u64]) -> (Reading, usize) {
    let mut starts = vec![file.start()];
    for split in splits {
        let Some(cursor) = file.resync(*split) else {
            continue;
        };
        if starts.last().is_some_and(|last| last.offset < cursor.offset) {
            starts.push(cursor);
        }
    }
    let (mut whole, mut wrong) = (Reading::default(), 0);
    let mut place = file.start();
    for (index, start) in starts.iter().enumerate() {
        let until = starts.get(index + 1).map_or(u64::MAX, |next| next.offset);
        if *start != place {
            wrong += 1;
        }
        let mut records = file.records(place, until);
        append(&mut whole, Reading::of(&mut records));
        if whole.damage.is_some() {
            break;
        }
        place = records.cursor();
    }
    (whole, wrong)
}

/// Adds what the next part gave.
fn append(whole: &mut Reading, next: Reading) {
    whole.frames.extend(next.frames);
    whole.damage = next.damage;
    whole.dropped = [whole.dropped, next.dropped].into_iter().flatten().reduce(|a, b| a + b);
}

#[test]
fn parts_begin_where_the_part_before_ends() {
    let mut bytes = pcap_header(Order::Little, MICRO, 1);
    for index in 0..5_000 {
        bytes.extend(pcap_record(Order::Little, 1_700_000_000, index, &[0xa5; 100], 100));
    }
    let file = opened(&bytes);
    let splits: Vec<u64> = (1..10).map(|part| part * 58_000 + 7).collect();
    for split in &splits {
        let cursor = file.resync(*split).unwrap();
        assert_eq!((cursor.offset - 24) % 116, 0);
        assert!(cursor.offset >= *split && cursor.offset < split + 116);
    }
    assert_eq!(in_parts(&file, &splits), (sequential(&file), 0));
    assert_eq!(file.resync(bytes.len() as u64), None);
    assert_eq!(file.resync(u64::MAX), None);
}

#[test]
fn a_pcapng_part_assumes_the_interfaces_of_the_head() {
    let mut blocks = Blocks::new(Order::Big);
    blocks.section().interface(1, 0, &[]).interface(101, 0, &[]);
    for index in 0..1_000u32 {
        blocks.enhanced(index % 2, u64::from(index), &[0; 61], 61);
    }
    let file = opened(&blocks.bytes);
    let cursor = file.resync(40_001).unwrap();
    let mut records = file.records(cursor, u64::MAX);
    assert!([LinkType::ETHERNET, LinkType::RAW].contains(&records.next().unwrap().link_type));
    let splits: Vec<u64> = (0..20).map(|part| part * 5_003).collect();
    assert_eq!(in_parts(&file, &splits), (sequential(&file), 0));
}

#[test]
fn payload_that_is_itself_a_capture_misleads_only_for_a_while() {
    let mut inner = Vec::new();
    for index in 0..100 {
        inner.extend(pcap_record(Order::Little, 1_000, index, &[1; 20], 20));
    }
    let mut bytes = pcap_header(Order::Little, MICRO, 1);
    for index in 0..50 {
        bytes.extend(pcap_record(Order::Little, 1_000, index, &inner, inner.len() as u32));
    }
    let file = opened(&bytes);
    let splits: Vec<u64> = (1..20).map(|part| part * 9_001).collect();
    let (reading, wrong) = in_parts(&file, &splits);
    assert!(wrong > 0, "the payload should have misled");
    assert_eq!(reading, sequential(&file));
}

#[test]
fn a_search_in_zeros_ends() {
    let mut bytes = small_pcap();
    bytes.resize(4 << 20, 0);
    let file = opened(&bytes);
    assert_eq!(file.resync(1 << 20), None);
    let expected = "at byte 67 there are only zeros where a record should begin";
    assert_eq!(sequential(&file).damage.as_deref(), Some(expected));
    let mut section = Blocks::new(Order::Little);
    section.section().interface(1, 0, &[]).enhanced(0, 0, b"", 0);
    section.bytes.resize(4 << 20, 0);
    assert_eq!(opened(&section.bytes).resync(1 << 20), None);
}

#[test]
fn a_section_in_the_payload_with_any_length_is_no_boundary() {
    for length in [0, 4, 27, u32::MAX] {
        let mut lie = Blocks::new(Order::Big);
        lie.section();
        lie.bytes[4..8].copy_from_slice(&length.to_be_bytes());
        let mut blocks = Blocks::new(Order::Little);
        blocks.section().interface(1, 0, &[]);
        for _ in 0..20 {
            blocks.enhanced(0, 0, &lie.bytes.repeat(9), 252);
        }
        let file = opened(&blocks.bytes);
        let splits = [400, 1_001, 3_000];
        assert_eq!(in_parts(&file, &splits), (sequential(&file), 0));
    }
}

#[test]
fn a_search_goes_no_further_than_64_mebibytes() {
    let mut blocks = Blocks::new(Order::Little);
    blocks.section().interface(1, 0, &[]).enhanced(0, 0, b"", 0);
    let file = written(&blocks.bytes);
    let far = 70 << 20;
    file.as_file().set_len(far).unwrap();
    let run = blocks.bytes.repeat(4);
    std::os::unix::fs::FileExt::write_all_at(file.as_file(), &run, far).unwrap();
    let file = SaveFile::open(file.path()).unwrap();
    assert_eq!(file.resync(1 << 20), None);
    assert_eq!(file.resync(10 << 20).map(|found| found.offset), Some(far));
}

/// A frame's content: random, or such that it looks like records.
fn payload() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => prop::collection::vec(any::<u8>(), 0..120),
        1 => prop::collection::vec(Just(0u8), 0..200),
        1 => (1u32..40).prop_map(|count| {
            (0..count).flat_map(|i| pcap_record(Order::Little, 5, i, &[9; 7], 7)).collect()
        }),
        1 => (1usize..20).prop_map(|count| {
            let mut blocks = Blocks::new(Order::Big);
            (0..count).for_each(|i| { blocks.enhanced(0, i as u64, &[i as u8; 8], 8); });
            blocks.bytes
        }),
    ]
}

fn any_order() -> impl Strategy<Value = Order> {
    prop_oneof![Just(Order::Little), Just(Order::Big)]
}

fn any_pcap() -> impl Strategy<Value = Vec<u8>> {
    let magic = prop_oneof![Just(MICRO), Just(0xa1b23c4du32)];
    let frame = (0u32..10, 0u32..1_000_000, payload(), 0u32..50);
    (any_order(), magic, prop::collection::vec(frame, 0..150)).prop_map(|(order, magic, frames)| {
        let mut bytes = pcap_header(order, magic, 1);
        for (seconds, fraction, data, more) in frames {
            let original = data.len() as u32 + more;
            bytes.extend(pcap_record(order, seconds, fraction, &data, original));
        }
        bytes
    })
}

/// One block of a random pcapng file.
#[derive(Debug, Clone)]
enum Block {
    Section(Order),
    Interface(u16, u8),
    Enhanced(u32, u64, Vec<u8>),
    Simple(Vec<u8>),
    Old(u16, u64, Vec<u8>),
    Statistics(u32, u64),
    Unknown(u32, Vec<u8>),
}

fn any_block() -> impl Strategy<Value = Block> {
    prop_oneof![
        1 => any_order().prop_map(Block::Section),
        2 => (any::<u16>(), any::<u8>()).prop_map(|(link, res)| Block::Interface(link, res)),
        60 => (0u32..2, any::<u64>(), payload()).prop_map(|(i, t, d)| Block::Enhanced(i, t, d)),
        3 => payload().prop_map(Block::Simple),
        3 => (0u16..2, any::<u64>(), payload()).prop_map(|(i, t, d)| Block::Old(i, t, d)),
        2 => (0u32..3, 0u64..9).prop_map(|(i, lost)| Block::Statistics(i, lost)),
        2 => (7u32..20, payload()).prop_map(|(kind, d)| Block::Unknown(kind, d)),
    ]
}

fn any_pcapng() -> impl Strategy<Value = Vec<u8>> {
    (any_order(), prop::collection::vec(any_block(), 0..200)).prop_map(|(order, list)| {
        let mut blocks = Blocks::new(order);
        blocks.section().interface(1, 0, &[]).interface(101, 40, &[]);
        for block in list {
            add(&mut blocks, block);
        }
        blocks.bytes
    })
}

fn add(blocks: &mut Blocks, block: Block) {
    match block {
        Block::Section(order) => {
            blocks.order = order;
            blocks.section().interface(1, 0, &[]).interface(12, 0, &[])
        }
        Block::Interface(link_type, resolution) => {
            let option = blocks.option(9, &[resolution]);
            blocks.interface(link_type, 0, &option)
        }
        Block::Enhanced(index, ticks, data) => {
            blocks.enhanced(index, ticks, &data, data.len() as u32)
        }
        Block::Simple(data) => blocks.simple(&data, data.len() as u32),
        Block::Old(index, ticks, data) => blocks.old(index, ticks, &data, data.len() as u32),
        Block::Statistics(index, lost) => {
            let lost = match blocks.order {
                Order::Little => lost.to_le_bytes(),
                Order::Big => lost.to_be_bytes(),
            };
            let option = blocks.option(5, &lost);
            blocks.statistics(index, &option)
        }
        Block::Unknown(kind, data) => blocks.block(kind, &data),
    };
}

/// Places as thousandths of the file, so that they fall inside whatever its length.
fn places() -> impl Strategy<Value = Vec<u64>> {
    prop::collection::vec(0u64..1_000, 0..6).prop_map(|mut places| {
        places.sort_unstable();
        places
    })
}

fn parts_equal_the_whole(bytes: &[u8], places: &[u64]) -> std::result::Result<(), TestCaseError> {
    let file = opened(bytes);
    let splits: Vec<u64> = places.iter().map(|place| place * file.len() / 1_000).collect();
    let whole = sequential(&file);
    prop_assert_eq!(&in_parts(&file, &splits).0, &whole);
    prop_assert_eq!(streamed(bytes), whole);
    Ok(())
}

proptest! {
    #[test]
    fn pcap_parts_equal_the_whole(bytes in any_pcap(), places in places()) {
        parts_equal_the_whole(&bytes, &places)?;
    }

    #[test]
    fn pcapng_parts_equal_the_whole(bytes in any_pcapng(), places in places()) {
        parts_equal_the_whole(&bytes, &places)?;
    }

    #[test]
    fn damaged_files_read_the_same_in_parts(
        bytes in prop_oneof![any_pcap(), any_pcapng()],
        places in places(),
        cut in 0usize..1_000,
        flips in prop::collection::vec((0usize..1_000, any::<u8>()), 0..4),
    ) {
        let mut bytes = bytes;
        for (place, value) in flips {
            // The head stays, so that it opens.
            let place = 96 + place * bytes.len() / 1_000;
            if let Some(byte) = bytes.get_mut(place) {
                *byte = value;
            }
        }
        bytes.truncate((bytes.len() * cut / 1_000).max(96));
        parts_equal_the_whole(&bytes, &places)?;
    }

    #[test]
    fn rubbish_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..400), split in 0u64..500) {
        for head in [small_pcap(), varied_pcapng()[..56].to_vec()] {
            let file = opened(&[head, bytes.clone()].concat());
            prop_assert_eq!(in_parts(&file, &[split]).0, sequential(&file));
        }
        let path = written(&bytes);
        let _ = SaveFile::open(path.path());
    }
}
