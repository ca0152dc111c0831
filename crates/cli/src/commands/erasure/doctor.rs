use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;

use anyhow::Result;
use factlog::{Event, JournalEvent, Query, Reader};
use serde::Serialize;

use crate::exit::Exit;
use crate::kek;
use crate::opening::{self, NO_RECOVERY};
use crate::output::{Output, note, shown};

/// How many different names are told of at most.
const MOST: usize = 1000;

/// Look for what would be regretted later: names that look like personal data, a keyset that one loss ends
#[derive(clap::Args)]
#[command(before_help = "\
Examples:
  factlog doctor ledger
  factlog doctor ledger --kek file:ledger.kek --json

Scopes, entities, kinds, tags, actors, names of sections, and the reasons and actors of shreds and holds stay readable
for good, whatever is shredded. What looks like personal data is a guess: look at it. The keys are looked through with
--kek alone. Exit 0, whatever is found.")]
pub(crate) struct Args {
    /// The journal's directory
    dir: PathBuf,
}

#[derive(Serialize)]
struct Json<'a> {
    schema: &'static str,
    check: &'static str,
    /// What it is about: a name as it stands in the journal, or a recipient.
    about: Option<&'a str>,
    /// The first event that shows it.
    sequence: Option<u64>,
    why: &'a str,
}

pub(crate) fn run(args: &Args, out: &mut Output) -> Result<Exit> {
    let reader = opening::reader(&args.dir)?;
    let mut count = keyset(&reader, out)?;
    count += names(&reader, out)?;
    if count == 0 && !out.is_json() {
        note("Nothing was found.");
    }
    if !kek::is_given() && reader.keyset().is_ok() {
        note("The keys were not looked through: --kek unlocks them.");
    }
    Ok(Exit::Done)
}

fn tell(out: &mut Output, json: &Json<'_>) -> Result<()> {
    if out.is_json() {
        return out.object(json);
    }
    let about = json
        .about
        .map_or(String::new(), |about| format!("{}: ", shown(about)));
    let at = json
        .sequence
        .map_or(String::new(), |at| format!(" (event {at})"));
    out.line(format!("{about}{}{at}", json.why))
}

fn keyset(reader: &Reader, out: &mut Output) -> Result<usize> {
    let info = match reader.keyset() {
        Err(error) if error.code() == "journal.not_encrypted" => return Ok(0),
        info => info?,
    };
    if kek::is_given() {
        reader.check_keyset()?;
    }
    if info.has_recovery() {
        return Ok(0);
    }
    let json = Json {
        schema: "factlog.doctor/1",
        check: "recovery_recipient",
        about: None,
        sequence: None,
        why: NO_RECOVERY,
    };
    tell(out, &json)?;
    Ok(1)
}

fn names(reader: &Reader, out: &mut Output) -> Result<usize> {
    let mut seen = BTreeSet::new();
    for event in reader.read(Query::all()) {
        let event = event?;
        let Some(facts) = event.facts() else {
            continue;
        };
        let mut found: Vec<String> = facts.actor.into_iter().map(str::to_owned).collect();
        match reason(&event, facts.scope, facts.kind) {
            Some(reason) => found.push(reason),
            None if facts.scope.starts_with('$') => {}
            None => {
                let names = [facts.scope, facts.entity, facts.kind].into_iter();
                let sections = facts.sections.iter().map(|row| row.name);
                let names = names.chain(facts.tags.iter()).chain(sections);
                found.extend(names.map(str::to_owned));
            }
        }
        for name in found {
            let Some(why) = looks_personal(&name).filter(|_| !seen.contains(&name)) else {
                continue;
            };
            seen.insert(name.clone());
            let json = Json {
                schema: "factlog.doctor/1",
                check: "personal_name",
                about: Some(&name),
                sequence: Some(event.sequence()),
                why,
            };
            tell(out, &json)?;
            if seen.len() == MOST {
                note(format!(
                    "There may be more: no more than {MOST} names are told."
                ));
                return Ok(MOST);
            }
        }
    }
    Ok(seen.len())
}

/// The reason of a shred or a hold.
fn reason(event: &Event, scope: &str, kind: &str) -> Option<String> {
    let bytes = event.data().filter(|_| scope == "$journal")?;
    match JournalEvent::decode(kind, bytes.bytes()?).ok()? {
        JournalEvent::ShredIntended(intended) => Some(intended.reason),
        JournalEvent::HoldPlaced(placed) => Some(placed.reason),
        JournalEvent::HoldLifted(lifted) => Some(lifted.reason),
        _ => None,
    }
}

/// What a name looks like, if that is something about a person.
fn looks_personal(name: &str) -> Option<&'static str> {
    // A tag often says what it holds.
    let (word, value) = name.split_once([':', '=']).unwrap_or(("", name));
    let told = [
        "name", "surname", "email", "mail", "phone", "address", "birthday", "ssn",
    ];
    let digits = || value.chars().filter_map(|c| c.to_digit(10));
    let is_number = value
        .chars()
        .all(|c| c.is_ascii_digit() || " -/().+".contains(c));
    let count = digits().count();
    let parts = value.chars().any(|c| " -/()".contains(c));
    if is_mail(value) {
        Some("looks like an e-mail address")
    } else if told.contains(&word.to_ascii_lowercase().as_str()) {
        Some("says that it holds something about a person")
    } else if [name, value]
        .iter()
        .any(|text| text.parse::<IpAddr>().is_ok())
    {
        Some("looks like the address of a computer, which can be a person's")
    } else if is_number && (13..=19).contains(&count) && luhn(digits()) {
        Some("looks like the number of a card")
    } else if is_number
        && (8..=15).contains(&count)
        && (value.starts_with('+') || parts && value.starts_with('0'))
    {
        Some("looks like a telephone number")
    } else if is_iban(value) {
        Some("looks like the number of an account at a bank")
    } else if is_person(value) {
        Some("looks like a person's name")
    } else if name.contains(' ') && name.split(' ').any(is_mail) {
        Some("holds what looks like an e-mail address")
    } else {
        None
    }
}

fn is_mail(text: &str) -> bool {
    let domain = text.split_once('@').filter(|(user, _)| !user.is_empty());
    domain.is_some_and(|(_, domain)| {
        let ends = domain.rsplit_once('.');
        ends.is_some_and(|(host, top)| !host.is_empty() && top.len() >= 2)
    })
}

fn luhn(digits: impl Iterator<Item = u32>) -> bool {
    let digits: Vec<u32> = digits.collect();
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(at, digit)| match (at % 2, digit * 2) {
            (0, _) => *digit,
            (_, twice) => twice / 10 + twice % 10,
        })
        .sum();
    sum.is_multiple_of(10)
}

fn is_iban(text: &str) -> bool {
    let text: String = text.chars().filter(|c| *c != ' ').collect();
    let whole = (15..=34).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric());
    let Some((country, rest)) = text.split_at_checked(4).filter(|_| whole) else {
        return false;
    };
    let begins = country.chars().enumerate().all(|(at, c)| match at {
        0 | 1 => c.is_ascii_uppercase(),
        _ => c.is_ascii_digit(),
    });
    let value = |c: char| c.to_digit(36).unwrap_or(0);
    let checked = rest
        .chars()
        .chain(country.chars())
        .fold(0u32, |sum, c| match value(c) {
            digit @ 0..10 => (sum * 10 + digit) % 97,
            letter => (sum * 100 + letter) % 97,
        });
    begins && checked == 1
}

/// Two to four words, each with one capital letter in front.
fn is_person(text: &str) -> bool {
    let words: Vec<&str> = text.split([' ', '_', '.']).collect();
    let is_name = |word: &&str| {
        let mut letters = word.chars();
        letters.next().is_some_and(char::is_uppercase)
            && word.chars().count() > 1
            && letters.all(|c| c.is_lowercase() || c == '-' || c == '\'')
    };
    (2..=4).contains(&words.len()) && words.iter().all(is_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_apart_from_what_looks_like_a_person() {
        for personal in [
            "ada@example.com",
            "email:x",
            "Name=ada",
            "Ada Lovelace",
            "Jean_Luc_Picard",
            "Élise Dupont",
            "+44 20 7946 0958",
            "030 / 901820-0",
            "4111 1111 1111 1111",
            "DE89 3704 0044 0532 0130 00",
            "192.0.2.7",
            "2001:db8::1",
        ] {
            assert!(looks_personal(personal).is_some(), "{personal}");
        }
        for plain in [
            "bank",
            "account-7",
            "customer-4711",
            "order:2024-11-30",
            "2024-11-30T12:00:00Z",
            "eu-central-1",
            "20241130",
            "4111111111111112",
            "DE88370400440532013000",
            "user@host",
            "ada",
            "North America East Coast Region",
            "018f0000-0000-7000-8000-000000000001",
            "v1.2.3",
        ] {
            assert_eq!(looks_personal(plain), None, "{plain}");
        }
    }
}
