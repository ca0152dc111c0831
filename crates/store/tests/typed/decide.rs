//! Decisions on streams: load, decide, append, and again where somebody else was faster.

use std::{cell::Cell, rc::Rc, sync::Arc};

use factlog::{
    Condition, Conflict, Error, Event, Expect, Journal, Misuse, NewEvent, Options, Query,
    Retention, RetentionRule, testing,
    typed::{DecideError, Decider, Snapshot, Snapshots, TypedEvent},
};
use factlog_sim::{PowerCut, SimFs, Unsynced};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Event)]
enum Account {
    #[event(kind = "ledger.opened")]
    Opened {
        #[event(tag)]
        owner: String,
    },
    #[event(kind = "ledger.deposited")]
    Deposited { cents: u64 },
    #[event(kind = "ledger.withdrawn")]
    Withdrawn { cents: u64 },
}

#[derive(Clone, Debug)]
enum Command {
    Open(&'static str),
    Deposit(u64),
    Withdraw(u64),
    /// Several events at once.
    Move(u64, u64),
    Nothing,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Balance {
    owner: Option<String>,
    cents: u64,
}

impl Decider for Balance {
    const SCOPE: &'static str = "bank";
    type Event = Account;
    type Command = Command;
    type Refusal = &'static str;

    fn evolve(&mut self, event: Account) {
        match event {
            Account::Opened { owner } => self.owner = Some(owner),
            Account::Deposited { cents } => self.cents += cents,
            Account::Withdrawn { cents } => self.cents -= cents,
        }
    }

    fn decide(&self, command: &Command) -> Result<Vec<Account>, &'static str> {
        let opened = self.owner.is_some();
        Ok(match *command {
            Command::Nothing => Vec::new(),
            Command::Open(_) if opened => return Err("it is open"),
            Command::Open(owner) => vec![Account::Opened {
                owner: owner.to_owned(),
            }],
            _ if !opened => return Err("it is not open"),
            Command::Deposit(cents) => vec![Account::Deposited { cents }],
            Command::Withdraw(cents) if cents > self.cents => return Err("there is too little"),
            Command::Withdraw(cents) => vec![Account::Withdrawn { cents }],
            Command::Move(deposited, withdrawn) => vec![
                Account::Deposited { cents: deposited },
                Account::Withdrawn { cents: withdrawn },
            ],
        })
    }
}

fn opened() -> Account {
    Account::Opened {
        owner: "ada".to_owned(),
    }
}

fn deposited(cents: u64) -> Account {
    Account::Deposited { cents }
}

fn with_account() -> Journal {
    let journal = testing::journal();
    let open = journal.stream::<Balance>("a1").decide(Command::Open("ada"));
    open.unwrap();
    journal
}

#[test]
fn given_when_then() {
    use testing::given;
    given::<Balance>([])
        .when(Command::Open("ada"))
        .then([opened()]);
    given::<Balance>([])
        .when(Command::Deposit(1))
        .then_refused("it is not open");
    given::<Balance>([opened()]).when(Command::Nothing).then([]);
    given::<Balance>([opened(), deposited(5)])
        .when(Command::Withdraw(5))
        .then([Account::Withdrawn { cents: 5 }]);
    given::<Balance>([opened(), deposited(5)])
        .when(Command::Withdraw(6))
        .then_refused("there is too little");
}

#[test]
#[should_panic(expected = "\n-         cents: 4,\n+         cents: 3,\n")]
fn a_test_that_fails_shows_the_lines_that_differ() {
    testing::given::<Balance>([opened()])
        .when(Command::Deposit(3))
        .then([deposited(4)]);
}

#[test]
#[should_panic(expected = "it was refused for another reason")]
fn another_reason_is_another_outcome() {
    testing::given::<Balance>([])
        .when(Command::Deposit(3))
        .then_refused("it is open");
}

#[test]
fn journals_of_tests_have_one_time_and_the_same_ids() {
    let ids = || {
        let journal = with_account();
        let event = journal.reader().get(1).unwrap().unwrap();
        assert_eq!(event.recorded_at(), testing::NOW);
        (journal.reader().id(), event.id(), event.hash())
    };
    assert_eq!(ids(), ids());
}

#[test]
fn what_is_decided_is_appended_and_what_is_refused_is_not() {
    let journal = with_account();
    let decided = journal
        .stream::<Balance>("a1")
        .decide(Command::Move(10, 3))
        .unwrap();
    assert_eq!(decided.state.cents, 7);
    let receipts = decided.receipts.unwrap();
    assert_eq!((receipts.len(), receipts.first_sequence()), (2, 2));
    let before = journal.reader().len();
    let refused = journal.stream::<Balance>("a1").decide(Command::Withdraw(8));
    assert!(matches!(
        refused,
        Err(DecideError::Refused("there is too little"))
    ));
    let nothing = journal
        .stream::<Balance>("a1")
        .decide(Command::Nothing)
        .unwrap();
    assert!(nothing.receipts.is_none());
    assert_eq!(journal.reader().len(), before);
    let loaded = journal.stream::<Balance>("a1").load().unwrap();
    assert_eq!((loaded.state.cents, loaded.revision), (7, Some(2)));
}

#[test]
fn events_are_dressed_with_what_the_decider_does_not_know() {
    let journal = with_account();
    let by_eve = journal
        .stream::<Balance>("a1")
        .each(|event| event.actor("eve"));
    let receipts = by_eve
        .decide(Command::Deposit(1))
        .unwrap()
        .receipts
        .unwrap();
    let event = journal
        .reader()
        .get(receipts.first_sequence())
        .unwrap()
        .unwrap();
    assert_eq!(event.facts().unwrap().actor, Some("eve"));
}

/// Found elsewhere: an expected version of 0 that meant both an empty stream and one event, so that two
/// first writers won.
#[test]
fn of_many_first_writers_of_a_stream_one_wins() {
    let journal = Journal::in_memory().unwrap();
    let won: usize = std::thread::scope(|scope| {
        let writers = (0..8).map(|_| {
            scope.spawn(|| {
                let opened = journal.stream::<Balance>("a1").decide(Command::Open("ada"));
                match opened {
                    Ok(_) => 1,
                    Err(DecideError::Refused("it is open")) => 0,
                    Err(error) => panic!("{error}"),
                }
            })
        });
        let writers: Vec<_> = writers.collect();
        writers
            .into_iter()
            .map(|writer| writer.join().unwrap())
            .sum()
    });
    assert_eq!(won, 1);
    // Empty and one event are different expectations.
    let event = |expect| NewEvent::new("bank", "a1", "ledger.noted").expect(expect);
    for (expect, holds) in [(Expect::NoStream, false), (Expect::Revision(0), true)] {
        assert_eq!(journal.append(event(expect)).is_ok(), holds, "{expect}");
    }
}

#[test]
fn many_deciders_on_one_stream_lose_nothing() {
    let journal = with_account();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..25 {
                    let decision = journal.stream::<Balance>("a1").attempts(u32::MAX);
                    decision.decide(Command::Deposit(1)).unwrap();
                }
            });
        }
    });
    let loaded = journal.stream::<Balance>("a1").load().unwrap();
    assert_eq!((loaded.state.cents, loaded.revision), (100, Some(100)));
}

/// Decides, while somebody else appends.
#[derive(Clone, Default)]
struct Interrupted(u64);

type Interruption = Rc<dyn Fn()>;

impl Decider for Interrupted {
    const SCOPE: &'static str = "bank";
    type Event = Account;
    type Command = Interruption;
    type Refusal = String;

    fn evolve(&mut self, _: Account) {
        self.0 += 1;
    }

    fn decide(&self, interruption: &Interruption) -> Result<Vec<Account>, String> {
        interruption();
        Ok(vec![deposited(self.0)])
    }
}

#[test]
fn a_decision_is_made_anew_where_somebody_was_faster_within_a_bound() {
    for (times, attempts, wins) in [(0, 1, true), (3, 4, true), (4, 4, false), (1, 0, false)] {
        let journal = Arc::new(with_account());
        let left = Cell::new(times);
        let other = Arc::clone(&journal);
        let interrupt: Interruption = Rc::new(move || {
            if left.get() > 0 {
                left.set(left.get() - 1);
                let event = other.event("bank", "a1", &deposited(1_000)).unwrap();
                other.append(event).unwrap();
            }
        });
        let decision = journal.stream::<Interrupted>("a1").attempts(attempts);
        match decision.decide(interrupt) {
            Ok(decided) => {
                assert!(wins);
                let at = decided.receipts.unwrap().first_sequence();
                let event = journal.reader().get(at).unwrap().unwrap();
                // It was decided on the state that it was appended to.
                let decided = Account::read(&event).unwrap().known();
                assert_eq!(decided, Some(deposited(1 + times)));
            }
            Err(DecideError::Contended { attempts: made }) => {
                assert!(!wins);
                assert_eq!(made, attempts);
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// Found elsewhere: an idempotency key that was used for another request was answered with the old receipt,
/// nothing written, no error.
#[test]
fn a_decision_with_a_key_is_made_once() {
    let journal = with_account();
    let decide = |key: &str, command| journal.stream::<Balance>("a1").key(key).decide(command);
    let first = decide("k1", Command::Move(10, 3)).unwrap();
    decide("k2", Command::Withdraw(7)).unwrap();
    let before = journal.reader().len();
    // Decided today there would be too little; it was decided then.
    let again = decide("k1", Command::Move(10, 3)).unwrap();
    let (first, again) = (first.receipts.unwrap(), again.receipts.unwrap());
    assert!(again.already() && !first.already());
    let hashes = |receipts: &factlog::BatchReceipt| -> Vec<_> {
        receipts
            .iter()
            .map(|receipt| receipt.event_hash())
            .collect()
    };
    assert_eq!(hashes(&first), hashes(&again));
    for other in [Command::Move(10, 4), Command::Deposit(10), Command::Nothing] {
        let result = decide("k1", other);
        assert!(
            matches!(
                &result,
                Err(DecideError::Journal(Error::Conflict(
                    Conflict::IdReused { .. }
                )))
            ),
            "{result:?}"
        );
    }
    assert_eq!(journal.reader().len(), before);
    // On another stream the same key is another one.
    journal
        .stream::<Balance>("a2")
        .key("k1")
        .decide(Command::Open("eve"))
        .unwrap();
}

#[test]
fn a_state_that_lacks_an_event_is_no_state() {
    let journal = with_account();
    let strange = NewEvent::new("bank", "a1", "ledger.frozen");
    let at = journal.append(strange).unwrap().sequence();
    match journal.stream::<Balance>("a1").decide(Command::Deposit(1)) {
        Err(DecideError::Journal(Error::Misuse(Misuse::Unreadable { sequence, detail }))) => {
            assert_eq!(sequence, at);
            assert!(detail.contains("ledger.frozen"), "{detail}");
        }
        other => panic!("{other:?}"),
    }

    #[derive(Clone, Default)]
    struct Lenient;
    impl Decider for Lenient {
        const SCOPE: &'static str = "bank";
        type Event = Account;
        type Command = u64;
        type Refusal = ();
        fn evolve(&mut self, _: Account) {}
        fn decide(&self, cents: &u64) -> Result<Vec<Account>, ()> {
            Ok(vec![deposited(*cents)])
        }
        fn passes_over(event: &factlog::Event) -> bool {
            event
                .facts()
                .is_some_and(|facts| facts.kind == "ledger.frozen")
        }
    }
    journal.stream::<Lenient>("a1").decide(1).unwrap();
    // A newer program's event is passed over by nobody who didn't say so.
    let newer = NewEvent::new("bank", "a1", "ledger.deposited").payload_version(2);
    journal.append(newer).unwrap();
    assert!(journal.stream::<Lenient>("a1").decide(1).is_err());
}

#[test]
fn a_snapshot_is_believed_only_while_its_event_stands_where_it_stood() {
    let journal = with_account();
    let snapshots = Snapshots::new(10);
    let load = || {
        journal
            .stream::<Balance>("a1")
            .snapshots(&snapshots)
            .load()
            .unwrap()
    };
    let decide = |command| {
        let decision = journal.stream::<Balance>("a1").snapshots(&snapshots);
        decision.decide(command).unwrap()
    };
    let receipt = decide(Command::Deposit(5))
        .receipts
        .unwrap()
        .receipt(0)
        .unwrap();
    assert_eq!(snapshots.len(), 1);
    // One with another state shows that it is what was begun with.
    let marked = Balance {
        owner: Some("ada".to_owned()),
        cents: 1_000,
    };
    let id = journal.reader().id();
    let snapshot = Snapshot::of(marked, id, &receipt);
    snapshots.put("bank", "a1", snapshot.clone());
    let event = journal.event("bank", "a1", &deposited(1)).unwrap();
    journal.append(event).unwrap();
    assert_eq!((load().state.cents, load().revision), (1_001, Some(2)));

    // Stored elsewhere it is the same.
    let text = serde_json::to_string(&snapshot).unwrap();
    let again: Snapshot<Balance> = serde_json::from_str(&text).unwrap();
    assert!(again.is_current(journal.reader()).unwrap());

    let stale = |change: fn(&mut serde_json::Value)| {
        let mut json: serde_json::Value = serde_json::from_str(&text).unwrap();
        change(&mut json);
        serde_json::from_value::<Snapshot<Balance>>(json).unwrap()
    };
    let stale: [Snapshot<Balance>; 5] = [
        stale(|json| json["version"] = 2.into()),
        stale(|json| json["journal"][0] = 1.into()),
        stale(|json| json["hash"][0] = 1.into()),
        stale(|json| json["sequence"] = 1.into()),
        stale(|json| json["sequence"] = 1_000.into()),
    ];
    for snapshot in stale {
        snapshots.put("bank", "a1", snapshot);
        assert_eq!(load().state.cents, 6, "it was loaded from the events");
        assert!(snapshots.is_empty(), "and the snapshot dropped");
    }
}

/// A snapshot whose event went in full could be taken for the beginning of the stream that its entity has now.
#[test]
fn a_snapshot_is_not_believed_once_its_event_went_in_full() {
    let journal = with_account();
    let snapshots = Snapshots::new(10);
    let stream = || journal.stream::<Balance>("a1").snapshots(&snapshots);
    let forget = |from: u64| {
        let rule = RetentionRule::new("forget", "a request")
            .scope("bank")
            .full();
        let rule = rule.only_if(move |event| event.revision() >= from);
        let done = journal.retain(&Retention::new(vec![rule])).unwrap();
        done.rules[0].events
    };
    let receipts = stream().decide(Command::Deposit(5)).unwrap().receipts;
    let receipt = receipts.unwrap().receipt(0).unwrap();
    let kept = stream().load().unwrap();
    assert_eq!((kept.state.cents, kept.revision), (5, Some(1)));
    let snapshot = Snapshot::of(kept.state, journal.reader().id(), &receipt);

    // The stream goes on; but what it came to can't be told any more.
    assert_eq!(forget(1), 1);
    assert!(!snapshot.is_current(journal.reader()).unwrap());
    let refused = stream().load().unwrap_err();
    assert!(
        matches!(&refused, Error::Misuse(Misuse::Unreadable { sequence, .. }) if *sequence == receipt.sequence()),
        "{refused}"
    );
    assert!(snapshots.is_empty());

    // Nothing tells of it, so that another one begins.
    assert_eq!(forget(0), 1);
    snapshots.put("bank", "a1", snapshot);
    let none = stream().load().unwrap();
    assert_eq!((none.state, none.revision), (Balance::default(), None));
    stream().decide(Command::Open("eve")).unwrap();
    let begun = stream().decide(Command::Deposit(7)).unwrap();
    assert_eq!(begun.state.cents, 7);
    assert_eq!(stream().load().unwrap().revision, Some(1));
}

#[test]
fn a_batch_of_snapshots_is_bounded() {
    let journal = testing::journal();
    let snapshots = Snapshots::new(3);
    for number in 0..10 {
        let decision = journal.stream::<Balance>(format!("a{number}"));
        decision
            .snapshots(&snapshots)
            .decide(Command::Open("ada"))
            .unwrap();
        assert!(snapshots.len() <= 3);
    }
    let all = journal.reader().read(Query::all().tag("owner:ada"));
    assert_eq!(all.count(), 10);
}

/// Found elsewhere: an append that returned before it was durable while the documentation said otherwise,
/// and a durable wait that never caused a sync. Here the power goes right after each sort of append, and
/// whatever no sync had reached is lost.
#[test]
fn whichever_way_it_is_appended_it_is_durable_when_that_returns() {
    type Append = fn(&Journal);
    let appends: [(&str, Append); 5] = [
        ("append", |journal| {
            let event = journal.event("bank", "a1", &deposited(1)).unwrap();
            journal.append(event).unwrap();
        }),
        ("append_batch", |journal| {
            let events =
                [1, 2].map(|cents| journal.event("bank", "a1", &deposited(cents)).unwrap());
            journal.append_batch(&events).unwrap();
        }),
        ("append_if", |journal| {
            let event = journal.event("bank", "a1", &deposited(1)).unwrap();
            let nothing = Condition::nothing(Query::all().kind("ledger.frozen"));
            journal.append_if(&[event], &[nothing]).unwrap();
        }),
        ("decide", |journal| {
            let decision = journal.stream::<Balance>("a1");
            decision.decide(Command::Move(2, 1)).unwrap();
        }),
        ("advance", |journal| {
            let mut cursor = journal.cursor("consumers", "c").unwrap();
            let event = journal.event("bank", "a1", &deposited(1)).unwrap();
            cursor.advance(1, &[event]).unwrap();
        }),
    ];
    for (name, append) in appends {
        let fs = SimFs::new(1);
        let options = |fs: &SimFs| Options::new().file_system(fs.store());
        let options = |fs: &SimFs| options(fs).dangerous().without_housekeeper();
        let journal = Journal::create("j", options(&fs)).unwrap();
        journal
            .stream::<Balance>("a1")
            .decide(Command::Open("ada"))
            .unwrap();
        append(&journal);
        let acknowledged = journal.reader().len();
        let hash = |journal: &Journal| {
            let last = journal.reader().get(acknowledged - 1).unwrap();
            last.map(|event| event.hash())
        };
        let last = hash(&journal);
        let after = fs.power_cut(&PowerCut::new(Unsynced::Lost), 1);
        let again = Journal::open("j", options(&after)).unwrap();
        assert_eq!(hash(&again), last, "{name}");
    }
}
