//! Every compression there and back, in parts, cut, damaged, and larger than memory.

use super::*;
use proptest::prelude::*;
use std::io::Write;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

const ALL: [Compression; 4] =
    [Compression::Gzip, Compression::Zstd, Compression::Lz4, Compression::Xz];

fn packed(compression: Compression, bytes: &[u8]) -> Vec<u8> {
    match compression {
        Compression::Gzip => {
            let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            out.write_all(bytes).unwrap();
            out.finish().unwrap()
        }
        Compression::Zstd => {
            let mut out = zstd::Encoder::new(Vec::new(), 1).unwrap();
            // As its command line tool does.
            out.include_checksum(true).unwrap();
            out.write_all(bytes).unwrap();
            out.finish().unwrap()
        }
        Compression::Lz4 => lz4(bytes, lz4_flex::frame::FrameInfo::new()),
        Compression::Xz => xz(bytes, 1 << 20),
    }
}

fn lz4(bytes: &[u8], info: lz4_flex::frame::FrameInfo) -> Vec<u8> {
    let mut out = lz4_flex::frame::FrameEncoder::with_frame_info(info, Vec::new());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

fn xz(bytes: &[u8], window: u32) -> Vec<u8> {
    let mut options = lzma_rust2::XzOptions::with_preset(1);
    options.lzma_options.dict_size = window;
    let mut out = lzma_rust2::XzWriter::new(Vec::new(), options).unwrap();
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

/// A frame to be skipped, of either of its two users.
fn skipped(number: u8, bytes: &[u8]) -> Vec<u8> {
    let length = (bytes.len() as u32).to_le_bytes();
    [&[0x50 | number, 0x2a, 0x4d, 0x18][..], &length[..], bytes].concat()
}

fn over(bytes: &[u8]) -> Unpacked {
    unpack(Box::new(Cursor::new(bytes.to_vec()))).unwrap()
}

/// What comes out, and how it ends.
fn read(bytes: &[u8]) -> (Vec<u8>, Option<String>) {
    let mut out = Vec::new();
    let end = over(bytes).stream.read_to_end(&mut out);
    (out, end.err().map(|error| error.to_string()))
}

/// Bytes that compress a little, in several blocks of every format.
fn content(len: usize) -> Vec<u8> {
    let mut state = 1u32;
    (0..len)
        .map(|index| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            if index % 64 < 20 { (state >> 24) as u8 } else { 0x5a }
        })
        .collect()
}

#[test]
fn plain_bytes_pass_untouched() {
    for bytes in [&b""[..], b"\x1f", b"\xd4\xc3\xb2\xa1 and more than eight"] {
        let mut unpacked = over(bytes);
        let mut out = Vec::new();
        unpacked.stream.read_to_end(&mut out).unwrap();
        assert_eq!((out.as_slice(), unpacked.compression), (bytes, None));
    }
}

#[test]
fn each_compression_is_recognised_and_undone_also_in_several_parts() {
    let bytes = content(700_000);
    for compression in ALL {
        let whole = packed(compression, &bytes);
        assert!(whole.len() < bytes.len() && is_packed(&whole[..8]));
        assert_eq!(over(&whole).compression, Some(compression));
        assert_eq!(read(&whole), (bytes.clone(), None), "{compression:?}");
        let mut unpacked = over(&whole);
        io::copy(&mut unpacked.stream, &mut io::sink()).unwrap();
        assert_eq!(unpacked.taken.bytes(), whole.len() as u64);
        let parts: Vec<u8> = bytes
            .chunks(100_000)
            .flat_map(|part| packed(compression, part))
            .chain(packed(compression, b""))
            .collect();
        assert_eq!(read(&parts), (bytes.clone(), None), "{compression:?} in parts");
    }
}

#[test]
fn frames_to_be_skipped_are_skipped_before_between_and_behind() {
    for compression in [Compression::Zstd, Compression::Lz4] {
        let parts = [
            skipped(0, &vec![7; 100_000]),
            skipped(15, b""),
            packed(compression, b"one"),
            skipped(3, b"xyz"),
            packed(compression, b"two"),
            skipped(1, &vec![1; 70_000]),
        ];
        assert_eq!(read(&parts.concat()), (b"onetwo".to_vec(), None), "{compression:?}");
        let mut unpacked = over(&parts.concat());
        io::copy(&mut unpacked.stream, &mut io::sink()).unwrap();
        assert_eq!(unpacked.taken.bytes(), parts.concat().len() as u64);
    }
    // Nothing else at all: not compressed, and nothing inside.
    let nothing = over(&skipped(0, b"abc"));
    assert_eq!(nothing.compression, None);
}

#[test]
fn all_kinds_of_lz4_frames() {
    use lz4_flex::frame::{BlockMode, BlockSize, FrameInfo};
    let bytes = content(900_000);
    for mode in [BlockMode::Independent, BlockMode::Linked] {
        for size in [BlockSize::Max64KB, BlockSize::Max4MB] {
            let info = FrameInfo::new()
                .block_mode(mode)
                .block_size(size)
                .block_checksums(true)
                .content_checksum(true)
                .content_size(Some(bytes.len() as u64));
            assert_eq!(read(&lz4(&bytes, info)), (bytes.clone(), None));
        }
    }
}

#[test]
fn what_is_cut_anywhere_gives_what_is_before_and_says_so() {
    let bytes = content(150_000);
    for compression in ALL {
        // Two parts: a cut between them cannot be seen.
        let first = packed(compression, &bytes[..140_000]);
        let whole = [first.clone(), packed(compression, &bytes[140_000..])].concat();
        let near = (first.len() - 40..first.len() + 40).chain(whole.len() - 40..whole.len());
        let name = compression.name();
        for cut in (8..whole.len()).step_by(997).chain(near) {
            let (out, end) = read(&whole[..cut]);
            assert!(bytes.starts_with(&out), "{compression:?} cut at {cut}");
            if cut == first.len() {
                assert_eq!((out.len(), end), (140_000, None));
                continue;
            }
            let expected =
                format!("the {name} data ends too early, after {} unpacked bytes", out.len());
            let end = end.unwrap_or_else(|| panic!("{compression:?} cut at {cut} is silent"));
            assert!(end == expected || end.contains("is damaged after"), "{cut}: {end}");
        }
        // All blocks in front of a cut were delivered.
        let (out, end) = read(&whole[..whole.len() - 1]);
        assert!(end.is_some_and(|end| end.contains("ends too early")), "{compression:?}");
        assert!(out.len() >= 140_000, "{compression:?}");
    }
}

#[test]
fn damage_is_told_with_its_place() {
    let bytes = content(400_000);
    for compression in [Compression::Gzip, Compression::Zstd, Compression::Xz] {
        let mut whole = packed(compression, &bytes);
        let place = whole.len() * 3 / 4;
        whole[place..place + 64].fill(0x55);
        let (out, end) = read(&whole);
        let end = end.unwrap_or_else(|| panic!("{compression:?}: nothing told"));
        let expected = format!("the {} data is damaged after {}", compression.name(), out.len());
        assert!(end.starts_with(&expected), "{end}");
    }
    let mut sum = packed(Compression::Gzip, &bytes);
    let place = sum.len() - 8;
    sum[place] ^= 1;
    let (out, end) = read(&sum);
    assert_eq!(out, bytes, "a wrong check sum takes nothing back");
    assert!(end.unwrap().contains("is damaged after 400000 unpacked bytes"));
}

#[test]
fn what_follows_the_end_is_told_unless_it_is_padding() {
    for compression in ALL {
        let whole = packed(compression, b"abc");
        let (out, end) = read(&[whole.clone(), b"rubbish, much of it".to_vec()].concat());
        assert_eq!(out, b"abc");
        assert!(end.is_some_and(|end| end.contains("damaged after 3")), "{compression:?}");
        if matches!(compression, Compression::Gzip | Compression::Xz) {
            assert_eq!(read(&[whole, vec![0; 100_000]].concat()), (b"abc".to_vec(), None));
        }
    }
}

#[test]
fn windows_larger_than_the_limit_are_refused_unseen() {
    let (out, end) = read(&xz(&content(1_000), 256 << 20));
    assert_eq!(out, b"");
    assert!(end.unwrap().contains("more than 128 MiB"));
    // A frame header that asks for 2 GiB: window descriptor 0xa8 is 2^(10 + 21).
    let (_, end) = read(b"\x28\xb5\x2f\xfd\x00\xa8\x01\x00\x00");
    let end = end.unwrap();
    assert!(end.contains("more than 128 MiB"), "{end}");
}

#[test]
fn a_source_that_fails_is_not_called_damage() {
    struct Breaks(Cursor<Vec<u8>>);
    impl Read for Breaks {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            match self.0.read(buffer)? {
                0 => Err(io::Error::other("unplugged")),
                count => Ok(count),
            }
        }
    }
    for compression in ALL {
        let mut bytes = packed(compression, &content(300_000));
        bytes.truncate(bytes.len() / 2);
        let mut unpacked = unpack(Box::new(Breaks(Cursor::new(bytes)))).unwrap();
        let error = io::copy(&mut unpacked.stream, &mut io::sink()).unwrap_err();
        assert_eq!(error.to_string(), "unplugged", "{compression:?}");
    }
}

#[test]
fn how_a_pipe_cuts_its_data_changes_nothing() {
    struct Drip(Cursor<Vec<u8>>, Arc<AtomicU64>);
    impl Read for Drip {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let turn = self.1.fetch_add(1, Ordering::Relaxed) as usize;
            let len = buffer.len().min(1 + turn % 977);
            self.0.read(&mut buffer[..len])
        }
    }
    for compression in ALL {
        let mut whole = packed(compression, &content(300_000));
        let place = whole.len() * 3 / 4;
        whole[place..place + 9].fill(0xaa);
        let drip = Drip(Cursor::new(whole.clone()), Arc::default());
        let mut out = Vec::new();
        let end = unpack(Box::new(drip)).unwrap().stream.read_to_end(&mut out);
        assert_eq!((out, end.err().map(|error| error.to_string())), read(&whole));
    }
}

proptest! {
    #[test]
    fn any_bytes_come_back(
        bytes in prop::collection::vec(any::<u8>(), 0..5_000),
        split in 0usize..5_000,
    ) {
        let split = split.min(bytes.len());
        for compression in ALL {
            let parts =
                [packed(compression, &bytes[..split]), packed(compression, &bytes[split..])];
            prop_assert_eq!(read(&parts.concat()), (bytes.clone(), None));
        }
    }

    #[test]
    fn damaged_data_never_panics_and_never_grows_without_end(
        len in 0usize..60_000,
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
        tail in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        for compression in ALL {
            let mut bytes = packed(compression, &content(len));
            for (place, value) in &flips {
                // The magic number stays.
                let place = 6 + place.index(bytes.len() - 6);
                bytes[place] = *value;
            }
            bytes.truncate(6 + cut.index(bytes.len() - 6));
            bytes.extend(&tail);
            let mut out = io::sink();
            let _ends = io::copy(&mut over(&bytes).stream.take(64 << 20), &mut out);
        }
    }
}
