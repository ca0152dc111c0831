//! What the derive says to who makes a mistake.

#![forbid(unsafe_code)]

#[test]
fn each_mistake_has_a_readable_message() {
    trybuild::TestCases::new().compile_fail("tests/mistakes/*.rs");
}
