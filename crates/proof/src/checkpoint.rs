//! Checkpoints (C2SP tlog-checkpoint): a log's name, size and root as a signed note.

use std::fmt;

use crate::{
    CheckpointError, Hash, NoteSignature, Policy, SignedNote, SigningKey, VerifierKey, empty_root,
    text,
};

/// The state of a log: origin, number of leaves and root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    origin: String,
    size: u64,
    root: Hash,
}

impl Checkpoint {
    /// A checkpoint from its parts.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Origin`] if the origin can't name a key: not empty, at most 255 bytes, no
    /// Unicode space, `+` or control character (C2SP only recommends this; here the log's key is
    /// named like its origin); [`CheckpointError::EmptyRoot`] if `size` is 0 and `root` is not the
    /// root of nothing.
    pub fn new(origin: &str, size: u64, root: Hash) -> Result<Self, CheckpointError> {
        if !text::is_name(origin) {
            return Err(CheckpointError::Origin);
        }
        if size == 0 && root != empty_root() {
            return Err(CheckpointError::EmptyRoot);
        }
        Ok(Self {
            origin: origin.to_owned(),
            size,
            root,
        })
    }

    /// Reads the note text: three lines, each with its line feed.
    ///
    /// C2SP allows extension lines after the root, as a log's choice that monitors can't audit. A
    /// journal never writes them, and no code here would act on them, so they are refused.
    ///
    /// # Errors
    ///
    /// [`CheckpointError`], but none that is about signatures.
    pub fn parse(text: &str) -> Result<Self, CheckpointError> {
        let lines = text.strip_suffix('\n').ok_or(CheckpointError::Malformed)?;
        let mut lines = lines.split('\n');
        let mut line = || lines.next().ok_or(CheckpointError::Malformed);
        let origin = line()?;
        let size = text::decode_decimal(line()?).ok_or(CheckpointError::Malformed)?;
        let root = Hash::from_base64(line()?).ok_or(CheckpointError::Malformed)?;
        match lines.next() {
            None => Self::new(origin, size, root),
            Some("") => Err(CheckpointError::Malformed),
            Some(_) => Err(CheckpointError::ExtensionLines),
        }
    }

    /// The log's name.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The number of leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The root of the tree of [`size`](Self::size) leaves.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.root
    }

    /// Signs the checkpoint with the log's key.
    ///
    /// Whether it may be signed at all, being consistent with all that was signed before, is for the
    /// caller to know.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::OriginMismatch`] if the key is named otherwise than the origin.
    pub fn sign(&self, key: &SigningKey) -> Result<SignedCheckpoint, CheckpointError> {
        let verifier = key.verifier();
        if verifier.name() != self.origin {
            return Err(CheckpointError::OriginMismatch);
        }
        let bytes = key.sign(self.to_string().as_bytes()).to_vec();
        let signature = NoteSignature::new(verifier.name(), verifier.key_id(), bytes)?;
        SignedCheckpoint::new(self.clone(), vec![signature])
    }
}

impl fmt::Display for Checkpoint {
    /// The note text, final line feed included: what is signed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.origin, self.size, self.root)
    }
}

/// A checkpoint with signatures, verified or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedCheckpoint {
    checkpoint: Checkpoint,
    /// Its text is the checkpoint's.
    note: SignedNote,
}

impl SignedCheckpoint {
    /// A checkpoint with signatures made elsewhere, such as stored ones.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Note`] if there are none, too many or too large ones.
    pub fn new(
        checkpoint: Checkpoint,
        signatures: Vec<NoteSignature>,
    ) -> Result<Self, CheckpointError> {
        let note = SignedNote::new(checkpoint.to_string(), signatures)?;
        Ok(Self { checkpoint, note })
    }

    /// Reads a signed checkpoint. Takes one spelling only.
    ///
    /// # Errors
    ///
    /// [`CheckpointError`], but none that is about a signature's validity.
    pub fn parse(note: &[u8]) -> Result<Self, CheckpointError> {
        let note = SignedNote::parse(note)?;
        let checkpoint = Checkpoint::parse(note.text())?;
        Ok(Self { checkpoint, note })
    }

    /// What the text says, verified or not.
    #[must_use]
    pub fn claimed(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The signatures, verified or not.
    #[must_use]
    pub fn signatures(&self) -> &[NoteSignature] {
        self.note.signatures()
    }

    /// The length of what `Display` writes.
    pub(crate) fn encoded_len(&self) -> usize {
        self.note.encoded_len()
    }

    /// Checks that the log whose key this is signed the checkpoint, and gives it.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::OriginMismatch`] if the key is named otherwise than the origin,
    /// [`CheckpointError::Note`] if its signature is missing, repeated or does not verify.
    pub fn verify(&self, key: &VerifierKey) -> Result<&Checkpoint, CheckpointError> {
        if key.name() != self.checkpoint.origin {
            return Err(CheckpointError::OriginMismatch);
        }
        self.note.verify(std::slice::from_ref(key))?;
        Ok(&self.checkpoint)
    }

    /// Checks the signatures against a policy, and gives the checkpoint and the log's keys that
    /// signed it: at least one, each named like the origin.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Note`] if a signature by a key of the policy is repeated or does not
    /// verify, or none is by such a key; [`CheckpointError::NotSignedByLog`] if only keys of other
    /// names signed.
    pub fn verify_by<'p>(
        &self,
        policy: &'p Policy,
    ) -> Result<(&Checkpoint, Vec<&'p VerifierKey>), CheckpointError> {
        let mut signers = policy.signers(&self.note)?;
        signers.retain(|key| key.name() == self.checkpoint.origin);
        if signers.is_empty() {
            return Err(CheckpointError::NotSignedByLog);
        }
        Ok((&self.checkpoint, signers))
    }
}

impl fmt::Display for SignedCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.note.fmt(f)
    }
}
