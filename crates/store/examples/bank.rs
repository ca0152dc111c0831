//! A bank ledger: transfers between accounts that can't be overdrawn, and an audit that believes nobody.

#![forbid(unsafe_code)]

use std::{collections::BTreeMap, io::Write};

use factlog::{
    Condition, Event, Expect, Journal, Policy, Query, UnverifiedReceipt,
    typed::{DecideError, Decider, TypedEvent},
};
use serde::{Deserialize, Serialize};

type Done = Result<(), Box<dyn std::error::Error>>;

#[derive(Clone, Debug, Serialize, Deserialize, Event)]
enum Entry {
    #[event(kind = "account.opened")]
    Opened { owner: String },
    #[event(kind = "account.credited")]
    Credited {
        cents: u64,
        #[event(tag)]
        transfer: u32,
    },
    #[event(kind = "account.debited")]
    Debited {
        cents: u64,
        #[event(tag)]
        transfer: u32,
    },
}

#[derive(Clone, Debug, Default)]
struct Account {
    open: bool,
    cents: i64,
}

enum Command {
    Open(&'static str),
    PayIn(u64),
}

impl Decider for Account {
    const SCOPE: &'static str = "bank";
    type Event = Entry;
    type Command = Command;
    type Refusal = String;

    fn evolve(&mut self, entry: Entry) {
        match entry {
            Entry::Opened { .. } => self.open = true,
            Entry::Credited { cents, .. } => self.cents += cents as i64,
            Entry::Debited { cents, .. } => self.cents -= cents as i64,
        }
    }

    fn decide(&self, command: &Command) -> Result<Vec<Entry>, String> {
        match command {
            Command::Open(_) if self.open => Err("the account is open already".to_owned()),
            Command::Open(owner) => Ok(vec![Entry::Opened {
                owner: (*owner).to_owned(),
            }]),
            Command::PayIn(_) if !self.open => Err("there is no such account".to_owned()),
            Command::PayIn(cents) => Ok(vec![Entry::Credited {
                cents: *cents,
                transfer: 0,
            }]),
        }
    }
}

/// Both sides in one commit, each only if its account is what it was when it was looked at; and never
/// twice under one number.
fn transfer(journal: &Journal, number: u32, from: &str, to: &str, cents: u64) -> Done {
    let payer = journal.stream::<Account>(from).load()?;
    let payee = journal.stream::<Account>(to).load()?;
    if payer.state.cents < cents as i64 {
        return Err(format!("{from} has {} cents, not {cents}", payer.state.cents).into());
    }
    let as_read = |revision: Option<u64>| revision.map_or(Expect::NoStream, Expect::Revision);
    let transfer = number;
    let debit = journal.event("bank", from, &Entry::Debited { cents, transfer })?;
    let credit = journal.event("bank", to, &Entry::Credited { cents, transfer })?;
    let batch = [
        debit.expect(as_read(payer.revision)),
        credit.expect(as_read(payee.revision)),
    ];
    let first = Condition::nothing(Query::all().tag(format!("transfer:{number}")));
    let receipts = journal.append_if(&batch, &[first])?;
    assert_eq!(receipts.len(), 2);
    Ok(())
}

/// What an auditor does who has the bank's public key: checks the receipt of each entry, and sums up.
fn audit(journal: &Journal, out: &mut dyn Write) -> Done {
    let key = journal.reader().verifier_key().ok_or("it is unsigned")?;
    let policy = Policy::from(key.clone());
    let (mut balances, mut proved) = (BTreeMap::<String, i64>::new(), 0);
    for event in journal.reader().read(Query::all().kinds_of::<Entry>()) {
        let event = event?;
        let receipt = journal.reader().receipt(event.sequence())?;
        let receipt = UnverifiedReceipt::parse(receipt.as_bytes())?.verify(&policy)?;
        assert_eq!(*receipt.event_hash(), event.hash());
        proved += 1;
        let facts = event.facts().ok_or("it was erased")?;
        let balance = balances.entry(facts.entity.to_owned()).or_default();
        match Entry::read(&event)?.known().ok_or("it can't be read")? {
            Entry::Opened { .. } => {}
            Entry::Credited { cents, .. } => *balance += cents as i64,
            Entry::Debited { cents, .. } => *balance -= cents as i64,
        }
    }
    writeln!(out, "{proved} entries, each with a receipt that verifies")?;
    for (account, cents) in &balances {
        writeln!(out, "{account}: {cents} cents")?;
    }
    writeln!(out, "in all: {} cents", balances.values().sum::<i64>())?;
    Ok(())
}

pub(crate) fn run(out: &mut dyn Write) -> Done {
    let journal = Journal::in_memory()?;
    for (account, owner) in [("ada", "Ada"), ("eve", "Eve")] {
        journal
            .stream::<Account>(account)
            .decide(Command::Open(owner))?;
    }
    journal
        .stream::<Account>("ada")
        .decide(Command::PayIn(500))?;
    match journal
        .stream::<Account>("ada")
        .decide(Command::Open("Mallory"))
    {
        Err(DecideError::Refused(why)) => writeln!(out, "refused: {why}")?,
        other => return Err(format!("{other:?}").into()),
    }
    transfer(&journal, 1, "ada", "eve", 120)?;
    for (number, from, to, cents) in [(1, "ada", "eve", 120), (2, "eve", "ada", 121)] {
        match transfer(&journal, number, from, to, cents) {
            Err(why) => writeln!(out, "transfer {number} refused: {why}")?,
            Ok(()) => return Err("it should have been refused".into()),
        }
    }
    audit(&journal, out)
}

#[allow(dead_code, reason = "the tests call `run`")]
fn main() -> Done {
    run(&mut std::io::stdout())
}
