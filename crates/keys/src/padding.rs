//! PADMÉ: a length keeps only its highest bits, so that little more than its magnitude shows.

/// The length to which `len` bytes are padded: at most 12 % more, and under 4 % from some kilobytes on.
#[must_use]
pub fn padded_len(len: u64) -> u64 {
    if len < 2 {
        return len;
    }
    let exponent = u64::from(len.ilog2());
    let kept = u64::from(exponent.max(1).ilog2()) + 1;
    let mask = (1u64 << exponent.saturating_sub(kept)) - 1;
    len.saturating_add(mask) & !mask
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_those_of_the_paper() {
        // Worked by hand from the paper's algorithm: E = ⌊log2 L⌋, S = ⌊log2 E⌋ + 1, the last E − S bits are zero.
        for (len, padded) in [
            (0, 0),
            (1, 1),
            (2, 2),
            (5, 5),
            (9, 10),
            (31, 32),
            (65, 72),
            (260, 272),
            (1028, 1088),
            (4100, 4352),
            (1_000_001, 1_015_808),
        ] {
            assert_eq!(padded_len(len), padded, "{len}");
        }
    }

    #[test]
    fn padding_grows_never_shrinks_and_is_stable() {
        let mut before = 0;
        for len in 0..70_000 {
            let padded = padded_len(len);
            assert!(padded >= len && padded >= before && padded_len(padded) == padded);
            assert!(padded * 100 <= len * 112 + 100, "{len} -> {padded}");
            before = padded;
        }
        // Never a panic, whatever is asked.
        assert!(padded_len(u64::MAX) > 0);
    }
}
