//! The example programs do what the guide shows.

use std::path::Path;

#[path = "../examples/access_log.rs"]
mod access_log;
#[allow(dead_code, reason = "its own test is run, and `main` with the chapter")]
#[path = "../examples/account.rs"]
mod account;
#[path = "../examples/agent.rs"]
mod agent;
#[path = "../examples/bank.rs"]
mod bank;
#[path = "../examples/courses.rs"]
mod courses;
#[path = "../examples/dashboard.rs"]
mod dashboard;
#[path = "../examples/service.rs"]
mod service;

type Run = fn(&mut dyn std::io::Write) -> Result<(), Box<dyn std::error::Error>>;

/// The text after the marker `<!-- output: name -->`, between the fences.
fn shown(name: &str) -> String {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guide/examples.md");
    let guide = std::fs::read_to_string(guide).unwrap();
    let marker = format!("<!-- output: {name} -->\n```text\n");
    let (_, rest) = guide.split_once(&marker).expect("the guide shows it");
    let (shown, _) = rest.split_once("```").expect("a fence ends");
    shown.to_owned()
}

fn check(name: &str, run: Run) {
    let mut out = Vec::new();
    run(&mut out).unwrap();
    assert_eq!(String::from_utf8(out).unwrap(), shown(name));
}

#[test]
fn the_bank_says_what_the_guide_shows() {
    check("bank", bank::run);
}

#[test]
fn the_course_booking_says_what_the_guide_shows() {
    check("courses", courses::run);
}

#[test]
fn the_agent_says_what_the_guide_shows() {
    check("agent", agent::run);
}

#[test]
fn the_dashboard_says_what_the_guide_shows() {
    check("dashboard", dashboard::run);
}

#[test]
fn the_access_log_says_what_the_guide_shows() {
    check("access_log", access_log::run);
}

#[test]
fn the_service_says_what_the_guide_shows() {
    check("service", service::run);
}

#[test]
fn the_first_chapter_shows_a_whole_program_of_less_than_60_lines() {
    let chapter = include_str!("../../../docs/guide/first-aggregate.md");
    let program = include_str!("../examples/account.rs");
    assert!(chapter.contains(&format!("```rust\n{program}```")));
    let own = program.lines().filter(|line| !line.trim().is_empty());
    assert!(own.count() < 60);
}
