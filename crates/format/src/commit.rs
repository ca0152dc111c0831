use crate::{
    CrcSeed, Digest, FormatError, FrameType, GroupKey, MAX_EVENTS, MAX_GENERATION,
    MAX_HEADER_SIGNATURES, MAX_SIGNATURE_LEN, cursor::Cursor, limits::MIN_EVENT_FRAME_LEN,
    seal_frame, write_frame,
};

const CHECK_LEN: usize = 16;

/// One signature of the previous commit's checkpoint, as a commit header carries it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderSignature {
    /// C2SP signature type; 0x01 is Ed25519.
    pub kind: u8,
    /// C2SP key id of the signer.
    pub key_id: [u8; 4],
    /// The signature's bytes.
    pub bytes: Vec<u8>,
}

/// The first frame of a group: which events it makes durable together, and what is known to be
/// durable before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitHeader {
    /// Number of the commit, dense from 1; 0 only in a compacted segment.
    pub number: u64,
    /// Which writer session made it.
    pub incarnation: u32,
    /// How many events the group holds; 0 in an empty commit.
    pub count: u32,
    /// Sequence of its first event, or that of the next event in an empty commit.
    pub first_sequence: u64,
    /// Length of the frames that follow and belong to the group, in bytes: a multiple of 8.
    pub frames_len: u32,
    /// How many events are known to be durable: all with a sequence below this. At most
    /// `first_sequence`; in a compacted segment all of the group's and maybe later ones.
    pub durable: u64,
    /// The clock's raw reading, in microseconds since 1970-01-01 UTC.
    pub raw_clock: i64,
    /// Root of the Merkle tree after the group.
    pub root: Digest,
    /// Signatures of the previous commit's checkpoint: the tree of `first_sequence` leaves. None in a
    /// compacted segment.
    pub signatures: Vec<HeaderSignature>,
    /// Keyed hash over the CRCs of the group's frames; see [`GroupKey::frames_check`].
    pub frames_check: [u8; CHECK_LEN],
}

impl CommitHeader {
    /// Appends the whole frame, header check and CRC included.
    ///
    /// # Errors
    /// [`FormatError::Limit`] for more or longer signatures than the format allows,
    /// [`FormatError::Invalid`] for fields that contradict each other; `out` is then as before.
    pub fn write(
        &self,
        seed: CrcSeed,
        key: &GroupKey,
        out: &mut Vec<u8>,
    ) -> Result<(), FormatError> {
        let start = write_frame(FrameType::Commit, out, |out| {
            let body_start = out.len();
            self.encode_fields(out)?;
            let check = key.header_check(out.get(body_start..).unwrap_or_default());
            out.extend_from_slice(&check);
            Ok(())
        })?;
        if let Some(frame) = out.get_mut(start..) {
            seal_frame(seed, frame);
        }
        Ok(())
    }

    fn encode_fields(&self, out: &mut Vec<u8>) -> Result<(), FormatError> {
        self.check()?;
        out.extend_from_slice(&self.number.to_le_bytes());
        out.extend_from_slice(&self.incarnation.to_le_bytes());
        out.extend_from_slice(&self.count.to_le_bytes());
        out.extend_from_slice(&self.first_sequence.to_le_bytes());
        out.extend_from_slice(&self.frames_len.to_le_bytes());
        out.extend_from_slice(&(self.signatures.len() as u16).to_le_bytes());
        out.extend_from_slice(&[0; 2]);
        out.extend_from_slice(&self.durable.to_le_bytes());
        out.extend_from_slice(&self.raw_clock.to_le_bytes());
        out.extend_from_slice(&self.root);
        for signature in &self.signatures {
            out.push(signature.kind);
            out.extend_from_slice(&signature.key_id);
            out.extend_from_slice(&(signature.bytes.len() as u16).to_le_bytes());
            out.extend_from_slice(&signature.bytes);
        }
        out.extend_from_slice(&self.frames_check);
        Ok(())
    }

    /// Reads the body of a frame of type [`FrameType::Commit`] and checks its header check.
    ///
    /// What it returns is the writer's own statement, so its `durable` and its signatures count even
    /// where the group itself is torn.
    ///
    /// # Errors
    /// [`FormatError::Checksum`] if the header check fails; another variant for anything that
    /// [`write`](Self::write) would not have written.
    pub fn decode(key: &GroupKey, body: &[u8]) -> Result<Self, FormatError> {
        let fields_len = body.len().checked_sub(CHECK_LEN);
        let Some((fields, check)) = fields_len.and_then(|len| body.split_at_checked(len)) else {
            return Err(FormatError::Truncated("commit header"));
        };
        if key.header_check(fields) != check {
            return Err(FormatError::Checksum("commit header"));
        }
        Self::decode_fields(fields)
    }

    fn decode_fields(fields: &[u8]) -> Result<Self, FormatError> {
        let mut input = Cursor::new(fields, "commit header");
        let number = input.u64()?;
        let incarnation = input.u32()?;
        let count = input.u32()?;
        let first_sequence = input.u64()?;
        let frames_len = input.u32()?;
        let signature_count = usize::from(input.u16()?);
        input.zeros(2)?;
        let durable = input.u64()?;
        let raw_clock = input.i64()?;
        let root = input.array()?;
        if signature_count > MAX_HEADER_SIGNATURES {
            let limit = MAX_HEADER_SIGNATURES as u64;
            return Err(FormatError::Limit {
                what: "signatures of a commit",
                limit,
            });
        }
        let mut signatures = Vec::new();
        for _ in 0..signature_count {
            let kind = input.u8()?;
            let key_id = input.array()?;
            let len = usize::from(input.u16()?);
            if len > MAX_SIGNATURE_LEN {
                let limit = MAX_SIGNATURE_LEN as u64;
                return Err(FormatError::Limit {
                    what: "signature of a commit",
                    limit,
                });
            }
            signatures.push(HeaderSignature {
                kind,
                key_id,
                bytes: input.take(len)?.to_vec(),
            });
        }
        let frames_check = input.array()?;
        input.finish()?;
        let header = Self {
            number,
            incarnation,
            count,
            first_sequence,
            frames_len,
            durable,
            raw_clock,
            root,
            signatures,
            frames_check,
        };
        header.check()?;
        Ok(header)
    }

    /// What writing and reading refuse alike.
    fn check(&self) -> Result<(), FormatError> {
        if self.signatures.len() > MAX_HEADER_SIGNATURES {
            let limit = MAX_HEADER_SIGNATURES as u64;
            return Err(FormatError::Limit {
                what: "signatures of a commit",
                limit,
            });
        }
        for signature in &self.signatures {
            if signature.bytes.len() > MAX_SIGNATURE_LEN {
                let limit = MAX_SIGNATURE_LEN as u64;
                return Err(FormatError::Limit {
                    what: "signature of a commit",
                    limit,
                });
            }
        }
        let end = self.first_sequence.saturating_add(u64::from(self.count));
        let counts_fit = end.max(self.number) <= MAX_EVENTS && self.incarnation <= MAX_GENERATION;
        let frames_len = u64::from(self.frames_len);
        let compacted = self.number == 0;
        // A group's own events are not durable before it is written; a compacted one is a copy of
        // what was, and nothing that must stay provable lives in its header.
        let durable_fits = if compacted {
            self.durable >= end && self.signatures.is_empty()
        } else {
            self.durable <= self.first_sequence
        };
        let frames_fit = frames_len >= u64::from(self.count) * MIN_EVENT_FRAME_LEN
            && (self.count == 0) == (frames_len == 0)
            && frames_len.is_multiple_of(8);
        let signed = self
            .signatures
            .iter()
            .all(|signature| !signature.bytes.is_empty());
        if counts_fit && durable_fits && frames_fit && signed {
            return Ok(());
        }
        Err(FormatError::Invalid("commit header"))
    }

    /// One past the sequence of the group's last event: the size of the tree after it.
    #[must_use]
    pub fn end_sequence(&self) -> u64 {
        self.first_sequence.saturating_add(u64::from(self.count))
    }
}
