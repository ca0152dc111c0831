//! A program of two crates whose event types claim one kind.

#![forbid(unsafe_code)]

use factlog::{Error, Event, Journal, Misuse, typed::RegistryProblem};
use serde::{Deserialize, Serialize};

/// An order, as the warehouse sees it.
#[derive(Debug, Serialize, Deserialize, Event)]
#[event(kind = "order.placed")]
struct Placed {
    pieces: u32,
}

#[test]
fn two_types_with_one_kind_in_two_crates_keep_the_journal_from_opening() {
    // Whoever links a crate uses it.
    let (here, there) = (
        Placed { pieces: 1 }.pieces,
        factlog_linked::Placed {
            article: String::new(),
        },
    );
    assert_eq!((here, there.article.len()), (1, 0));
    let Err(Error::Misuse(Misuse::Registry(problems))) = Journal::in_memory() else {
        panic!("it opened");
    };
    let types = vec!["factlog_linked::Placed", "registry::Placed"];
    let kind = "order.placed";
    assert_eq!(problems, [RegistryProblem::TwoTypes { kind, types }]);
}
