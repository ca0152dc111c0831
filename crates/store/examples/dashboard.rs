//! A live dashboard in a terminal, from a process that doesn't write the journal: how many events of each
//! kind there are, and the last ones. `cargo run -p factlog --example dashboard -- DIR` follows a journal of
//! yours; without a directory it shows one that it makes.

#![forbid(unsafe_code)]

use std::{
    collections::{BTreeMap, VecDeque},
    io::Write,
    sync::Arc,
    time::Duration,
};

use factlog::{
    EventRef, Failure, InMemory, Journal, NewEvent, Options, Phase, Projector, Query, Reader,
    Retries, Shown,
};
use factlog_fs::MemFs;

type Done = Result<(), Box<dyn std::error::Error>>;

const LAST: usize = 4;
/// Up to the top, and all below is cleared.
const CLEAR: &str = "\u{1b}[H\u{1b}[J";

/// What the dashboard shows.
#[derive(Default)]
struct Board {
    kinds: BTreeMap<String, u64>,
    last: VecDeque<String>,
}

fn note(board: &mut Board, event: &EventRef<'_>) -> Result<(), Failure> {
    let Some(facts) = event.facts()? else {
        return Ok(());
    };
    *board.kinds.entry(facts.kind.to_owned()).or_default() += 1;
    let line = format!("{} {} {}", event.sequence(), facts.entity, facts.kind);
    board.last.push_back(line);
    if board.last.len() > LAST {
        board.last.pop_front();
    }
    Ok(())
}

/// Follows a journal with two projections, fed by one read.
struct Dashboard {
    projector: Projector,
    board: Shown<Board>,
    paid: Shown<u64>,
}

impl Dashboard {
    fn new(reader: &Reader) -> Result<Self, factlog::Error> {
        let projector = Projector::start(reader, "dashboard", Retries::new())?;
        let (events, board) = InMemory::new("events", 1, Query::all(), Board::default, note);
        let payments = Query::all().kind("order.paid");
        let (sum, paid) = InMemory::new(
            "paid",
            1,
            payments,
            || 0,
            |sum, event| {
                let cents = std::str::from_utf8(event.data()?.unwrap_or_default())?;
                *sum += cents.parse::<u64>()?;
                Ok(())
            },
        );
        projector.add(events)?;
        projector.add(sum)?;
        Ok(Self {
            projector,
            board,
            paid,
        })
    }

    fn draw(&self, out: &mut dyn Write) -> std::io::Result<()> {
        self.board.read(|board, _| {
            for (kind, count) in &board.kinds {
                writeln!(out, "{count:>6}  {kind}")?;
            }
            for line in &board.last {
                writeln!(out, "        {line}")?;
            }
            Ok::<(), std::io::Error>(())
        })?;
        writeln!(out, "paid: {} cents", self.paid.read(|sum, _| *sum))?;
        for one in self.projector.status() {
            let phase = match one.phase {
                Phase::CatchingUp { .. } => "catching up".to_owned(),
                Phase::Live => "live".to_owned(),
                Phase::Retrying { why, .. } => format!("trying again: {why}"),
                Phase::Ended(why) => format!("ended: {why}"),
                _ => "?".to_owned(),
            };
            writeln!(out, "{}: {} behind, {phase}", one.name, one.lag)?;
        }
        Ok(())
    }

    /// Draws whenever something has come, until whatever feeds it ends.
    fn live(&self, reader: &Reader, out: &mut dyn Write) -> Done {
        let mut news = reader.subscribe(Query::all().from(reader.len()))?;
        loop {
            write!(out, "{CLEAR}")?;
            self.draw(out)?;
            out.flush()?;
            let Some(event) = news.next() else {
                return Ok(());
            };
            let seen = self
                .projector
                .wait_for(event?.sequence(), Duration::from_secs(5));
            if !seen {
                // What is stuck is drawn.
                continue;
            }
        }
    }
}

/// A journal with a writer, and a dashboard that reads it as another process would.
pub(crate) fn run(out: &mut dyn Write) -> Done {
    let fs = Arc::new(MemFs::new());
    let options = || Options::new().file_system(Arc::clone(&fs) as Arc<_>);
    let journal = Journal::create("shop", options())?;
    let reader = Journal::open_read_only("shop", options())?;
    let dashboard = Dashboard::new(&reader)?;
    let mut last = 0;
    for (order, cents) in [("order-1", "500"), ("order-2", "1250"), ("order-3", "")] {
        let placed = NewEvent::new("shop", order, "order.placed");
        last = journal.append(placed)?.sequence();
        if !cents.is_empty() {
            let paid = NewEvent::new("shop", order, "order.paid");
            let paid = paid.data(factlog::Encoding::Raw, cents.as_bytes());
            last = journal.append(paid)?.sequence();
        }
    }
    if !dashboard.projector.wait_for(last, Duration::from_secs(60)) {
        return Err("the dashboard does not follow".into());
    }
    dashboard.draw(out)?;
    journal.close()?;
    Ok(())
}

#[allow(dead_code, reason = "the tests call `run`")]
fn main() -> Done {
    let mut out = std::io::stdout();
    let Some(dir) = std::env::args_os().nth(1) else {
        return run(&mut out);
    };
    let reader = Journal::open_read_only(dir, Options::new())?;
    Dashboard::new(&reader)?.live(&reader, &mut out)
}
