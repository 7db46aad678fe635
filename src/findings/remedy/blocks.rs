//! Port ranges as kernels and strongSwan keep them: aligned blocks of ports that share their first bits.
//!
//! A selector of the Linux kernel holds a port and a bit mask. strongSwan turns a range into the smallest
//! block around it, which is silently wider than what was asked for.

use std::fmt;

/// Ports that share their first `bits` bits with `first`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// The first port; the bits behind the first `bits` are zero.
    pub first: u16,
    /// How many bits are fixed: 16 is one port, 0 is every port.
    pub bits: u8,
}

impl Block {
    /// The smallest block that holds the whole range.
    pub fn around(first: u16, last: u16) -> Self {
        let bits = (first ^ last).leading_zeros() as u8;
        Self { first: first & !free(bits), bits }
    }

    /// The last port.
    pub fn last(self) -> u16 {
        self.first | free(self.bits)
    }
}

/// As the first port and the number of fixed bits: `49152/2`.
impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.bits)
    }
}

/// The fewest blocks that hold a range and nothing else, in order.
pub fn blocks(first: u16, last: u16) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut next = u32::from(first);
    let end = u32::from(last) + 1;
    while next < end {
        // As large as the first port is aligned and the rest has room for.
        let aligned = if next == 0 { 16 } else { next.trailing_zeros() };
        let free_bits = aligned.min((end - next).ilog2());
        // `next` is at most `last`, and `free_bits` at most 16.
        blocks.push(Block { first: next as u16, bits: 16 - free_bits as u8 });
        next += 1 << free_bits;
    }
    blocks
}

/// The bits of a port that a block leaves free.
fn free(bits: u8) -> u16 {
    u16::MAX.checked_shr(u32::from(bits)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_the_tables_in_blocks() {
        // The range, how many exact blocks it needs, and what is installed when it is written as one.
        for (range, exact, installed) in [
            ((49152, 57500), 6, (49152, 65535)),
            ((57501, 65535), 9, (57344, 65535)),
            ((49152, 65535), 1, (49152, 65535)),
            ((50000, 59999), 10, (49152, 65535)),
            ((50020, 50039), 3, (50016, 50047)),
            ((58000, 58019), 2, (57984, 58047)),
            ((5350, 5389), 6, (5120, 5631)),
            ((1024, 65535), 6, (0, 65535)),
            ((0, 65535), 1, (0, 65535)),
            ((65535, 65535), 1, (65535, 65535)),
        ] {
            let parts = blocks(range.0, range.1);
            assert_eq!(parts.len(), exact, "{range:?}: {parts:?}");
            let around = Block::around(range.0, range.1);
            assert_eq!((around.first, around.last()), installed, "{range:?}");
        }
    }

    #[test]
    fn blocks_are_written_with_their_bits() {
        let shown = |first, last| {
            blocks(first, last).iter().map(Block::to_string).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(shown(49152, 57500), "49152/3 57344/9 57472/12 57488/13 57496/14 57500/16");
        assert_eq!(shown(50020, 50039), "50020/14 50024/13 50032/13");
        assert_eq!(shown(58000, 58019), "58000/12 58016/14");
        assert_eq!(Block::around(0, 65535).to_string(), "0/0");
    }

    #[test]
    fn blocks_join_to_the_range_without_a_gap() {
        for (first, last) in [(0, 0), (1, 65534), (1023, 1025), (32767, 32768), (7, 7)] {
            let mut next = u32::from(first);
            for block in blocks(first, last) {
                assert_eq!(u32::from(block.first), next);
                assert_eq!(Block::around(block.first, block.last()), block, "it is aligned");
                next = u32::from(block.last()) + 1;
            }
            assert_eq!(next, u32::from(last) + 1);
        }
    }

    #[test]
    fn a_reversed_range_has_no_ports() {
        assert_eq!(blocks(9, 3), []);
    }
}
