//! Whole files: every frame, every refusal.

use super::craft::{Blocks, options, pcap_header, pcap_record};
use super::order::Order;
use super::*;
use crate::input::Frame;
use std::io;
use std::io::Write;

/// All that is told of a frame.
pub(super) type Told = (i64, u32, Vec<u8>, u32);

/// What one reading gave: frames, damage, dropped.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Reading {
    pub(super) frames: Vec<Told>,
    pub(super) damage: Option<String>,
    pub(super) dropped: Option<u64>,
}

impl Reading {
    pub(super) fn of(records: &mut Records) -> Self {
        let mut frames = Vec::new();
        while let Some(frame) = records.next() {
            assert_eq!(frame.number, frames.len() as u64 + 1);
            frames.push(told(&frame));
        }
        assert!(records.next().is_none());
        let damage = records.damage().map(str::to_owned);
        Self { frames, damage, dropped: records.dropped_by_capture() }
    }
}

fn told(frame: &Frame<'_>) -> Told {
    (frame.time.0, frame.link_type.0, frame.data.to_vec(), frame.original_len)
}

pub(super) fn written(bytes: &[u8]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    file
}

pub(super) fn opened(bytes: &[u8]) -> SaveFile {
    SaveFile::open(written(bytes).path()).unwrap()
}

pub(super) fn sequential(file: &SaveFile) -> Reading {
    Reading::of(&mut file.records(file.start(), u64::MAX))
}

pub(super) fn streamed(bytes: &[u8]) -> Reading {
    let stream = Box::new(io::Cursor::new(bytes.to_vec()));
    Reading::of(&mut Records::from_stream("standard input", stream).unwrap())
}

fn why(bytes: &[u8]) -> String {
    SaveFile::open(written(bytes).path()).unwrap_err().to_string()
}

pub(super) const MICRO: u32 = 0xa1b2c3d4;

pub(super) fn small_pcap() -> Vec<u8> {
    let mut bytes = pcap_header(Order::Big, MICRO, 113);
    bytes.extend(pcap_record(Order::Big, 10, 5, b"first", 5));
    bytes.extend(pcap_record(Order::Big, 9, 0, b"second", 600));
    bytes
}

#[test]
fn a_pcap_file_from_front_to_back() {
    let bytes = small_pcap();
    let file = opened(&bytes);
    assert_eq!((file.format(), file.len()), (Format::Pcap, bytes.len() as u64));
    assert_eq!(file.first_time(), Some(Timestamp(10_000_005_000)));
    let expected = Reading {
        frames: vec![
            (10_000_005_000, 113, b"first".to_vec(), 5),
            (9_000_000_000, 113, b"second".to_vec(), 600),
        ],
        ..Reading::default()
    };
    assert_eq!(sequential(&file), expected);
    assert_eq!(streamed(&bytes), expected);
    let mut records = file.records(file.start(), 45);
    assert!(records.next().is_some() && records.next().is_none());
    assert_eq!((records.cursor().offset, records.position()), (45, 21));
}

#[test]
fn kuznetzovs_records_are_eight_bytes_longer() {
    let mut bytes = pcap_header(Order::Little, 0xa1b2cd34, 1);
    for _ in 0..2 {
        let mut record = pcap_record(Order::Little, 1, 0, b"abc", 3);
        record.splice(16..16, *b"ifidx_pk");
        bytes.extend(record);
    }
    let reading = sequential(&opened(&bytes));
    assert_eq!(reading.frames, vec![(1_000_000_000, 1, b"abc".to_vec(), 3); 2]);
}

#[test]
fn a_cut_file_gives_all_before_the_cut_and_names_the_place() {
    let bytes = small_pcap();
    for cut in 46..bytes.len() {
        let reading = sequential(&opened(&bytes[..cut]));
        assert_eq!(reading.frames.len(), 1);
        let damage = reading.damage.clone().unwrap();
        assert!(damage.starts_with("the record at byte 45 is cut"), "{damage}");
        assert!(damage.contains(&format!("{} of at least", cut - 45)), "{damage}");
        assert_eq!(streamed(&bytes[..cut]), reading);
    }
}

#[test]
fn an_impossible_length_ends_the_reading() {
    let mut bytes = small_pcap();
    bytes[45 + 8] = 0x7f;
    bytes[45 + 12] = 0x7f;
    let reading = sequential(&opened(&bytes));
    assert_eq!(reading.frames.len(), 1);
    let damage = reading.damage.unwrap();
    assert!(damage.starts_with("at byte 45 a frame of 2130706438 bytes"), "{damage}");
}

#[test]
fn a_file_without_frames_is_a_capture() {
    let file = opened(&pcap_header(Order::Little, MICRO, 1));
    assert_eq!((file.first_time(), sequential(&file)), (None, Reading::default()));
    assert_eq!(file.resync(24), Some(file.start()));
    assert_eq!(file.resync(25), None);
}

#[test]
fn what_is_no_capture_says_so() {
    assert!(why(b"").ends_with("it is empty"));
    assert!(why(&small_pcap()[..10]).ends_with("10 of 24 bytes are there"));
    let mut section = Blocks::new(Order::Little);
    section.section();
    assert!(
        why(&section.bytes[..20]).contains("at byte 0 is cut"),
        "{}",
        why(&section.bytes[..20])
    );
    section.bytes[24] = 0;
    assert!(why(&section.bytes).contains("ends with"), "{}", why(&section.bytes));
    let folder = SaveFile::open(Path::new("/")).unwrap_err().to_string();
    assert!(folder.ends_with("it is a folder"), "{folder}");
    let device = SaveFile::open(Path::new("/dev/null")).unwrap_err().to_string();
    assert!(device.contains("no regular file"), "{device}");
    let nothing = SaveFile::open(Path::new("/nowhere/x.pcap")).unwrap_err().to_string();
    assert!(nothing.starts_with("cannot open /nowhere/x.pcap"), "{nothing}");
}

/// Two sections of both byte orders, all packet kinds, statistics, and a block to be skipped.
pub(super) fn varied_pcapng() -> Vec<u8> {
    let mut blocks = Blocks::new(Order::Little);
    blocks.section().interface(1, 0, &options(9, &[9])).block(0xbad, &vec![7; 300_000]);
    blocks.enhanced(0, 77, b"one", 3).simple(b"two", 3);
    let lost = blocks.option(5, &2u64.to_le_bytes());
    blocks.statistics(0, &lost).interface(101, 0, &[]).old(1, 5, b"three", 9);
    blocks.order = Order::Big;
    blocks.section().interface(276, 0, &[]).enhanced(0, 6, b"four", 4);
    let lost = blocks.option(7, &3u64.to_be_bytes());
    blocks.statistics(0, &lost);
    blocks.bytes
}

#[test]
fn a_pcapng_file_from_front_to_back() {
    let bytes = varied_pcapng();
    let file = opened(&bytes);
    assert_eq!((file.format(), file.first_time()), (Format::Pcapng, Some(Timestamp(77))));
    let expected = Reading {
        frames: vec![
            (77, 1, b"one".to_vec(), 3),
            (0, 1, b"two".to_vec(), 3),
            (5_000, 101, b"three".to_vec(), 9),
            (6_000, 276, b"four".to_vec(), 4),
        ],
        damage: None,
        dropped: Some(5),
    };
    assert_eq!(sequential(&file), expected);
    assert_eq!(streamed(&bytes), expected);
}

#[test]
fn a_pcapng_file_cut_anywhere_loses_only_its_tail() {
    let bytes = varied_pcapng();
    let whole = sequential(&opened(&bytes));
    for cut in (28..300).chain(300_000..bytes.len()) {
        let reading = sequential(&opened(&bytes[..cut]));
        assert!(whole.frames.starts_with(&reading.frames));
        assert_eq!(streamed(&bytes[..cut]).frames, reading.frames);
    }
    let cut = sequential(&opened(&bytes[..100]));
    let damage = cut.damage.unwrap();
    assert_eq!(
        damage,
        "the record at byte 56 is cut by the end of the capture: 44 of at least 300012 bytes are \
         there"
    );
}

#[test]
fn a_released_file_is_opened_again_if_it_is_still_the_same() {
    let bytes = varied_pcapng();
    let on_disk = written(&bytes);
    let mut file = SaveFile::open(on_disk.path()).unwrap();
    let whole = sequential(&file);
    file.release();
    assert_eq!(sequential(&file), whole);
    let another = written(&bytes);
    std::fs::rename(another.path(), on_disk.path()).unwrap();
    let damage = sequential(&file).damage.unwrap();
    let start = file.start().offset;
    let expected =
        format!("reading failed at byte {start}: it was replaced by another file meanwhile");
    assert_eq!(damage, expected);
    std::fs::remove_file(on_disk.path()).unwrap();
    assert!(sequential(&file).damage.is_some_and(|damage| damage.contains("No such file")));
}

#[test]
fn a_packet_of_an_undeclared_interface_is_damage_at_its_place() {
    let mut blocks = Blocks::new(Order::Big);
    blocks.section().interface(1, 0, &[]).enhanced(0, 1, b"", 0);
    let place = blocks.bytes.len();
    blocks.enhanced(3, 1, b"", 0);
    let reading = sequential(&opened(&blocks.bytes));
    assert_eq!(reading.frames.len(), 1);
    let expected = format!("at byte {place} a packet names interface 3, but 1 are declared");
    assert_eq!(reading.damage, Some(expected));
}
