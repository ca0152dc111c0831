//! An order workflow: an order and the wish to send a mail are one commit (an outbox), a worker sends what is
//! wished for, and a projection keeps a table in SQLite that any program can read.

#![forbid(unsafe_code)]

use std::{
    io::Write,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use factlog::{
    Event, EventRef, Failure, Journal, Options, Projector, Query, Retries, Uuid, Worker,
    typed::{Typed, TypedEvent},
};
use factlog_targets::Sqlite;
use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};

type Done = Result<(), Box<dyn std::error::Error>>;

#[derive(Clone, Debug, Serialize, Deserialize, Event)]
enum Order {
    #[event(kind = "order.placed")]
    Placed { customer: String, cents: u64 },
    #[event(kind = "order.shipped")]
    Shipped { parcel: String },
    #[event(kind = "order.mail_wanted")]
    MailWanted { to: String, text: String },
}

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS orders (
        id TEXT PRIMARY KEY, customer TEXT NOT NULL, cents INTEGER NOT NULL, parcel TEXT
    )";

/// One event into the table, within the transaction that also moves the position.
fn apply(orders: &Connection, event: &EventRef<'_>) -> Result<(), Failure> {
    let id = event.facts()?.map_or("", |facts| facts.entity);
    match Order::read_ref(event)? {
        Typed::Known(Order::Placed { customer, cents }) => orders.execute(
            "INSERT INTO orders (id, customer, cents) VALUES (?1, ?2, ?3)",
            params![id, customer, cents as i64],
        )?,
        Typed::Known(Order::Shipped { parcel }) => orders.execute(
            "UPDATE orders SET parcel = ?2 WHERE id = ?1",
            params![id, parcel],
        )?,
        _ => 0,
    };
    Ok(())
}

/// A mail, and the event that wished for it.
type Mail = (Option<Uuid>, String);

/// A post office that takes each mail once, by the id of its event.
#[derive(Clone, Default)]
struct Post(Arc<Mutex<Vec<Mail>>>);

impl Post {
    fn send(&self, id: Option<Uuid>, mail: String) {
        let mut sent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !sent.iter().any(|(known, _)| *known == id) {
            sent.push((id, mail));
        }
    }
}

/// Everything that follows the journal.
fn follow(journal: &Journal, database: &Path, post: &Post) -> Result<Projector, factlog::Error> {
    let projector = Projector::start(journal.reader(), "shop", Retries::new())?;
    let wanted = Query::all().kind("order.placed").kind("order.shipped");
    projector.add(Sqlite::new(database, "orders", 1, wanted, SCHEMA, apply))?;
    let (post, outbox) = (post.clone(), Query::all().kind("order.mail_wanted"));
    projector.add(Worker::new(
        journal.reader(),
        "mails",
        outbox,
        move |event| {
            if let Typed::Known(Order::MailWanted { to, text }) = Order::read_ref(event)? {
                let id = event.facts()?.map(|facts| Uuid::from_bytes(facts.event_id));
                post.send(id, format!("{to}: {text}"));
            }
            Ok(())
        },
    )?)?;
    Ok(projector)
}

/// The order and the wish, or neither.
fn place(journal: &Journal, id: &str, customer: &str, cents: u64) -> Result<u64, factlog::Error> {
    let customer = customer.to_owned();
    let text = format!("thank you for {id}");
    let mail = Order::MailWanted {
        to: customer.clone(),
        text,
    };
    let order = Order::Placed { customer, cents };
    let batch = [
        journal.event("shop", id, &order)?,
        journal.event("shop", id, &mail)?,
    ];
    Ok(journal.append_batch(&batch)?.first_sequence() + 1)
}

/// Runs the shop over two sessions, in a folder.
pub(crate) fn run_in(folder: &Path, out: &mut dyn Write) -> Done {
    let (dir, database) = (folder.join("shop"), folder.join("shop.db"));
    let post = Post::default();
    let long = Duration::from_secs(60);

    let journal = Journal::create(&dir, Options::new())?;
    let shop = follow(&journal, &database, &post)?;
    place(&journal, "order-1", "ada", 500)?;
    let last = place(&journal, "order-2", "eve", 1_250)?;
    if !shop.wait_for(last, long) {
        return Err(format!("stuck: {:?}", shop.stuck()).into());
    }
    drop(shop);
    // Nobody follows it now, and nothing is lost.
    place(&journal, "order-3", "ada", 75)?;
    journal.close()?;

    let journal = Journal::open(&dir, Options::new())?;
    let shop = follow(&journal, &database, &post)?;
    let parcel = "P-77".to_owned();
    let shipped = journal.event("shop", "order-2", &Order::Shipped { parcel })?;
    let last = journal.append(shipped)?.sequence();
    if !shop.wait_for(last, long) {
        return Err(format!("stuck: {:?}", shop.stuck()).into());
    }

    // What any other program sees.
    let orders = Connection::open(&database)?;
    let mut rows = orders.prepare("SELECT id, customer, cents, parcel FROM orders ORDER BY id")?;
    let mut rows = rows.query([])?;
    while let Some(row) = rows.next()? {
        let (id, customer): (String, String) = (row.get(0)?, row.get(1)?);
        let (cents, parcel): (i64, Option<String>) = (row.get(2)?, row.get(3)?);
        let parcel = parcel.unwrap_or_else(|| "not shipped".to_owned());
        writeln!(out, "{id}: {customer}, {cents} cents, {parcel}")?;
    }
    for (_, mail) in post.0.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        writeln!(out, "mail to {mail}")?;
    }
    for one in shop.stop() {
        writeln!(out, "{}: {} behind", one.name, one.lag)?;
    }
    Ok(())
}

#[allow(dead_code, reason = "the tests call `run_in`")]
fn main() -> Done {
    let folder = std::env::args_os()
        .nth(1)
        .ok_or("name a folder that is empty")?;
    run_in(Path::new(&folder), &mut std::io::stdout())
}
