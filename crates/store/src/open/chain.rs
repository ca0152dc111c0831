//! Verifying a journal before it is written, as far as its owner wants.

use std::sync::Arc;

use factlog_proof::Hash;

use crate::{
    ChainVerification, Damage, Error, Finding, Options, VerifyOptions, recover::Found,
    signer::Signer, verify,
};

/// Verifies what the options ask for, and gives size and root of what was found good; `None` if nothing was asked.
///
/// # Errors
/// The first thing wrong or unchecked that is about events, commits, segments, MANIFEST or signatures; what reading
/// comes to.
pub(crate) fn check_chain(
    options: &Options,
    found: &Found,
    signer: Option<&Signer>,
) -> Result<Option<(u64, Hash)>, Error> {
    let mark = match options.chain {
        ChainVerification::Tail => return Ok(None),
        ChainVerification::SinceLastVerified => signer.and_then(Signer::verified),
        ChainVerification::Full => None,
    };
    let mut wanted = VerifyOptions::new()
        .file_system(Arc::clone(&options.fs))
        .internal(true)
        .mark(mark);
    if let Some(key) = &found.key {
        wanted = wanted.key(key.clone());
    }
    for checkpoint in &options.evidence {
        wanted = wanted.checkpoint(checkpoint.clone());
    }
    let report = verify(&found.layout.dir, &wanted)?;
    let mut unsound = report.findings.into_iter().chain(report.unchecked);
    match unsound.find(counts) {
        Some(finding) => Err(Damage {
            code: finding.code,
            path: finding.path,
            offset: finding.offset,
            sequence: finding.sequence,
            detail: finding.detail,
        }
        .into()),
        None => Ok(Some((report.events, report.root))),
    }
}

/// Derived files vouch for no event, and a stranger's file harms none: a verification names them.
fn counts(finding: &Finding) -> bool {
    !finding.code.starts_with("derived.") && finding.code != "journal.unknown_file"
}
