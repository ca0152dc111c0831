mod display;
mod property;
mod rules;
mod thing;

use factlog_format::Encoding;

/// The encodings of values.
const ENCODINGS: [Encoding; 3] = [Encoding::Json, Encoding::MessagePack, Encoding::Cbor];
