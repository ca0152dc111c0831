/// The most payload bytes that one event stores, all its sections together, salts and nonces not
/// counted (16 MiB). A store may allow less.
pub const MAX_PAYLOAD_LEN: usize = 16 << 20;
/// The longest name (entity, scope, kind, tag, actor, section), in bytes of UTF-8.
pub const MAX_NAME_LEN: usize = 255;
/// The most tags that one event carries.
pub const MAX_TAGS: usize = 32;
/// The most payload sections that one event carries.
pub const MAX_SECTIONS: usize = 16;
/// The longest encoding of an event's facts, in bytes (32 KiB).
pub const MAX_FACTS_LEN: usize = 32 << 10;
/// The most events in one batch. The writer keeps it; a group of a compacted segment holds more.
pub const MAX_BATCH_EVENTS: usize = 65_536;
/// The most bytes in one batch, frames included (64 MiB). The writer keeps it.
pub const MAX_BATCH_BYTES: usize = 64 << 20;
/// The default size at which a segment is sealed, in bytes (64 MiB).
pub const DEFAULT_SEGMENT_LEN: u64 = 64 << 20;
/// No segment file is longer, so that an offset fits in 32 bits.
pub const MAX_SEGMENT_LEN: u64 = u32::MAX as u64;
/// The most events of one journal: what counts on from a number that was read never overflows, and an index
/// has a bit to spare.
pub const MAX_EVENTS: u64 = 1 << 63;
/// The highest generation of a segment, and incarnation of a writer session, that is read: what counts on from
/// it never overflows.
pub const MAX_GENERATION: u32 = u32::MAX - (1 << 16);
/// The longest MANIFEST, in bytes (256 MiB): some 2,800,000 segments.
pub const MAX_MANIFEST_LEN: usize = 256 << 20;
/// The longest signature that a commit header carries, in bytes (ML-DSA-44 fits).
pub const MAX_SIGNATURE_LEN: usize = 2_420;
/// The most signatures that a commit header carries.
pub const MAX_HEADER_SIGNATURES: usize = 16;
/// The shortest frame that stands for an event: a full stub.
pub(crate) const MIN_EVENT_FRAME_LEN: u64 = 136;
/// The longest header of a segment, in bytes (1 MiB): some 65,000 inputs.
pub const MAX_SEGMENT_HEADER_LEN: usize = 1 << 20;
/// The longest body of any frame: a payload of the largest size with its facts and framing.
pub const MAX_FRAME_BODY: usize = MAX_PAYLOAD_LEN + MAX_FACTS_LEN + 1024;

// The largest event that the other limits allow fits a frame, and lengths fit their fields.
const _: () = assert!(MAX_FRAME_BODY >= MAX_PAYLOAD_LEN + MAX_FACTS_LEN + 104 + 24 * MAX_SECTIONS);
const _: () = assert!(MAX_FACTS_LEN <= u16::MAX as usize);
const _: () = assert!(MAX_SECTIONS <= u16::BITS as usize);
const _: () = assert!(MAX_NAME_LEN <= u8::MAX as usize);
const _: () = assert!(MAX_TAGS <= u8::MAX as usize);
const _: () = assert!(MAX_SIGNATURE_LEN <= u16::MAX as usize);
