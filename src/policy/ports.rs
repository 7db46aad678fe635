//! Sets of ports, and how files write them: `5061`, `6891-6901`, `67,68`, `any`, or a range's name.

use std::fmt;

use super::diagnose::{Diagnosis, Word};
use crate::decode::Transport;

/// A set of ports as sorted, disjoint, inclusive ranges.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PortSet {
    ranges: Vec<(u16, u16)>,
}

impl PortSet {
    /// From inclusive ranges in any order; overlapping and adjacent ones are joined, reversed ones
    /// left out.
    pub fn new(ranges: impl IntoIterator<Item = (u16, u16)>) -> Self {
        let mut sorted: Vec<(u16, u16)> = ranges.into_iter().filter(|(a, b)| a <= b).collect();
        sorted.sort_unstable();
        let mut joined: Vec<(u16, u16)> = Vec::with_capacity(sorted.len());
        for (first, last) in sorted {
            match joined.last_mut() {
                Some(previous) if u32::from(first) <= u32::from(previous.1) + 1 => {
                    previous.1 = previous.1.max(last);
                }
                _ => joined.push((first, last)),
            }
        }
        Self { ranges: joined }
    }

    /// Every port.
    pub fn any() -> Self {
        Self { ranges: vec![(0, u16::MAX)] }
    }

    /// Sorted, disjoint, inclusive ranges.
    pub fn ranges(&self) -> &[(u16, u16)] {
        &self.ranges
    }

    /// Whether it holds no port.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Whether it holds every port.
    pub fn is_any(&self) -> bool {
        self.ranges == [(0, u16::MAX)]
    }

    /// Whether it holds a port.
    pub fn contains(&self, port: u16) -> bool {
        let after = self.ranges.partition_point(|(first, _)| *first <= port);
        after
            .checked_sub(1)
            .and_then(|index| self.ranges.get(index))
            .is_some_and(|(_, last)| port <= *last)
    }

    /// How many ports.
    pub fn count(&self) -> u32 {
        self.ranges.iter().map(|(first, last)| u32::from(last - first) + 1).sum()
    }

    /// Every port in order.
    pub fn iter(&self) -> impl Iterator<Item = u16> + '_ {
        self.ranges.iter().flat_map(|(first, last)| *first..=*last)
    }

    /// How far the nearest port of the set is; `None` when it is empty.
    pub fn distance(&self, port: u16) -> Option<u16> {
        self.ranges
            .iter()
            .map(|(first, last)| first.saturating_sub(port).max(port.saturating_sub(*last)))
            .min()
    }
}

/// As files write it: `5061`, `67-68`, `80,443`, `any`.
impl fmt::Display for PortSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_any() {
            return f.pad("any");
        }
        let texts: Vec<String> = self
            .ranges
            .iter()
            .map(
                |(first, last)| {
                    if first == last { first.to_string() } else { format!("{first}-{last}") }
                },
            )
            .collect();
        f.pad(&texts.join(","))
    }
}

/// Finds the ports behind a range's name.
pub(super) trait NamedRanges {
    /// The ports, if the name is declared.
    fn ports(&self, name: &str) -> Option<&PortSet>;
    /// Every declared name, for advice.
    fn names(&self) -> Vec<&str>;
}

/// No names: plain numbers only.
pub(super) struct NoNames;

impl NamedRanges for NoNames {
    fn ports(&self, _name: &str) -> Option<&PortSet> {
        None
    }

    fn names(&self) -> Vec<&str> {
        Vec::new()
    }
}

/// Reads a port expression; problems go to the diagnosis.
pub(super) fn parse(word: &Word, named: &dyn NamedRanges, diagnosis: &mut Diagnosis) -> PortSet {
    let mut ranges = Vec::new();
    for item in word.split(',') {
        match parse_item(&item.text, named) {
            Ok(mut found) => ranges.append(&mut found),
            Err(Fault::Number) => diagnosis.advise(
                &item.span,
                format!("'{}' is not a port", item.text),
                "ports are 0-65535, ranges are written 6891-6901",
            ),
            Err(Fault::Reversed(first, last)) => diagnosis.advise(
                &item.span,
                format!("the range '{}' is reversed", item.text),
                format!("did you mean '{last}-{first}'?"),
            ),
            Err(Fault::Name) => diagnosis.unknown("port range", &item, named.names()),
        }
    }
    PortSet::new(ranges)
}

/// Reads a port expression in which an item may be for one transport alone, such as `443/tcp,3478/udp,edge-media`:
/// what each of `transports` has, in their order.
pub(super) fn parse_by_transport(
    word: &Word,
    transports: &[u8],
    named: &dyn NamedRanges,
    diagnosis: &mut Diagnosis,
) -> Vec<(u8, PortSet)> {
    let mut by_transport: Vec<(u8, Vec<(u16, u16)>)> =
        transports.iter().map(|number| (*number, Vec::new())).collect();
    for mut item in word.split(',') {
        let mut only = None;
        if let Some((ports, transport)) = item.text.split_once('/') {
            only = Some(match transport {
                "tcp" => Transport::TCP.0,
                "udp" => Transport::UDP.0,
                _ => {
                    let problem = format!("'{}' names no transport", item.text);
                    diagnosis.advise(&item.span, problem, "tcp or udp, such as 3478/udp");
                    continue;
                }
            });
            item.text = ports.to_owned();
        }
        let ports = parse(&item, named, diagnosis);
        for (number, ranges) in &mut by_transport {
            if only.is_none_or(|only| only == *number) {
                ranges.extend(ports.ranges());
            }
        }
    }
    by_transport.into_iter().map(|(number, ranges)| (number, PortSet::new(ranges))).collect()
}

enum Fault {
    Number,
    Reversed(u16, u16),
    Name,
}

fn parse_item(text: &str, named: &dyn NamedRanges) -> Result<Vec<(u16, u16)>, Fault> {
    if text == "any" {
        return Ok(vec![(0, u16::MAX)]);
    }
    if let Some(ports) = named.ports(text) {
        return Ok(ports.ranges().to_vec());
    }
    if text.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return Err(Fault::Name);
    }
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let number = |text: &str| text.trim().parse::<u16>().map_err(|_| Fault::Number);
    match (number(first)?, number(last)?) {
        (first, last) if first > last => Err(Fault::Reversed(first, last)),
        range => Ok(vec![range]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (PortSet, Option<String>) {
        let mut diagnosis = Diagnosis::new("f", text);
        let word = Word { text: text.into(), span: 0..text.len() };
        let set = parse(&word, &NoNames, &mut diagnosis);
        (set, diagnosis.into_text())
    }

    #[test]
    fn expressions_become_sets() {
        assert_eq!(read("5061").0.ranges(), [(5061, 5061)]);
        assert_eq!(read("67, 68").0.ranges(), [(67, 68)], "neighbours join");
        assert_eq!(read("443,80-90,85-100").0.ranges(), [(80, 100), (443, 443)]);
        assert_eq!(read("any").0.count(), 65_536);
        assert_eq!(read("1024-65535").0.count(), 64_512);
        assert!(read("80,443").1.is_none());
    }

    #[test]
    fn ports_may_be_of_one_transport() {
        let read = |text: &str| {
            let mut diagnosis = Diagnosis::new("f", text);
            let word = Word { text: text.into(), span: 0..text.len() };
            let found = parse_by_transport(&word, &[6, 17], &NoNames, &mut diagnosis);
            let shown: Vec<String> = found.iter().map(|(_, ports)| ports.to_string()).collect();
            (shown, diagnosis.into_text().unwrap_or_default())
        };
        let (ports, told) = read("443/tcp, 3478/udp,50000-59999");
        assert_eq!(ports, ["443,50000-59999", "3478,50000-59999"]);
        assert_eq!(told, "");
        assert!(read("443/sctp").1.contains("'443/sctp' names no transport"));
        assert!(read("9-3/tcp").1.contains("reversed"));
    }

    #[test]
    fn faults_are_told() {
        for (text, fault) in [
            ("65536", "'65536' is not a port"),
            ("", "'' is not a port"),
            ("-5", "'-5' is not a port"),
            ("80,", "'' is not a port"),
            ("90-80", "the range '90-80' is reversed"),
            ("clientmedia", "unknown port range 'clientmedia'"),
        ] {
            let (_, problems) = read(text);
            let problems = problems.unwrap_or_default();
            assert!(problems.contains(fault), "{text}: {problems}");
        }
        assert!(read("90-80").1.unwrap().contains("did you mean '80-90'?"));
    }

    #[test]
    fn membership_and_distance() {
        let set = PortSet::new([(100, 200), (300, 300)]);
        for (port, inside) in [(99, false), (100, true), (200, true), (201, false), (300, true)] {
            assert_eq!(set.contains(port), inside, "{port}");
        }
        assert_eq!(set.distance(90), Some(10));
        assert_eq!(set.distance(150), Some(0));
        assert_eq!(set.distance(280), Some(20));
        assert_eq!(PortSet::default().distance(1), None);
        assert!(!PortSet::default().contains(0));
        assert_eq!(PortSet::new([(9, 3)]), PortSet::default());
    }

    #[test]
    fn sets_are_written_as_they_are_read() {
        assert_eq!(PortSet::new([(80, 80), (90, 99)]).to_string(), "80,90-99");
        assert_eq!(PortSet::any().to_string(), "any");
        assert_eq!(PortSet::new([(65_535, 65_535), (0, 65_534)]), PortSet::any());
    }
}
