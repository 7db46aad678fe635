//! The pcapng format: blocks with their length on both sides (draft-ietf-opsawg-pcapng).

use super::clock::Clock;
use super::notes::{self, Options};
use super::order::Order;
use super::step::{Fault, MAX_BLOCK, MAX_CAPTURED, MAX_INTERFACES, Record, Step};
use crate::input::notes::Notes;
use crate::input::{LinkType, Timestamp};

/// What the blocks read so far say about those to come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Section {
    order: Order,
    interfaces: Vec<Interface>,
}

/// One Interface Description Block, and what Interface Statistics Blocks said of it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Interface {
    link_type: LinkType,
    /// Longest frame captured, 0 when there is no limit. Only Simple Packet Blocks need it.
    snaplen: u32,
    clock: Clock,
    /// Latest `isb_ifdrop`: frames lost by the interface since the capture began.
    lost_on_link: u64,
    /// Latest `isb_osdrop`: frames lost by the operating system since the capture began.
    lost_by_system: u64,
}

impl Section {
    /// Before the first block.
    pub(super) fn new() -> Self {
        Self { order: Order::Little, interfaces: Vec::new() }
    }

    /// The byte order in force.
    pub(super) fn order(&self) -> Order {
        self.order
    }

    /// How many interfaces are declared.
    pub(super) fn interfaces(&self) -> usize {
        self.interfaces.len()
    }

    /// What stands at the beginning of the bytes.
    ///
    /// Nearly every block is an Enhanced Packet Block: that way is short enough to be inlined.
    #[inline]
    pub(super) fn step(&self, bytes: &[u8]) -> Step {
        let (Some(kind), Some(length), Some(_)) =
            (self.order.u32_at(bytes, 0), self.order.u32_at(bytes, 4), bytes.get(..BLOCK_MIN))
        else {
            return Step::Need(BLOCK_MIN);
        };
        if kind != ENHANCED_PACKET {
            return self.rare_step(kind, length, bytes);
        }
        match self.whole(kind, length, bytes) {
            Ok(block) => frame(self.enhanced_packet(block), kind, length),
            Err(step) => step,
        }
    }

    #[inline(never)]
    fn rare_step(&self, kind: u32, length: u32, bytes: &[u8]) -> Step {
        match kind {
            SECTION_HEADER => section(bytes),
            PACKET | SIMPLE_PACKET | INTERFACE_DESCRIPTION | INTERFACE_STATISTICS => {
                match (kind, self.whole(kind, length, bytes)) {
                    (_, Err(step)) => step,
                    (PACKET, Ok(block)) => frame(self.old_packet(block), kind, length),
                    (SIMPLE_PACKET, Ok(block)) => frame(self.simple_packet(block), kind, length),
                    (_, Ok(block)) => Step::Declare(block.len()),
                }
            }
            NAME_RESOLUTION if length <= MAX_BLOCK => match self.whole(kind, length, bytes) {
                Ok(block) => Step::Note(block.len()),
                Err(step) => step,
            },
            _ if length < BLOCK_MIN as u32 || !length.is_multiple_of(4) => {
                Step::Bad(Fault::BlockLength { kind, length })
            }
            _ => Step::Skip(length),
        }
    }

    /// Whether a block that was skipped ends as it began.
    pub(super) fn check_trailer(&self, bytes: &[u8], length: u32) -> Result<(), Fault> {
        let trailing = self.order.u32_at(bytes, 0).unwrap_or_default();
        if trailing == length { Ok(()) } else { Err(Fault::Trailer { length, trailing }) }
    }

    /// Takes in a block for which [`Step::Declare`] was told. Returns the frames it newly reports
    /// as lost; None when it reports nothing.
    pub(super) fn declare(&mut self, block: &[u8]) -> Result<Option<u64>, Fault> {
        match self.order.u32_at(block, 0) {
            Some(INTERFACE_DESCRIPTION) => self.describe_interface(block).map(|()| None),
            Some(INTERFACE_STATISTICS) => Ok(self.take_statistics(block)),
            _ => {
                self.order = section_order(block)?;
                self.interfaces.clear();
                Ok(None)
            }
        }
    }

    /// Takes down what a block says beside its frame or its interface.
    pub(super) fn note(&self, block: &[u8], notes: &mut Notes) {
        notes::take(self.order, block, notes);
    }

    /// The whole block at the beginning of the bytes, its two lengths compared.
    #[inline]
    fn whole<'a>(&self, kind: u32, length: u32, bytes: &'a [u8]) -> Result<&'a [u8], Step> {
        if !(BLOCK_MIN as u32..=MAX_BLOCK).contains(&length) || !length.is_multiple_of(4) {
            return Err(Step::Bad(Fault::BlockLength { kind, length }));
        }
        let Some(block) = bytes.get(..length as usize) else {
            return Err(Step::Need(length as usize));
        };
        let trailing = self.order.u32_at(block, block.len() - 4).unwrap_or_default();
        if trailing != length {
            return Err(Step::Bad(Fault::Trailer { length, trailing }));
        }
        Ok(block)
    }

    /// Enhanced Packet Block, section 4.3; None when it is too short for its fields.
    #[inline]
    fn enhanced_packet(&self, block: &[u8]) -> Option<Result<Record, Fault>> {
        self.timed_packet(block, self.order.u32_at(block, 8)?)
    }

    /// The obsolete Packet Block, appendix A: a shorter interface number and a count of lost
    /// frames, the rest the same.
    fn old_packet(&self, block: &[u8]) -> Option<Result<Record, Fault>> {
        let record = self.timed_packet(block, u32::from(self.order.u16_at(block, 8)?))?;
        Some(record.map(|record| Record { noted: true, ..record }))
    }

    #[inline]
    fn timed_packet(&self, block: &[u8], index: u32) -> Option<Result<Record, Fault>> {
        let high = self.order.u32_at(block, 12)?;
        let low = self.order.u32_at(block, 16)?;
        let captured = self.order.u32_at(block, 20)?;
        let original = self.order.u32_at(block, 24)?;
        let room = block.len().checked_sub(PACKET_DATA + TRAILER)?;
        let Some(interface) = self.interfaces.get(index as usize) else {
            return Some(Err(self.undeclared(index)));
        };
        if captured as usize > room {
            return Some(Err(overhang(captured, block)));
        }
        let ticks = u64::from(high) << 32 | u64::from(low);
        Some(Ok(Record {
            data: PACKET_DATA,
            captured: captured as usize,
            total: block.len(),
            time: interface.clock.time(ticks),
            link_type: interface.link_type,
            original_len: original.max(captured),
            // Padding is shorter than four bytes, an option is not.
            noted: room - captured as usize >= 4,
        }))
    }

    /// Simple Packet Block, section 4.4: of the first interface, cut by its snaplen, and without a
    /// time. It gets time zero, because any better guess would depend on the blocks before it.
    fn simple_packet(&self, block: &[u8]) -> Option<Result<Record, Fault>> {
        let original = self.order.u32_at(block, 8)?;
        let room = block.len().checked_sub(SIMPLE_PACKET_DATA + TRAILER)?;
        let Some(interface) = self.interfaces.first() else {
            return Some(Err(self.undeclared(0)));
        };
        let snaplen = if interface.snaplen == 0 { u32::MAX } else { interface.snaplen };
        let captured = original.min(snaplen);
        if captured as usize > room {
            return Some(Err(overhang(captured, block)));
        }
        Some(Ok(Record {
            data: SIMPLE_PACKET_DATA,
            captured: captured as usize,
            total: block.len(),
            time: Timestamp(0),
            link_type: interface.link_type,
            original_len: original,
            noted: false,
        }))
    }

    #[cold]
    fn undeclared(&self, index: u32) -> Fault {
        Fault::Interface { index, declared: self.interfaces.len() }
    }

    /// Interface Description Block, section 4.2.
    fn describe_interface(&mut self, block: &[u8]) -> Result<(), Fault> {
        let too_short =
            Fault::BlockLength { kind: INTERFACE_DESCRIPTION, length: block.len() as u32 };
        let link_type = self.order.u16_at(block, 8).ok_or(too_short)?;
        let snaplen = self.order.u32_at(block, 12).ok_or(too_short)?;
        if block.len() < INTERFACE_OPTIONS + TRAILER {
            return Err(too_short);
        }
        if self.interfaces.len() >= MAX_INTERFACES {
            return Err(Fault::Interfaces);
        }
        let (mut resolution, mut offset) = (6, 0);
        for (code, value) in Options::of(self.order, block, INTERFACE_OPTIONS) {
            match (code, value) {
                (IF_TSRESOL, [value, ..]) => resolution = *value,
                (IF_TSOFFSET, value) => {
                    offset = self.order.u64_at(value, 0).unwrap_or_default().cast_signed();
                }
                _ => {}
            }
        }
        self.interfaces.push(Interface {
            link_type: LinkType(u32::from(link_type)),
            snaplen,
            clock: Clock::new(resolution, offset),
            lost_on_link: 0,
            lost_by_system: 0,
        });
        Ok(())
    }

    /// Interface Statistics Block, section 4.6. Its counters run from the beginning of the capture,
    /// so only what they grew by is new; one that falls goes on from its new value.
    fn take_statistics(&mut self, block: &[u8]) -> Option<u64> {
        let index = self.order.u32_at(block, 8)?;
        let (mut by_interface, mut by_system) = (None, None);
        for (code, value) in Options::of(self.order, block, STATISTICS_OPTIONS) {
            match code {
                ISB_IFDROP => by_interface = self.order.u64_at(value, 0),
                ISB_OSDROP => by_system = self.order.u64_at(value, 0),
                _ => {}
            }
        }
        let interface = self.interfaces.get_mut(index as usize)?;
        let mut newly = None;
        for (counter, value) in [
            (&mut interface.lost_on_link, by_interface),
            (&mut interface.lost_by_system, by_system),
        ] {
            if let Some(value) = value {
                let grown = value.saturating_sub(*counter);
                *counter = value;
                newly = Some(newly.unwrap_or(0u64).saturating_add(grown));
            }
        }
        newly
    }
}

/// What a packet block comes to; it was too short for its fields when there is no record.
#[inline]
fn frame(record: Option<Result<Record, Fault>>, kind: u32, length: u32) -> Step {
    match record {
        Some(Ok(record)) => Step::Frame(record),
        Some(Err(fault)) => Step::Bad(fault),
        None => Step::Bad(Fault::BlockLength { kind, length }),
    }
}

/// What to do with a Section Header Block, section 4.1. Its own byte order counts from its
/// beginning on.
#[cold]
fn section(bytes: &[u8]) -> Step {
    let Some(magic) = bytes.get(8..12) else {
        return Step::Need(BLOCK_MIN);
    };
    let order = match byte_order(magic) {
        Ok(order) => order,
        Err(fault) => return Step::Bad(fault),
    };
    let length = order.u32_at(bytes, 4).unwrap_or_default();
    if length < SECTION_MIN {
        return Step::Bad(Fault::BlockLength { kind: SECTION_HEADER, length });
    }
    let section = Section { order, interfaces: Vec::new() };
    match section.whole(SECTION_HEADER, length, bytes).and_then(|block| {
        section_order(block).map_err(Step::Bad)?;
        Ok(block)
    }) {
        Ok(block) => Step::Declare(block.len()),
        Err(step) => step,
    }
}

/// The byte order of a section whose version is known here.
fn section_order(block: &[u8]) -> Result<Order, Fault> {
    let order = byte_order(block.get(8..12).unwrap_or_default())?;
    let major = order.u16_at(block, 12).unwrap_or_default();
    let minor = order.u16_at(block, 14).unwrap_or_default();
    if major == 1 { Ok(order) } else { Err(Fault::Version { major, minor }) }
}

/// The byte order that the beginning of a Section Header Block tells.
pub(super) fn section_byte_order(block: &[u8]) -> Option<Order> {
    byte_order(block.get(8..12)?).ok()
}

fn byte_order(magic: &[u8]) -> Result<Order, Fault> {
    match Order::Little.u32_at(magic, 0) {
        Some(BYTE_ORDER_MAGIC) => Ok(Order::Little),
        Some(other) if other.swap_bytes() == BYTE_ORDER_MAGIC => Ok(Order::Big),
        other => Err(Fault::ByteOrder(other.unwrap_or_default())),
    }
}

#[cold]
fn overhang(captured: u32, block: &[u8]) -> Fault {
    if captured > MAX_CAPTURED {
        Fault::Captured(captured)
    } else {
        Fault::Overhang { captured, block: block.len() as u32 }
    }
}

/// What every pcapng file begins with, in either byte order.
pub(super) const SECTION_HEADER: u32 = 0x0a0d_0d0a;
/// Block types, section 11.1.
pub(super) const INTERFACE_DESCRIPTION: u32 = 1;
pub(super) const PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
pub(super) const NAME_RESOLUTION: u32 = 4;
pub(super) const INTERFACE_STATISTICS: u32 = 5;
pub(super) const ENHANCED_PACKET: u32 = 6;

const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;

/// Option codes, sections 3.5, 4.2 and 4.6.
const IF_TSRESOL: u16 = 9;
const IF_TSOFFSET: u16 = 14;
const ISB_IFDROP: u16 = 5;
const ISB_OSDROP: u16 = 7;

/// Where things stand in a block, in bytes.
pub(super) const SECTION_OPTIONS: usize = 24;
pub(super) const PACKET_DATA: usize = 28;
const SIMPLE_PACKET_DATA: usize = 12;
pub(super) const INTERFACE_OPTIONS: usize = 16;
pub(super) const STATISTICS_OPTIONS: usize = 20;
/// Length of the second length.
pub(super) const TRAILER: usize = 4;

/// The shortest block, in bytes: type and two lengths.
pub(super) const BLOCK_MIN: usize = 12;
/// The shortest Section Header Block, in bytes.
const SECTION_MIN: u32 = 28;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::savefile::craft::{Blocks, options};

    /// A section of one Ethernet interface, and the bytes of what `more` adds behind it.
    fn section_with(order: Order, more: impl FnOnce(&mut Blocks)) -> (Section, Vec<u8>) {
        let mut blocks = Blocks::new(order);
        blocks.section().interface(1, 96, &[]);
        let head = blocks.bytes.len();
        more(&mut blocks);
        let mut section = Section::new();
        let mut rest = blocks.bytes.as_slice();
        while blocks.bytes.len() - rest.len() < head {
            let Step::Declare(length) = section.step(rest) else { panic!("not declared") };
            section.declare(&rest[..length]).unwrap();
            rest = &rest[length..];
        }
        let tail = rest.to_vec();
        (section, tail)
    }

    fn frame_of(step: Step) -> Record {
        let Step::Frame(record) = step else { panic!("no frame but {step:?}") };
        record
    }

    #[test]
    fn packet_blocks_of_all_three_kinds_in_both_orders() {
        for order in [Order::Little, Order::Big] {
            let (section, bytes) = section_with(order, |b| {
                b.enhanced(0, 3_000_000, b"abcde", 60);
            });
            let record = frame_of(section.step(&bytes));
            assert_eq!((record.time, record.original_len), (Timestamp(3_000_000_000), 60));
            assert_eq!((record.data, record.captured, record.total), (28, 5, 40));
            assert_eq!(section.step(&bytes[..39]), Step::Need(40));

            let (section, bytes) = section_with(order, |b| {
                b.old(0, 7, b"abc", 3);
            });
            assert_eq!(frame_of(section.step(&bytes)).time, Timestamp(7_000));

            let (section, bytes) = section_with(order, |b| {
                b.simple(&[0; 96], 200);
            });
            let record = frame_of(section.step(&bytes));
            assert_eq!((record.data, record.captured, record.original_len), (12, 96, 200));
            assert_eq!(record.time, Timestamp(0));
        }
    }

    #[test]
    fn an_interface_sets_link_type_and_clock() {
        let nanoseconds = [options(9, &[9]), options(14, &5i64.to_le_bytes())].concat();
        let (mut section, bytes) = section_with(Order::Little, |b| {
            b.interface(113, 0, &nanoseconds);
            b.enhanced(1, 42, b"", 0);
        });
        let Step::Declare(length) = section.step(&bytes) else { panic!() };
        assert_eq!(section.declare(&bytes[..length]), Ok(None));
        let record = frame_of(section.step(&bytes[length..]));
        assert_eq!(record.link_type, LinkType::LINUX_SLL);
        assert_eq!(record.time, Timestamp(5_000_000_042));
    }

    #[test]
    fn a_new_section_forgets_the_interfaces_and_may_turn_the_bytes() {
        let (mut section, bytes) = section_with(Order::Little, |b| {
            b.order = Order::Big;
            b.section().enhanced(0, 0, b"", 0);
        });
        let Step::Declare(length) = section.step(&bytes) else { panic!() };
        section.declare(&bytes[..length]).unwrap();
        assert_eq!(section, Section { order: Order::Big, interfaces: Vec::new() });
        let fault = Fault::Interface { index: 0, declared: 0 };
        assert_eq!(section.step(&bytes[length..]), Step::Bad(fault));
    }

    #[test]
    fn drop_counters_are_told_as_growth() {
        let (mut section, _) = section_with(Order::Big, |_| {});
        let mut tell = |interface, ifdrop: u64, osdrop: u64| {
            let mut blocks = Blocks::new(Order::Big);
            let counters =
                [blocks.option(5, &ifdrop.to_be_bytes()), blocks.option(7, &osdrop.to_be_bytes())];
            blocks.statistics(interface, &counters.concat());
            section.declare(&blocks.bytes).unwrap()
        };
        assert_eq!(tell(0, 3, 4), Some(7));
        assert_eq!(tell(0, 3, 4), Some(0));
        assert_eq!(tell(0, 5, 1), Some(2));
        assert_eq!(tell(0, 5, 3), Some(2));
        assert_eq!(tell(9, 1, 1), None);
    }

    #[test]
    fn lying_lengths_are_faults() {
        let broken = |at: usize, value: u32| {
            let (section, mut bytes) = section_with(Order::Little, |b| {
                b.enhanced(0, 0, b"abcdefgh", 8);
            });
            bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
            section.step(&bytes)
        };
        assert_eq!(broken(4, 8), Step::Bad(Fault::BlockLength { kind: 6, length: 8 }));
        assert_eq!(broken(4, 39), Step::Bad(Fault::BlockLength { kind: 6, length: 39 }));
        assert_eq!(broken(4, 36), Step::Bad(Fault::Trailer { length: 36, trailing: 0x68676665 }));
        assert_eq!(broken(4, 1 << 31), Step::Bad(Fault::BlockLength { kind: 6, length: 1 << 31 }));
        assert_eq!(broken(40 - 4, 44), Step::Bad(Fault::Trailer { length: 40, trailing: 44 }));
        assert_eq!(broken(20, 9), Step::Bad(Fault::Overhang { captured: 9, block: 40 }));
        assert_eq!(broken(20, u32::MAX), Step::Bad(Fault::Captured(u32::MAX)));
        assert_eq!(broken(8, 1), Step::Bad(Fault::Interface { index: 1, declared: 1 }));
        // Unknown blocks may be of any length, but not of an odd one.
        assert_eq!(broken(0, 0xbad), Step::Skip(40));
    }

    #[test]
    fn sections_of_other_versions_and_orders_are_faults() {
        let mut blocks = Blocks::new(Order::Little);
        blocks.section();
        let section = Section::new();
        let mut bytes = blocks.bytes.clone();
        bytes[12] = 2;
        assert_eq!(section.step(&bytes), Step::Bad(Fault::Version { major: 2, minor: 0 }));
        bytes[8] = 0;
        assert_eq!(section.step(&bytes), Step::Bad(Fault::ByteOrder(0x1a2b3c00)));
        assert_eq!(section.step(&bytes[..11]), Step::Need(12));
    }

    #[test]
    fn options_that_overrun_their_block_end_the_options() {
        let (mut section, bytes) = section_with(Order::Little, |b| {
            b.interface(1, 0, &[9, 0, 255, 255, 9, 0, 0, 0]);
        });
        assert_eq!(section.declare(&bytes), Ok(None));
        assert_eq!(section.interfaces[1].clock, Clock::default());
    }

    #[test]
    fn interfaces_are_limited() {
        let (mut section, bytes) = section_with(Order::Little, |b| {
            b.interface(1, 0, &[]);
        });
        for _ in 1..MAX_INTERFACES {
            section.declare(&bytes).unwrap();
        }
        assert_eq!(section.declare(&bytes), Err(Fault::Interfaces));
    }
}
