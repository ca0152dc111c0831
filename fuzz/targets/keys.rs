#![no_main]

use factlog_proof::{SigningKey, VerifierKey};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    if let Ok(key) = VerifierKey::parse(text) {
        assert_eq!(key.to_string(), text);
    }
    if let Ok(key) = SigningKey::from_text(text) {
        assert_eq!(*key.to_text(), text);
        assert!(key.verifier().verifies(b"message", &key.sign(b"message")));
    }
});
