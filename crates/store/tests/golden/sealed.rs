//! The golden journals that only a build with encryption makes.

use factlog::{Identity, OldSecrets, Provider, Rewrap, Shred};

use super::*;

fn stream(entity: &str) -> Selector {
    Selector::Stream {
        scope: "notes".to_owned(),
        entity: entity.to_owned(),
    }
}

/// A key for each stream. One was shredded and its ciphertext taken, of another one that is still there; a third is held.
pub(super) fn encrypted(making: Making) -> Golden {
    for number in 0..3 {
        for entity in ["ada", "bob", "eve"] {
            making.append(note(entity, &format!("page {number}")));
        }
    }
    let moved = NewEvent::new("notes", "eve", "note.moved");
    let moved = moved
        .section("from", Encoding::Raw, b"")
        .data(Encoding::Cbor, b"\x01");
    making.batch(&[moved, NewEvent::new("notes", "eve", "note.closed")]);
    let shred = |entity| {
        let shred = Shred::new(vec![stream(entity)], "request 17");
        making.journal.shred(&shred.actor("officer")).unwrap()
    };
    making.journal.hold(&[stream("eve")], "case 4").unwrap();
    shred("ada");
    let rule = RetentionRule::new("shredded", "can't be read any more");
    let done = making
        .journal
        .retain(&Retention::new(vec![rule.shredded()]));
    assert_eq!(done.unwrap().rules[0].events, 3);
    shred("bob");
    let next = Identity::generate(&[9; 32]).public();
    making
        .journal
        .rewrap_keyset(&Rewrap::new().recovery(next))
        .unwrap();
    making.append(note("eve", "after all that"));
    keep_key(making, KEY_FILE)
}

/// Two people in one event, of which one was forgotten, and with her everybody's secrets.
pub(super) fn subjects(making: Making) -> Golden {
    let made = |text: &'static str| {
        let event = NewEvent::new("bank", "transfers", "transfer.made");
        let event = event.section("payer", Encoding::Raw, text.as_bytes());
        let event = event
            .subject("ada")
            .section("payee", Encoding::Raw, b"to Bob");
        event.subject("bob")
    };
    making.append(made("from Ada"));
    making.append(made("from Ada again"));
    let next = Rewrap::new().provider(Provider::KeyFile("next.key".into()));
    let shred = Shred::new(vec![Selector::Subject("ada".to_owned())], "request 18");
    let shred = shred.replace_recipients(next.old_secrets(OldSecrets::Attested));
    making.journal.shred(&shred).unwrap();
    let paid = NewEvent::new("bank", "transfers", "transfer.paid");
    let paid = paid.data(Encoding::Raw, b"by Bob").subject("bob");
    making.append(paid);
    keep_key(making, "next.key")
}

fn keep_key(making: Making, path: &str) -> Golden {
    let mut golden = making.end();
    let text = content(golden.fs.as_ref(), Path::new(path));
    let text = String::from_utf8(text).unwrap();
    golden.beside.insert(KEY_FILE.to_owned(), text);
    golden
}
