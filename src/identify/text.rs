//! Readable lines: a fact and no protocol.
//!
//! No detector knows every program that greets with a line of text. But lines are certainly not the
//! records of TLS, nor anything else that is encrypted, and that is what may have to be said.
//!
//! Every side that sent anything must begin with printable characters and come to the end of a line,
//! or go on for longer than chance allows. Encrypted bytes do that once in millions of times.

use super::View;
use super::sides::SIDES;
use crate::flow::sample::Carrier;

/// The fact's name.
pub(super) const TEXT: &str = "text";
/// Its value.
pub(super) const LINES: &str = "lines";

/// Whether both sides of a stream, as far as they spoke, begin with lines of text.
pub(super) fn shown(view: &View<'_>) -> bool {
    if view.carrier() != Carrier::Stream {
        return false;
    }
    let mut read = 0;
    for side in SIDES {
        match view.stream(side) {
            [] => {}
            bytes => match first_line(bytes) {
                Some(len) => read += len,
                None => return false,
            },
        }
    }
    read >= ENOUGH
}

/// The length of the first line; what has none yet must be long.
fn first_line(bytes: &[u8]) -> Option<usize> {
    let end = bytes.iter().position(|&byte| byte == b'\n');
    let line = bytes.get(..end.unwrap_or(bytes.len()))?;
    let readable = line.iter().all(|&byte| matches!(byte, b'\t' | b'\r' | b' '..=b'~'));
    (readable && (end.is_some() || line.len() >= ENOUGH)).then_some(line.len())
}

/// Bytes that must be readable: one byte in 2.6 is, so chance gives as many once in five million.
const ENOUGH: usize = 16;

#[cfg(test)]
mod tests {
    use super::super::craft::{datagrams, hex, stream};
    use super::super::identify;
    use crate::flow::sample::Sample;

    fn fact(sample: &Sample) -> Option<String> {
        identify(sample).facts.get("text").map(str::to_owned)
    }

    #[test]
    fn lines_of_both_sides_are_a_fact_and_no_protocol() {
        let sample = stream(b"hello, is anybody there?\r\n", b"hello yourself\r\n");
        let found = identify(&sample);
        assert_eq!((found.protocol, found.confidence), (None, None));
        assert_eq!(found.facts["text"], "lines");
        assert_eq!(fact(&stream(b"", b"welcome to the machine\n")).as_deref(), Some("lines"));
        assert_eq!(fact(&stream(b"a line that has not ended", b"")).as_deref(), Some("lines"));
    }

    #[test]
    fn what_is_short_binary_or_known_is_none() {
        assert_eq!(fact(&stream(b"quit\r\n", b"ok\r\n")), None);
        assert_eq!(fact(&stream(b"hello, is anybody there?\r\n", &hex("1503030002022a"))), None);
        assert_eq!(fact(&stream(b"hello, is \0 there anybody?\r\n", b"")), None);
        assert_eq!(fact(&stream("h\u{e9}llo, is anybody there?\n".as_bytes(), b"")), None);
        assert_eq!(fact(&stream(b"GET / HTTP/1.1\r\nHost: fe01\r\n\r\n", b"")), None);
        assert_eq!(fact(&datagrams(&[b"hello, is anybody there?\r\n"], &[])), None);
        assert_eq!(fact(&stream(b"", b"")), None);
    }
}
