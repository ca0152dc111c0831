//! The demo.
use anyhow::Result;
use crate::exit::Exit;
use crate::output::Output;
pub(crate) fn run(_: &mut Output) -> Result<Exit> { Ok(Exit::Done) }
