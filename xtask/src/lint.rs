//! `cargo xtask lint`.

use anyhow::Result;

use crate::run::{cargo, step, succeeds};

/// Everything that is judged without running it; warnings are errors.
pub(crate) fn run() -> Result<()> {
    step("format", &mut cargo(&["fmt", "--all", "--check"]))?;
    step(
        "clippy",
        &mut cargo(&[
            "clippy",
            "--workspace",
            "--all-targets",
            "--locked",
            "--",
            "-D",
            "warnings",
        ]),
    )?;
    let encryption = ["-p", "factlog", "--features", "factlog/encryption"];
    step(
        "clippy with encryption",
        cargo(&["clippy", "--all-targets", "--locked"])
            .args(encryption)
            .args(["--", "-D", "warnings"]),
    )?;
    // Libraries only: a program of the same name as a library would overwrite its pages.
    step(
        "docs",
        cargo(&["doc", "--workspace", "--lib", "--no-deps", "--locked"])
            .env("RUSTDOCFLAGS", "-D warnings"),
    )?;
    dependencies()
}

/// Bans, licences and sources always; advisories where their database can be reached.
fn dependencies() -> Result<()> {
    if !succeeds(&mut cargo(&["deny", "--version"])) {
        let install = &mut cargo(&["install", "cargo-deny", "--locked"]);
        if step("install cargo-deny", install).is_err() {
            println!("dependencies: not run (cargo-deny could not be installed)");
            return Ok(());
        }
    }
    step(
        "dependencies",
        &mut cargo(&["deny", "--locked", "check", "bans", "licenses", "sources"]),
    )?;
    if !succeeds(&mut cargo(&["deny", "fetch", "db"])) {
        println!("advisories: not run (database not reachable)");
        return Ok(());
    }
    step(
        "advisories",
        &mut cargo(&["deny", "--locked", "check", "advisories"]),
    )
}
