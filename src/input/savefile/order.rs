//! Numbers in capture files come in the byte order of the machine that wrote them.

/// The byte order of a pcap file or of a pcapng section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Least significant byte first.
    Little,
    /// Most significant byte first.
    Big,
}

impl Order {
    /// The 16-bit number at a place; None when the bytes end before it does.
    #[inline]
    pub(super) fn u16_at(self, bytes: &[u8], at: usize) -> Option<u16> {
        let bytes = *bytes.get(at..)?.first_chunk()?;
        Some(match self {
            Self::Little => u16::from_le_bytes(bytes),
            Self::Big => u16::from_be_bytes(bytes),
        })
    }

    /// The 32-bit number at a place; None when the bytes end before it does.
    #[inline]
    pub(super) fn u32_at(self, bytes: &[u8], at: usize) -> Option<u32> {
        let bytes = *bytes.get(at..)?.first_chunk()?;
        Some(match self {
            Self::Little => u32::from_le_bytes(bytes),
            Self::Big => u32::from_be_bytes(bytes),
        })
    }

    /// Four 32-bit numbers.
    #[inline]
    pub(super) fn words(self, bytes: &[u8; 16]) -> [u32; 4] {
        let all = match self {
            Self::Little => u128::from_le_bytes(*bytes),
            Self::Big => u128::from_be_bytes(*bytes),
        };
        let word = |nth: u32| match self {
            Self::Little => (all >> (32 * nth)) as u32,
            Self::Big => (all >> (96 - 32 * nth)) as u32,
        };
        [word(0), word(1), word(2), word(3)]
    }

    /// The 64-bit number at a place; None when the bytes end before it does.
    #[inline]
    pub(super) fn u64_at(self, bytes: &[u8], at: usize) -> Option<u64> {
        let bytes = *bytes.get(at..)?.first_chunk()?;
        Some(match self {
            Self::Little => u64::from_le_bytes(bytes),
            Self::Big => u64::from_be_bytes(bytes),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Order;

    #[test]
    fn both_orders_read_the_same_bytes_differently() {
        let bytes = [1, 2, 3, 4, 5, 6, 7, 8, 9];
        assert_eq!(Order::Little.u16_at(&bytes, 1), Some(0x0302));
        assert_eq!(Order::Big.u32_at(&bytes, 0), Some(0x01020304));
        assert_eq!(Order::Big.u64_at(&bytes, 1), Some(0x0203040506070809));
        let sixteen = std::array::from_fn(|nth| nth as u8);
        assert_eq!(Order::Little.words(&sixteen)[1], 0x0706_0504);
        assert_eq!(
            Order::Big.words(&sixteen),
            [0x0001_0203, 0x0405_0607, 0x0809_0a0b, 0x0c0d_0e0f]
        );
    }

    #[test]
    fn nothing_is_read_past_the_end() {
        assert_eq!(Order::Little.u16_at(&[1], 0), None);
        assert_eq!(Order::Big.u32_at(&[1, 2, 3, 4], 1), None);
        assert_eq!(Order::Big.u64_at(&[0; 8], usize::MAX), None);
    }
}
