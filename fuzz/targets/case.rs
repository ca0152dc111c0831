#![no_main]

use factlog_format::{CaseFile, CaseStatement};
use factlog_proof::{CaseTrust, CaseVerdict, verify_case};

// As the bytes are, and with the hash that a case file ends in made right.
libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    check(data);
    let mut sealed = data.to_vec();
    let mut hasher = blake3::Hasher::new_derive_key("factlog 1 case file");
    sealed.extend_from_slice(hasher.update(data).finalize().as_bytes());
    check(&sealed);
});

fn check(bytes: &[u8]) {
    // Without a key nothing is authentic.
    let report = verify_case(bytes, &CaseTrust::default());
    assert_ne!(report.overall(), CaseVerdict::Holds);
    let Ok(case) = CaseFile::decode(bytes) else {
        return;
    };
    assert_eq!(case.encode().as_deref(), Ok(bytes), "one case has one encoding");
    if let Ok(statement) = CaseStatement::decode(case.statement) {
        assert_eq!(statement.encode().as_deref(), Ok(case.statement));
    }
}
