//! The built command on a failing system: `strace` lets each call fail in turn, and a small `tmpfs`
//! gets really full. What this machine lacks says so.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use crate::support::{Place, Ran};

/// Calls that change or guard what is on disk.
const CALLS: &[&str] = &[
    "write",
    "pwrite64",
    "fsync",
    "fdatasync",
    "rename",
    "renameat",
    "renameat2",
    "openat",
    "mkdir",
    "mkdirat",
    "ftruncate",
    "fallocate",
    "flock",
    "unlink",
    "unlinkat",
];

const APPEND: &[&str] = &[
    "append",
    "j",
    "bank/a",
    "account.noted",
    "--data",
    "\"new\"",
    "--json",
];

fn has(program: &str) -> bool {
    let mut command = Command::new(program);
    command
        .arg("-V")
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// A signed journal with an event.
fn place() -> Place {
    let place = Place::with_journal();
    place.append("bank/a", "account.noted", "\"old\"");
    place
}

fn traced(place: &Place, options: &[&str]) -> Ran {
    let mut command = place.command("strace");
    command.args(["-f", "-y", "-o", "trace"]).args(options);
    command.arg(env!("CARGO_BIN_EXE_factlog")).args(APPEND);
    Ran::of(command.output().unwrap())
}

/// For each call, which of its uses concern this place.
fn uses(place: &Place) -> BTreeMap<&'static str, Vec<usize>> {
    let all = format!("trace={}", CALLS.join(","));
    traced(place, &["-e", &all]).exits(0);
    let trace = std::fs::read_to_string(place.path("trace")).unwrap();
    let home = place.path("");
    let home = home.to_str().unwrap().trim_end_matches('/');
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut found: BTreeMap<&'static str, Vec<usize>> = BTreeMap::new();
    for line in trace.lines() {
        let Some((_, call)) = line.split_once(' ') else {
            continue;
        };
        let name = call.trim_start().split('(').next().unwrap_or_default();
        let Some(name) = CALLS.iter().find(|known| **known == name) else {
            continue;
        };
        let count = counts.entry(name).or_default();
        *count += 1;
        let relative = ["\"j/", "\"j\"", "\"./j"]
            .iter()
            .any(|path| call.contains(path));
        if call.contains(home) || relative {
            found.entry(name).or_default().push(*count);
        }
    }
    found
}

#[test]
fn whichever_system_call_fails_nothing_acknowledged_is_lost() {
    if !has("strace") {
        println!("not run: there is no strace here");
        return;
    }
    let uses = uses(&place());
    let (mut refused, mut done) = (0, 0);
    for (call, ordinals) in &uses {
        for ordinal in ordinals {
            // Not a copy: what a user's folders say of keys names places.
            let place = place();
            let fault = format!("inject={call}:error=EIO:when={ordinal}");
            let ran = traced(&place, &["-e", &fault]);
            let what = format!("{call} {ordinal}: {}{}", ran.stdout, ran.stderr);
            let acknowledged = ran.code == 0;
            if acknowledged {
                done += 1;
            } else {
                refused += 1;
                assert!((1..=7).contains(&ran.code), "{what}");
                let code = ran.error()["code"].as_str().unwrap_or_default().to_owned();
                assert!(code.contains('.'), "no code: {what}");
            }
            // What was there is; the new event if it was acknowledged.
            let log = place
                .run(&["log", "j", "--stream", "bank/a", "--json"])
                .exits(0);
            let events = log.objects().len();
            assert!((1..=2).contains(&events), "{events} events; {what}");
            assert!(
                !acknowledged || events == 2,
                "acknowledged and lost: {what}"
            );
            // It opens again, goes on, and verifies.
            for again in [APPEND, &["verify", "j"]] {
                let ran = place.run(again);
                assert_eq!(ran.code, 0, "{what}\n{}{}", ran.stdout, ran.stderr);
            }
        }
    }
    let kinds: Vec<&str> = uses.keys().copied().collect();
    let kinds = kinds.join(", ");
    println!("{refused} calls failed the append, {done} did not: {kinds}");
    assert!(
        refused > 10,
        "{refused} calls failed the append, {done} did not"
    );
}

#[test]
fn a_really_full_file_system_refuses_appends_and_loses_nothing() {
    let place = Place::new();
    std::fs::create_dir(place.path("small")).unwrap();
    let mount = |options: &str| {
        let mut command = place.command("mount");
        command.args(["-t", "tmpfs", "-o", options, "factlog-test", "small"]);
        command
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    };
    if !mount("size=2m") {
        println!("not run: no file system can be mounted here");
        return;
    }
    let _unmount = Unmount(&place);
    place.run(&["init", "small/j"]).exits(0);
    let lines: String = (0..5000)
        .map(|n| {
            format!(
                "{{\"id\":\"{n}\",\"k\":\"a.b\",\"text\":\"{}\"}}\n",
                "x".repeat(900)
            )
        })
        .collect();
    let import = [
        "import", "small/j", "lines", "--format", "jsonl", "--scope", "s", "--entity", "id",
        "--kind", "k", "--id", "id", "--json",
    ];
    let few: String = lines
        .lines()
        .take(500)
        .flat_map(|line| [line, "\n"])
        .collect();
    place.write("lines", few);
    place.run(&import).exits(0);
    place.write("lines", lines);
    let ran = place.run(&import).exits(1);
    assert_eq!(ran.error()["code"], "disk.full", "{}", ran.stderr);
    place.run(&["verify", "small/j"]).exits(0);
    let count = |ran: Ran| ran.objects().len();
    let before = count(
        place
            .run(&["log", "small/j", "--scope", "s", "--json"])
            .exits(0),
    );
    assert_eq!(before, 500);
    // With room again it goes on where it stopped.
    assert!(mount("remount,size=64m"));
    place.run(&import).exits(0);
    assert_eq!(
        count(
            place
                .run(&["log", "small/j", "--scope", "s", "--json"])
                .exits(0)
        ),
        5000
    );
    place.run(&["verify", "small/j"]).exits(0);
}

struct Unmount<'p>(&'p Place);

impl Drop for Unmount<'_> {
    fn drop(&mut self) {
        let _ = self.0.command("umount").arg("small").status();
    }
}
