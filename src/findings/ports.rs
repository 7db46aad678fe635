//! A set of ports that stays small whatever is scanned: a list of few, a bitmap of many.

/// Ports, collected in any order.
#[derive(Debug, Clone)]
pub(super) enum Ports {
    /// Sorted.
    Few(Vec<u16>),
    /// One bit for each of the 65,536.
    Many(Box<[u64]>),
}

impl Default for Ports {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl Ports {
    /// Adds a port.
    pub(super) fn insert(&mut self, port: u16) {
        match self {
            Self::Few(list) => {
                let Err(position) = list.binary_search(&port) else {
                    return;
                };
                list.insert(position, port);
                if list.len() > FEW {
                    let mut bits = vec![0; WORDS].into_boxed_slice();
                    for &port in list.iter() {
                        set(&mut bits, port);
                    }
                    *self = Self::Many(bits);
                }
            }
            Self::Many(bits) => set(bits, port),
        }
    }

    /// Adds every port of another set.
    pub(super) fn merge(&mut self, other: &Self) {
        match (&mut *self, other) {
            (Self::Many(mine), Self::Many(theirs)) => {
                for (word, more) in mine.iter_mut().zip(theirs.iter()) {
                    *word |= more;
                }
            }
            (Self::Few(_), Self::Many(_)) => {
                let few = std::mem::replace(self, other.clone());
                self.merge(&few);
            }
            (_, Self::Few(list)) => {
                for &port in list {
                    self.insert(port);
                }
            }
        }
    }

    /// The ports as sorted, disjoint, inclusive ranges.
    pub(super) fn ranges(&self) -> Vec<(u16, u16)> {
        let mut ranges: Vec<(u16, u16)> = Vec::new();
        let mut push = |port: u16| match ranges.last_mut() {
            Some((_, high)) if high.checked_add(1) == Some(port) => *high = port,
            _ => ranges.push((port, port)),
        };
        match self {
            Self::Few(list) => list.iter().copied().for_each(&mut push),
            Self::Many(bits) => {
                (0..=u16::MAX).filter(|&port| is_set(bits, port)).for_each(&mut push);
            }
        }
        ranges
    }
}

fn set(bits: &mut [u64], port: u16) {
    if let Some(word) = bits.get_mut(usize::from(port / 64)) {
        *word |= 1 << (port % 64);
    }
}

fn is_set(bits: &[u64], port: u16) -> bool {
    bits.get(usize::from(port / 64)).is_some_and(|word| word & (1 << (port % 64)) != 0)
}

/// A list longer than this is slower and hardly smaller than the bitmap.
const FEW: usize = 64;
const WORDS: usize = 65_536 / 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_sorted_and_compressed() {
        let mut ports = Ports::default();
        for port in [443, 5061, 444, 445, 0, 65535, 443] {
            ports.insert(port);
        }
        assert_eq!(ports.ranges(), [(0, 0), (443, 445), (5061, 5061), (65535, 65535)]);
    }

    #[test]
    fn every_port_fits_in_eight_kibibytes() {
        let mut ports = Ports::default();
        for port in (0..=u16::MAX).rev() {
            ports.insert(port);
        }
        assert_eq!(ports.ranges(), [(0, 65535)]);
        let Ports::Many(bits) = ports else {
            panic!("a bitmap was expected");
        };
        assert_eq!(size_of_val(&*bits), 8192);
    }

    #[test]
    fn merging_few_and_many_is_the_same_both_ways() {
        let mut few = Ports::default();
        few.insert(9);
        let mut many = Ports::default();
        (100..300).for_each(|port| many.insert(port));
        let (mut a, mut b) = (few.clone(), many.clone());
        a.merge(&many);
        b.merge(&few);
        assert_eq!(a.ranges(), [(9, 9), (100, 299)]);
        assert_eq!(a.ranges(), b.ranges());
    }
}
