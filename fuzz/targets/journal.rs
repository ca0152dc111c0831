#![no_main]

#[path = "../../crates/store/tests/anything/mod.rs"]
mod anything;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    anything::open_it(data);
});
