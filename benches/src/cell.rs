use std::{fmt, str::FromStr};

use anyhow::{Context, ensure};

/// What is done with a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Workload {
    /// Appends batches, each durable before the next.
    Bulk,
    /// Appends single events, each durable before the producer's next.
    Durable,
    /// Appends single events without waiting for each: a thousand are on their way at any time.
    Tickets,
    /// Reads random events by their place.
    GetSequence,
    /// Reads random events by their id.
    GetId,
    /// Reads random streams from start to end.
    Stream,
    /// Reads the events of one kind in a hundred.
    Filter,
    /// Reads everything in order.
    Scan,
    /// Opens what was closed, in a new process, and reads one event.
    Open,
    /// The same after the process that wrote was killed.
    OpenKilled,
    /// Checks everything.
    Verify,
    /// Appends in bulk while one reader scans again and again.
    BulkScanned,
    /// Appends durably, one by one, while 8 readers scan again and again.
    DurableScanned,
}

impl Workload {
    pub(crate) const ALL: [(Self, &'static str); 13] = [
        (Self::Bulk, "bulk"),
        (Self::Durable, "durable"),
        (Self::Tickets, "tickets"),
        (Self::GetSequence, "get"),
        (Self::GetId, "id"),
        (Self::Stream, "stream"),
        (Self::Filter, "filter"),
        (Self::Scan, "scan"),
        (Self::Open, "open"),
        (Self::OpenKilled, "killed"),
        (Self::Verify, "verify"),
        (Self::BulkScanned, "bulkscanned"),
        (Self::DurableScanned, "durablescanned"),
    ];

    pub(crate) fn name(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(workload, _)| *workload == self)
            .map_or("", |(_, name)| name)
    }

    /// Where a cell gets its store from.
    pub(crate) fn source(self) -> Source {
        match self {
            Self::Bulk | Self::Durable | Self::Tickets => Source::Empty,
            Self::OpenKilled => Source::Killed,
            Self::BulkScanned | Self::DurableScanned => Source::Copied,
            _ => Source::Filled,
        }
    }
}

/// What a store holds before the clock starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Empty,
    /// All events of the cell, closed cleanly; shared by all cells that only read.
    Filled,
    /// The same, copied for each run, since the run changes it.
    Copied,
    /// All events of the cell, and the process that wrote them was killed; copied for each run.
    Killed,
}

/// One thing to be measured; written as `workload-size-streams-events-producers`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) workload: Workload,
    /// Bytes of payload of each event.
    pub(crate) size: u32,
    pub(crate) streams: u32,
    /// How many are appended, or are there to be read.
    pub(crate) events: u64,
    pub(crate) producers: u32,
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            workload,
            size,
            streams,
            events,
            producers,
        } = self;
        write!(
            f,
            "{}-{size}-{streams}-{events}-{producers}",
            workload.name()
        )
    }
}

impl FromStr for Cell {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let parts: Vec<&str> = text.split('-').collect();
        let [name, size, streams, events, producers] = parts[..] else {
            anyhow::bail!("a cell is workload-size-streams-events-producers");
        };
        let workload = Workload::ALL.iter().find(|(_, other)| *other == name);
        let cell = Self {
            workload: workload
                .with_context(|| format!("there is no workload {name}"))?
                .0,
            size: size.parse()?,
            streams: streams.parse()?,
            events: events.parse()?,
            producers: producers.parse()?,
        };
        ensure!(
            cell.size > 0 && cell.size <= 64 << 10,
            "a size is 1 to 65536"
        );
        ensure!(
            cell.streams > 0 && cell.producers > 0 && cell.events > 0,
            "nothing is 0"
        );
        // See `event::event`.
        ensure!(
            cell.streams % 7919 != 0,
            "the number of streams is no multiple of 7919"
        );
        Ok(cell)
    }
}

/// The cells that the tables of the documentation show.
pub(crate) fn core() -> Vec<Cell> {
    use Workload::*;
    let cell = |workload, size, streams, events, producers| Cell {
        workload,
        size,
        streams,
        events,
        producers,
    };
    let large = |workload| cell(workload, 256, 1000, 1_000_000, 1);
    let small = |workload| cell(workload, 256, 1000, 100_000, 1);
    // Those with the same events stand together, so that they read the same stores.
    let mut cells = Vec::from([Bulk, Scan, Open, OpenKilled, Verify].map(large));
    cells.extend([
        cell(Bulk, 256, 1000, 100_000, 2),
        cell(Bulk, 256, 1, 100_000, 1),
        cell(Bulk, 64, 1000, 100_000, 1),
        cell(Bulk, 4096, 1000, 100_000, 1),
        cell(Bulk, 65536, 1000, 5_000, 1),
    ]);
    cells.extend(
        [(1, 5_000), (4, 10_000), (16, 25_000), (64, 50_000)]
            .map(|(producers, events)| cell(Durable, 256, 1000, events, producers)),
    );
    cells.push(cell(Tickets, 256, 1000, 200_000, 2));
    let readers = [
        GetSequence,
        GetId,
        Stream,
        Filter,
        BulkScanned,
        DurableScanned,
    ];
    cells.extend(readers.map(small));
    cells
}

/// Payload bytes that a cell of the whole matrix writes at most, so that it fits on a disk beside
/// those of all other stores.
const MOST_BYTES: u64 = 3_000_000_000;

/// Every workload with every size and number of streams, events and producers that makes sense.
pub(crate) fn full() -> Vec<Cell> {
    let mut cells = Vec::new();
    for (size, workload_sizes) in [(64, true), (256, true), (4096, false), (65536, false)] {
        for streams in [1, 1000, 1_000_000] {
            for events in [10_000, 100_000, 1_000_000, 10_000_000] {
                let large = u64::from(size) * events > MOST_BYTES;
                // Ten thousand only where more would be too much.
                let small = events == 10_000 && size < 65536;
                if large || small || u64::from(streams) > events {
                    continue;
                }
                for (workload, _) in Workload::ALL {
                    let producers: &[u32] = match workload {
                        Workload::Bulk | Workload::Tickets => &[1, 2],
                        Workload::Durable => &[1, 4, 16, 64],
                        _ => &[1],
                    };
                    let scanned =
                        matches!(workload, Workload::BulkScanned | Workload::DurableScanned);
                    let too_long = workload == Workload::Durable && events > 100_000;
                    if too_long || (scanned && (events > 1_000_000 || !workload_sizes)) {
                        continue;
                    }
                    cells.extend(producers.iter().map(|&producers| Cell {
                        workload,
                        size,
                        streams,
                        events,
                        producers,
                    }));
                }
            }
        }
    }
    cells
}
