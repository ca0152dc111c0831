use factlog::{EventRef, Failure, Projection, Query};
use postgres::{Client, NoTls};

/// Where positions are kept, and which version readers are to look at.
const POSITIONS: &str = "
    CREATE TABLE IF NOT EXISTS factlog_projections (
        name TEXT NOT NULL, version BIGINT NOT NULL, position BIGINT NOT NULL,
        active BOOLEAN NOT NULL, PRIMARY KEY (name, version)
    )";

/// A projection into tables of a PostgreSQL database.
///
/// As [`Sqlite`](crate::Sqlite): `apply` runs within a transaction that also moves the position. A connection
/// that is lost is made anew, and what wasn't committed on it is applied again; where it turns out to have
/// committed after all, or another process runs the same projection, the transaction is given up.
pub struct Postgres<F> {
    address: String,
    name: String,
    version: u32,
    query: Query<'static>,
    schema: String,
    apply: F,
    client: Option<Client>,
    in_transaction: bool,
    /// The position that the transaction begins at.
    from: u64,
}

impl<F> Postgres<F>
where
    F: FnMut(&mut Client, &EventRef<'_>) -> Result<(), Failure> + Send + 'static,
{
    /// A projection into the database at `address`, such as `host=/run/postgresql user=me dbname=views`.
    /// `schema` makes what tables there aren't yet.
    pub fn new(
        address: impl Into<String>,
        name: impl Into<String>,
        version: u32,
        query: Query<'static>,
        schema: impl Into<String>,
        apply: F,
    ) -> Self {
        Self {
            address: address.into(),
            name: name.into(),
            version,
            query,
            schema: schema.into(),
            apply,
            client: None,
            in_transaction: false,
            from: 0,
        }
    }

    fn connect(&mut self) -> Result<&mut Client, postgres::Error> {
        let client = match self.client.take() {
            Some(client) => client,
            None => {
                let mut client = Client::connect(&self.address, NoTls)?;
                client.batch_execute(POSITIONS)?;
                client.batch_execute(&self.schema)?;
                client
            }
        };
        Ok(self.client.insert(client))
    }

    fn begin(&mut self) -> Result<&mut Client, postgres::Error> {
        if !self.in_transaction {
            self.connect()?.batch_execute("BEGIN")?;
            self.in_transaction = true;
        }
        self.connect()
    }

    fn keep(&mut self, next: u64) -> Result<(), Failure> {
        let (name, version) = (self.name.clone(), i64::from(self.version));
        let from = self.from as i64;
        let client = self.begin()?;
        let moved = client.execute(
            "INSERT INTO factlog_projections (name, version, position, active)
             SELECT $1::TEXT, $2::BIGINT, $3::BIGINT, NOT EXISTS (SELECT 1 FROM factlog_projections WHERE name = $1)
             ON CONFLICT (name, version) DO UPDATE SET position = excluded.position
             WHERE factlog_projections.position = $4",
            &[&name, &version, &(next as i64), &from],
        )?;
        if moved == 0 {
            // What was applied here would be there twice.
            return Err(Failure::later("another connection has moved its position"));
        }
        client.batch_execute("COMMIT")?;
        self.in_transaction = false;
        self.from = next;
        Ok(())
    }
}

/// What the database refuses for what it was given is the event's fault; all else may pass. The first
/// two characters of its codes are classes: 22 is data, 23 constraints, 42 what isn't there to be named.
fn sorted(failure: Failure) -> Failure {
    let Failure::Event(why) = failure else {
        return failure;
    };
    match why.downcast_ref::<postgres::Error>() {
        Some(error) => {
            let code = error.code().map_or("", |code| code.code());
            match ["22", "23", "42"]
                .iter()
                .any(|class| code.starts_with(class))
            {
                true => Failure::Event(why),
                false => Failure::Later(why),
            }
        }
        None => Failure::Event(why),
    }
}

impl<F> Projection for Postgres<F>
where
    F: FnMut(&mut Client, &EventRef<'_>) -> Result<(), Failure> + Send + 'static,
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
        let (name, version) = (self.name.clone(), i64::from(self.version));
        // A connection that was lost may be committing yet: that is waited for.
        let found = self.connect()?.query_opt(
            "SELECT position FROM factlog_projections WHERE name = $1 AND version = $2 FOR UPDATE",
            &[&name, &version],
        )?;
        self.from = found.map_or(0, |row| row.get::<_, i64>(0)) as u64;
        Ok(self.from)
    }

    fn apply(&mut self, event: &EventRef<'_>) -> Result<(), Failure> {
        self.begin().map_err(Failure::later)?;
        match &mut self.client {
            Some(client) => (self.apply)(client, event).map_err(sorted),
            None => Ok(()),
        }
    }

    fn commit(&mut self, next: u64) -> Result<(), Failure> {
        self.keep(next)
    }

    fn rollback(&mut self) {
        let clean = !std::mem::take(&mut self.in_transaction);
        let client = self.client.take().filter(|client| !client.is_closed());
        // A connection on which that fails is not used again.
        self.client = client.and_then(|mut client| {
            let rolled_back = clean || client.batch_execute("ROLLBACK").is_ok();
            rolled_back.then_some(client)
        });
    }

    fn activate(&mut self) -> Result<(), Failure> {
        let (name, version) = (self.name.clone(), i64::from(self.version));
        let client = self.begin()?;
        client.execute(
            "INSERT INTO factlog_projections (name, version, position, active)
             VALUES ($1, $2, 0, FALSE) ON CONFLICT DO NOTHING",
            &[&name, &version],
        )?;
        client.execute(
            "UPDATE factlog_projections SET active = (version = $2) WHERE name = $1",
            &[&name, &version],
        )?;
        Ok(())
    }
}

impl<F> std::fmt::Debug for Postgres<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Postgres")
            .field("name", &self.name)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}
