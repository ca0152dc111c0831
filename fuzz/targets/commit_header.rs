#![no_main]

#[path = "../../crates/format/tests/format/canonical.rs"]
#[expect(dead_code, reason = "each target uses one of the shared properties")]
mod canonical;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    canonical::commit_header(data);
});
