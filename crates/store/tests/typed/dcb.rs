//! The examples of the specification of dynamic consistency boundaries (dcb.events), as decisions.

use std::collections::{HashMap, HashSet};

use factlog::{
    Condition, Conflict, Error, Event, Journal, Query, testing,
    typed::{DecideError, Decider, TypedEvent},
};
use serde::{Deserialize, Serialize};

/// Decides on a boundary, and gives the refusal if there is one.
fn decide<D: Decider + Clone>(
    journal: &Journal,
    entity: &str,
    boundary: Query<'_>,
    command: D::Command,
) -> Result<(), D::Refusal> {
    match journal.boundary::<D>(entity, boundary).decide(command) {
        Ok(_) => Ok(()),
        Err(DecideError::Refused(why)) => Err(why),
        Err(_) => panic!("it was neither decided nor refused"),
    }
}

mod courses {
    //! Course subscriptions: a course has so many seats, a student takes at most five courses.

    use super::*;

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Event)]
    pub(crate) enum Happened {
        #[event(kind = "course.defined")]
        Defined {
            #[event(tag)]
            course: String,
            seats: u32,
        },
        #[event(kind = "course.seats_changed")]
        SeatsChanged {
            #[event(tag)]
            course: String,
            seats: u32,
        },
        #[event(kind = "course.student_subscribed")]
        Subscribed {
            #[event(tag)]
            course: String,
            #[event(tag)]
            student: String,
        },
    }

    pub(crate) enum Command<'a> {
        Define(&'a str, u32),
        Change(&'a str, u32),
        Subscribe(&'a str, &'a str),
    }

    #[derive(Clone, Default)]
    pub(crate) struct Courses {
        seats: HashMap<String, u32>,
        subscribed: HashSet<(String, String)>,
    }

    impl Courses {
        fn of_course(&self, course: &str) -> usize {
            self.subscribed
                .iter()
                .filter(|(one, _)| one == course)
                .count()
        }

        fn of_student(&self, student: &str) -> usize {
            self.subscribed
                .iter()
                .filter(|(_, one)| one == student)
                .count()
        }
    }

    /// So that commands may borrow.
    #[derive(Clone, Default)]
    pub(crate) struct Decides<'a>(Courses, std::marker::PhantomData<&'a ()>);

    impl<'a> Decider for Decides<'a> {
        const SCOPE: &'static str = "courses";
        type Event = Happened;
        type Command = Command<'a>;
        type Refusal = &'static str;

        fn evolve(&mut self, event: Happened) {
            match event {
                Happened::Defined { course, seats } | Happened::SeatsChanged { course, seats } => {
                    self.0.seats.insert(course, seats);
                }
                Happened::Subscribed { course, student } => {
                    self.0.subscribed.insert((course, student));
                }
            }
        }

        fn decide(&self, command: &Command<'a>) -> Result<Vec<Happened>, &'static str> {
            let seats = |course: &str| self.0.seats.get(course).copied();
            Ok(vec![match *command {
                Command::Define(course, _) if seats(course).is_some() => {
                    return Err("the course exists");
                }
                Command::Define(course, seats) => Happened::Defined {
                    course: course.to_owned(),
                    seats,
                },
                Command::Change(course, new) => match seats(course) {
                    None => return Err("there is no such course"),
                    Some(old) if old == new => return Err("it has so many seats"),
                    Some(_) => Happened::SeatsChanged {
                        course: course.to_owned(),
                        seats: new,
                    },
                },
                Command::Subscribe(course, student) => {
                    let Some(seats) = seats(course) else {
                        return Err("there is no such course");
                    };
                    let pair = (course.to_owned(), student.to_owned());
                    if self.0.of_course(course) >= seats as usize {
                        return Err("the course is full");
                    }
                    if self.0.subscribed.contains(&pair) {
                        return Err("the student takes it already");
                    }
                    if self.0.of_student(student) >= 5 {
                        return Err("the student takes five courses");
                    }
                    let (course, student) = pair;
                    Happened::Subscribed { course, student }
                }
            }])
        }
    }

    pub(crate) fn run(journal: &Journal, command: Command<'_>) -> Result<(), &'static str> {
        let (entity, boundary) = match command {
            Command::Define(course, _) | Command::Change(course, _) => {
                let seats = Query::all()
                    .kind("course.defined")
                    .kind("course.seats_changed");
                (course, seats.tag(format!("course:{course}")))
            }
            Command::Subscribe(course, student) => {
                let course = Query::all().tag(format!("course:{course}"));
                let both = course.or().kind("course.student_subscribed");
                (student, both.tag(format!("student:{student}")))
            }
        };
        decide::<Decides<'_>>(journal, entity, boundary, command)
    }
}

#[test]
fn course_subscriptions() {
    use courses::{Command::*, run};
    let journal = testing::journal();
    assert_eq!(run(&journal, Define("c1", 2)), Ok(()));
    assert_eq!(run(&journal, Define("c1", 5)), Err("the course exists"));
    assert_eq!(run(&journal, Define("c2", 10)), Ok(()));
    assert_eq!(
        run(&journal, Change("c0", 3)),
        Err("there is no such course")
    );
    assert_eq!(run(&journal, Change("c1", 2)), Err("it has so many seats"));
    assert_eq!(
        run(&journal, Subscribe("c0", "s1")),
        Err("there is no such course")
    );
    assert_eq!(run(&journal, Subscribe("c1", "s1")), Ok(()));
    assert_eq!(
        run(&journal, Subscribe("c1", "s1")),
        Err("the student takes it already")
    );
    assert_eq!(run(&journal, Subscribe("c1", "s2")), Ok(()));
    assert_eq!(
        run(&journal, Subscribe("c1", "s3")),
        Err("the course is full")
    );
    assert_eq!(run(&journal, Change("c1", 3)), Ok(()));
    assert_eq!(run(&journal, Subscribe("c1", "s3")), Ok(()));
    for course in ["c2", "c3", "c4", "c5"] {
        if course != "c2" {
            assert_eq!(run(&journal, Define(course, 10)), Ok(()));
        }
        assert_eq!(run(&journal, Subscribe(course, "s1")), Ok(()));
    }
    assert_eq!(run(&journal, Define("c6", 10)), Ok(()));
    assert_eq!(
        run(&journal, Subscribe("c6", "s1")),
        Err("the student takes five courses")
    );
    assert_eq!(run(&journal, Subscribe("c6", "s2")), Ok(()));
}

/// A decision on one course isn't in the way of one on another.
#[test]
fn boundaries_that_do_not_meet_do_not_conflict() {
    use courses::Happened;
    let journal = testing::journal();
    let subscribed = |course: &str, student: &str| Happened::Subscribed {
        course: course.to_owned(),
        student: student.to_owned(),
    };
    let boundary = |course: &str| {
        Query::all()
            .kinds_of::<Happened>()
            .tag(format!("course:{course}"))
    };
    let read = journal.reader().read(boundary("c1"));
    let end = read.end();
    let other = journal
        .event("courses", "s2", &subscribed("c2", "s2"))
        .unwrap();
    journal.append(other).unwrap();
    let append = |course: &str| {
        let event = journal
            .event("courses", "s1", &subscribed(course, "s1"))
            .unwrap();
        journal.append_if(&[event], &[Condition::nothing(boundary(course).from(end))])
    };
    append("c1").unwrap();
    match append("c2") {
        Err(Error::Conflict(Conflict::Boundary { .. })) => {}
        other => panic!("{other:?}"),
    }
}

mod users {
    //! Unique usernames: one is free again when its account is closed, and taken again by a change of name.

    use super::*;

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Event)]
    pub(crate) enum User {
        #[event(kind = "account.registered")]
        Registered {
            #[event(tag)]
            username: String,
        },
        #[event(kind = "account.closed")]
        Closed {
            #[event(tag)]
            username: String,
        },
        #[event(kind = "username.changed")]
        Changed {
            #[event(tag = "username")]
            old: String,
            #[event(tag = "username")]
            new: String,
        },
    }

    #[derive(Clone, Default)]
    pub(crate) struct Names(HashSet<String>);

    impl Decider for Names {
        const SCOPE: &'static str = "users";
        type Event = User;
        type Command = User;
        type Refusal = String;

        fn evolve(&mut self, event: User) {
            match event {
                User::Registered { username } => {
                    self.0.insert(username);
                }
                User::Closed { username } => {
                    self.0.remove(&username);
                }
                User::Changed { old, new } => {
                    self.0.remove(&old);
                    self.0.insert(new);
                }
            }
        }

        fn decide(&self, command: &User) -> Result<Vec<User>, String> {
            let wanted = match command {
                User::Registered { username } => username,
                User::Changed { new, .. } => new,
                User::Closed { .. } => return Ok(vec![command.clone()]),
            };
            match self.0.contains(wanted) {
                true => Err(format!("{wanted} is taken")),
                false => Ok(vec![command.clone()]),
            }
        }
    }
}

#[test]
fn unique_usernames() {
    use users::{Names, User};
    let journal = testing::journal();
    let run = |event: User| {
        let tags = event.tags();
        let mut boundary = Query::all();
        for (at, tag) in tags.into_iter().enumerate() {
            boundary = if at > 0 { boundary.or() } else { boundary }.tag(tag);
        }
        decide::<Names>(&journal, "user", boundary, event)
    };
    let registered = |name: &str| User::Registered {
        username: name.to_owned(),
    };
    let closed = |name: &str| User::Closed {
        username: name.to_owned(),
    };
    let changed = |old: &str, new: &str| User::Changed {
        old: old.to_owned(),
        new: new.to_owned(),
    };
    assert_eq!(run(registered("ada")), Ok(()));
    assert_eq!(run(registered("ada")), Err("ada is taken".to_owned()));
    assert_eq!(run(registered("eve")), Ok(()));
    assert_eq!(run(changed("eve", "ada")), Err("ada is taken".to_owned()));
    assert_eq!(run(changed("ada", "lovelace")), Ok(()));
    assert_eq!(run(registered("ada")), Ok(()));
    assert_eq!(
        run(registered("lovelace")),
        Err("lovelace is taken".to_owned())
    );
    assert_eq!(run(closed("lovelace")), Ok(()));
    assert_eq!(run(registered("lovelace")), Ok(()));
}

mod invoices {
    //! Invoice numbers without gaps: each invoice has the number after that of the last one.

    use super::*;

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Event)]
    #[event(kind = "invoice.created")]
    pub(crate) struct Created {
        pub(crate) number: u64,
    }

    #[derive(Clone, Default)]
    pub(crate) struct Invoices {
        pub(crate) last: u64,
    }

    impl Decider for Invoices {
        const SCOPE: &'static str = "invoices";
        type Event = Created;
        type Command = ();
        type Refusal = ();

        fn evolve(&mut self, event: Created) {
            self.last = event.number;
        }

        fn decide(&self, (): &()) -> Result<Vec<Created>, ()> {
            let number = self.last + 1;
            Ok(vec![Created { number }])
        }
    }
}

#[test]
fn invoice_numbers_have_no_gaps_whoever_writes_them() {
    use invoices::{Created, Invoices};
    let journal = Journal::in_memory().unwrap();
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let journal = &journal;
            scope.spawn(move || {
                for _ in 0..10 {
                    let decision =
                        journal.boundary::<Invoices>(format!("writer-{writer}"), Query::all());
                    decision.attempts(u32::MAX).decide(()).unwrap();
                }
            });
        }
    });
    let stored = journal.reader().read(Query::all().kinds_of::<Created>());
    let numbers = stored.map(|event| {
        Created::read(&event.unwrap())
            .unwrap()
            .known()
            .unwrap()
            .number
    });
    assert!(numbers.eq(1..=40));
}

mod tokens {
    //! Opt-in tokens: a sign-up is confirmed by the token that was sent, once.

    use super::*;

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Event)]
    pub(crate) enum SignUp {
        #[event(kind = "signup.initiated")]
        Initiated {
            #[event(tag)]
            email: String,
            #[event(tag)]
            token: String,
            name: String,
            until: i64,
        },
        #[event(kind = "signup.confirmed")]
        Confirmed {
            #[event(tag)]
            email: String,
            #[event(tag)]
            token: String,
            name: String,
        },
    }

    /// The time of the confirmation.
    pub(crate) struct Confirm(pub(crate) i64);

    #[derive(Clone, Default)]
    pub(crate) struct Pending {
        initiated: Option<(String, String, String, i64)>,
        used: bool,
    }

    impl Decider for Pending {
        const SCOPE: &'static str = "signups";
        type Event = SignUp;
        type Command = Confirm;
        type Refusal = &'static str;

        fn evolve(&mut self, event: SignUp) {
            match event {
                SignUp::Initiated {
                    email,
                    token,
                    name,
                    until,
                } => self.initiated = Some((email, token, name, until)),
                SignUp::Confirmed { .. } => self.used = true,
            }
        }

        fn decide(&self, now: &Confirm) -> Result<Vec<SignUp>, &'static str> {
            match &self.initiated {
                None => Err("no such token was sent to this address"),
                Some(_) if self.used => Err("the token was used"),
                Some((.., until)) if now.0 > *until => Err("the token has expired"),
                Some((email, token, name, _)) => Ok(vec![SignUp::Confirmed {
                    email: email.clone(),
                    token: token.clone(),
                    name: name.clone(),
                }]),
            }
        }
    }
}

#[test]
fn opt_in_tokens() {
    use tokens::{Confirm, Pending, SignUp};
    let journal = testing::journal();
    for (email, token) in [("ada@example.com", "111111"), ("eve@example.com", "222222")] {
        let initiated = SignUp::Initiated {
            email: email.to_owned(),
            token: token.to_owned(),
            name: "A".to_owned(),
            until: 60,
        };
        let event = journal.event("signups", email, &initiated).unwrap();
        journal.append(event).unwrap();
    }
    let run = |email: &str, token: &str, now| {
        let sent = Query::all()
            .tag(format!("email:{email}"))
            .tag(format!("token:{token}"));
        decide::<Pending>(&journal, email, sent, Confirm(now))
    };
    let unknown = Err("no such token was sent to this address");
    assert_eq!(run("ada@example.com", "000000", 0), unknown);
    assert_eq!(run("ada@example.com", "222222", 0), unknown);
    assert_eq!(
        run("eve@example.com", "222222", 61),
        Err("the token has expired")
    );
    assert_eq!(run("ada@example.com", "111111", 30), Ok(()));
    assert_eq!(
        run("ada@example.com", "111111", 30),
        Err("the token was used")
    );
}

mod once {
    //! No record twice: a client names each request, and sends it again if it heard nothing.

    use super::*;

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Event)]
    #[event(kind = "request.placed")]
    pub(crate) struct Placed {
        #[event(tag)]
        pub(crate) request: String,
        pub article: String,
    }

    #[derive(Clone, Default)]
    pub(crate) struct Orders(bool);

    impl Decider for Orders {
        const SCOPE: &'static str = "orders";
        type Event = Placed;
        type Command = Placed;
        type Refusal = &'static str;

        fn evolve(&mut self, _: Placed) {
            self.0 = true;
        }

        fn decide(&self, order: &Placed) -> Result<Vec<Placed>, &'static str> {
            match self.0 {
                true => Err("the request was sent again"),
                false => Ok(vec![order.clone()]),
            }
        }
    }
}

#[test]
fn a_request_that_is_sent_again_is_no_second_record() {
    use once::{Orders, Placed};
    let journal = testing::journal();
    let order = |request: &str, article: &str| Placed {
        request: request.to_owned(),
        article: article.to_owned(),
    };
    // As the specification has it: the request's name is a tag, and the repeat is refused.
    let run = |order: Placed| {
        let same = Query::all().tag(format!("request:{}", order.request));
        decide::<Orders>(&journal, "client-1", same, order)
    };
    assert_eq!(run(order("r1", "tea")), Ok(()));
    assert_eq!(run(order("r1", "tea")), Err("the request was sent again"));
    assert_eq!(run(order("r2", "tea")), Ok(()));
    // With a key the repeat is answered as the first time, and another request under it is not.
    let keyed = |order: Placed| {
        let same = Query::all().tag(format!("request:{}", order.request));
        let decision = journal.boundary::<Orders>("client-1", same).key("k3");
        decision
            .decide(order)
            .map(|decided| decided.receipts.unwrap())
    };
    let first = keyed(order("r3", "cup")).unwrap();
    let again = keyed(order("r3", "cup")).unwrap();
    assert_eq!((first.already(), again.already()), (false, true));
    assert_eq!(first.first_sequence(), again.first_sequence());
    let other = keyed(order("r3", "pot"));
    let reused = matches!(
        other,
        Err(DecideError::Journal(Error::Conflict(
            Conflict::IdReused { .. }
        )))
    );
    assert!(reused, "{other:?}");
    let placed = journal.reader().read(Query::all().kinds_of::<Placed>());
    assert_eq!(placed.count(), 3);
}
