use crate::{
    Digest, FormatError, MAX_PAYLOAD_LEN, MAX_SECTIONS,
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

const MAX_SUITE: u8 = 2;
const SUITE: &str = "cipher suite or padding of a section";

impl SealedRow {
    fn is_known(&self) -> bool {
        is_known(self.suite, self.padding)
    }
}

fn is_known(suite: u8, padding: u8) -> bool {
    matches!(suite, 1..=MAX_SUITE) && padding <= 1
}

/// The length of what stands before a section's bytes.
pub(crate) fn secret_len(sealed: bool) -> usize {
    if sealed { 24 } else { 16 }
}

/// Refuses sections that are together larger than a payload may be. With this in the facts, no frame
/// and no receipt can announce more, and sums of stored lengths fit a `usize` everywhere.
pub(crate) fn check_payload_len(
    stored_lens: impl IntoIterator<Item = u64>,
) -> Result<(), FormatError> {
    let sum: u64 = stored_lens.into_iter().fold(0, u64::saturating_add);
    if sum > MAX_PAYLOAD_LEN as u64 {
        let limit = MAX_PAYLOAD_LEN as u64;
        return Err(FormatError::Limit {
            what: "payload",
            limit,
        });
    }
    Ok(())
}

impl<'a> SectionRow<'a> {
    /// The length of what stands before the section's bytes: a 16-byte salt, or a 24-byte nonce.
    #[must_use]
    pub fn secret_len(&self) -> usize {
        secret_len(self.sealed.is_some())
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) -> Result<(), FormatError> {
        encode_name(self.name, "section name", out)?;
        out.extend_from_slice(&self.stored_len.to_le_bytes());
        let (suite, padding) = self
            .sealed
            .map_or((0, 0), |sealed| (sealed.suite, sealed.padding));
        // encoding, cipher suite, compression (none), padding, flags (none)
        out.extend_from_slice(&[self.encoding.code(), suite, 0, padding, 0]);
        out.extend_from_slice(&self.hash);
        if let Some(sealed) = &self.sealed {
            if !sealed.is_known() {
                return Err(FormatError::Unsupported(SUITE));
            }
            out.extend_from_slice(&sealed.key_id);
            out.extend_from_slice(&sealed.key_commitment);
        }
        Ok(())
    }

    pub(crate) fn decode(input: &mut Cursor<'a>) -> Result<Self, FormatError> {
        let raw = RawRow::decode(input)?;
        Ok(Self {
            name: raw.name,
            stored_len: raw.stored_len,
            encoding: raw.encoding,
            hash: *raw.hash,
            sealed: raw.sealed.map(|sealed| SealedRow {
                suite: sealed.suite,
                padding: sealed.padding,
                key_id: *sealed.key_id,
                key_commitment: *sealed.key_commitment,
            }),
        })
    }
}

/// A row whose hashes stay where they stand: most readers of a table want none of them.
#[derive(Clone, Copy)]
pub(crate) struct RawRow<'a> {
    pub(crate) name: &'a str,
    pub(crate) stored_len: u32,
    encoding: Encoding,
    pub(crate) hash: &'a Digest,
    pub(crate) sealed: Option<RawSealed<'a>>,
}

#[derive(Clone, Copy)]
pub(crate) struct RawSealed<'a> {
    suite: u8,
    padding: u8,
    key_id: &'a [u8; 16],
    key_commitment: &'a Digest,
}

impl<'a> RawRow<'a> {
    // Always: see `Cursor::chunk`.
    #[inline(always)]
    fn decode(input: &mut Cursor<'a>) -> Result<Self, FormatError> {
        let name = decode_name(input, "section name")?;
        let stored_len = input.u32()?;
        let encoding = Encoding::from_code(input.u8()?)?;
        let suite = input.u8()?;
        let compression = input.u8()?;
        let padding = input.u8()?;
        let flags = input.u8()?;
        if compression != 0 || flags != 0 {
            return Err(FormatError::Unsupported(
                "compression or flags of a section",
            ));
        }
        // Of another suite it isn't known what follows.
        if suite > MAX_SUITE {
            return Err(FormatError::Unsupported(SUITE));
        }
        let hash = input.chunk()?;
        let sealed = match suite {
            // Padding is inside of what is encrypted, so a plain section has none.
            0 if padding == 0 => None,
            0 => return Err(FormatError::Invalid(SUITE)),
            _ => {
                let key_id = input.chunk()?;
                let key_commitment = input.chunk()?;
                if !is_known(suite, padding) {
                    return Err(FormatError::Unsupported(SUITE));
                }
                Some(RawSealed {
                    suite,
                    padding,
                    key_id,
                    key_commitment,
                })
            }
        };
        Ok(Self {
            name,
            stored_len,
            encoding,
            hash,
            sealed,
        })
    }
}

/// The section table as it stands in encoded facts; decoded row by row, without allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SectionRows<'a> {
    encoded: &'a [u8],
    count: u8,
    /// Bytes of all salts, nonces and sections together; within the limit of a payload.
    payload_len: u32,
}

impl<'a> SectionRows<'a> {
    /// Checks every row, that no two share a name, and the length of the payload.
    // Always: see `Cursor::chunk`.
    #[inline(always)]
    pub(crate) fn decode(input: &mut Cursor<'a>) -> Result<Self, FormatError> {
        let count = input.u8()?;
        if usize::from(count) > MAX_SECTIONS {
            return Err(FormatError::Limit {
                what: "sections",
                limit: MAX_SECTIONS as u64,
            });
        }
        let start = input.rest();
        let mut names = [""; MAX_SECTIONS];
        let (mut stored_len, mut secrets) = (0u64, 0u32);
        // Most events have one section, whose name is not compared with any.
        let many = count > 1;
        for index in 0..usize::from(count) {
            let row = RawRow::decode(input)?;
            stored_len += u64::from(row.stored_len);
            secrets += secret_len(row.sealed.is_some()) as u32;
            if !many {
                continue;
            }
            if names.iter().take(index).any(|name| *name == row.name) {
                return Err(FormatError::Invalid("two sections of one name"));
            }
            if let Some(name) = names.get_mut(index) {
                *name = row.name;
            }
        }
        check_payload_len([stored_len])?;
        let used = start.len() - input.rest().len();
        let encoded = start.get(..used).unwrap_or_default();
        Ok(Self {
            encoded,
            count,
            payload_len: secrets + stored_len as u32,
        })
    }

    /// Bytes of all salts, nonces and sections together, erased ones included.
    pub(crate) fn payload_len(&self) -> usize {
        self.payload_len as usize
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

    /// The rows in order, as they stand.
    pub(crate) fn raw(&self) -> impl Iterator<Item = RawRow<'a>> + use<'a> {
        let mut input = Cursor::new(self.encoded, "section table");
        std::iter::from_fn(move || {
            if input.rest().is_empty() {
                return None;
            }
            RawRow::decode(&mut input).ok()
        })
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
