//! Traffic selectors as strongSwan and libreswan write them, `10.1.3.10/32[udp/49152-57500]`, and what the kernel
//! installs for them.
//!
//! A selector of the Linux kernel holds a port and a mask of bits, and a prefix of addresses. A range that is no
//! such block is widened, silently, to the smallest block that holds it.

use super::words;
use super::{Action, Addresses, ConnectionRule, Direction, Draft, Mode, Outcome};
use crate::policy::PortSet;
use crate::policy::boxes::{self, Span};

/// One selector, as the kernel holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Selector {
    addresses: Addresses,
    protocol: Option<u8>,
    ports: (u16, u16),
    /// What was widened.
    remarks: Vec<String>,
}

impl Selector {
    /// `None` where the text is no selector.
    pub(super) fn read(text: &str) -> Option<Self> {
        let text = text.trim();
        let (place, traffic) = match text.split_once('[') {
            Some((place, traffic)) => (place, traffic.strip_suffix(']')?),
            None => (text, ""),
        };
        let mut selector = Self {
            addresses: Addresses::default(),
            protocol: None,
            ports: (0, u16::MAX),
            remarks: Vec::new(),
        };
        selector.read_place(place.trim())?;
        let (protocol, port) = traffic.split_once('/').unwrap_or((traffic, ""));
        if !protocol.is_empty() && protocol != "%any" {
            selector.protocol = words::protocol(protocol).ok()?;
        }
        selector.read_ports(port.trim())?;
        Some(selector)
    }

    fn read_place(&mut self, place: &str) -> Option<()> {
        let place = match place {
            "" | "dynamic" | "%dynamic" => "dynamic",
            "%any" | "%any4" => "0.0.0.0/0",
            "%any6" => "::/0",
            other => other,
        };
        if place.contains('-')
            && let Some([asked]) = words::spans(place).as_deref()
        {
            let installed = prefix_around(*asked);
            if installed != *asked {
                let [first, last] = [installed.0, installed.1].map(boxes::address);
                self.remarks.push(format!("{place} is installed as {first}-{last}"));
            }
            self.addresses.add(vec![installed]);
            return Some(());
        }
        self.addresses.read(place).then_some(())
    }

    fn read_ports(&mut self, port: &str) -> Option<()> {
        if matches!(port, "" | "any" | "%any" | "0" | "opaque") {
            return Some(());
        }
        let named = SERVICES.iter().find(|(name, _)| *name == port);
        let asked = named.map(|(_, port)| (*port, *port)).or_else(|| words::port_range(port))?;
        self.ports = block_around(asked);
        if self.ports != asked {
            let [asked, installed] = [asked, self.ports].map(|range| PortSet::new([range]));
            self.remarks.push(format!("ports {asked} are installed as {installed}"));
        }
        Some(())
    }
}

/// Ports as `swanctl --list-pols` names them: it looks them up in `/etc/services`, whose names are those of the IANA
/// service registry. Of the ports that the tables of this tool know.
const SERVICES: [(&str, u16); 24] = [
    ("domain", 53),
    ("bootps", 67),
    ("bootpc", 68),
    ("http", 80),
    ("kerberos", 88),
    ("ntp", 123),
    ("epmap", 135),
    ("loc-srv", 135),
    ("netbios-ssn", 139),
    ("ldap", 389),
    ("https", 443),
    ("microsoft-ds", 445),
    ("kpasswd", 464),
    ("isakmp", 500),
    ("ldaps", 636),
    ("ms-sql-s", 1433),
    ("ms-sql-m", 1434),
    ("stun", 3478),
    ("nat-stun-port", 3478),
    ("ipsec-nat-t", 4500),
    ("sip", 5060),
    ("sip-tls", 5061),
    ("http-alt", 8080),
    ("xmpp-server", 5269),
];

/// The smallest block of ports that one mask describes and that holds a range.
pub(super) fn block_around((first, last): (u16, u16)) -> (u16, u16) {
    let free = u16::MAX.checked_shr((first ^ last).leading_zeros()).unwrap_or(0);
    (first & !free, last | free)
}

/// The smallest prefix that holds a range of addresses.
fn prefix_around((first, last): Span) -> Span {
    let free = u128::MAX.checked_shr((first ^ last).leading_zeros()).unwrap_or(0);
    (first & !free, last | free)
}

/// Every rule that a pair of selector lists makes. Selectors that are none make the rule doubtful.
pub(super) fn rules(
    name: &str,
    at: usize,
    what: (Action, Mode),
    [local, remote]: [&[&str]; 2],
    draft: &mut Draft,
    finish: impl Fn(&mut ConnectionRule),
) -> Outcome {
    let read = |items: &[&str]| -> (Vec<Selector>, bool) {
        let read: Vec<Selector> = items.iter().filter_map(|item| Selector::read(item)).collect();
        let all = read.len() == items.len();
        (read, all)
    };
    let ((local, all_local), (remote, all_remote)) = (read(local), read(remote));
    let rule = || {
        let mut rule = ConnectionRule::new(name, at);
        (rule.action, rule.mode) = what;
        rule.direction = Direction::Both;
        finish(&mut rule);
        rule
    };
    if !(all_local && all_remote) {
        let mut rule = rule();
        rule.doubt("a traffic selector");
        draft.push(rule)?;
    }
    for mine in &local {
        for theirs in &remote {
            let protocol = match (mine.protocol, theirs.protocol) {
                // No policy is installed for a pair of different protocols.
                (Some(a), Some(b)) if a != b => continue,
                (a, b) => a.or(b),
            };
            let mut rule = rule();
            rule.protocol = protocol;
            rule.local = mine.addresses.clone();
            rule.remote = theirs.addresses.clone();
            rule.local_ports = PortSet::new([mine.ports]);
            rule.remote_ports = PortSet::new([theirs.ports]);
            rule.remarks.extend(mine.remarks.iter().chain(&theirs.remarks).cloned());
            draft.push(rule)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_holds_blocks_of_ports() {
        for (asked, installed) in [
            ((49152, 57500), (49152, 65535)),
            ((57501, 65535), (57344, 65535)),
            ((49152, 65535), (49152, 65535)),
            ((50000, 59999), (49152, 65535)),
            ((50020, 50039), (50016, 50047)),
            ((58000, 58019), (57984, 58047)),
            ((5350, 5389), (5120, 5631)),
            ((1024, 65535), (0, 65535)),
            ((443, 443), (443, 443)),
        ] {
            assert_eq!(block_around(asked), installed);
        }
    }

    #[test]
    fn selectors_are_read_as_installed() {
        let selector = Selector::read("10.1.3.10/32[udp/50020-50039]").unwrap();
        assert_eq!((selector.protocol, selector.ports), (Some(17), (50016, 50047)));
        assert_eq!(selector.remarks, ["ports 50020-50039 are installed as 50016-50047"]);
        let range = Selector::read("10.1.3.10-10.1.3.12").unwrap();
        assert_eq!(range.remarks, ["10.1.3.10-10.1.3.12 is installed as 10.1.3.8-10.1.3.15"]);
        assert_eq!(range.addresses.spans(), words::spans("10.1.3.8/29").unwrap());
        let any = Selector::read("0.0.0.0/0[tcp]").unwrap();
        assert_eq!((any.protocol, any.ports), (Some(6), (0, 65535)));
        let named = Selector::read("10.20.0.31/32[tcp/https]").unwrap();
        assert_eq!((named.protocol, named.ports), (Some(6), (443, 443)));
        assert!(Selector::read("10.20.0.31/32[tcp/no-such-name]").is_none());
        assert_eq!(Selector::read("dynamic[6/443]").unwrap().addresses.words().count(), 1);
        for none in ["10.1.3.10[udp", "x", "10.0.0.0/8[udp/gopher]", "10.0.0.0/8[strange/1]"] {
            assert_eq!(Selector::read(none), None, "{none}");
        }
    }
}
