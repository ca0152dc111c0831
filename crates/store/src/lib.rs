//! An embedded, append-only event store with hash-chained, signed receipts
