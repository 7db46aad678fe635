//! What link types are called: the names of the tcpdump group's LINKTYPE registry in plain words.
//!
//! Those that this tool reads have a token for machines too; the others are told to people by name,
//! so that nobody has to look a number up to learn what they recorded.

use std::borrow::Cow;
use std::fmt;

use super::LinkType;

impl LinkType {
    /// The stable name for machines; `link-type-N` where there is none.
    pub fn token(self) -> Cow<'static, str> {
        match self.entry() {
            Some((_, token, _)) if !token.is_empty() => Cow::Borrowed(token),
            _ => Cow::Owned(format!("link-type-{}", self.0)),
        }
    }

    /// The name for people; None for a number that is not in the table.
    pub fn name(self) -> Option<&'static str> {
        self.entry().map(|(_, _, name)| *name)
    }

    fn entry(self) -> Option<&'static (u32, &'static str, &'static str)> {
        let at = NAMES.binary_search_by_key(&self.0, |(number, _, _)| *number).ok()?;
        NAMES.get(at)
    }
}

/// Name and number, as in `IEEE 802.15.4 (195)`.
impl fmt::Display for LinkType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{name} ({})", self.0),
            None => write!(f, "link type {}", self.0),
        }
    }
}

/// Number, token and name, by number.
#[rustfmt::skip]
const NAMES: &[(u32, &str, &str)] = &[
    (0, "null", "BSD loopback"),
    (1, "ethernet", "Ethernet"),
    (3, "", "AX.25"),
    (6, "token-ring", "IEEE 802.5 token ring"),
    (7, "", "ARCNET"),
    (8, "slip", "SLIP"),
    (9, "ppp", "PPP"),
    (10, "fddi", "FDDI"),
    (12, "raw", "raw IP"),
    (14, "raw", "raw IP"),
    (50, "ppp-hdlc", "PPP or Cisco HDLC on a serial line"),
    (51, "pppoe", "PPP over Ethernet"),
    (99, "", "Symantec Enterprise Firewall"),
    (100, "atm-rfc1483", "LLC over ATM"),
    (101, "raw", "raw IP"),
    (102, "", "BSD/OS SLIP"),
    (103, "", "BSD/OS PPP"),
    (104, "c-hdlc", "Cisco HDLC"),
    (105, "ieee802-11", "IEEE 802.11"),
    (106, "atm-clip", "classical IP over ATM"),
    (107, "frame-relay", "Frame Relay"),
    (108, "loop", "OpenBSD loopback"),
    (109, "enc", "OpenBSD IPsec tap"),
    (113, "linux-sll", "Linux cooked capture"),
    (114, "", "Apple LocalTalk"),
    (117, "pflog", "BSD packet filter log"),
    (118, "", "Cisco IOS capture"),
    (119, "ieee802-11-prism", "IEEE 802.11 with Prism header"),
    (120, "", "Aironet"),
    (122, "ip-over-fc", "IP over Fibre Channel"),
    (123, "", "SunATM"),
    (127, "ieee802-11-radiotap", "IEEE 802.11 with radiotap header"),
    (129, "", "ARCNET, Linux"),
    (138, "apple-ip-over-1394", "IP over FireWire"),
    (139, "", "SS7 MTP2 with pseudo header"),
    (140, "", "SS7 MTP2"),
    (141, "", "SS7 MTP3"),
    (142, "", "SS7 SCCP"),
    (143, "", "DOCSIS"),
    (144, "", "Linux IrDA"),
    (147, "", "private use 0"),
    (148, "", "private use 1"),
    (149, "pktap", "pktap or private use 2"),
    (150, "", "private use 3"),
    (151, "", "private use 4"),
    (152, "", "private use 5"),
    (153, "", "private use 6"),
    (154, "", "private use 7"),
    (155, "", "private use 8"),
    (156, "", "private use 9"),
    (157, "", "private use 10"),
    (158, "", "private use 11"),
    (159, "", "private use 12"),
    (160, "", "private use 13"),
    (161, "", "private use 14"),
    (162, "", "private use 15"),
    (163, "ieee802-11-avs", "IEEE 802.11 with AVS header"),
    (165, "", "BACnet MS/TP"),
    (166, "ppp-pppd", "PPP as pppd logs it"),
    (169, "", "GPRS LLC"),
    (170, "", "transparent GFP"),
    (171, "", "frame-mapped GFP"),
    (177, "", "Linux LAPD"),
    (182, "", "multilink Frame Relay"),
    (187, "", "Bluetooth HCI"),
    (189, "", "USB, Linux"),
    (192, "ppi", "per-packet information"),
    (195, "", "IEEE 802.15.4"),
    (196, "", "SITA"),
    (197, "", "Endace ERF"),
    (201, "", "Bluetooth HCI with direction"),
    (202, "", "AX.25 KISS"),
    (203, "", "LAPD"),
    (204, "ppp-with-direction", "PPP with direction"),
    (205, "", "Cisco HDLC with direction"),
    (206, "", "Frame Relay with direction"),
    (209, "", "IPMB, Linux"),
    (210, "", "FlexRay"),
    (212, "", "LIN"),
    (215, "", "IEEE 802.15.4 without PHY"),
    (219, "mpls", "MPLS"),
    (220, "", "USB, Linux, with memory map"),
    (224, "", "Fibre Channel FC-2"),
    (225, "", "Fibre Channel FC-2 with delimiters"),
    (226, "ipnet", "Solaris ipnet"),
    (227, "", "SocketCAN"),
    (228, "ipv4", "raw IPv4"),
    (229, "ipv6", "raw IPv6"),
    (230, "", "IEEE 802.15.4 without checksum"),
    (231, "", "D-Bus"),
    (235, "", "DVB-CI"),
    (236, "", "3GPP multiplexing"),
    (237, "", "STANAG 5066"),
    (239, "nflog", "Linux netfilter log"),
    (240, "netanalyzer", "netANALYZER Ethernet"),
    (241, "netanalyzer-transparent", "netANALYZER Ethernet with preamble"),
    (242, "ipoib", "IP over InfiniBand"),
    (243, "", "MPEG transport stream"),
    (244, "", "NG4T"),
    (245, "", "NFC LLCP"),
    (247, "", "InfiniBand"),
    (248, "", "SCTP"),
    (249, "", "USBPcap"),
    (250, "", "Schweitzer RTAC"),
    (251, "", "Bluetooth LE"),
    (252, "", "Wireshark upper PDU"),
    (253, "", "Linux netlink"),
    (254, "", "Bluetooth, Linux monitor"),
    (255, "", "Bluetooth BR/EDR"),
    (256, "", "Bluetooth LE with PHY"),
    (257, "", "PROFIBUS"),
    (258, "pktap", "pktap"),
    (259, "", "EPON"),
    (260, "", "IPMI HPM.2"),
    (261, "", "Z-Wave R1/R2"),
    (262, "", "Z-Wave R3"),
    (263, "", "WattStopper DLM"),
    (264, "", "ISO 14443"),
    (265, "", "Radio Data System"),
    (266, "", "USB, macOS"),
    (268, "", "SDLC"),
    (270, "", "LoRaTap"),
    (271, "", "vsock, Linux"),
    (272, "", "Nordic BLE sniffer"),
    (273, "", "DOCSIS 3.1"),
    (274, "ethernet-preamble", "Ethernet with preamble"),
    (275, "", "DisplayPort AUX"),
    (276, "linux-sll2", "Linux cooked capture 2"),
    (278, "", "OpenVizsla USB"),
    (279, "", "Elektrobit EBHSCR"),
    (280, "", "VPP graph trace"),
    (281, "", "Broadcom switch tag"),
    (282, "", "Broadcom switch tag, prepended"),
    (283, "", "IEEE 802.15.4 TAP"),
    (284, "", "Marvell switch tag"),
    (285, "", "Marvell switch tag with EtherType"),
    (286, "", "ELEE"),
    (287, "", "Z-Wave serial"),
    (288, "", "USB 2.0"),
    (289, "", "ATSC link layer"),
    (290, "", "ETW"),
    (292, "", "ZigBee NCP"),
    (293, "", "USB 2.0, low speed"),
    (294, "", "USB 2.0, full speed"),
    (295, "", "USB 2.0, high speed"),
    (297, "", "ZWAVE TAP"),
    (299, "", "Silicon Labs debug channel"),
    (300, "", "FIRA UCI"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order() {
        assert!(NAMES.is_sorted_by(|a, b| a.0 < b.0));
    }

    #[test]
    fn a_link_type_has_a_name_with_its_number() {
        assert_eq!(LinkType(195).to_string(), "IEEE 802.15.4 (195)");
        assert_eq!(LinkType::ETHERNET.to_string(), "Ethernet (1)");
        assert_eq!(LinkType(4_000_000).to_string(), "link type 4000000");
        assert_eq!(LinkType(195).name(), Some("IEEE 802.15.4"));
        assert_eq!(LinkType(4_000_000).name(), None);
    }

    #[test]
    fn tokens_stay() {
        let tokens =
            [(0, "null"), (1, "ethernet"), (12, "raw"), (113, "linux-sll"), (195, "link-type-195")];
        for (number, token) in tokens {
            assert_eq!(LinkType(number).token(), token);
        }
    }
}
