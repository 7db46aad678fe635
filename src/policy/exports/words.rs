//! The words that exports share: endpoints, ports, protocols, yes and no.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use crate::policy::PortSet;
use crate::policy::boxes::{self, EVERY, Span};

/// A set of addresses, and words for addresses that only the host itself can resolve.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Addresses {
    spans: Vec<Span>,
    words: BTreeSet<String>,
}

/// Endpoints that stand for what the host finds around it, as netsh, PowerShell and the registry spell them.
const PLACES: [&str; 17] = [
    "localsubnet",
    "localsubnet4",
    "localsubnet6",
    "dns",
    "dhcp",
    "wins",
    "defaultgateway",
    "intranet",
    "rmtintranet",
    "internet",
    "intranetremoteaccess",
    "remotecorpnetwork",
    "remoteintranet",
    "playtodevice",
    "ply2renders",
    "captiveportal",
    "dynamic",
];

impl Addresses {
    /// Every address.
    pub fn any() -> Self {
        Self { spans: vec![EVERY], words: BTreeSet::new() }
    }

    /// Whether it is every address.
    pub fn is_any(&self) -> bool {
        self.spans == [EVERY]
    }

    /// Their places on the axis of addresses: every one where a word stands for some of them, as those may be
    /// any.
    pub fn spans(&self) -> Vec<Span> {
        if self.words.is_empty() { self.spans.clone() } else { vec![EVERY] }
    }

    /// Words for addresses that only the host can resolve, such as `LocalSubnet`.
    pub fn words(&self) -> impl Iterator<Item = &str> {
        self.words.iter().map(String::as_str)
    }

    pub(super) fn add(&mut self, spans: Vec<Span>) {
        self.spans.extend(spans);
        // Lists grow an item at a time; joining when they have doubled keeps that linear.
        if self.spans.len().is_power_of_two() {
            self.settle();
        }
    }

    pub(super) fn settle(&mut self) {
        self.spans = boxes::join(std::mem::take(&mut self.spans));
    }

    /// Adds one item: `any`, an address, a prefix, an address with a mask, a range, or a word that the host
    /// resolves. False where it is none of these.
    pub(super) fn read(&mut self, item: &str) -> bool {
        let item = item.trim();
        if is_any(item) {
            self.add(vec![EVERY]);
        } else if let Some(spans) = spans(item) {
            self.add(spans);
        } else if PLACES.iter().any(|place| place.eq_ignore_ascii_case(item)) {
            self.words.insert(item.to_owned());
        } else {
            return false;
        }
        true
    }
}

/// Whether a word means every value.
pub(super) fn is_any(word: &str) -> bool {
    word.eq_ignore_ascii_case("any") || word == "*"
}

/// An address, a prefix, an address with a mask, or a range.
pub(super) fn spans(item: &str) -> Option<Vec<Span>> {
    if let Some((first, last)) = item.split_once('-') {
        let (first, last) = (bare(first)?, bare(last)?);
        return Some(boxes::address_spans(first, last)).filter(|spans| !spans.is_empty());
    }
    let net = net(item)?;
    Some(boxes::address_spans(net.network(), net.broadcast()))
}

/// An address, a prefix or an address with a mask.
pub(super) fn net(item: &str) -> Option<IpNet> {
    let Some((address, length)) = item.split_once('/') else {
        return Some(IpNet::from(bare(item)?));
    };
    let address = bare(address)?;
    let length = match length.trim().parse::<u8>() {
        Ok(length) => length,
        Err(_) => mask(length.trim().parse().ok()?)?,
    };
    Some(IpNet::new(address, length).ok()?.trunc())
}

/// An address without its zone; IPv4 in IPv6's clothes is IPv4.
fn bare(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let text = text.split_once('%').map_or(text, |(address, _)| address);
    text.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

/// The length of a mask, where its ones stand before its zeros.
fn mask(mask: IpAddr) -> Option<u8> {
    let (ones, rest) = match mask {
        IpAddr::V4(mask) => {
            let ones = mask.to_bits().leading_ones();
            (
                ones,
                Ipv4Addr::from_bits(mask.to_bits().checked_shl(ones).unwrap_or(0)).is_unspecified(),
            )
        }
        IpAddr::V6(mask) => {
            let ones = mask.to_bits().leading_ones();
            (
                ones,
                Ipv6Addr::from_bits(mask.to_bits().checked_shl(ones).unwrap_or(0)).is_unspecified(),
            )
        }
    };
    if rest { u8::try_from(ones).ok() } else { None }
}

/// One item of a list of ports: `any`, a number, a range.
pub(super) fn port_range(item: &str) -> Option<(u16, u16)> {
    let item = item.trim();
    if is_any(item) {
        return Some((0, u16::MAX));
    }
    let (first, last) = item.split_once('-').unwrap_or((item, item));
    let range = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    (range.0 <= range.1).then_some(range)
}

/// A list of ports, and the items that are none.
pub(super) fn ports<'a>(items: impl IntoIterator<Item = &'a str>) -> (PortSet, Vec<&'a str>) {
    let mut strange = Vec::new();
    let mut ranges = Vec::new();
    for item in items {
        match port_range(item) {
            Some(range) => ranges.push(range),
            None => strange.push(item),
        }
    }
    (PortSet::new(ranges), strange)
}

/// A protocol by number or name; `Ok(None)` is any. `Err` where it is neither.
pub(super) fn protocol(word: &str) -> Result<Option<u8>, ()> {
    let word = word.trim();
    if is_any(word) {
        return Ok(None);
    }
    if let Ok(number) = word.parse::<u16>() {
        // Windows writes 256 for any.
        return match u8::try_from(number) {
            Ok(number) => Ok(Some(number)),
            Err(_) if number == 256 => Ok(None),
            Err(_) => Err(()),
        };
    }
    let known = PROTOCOLS.iter().find(|(name, _)| name.eq_ignore_ascii_case(word));
    known.map(|(_, number)| Some(*number)).ok_or(())
}

/// Protocols that exports name (IANA, Protocol Numbers).
const PROTOCOLS: [(&str, u8); 15] = [
    ("icmp", 1),
    ("icmpv4", 1),
    ("igmp", 2),
    ("tcp", 6),
    ("udp", 17),
    ("ipv6", 41),
    ("gre", 47),
    ("esp", 50),
    ("ah", 51),
    ("icmpv6", 58),
    ("ipv6-icmp", 58),
    ("ospf", 89),
    ("vrrp", 112),
    ("l2tp", 115),
    ("sctp", 132),
];

/// Yes or no, as the tools write it.
pub(super) fn flag(word: &str) -> Option<bool> {
    let word = word.trim();
    let is = |known: &[&str]| known.iter().any(|known| known.eq_ignore_ascii_case(word));
    if is(&["yes", "true", "1"]) {
        Some(true)
    } else if is(&["no", "false", "2", "0"]) {
        Some(false)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(item: &str) -> Option<Vec<Span>> {
        let mut addresses = Addresses::default();
        addresses.read(item).then(|| addresses.spans())
    }

    #[test]
    fn endpoints_are_read_in_every_spelling() {
        let net = read("10.1.0.0/16").unwrap();
        assert_eq!(net.len(), 1);
        for same in [
            "10.1.0.0/255.255.0.0",
            "10.1.0.0-10.1.255.255",
            " 10.1.9.9/16 ",
            "::ffff:10.1.0.0-::ffff:10.1.255.255",
        ] {
            assert_eq!(read(same).as_ref(), Some(&net), "{same}");
        }
        assert_eq!(read("Any"), Some(vec![EVERY]));
        assert_eq!(read("fe80::1%12"), read("fe80::1/128"));
        assert_eq!(read("fd00::/ffff:ffff::"), read("fd00::/32"));
        assert_eq!(read("0.0.0.0/0.0.0.0"), Some(vec![boxes::IPV4]));
        assert_eq!(read("LocalSubnet"), Some(vec![EVERY]), "whichever they are");
        for none in [
            "",
            "10.1.0.0/33",
            "10.1.0.0/255.0.255.0",
            "10.0.0.9-10.0.0.1",
            "10.0.0.1-fd00::1",
            "Beliebig",
        ] {
            assert_eq!(read(none), None, "{none}");
        }
    }

    #[test]
    fn ports_and_protocols() {
        let (set, strange) = ports(["80", " 443-445 ", "RPC", "9-3"]);
        assert_eq!((set.to_string().as_str(), strange), ("80,443-445", vec!["RPC", "9-3"]));
        assert_eq!(protocol("UDP"), Ok(Some(17)));
        assert_eq!(protocol("6"), Ok(Some(6)));
        assert_eq!((protocol("Any"), protocol("256")), (Ok(None), Ok(None)));
        assert_eq!((protocol("300"), protocol("alle")), (Err(()), Err(())));
        assert_eq!((flag("YES"), flag("False"), flag("Ja")), (Some(true), Some(false), None));
    }
}
