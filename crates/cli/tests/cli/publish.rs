//! What is published can be checked by others' tools, and receipts against it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use tlog_tiles::{
    Hash, HashReader, TileHashReader, TileReader, check_record, check_tree, prove_record,
    prove_tree, record_hash, stored_hash_index,
};

use crate::support::{Place, files};

/// A published folder, read as the other implementation wants it.
struct Folder<'f>(&'f Path);

impl TileReader for Folder<'_> {
    fn height(&self) -> u8 {
        8
    }

    fn read_tiles(&self, tiles: &[tlog_tiles::Tile]) -> Result<Vec<Vec<u8>>, tlog_tiles::Error> {
        let read = |tile: &tlog_tiles::Tile| {
            // Its path begins with the tile's height, which C2SP leaves out.
            let path = tile.path().replacen("tile/8/", "tile/", 1);
            Ok(fs::read(self.0.join(path)).unwrap())
        };
        tiles.iter().map(read).collect()
    }

    fn save_tiles(&self, _: &[tlog_tiles::Tile], _: &[Vec<u8>]) {}
}

fn place(events: usize) -> (Place, String) {
    let place = Place::new();
    let made = place.run(&["init", "j", "--json"]).exits(0).object();
    add(&place, events);
    (place, made["vkey"].as_str().unwrap().to_owned())
}

fn add(place: &Place, events: usize) {
    let lines: String = (0..events)
        .map(|n| format!("{{\"private\":{n}}}\n"))
        .collect();
    let name = format!("lines-{}", files(&place.path("j")).len() + events);
    place.write(&name, lines);
    place
        .run(&["import", "j", &name, "--format", "jsonl"])
        .exits(0);
}

/// Every entry and several proofs, by the other implementation.
fn check_with_tlog_tiles(folder: &Path) -> u64 {
    let note = fs::read(folder.join("checkpoint")).unwrap();
    let text = String::from_utf8(note).unwrap();
    let text = text.split_once("\n\n").unwrap().0.to_owned() + "\n";
    let checkpoint = tlog_tiles::Checkpoint::from_bytes(text.as_bytes()).unwrap();
    let (size, root) = (checkpoint.size(), *checkpoint.hash());
    let tiles = Folder(folder);
    let reader = TileHashReader::new(size, root, &tiles);
    assert_eq!(tlog_tiles::tree_hash(size, &reader).unwrap(), root);
    let mut sequence = 0;
    for at in 0..size.div_ceil(256) {
        let width = (size - at * 256).min(256);
        let name = match width {
            256 => format!("tile/entries/{at:03}"),
            width => format!("tile/entries/{at:03}.p/{width}"),
        };
        let bundle = fs::read(folder.join(name)).unwrap();
        for entry in bundle.chunks(34) {
            assert_eq!(entry[..2], [0, 32]);
            let hash = reader
                .read_hashes(&[stored_hash_index(0, sequence)])
                .unwrap()[0];
            assert_eq!(record_hash(&entry[2..]), hash, "entry {sequence}");
            sequence += 1;
        }
    }
    assert_eq!(sequence, size);
    for index in [0, size / 2, size - 1] {
        let proof = prove_record(size, index, &reader).unwrap();
        let leaf = reader.read_hashes(&[stored_hash_index(0, index)]).unwrap()[0];
        check_record(&proof, size, root, index, leaf).unwrap();
        let old = index + 1;
        let proof = prove_tree(size, old, &reader).unwrap();
        let old_root: Hash = tlog_tiles::tree_hash(old, &reader).unwrap();
        check_tree(&proof, size, root, old, old_root).unwrap();
    }
    size
}

#[test]
fn published_trees_are_those_of_another_implementation() {
    let (place, vkey) = place(3);
    let folder = place.path("public");
    let publish = || {
        place
            .run(&["publish", "j", "public", "--json"])
            .exits(0)
            .object()
    };
    let mut before = 0;
    let mut kept: BTreeMap<_, _> = BTreeMap::new();
    // A partial tile, a full one and more, several.
    for more in [0, 250, 300, 700] {
        if more > 0 {
            add(&place, more);
        }
        let said = publish();
        assert_eq!(said["before"], before);
        before = check_with_tlog_tiles(&folder);
        assert_eq!(said["size"], before);
        // What was published stays as it was, so that whoever read an older checkpoint finds its tiles.
        for (path, bytes) in &kept {
            let now = fs::read(path).unwrap();
            assert!(
                now == *bytes || Path::new(path).ends_with("checkpoint"),
                "{path:?}"
            );
        }
        kept = files(&folder).into_iter().collect();
    }
    assert!(before > 1024);
    for (path, bytes) in &kept {
        let secret = bytes.windows(7).any(|window| window == b"private");
        assert!(!secret, "{path:?} has something of a payload");
    }
    assert_eq!(publish()["before"], before);
    // Receipts, old and new, are of the history that is published.
    for sequence in ["1", "700"] {
        place.run(&["receipt", "j", sequence, "-o", "r"]).exits(0);
        place
            .run(&["verify-receipt", "r", "--vkey", &vkey, "--from", "public"])
            .exits(0);
    }
}

#[test]
fn a_receipt_of_another_history_is_told_from_damaged_tiles() {
    let (place, vkey) = place(5);
    place.copy("j", "k");
    let kept = files(&place.path("config/factlog/keys"));
    add(&place, 3);
    place.run(&["publish", "j", "public"]).exits(0);
    for (path, bytes) in kept {
        fs::write(path, bytes).unwrap();
    }
    let key = files(&place.path("config/factlog/keys"));
    let key = key
        .iter()
        .find(|(path, _)| path.extension().is_some_and(|e| e == "key"));
    let key = key.unwrap().0.to_str().unwrap().to_owned();
    let append = [
        "append",
        "k",
        "a/1",
        "x",
        "--data",
        "9",
        "--known",
        "none",
        "--signing-key",
        &key,
    ];
    place.run(&append).exits(0);
    place.run(&["receipt", "k", "3", "-o", "other"]).exits(0);
    let code = |receipt: &str, exit: i32| against(&place, receipt, &vkey, exit);
    assert_eq!(code("other", 3), "history.forked");
    let refused = place.run(&["publish", "k", "public", "--json"]).exits(3);
    assert!(
        ["history.rolled_back", "history.forked"]
            .contains(&refused.error()["code"].as_str().unwrap())
    );
    place.run(&["receipt", "j", "3", "-o", "ours"]).exits(0);
    let (tile, good) = files(&place.path("public/tile/0")).remove(0);
    for at in [0, good.len() / 2, good.len() - 1] {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        fs::write(&tile, &bytes).unwrap();
        assert_eq!(code("ours", 4), "publish.damaged");
    }
    fs::write(&tile, &good[..good.len() - 1]).unwrap();
    assert_eq!(code("ours", 4), "publish.damaged");
    fs::remove_file(&tile).unwrap();
    assert_eq!(code("ours", 4), "publish.damaged");
}

/// What checking a receipt against what is published comes to.
fn against(place: &Place, receipt: &str, vkey: &str, exit: i32) -> String {
    let args = [
        "verify-receipt",
        receipt,
        "--vkey",
        vkey,
        "--from",
        "public",
        "--json",
    ];
    let said = place.run(&args).exits(exit).object();
    assert_eq!(said["holds"], exit == 0);
    said["code"].as_str().unwrap_or_default().to_owned()
}

/// Bug: a full tile that was changed looked like another history, which is a word against the log's keeper.
#[test]
fn damage_far_from_the_end_is_no_other_history() {
    let (place, vkey) = place(300);
    place.run(&["receipt", "j", "20", "-o", "early"]).exits(0);
    add(&place, 300);
    place.run(&["publish", "j", "public"]).exits(0);
    assert_eq!(against(&place, "early", &vkey, 0), "");
    for name in ["000", "001"] {
        let tile = place.path(&format!("public/tile/0/{name}"));
        let good = fs::read(&tile).unwrap();
        let mut bytes = good.clone();
        bytes[7] ^= 1;
        fs::write(&tile, &bytes).unwrap();
        let found = against(&place, "early", &vkey, if name == "001" { 4 } else { 0 });
        assert_eq!(found.is_empty(), name == "000", "{found}");
        fs::write(&tile, &good).unwrap();
    }
}

/// Bug: a mirror that was not fetched for a while, or since the key was replaced, was said to disprove the
/// receipt.
#[test]
fn a_mirror_that_can_not_tell_says_nothing_against_a_receipt() {
    let (place, vkey) = place(5);
    place.run(&["publish", "j", "public"]).exits(0);
    add(&place, 3);
    place.run(&["receipt", "j", "3", "-o", "newer"]).exits(0);
    assert_eq!(against(&place, "newer", &vkey, 4), "publish.behind");
    let page = place.run(&[
        "verify-receipt",
        "newer",
        "--vkey",
        &vkey,
        "--from",
        "public",
    ]);
    assert!(page.exits(4).stdout.contains("can't be verified"));
    place.run(&["keys", "rotate", "j"]).exits(0);
    add(&place, 4);
    place.run(&["publish", "j", "public"]).exits(0);
    assert_eq!(against(&place, "newer", &vkey, 4), "publish.other_key");
    place.run(&["init", "k"]).exits(0);
    fs::remove_dir_all(place.path("public")).unwrap();
    place.run(&["publish", "k", "public"]).exits(0);
    assert_eq!(against(&place, "newer", &vkey, 4), "publish.other_journal");
}
