//! What a capture says beside its frames: names of hosts, capture filters, comments, frames that
//! were lost.

use std::collections::BTreeSet;
use std::net::IpAddr;

/// The notes of a capture or of a part of it. Adding is commutative and associative, and what is
/// kept is bounded, whatever the order in which parts are added.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Notes {
    /// Names of hosts.
    pub names: Names,
    /// The capture filters that were in force, where interfaces tell.
    pub filters: Filters,
    /// Comments of people or programs. They are counted only.
    pub comments: u64,
    /// Frames lost between two others, where packet blocks tell.
    pub lost_between: Option<u64>,
}

/// Names that captures give to addresses: from name resolution blocks. They are what somebody
/// wrote into a file, not facts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    kept: BTreeSet<(IpAddr, Box<str>)>,
    cut: bool,
}

/// Capture filters, as the capturing program was given them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filters {
    kept: BTreeSet<Box<str>>,
    cut: bool,
}

impl Notes {
    /// Notes frames lost in front of a packet.
    pub fn lost(&mut self, frames: u64) {
        self.lost_between = Some(self.lost_between.unwrap_or(0).saturating_add(frames));
    }

    /// Adds the notes of another part.
    pub fn merge(&mut self, other: &Self) {
        self.names.merge(&other.names);
        self.filters.merge(&other.filters);
        self.comments = self.comments.saturating_add(other.comments);
        if let Some(frames) = other.lost_between {
            self.lost(frames);
        }
    }
}

impl Names {
    /// All names, in order of addresses.
    pub fn iter(&self) -> impl Iterator<Item = (IpAddr, &str)> {
        self.kept.iter().map(|(address, name)| (*address, &**name))
    }

    /// The names of one address, in order.
    pub fn of(&self, address: IpAddr) -> impl Iterator<Item = &str> {
        let from = (address, Box::default());
        self.kept.range(from..).take_while(move |(a, _)| *a == address).map(|(_, name)| &**name)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Whether there were more names than the [`MAX_NAMES`] kept, which are the least ones.
    pub fn cut(&self) -> bool {
        self.cut
    }

    /// Notes a name. One that is empty or longer than a domain name can be is no name.
    pub fn add(&mut self, address: IpAddr, name: &[u8]) {
        if (1..=MAX_NAME).contains(&name.len()) {
            self.keep((address, String::from_utf8_lossy(name).into()));
        }
    }

    /// Notes that names were passed over.
    pub fn miss(&mut self) {
        self.cut = true;
    }

    /// Takes other names over, leaving none there.
    pub fn take(&mut self, from: &mut Self) {
        let Self { kept, cut } = std::mem::take(from);
        for entry in kept {
            self.keep(entry);
        }
        self.cut |= cut;
    }

    /// Adds other names.
    pub fn merge(&mut self, other: &Self) {
        for entry in &other.kept {
            self.keep(entry.clone());
        }
        self.cut |= other.cut;
    }

    fn keep(&mut self, entry: (IpAddr, Box<str>)) {
        if self.kept.len() >= MAX_NAMES && self.kept.last().is_some_and(|last| *last < entry) {
            self.cut = true;
            return;
        }
        self.kept.insert(entry);
        if self.kept.len() > MAX_NAMES {
            self.kept.pop_last();
            self.cut = true;
        }
    }
}

impl Filters {
    /// All filters, in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.kept.iter().map(|filter| &**filter)
    }

    /// Whether something was left out: filters beyond [`MAX_FILTERS`], which are the greatest, or
    /// the end of one.
    pub fn cut(&self) -> bool {
        self.cut
    }

    /// Notes a filter, as far as its first [`MAX_FILTER`] bytes. An empty one filters nothing.
    pub fn add(&mut self, filter: &[u8]) {
        let filter = filter.trim_ascii();
        self.cut |= filter.len() > MAX_FILTER;
        let filter = filter.get(..MAX_FILTER).unwrap_or(filter);
        if !filter.is_empty() {
            self.keep(String::from_utf8_lossy(filter).into());
        }
    }

    /// Adds other filters.
    pub fn merge(&mut self, other: &Self) {
        for filter in &other.kept {
            self.keep(filter.clone());
        }
        self.cut |= other.cut;
    }

    fn keep(&mut self, filter: Box<str>) {
        self.kept.insert(filter);
        if self.kept.len() > MAX_FILTERS {
            self.kept.pop_last();
            self.cut = true;
        }
    }
}

/// Names kept of a capture, and of all captures of a run: 5 MB as names usually are, 50 MB at most.
pub const MAX_NAMES: usize = 65_536;
/// The longest name in bytes: RFC 1035, section 2.3.4.
const MAX_NAME: usize = 255;
/// Different capture filters kept of a capture.
pub const MAX_FILTERS: usize = 8;
/// What is kept of a capture filter, in bytes.
pub const MAX_FILTER: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn notes(addresses: impl Iterator<Item = u32>) -> Notes {
        let mut notes = Notes::default();
        for address in addresses {
            notes.names.add(IpAddr::V4(Ipv4Addr::from_bits(address)), b"host");
        }
        notes
    }

    #[test]
    fn names_are_bounded_and_the_order_of_parts_does_not_matter() {
        let parts = [notes(0..50_000), notes(30_000..90_000), notes([7, 99_999].into_iter())];
        let sum = |order: [usize; 3]| {
            let mut sum = Notes::default();
            for part in order {
                sum.merge(&parts[part]);
            }
            sum
        };
        let whole = notes(0..MAX_NAMES as u32);
        for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
            assert!(sum(order).names.cut());
            assert!(sum(order).names.iter().eq(whole.names.iter()));
        }
        assert!(!whole.names.cut());
    }

    #[test]
    fn what_is_no_name_is_not_kept() {
        let mut names = Names::default();
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        names.add(address, b"");
        names.add(address, &[b'a'; 256]);
        names.add(address, b"f\xffe");
        assert_eq!(names.iter().collect::<Vec<_>>(), [(address, "f\u{fffd}e")]);
    }

    #[test]
    fn an_address_has_its_own_names_only() {
        let mut names = Names::default();
        let address = |last| IpAddr::V4(Ipv4Addr::new(10, 0, 0, last));
        for (last, name) in [(1, "z"), (2, "b"), (2, "a"), (3, "c")] {
            names.add(address(last), name.as_bytes());
        }
        assert_eq!(names.of(address(2)).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(names.of(address(4)).count(), 0);
    }

    #[test]
    fn filters_are_bounded_whatever_the_order() {
        let texts: Vec<String> = (0..20).map(|port| format!("port {port:02}")).collect();
        let sum = |texts: &mut dyn Iterator<Item = &String>| {
            let mut filters = Filters::default();
            texts.for_each(|text| filters.add(text.as_bytes()));
            filters
        };
        let one = sum(&mut texts.iter());
        assert_eq!(one, sum(&mut texts.iter().rev()));
        assert!(one.cut() && one.iter().eq(texts.iter().take(MAX_FILTERS)));
        let mut long = Filters::default();
        long.add(b" \0 ");
        long.add(b"");
        long.add(&[b'x'; 5_000]);
        assert_eq!(long.iter().map(str::len).collect::<Vec<_>>(), [1, MAX_FILTER]);
        assert!(long.cut());
    }
}
