use crate::{
    Digest, FactsRef, FormatError, SPINE_LEN, Spine, cursor::Cursor, event_hash, facts_hash,
};

const SPINE_AND_FACTS: u8 = 1;
const SPINE_ONLY: u8 = 2;

/// What a receipt says of its event, in the `extra` data of a tlog-proof: the spine, and the facts
/// with their salt where they are still there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRecord {
    spine: Spine,
    facts: Option<([u8; 16], Vec<u8>)>,
}

impl EventRecord {
    /// A record with facts (type 1).
    ///
    /// # Errors
    /// [`FormatError`] if the facts are not canonical or are not those that the spine commits to.
    pub fn with_facts(spine: Spine, salt: [u8; 16], facts: Vec<u8>) -> Result<Self, FormatError> {
        FactsRef::decode(&facts)?;
        if facts_hash(&salt, &facts) != spine.facts_hash {
            return Err(FormatError::Checksum("facts"));
        }
        Ok(Self {
            spine,
            facts: Some((salt, facts)),
        })
    }

    /// A record without facts (type 2).
    #[must_use]
    pub fn spine_only(spine: Spine) -> Self {
        Self { spine, facts: None }
    }

    /// The bytes for `extra`: a type byte, the spine, and for type 1 salt and facts.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(1 + SPINE_LEN + 16);
        out.push(if self.facts.is_some() {
            SPINE_AND_FACTS
        } else {
            SPINE_ONLY
        });
        out.extend_from_slice(&self.spine.encode());
        if let Some((salt, facts)) = &self.facts {
            out.extend_from_slice(salt);
            out.extend_from_slice(facts);
        }
        out
    }

    /// Reads a record and checks that the facts are those that the spine commits to.
    ///
    /// # Errors
    /// [`FormatError`] for anything that [`encode`](Self::encode) would not have written.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let mut input = Cursor::new(bytes, "event record");
        let kind = input.u8()?;
        let spine = Spine::decode(input.take(SPINE_LEN)?)?;
        match kind {
            SPINE_AND_FACTS => {
                let salt = input.array()?;
                Self::with_facts(spine, salt, input.rest().to_vec())
            }
            SPINE_ONLY => {
                input.finish()?;
                Ok(Self::spine_only(spine))
            }
            _ => Err(FormatError::Unsupported("event record type")),
        }
    }

    /// The spine.
    #[must_use]
    pub fn spine(&self) -> &Spine {
        &self.spine
    }

    /// The facts, if the record has them.
    #[must_use]
    pub fn facts(&self) -> Option<FactsRef<'_>> {
        // Checked when the record was made.
        self.facts
            .as_ref()
            .and_then(|(_, facts)| FactsRef::decode(facts).ok())
    }

    /// The salt of the facts and their bytes, if the record has them.
    #[must_use]
    pub fn salted_facts(&self) -> Option<(&[u8; 16], &[u8])> {
        self.facts
            .as_ref()
            .map(|(salt, facts)| (salt, facts.as_slice()))
    }

    /// The event hash: the leaf data of the Merkle tree.
    #[must_use]
    pub fn event_hash(&self) -> Digest {
        event_hash(&self.spine)
    }
}
