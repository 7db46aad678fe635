//! The same link type has two numbers: LINKTYPE in files, DLT in libpcap.
//!
//! They differ only below 104 and for one above (tcpdump group, "Link-layer header types"). Inside
//! this tool the number is always the one of files.

use super::LinkType;

/// The number that libpcap knows a link type by.
pub(super) fn to_libpcap(link_type: LinkType) -> pcap::Linktype {
    let pair = PAIRS.iter().find(|(file, _)| *file == link_type);
    let number = match (pair, link_type) {
        (Some((_, dlt)), _) => *dlt,
        // Two numbers for raw IP that systems wrote by mistake.
        (None, LinkType::RAW_BSD | LinkType::RAW_OPENBSD) => DLT_RAW,
        (None, LinkType(number)) => i32::try_from(number).unwrap_or(i32::MAX),
    };
    pcap::Linktype(number)
}

/// The number that files would give a link type of libpcap.
pub(super) fn from_libpcap(link_type: pcap::Linktype) -> LinkType {
    let pair = PAIRS.iter().find(|(_, dlt)| *dlt == link_type.0);
    pair.map_or(LinkType(link_type.0.unsigned_abs()), |(file, _)| *file)
}

impl LinkType {
    /// The link type that headers inside frames name by libpcap's number.
    pub fn of_libpcap(number: u32) -> Self {
        i32::try_from(number).map_or(Self(number), |number| from_libpcap(pcap::Linktype(number)))
    }
}

/// Raw IP in libpcap, on every system but OpenBSD, which this tool does not run on.
const DLT_RAW: i32 = 12;

/// Those with two numbers: RFC 1483, raw IP, SLIP and PPP of BSD/OS, classical IP over ATM.
const PAIRS: [(LinkType, i32); 5] = [
    (LinkType(100), 11),
    (LinkType::RAW, DLT_RAW),
    (LinkType(102), 15),
    (LinkType(103), 16),
    (LinkType(106), 19),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_there_and_back() {
        for number in [0, 1, 100, 101, 102, 103, 106, 108, 113, 228, 229, 276] {
            assert_eq!(from_libpcap(to_libpcap(LinkType(number))), LinkType(number));
        }
        assert_eq!(to_libpcap(LinkType::RAW), pcap::Linktype(12));
        assert_eq!(to_libpcap(LinkType::RAW_BSD), pcap::Linktype(12));
        assert_eq!(to_libpcap(LinkType::RAW_OPENBSD), pcap::Linktype(12));
        assert_eq!(from_libpcap(pcap::Linktype(12)), LinkType::RAW);
        assert_eq!(LinkType::of_libpcap(12), LinkType::RAW);
        assert_eq!(LinkType::of_libpcap(u32::MAX), LinkType(u32::MAX));
    }
}
