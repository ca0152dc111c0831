use crate::{
    Digest, FormatError, MAX_SECTIONS,
    cursor::Cursor,
    name::{decode_name, encode_name},
};

/// How a section's bytes are to be read, so that tools can show them without the Rust type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Encoding {
    /// Bytes without a stated meaning (code 0).
    Raw,
    /// JSON text, RFC 8259 (code 1).
    Json,
    /// MessagePack with named fields (code 2).
    MessagePack,
    /// CBOR, RFC 8949 (code 3).
    Cbor,
    /// A payload of factlog's own (code 4); see [`JournalEvent`](crate::JournalEvent).
    Journal,
}

impl Encoding {
    /// The code on disk.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Raw => 0,
            Self::Json => 1,
            Self::MessagePack => 2,
            Self::Cbor => 3,
            Self::Journal => 4,
        }
    }

    /// The encoding of a code on disk.
    ///
    /// # Errors
    /// [`FormatError::Unsupported`] for a code that this build doesn't know.
    pub fn from_code(code: u8) -> Result<Self, FormatError> {
        Ok(match code {
            0 => Self::Raw,
            1 => Self::Json,
            2 => Self::MessagePack,
            3 => Self::Cbor,
            4 => Self::Journal,
            _ => return Err(FormatError::Unsupported("section encoding")),
        })
    }

    /// The word used in JSON output and on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Json => "json",
            Self::MessagePack => "msgpack",
            Self::Cbor => "cbor",
            Self::Journal => "journal",
        }
    }
}

/// One row of the section table in an event's facts: all that is known of a section besides its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SectionRow<'a> {
    /// The section's name, unique in its event.
    pub name: &'a str,
    /// How many bytes are stored, salt or nonce not counted; for an encrypted section ciphertext and
    /// tag.
    pub stored_len: u32,
    /// How the bytes are to be read.
    pub encoding: Encoding,
    /// The section hash.
    pub hash: Digest,
    /// What an encrypted section says of its key; `None` for a plain one.
    pub sealed: Option<SealedRow>,
}

/// What the table says of an encrypted section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealedRow {
    /// Cipher suite: 1 ChaCha20-Poly1305, 2 AES-256-GCM.
    pub suite: u8,
    /// Padding of the plaintext: 0 none, 1 PADMÉ.
    pub padding: u8,
    /// Names the data key.
    pub key_id: [u8; 16],
    /// Commits to the section key.
    pub key_commitment: Digest,
}

impl<'a> SectionRow<'a> {
    /// The length of what stands before the section's bytes: a 16-byte salt, or a 24-byte nonce.
    #[must_use]
    pub fn secret_len(&self) -> usize {
        if self.sealed.is_some() { 24 } else { 16 }
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) -> Result<(), FormatError> {
        encode_name(self.name, "section name", out)?;
        out.extend_from_slice(&self.stored_len.to_le_bytes());
        let (suite, padding) = self.sealed.map_or((0, 0), |sealed| (sealed.suite, sealed.padding));
        // encoding, cipher suite, compression (none), padding, flags (none)
        out.extend_from_slice(&[self.encoding.code(), suite, 0, padding, 0]);
        out.extend_from_slice(&self.hash);
        if let Some(sealed) = &self.sealed {
            if !matches!(sealed.suite, 1 | 2) || sealed.padding > 1 {
                return Err(FormatError::Invalid("cipher suite or padding of a section"));
            }
            out.extend_from_slice(&sealed.key_id);
            out.extend_from_slice(&sealed.key_commitment);
        }
        Ok(())
    }

    fn decode(input: &mut Cursor<'a>) -> Result<Self, FormatError> {
        let name = decode_name(input, "section name")?;
        let stored_len = input.u32()?;
        let encoding = Encoding::from_code(input.u8()?)?;
        let suite = input.u8()?;
        let compression = input.u8()?;
        let padding = input.u8()?;
        let flags = input.u8()?;
        if compression != 0 || flags != 0 {
            return Err(FormatError::Unsupported("compression or flags of a section"));
        }
        let hash = input.array()?;
        let sealed = match suite {
            0 if padding == 0 => None,
            1 | 2 if padding <= 1 => Some(SealedRow {
                suite,
                padding,
                key_id: input.array()?,
                key_commitment: input.array()?,
            }),
            _ => return Err(FormatError::Unsupported("cipher suite or padding of a section")),
        };
        Ok(Self { name, stored_len, encoding, hash, sealed })
    }
}

/// The section table as it stands in encoded facts; decoded row by row, without allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SectionRows<'a> {
    encoded: &'a [u8],
    count: u8,
}

impl<'a> SectionRows<'a> {
    /// Checks every row, and that no two share a name.
    pub(crate) fn decode(input: &mut Cursor<'a>) -> Result<Self, FormatError> {
        let count = input.u8()?;
        if usize::from(count) > MAX_SECTIONS {
            return Err(FormatError::Limit { what: "sections", limit: MAX_SECTIONS as u64 });
        }
        let start = input.rest();
        let mut names = [""; MAX_SECTIONS];
        for index in 0..usize::from(count) {
            let row = SectionRow::decode(input)?;
            let (seen, free) = names.split_at_mut(index);
            if seen.contains(&row.name) {
                return Err(FormatError::Invalid("two sections of one name"));
            }
            if let Some(slot) = free.first_mut() {
                *slot = row.name;
            }
        }
        let used = start.len() - input.rest().len();
        Ok(Self { encoded: start.get(..used).unwrap_or_default(), count })
    }

    /// How many sections the event has, erased ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        usize::from(self.count)
    }

    /// Whether the event has no section.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The rows in order.
    pub fn iter(&self) -> impl Iterator<Item = SectionRow<'a>> + use<'a> {
        let mut input = Cursor::new(self.encoded, "section table");
        std::iter::from_fn(move || {
            if input.rest().is_empty() {
                return None;
            }
            SectionRow::decode(&mut input).ok()
        })
    }
}
