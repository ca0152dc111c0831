//! Course booking: a course has so many seats and a student takes at most two courses; both rules hold in
//! one decision, though neither course nor student owns the other.

#![forbid(unsafe_code)]

use std::{
    collections::{HashMap, HashSet},
    io::Write,
};

use factlog::{
    Event, Journal, Query,
    typed::{DecideError, Decider},
};
use serde::{Deserialize, Serialize};

type Done = Result<(), Box<dyn std::error::Error>>;

#[derive(Clone, Debug, Serialize, Deserialize, Event)]
enum Booking {
    #[event(kind = "course.offered")]
    Offered {
        #[event(tag)]
        course: String,
        seats: usize,
    },
    #[event(kind = "course.booked")]
    Booked {
        #[event(tag)]
        course: String,
        #[event(tag)]
        student: String,
    },
}

/// What the events of a course and of a student come to.
#[derive(Clone, Debug, Default)]
struct Seats {
    offered: HashMap<String, usize>,
    booked: HashSet<(String, String)>,
}

struct Book {
    course: String,
    student: String,
}

impl Decider for Seats {
    const SCOPE: &'static str = "courses";
    type Event = Booking;
    type Command = Book;
    type Refusal = String;

    fn evolve(&mut self, event: Booking) {
        match event {
            Booking::Offered { course, seats } => {
                self.offered.insert(course, seats);
            }
            Booking::Booked { course, student } => {
                self.booked.insert((course, student));
            }
        }
    }

    fn decide(&self, Book { course, student }: &Book) -> Result<Vec<Booking>, String> {
        let Some(seats) = self.offered.get(course) else {
            return Err(format!("there is no course {course}"));
        };
        let taken = self.booked.iter().filter(|(one, _)| one == course).count();
        let takes = self.booked.iter().filter(|(_, one)| one == student).count();
        let booked = (course.clone(), student.clone());
        if self.booked.contains(&booked) {
            return Err(format!("{student} takes {course} already"));
        }
        if taken >= *seats {
            return Err(format!("{course} is full"));
        }
        if takes >= 2 {
            return Err(format!("{student} takes two courses"));
        }
        let (course, student) = booked;
        Ok(vec![Booking::Booked { course, student }])
    }
}

fn book(journal: &Journal, course: &str, student: &str) -> Result<(), DecideError<String>> {
    // What the decision rests on: all of this course, and the bookings of this student.
    let boundary = Query::all()
        .tag(format!("course:{course}"))
        .or()
        .kind("course.booked")
        .tag(format!("student:{student}"));
    let book = Book {
        course: course.to_owned(),
        student: student.to_owned(),
    };
    let decision = journal.boundary::<Seats>(student, boundary);
    decision.attempts(u32::MAX).decide(book).map(|_| ())
}

pub(crate) fn run(out: &mut dyn Write) -> Done {
    let journal = Journal::in_memory()?;
    for (course, seats) in [("algebra", 3), ("botany", 5), ("chess", 1)] {
        let offered = Booking::Offered {
            course: course.to_owned(),
            seats,
        };
        journal.append(journal.event("courses", course, &offered)?)?;
    }
    for (course, student) in [
        ("chess", "ada"),
        ("chess", "eve"),
        ("botany", "ada"),
        ("algebra", "ada"),
        ("zoology", "eve"),
    ] {
        match book(&journal, course, student) {
            Ok(()) => writeln!(out, "{student} takes {course}")?,
            Err(why) => writeln!(out, "{student}, {course}: {why}")?,
        }
    }
    // Twenty at once want the three seats of algebra.
    let got = std::thread::scope(|scope| {
        let journal = &journal;
        let students = (0..20).map(|number| {
            scope.spawn(move || book(journal, "algebra", &format!("student-{number}")).is_ok())
        });
        let students: Vec<_> = students.collect();
        let got = students.into_iter().map(|one| one.join().unwrap_or(false));
        got.filter(|got| *got).count()
    });
    writeln!(out, "of twenty at once, {got} got a seat")?;
    let booked = Query::all().kind("course.booked").tag("course:algebra");
    let booked = journal.reader().read(booked).count();
    writeln!(out, "algebra has {booked} bookings")?;
    Ok(())
}

#[allow(dead_code, reason = "the tests call `run`")]
fn main() -> Done {
    run(&mut std::io::stdout())
}
