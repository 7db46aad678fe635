//! The flows of a finding as expressions that other tools take: a Wireshark display filter and a
//! BPF expression (pcap-filter(7)).

use std::collections::BTreeSet;
use std::fmt::Write;
use std::net::IpAddr;

use super::PartyGroup;
use super::wraps::Wraps;
use crate::decode::Transport;

/// What the expressions are to select.
#[derive(Debug, Clone, Copy)]
pub(super) struct Subject<'a> {
    pub(super) initiator: &'a PartyGroup,
    pub(super) responder: &'a PartyGroup,
    pub(super) transport: Transport,
    /// The responder's ports, as sorted ranges.
    pub(super) ports: &'a [(u16, u16)],
    /// The initiators' ports, where the flows are few enough to be told apart by them.
    pub(super) own_ports: &'a BTreeSet<u16>,
    /// The IPsec that flows came in, which BPF does not look into.
    pub(super) wraps: &'a Wraps,
    /// Its key exchange is a part of the finding.
    pub(super) with_ike: bool,
    /// Some flow came with a VLAN tag, which BPF does not skip.
    pub(super) tagged: bool,
}

/// A Wireshark display filter of at most [`MAX_LENGTH`] bytes.
pub(super) fn display_filter(subject: &Subject<'_>) -> String {
    let [initiator, responder] = subject.addresses().map(|set| {
        set.map(|set| {
            any_of(set, " || ", |address| {
                let field = if address.is_ipv4() { "ip" } else { "ipv6" };
                format!("{field}.addr == {address}")
            })
        })
    });
    let transport = display_transport(subject.transport);
    let ports = subject.named_ports().map(|ranges| {
        any_of(ranges, " || ", |&(low, high)| {
            if low == high {
                format!("{transport}.port == {low}")
            } else {
                // Membership tests each port by itself; two comparisons could be met by
                // different ports.
                format!("{transport}.port in {{{low}..{high}}}")
            }
        })
    });
    let own = subject
        .own_ports()
        .map(|own| any_of(own, " || ", |port| format!("{transport}.port == {port}")));
    let what = ports.unwrap_or(transport);
    let hidden = subject.wraps.forms.iter().map(|wrap| wrap.display());
    let ike = subject.with_ike.then_some(["esp", "isakmp"]).into_iter().flatten();
    let hidden: BTreeSet<&str> = hidden.chain(ike).collect();
    if hidden.is_empty() {
        return shortest_that_fits(" && ", [initiator, responder], what, own);
    }
    let hidden = hidden.into_iter().collect::<Vec<_>>().join(" || ");
    let what = format!("({what} || {hidden})");
    let inside = shortest_that_fits(" && ", [initiator, responder], what, None);
    let ends = subject.wraps.tunnel_ends.iter().map(|address| {
        let field = if address.is_ipv4() { "ip" } else { "ipv6" };
        format!("{field}.addr == {address}")
    });
    or_in_tunnels(inside, " || ", " && ", ends, &format!("({hidden})"))
}

/// A BPF expression of at most [`MAX_LENGTH`] bytes, twice that with VLAN tags.
pub(super) fn bpf(subject: &Subject<'_>) -> String {
    let [initiator, responder] = subject
        .addresses()
        .map(|set| set.map(|set| any_of(set, " or ", |address| format!("host {address}"))));
    let transport = bpf_transport(subject.transport);
    let ports = subject.named_ports().map(|ranges| {
        any_of(ranges, " or ", |&(low, high)| {
            if low == high {
                format!("{transport} port {low}")
            } else {
                format!("{transport} portrange {low}-{high}")
            }
        })
    });
    let own = subject
        .own_ports()
        .map(|own| any_of(own, " or ", |port| format!("{transport} port {port}")));
    let what = ports.unwrap_or(transport);
    let hidden = subject.wraps.forms.iter().map(|wrap| wrap.bpf());
    let ike = subject.with_ike.then_some(["ah", "esp", "udp port 4500", "udp port 500"]);
    let hidden: BTreeSet<&str> = hidden.chain(ike.into_iter().flatten()).collect();
    let plain = if hidden.is_empty() {
        shortest_that_fits(" and ", [initiator, responder], what, own)
    } else {
        // What is inside IPsec would be lost to a port of the initiator.
        let hidden = hidden.into_iter().collect::<Vec<_>>().join(" or ");
        let what = format!("({what} or {hidden})");
        let inside = shortest_that_fits(" and ", [initiator, responder], what, None);
        let ends = subject.wraps.tunnel_ends.iter().map(|address| format!("host {address}"));
        or_in_tunnels(inside, " or ", " and ", ends, &format!("({hidden})"))
    };
    if subject.tagged {
        // `vlan` shifts every offset after it, so the tagged form has to come last.
        format!("({plain}) or (vlan and {plain})")
    } else {
        plain
    }
}

impl<'a> Subject<'a> {
    /// The sides that have few enough addresses to be named.
    fn addresses(&self) -> [Option<&'a BTreeSet<IpAddr>>; 2] {
        [self.initiator, self.responder].map(|party| {
            let few = !party.more_addresses && party.addresses.len() <= MAX_NAMED_ADDRESSES;
            (few && !party.addresses.is_empty()).then_some(&party.addresses)
        })
    }

    fn named_ports(&self) -> Option<&'a [(u16, u16)]> {
        let named = self.transport.has_ports() && self.ports.len() <= MAX_NAMED_RANGES;
        (named && !self.ports.is_empty()).then_some(self.ports)
    }

    /// The initiators' ports, where naming them leaves other flows out: a port that is the
    /// responder's as well is met by every flow.
    fn own_ports(&self) -> Option<&'a BTreeSet<u16>> {
        let ports = self.named_ports()?;
        let shared = |own: &u16| ports.iter().any(|(low, high)| (low..=high).contains(&own));
        (!self.own_ports.is_empty() && !self.own_ports.iter().any(shared)).then_some(self.own_ports)
    }
}

/// The flows themselves, or what the ends of their tunnels exchange: their own addresses are inside.
fn or_in_tunnels(
    inside: String,
    or: &str,
    and: &str,
    ends: impl Iterator<Item = String>,
    hidden: &str,
) -> String {
    let ends: Vec<String> = ends.collect();
    match &ends[..] {
        [] => inside,
        [one] => format!("({inside}){or}({one}{and}{hidden})"),
        [one, two] => format!("({inside}){or}({one}{and}{two}{and}{hidden})"),
        several => format!("({inside}){or}(({}){and}{hidden})", several.join(or)),
    }
}

/// Joins what there is, leaving out the initiators' ports, then the initiators, then both sides,
/// when it grows too long.
fn shortest_that_fits(
    and: &str,
    [initiator, responder]: [Option<String>; 2],
    what: String,
    own: Option<String>,
) -> String {
    let pieces = [initiator, responder, Some(what.clone()), own];
    [(0, 4), (0, 3), (1, 3)]
        .into_iter()
        .map(|(from, to)| {
            let kept = pieces.iter().take(to).skip(from).flatten();
            kept.map(String::as_str).collect::<Vec<_>>().join(and)
        })
        .find(|text| text.len() <= MAX_LENGTH)
        .unwrap_or(what)
}

/// Alternatives, in parentheses when there are several.
fn any_of<'a, T: 'a>(
    items: impl IntoIterator<Item = &'a T>,
    or: &str,
    show: impl Fn(&T) -> String,
) -> String {
    let mut text = String::new();
    let mut count = 0;
    for item in items {
        let lead = if count == 0 { "" } else { or };
        // Writing to a string cannot fail.
        let _ = write!(text, "{lead}{}", show(item));
        count += 1;
    }
    if count > 1 { format!("({text})") } else { text }
}

fn display_transport(transport: Transport) -> String {
    match transport {
        Transport::TCP
        | Transport::UDP
        | Transport::SCTP
        | Transport::ESP
        | Transport::AH
        | Transport::ICMP
        | Transport::ICMPV6 => transport.to_string(),
        Transport(number) => format!("(ip.proto == {number} || ipv6.nxt == {number})"),
    }
}

fn bpf_transport(transport: Transport) -> String {
    match transport {
        Transport::TCP
        | Transport::UDP
        | Transport::SCTP
        | Transport::ESP
        | Transport::AH
        | Transport::ICMP => transport.to_string(),
        Transport::ICMPV6 => "icmp6".into(),
        Transport(number) => format!("(ip proto {number} or ip6 proto {number})"),
    }
}

/// Longer filters are not read, and some tools cut them.
const MAX_LENGTH: usize = 300;
/// Addresses of one side that a filter names.
const MAX_NAMED_ADDRESSES: usize = 4;
/// Port ranges that a filter names; with more it selects by addresses alone.
const MAX_NAMED_RANGES: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::wraps::Wrap;

    fn wraps(forms: &[Wrap], ends: &[&str]) -> Wraps {
        let tunnel_ends = ends.iter().map(|end| end.parse().unwrap()).collect();
        Wraps { forms: forms.iter().copied().collect(), tunnel_ends }
    }

    fn party(addresses: &[&str]) -> PartyGroup {
        PartyGroup {
            addresses: addresses.iter().map(|a| a.parse().unwrap()).collect(),
            ..PartyGroup::default()
        }
    }

    fn both(subject: &Subject<'_>) -> [String; 2] {
        [display_filter(subject), bpf(subject)]
    }

    #[test]
    fn few_addresses_and_one_port() {
        let (client, server) = (party(&["10.20.0.101"]), party(&["10.0.1.11", "fd00::11"]));
        let subject = Subject {
            initiator: &client,
            responder: &server,
            transport: Transport::TCP,
            ports: &[(8888, 8888)],
            own_ports: &BTreeSet::new(),
            wraps: &Wraps::default(),
            with_ike: false,
            tagged: false,
        };
        assert_eq!(
            both(&subject),
            [
                "ip.addr == 10.20.0.101 && (ip.addr == 10.0.1.11 || ipv6.addr == fd00::11) \
                 && tcp.port == 8888",
                "host 10.20.0.101 and (host 10.0.1.11 or host fd00::11) and tcp port 8888",
            ]
        );
    }

    #[test]
    fn few_flows_are_told_apart_by_the_ports_of_their_initiators() {
        let (client, server) = (party(&["10.20.0.101"]), party(&["10.0.1.11"]));
        let own = BTreeSet::from([51000, 51004]);
        let subject = Subject {
            initiator: &client,
            responder: &server,
            transport: Transport::TCP,
            ports: &[(5061, 5061)],
            own_ports: &own,
            wraps: &Wraps::default(),
            with_ike: false,
            tagged: false,
        };
        assert_eq!(
            both(&subject),
            [
                "ip.addr == 10.20.0.101 && ip.addr == 10.0.1.11 && tcp.port == 5061 && \
                 (tcp.port == 51000 || tcp.port == 51004)",
                "host 10.20.0.101 and host 10.0.1.11 and tcp port 5061 and \
                 (tcp port 51000 or tcp port 51004)",
            ]
        );
        // BPF cannot see the ports inside IPsec, and must not lose what is there.
        assert_eq!(
            both(&Subject { wraps: &wraps(&[Wrap::Esp, Wrap::InTcp], &[]), ..subject }),
            [
                "ip.addr == 10.20.0.101 && ip.addr == 10.0.1.11 && \
                 (tcp.port == 5061 || esp || tcp.port == 4500)",
                "host 10.20.0.101 and host 10.0.1.11 and \
                 (tcp port 5061 or esp or tcp port 4500)",
            ]
        );
        // Nor do the hosts of a tunnel show outside of it.
        let tunnel = wraps(&[Wrap::Wesp], &["192.0.2.1", "192.0.2.2"]);
        assert_eq!(
            both(&Subject { wraps: &tunnel, ..subject }),
            [
                "(ip.addr == 10.20.0.101 && ip.addr == 10.0.1.11 && \
                 (tcp.port == 5061 || ip.proto == 141 || ipv6.nxt == 141)) || \
                 (ip.addr == 192.0.2.1 && ip.addr == 192.0.2.2 && (ip.proto == 141 || ipv6.nxt == 141))",
                "(host 10.20.0.101 and host 10.0.1.11 and (tcp port 5061 or proto 141)) or \
                 (host 192.0.2.1 and host 192.0.2.2 and (proto 141))",
            ]
        );
    }

    #[test]
    fn a_port_of_both_sides_tells_nothing_apart() {
        let (client, server) = (party(&["10.0.1.11"]), party(&["10.0.1.12"]));
        let subject = Subject {
            initiator: &client,
            responder: &server,
            transport: Transport::UDP,
            ports: &[(123, 123)],
            own_ports: &BTreeSet::from([123]),
            wraps: &Wraps::default(),
            with_ike: false,
            tagged: false,
        };
        assert_eq!(both(&subject)[1], "host 10.0.1.11 and host 10.0.1.12 and udp port 123");
    }

    #[test]
    fn many_initiators_are_left_out_and_ranges_are_ranges() {
        let clients = party(&["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5"]);
        let server = party(&["10.0.1.11"]);
        let subject = Subject {
            initiator: &clients,
            responder: &server,
            transport: Transport::UDP,
            ports: &[(1, 1024), (5000, 5000)],
            own_ports: &BTreeSet::new(),
            wraps: &Wraps::default(),
            with_ike: false,
            tagged: true,
        };
        assert_eq!(
            both(&subject),
            [
                "ip.addr == 10.0.1.11 && (udp.port in {1..1024} || udp.port == 5000)",
                "(host 10.0.1.11 and (udp portrange 1-1024 or udp port 5000)) or \
                 (vlan and host 10.0.1.11 and (udp portrange 1-1024 or udp port 5000))",
            ]
        );
    }

    #[test]
    fn too_many_ports_leave_the_addresses() {
        let (client, server) = (party(&["10.0.0.1"]), party(&["10.0.1.11"]));
        let ports: Vec<(u16, u16)> = (0..200).map(|n| (n * 3, n * 3)).collect();
        let subject = Subject {
            initiator: &client,
            responder: &server,
            transport: Transport::TCP,
            ports: &ports,
            own_ports: &BTreeSet::new(),
            wraps: &Wraps::default(),
            with_ike: false,
            tagged: false,
        };
        assert_eq!(
            both(&subject),
            [
                "ip.addr == 10.0.0.1 && ip.addr == 10.0.1.11 && tcp",
                "host 10.0.0.1 and host 10.0.1.11 and tcp",
            ]
        );
    }

    #[test]
    fn long_addresses_never_make_a_filter_too_long() {
        let long: Vec<String> =
            (0..4).map(|n| format!("fd12:3456:789a:bcde:f012:3456:789a:bcd{n}")).collect();
        let long: Vec<&str> = long.iter().map(String::as_str).collect();
        let (a, b) = (party(&long), party(&long));
        let subject = Subject {
            initiator: &a,
            responder: &b,
            transport: Transport::TCP,
            ports: &[(443, 443)],
            own_ports: &BTreeSet::new(),
            wraps: &Wraps::default(),
            with_ike: false,
            tagged: false,
        };
        let [display, bpf] = both(&subject);
        assert!(display.len() <= 300 && bpf.len() <= 300);
        assert!(display.ends_with(" && tcp.port == 443"), "{display}");
        assert!(display.starts_with("(ipv6.addr == fd12:"), "{display}");
    }

    #[test]
    fn transports_without_ports_go_by_their_own_names() {
        let none = party(&[]);
        let names = |transport, wraps: &Wraps| {
            both(&Subject {
                initiator: &none,
                responder: &none,
                transport,
                ports: &[(0, 0)],
                own_ports: &BTreeSet::new(),
                wraps,
                with_ike: false,
                tagged: false,
            })
        };
        let clear = Wraps::default();
        assert_eq!(names(Transport::ESP, &clear), ["esp", "esp"]);
        assert_eq!(names(Transport::AH, &clear), ["ah", "ah"]);
        assert_eq!(names(Transport::ICMP, &clear), ["icmp", "icmp"]);
        assert_eq!(names(Transport::ICMPV6, &clear), ["icmpv6", "icmp6"]);
        assert_eq!(
            names(Transport(47), &clear),
            ["(ip.proto == 47 || ipv6.nxt == 47)", "(ip proto 47 or ip6 proto 47)"]
        );
        // libpcap does not look inside IPsec, and Wireshark not as far as it could.
        let all = wraps(&[Wrap::Ah, Wrap::InUdp], &[]);
        assert_eq!(
            names(Transport::UDP, &all),
            ["(udp.port == 0 || ah || udp.port == 4500)", "(udp port 0 or ah or udp port 4500)"]
        );
    }
}
