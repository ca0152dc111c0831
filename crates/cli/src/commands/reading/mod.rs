//! What shows a journal's events.

pub(crate) mod ancestry;
pub(crate) mod log;
pub(crate) mod show;
pub(crate) mod stats;
pub(crate) mod streams;
pub(crate) mod tail;

use anyhow::Result;
use factlog::{Event, Subscription};

use crate::event::{line, listed};
use crate::exit::Exit;
use crate::output::Output;

/// Shows events as they become durable, until the subscription ends.
fn follow(mut events: Subscription, out: &mut Output) -> Result<Exit> {
    loop {
        // What is there is handed on before it waits for more.
        let next = match events.try_next()? {
            Some(event) => Some(event),
            None => {
                out.flush()?;
                events.next().transpose()?
            }
        };
        match next {
            Some(delivered) => show(delivered.event(), out)?,
            None => return Ok(Exit::Done),
        }
    }
}

fn show(event: &Event, out: &mut Output) -> Result<()> {
    match out.is_json() {
        true => out.object(&listed(event, "factlog.log/1")),
        false => out.line(line(event)),
    }
}
