use factlog_fs::StoreFs;

use super::{directory::read_small, findings::Findings};
use crate::{Damage, Error, layout::Layout};

const SECRET_LEN: usize = 32;

/// Looks at the journal's secret. One that is missing is none: copies leave `keys/` out.
pub(super) fn check(
    fs: &dyn StoreFs,
    layout: &Layout,
    findings: &mut Findings,
) -> Result<(), Error> {
    let path = layout.secret();
    let code = "journal.secret";
    let Some(bytes) = read_small(fs, &path, SECRET_LEN, code, findings)? else {
        return Ok(());
    };
    if bytes.len() != SECRET_LEN {
        findings.wrong(Damage::new(
            code,
            &path,
            "the journal's secret is cut short",
        ));
    }
    let metadata = fs.metadata(&path).map_err(Error::io("examine", &path))?;
    if metadata.is_some_and(|metadata| !metadata.private) {
        let detail = "others than its owner may read the journal's secret";
        findings.note(Damage::new("journal.secret_exposed", &path, detail));
    }
    Ok(())
}
