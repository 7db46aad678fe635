//! Which hosts use IPsec with which, told from every flow before the first one is judged: whether a flow of
//! clear media respects an exemption, and whether hidden content is audio, depends on others.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::flow::{Flow, Pace, Side};
use crate::input::Timestamp;

/// Security associations by who sends to whom.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Deployment {
    streams: BTreeMap<(IpAddr, IpAddr), Stream>,
    hosts: BTreeSet<IpAddr>,
}

/// What one host sends another inside IPsec.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stream {
    /// Its earliest packet.
    pub first: Timestamp,
    /// Its latest packet.
    pub last: Timestamp,
    /// How the packets follow each other that could not be read, of the association with the most.
    pub pace: Option<Pace>,
}

impl Deployment {
    /// No IPsec anywhere.
    pub const NONE: &'static Self = &Self { streams: BTreeMap::new(), hosts: BTreeSet::new() };

    /// Notes the associations that a flow shows. The order of noting decides nothing.
    pub fn note(&mut self, flow: &Flow) {
        for (_, known) in flow.associations.iter().flat_map(|around| around.iter()) {
            // Later packets of the association are as late as the flow's latest at most.
            self.add(known.ends, Stream { first: known.first, last: flow.last, pace: None });
        }
        for (sender, pace) in sealed_sides(flow) {
            let [from, to] = [sender, sender.other()].map(|side| flow.ends[side.index()].address);
            let (first, last) = pace.times.unwrap_or((flow.first, flow.last));
            self.add((from, to), Stream { first, last, pace: Some(*pace) });
        }
    }

    fn add(&mut self, (from, to): (IpAddr, IpAddr), new: Stream) {
        let ends = (from.to_canonical(), to.to_canonical());
        if let Some(known) = self.streams.get_mut(&ends) {
            known.join(&new);
        } else if self.streams.len() < MAX_STREAMS {
            self.streams.insert(ends, new);
            self.hosts.extend([ends.0, ends.1]);
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.streams.is_empty()
    }

    /// What one host sends another inside IPsec.
    pub fn stream(&self, from: IpAddr, to: IpAddr) -> Option<&Stream> {
        self.streams.get(&(from.to_canonical(), to.to_canonical()))
    }

    /// Whether two hosts send each other anything inside IPsec.
    pub fn is_between(&self, a: IpAddr, b: IpAddr) -> bool {
        self.stream(a, b).is_some() || self.stream(b, a).is_some()
    }

    /// Whether a host uses IPsec with anybody.
    pub fn uses(&self, host: IpAddr) -> bool {
        self.hosts.contains(&host.to_canonical())
    }
}

impl Stream {
    fn join(&mut self, other: &Self) {
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        let rank = |pace: &Option<Pace>| pace.map(|pace| (pace.packets, pace.ip_bytes, pace));
        if rank(&other.pace) > rank(&self.pace) {
            self.pace = other.pace;
        }
    }
}

/// The sides of a flow that send what IPsec hides, and how.
pub(in crate::findings) fn sealed_sides(flow: &Flow) -> impl Iterator<Item = (Side, &Pace)> {
    // The port that UDP and TCP share with ESP carries other things too.
    let in_port = !flow.transport.is_security_association();
    let paces = flow.paces.iter().flat_map(|paces| [Side::A, Side::B].into_iter().zip(&**paces));
    // Test traffic of the same protocol number has one number in all packets.
    let rises = |pace: &Pace| pace.packets < 2 || pace.sequences.is_some_and(|(a, b)| a < b);
    paces.filter(move |(_, pace)| {
        pace.packets > 0 && rises(pace) && (!in_port || pace.is_association())
    })
}

/// Pairs of hosts kept, some 20 MB; further ones are as if IPsec were not seen between them.
const MAX_STREAMS: usize = 65_536;

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::findings::testbed::{GATEWAYS, Sample, flow};

    const CLIENT: &str = "10.20.0.101";
    const SERVER: &str = "10.0.1.31";

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn told(samples: &[Sample]) -> Deployment {
        let (mut all, mut backwards) = (Deployment::default(), Deployment::default());
        for (sample, from_the_end) in samples.iter().zip(samples.iter().rev()) {
            all.note(&sample.flow);
            backwards.note(&from_the_end.flow);
        }
        assert_eq!(all, backwards, "order decides nothing");
        all
    }

    fn media() -> Sample {
        flow("10.20.0.101:50020", "10.0.1.31:49200").udp().during(1_000, 9_000)
    }

    fn pace(packets: u64, changes: u64) -> Pace {
        let sequences = Some((1, packets as u32));
        let steps = packets - 1 - changes;
        Pace { packets, changes, steps, spis: Some((7, 7)), sequences, ..Pace::default() }
    }

    #[test]
    fn what_could_be_read_tells_of_the_ends_of_its_association() {
        let all = told(&[media().inside_ah([5, 0])]);
        let stream = all.stream(ip(CLIENT), ip(SERVER)).unwrap();
        assert_eq!((stream.first.0, stream.last.0), (1_000_000_000, 9_000_000_000));
        assert_eq!(stream.pace, None);
        assert_eq!(all.stream(ip(SERVER), ip(CLIENT)), None);
        assert!(all.is_between(ip(SERVER), ip(CLIENT)) && all.uses(ip(CLIENT)));
        assert!(!all.is_empty() && !all.uses(ip("10.0.1.11")));
    }

    #[test]
    fn of_a_tunnel_its_ends_use_ipsec_and_not_the_hosts_inside() {
        let all = told(&[media().in_tunnel((GATEWAYS[0], GATEWAYS[1]), 40)]);
        assert!(all.uses(ip(GATEWAYS[0])) && all.uses(ip(GATEWAYS[1])));
        assert!(!all.uses(ip(CLIENT)) && !all.is_between(ip(CLIENT), ip(SERVER)));
    }

    #[test]
    fn what_is_hidden_has_a_pace_and_only_the_sender_has_it() {
        let all = told(&[flow("10.0.1.31:0", "10.20.0.101:0").esp(0x1000)]);
        let stream = all.stream(ip(SERVER), ip(CLIENT)).unwrap();
        assert_eq!(stream.pace.map(|pace| pace.packets), Some(3));
        assert_eq!(all.stream(ip(CLIENT), ip(SERVER)), None);
        assert!(told(&[media()]).is_empty());
    }

    #[test]
    fn in_udp_only_what_keeps_its_index_is_an_association() {
        for (pace, is_one) in
            [(pace(1, 0), false), (pace(2, 0), true), (pace(8, 3), true), (pace(8, 6), false)]
        {
            let all = told(&[flow("10.20.0.101:4500", "10.0.1.31:4500").udp().paced(pace)]);
            assert_eq!(all.uses(ip(CLIENT)), is_one, "{pace:?}");
        }
    }

    #[test]
    fn of_several_streams_the_times_are_joined_and_the_longest_pace_is_kept() {
        let esp = |packets: u64, frame, first: i64, last: i64| {
            let sample = flow("10.20.0.101:0", "10.0.1.31:0").esp(9).frame(frame);
            let times = Some((Timestamp(first), Timestamp(last)));
            sample.paced(Pace { times, ..pace(packets, 0) })
        };
        let all = told(&[esp(3, 5, 50, 60), esp(9, 2, 20, 30), media().inside_ah([2, 0])]);
        let stream = all.stream(ip(CLIENT), ip(SERVER)).unwrap();
        assert_eq!((stream.first.0, stream.last.0), (20, 9_000_000_000));
        assert_eq!(stream.pace.map(|pace| pace.packets), Some(9));
        // The same numbers at other times.
        let all = told(&[esp(3, 5, 50, 60), esp(3, 6, 70, 80)]);
        assert_eq!(all.stream(ip(CLIENT), ip(SERVER)).map(|stream| stream.last.0), Some(80));
    }

    #[test]
    fn an_address_of_ipv4_inside_ipv6_is_the_same_host() {
        let all = told(&[flow("[::ffff:10.20.0.101]:0", "10.0.1.31:0").esp(9)]);
        assert!(all.uses(ip(CLIENT)) && all.uses(ip("::ffff:10.20.0.101")));
        assert!(all.is_between(ip("::ffff:10.0.1.31"), ip(CLIENT)));
    }

    #[test]
    fn only_so_many_pairs_are_kept_and_those_go_on() {
        let mut sample = flow("10.20.0.101:0", "10.0.1.31:0").esp(9);
        let mut all = Deployment::default();
        for host in 0..=MAX_STREAMS as u32 {
            sample.flow.ends[0].address = IpAddr::V4(Ipv4Addr::from(host));
            all.note(&sample.flow);
        }
        assert_eq!(all.streams.len(), MAX_STREAMS);
        sample.flow.ends[0].address = IpAddr::V4(Ipv4Addr::from(0));
        all.note(&sample.paced(pace(77, 0)).flow);
        let stream = all.stream(ip("0.0.0.0"), ip(SERVER)).unwrap();
        assert_eq!(stream.pace.map(|pace| pace.packets), Some(77));
    }
}
