#![no_main]

use factlog_proof::{TlogProof, UnsignedProof};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let signed = TlogProof::parse(data);
    let unsigned = UnsignedProof::parse(data);
    assert!(
        signed.is_err() || unsigned.is_err(),
        "the first line tells them apart"
    );
    if let Ok(proof) = signed {
        assert_eq!(proof.to_string().as_bytes(), data);
    }
    if let Ok(proof) = unsigned {
        assert_eq!(proof.to_string().as_bytes(), data);
    }
});
