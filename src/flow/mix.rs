//! Mixes words into one number from which none of them can be told without the seed.
//!
//! Captures are made by strangers. Where packets are found by such numbers, the seed keeps crafted ones
//! from falling on top of each other; no output depends on it.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

/// Mixes pairs of words: a full multiplication each, both halves added up (the principle of wyhash).
#[inline]
pub(super) fn mix(seed: u64, pairs: &[[u64; 2]]) -> u64 {
    pairs.iter().fold(seed, |sum, [a, b]| {
        let product = u128::from(a ^ sum) * u128::from(b ^ sum.rotate_left(29) ^ ODD);
        (product as u64 ^ (product >> 64) as u64).wrapping_add(sum.rotate_left(17))
    })
}

/// A seed that nobody knows.
pub fn seed() -> u64 {
    RandomState::new().hash_one(0)
}

/// An odd number of no meaning: the fractional part of the golden ratio.
const ODD: u64 = 0x9e37_79b9_7f4a_7c15;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_and_the_seed_count() {
        let words = [[1, 2], [3, 4]];
        let base = mix(9, &words);
        assert_eq!(mix(9, &words), base);
        assert_ne!(mix(8, &words), base);
        for place in 0..4 {
            let mut other = words;
            other[place / 2][place % 2] ^= 1 << 40;
            assert_ne!(mix(9, &other), base, "word {place}");
        }
    }

    #[test]
    fn neighbours_spread_over_the_upper_half() {
        let mut seen = std::collections::BTreeSet::new();
        for n in 0..10_000 {
            seen.insert(mix(5, &[[n, 0]]) >> 40);
        }
        // Of 2^24 values ten thousand rarely meet.
        assert!(seen.len() > 9_980, "{}", seen.len());
    }
}
