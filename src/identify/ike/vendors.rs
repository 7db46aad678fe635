//! Who made an IKE implementation, as far as it says so in clear: vendor ids (RFC 2408 section 3.16,
//! RFC 7296 section 3.12) are agreed with nobody, so these are hints and never proof.

/// Vendor ids that were seen, as a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Vendors(u16);

impl Vendors {
    /// What one vendor id says.
    pub(super) fn of(id: &[u8]) -> Self {
        let known = KNOWN.iter().enumerate().filter(|(_, (_, begin))| id.starts_with(begin));
        Self(known.fold(0, |set, (nth, _)| set | 1 << nth))
    }

    /// Both sets in one.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether one of them makes devices that stand between sites.
    pub fn make_gateways(self) -> bool {
        self.names().iter().any(|name| OF_GATEWAYS.contains(name))
    }

    /// The names, each once, in alphabetical order.
    pub fn names(self) -> Vec<&'static str> {
        let seen = KNOWN.iter().enumerate().filter(|(nth, _)| self.0 & 1 << nth != 0);
        let mut names: Vec<&'static str> = seen.map(|(_, (name, _))| *name).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

/// Makers of devices that stand between sites.
const OF_GATEWAYS: [&str; 5] = ["check-point", "cisco", "fortigate", "juniper", "sonicwall"];

/// Names and how their ids begin. Most ids are MD5 sums of a text, with a version behind them.
const KNOWN: [(&str, &[u8]); 14] = [
    // MD5 of "MS NT5 ISAKMPOAKLEY".
    ("microsoft", &[0x1e, 0x2b, 0x51, 0x69, 0x05, 0x99, 0x1c, 0x7d, 0x7c, 0x96, 0xfc, 0xbf]),
    // MD5 of "FRAGMENTATION": Windows and others cut long messages themselves.
    ("fragmentation", &[0x40, 0x48, 0xb7, 0xd5, 0x6e, 0xbc, 0xe8, 0x85, 0x25, 0xe7, 0xde, 0x7f]),
    // MD5 of "RFC 3947", and of its drafts 02 (with a line break and without), 03 and 00.
    ("nat-t", &[0x4a, 0x13, 0x1c, 0x81, 0x07, 0x03, 0x58, 0x45, 0x5c, 0x57, 0x28, 0xf2]),
    ("nat-t", &[0x90, 0xcb, 0x80, 0x91, 0x3e, 0xbb, 0x69, 0x6e, 0x08, 0x63, 0x81, 0xb5]),
    ("nat-t", &[0xcd, 0x60, 0x46, 0x43, 0x35, 0xdf, 0x21, 0xf8, 0x7c, 0xfd, 0xb2, 0xfc]),
    ("nat-t", &[0x7d, 0x94, 0x19, 0xa6, 0x53, 0x10, 0xca, 0x6f, 0x2c, 0x17, 0x9d, 0x92]),
    ("nat-t", &[0x44, 0x85, 0x15, 0x2d, 0x18, 0xb6, 0xbb, 0xcd, 0x0b, 0xe8, 0xa8, 0x46]),
    // MD5 of "CISCO-UNITY" but its end; IKEv2 of the same maker spells its ids out.
    ("cisco", &[0x12, 0xf5, 0xf2, 0x8c, 0x45, 0x71, 0x68, 0xa9, 0x70, 0x2d, 0x9f, 0xe2]),
    ("cisco", b"CISCO"),
    // MD5 of "strongSwan".
    ("strongswan", &[0x88, 0x2f, 0xe5, 0x6d, 0x6f, 0xd2, 0x0d, 0xbc, 0x22, 0x51, 0x61, 0x3b]),
    ("check-point", &[0xf4, 0xed, 0x19, 0xe0, 0xc1, 0x14, 0xeb, 0x51, 0x6f, 0xaa, 0xac, 0x0e]),
    ("fortigate", &[0x1d, 0x6e, 0x17, 0x8f]),
    // NetScreen, later Juniper.
    ("juniper", &[0x16, 0x6f, 0x93, 0x2d, 0x55, 0xeb, 0x64, 0xd8]),
    ("sonicwall", &[0x40, 0x4b, 0xf4, 0x39, 0x52, 0x2c, 0xa3, 0xf6]),
];

#[cfg(test)]
mod tests {
    use super::super::super::craft::hex;
    use super::*;

    #[test]
    fn ids_are_known_by_their_beginning_and_named_once() {
        let windows = Vendors::of(&hex("1e2b516905991c7d7c96fcbfb587e461 00000008"));
        assert_eq!(windows.names(), ["microsoft"]);
        let both = windows
            .with(Vendors::of(&hex("90cb80913ebb696e086381b5ec427b1f")))
            .with(Vendors::of(&hex("4a131c81070358455c5728f20e95452f")));
        assert_eq!(both.names(), ["microsoft", "nat-t"]);
        assert_eq!(Vendors::of(b"CISCO-DELETE-REASON").names(), ["cisco"]);
        assert!(!windows.make_gateways());
        assert!(
            windows.with(Vendors::of(&hex("1d6e178f6c2c0be284985465450fe9d4"))).make_gateways()
        );
        assert_eq!(Vendors::of(&hex("1e2b5169")), Vendors::default());
        assert_eq!(Vendors::of(&[]), Vendors::default());
    }
}
