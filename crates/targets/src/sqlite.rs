use std::path::PathBuf;

use factlog::{EventRef, Failure, Projection, Query};
use rusqlite::{Connection, ErrorCode, OptionalExtension, params};

/// Where positions are kept, and which version readers are to look at.
const POSITIONS: &str = "
    CREATE TABLE IF NOT EXISTS factlog_projections (
        name TEXT NOT NULL, version INTEGER NOT NULL, position INTEGER NOT NULL,
        active INTEGER NOT NULL, PRIMARY KEY (name, version)
    )";

/// A projection into tables of an SQLite database.
///
/// `apply` runs within a transaction that also moves the position in the table `factlog_projections`. A
/// new version has tables of its own, named for it in `schema`; the column `active` says which version
/// readers are to look at, and changes in the transaction with which the new one has come as far.
pub struct Sqlite<F> {
    path: PathBuf,
    name: String,
    version: u32,
    query: Query<'static>,
    schema: String,
    apply: F,
    connection: Option<Connection>,
    in_transaction: bool,
    /// The position that the transaction begins at.
    from: u64,
}

impl<F> Sqlite<F>
where
    F: FnMut(&Connection, &EventRef<'_>) -> Result<(), Failure> + Send + 'static,
{
    /// A projection into the database at `path`, which is made if it is missing. `schema` makes what tables
    /// there aren't yet.
    pub fn new(
        path: impl Into<PathBuf>,
        name: impl Into<String>,
        version: u32,
        query: Query<'static>,
        schema: impl Into<String>,
        apply: F,
    ) -> Self {
        Self {
            path: path.into(),
            name: name.into(),
            version,
            query,
            schema: schema.into(),
            apply,
            connection: None,
            in_transaction: false,
            from: 0,
        }
    }

    fn connect(&mut self) -> rusqlite::Result<&Connection> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                let connection = Connection::open(&self.path)?;
                connection.pragma_update(None, "journal_mode", "WAL")?;
                // A commit that returned is on the disk.
                connection.pragma_update(None, "synchronous", "FULL")?;
                connection.execute_batch(POSITIONS)?;
                connection.execute_batch(&self.schema)?;
                connection
            }
        };
        Ok(self.connection.insert(connection))
    }

    fn begin(&mut self) -> rusqlite::Result<&Connection> {
        if !self.in_transaction {
            self.connect()?.execute_batch("BEGIN IMMEDIATE")?;
            self.in_transaction = true;
        }
        self.connect()
    }

    fn keep(&mut self, next: u64) -> Result<(), Failure> {
        let (name, version, from) = (self.name.clone(), self.version, self.from as i64);
        let connection = self.begin()?;
        let moved = connection.execute(
            "INSERT INTO factlog_projections (name, version, position, active)
             SELECT ?1, ?2, ?3, NOT EXISTS (SELECT 1 FROM factlog_projections WHERE name = ?1)
             WHERE TRUE
             ON CONFLICT (name, version) DO UPDATE SET position = excluded.position
             WHERE factlog_projections.position = ?4",
            params![name, version, next as i64, from],
        )?;
        if moved == 0 {
            // What was applied here would be there twice.
            return Err(Failure::later("another connection has moved its position"));
        }
        connection.execute_batch("COMMIT")?;
        self.in_transaction = false;
        self.from = next;
        Ok(())
    }
}

/// What the database refuses for what it was given is the event's fault; all else may pass.
fn sorted(failure: Failure) -> Failure {
    let Failure::Event(why) = failure else {
        return failure;
    };
    let code = why.downcast_ref::<rusqlite::Error>();
    match code.and_then(rusqlite::Error::sqlite_error_code) {
        Some(
            ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::DiskFull
            | ErrorCode::SystemIoFailure
            | ErrorCode::CannotOpen
            | ErrorCode::OutOfMemory
            | ErrorCode::ReadOnly,
        ) => Failure::Later(why),
        _ => Failure::Event(why),
    }
}

impl<F> Projection for Sqlite<F>
where
    F: FnMut(&Connection, &EventRef<'_>) -> Result<(), Failure> + Send + 'static,
{
    fn name(&self) -> &str {
        &self.name
    }

    fn version(&self) -> u32 {
        self.version
    }

    fn query(&self) -> Query<'static> {
        self.query.clone()
    }

    fn position(&mut self) -> Result<u64, Failure> {
        let (name, version) = (self.name.clone(), self.version);
        let found = self.connect()?.query_row(
            "SELECT position FROM factlog_projections WHERE name = ?1 AND version = ?2",
            params![name, version],
            |row| row.get::<_, i64>(0),
        );
        self.from = found.optional()?.unwrap_or(0) as u64;
        Ok(self.from)
    }

    fn apply(&mut self, event: &EventRef<'_>) -> Result<(), Failure> {
        self.begin().map_err(Failure::later)?;
        match &self.connection {
            Some(connection) => (self.apply)(connection, event).map_err(sorted),
            None => Ok(()),
        }
    }

    fn commit(&mut self, next: u64) -> Result<(), Failure> {
        self.keep(next)
    }

    fn rollback(&mut self) {
        if std::mem::take(&mut self.in_transaction) {
            let connection = self.connection.take();
            // A connection on which that fails is not used again.
            let rolled_back =
                |one: &Connection| one.is_autocommit() || one.execute_batch("ROLLBACK").is_ok();
            self.connection = connection.filter(rolled_back);
        }
    }

    fn activate(&mut self) -> Result<(), Failure> {
        let (name, version) = (self.name.clone(), self.version);
        self.begin()?.execute(
            "INSERT INTO factlog_projections (name, version, position, active)
             VALUES (?1, ?2, 0, 0) ON CONFLICT DO NOTHING",
            params![name, version],
        )?;
        self.begin()?.execute(
            "UPDATE factlog_projections SET active = (version = ?2) WHERE name = ?1",
            params![name, version],
        )?;
        Ok(())
    }
}

impl<F> std::fmt::Debug for Sqlite<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sqlite")
            .field("path", &self.path)
            .field("name", &self.name)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}
