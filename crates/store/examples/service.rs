//! A service on one thread of tokio: many clients place orders, each waits for its own, the kitchen follows
//! along as a stream. A ticket is a future of no runtime: what waits for the disk is the task that awaits it,
//! never the thread that runs the tasks.

#![forbid(unsafe_code)]

use std::{future::poll_fn, io::Write, pin::Pin, sync::Arc};

use factlog::{Delivered, Ended, Journal, NewEvent, Query, Subscription};
use futures_core::Stream;
use tokio::{runtime, task::JoinSet};

type Done = Result<(), Box<dyn std::error::Error>>;

const CLIENTS: u64 = 100;
const EACH: u64 = 10;

/// Places one client's orders, one after the other: gives the revision that each has in the client's stream.
async fn order(journal: Arc<Journal>, client: u64) -> Result<Vec<u64>, factlog::Error> {
    let mut revisions = Vec::new();
    for _ in 0..EACH {
        let order = NewEvent::new("shop", format!("client-{client}"), "order.placed");
        // Gives it its place at once, and the thread to others until it is durable.
        let receipts = journal.submit(&[order])?.await?;
        revisions.extend(receipts.receipt(0).map(|receipt| receipt.revision()));
    }
    Ok(revisions)
}

/// The next event, without a runtime's help.
async fn next(events: &mut Subscription) -> Option<Result<Delivered, Ended>> {
    poll_fn(|context| Pin::new(&mut *events).poll_next(context)).await
}

/// Cooks what is ordered until it has had so many orders, in the order in which they were placed.
async fn cook(mut orders: Subscription, wanted: u64) -> Result<u64, Ended> {
    let (mut cooked, mut last) = (0, 0);
    while cooked < wanted {
        let Some(order) = next(&mut orders).await.transpose()? else {
            break;
        };
        cooked += u64::from(order.sequence() > last);
        last = order.sequence();
    }
    Ok(cooked)
}

async fn serve(journal: &Arc<Journal>, out: &mut dyn Write) -> Done {
    let orders = Query::all().kind("order.placed");
    let kitchen = journal.reader().subscribe(orders)?;
    let kitchen = tokio::spawn(cook(kitchen, CLIENTS * EACH));
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        clients.spawn(order(Arc::clone(journal), client));
    }
    let mut placed = 0;
    while let Some(revisions) = clients.join_next().await {
        let revisions = revisions??;
        placed += u64::from(revisions.iter().copied().eq(0..EACH));
    }
    writeln!(
        out,
        "{placed} clients have their {EACH} orders, each in order"
    )?;
    writeln!(out, "the kitchen had {} orders", kitchen.await??)?;
    Ok(())
}

/// Prints what the tests compare, and what you see.
pub(crate) fn run(out: &mut dyn Write) -> Done {
    let journal = Arc::new(Journal::in_memory()?);
    let one_thread = runtime::Builder::new_current_thread().build()?;
    one_thread.block_on(serve(&journal, out))
}

#[allow(dead_code, reason = "the tests call `run`")]
fn main() -> Done {
    run(&mut std::io::stdout())
}
