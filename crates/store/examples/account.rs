//! An account that can't be overdrawn.

use factlog::{Event, Journal, typed::Decider};
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Serialize, Deserialize, Event)]
enum Entry {
    #[event(kind = "account.paid_in")]
    PaidIn { cents: u64 },
    #[event(kind = "account.paid_out")]
    PaidOut { cents: u64 },
}

enum Command {
    PayIn(u64),
    PayOut(u64),
}

#[derive(Clone, Default)]
struct Account {
    cents: u64,
}

impl Decider for Account {
    const SCOPE: &'static str = "bank";
    type Event = Entry;
    type Command = Command;
    type Refusal = &'static str;

    fn evolve(&mut self, entry: Entry) {
        match entry {
            Entry::PaidIn { cents } => self.cents += cents,
            Entry::PaidOut { cents } => self.cents -= cents,
        }
    }

    fn decide(&self, command: &Command) -> Result<Vec<Entry>, &'static str> {
        match *command {
            Command::PayIn(cents) => Ok(vec![Entry::PaidIn { cents }]),
            Command::PayOut(cents) if cents > self.cents => Err("there is too little"),
            Command::PayOut(cents) => Ok(vec![Entry::PaidOut { cents }]),
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let journal = Journal::in_memory()?; // `Journal::create("bank", Options::new())` makes one on disk
    let account = journal.stream::<Account>("account-7");
    account.decide(Command::PayIn(500))?;
    let decided = account.decide(Command::PayOut(200))?;
    println!("{} cents", decided.state.cents); // durable, and proved by `decided.receipts`
    Ok(())
}

#[test]
fn nobody_pays_out_more_than_there_is() {
    use factlog::testing::given;
    let paid_in = || Entry::PaidIn { cents: 500 };
    let paid_out = [Entry::PaidOut { cents: 200 }];
    given::<Account>([paid_in()])
        .when(Command::PayOut(200))
        .then(paid_out);
    given::<Account>([paid_in()])
        .when(Command::PayOut(501))
        .then_refused("there is too little");
}
