//! Reads what pcapng blocks say beside frames and interfaces: options that any block may carry, and
//! Name Resolution Blocks (draft-ietf-opsawg-pcapng, sections 3.5, 4.3 and 4.5).

use super::order::Order;
use super::pcapng::{
    ENHANCED_PACKET, INTERFACE_DESCRIPTION, INTERFACE_OPTIONS, INTERFACE_STATISTICS,
    NAME_RESOLUTION, PACKET, PACKET_DATA, SECTION_HEADER, SECTION_OPTIONS, STATISTICS_OPTIONS,
    TRAILER,
};
use crate::input::notes::Notes;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Takes down what a whole block notes, its byte order being known.
pub(super) fn take(order: Order, block: &[u8], notes: &mut Notes) {
    match order.u32_at(block, 0) {
        Some(SECTION_HEADER) => comments(Options::of(order, block, SECTION_OPTIONS), notes),
        Some(INTERFACE_DESCRIPTION) => {
            comments(Options::of(order, block, INTERFACE_OPTIONS), notes);
            filters(Options::of(order, block, INTERFACE_OPTIONS), notes);
        }
        Some(INTERFACE_STATISTICS) => {
            comments(Options::of(order, block, STATISTICS_OPTIONS), notes);
        }
        Some(NAME_RESOLUTION) => names(order, block, notes),
        Some(ENHANCED_PACKET) => packet(order, block, notes),
        Some(PACKET) => {
            // The obsolete block counts in a field of its own, all ones where it does not know.
            if let Some(lost) = order.u16_at(block, 10).filter(|lost| *lost != u16::MAX) {
                notes.lost(lost.into());
            }
            packet(order, block, notes);
        }
        _ => {}
    }
}

fn comments(options: Options<'_>, notes: &mut Notes) {
    let count = options.filter(|(code, _)| *code == COMMENT).count();
    notes.comments = notes.comments.saturating_add(count as u64);
}

/// `if_filter`, section 4.2: a byte that tells the kind, then the filter. Only the kind 0 is text;
/// compiled ones say nothing to people.
fn filters(options: Options<'_>, notes: &mut Notes) {
    for (code, value) in options {
        if let (IF_FILTER, Some((0, text))) = (code, value.split_first()) {
            notes.filters.add(text);
        }
    }
}

fn packet(order: Order, block: &[u8], notes: &mut Notes) {
    let captured = order.u32_at(block, 20).unwrap_or_default() as usize;
    let from = PACKET_DATA.saturating_add(captured.next_multiple_of(4));
    for (code, value) in Options::of(order, block, from) {
        match code {
            COMMENT => notes.comments = notes.comments.saturating_add(1),
            EPB_DROPCOUNT => notes.lost(order.u64_at(value, 0).unwrap_or_default()),
            _ => {}
        }
    }
}

/// Records have the shape of options: an address, and the names it has, each ended by a zero.
fn names(order: Order, block: &[u8], notes: &mut Notes) {
    let mut records = Options::of(order, block, NAME_RECORDS);
    for (kind, value) in records.by_ref() {
        let (address, names) = match kind {
            RECORD_IPV4 => {
                let Some((address, names)) = value.split_first_chunk::<4>() else { continue };
                (IpAddr::V4(Ipv4Addr::from(*address)), names)
            }
            RECORD_IPV6 => {
                let Some((address, names)) = value.split_first_chunk::<16>() else { continue };
                (IpAddr::V6(Ipv6Addr::from(*address)), names)
            }
            _ => continue,
        };
        for name in names.split(|byte| *byte == 0) {
            notes.names.add(address, name);
        }
    }
    comments(records, notes);
}

/// The options of a block, to their end or to the first that makes no sense. At their end, what
/// follows can be read by going on.
pub(super) struct Options<'a> {
    order: Order,
    rest: &'a [u8],
}

impl<'a> Options<'a> {
    /// The options that begin at a place in a block.
    pub(super) fn of(order: Order, block: &'a [u8], from: usize) -> Self {
        let end = block.len().saturating_sub(TRAILER);
        Self { order, rest: block.get(from..end).unwrap_or_default() }
    }
}

impl<'a> Iterator for Options<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let rest = std::mem::take(&mut self.rest);
        let code = self.order.u16_at(rest, 0)?;
        let len = usize::from(self.order.u16_at(rest, 2)?);
        let value = rest.get(4..4 + len)?;
        self.rest = rest.get(4 + len.next_multiple_of(4)..).unwrap_or_default();
        (code != END_OF_OPTIONS).then_some((code, value))
    }
}

/// Option codes and record types.
const END_OF_OPTIONS: u16 = 0;
const COMMENT: u16 = 1;
const EPB_DROPCOUNT: u16 = 4;
const IF_FILTER: u16 = 11;
const RECORD_IPV4: u16 = 1;
const RECORD_IPV6: u16 = 2;

/// Where the records of a Name Resolution Block begin, in bytes.
const NAME_RECORDS: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::savefile::craft::Blocks;

    fn noted(order: Order, build: impl FnOnce(&mut Blocks)) -> Notes {
        let mut blocks = Blocks::new(order);
        build(&mut blocks);
        let mut notes = Notes::default();
        take(order, &blocks.bytes, &mut notes);
        notes
    }

    #[test]
    fn addresses_get_all_their_names_in_both_orders() {
        for order in [Order::Little, Order::Big] {
            let notes = noted(order, |blocks| {
                let mut v6 = vec![0; 15];
                v6.extend(b"\x01loopback\0");
                let body = [
                    blocks.option(1, b"\x0a\0\0\x01fe01\0fe01.example.net\0"),
                    blocks.option(3, b"\x02\0\0\0\0\x01a-card\0"),
                    blocks.option(1, b"\x0a\0"),
                    blocks.option(2, &v6),
                    blocks.option(0, b""),
                    blocks.option(1, b"a comment, not an address"),
                    blocks.option(0, b""),
                ];
                blocks.block(4, &body.concat());
            });
            let names: Vec<String> =
                notes.names.iter().map(|(address, name)| format!("{address} {name}")).collect();
            assert_eq!(names, ["10.0.0.1 fe01", "10.0.0.1 fe01.example.net", "::1 loopback"]);
            assert_eq!(notes.comments, 1);
        }
    }

    #[test]
    fn packets_tell_of_losses_in_front_of_them() {
        for order in [Order::Little, Order::Big] {
            let lost = match order {
                Order::Little => 7u64.to_le_bytes(),
                Order::Big => 7u64.to_be_bytes(),
            };
            let notes = noted(order, |blocks| {
                let options = [
                    blocks.option(1, b"one"),
                    blocks.option(4, &lost),
                    blocks.option(1, b"two"),
                    blocks.option(0, b""),
                    blocks.option(1, b"behind the end"),
                ];
                blocks.enhanced_with(0, 1, b"abcde", 5, &options.concat());
            });
            assert_eq!((notes.comments, notes.lost_between), (2, Some(7)));
        }
        let nothing = noted(Order::Big, |blocks| {
            blocks.enhanced(0, 1, b"abcdefgh", 8);
        });
        assert_eq!(nothing, Notes::default());
        let unknown = noted(Order::Big, |blocks| {
            blocks.old(0, 1, b"abc", 3);
        });
        assert_eq!(unknown, Notes::default());
    }

    #[test]
    fn interfaces_tell_their_capture_filters() {
        for order in [Order::Little, Order::Big] {
            let notes = noted(order, |blocks| {
                let options = [
                    blocks.option(11, b"\0tcp port 5061"),
                    blocks.option(11, b"\x01\x28\0\0\0\x0c\0\0\0"),
                    blocks.option(11, b""),
                    blocks.option(0, b""),
                ];
                blocks.interface(1, 0, &options.concat());
            });
            assert_eq!(notes.filters.iter().collect::<Vec<_>>(), ["tcp port 5061"]);
        }
    }

    #[test]
    fn cut_options_end_quietly() {
        let whole = noted(Order::Little, |blocks| {
            let options = [blocks.option(1, b"one"), blocks.option(1, b"two")].concat();
            blocks.section_with(&options);
        });
        assert_eq!(whole.comments, 2);
        let mut blocks = Blocks::new(Order::Little);
        blocks.block(4, &[1, 0, 255, 255, 10, 0, 0, 1, b'x', 0]);
        for cut in 0..blocks.bytes.len() {
            let mut notes = Notes::default();
            take(Order::Little, &blocks.bytes[..cut], &mut notes);
            assert_eq!(notes, Notes::default());
        }
    }
}
