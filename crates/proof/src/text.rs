//! Spelling rules that all text forms share: each value has exactly one.

use data_encoding::BASE64;

/// Names of keys and origins are at most this many bytes.
pub(crate) const MAX_NAME: usize = 255;

/// Standard base64 with padding, canonical.
pub(crate) fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let bytes = BASE64.decode(text.as_bytes()).ok()?;
    // The decoder takes concatenated padded blocks; only what it would write itself is canonical.
    (BASE64.encode_len(bytes.len()) == text.len() && BASE64.encode(&bytes) == text).then_some(bytes)
}

/// ASCII decimal without sign or leading zeros.
pub(crate) fn decode_decimal(text: &str) -> Option<u64> {
    let canonical = text == "0" || !text.starts_with('0');
    (canonical && text.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| text.parse().ok())
        .flatten()
}

/// Whether `name` can name a key, and so a log.
///
/// C2SP refuses the empty name, Unicode spaces and `+`; control characters and names over 255 bytes
/// are refused here on top, as everywhere in factlog.
pub(crate) fn is_name(name: &str) -> bool {
    (1..=MAX_NAME).contains(&name.len())
        && !name
            .chars()
            .any(|c| c == '+' || c.is_whitespace() || c.is_control())
}

#[cfg(test)]
mod tests {
    use super::{decode_base64, decode_decimal, is_name};

    #[test]
    fn base64_is_canonical() {
        assert_eq!(decode_base64(""), Some(vec![]));
        assert_eq!(decode_base64("AQI="), Some(vec![1, 2]));
        for bad in [
            "AQI", "AQJ=", "AQ==AQ==", "AQI=AQI=", "A", "AQI=\n", " AQI=", "-_-_",
        ] {
            assert_eq!(decode_base64(bad), None, "{bad}");
        }
    }

    #[test]
    fn decimals_are_canonical() {
        assert_eq!(decode_decimal("0"), Some(0));
        assert_eq!(decode_decimal("18446744073709551615"), Some(u64::MAX));
        for bad in [
            "",
            "00",
            "01",
            "+1",
            "-1",
            " 1",
            "1 ",
            "1_0",
            "18446744073709551616",
            "١",
        ] {
            assert_eq!(decode_decimal(bad), None, "{bad}");
        }
    }

    #[test]
    fn names_are_plain() {
        let longest = "n".repeat(255);
        for good in ["a", "example.com/ledger/0f3c", "größe", &longest] {
            assert!(is_name(good), "{good}");
        }
        let long = "n".repeat(256);
        for bad in [
            "",
            "a b",
            "a+b",
            "a\u{a0}b",
            "a\u{2003}b",
            "a\nb",
            "a\u{7f}b",
            "a\u{85}b",
            &long,
        ] {
            assert!(!is_name(bad), "{bad}");
        }
    }
}
