//! Capture files made by code: pcap and pcapng, byte for byte the same every time.
//!
//! Formats follow the IETF drafts draft-ietf-opsawg-pcap and draft-ietf-opsawg-pcapng.

/// Byte order of a file or section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    Little,
    Big,
}

/// What a time stamp counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ticks {
    Micro,
    Nano,
    /// Parts of a second as a power of two; pcapng only.
    Binary(u8),
}

/// One frame of a capture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Recorded {
    /// Nanoseconds since 1970.
    pub(crate) time: u64,
    /// The captured bytes.
    pub(crate) data: Vec<u8>,
    /// Length on the wire.
    pub(crate) original_len: u32,
}

impl Recorded {
    /// A frame captured whole.
    pub(crate) fn new(time: u64, data: Vec<u8>) -> Self {
        let original_len = data.len() as u32;
        Self { time, data, original_len }
    }

    /// The frame as a snaplen leaves it.
    pub(crate) fn cut(mut self, snaplen: usize) -> Self {
        self.data.truncate(snaplen);
        self
    }
}

/// A pcap file of one link type.
pub(crate) fn pcap(link_type: u32, order: Order, ticks: Ticks, frames: &[Recorded]) -> Vec<u8> {
    let mut file = Writer::new(order);
    let per_second = match ticks {
        Ticks::Micro => {
            file.u32(0xA1B2_C3D4);
            1_000_000
        }
        Ticks::Nano => {
            file.u32(0xA1B2_3C4D);
            1_000_000_000
        }
        Ticks::Binary(_) => panic!("pcap knows no binary ticks"),
    };
    file.u16(2);
    file.u16(4);
    file.u32(0);
    file.u32(0);
    file.u32(SNAPLEN);
    file.u32(link_type);
    for frame in frames {
        file.u32((frame.time / NANOS) as u32);
        file.u32((frame.time % NANOS / (NANOS / per_second)) as u32);
        file.u32(frame.data.len() as u32);
        file.u32(frame.original_len);
        file.bytes.extend(&frame.data);
    }
    file.bytes
}

/// A pcapng file in the making. Interfaces are numbered from 0 within their section.
///
/// ```text
/// Pcapng::new(Order::Big).interface(1, Ticks::Nano).frame(0, &frame).bytes()
/// ```
#[derive(Debug)]
pub(crate) struct Pcapng {
    file: Writer,
    ticks: Vec<Ticks>,
}

impl Pcapng {
    /// A file that begins with a section of this byte order.
    pub(crate) fn new(order: Order) -> Self {
        let empty = Self { file: Writer::new(order), ticks: Vec::new() };
        empty.section(order)
    }

    /// A further section; it has no interfaces yet.
    pub(crate) fn section(mut self, order: Order) -> Self {
        self.file.order = order;
        self.ticks.clear();
        self.block(0x0A0D_0D0A, |block| {
            block.u32(0x1A2B_3C4D);
            block.u16(1);
            block.u16(0);
            block.u32(u32::MAX);
            block.u32(u32::MAX);
        })
    }

    /// An interface; microseconds are what a missing option means.
    pub(crate) fn interface(mut self, link_type: u16, ticks: Ticks) -> Self {
        self.ticks.push(ticks);
        self.block(1, |block| {
            block.u16(link_type);
            block.u16(0);
            block.u32(SNAPLEN);
            match ticks {
                Ticks::Micro => {}
                Ticks::Nano => block.option(9, &[9]),
                Ticks::Binary(power) => block.option(9, &[0x80 | power]),
            }
            if ticks != Ticks::Micro {
                block.option(0, &[]);
            }
        })
    }

    /// An interface of nanoseconds that was captured on with a filter (`if_filter`).
    pub(crate) fn interface_with_filter(mut self, link_type: u16, filter: &str) -> Self {
        self.ticks.push(Ticks::Nano);
        let text = [&[0], filter.as_bytes()].concat();
        self.block(1, |block| {
            block.u16(link_type);
            block.u16(0);
            block.u32(SNAPLEN);
            block.option(9, &[9]);
            block.option(11, &text);
            block.option(0, &[]);
        })
    }

    /// A frame with its time (enhanced packet block).
    pub(crate) fn frame(self, interface: usize, frame: &Recorded) -> Self {
        let time = ticks_of(frame.time, self.ticks[interface]);
        self.block(6, |block| {
            block.u32(interface as u32);
            block.u32((time >> 32) as u32);
            block.u32(time as u32);
            block.u32(frame.data.len() as u32);
            block.u32(frame.original_len);
            block.padded(&frame.data);
        })
    }

    /// A frame without time on interface 0 (simple packet block).
    pub(crate) fn simple_frame(self, frame: &Recorded) -> Self {
        self.block(3, |block| {
            block.u32(frame.original_len);
            block.padded(&frame.data);
        })
    }

    /// Interface statistics that say how many frames the capturing system lost.
    pub(crate) fn dropped(self, interface: u32, count: u64) -> Self {
        self.block(5, |block| {
            block.u32(interface);
            block.u32(0);
            block.u32(0);
            let count = match block.order {
                Order::Little => count.to_le_bytes(),
                Order::Big => count.to_be_bytes(),
            };
            block.option(5, &count);
            block.option(0, &[]);
        })
    }

    /// A block of any type, for readers that must pass over what they do not know.
    pub(crate) fn unknown(self, kind: u32, body: &[u8]) -> Self {
        self.block(kind, |block| block.padded(body))
    }

    /// The file.
    pub(crate) fn bytes(self) -> Vec<u8> {
        self.file.bytes
    }

    fn block(mut self, kind: u32, fill: impl FnOnce(&mut Writer)) -> Self {
        let mut body = Writer::new(self.file.order);
        fill(&mut body);
        let total = (12 + body.bytes.len()) as u32;
        self.file.u32(kind);
        self.file.u32(total);
        self.file.bytes.extend(body.bytes);
        self.file.u32(total);
        self
    }
}

/// Bytes being written in one byte order.
#[derive(Debug)]
struct Writer {
    order: Order,
    bytes: Vec<u8>,
}

impl Writer {
    fn new(order: Order) -> Self {
        Self { order, bytes: Vec::new() }
    }

    fn u16(&mut self, value: u16) {
        self.bytes.extend(match self.order {
            Order::Little => value.to_le_bytes(),
            Order::Big => value.to_be_bytes(),
        });
    }

    fn u32(&mut self, value: u32) {
        self.bytes.extend(match self.order {
            Order::Little => value.to_le_bytes(),
            Order::Big => value.to_be_bytes(),
        });
    }

    fn padded(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
        let len = self.bytes.len() + bytes.len().next_multiple_of(4) - bytes.len();
        self.bytes.resize(len, 0);
    }

    fn option(&mut self, code: u16, value: &[u8]) {
        self.u16(code);
        self.u16(value.len() as u16);
        self.padded(value);
    }
}

fn ticks_of(time: u64, ticks: Ticks) -> u64 {
    match ticks {
        Ticks::Micro => time / 1_000,
        Ticks::Nano => time,
        Ticks::Binary(power) => ((u128::from(time) << power) / u128::from(NANOS)) as u64,
    }
}

/// Nanoseconds in a second.
const NANOS: u64 = 1_000_000_000;
/// The snaplen that file headers state: tcpdump's.
const SNAPLEN: u32 = 262_144;

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> [Recorded; 1] {
        [Recorded::new(0x5000_0001 * NANOS + 2_000_003, vec![0xAA, 0xBB, 0xCC]).cut(2)]
    }

    #[test]
    fn pcap_in_both_byte_orders() {
        let big = pcap(1, Order::Big, Ticks::Nano, &sample());
        let header = [0xA1, 0xB2, 0x3C, 0x4D, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(big[..16], header);
        assert_eq!(big[16..24], [0, 4, 0, 0, 0, 0, 0, 1]);
        assert_eq!(big[24..32], [0x50, 0, 0, 1, 0, 0x1E, 0x84, 0x83]);
        assert_eq!(big[32..], [0, 0, 0, 2, 0, 0, 0, 3, 0xAA, 0xBB]);
        let little = pcap(113, Order::Little, Ticks::Micro, &sample());
        assert_eq!(little[..4], [0xD4, 0xC3, 0xB2, 0xA1]);
        assert_eq!(little[20..32], [113, 0, 0, 0, 1, 0, 0, 0x50, 0xD0, 7, 0, 0]);
    }

    #[test]
    fn pcapng_blocks_state_their_length_twice_and_end_on_words() {
        let file = Pcapng::new(Order::Big)
            .interface(1, Ticks::Nano)
            .frame(0, &sample()[0])
            .section(Order::Little)
            .interface(101, Ticks::Binary(10))
            .simple_frame(&sample()[0])
            .frame(0, &Recorded::new(3 * NANOS / 2, vec![1]))
            .dropped(0, 5)
            .unknown(0x0BAD, &[1, 2, 3, 4, 5])
            .bytes();
        assert_eq!(file[..12], [0x0A, 0x0D, 0x0D, 0x0A, 0, 0, 0, 28, 0x1A, 0x2B, 0x3C, 0x4D]);
        // Interface: 16 bytes and two options in 12.
        assert_eq!(file[28..44], [0, 0, 0, 1, 0, 0, 0, 32, 0, 1, 0, 0, 0, 4, 0, 0]);
        assert_eq!(file[44..60], [0, 9, 0, 1, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32]);
        // Frame: two bytes captured of three, padded to four.
        assert_eq!(file[60..68], [0, 0, 0, 6, 0, 0, 0, 36]);
        assert_eq!(file[80..96], [0, 0, 0, 2, 0, 0, 0, 3, 0xAA, 0xBB, 0, 0, 0, 0, 0, 36]);
        // The second section turns the byte order.
        assert_eq!(file[96..104], [0x0A, 0x0D, 0x0D, 0x0A, 28, 0, 0, 0]);
        // 1.5 s in 1/1024 s are 1536 ticks.
        let ticks = 1536_u32.to_le_bytes();
        assert!(file.windows(8).any(|bytes| bytes == [[0; 4], ticks].concat()));
        assert_eq!(file.len() % 4, 0);
    }
}
