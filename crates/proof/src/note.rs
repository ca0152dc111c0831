//! Signed notes (C2SP signed-note): a text and signature lines.

use std::fmt;

use data_encoding::BASE64;

use crate::{NoteError, VerifierKey, text};

/// Notes are at most this many bytes.
const MAX_NOTE: usize = 64 << 10;
const MAX_SIGNATURES: usize = 100;
const LINE_START: &str = "\u{2014} ";

/// One signature of a note: by whom, and the bytes.
///
/// The bytes mean what the signer's key type says: 64 for Ed25519, up to 2,428 for a timestamped
/// ML-DSA-44 cosignature. Any length is kept.
#[derive(Clone, PartialEq, Eq)]
pub struct NoteSignature {
    name: String,
    key_id: [u8; 4],
    bytes: Vec<u8>,
}

impl NoteSignature {
    /// A signature of the key `name` with this id; `bytes` is what follows the key id on the line.
    ///
    /// # Errors
    ///
    /// [`NoteError::SignatureLine`] if `name` can't name a key or `bytes` is empty.
    pub fn new(name: &str, key_id: [u8; 4], bytes: Vec<u8>) -> Result<Self, NoteError> {
        if !text::is_name(name) || bytes.is_empty() {
            return Err(NoteError::SignatureLine);
        }
        Ok(Self {
            name: name.to_owned(),
            key_id,
            bytes,
        })
    }

    /// The name of the key.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The id of the key.
    #[must_use]
    pub fn key_id(&self) -> [u8; 4] {
        self.key_id
    }

    /// What follows the key id.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Reads one line, without its line feed.
    fn parse(line: &str) -> Result<Self, NoteError> {
        let (name, signature) = line
            .strip_prefix(LINE_START)
            .and_then(|rest| rest.split_once(' '))
            .ok_or(NoteError::SignatureLine)?;
        let signature = text::decode_base64(signature).ok_or(NoteError::SignatureLine)?;
        let (key_id, bytes) = signature
            .split_first_chunk::<4>()
            .ok_or(NoteError::SignatureLine)?;
        Self::new(name, *key_id, bytes.to_vec())
    }

    fn is_by(&self, key: &VerifierKey) -> bool {
        self.key_id == key.key_id() && self.name == key.name()
    }
}

impl fmt::Display for NoteSignature {
    /// The signature line, without its line feed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut signature = self.key_id.to_vec();
        signature.extend(&self.bytes);
        write!(f, "{LINE_START}{} {}", self.name, BASE64.encode(&signature))
    }
}

impl fmt::Debug for NoteSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NoteSignature({self})")
    }
}

/// A text with signatures (C2SP signed-note), in its one spelling.
///
/// At most 64 KiB and 100 signatures. Having one says nothing about the signatures: see
/// [`verify`](Self::verify).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedNote {
    text: String,
    signatures: Vec<NoteSignature>,
}

impl SignedNote {
    /// A note from its parts. `text` ends in a line feed.
    ///
    /// # Errors
    ///
    /// [`NoteError`] if the note could not be parsed again.
    pub fn new(text: String, signatures: Vec<NoteSignature>) -> Result<Self, NoteError> {
        if !text.ends_with('\n') || signatures.is_empty() {
            return Err(NoteError::Malformed);
        }
        if !has_only_note_characters(&text) {
            return Err(NoteError::Characters);
        }
        if signatures.len() > MAX_SIGNATURES {
            return Err(NoteError::TooManySignatures);
        }
        let note = Self { text, signatures };
        if note.encoded_len() > MAX_NOTE {
            return Err(NoteError::TooLarge);
        }
        Ok(note)
    }

    /// Reads a note. Takes one spelling only.
    ///
    /// # Errors
    ///
    /// [`NoteError`], but none that is about a signature's validity.
    pub fn parse(note: &[u8]) -> Result<Self, NoteError> {
        if note.len() > MAX_NOTE {
            return Err(NoteError::TooLarge);
        }
        let note = std::str::from_utf8(note).map_err(|_| NoteError::Characters)?;
        if !has_only_note_characters(note) {
            return Err(NoteError::Characters);
        }
        let lines = note.strip_suffix('\n').ok_or(NoteError::Malformed)?;
        // The text may have blank lines of its own; the last one separates.
        let (text, lines) = lines.rsplit_once("\n\n").ok_or(NoteError::Malformed)?;
        let mut signatures = Vec::new();
        for line in lines.split('\n') {
            if signatures.len() == MAX_SIGNATURES {
                return Err(NoteError::TooManySignatures);
            }
            signatures.push(NoteSignature::parse(line)?);
        }
        Self::new(format!("{text}\n"), signatures)
    }

    /// The text, final line feed included. Worth nothing before [`verify`](Self::verify).
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The signatures, in their order, verified or not.
    #[must_use]
    pub fn signatures(&self) -> &[NoteSignature] {
        &self.signatures
    }

    /// Checks every signature that names one of `keys` (by name and key id), and says which keys
    /// have signed, in the order of the signatures. Signatures of other keys are ignored, as C2SP
    /// demands.
    ///
    /// # Errors
    ///
    /// [`NoteError::BadSignature`] if one by a known key does not verify, whatever the others do;
    /// [`NoteError::DuplicateSignature`] if a known key signed twice, which C2SP leaves open and
    /// nothing needs; [`NoteError::NoKnownSignature`] if no signature is by a known key.
    pub fn verify<'k>(&self, keys: &'k [VerifierKey]) -> Result<Vec<&'k VerifierKey>, NoteError> {
        let mut signers: Vec<&VerifierKey> = Vec::new();
        for signature in &self.signatures {
            let mut known = keys.iter().filter(|key| signature.is_by(key)).peekable();
            if known.peek().is_none() {
                continue;
            }
            let Some(key) = known.find(|key| key.verifies(self.text.as_bytes(), signature.bytes()))
            else {
                return Err(NoteError::BadSignature {
                    name: signature.name.clone(),
                });
            };
            if signers.iter().any(|signer| signature.is_by(signer)) {
                return Err(NoteError::DuplicateSignature {
                    name: signature.name.clone(),
                });
            }
            signers.push(key);
        }
        if signers.is_empty() {
            return Err(NoteError::NoKnownSignature);
        }
        Ok(signers)
    }

    pub(crate) fn encoded_len(&self) -> usize {
        let lines = self.signatures.iter().map(|signature| {
            let encoded = BASE64.encode_len(4 + signature.bytes.len());
            LINE_START.len() + signature.name.len() + 1 + encoded + 1
        });
        self.text.len() + 1 + lines.sum::<usize>()
    }
}

impl fmt::Display for SignedNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        for signature in &self.signatures {
            writeln!(f, "{signature}")?;
        }
        Ok(())
    }
}

fn has_only_note_characters(text: &str) -> bool {
    text.bytes().all(|byte| byte >= 0x20 || byte == b'\n')
}
