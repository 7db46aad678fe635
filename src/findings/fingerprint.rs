//! The short name under which a finding is known again in another capture of the same network.

/// Hashes the parts with 64-bit FNV-1a (Fowler, Noll and Vo; draft-eastlake-fnv) and writes
/// 16 hex digits. The function is part of the contract: baselines keep its results for years.
pub(super) fn fingerprint(parts: &[&str]) -> String {
    let mut hash = OFFSET_BASIS;
    for part in parts {
        // A separator that no part contains keeps ("ab", "c") apart from ("a", "bc").
        for byte in part.bytes().chain([0]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(PRIME);
        }
    }
    format!("{hash:016x}")
}

const OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_function_never_changes() {
        assert_eq!(fingerprint(&[]), "cbf29ce484222325");
        // One zero byte: the published FNV-1a result.
        assert_eq!(fingerprint(&[""]), "af63bd4c8601b7df");
        assert_eq!(fingerprint(&["unexpected-port", "client", "front-end", "tcp", "8888"]), PINNED);
    }

    #[test]
    fn parts_do_not_run_together() {
        assert_ne!(fingerprint(&["ab", "c"]), fingerprint(&["a", "bc"]));
    }

    const PINNED: &str = "82f384030aa16db9";
}
