#![no_main]

use factlog_proof::SignedNote;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Ok(note) = SignedNote::parse(data) {
        assert_eq!(note.to_string().as_bytes(), data);
    }
});
