//! Mistakes in the library's own logic, which the crash tests plant one at a time to show that they
//! are found.
//!
//! They exist in one build only: that of this crate's own unit tests. In every other [`planted`] is
//! constantly false, and nothing of them is left.

#[cfg(test)]
mod tests;

/// A mistake that a store could make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    not(feature = "encryption"),
    allow(dead_code, reason = "some are about keys")
)]
pub(crate) enum Bug {
    /// A key isn't on the disk before what it sealed.
    FenceSkipped,
    /// A keyset of before its recipients were changed is taken as it is.
    OlderAccepted,
    /// A crash in the middle of a shred forgets that recipients were to be replaced.
    WishForgotten,
    /// Who could open the keyset goes on knowing what the newest keys are wrapped under.
    BucketKeyKept,
    /// Keys that a killed process left in the system's memory are taken for durable.
    TailBelieved,
    /// So is a head of the keyset.
    HeadBelieved,
    /// After a failed flush the keys count as durable.
    DirtyMarkLost,
    /// The head points to images that aren't durable yet.
    RootBeforeBuckets,
    /// An event says that a shred is done before anything was destroyed.
    CompletedBeforeDestroyed,
    /// What a crash left of a shred is not finished.
    IntentNotFinished,
    /// A bucket that is written anew keeps the key that was to be destroyed.
    ImageKeepsDestroyed,
    /// A shred says that it is done and destroys nothing.
    NothingDestroyed,
    /// What is sealed under a key that is to be destroyed gets a place all the same.
    RetiredOrdered,
    /// A key is made in the place of one that was lost.
    LossNotNoticed,
    /// A log of keys is removed before the head points to what is to take its place.
    OldLogRemovedFirst,
    /// The end of the log of keys is not stated when a session ends.
    EndNotStated,
    /// A process goes on reading until it knows that the intent is durable.
    RetiredWhenDurable,
    /// What is ordered to be destroyed is called shredded before the event that demands it is durable.
    IntentBelieved,
    /// A long scan opens with a key that an event wants destroyed which came after it began.
    OldViewBelieved,
    /// A torn tail is taken for corruption.
    TornIsCorrupt,
    /// A commit header calls its own group durable.
    GroupCallsItselfDurable,
    /// So does the header of a group that recovery copies.
    CopyCallsItselfDurable,
    /// MANIFEST ends the old segment before the copied group is safe.
    OldEndBeforeCopy,
    /// The old segment is sealed with its torn bytes inside.
    SealedWithTear,
    /// A copied group is not put into the index.
    CopyNotIndexed,
    /// A copied group is not put into the tree.
    CopyNotInTree,
    /// An unproven group is believed where it stands, without a copy.
    UnprovenBelieved,
    /// An empty commit that nothing proves is believed.
    EmptyCommitBelieved,
    /// What a commit header beyond the damage calls durable is not looked for.
    StatementsIgnored,
    /// What MANIFEST calls proven is not compared with what is there.
    ProvenEndIgnored,
    /// What signer and kept checkpoints remember is not compared with what is there.
    MemoryIgnored,
    /// A read that fails counts as the end of what was written.
    ReadErrorIsEnd,
    /// Appends go on behind the torn bytes, in the same segment.
    AppendBehindTear,
    /// A generation is used again after a crash left a file of it.
    GenerationReused,
    /// Commits are numbered from one again after a roll and a crash.
    NumbersRestart,
    /// The first groups of a new segment are written before MANIFEST names it.
    RollUnnamed,
    /// JOURNAL is written before the first event is.
    JournalFirst,
    /// A signature is remembered as released before its group is synced.
    SignedTooEarly,
    /// A signer elsewhere is asked for what is not synced yet.
    AskedTooEarly,
    /// A sync that failed is tried again and then believed.
    SyncRetried,
    /// A writer goes on after a failed write.
    PoisonedGoesOn,
    /// A close after a failed write records a clean end.
    PoisonedCloses,
    /// A recorded time falls when the clock steps back.
    TimeFalls,
    /// A condition is not compared with the events that came after it was looked up.
    BoundaryNotCompared,
    /// An answer that rests on an event is given before that event is durable.
    AnswerTooEarly,
    /// Those who wait for a group are not told that it has ended.
    LostWakeup,
    /// A stream's head that was looked up is trusted over one ordered since.
    StaleHead,
    /// Runs of the index are removed before the one they were merged into is durable.
    InputsRemovedFirst,
    /// A tree that is ahead of the log is believed.
    DerivedAheadBelieved,
    /// The checks of a commit header are keyed with what the author of a payload knows.
    PayloadHeaderBelieved,
    /// Sectors of one commit that reached the disk out of order are called corruption.
    OutOfOrderIsCorrupt,
    /// The last event of a segment is left out when it is compacted.
    SurvivorLost,
    /// A compacted segment isn't synced before MANIFEST names it.
    CompactedUnsynced,
    /// MANIFEST isn't told of a compacted segment, and what it replaces is removed.
    CompactedUnnamed,
    /// What a compacted segment replaces is removed before MANIFEST names it.
    InputsRemovedEarly,
    /// Segments that MANIFEST doesn't name any more are removed before that MANIFEST is on the disk.
    OrphansRemovedEarly,
    /// An erasure that a session left undone is not known to the next.
    ErasureForgotten,
    /// Events are stubs before the event that orders it is durable.
    StubsBeforeOrder,
    /// An erasure is said to be completed before anything was taken.
    ErasedTooEarly,
    /// What stands in the segment that is being written is not taken.
    ActiveKept,
    /// What a recovery set aside is not taken.
    SetAsideKept,
    /// MANIFEST isn't told of an erasure before it is ordered.
    ErasureUntold,
    /// The event behind one that is taken is taken along.
    NeighbourErased,
    /// A stub keeps the bytes that were taken.
    StubKeepsBytes,
    /// The ids of full stubs stay those of events that are known.
    IdsKept,
    /// A stream of which nothing tells any more stays that of its scope and entity.
    HeadsKept,
    /// A stream is found by its first event alone.
    BeginningGone,
}

/// Whether a mistake is planted.
#[cfg(not(test))]
pub(crate) const fn planted(_: Bug) -> bool {
    false
}

#[cfg(test)]
thread_local! {
    static PLANTED: std::cell::Cell<Option<Bug>> = const { std::cell::Cell::new(None) };
}

/// Whether a mistake is planted, on this thread.
#[cfg(test)]
pub(crate) fn planted(bug: Bug) -> bool {
    PLANTED.get() == Some(bug)
}

/// Does something with a mistake planted in whatever this thread does.
#[cfg(test)]
pub(crate) fn with<T>(bug: Bug, work: impl FnOnce() -> T) -> T {
    PLANTED.set(Some(bug));
    let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
    PLANTED.set(None);
    done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
