//! The lines that signed and unsigned proofs share.

use std::fmt;

use data_encoding::BASE64;

use crate::{Hash, ReceiptError, text};

/// Proofs are at most this many bytes.
const MAX_PROOF: usize = 64 << 10;
/// No path in a tree of at most 2^64 leaves is longer.
const MAX_PATH: usize = 64;

/// First line of a proof of the kind C2SP specifies.
pub(super) const TLOG_PROOF: &str = "c2sp.org/tlog-proof@v1";
/// First line of our unsigned proofs.
pub(super) const UNSIGNED_PROOF: &str = "factlog.dev/unsigned-proof@v1";

/// Extra data, index and path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Body {
    pub(super) extra: Option<Vec<u8>>,
    pub(super) index: u64,
    pub(super) path: Vec<Hash>,
}

impl Body {
    /// A body that parses again if the whole stays within the limit.
    pub(super) fn new(
        extra: Option<Vec<u8>>,
        index: u64,
        path: Vec<Hash>,
    ) -> Result<Self, ReceiptError> {
        if path.len() > MAX_PATH {
            return Err(ReceiptError::TooManyHashes);
        }
        // An empty line of extra data would be a second spelling of none.
        if extra.as_ref().is_some_and(Vec::is_empty) {
            return Err(ReceiptError::Malformed);
        }
        Ok(Self { extra, index, path })
    }

    /// Parses the lines between the first one and the blank one.
    pub(super) fn parse(lines: &str) -> Result<Self, ReceiptError> {
        let mut lines = lines.split('\n');
        let mut line = lines.next().ok_or(ReceiptError::Malformed)?;
        let mut extra = None;
        if let Some(encoded) = line.strip_prefix("extra ") {
            extra = Some(text::decode_base64(encoded).ok_or(ReceiptError::Malformed)?);
            line = lines.next().ok_or(ReceiptError::Malformed)?;
        }
        let index = line
            .strip_prefix("index ")
            .and_then(text::decode_decimal)
            .ok_or(ReceiptError::Malformed)?;
        let mut path = Vec::new();
        for line in lines {
            if path.len() == MAX_PATH {
                return Err(ReceiptError::TooManyHashes);
            }
            path.push(Hash::from_base64(line).ok_or(ReceiptError::Malformed)?);
        }
        Self::new(extra, index, path)
    }

    /// The length of what `Display` writes.
    fn encoded_len(&self) -> usize {
        let extra = self
            .extra
            .as_ref()
            .map_or(0, |extra| 7 + BASE64.encode_len(extra.len()));
        extra + 7 + decimal_len(self.index) + 45 * self.path.len()
    }

    /// Refuses what [`split`] would not take back.
    pub(super) fn check_len(&self, first_line: &str, rest: usize) -> Result<(), ReceiptError> {
        if first_line.len() + 2 + self.encoded_len() + rest > MAX_PROOF {
            return Err(ReceiptError::TooLarge);
        }
        Ok(())
    }
}

impl fmt::Display for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(extra) = &self.extra {
            writeln!(f, "extra {}", BASE64.encode(extra))?;
        }
        writeln!(f, "index {}", self.index)?;
        self.path.iter().try_for_each(|hash| writeln!(f, "{hash}"))
    }
}

/// Splits a proof into first line, body lines and what follows the first blank line.
pub(super) fn split(proof: &[u8]) -> Result<(&str, &str, &str), ReceiptError> {
    if proof.len() > MAX_PROOF {
        return Err(ReceiptError::TooLarge);
    }
    let proof = std::str::from_utf8(proof).map_err(|_| ReceiptError::Malformed)?;
    let (head, rest) = proof.split_once("\n\n").ok_or(ReceiptError::Malformed)?;
    let (first, lines) = head.split_once('\n').ok_or(ReceiptError::Malformed)?;
    Ok((first, lines, rest))
}

fn decimal_len(number: u64) -> usize {
    number.checked_ilog10().map_or(1, |log| log as usize + 1)
}
