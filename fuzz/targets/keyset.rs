#![no_main]

#[path = "../../crates/keys/tests/keys/canonical.rs"]
mod canonical;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    canonical::keyset(data);
});
