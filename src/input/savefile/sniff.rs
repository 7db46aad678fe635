//! Tells a capture from everything else people hand to a capture tool, and says what to do then.

use super::order::Order;
use super::{pcap, pcapng};

/// What the first bytes of a file are.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Classic pcap with this header.
    Pcap(pcap::Layout),
    /// pcapng.
    Pcapng,
}

/// Recognises a format by its first bytes, or says in one sentence what they are instead.
pub(super) fn recognise(head: &[u8]) -> Result<Found, String> {
    if let Some(layout) = pcap::Layout::parse(head) {
        return layout.map(Found::Pcap);
    }
    if is_pcapng(head) {
        return Ok(Found::Pcapng);
    }
    Err(explain(head))
}

/// Whether the bytes begin as a capture does that this tool reads.
pub(super) fn is_capture(head: &[u8]) -> bool {
    pcap::Layout::parse(head).is_some() || is_pcapng(head)
}

/// The block type is the same in both byte orders; it is text to a text editor, so the magic
/// number behind the length decides.
fn is_pcapng(head: &[u8]) -> bool {
    Order::Little.u32_at(head, 0) == Some(pcapng::SECTION_HEADER)
}

fn explain(head: &[u8]) -> String {
    if head.is_empty() {
        return "it is empty".to_owned();
    }
    if let Some((_, name, command)) = COMPRESSED.iter().find(|(magic, ..)| head.starts_with(magic))
    {
        return format!(
            "at byte 0 it is {name} data; run `{command} FILE | portassay check -` to read it"
        );
    }
    if let Some((_, what)) = FOREIGN.iter().find(|(magic, _)| head.starts_with(magic)) {
        return format!("at byte 0 it is {what}");
    }
    if is_event_trace(head) {
        return "at byte 0 it is a Windows event trace; convert what pktmon recorded with `pktmon \
                etl2pcap FILE.etl --out FILE.pcapng`, what `netsh trace` recorded with `etl2pcapng \
                FILE.etl FILE.pcapng`"
            .to_owned();
    }
    if head.get(257..262) == Some(b"ustar") {
        return "at byte 0 it is a tar archive; unpack it with `tar -xf` and give the captures in \
                it"
        .to_owned();
    }
    if is_text(head) {
        let (what, hint) = kind_of_text(head);
        return format!(
            "at byte 0 it is {what}; the capture itself is needed, not what a tool printed of \
             it{hint}"
        );
    }
    let magic = head.get(..head.len().min(4)).unwrap_or_default();
    format!("at byte 0 it begins with {magic:02x?}, which is neither pcap nor pcapng")
}

/// A Windows event trace begins with a buffer header of 72 bytes, its own size first, and behind it
/// the system header of the log file event: version 2, header type 1 or 2, flags 0xc0.
fn is_event_trace(head: &[u8]) -> bool {
    let size = Order::Little.u32_at(head, 0).unwrap_or_default();
    let looks_sized = size.is_multiple_of(1024) && (1 << 10..=16 << 20).contains(&size);
    looks_sized && matches!(head.get(72..76), Some([2, 0, 1 | 2, 0xc0]))
}

fn is_text(head: &[u8]) -> bool {
    let head = head.get(..head.len().min(512)).unwrap_or_default();
    head.starts_with(b"\xff\xfe")
        || head.starts_with(b"\xfe\xff")
        || (is_utf8(head)
            && head.iter().all(|byte| *byte >= b' ' || matches!(byte, b'\t' | b'\n' | b'\r')))
}

/// What a text is, by its first characters, and what can be done with that kind.
fn kind_of_text(head: &[u8]) -> (&'static str, &'static str) {
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    let begins = |with: &str| {
        head.get(..with.len()).is_some_and(|h| h.eq_ignore_ascii_case(with.as_bytes()))
    };
    if begins("<!doctype html") || begins("<html") {
        return ("a web page", "");
    }
    if begins("<?xml") {
        return ("XML", "");
    }
    if begins("{")
        || begins("[{")
        || (begins("[")
            && head.get(1..).is_some_and(|rest| rest.trim_ascii_start().starts_with(b"{")))
    {
        return ("JSON", "");
    }
    if begins("0000 ") || begins("00000000 ") || begins("000000 ") {
        return ("a hex dump", "; `text2pcap FILE FILE.pcapng` makes one of a hex dump");
    }
    ("text", "")
}

/// Whether the bytes are UTF-8, but for a character cut by their end.
fn is_utf8(head: &[u8]) -> bool {
    match std::str::from_utf8(head) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none(),
    }
}

/// How many bytes tell what is no capture: a tar archive shows at byte 257.
pub(super) const TELLING: usize = 512;

/// Magic number, name, and the command that unpacks to standard output.
const COMPRESSED: [(&[u8], &str, &str); 6] = [
    (b"\x1f\x8b", "gzip", "gzip -dc"),
    (b"\x28\xb5\x2f\xfd", "Zstandard", "zstd -dc"),
    (b"\xfd7zXZ\0", "xz", "xz -dc"),
    (b"\x04\x22\x4d\x18", "LZ4", "lz4 -dc"),
    (b"BZh", "bzip2", "bzip2 -dc"),
    (b"PK\x03\x04", "zip", "unzip -p"),
];

/// Magic numbers of captures in other formats, and what to do about them.
const FOREIGN: [(&[u8], &str); 10] = [
    (b"GMBU", "a Network Monitor capture; convert it with `editcap -F pcapng FILE FILE.pcapng`"),
    (b"RTSS", "a Network Monitor 1 capture; convert it with `editcap -F pcapng FILE FILE.pcapng`"),
    (b"snoop\0\0\0", "a snoop capture; convert it with `editcap -F pcapng FILE FILE.pcapng`"),
    (b"XCP\0", "a NetXray capture; convert it with `editcap -F pcapng FILE FILE.pcapng`"),
    (b"TRSNIFF data", "a Sniffer capture; convert it with `editcap -F pcapng FILE FILE.pcapng`"),
    (b"\x7fver", "an OmniPeek capture; convert it with `editcap -F pcapng FILE FILE.pcapng`"),
    (b"btsnoop\0", "a Bluetooth capture, which holds no network traffic"),
    (b"%PDF-", "a PDF document; the capture itself is needed"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive; unpack it and give the captures in it"),
    (b"Rar!\x1a\x07", "a RAR archive; unpack it and give the captures in it"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn why(head: &[u8]) -> String {
        recognise(head).unwrap_err()
    }

    #[test]
    fn compressed_captures_name_the_command() {
        assert_eq!(
            why(b"\x1f\x8b\x08\0\0\0"),
            "at byte 0 it is gzip data; run `gzip -dc FILE | portassay check -` to read it"
        );
        assert!(why(b"\x28\xb5\x2f\xfd\x04").contains("`zstd -dc FILE |"));
        assert!(why(b"\xfd7zXZ\0\0\x04").contains("`xz -dc FILE |"));
        assert!(why(b"\x04\x22\x4d\x18\x64").contains("`lz4 -dc FILE |"));
    }

    #[test]
    fn other_formats_name_the_converter() {
        assert!(why(b"GMBU\0\x02\x01\0").contains("`editcap -F pcapng"));
        let mut trace = vec![0; 80];
        trace[1] = 0x10;
        trace[72..76].copy_from_slice(&[2, 0, 2, 0xc0]);
        assert!(why(&trace).contains("`etl2pcapng FILE.etl FILE.pcapng`"));
        assert!(why(&trace).contains("`pktmon etl2pcap FILE.etl --out FILE.pcapng`"));
        trace[0] = 1;
        assert!(why(&trace).contains("begins with [01, 10, 00, 00]"));
    }

    #[test]
    fn text_and_nothing() {
        assert_eq!(why(b""), "it is empty");
        assert!(why(b"12:00:01.5 IP 10.0.0.1 > 10.0.0.2: ICMP\r\n").contains("it is text"));
        assert!(why("größer, cut in the ö".as_bytes()).contains("it is text"));
        assert!(why(b"\xff\xfet\0e\0").contains("it is text"));
        assert!(why(b"\0\0\0\0").contains("begins with [00, 00, 00, 00]"));
    }

    #[test]
    fn what_is_handed_in_by_mistake_is_named() {
        for (head, what) in [
            (b"<!DOCTYPE HTML>\n<html>".as_slice(), "it is a web page;"),
            (b"\xef\xbb\xbf<?xml version=\"1.0\"?>\n<pdml>", "it is XML;"),
            (b"[\n  {\n    \"_index\": \"packets\"", "it is JSON;"),
            (b"[info] capturing on eth0", "it is text;"),
            (b"0000  00 0c 29 1b 2c", "it is a hex dump;"),
            (b"%PDF-1.7\n%\xe2\xe3", "it is a PDF document;"),
            (b"7z\xbc\xaf\x27\x1c\0\x04", "it is a 7-Zip archive;"),
            (b"PK\x03\x04\x14\0", "`unzip -p FILE | portassay check -`"),
        ] {
            assert!(why(head).contains(what), "{}", why(head));
        }
    }

    #[test]
    fn captures_are_recognised_by_magic_alone() {
        assert!(is_capture(b"\xd4\xc3\xb2\xa1"));
        assert!(is_capture(b"\x0a\x0d\x0d\x0a\x1c\0\0\0"));
        assert!(!is_capture(b"\x0a\x0d\x0d"));
        assert!(why(b"\xd4\xc3\xb2\xa1\x02\0").contains("6 of 24 bytes"));
    }
}
