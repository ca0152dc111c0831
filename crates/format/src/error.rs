use thiserror::Error;

/// Why bytes are not what they should be, or a value can't be encoded.
///
/// Every variant names the part concerned; [`code`](Self::code) is stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FormatError {
    /// The input ends inside the part named.
    #[error("the input ends inside {0}")]
    Truncated(&'static str),
    /// Bytes are left over after the part named.
    #[error("there are bytes after the end of {0}")]
    Trailing(&'static str),
    /// A value that no encoder writes: reserved bits, unsorted lists, unknown codes, bad padding.
    #[error("{0} has a value that is not allowed")]
    Invalid(&'static str),
    /// The value may be well formed, but needs another version of factlog: most likely a newer one.
    #[error("{0} needs another version of factlog")]
    Unsupported(&'static str),
    /// A checksum or keyed check doesn't fit its bytes.
    #[error("the checksum of {0} does not match")]
    Checksum(&'static str),
    /// A value is larger than the format allows.
    #[error("{what} is larger than the limit of {limit}")]
    Limit {
        /// The part that is too large.
        what: &'static str,
        /// The largest value allowed, in bytes or in entries, as the part counts.
        limit: u64,
    },
}

impl FormatError {
    /// A stable, machine-readable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Truncated(_) => "format.truncated",
            Self::Trailing(_) => "format.trailing_bytes",
            Self::Invalid(_) => "format.invalid",
            Self::Unsupported(_) => "format.unsupported",
            Self::Checksum(_) => "format.checksum",
            Self::Limit { .. } => "format.limit",
        }
    }
}
