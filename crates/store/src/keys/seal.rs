use std::ops::Range;

use factlog_format::SealedRow;

/// The sections of a batch, sealed one after another, in the memory of batches before.
#[derive(Debug, Default)]
pub(crate) struct SealedSections {
    /// Ciphertexts and tags.
    pub(crate) bytes: Vec<u8>,
    pub(crate) parts: Vec<SealedPart>,
    /// The ids of the keys, each once.
    pub(crate) keys: Vec<[u8; 16]>,
}

/// A sealed section.
#[derive(Clone, Debug)]
pub(crate) struct SealedPart {
    /// Where in the bytes it stands.
    pub(crate) range: Range<usize>,
    pub(crate) nonce: [u8; 24],
    pub(crate) row: SealedRow,
}

impl SealedSections {
    #[cfg(feature = "encryption")]
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.parts.clear();
        self.keys.clear();
    }

    pub(crate) fn stored(&self, part: &SealedPart) -> &[u8] {
        self.bytes.get(part.range.clone()).unwrap_or_default()
    }
}
