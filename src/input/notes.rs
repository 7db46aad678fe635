//! What a capture says beside its frames: names of hosts, comments, frames that were lost.

use std::collections::BTreeSet;
use std::net::IpAddr;

/// The notes of a capture or of a part of it. Adding is commutative and associative, and what is
/// kept is bounded, whatever the order in which parts are added.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Notes {
    names: BTreeSet<(IpAddr, Box<str>)>,
    names_cut: bool,
    /// Comments of people or programs. They are counted only.
    pub comments: u64,
    /// Frames lost between two others, where packet blocks tell.
    pub lost_between: Option<u64>,
}

impl Notes {
    /// Names that the capture gives to addresses, in order: from name resolution blocks. They are
    /// what somebody wrote into a file, not facts.
    pub fn names(&self) -> impl Iterator<Item = (IpAddr, &str)> {
        self.names.iter().map(|(address, name)| (*address, &**name))
    }

    /// Whether there were more names than the [`MAX_NAMES`] kept, which are the least ones.
    pub fn names_cut(&self) -> bool {
        self.names_cut
    }

    /// Notes a name. One that is empty or longer than a domain name can be is no name.
    pub fn name(&mut self, address: IpAddr, name: &[u8]) {
        if (1..=MAX_NAME).contains(&name.len()) {
            self.keep((address, String::from_utf8_lossy(name).into()));
        }
    }

    /// Notes frames lost in front of a packet.
    pub fn lost(&mut self, frames: u64) {
        self.lost_between = Some(self.lost_between.unwrap_or(0).saturating_add(frames));
    }

    /// Adds the notes of another part.
    pub fn merge(&mut self, other: &Self) {
        for entry in &other.names {
            self.keep(entry.clone());
        }
        self.names_cut |= other.names_cut;
        self.comments = self.comments.saturating_add(other.comments);
        if let Some(frames) = other.lost_between {
            self.lost(frames);
        }
    }

    fn keep(&mut self, entry: (IpAddr, Box<str>)) {
        self.names.insert(entry);
        if self.names.len() > MAX_NAMES {
            self.names.pop_last();
            self.names_cut = true;
        }
    }
}

/// Names kept per capture.
pub const MAX_NAMES: usize = 65_536;
/// The longest name in bytes: RFC 1035, section 2.3.4.
const MAX_NAME: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn notes(addresses: impl Iterator<Item = u32>) -> Notes {
        let mut notes = Notes::default();
        for address in addresses {
            notes.name(IpAddr::V4(Ipv4Addr::from_bits(address)), b"host");
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
            assert!(sum(order).names_cut());
            assert!(sum(order).names().eq(whole.names()));
        }
        assert!(!whole.names_cut());
    }

    #[test]
    fn what_is_no_name_is_not_kept() {
        let mut notes = Notes::default();
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        notes.name(address, b"");
        notes.name(address, &[b'a'; 256]);
        notes.name(address, b"f\xffe");
        assert_eq!(notes.names().collect::<Vec<_>>(), [(address, "f\u{fffd}e")]);
    }
}
