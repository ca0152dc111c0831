//! Measures factlog beside what the machine can do at most. Run by `cargo xtask bench [NAME]`.
#![forbid(unsafe_code)]

mod append;
mod import;
mod report;

use std::path::PathBuf;

use anyhow::{Context, bail};

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args_os().skip(1);
    let command = PathBuf::from(arguments.next().context("the path of the factlog command")?);
    let name = arguments.next().map(|name| name.to_string_lossy().into_owned());
    let scratch = tempfile::tempdir_in(".")?;
    let mut report = report::Report::default();
    match name.as_deref() {
        None => {
            append::run(scratch.path(), &mut report)?;
            import::run(&command, scratch.path(), &mut report)?;
        }
        Some("append") => append::run(scratch.path(), &mut report)?,
        Some("import") => import::run(&command, scratch.path(), &mut report)?,
        Some(other) => bail!("there is no benchmark {other}; there are append and import"),
    }
    print!("{report}");
    Ok(())
}
