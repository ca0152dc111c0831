//! A program whose event types contradict each other, as it would be linked from crates that don't know of
//! each other. All of its journals are refused, so nothing else can be tested here.

use std::{path::Path, sync::Arc};

use factlog::{
    Error, Event, Journal, Misuse, Options, RegistryCheck,
    typed::{EventType, RegistryProblem, Upcast, inventory, verify_registry},
};
use factlog_fs::{MemFs, StoreFs};
use serde::{Deserialize, Serialize};

mod sales {
    use super::*;

    #[derive(Serialize, Deserialize, Event)]
    #[event(kind = "order.placed")]
    #[expect(dead_code, reason = "it is enough that it is linked")]
    struct Placed {
        article: String,
    }
}

mod logistics {
    use super::*;

    #[derive(Serialize, Deserialize, Event)]
    #[expect(dead_code, reason = "it is enough that it is linked")]
    enum Order {
        #[event(kind = "order.placed")]
        Placed { pieces: u32 },
        #[event(kind = "order.packed")]
        Packed,
    }
}

// The derive refuses these when it is compiled; other macros and hands may not.
inventory::submit! {
    EventType {
        kind: "price.set",
        version: 4,
        rust_type: "by_hand::PriceSet",
        upcasts: &[Upcast { from: 1, step: Ok }, Upcast { from: 3, step: Ok }],
    }
}

inventory::submit! {
    EventType {
        kind: "price.dropped",
        version: 0,
        rust_type: "by_hand::PriceDropped",
        upcasts: &[Upcast { from: 1, step: Ok }],
    }
}

fn expected() -> Vec<RegistryProblem> {
    let two = RegistryProblem::TwoTypes {
        kind: "order.placed",
        types: vec![
            "registry::logistics::Order::Placed",
            "registry::sales::Placed",
        ],
    };
    let dropped = ("price.dropped", "by_hand::PriceDropped");
    vec![
        two,
        RegistryProblem::NoVersion {
            kind: dropped.0,
            rust_type: dropped.1,
        },
        RegistryProblem::ExtraStep {
            kind: dropped.0,
            rust_type: dropped.1,
            from: 1,
            version: 0,
        },
        RegistryProblem::MissingStep {
            kind: "price.set",
            rust_type: "by_hand::PriceSet",
            from: 2,
            version: 4,
        },
    ]
}

fn options(fs: &Arc<MemFs>, check: RegistryCheck) -> Options {
    let fs: Arc<MemFs> = Arc::clone(fs);
    Options::new().file_system(fs).registry_check(check)
}

#[test]
fn all_that_is_wrong_is_said_at_once_and_says_what_to_do() {
    match verify_registry() {
        Err(Misuse::Registry(problems)) => assert_eq!(problems, expected()),
        other => panic!("{other:?}"),
    }
    let text = verify_registry().unwrap_err().to_string();
    for part in [
        "the kind order.placed is claimed by registry::logistics::Order::Placed and by \
         registry::sales::Placed; give each type a kind of its own",
        "events of kind price.set can't be read from version 2 on: by_hand::PriceSet is at version 4 \
         and has no upcast from 2 to 3",
    ] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn no_journal_is_opened_or_made_unless_it_is_said_that_it_may() {
    let fs = Arc::new(MemFs::new());
    let refused = |error: Error| {
        assert_eq!(error.code(), "registry.invalid");
    };
    let dir = Path::new("j");
    refused(Journal::create(dir, options(&fs, RegistryCheck::Fail)).unwrap_err());
    assert_eq!(fs.metadata(dir).unwrap(), None, "nothing was made");

    let journal = Journal::create(dir, options(&fs, RegistryCheck::Warn)).unwrap();
    assert_eq!(journal.registry_problems(), expected());
    journal.close().unwrap();
    refused(Journal::open(dir, options(&fs, RegistryCheck::Fail)).unwrap_err());
    refused(Journal::open_read_only(dir, options(&fs, RegistryCheck::Fail)).unwrap_err());

    let journal = Journal::open(dir, options(&fs, RegistryCheck::Off)).unwrap();
    assert_eq!(journal.registry_problems(), []);
}
