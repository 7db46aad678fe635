//! Community ID, version 1: the flow's name that other network tools compute as well
//! (specification: github.com/corelight/community-id-spec).

use std::net::IpAddr;

use data_encoding::BASE64;
use sha1::{Digest, Sha1};

use crate::decode::Transport;
use crate::flow::Flow;

/// The flow's Community ID with seed 0. `None` for ICMP, whose ID needs type and code, which a
/// flow does not keep.
pub fn community_id(flow: &Flow) -> Option<String> {
    if matches!(flow.transport, Transport::ICMP | Transport::ICMPV6) {
        return None;
    }
    let [a, b] = flow.ends.map(|end| (octets(end.address), end.port));
    // Smaller address first, then smaller port, so that both directions have the same ID.
    let (low, high) = if a <= b { (a, b) } else { (b, a) };
    let mut hash = Sha1::new();
    hash.update(SEED.to_be_bytes());
    hash.update(&low.0);
    hash.update(&high.0);
    hash.update([flow.transport.0, 0]);
    if flow.transport.has_ports() {
        hash.update(low.1.to_be_bytes());
        hash.update(high.1.to_be_bytes());
    }
    Some(format!("1:{}", BASE64.encode(&hash.finalize())))
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

/// The seed that everyone uses who does not want to be different.
const SEED: u16 = 0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::specimen::flow;

    fn id(transport: u8, a: &str, a_port: u16, b: &str, b_port: u16) -> Option<String> {
        community_id(&flow(Transport(transport), (a, a_port), (b, b_port)))
    }

    /// Values published with the specification.
    #[test]
    fn published_values_come_out() {
        assert_eq!(
            id(6, "128.232.110.120", 34855, "66.35.250.204", 80).as_deref(),
            Some("1:LQU9qZlK+B5F3KDmev6m5PMibrg=")
        );
        assert_eq!(
            id(17, "192.168.1.52", 54585, "8.8.8.8", 53).as_deref(),
            Some("1:d/FP5EW3wiY1vCndhwleRRKHowQ=")
        );
        assert_eq!(
            id(132, "192.168.170.8", 7, "192.168.170.56", 80).as_deref(),
            Some("1:jQgCxbku+pNGw8WPbEc/TS/uTpQ=")
        );
    }

    #[test]
    fn both_directions_have_one_id() {
        for transport in [6, 17, 50] {
            let there = id(transport, "fe80::1", 5061, "fe80::2", 40000);
            let back = id(transport, "fe80::2", 40000, "fe80::1", 5061);
            assert!(there.is_some());
            assert_eq!(there, back);
        }
        let loopback = id(6, "127.0.0.1", 2, "127.0.0.1", 1);
        assert_eq!(loopback, id(6, "127.0.0.1", 1, "127.0.0.1", 2));
    }

    #[test]
    fn transports_without_ports_ignore_them_and_icmp_has_none() {
        assert_eq!(id(50, "10.0.0.1", 0, "10.0.0.2", 0), id(50, "10.0.0.1", 7, "10.0.0.2", 9));
        assert_eq!(id(1, "10.0.0.1", 0, "10.0.0.2", 0), None);
        assert_eq!(id(58, "fe80::1", 0, "fe80::2", 0), None);
    }
}
