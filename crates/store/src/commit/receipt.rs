use std::sync::Arc;

use factlog_format::{
    Digest, EventFrame, EventRecord, FRAME_HEADER_LEN, Frame, FrameType, JournalId, Ordering,
    StreamId,
};
use factlog_proof::{SignedCheckpoint, Span, TlogProof};
use uuid::Uuid;

use super::batch::Batch;
use crate::{Error, Misuse, read::Shared};

/// What all receipts of one group share.
#[derive(Debug)]
pub(crate) struct GroupProof {
    pub(crate) span: Span,
    pub(crate) signed: Option<Arc<SignedCheckpoint>>,
}

/// Where a receipt's proof comes from.
#[derive(Clone)]
enum Proof {
    /// The event was appended by this call: its frame and its group are in memory.
    Appended {
        group: Arc<GroupProof>,
        batch: Arc<Batch>,
        index: usize,
    },
    /// The event was there before: its proof is read from the journal when it is asked for.
    Stored {
        record: Arc<EventRecord>,
        shared: Arc<Shared>,
    },
}

/// What an acknowledged append returns: the event is durable, and this proves it.
///
/// It holds what a proof needs and makes its text only when asked.
#[derive(Clone)]
pub struct Receipt {
    journal: JournalId,
    event_id: Uuid,
    order: Ordering,
    hash: Digest,
    proof: Proof,
}

/// The receipts of an atomic batch.
#[derive(Clone, Debug)]
pub struct BatchReceipt {
    pub(crate) receipts: Receipts,
}

#[derive(Clone, Debug)]
pub(crate) enum Receipts {
    Appended {
        journal: JournalId,
        group: Arc<GroupProof>,
        batch: Arc<Batch>,
    },
    Stored {
        receipts: Vec<Receipt>,
        compared: bool,
    },
}

impl BatchReceipt {
    /// How many events the batch had.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a batch is never empty")]
    pub fn len(&self) -> usize {
        match &self.receipts {
            Receipts::Appended { batch, .. } => batch.events.len(),
            Receipts::Stored { receipts, .. } => receipts.len(),
        }
    }

    /// The receipt of the batch's event at `index`, from 0.
    #[must_use]
    pub fn receipt(&self, index: usize) -> Option<Receipt> {
        match &self.receipts {
            Receipts::Appended {
                journal,
                group,
                batch,
            } => Receipt::appended(journal, Arc::clone(group), Arc::clone(batch), index),
            Receipts::Stored { receipts, .. } => receipts.get(index).cloned(),
        }
    }

    /// The receipts in the order of the batch.
    pub fn iter(&self) -> impl Iterator<Item = Receipt> + '_ {
        (0..self.len()).filter_map(|index| self.receipt(index))
    }

    /// Sequence of the batch's first event. A repeated batch may stand elsewhere than in one run.
    #[must_use]
    pub fn first_sequence(&self) -> u64 {
        self.receipt(0).map_or(0, |receipt| receipt.sequence())
    }

    /// The signed checkpoint right behind the batch, if it was appended by this call.
    pub(crate) fn checkpoint(&self) -> Option<&SignedCheckpoint> {
        match &self.receipts {
            Receipts::Appended { group, .. } => group.signed.as_deref(),
            Receipts::Stored { .. } => None,
        }
    }

    /// Whether the batch was in the journal before: an idempotent repeat.
    #[must_use]
    pub fn already(&self) -> bool {
        matches!(self.receipts, Receipts::Stored { .. })
    }

    /// Whether a repeat is known to have the same payloads. `false` where a shred or an erasure has left
    /// nothing to compare with: then only the facts are known to agree.
    #[must_use]
    pub fn compared(&self) -> bool {
        !matches!(
            self.receipts,
            Receipts::Stored {
                compared: false,
                ..
            }
        )
    }
}

impl Receipt {
    fn appended(
        journal: &JournalId,
        group: Arc<GroupProof>,
        batch: Arc<Batch>,
        index: usize,
    ) -> Option<Self> {
        let event = batch.events.get(index)?;
        Some(Self {
            journal: *journal,
            event_id: Uuid::from_bytes(event.frame.event_id),
            order: event.place.order,
            hash: event.place.hash,
            proof: Proof::Appended {
                group,
                batch,
                index,
            },
        })
    }

    /// The receipt of an event that was there before.
    pub(crate) fn stored(event: &crate::Event, id: Uuid, shared: &Arc<Shared>) -> Self {
        let record = event.record();
        Self {
            journal: shared.identity.journal,
            event_id: id,
            order: Ordering {
                sequence: event.sequence(),
                revision: event.revision(),
                stream: event.stream_id(),
                recorded_at: event.recorded_at(),
                previous: event.previous_hash(),
                previous_sequence: event.previous_sequence(),
            },
            hash: record.event_hash(),
            proof: Proof::Stored {
                record: Arc::new(record),
                shared: Arc::clone(shared),
            },
        }
    }

    /// Place in the journal, dense from 0.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.order.sequence
    }

    /// Place in the stream, dense from 0.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.order.revision
    }

    /// The stream.
    #[must_use]
    pub fn stream_id(&self) -> StreamId {
        self.order.stream
    }

    /// The event's id.
    #[must_use]
    pub fn event_id(&self) -> Uuid {
        self.event_id
    }

    /// The event hash: the leaf data of the Merkle tree.
    #[must_use]
    pub fn event_hash(&self) -> Digest {
        self.hash
    }

    /// When the journal took the event, in microseconds since 1970-01-01 UTC.
    #[must_use]
    pub fn recorded_at(&self) -> i64 {
        self.order.recorded_at
    }

    /// Whether the event was in the journal before: an idempotent repeat.
    #[must_use]
    pub fn already(&self) -> bool {
        matches!(self.proof, Proof::Stored { .. })
    }

    /// Whether a signature covers it, so that [`text`](Self::text) can be made.
    #[must_use]
    pub fn is_signed(&self) -> bool {
        match &self.proof {
            Proof::Appended { group, .. } => group.signed.is_some(),
            Proof::Stored { shared, .. } => shared.is_signed_through(self.order.sequence),
        }
    }

    /// The receipt as a C2SP tlog-proof, which anyone can verify offline with the log's key.
    ///
    /// # Errors
    /// [`Misuse::Unsigned`] if the journal isn't signed. Of an event that was there before also what
    /// reading its proof comes to.
    pub fn text(&self) -> Result<String, Error> {
        match &self.proof {
            Proof::Stored { record, shared } => {
                let view = shared.view.load_full();
                shared.receipt_text(&view, record)
            }
            Proof::Appended { group, .. } => {
                let signed = group.signed.as_deref().ok_or(Misuse::Unsigned)?;
                let path = group
                    .span
                    .inclusion(self.order.sequence)
                    .ok_or(Misuse::Unsigned)?;
                proof_text(&self.record(), path, signed)
            }
        }
    }

    /// Spine and facts of the event, as the receipt carries them.
    #[must_use]
    pub fn record(&self) -> EventRecord {
        match &self.proof {
            Proof::Stored { record, .. } => EventRecord::clone(record),
            Proof::Appended { batch, index, .. } => {
                let record = decode(batch, *index).and_then(|frame| {
                    let spine = frame.spine(&self.journal);
                    EventRecord::with_facts(spine, frame.facts_salt, frame.facts_bytes.to_vec())
                        .ok()
                });
                // The batch was encoded by us, so that it decodes.
                record.unwrap_or_else(|| {
                    EventRecord::spine_only(self.order.spine(&self.journal, [0; 32]))
                })
            }
        }
    }
}

impl std::fmt::Debug for Receipt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Receipt")
            .field("sequence", &self.order.sequence)
            .field("revision", &self.order.revision)
            .field("event_id", &self.event_id)
            .field("already", &self.already())
            .finish_non_exhaustive()
    }
}

/// The text of a receipt over one signed checkpoint.
pub(crate) fn proof_text(
    record: &EventRecord,
    path: Vec<factlog_proof::Hash>,
    signed: &SignedCheckpoint,
) -> Result<String, Error> {
    let broken = |error: String| Error::from(Misuse::Receipt(error));
    // The first is that of the key that signs now. One that is being replaced has no say in receipts, and
    // who knows only one of the keys may want no other signature.
    let first = signed.signatures().first().cloned();
    let signed = SignedCheckpoint::new(signed.claimed().clone(), first.into_iter().collect());
    let signed = signed.map_err(|error| broken(error.to_string()))?;
    let index = record.spine().sequence;
    TlogProof::new(Some(record.encode()), index, path, signed)
        .map(|proof| proof.to_string())
        .map_err(|error| broken(error.to_string()))
}

pub(super) fn decode(batch: &Batch, index: usize) -> Option<EventFrame<'_>> {
    EventFrame::decode(FrameType::Event, body_of(batch, index)?).ok()
}

/// The body of an event's frame.
pub(super) fn body_of(batch: &Batch, index: usize) -> Option<&[u8]> {
    let frame = batch.events.get(index)?.frame;
    let bytes = batch.buffer.get(frame.start..frame.start + frame.len)?;
    debug_assert!(Frame::peek_len(bytes).is_ok_and(|len| len == frame.len));
    let body_len = u32::from_le_bytes(*bytes.first_chunk::<4>()?) as usize;
    bytes.get(FRAME_HEADER_LEN..FRAME_HEADER_LEN + body_len)
}
