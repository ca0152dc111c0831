//! The files of the tree against the tree in memory, against crashes and against damage.

use std::path::Path;
use std::sync::Arc;

use factlog_fs::{Access, MemFs, OpenMode, StoreFs, read_file, write_all_at};
use factlog_proof::{
    Frontier, Hash, NodeSource, Subtree, consistency_path, inclusion_path, root_at,
    verify_consistency, verify_inclusion,
};
use proptest::prelude::*;

use super::{Checker, PACK, TILE, TreeReader, TreeWriter, upper_len, upper_place};
use crate::{Damage, Error};

const DIR: &str = "tree";

fn leaf(index: u64) -> Hash {
    let mut bytes = [7; 32];
    bytes[..8].copy_from_slice(&index.to_le_bytes());
    Hash::from_bytes(bytes)
}

fn leaves(range: std::ops::Range<u64>) -> Vec<Hash> {
    range.map(leaf).collect()
}

fn frontier(size: u64) -> Frontier {
    let mut frontier = Frontier::new();
    frontier.append(&leaves(0..size));
    frontier
}

fn open(fs: &MemFs, recheck: bool) -> TreeWriter {
    TreeWriter::open(Arc::new(fs.clone()), Path::new(DIR), recheck).unwrap()
}

fn build(size: u64) -> MemFs {
    let fs = MemFs::new();
    let mut writer = open(&fs, false);
    writer.append(&leaves(0..size));
    writer.sync().unwrap();
    fs
}

/// A reader that is told no leaf.
fn reader(fs: &MemFs) -> TreeReader<'_, impl Fn(u64) -> Result<Hash, Error> + use<'_>> {
    let none = |index| Err(Damage::new("test", Path::new(""), format!("leaf {index}")).into());
    TreeReader::new(fs, Path::new(DIR), none)
}

fn path(name: &str) -> std::path::PathBuf {
    Path::new(DIR).join(name)
}

fn files(fs: &MemFs) -> Vec<(String, Vec<u8>)> {
    let names = fs
        .list(Path::new(DIR))
        .unwrap()
        .into_iter()
        .map(|e| e.name.into_string().unwrap());
    names
        .map(|name| (name.clone(), read_file(fs, &path(&name), 1 << 30).unwrap()))
        .collect()
}

fn overwrite(fs: &MemFs, name: &str, offset: u64, bytes: &[u8]) {
    let file = fs.open(&path(name), OpenMode::Write).unwrap();
    write_all_at(file.as_ref(), bytes, offset).unwrap();
}

fn cut(fs: &MemFs, name: &str, len: u64) {
    fs.open(&path(name), OpenMode::Write)
        .unwrap()
        .set_len(len)
        .unwrap();
}

fn check(fs: &MemFs, size: u64) -> Vec<Damage> {
    let mut checker = Checker::open(Arc::new(fs.clone()), DIR.into()).unwrap();
    let mut tree = Frontier::new();
    for index in 0..size {
        checker.leaf(&leaf(index)).unwrap();
        let next = Subtree::leaf(index, leaf(index));
        assert!(tree.push_subtree(&next, |end, root| checker.tile(end, root).unwrap()));
    }
    checker.finish()
}

#[test]
fn packs_are_bare_hashes_and_upper_holds_every_eighth_level() {
    let size = PACK + 700;
    let fs = build(size);
    let files = files(&fs);
    let bytes = |range| {
        leaves(range)
            .iter()
            .flat_map(|leaf| *leaf.as_bytes())
            .collect::<Vec<_>>()
    };
    assert_eq!(files[0], ("00000000.leaves".to_owned(), bytes(0..PACK)));
    assert_eq!(files[1], ("00000001.leaves".to_owned(), bytes(PACK..size)));
    assert_eq!(files[2].0, "upper");
    let node = |place: usize| Hash::from_bytes(files[2].1[32 * place..][..32].try_into().unwrap());
    assert_eq!(files[2].1.len(), 32 * (256 + 1 + 2));
    assert_eq!(node(0), frontier(256).root());
    assert_eq!(node(256), frontier(PACK).root());
    assert_eq!(node(257), reader(&fs).node(8, 256).unwrap());
}

#[test]
fn places_in_upper_follow_the_order_of_completion() {
    let mut place = 0;
    for tile in 0..200_000u64 {
        assert_eq!(upper_len(tile * TILE), place);
        for level in [8, 16, 24] {
            let shift = level - 8;
            if (tile + 1) % (1 << shift) == 0 {
                assert_eq!(upper_place(level, ((tile + 1) >> shift) - 1), Some(place));
                place += 1;
            }
        }
    }
    assert_eq!(upper_place(0, 0), None);
    assert_eq!(upper_place(56, u64::MAX), None);
}

#[test]
fn paths_from_the_files_verify() {
    let size = PACK + 1_234;
    let fs = build(size);
    let (source, root) = (reader(&fs), frontier(size).root());
    assert_eq!(root_at(&source, size).unwrap(), root);
    for index in [0, 1, 255, 256, PACK - 1, PACK, size - 1] {
        let path = inclusion_path(&source, index, size).unwrap();
        verify_inclusion(&leaf(index), index, size, &path, &root).unwrap();
    }
    for old in [1, 255, 256, 60_000, PACK, size - 1] {
        let path = consistency_path(&source, old, size).unwrap();
        verify_consistency(old, &frontier(old).root(), size, &root, &path).unwrap();
    }
    for size in [0, 1, 255, 256, 257, PACK - 1, PACK, PACK + 1, size] {
        assert_eq!(source.frontier(size).unwrap(), frontier(size));
    }
}

#[test]
fn what_is_missing_is_computed() {
    let size = PACK + 1_234;
    let root = frontier(size).root();
    let fallback = |index| Ok(leaf(index));
    let fs = MemFs::new();
    let from = |fs: &MemFs| root_at(&TreeReader::new(fs, Path::new(DIR), fallback), size).unwrap();
    assert_eq!(from(&fs), root);
    let fs = build(size);
    fs.remove_file(&path("upper")).unwrap();
    assert_eq!(from(&fs), root);
    assert_eq!(reader(&fs).frontier(size).unwrap().root(), root);
    overwrite(&fs, "00000000.leaves", 512, &[0; 512]);
    cut(&fs, "00000001.leaves", 1_000);
    assert_eq!(from(&fs), root);
    assert!(reader(&fs).frontier(size).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn files_do_not_depend_on_groups_closes_and_cuts(
        steps in prop::collection::vec((1u64..20_000, 0u8..5, any::<prop::sample::Index>()), 1..12),
    ) {
        let fs = MemFs::new();
        let mut writer = open(&fs, false);
        for (count, what, cut) in steps {
            let size = writer.size();
            writer.append(&leaves(size..size + count));
            match what {
                0 => writer.flush().unwrap(),
                1 => {
                    writer.flush().unwrap();
                    writer = open(&fs, true);
                    prop_assert_eq!(writer.size(), (size + count) / TILE * TILE);
                }
                2 => writer.truncate_to(cut.index((size + count) as usize) as u64).unwrap(),
                3 => writer = open(&fs, false),
                _ => {}
            }
        }
        writer.flush().unwrap();
        let size = writer.size();
        prop_assert!(files(&fs) == files(&build(size)) || size == 0);
        prop_assert_eq!(reader(&fs).frontier(size).unwrap(), frontier(size));
        prop_assert_eq!(check(&fs, size), vec![]);
    }

    /// What a power cut can leave of what wasn't synced: the last pack, and the nodes above it.
    #[test]
    fn a_torn_tail_is_made_again(
        size in prop_oneof![300..3_000u64, PACK - 300..PACK + 2_000],
        upper in prop::option::of(any::<prop::sample::Index>()),
        pack in prop::option::of(any::<prop::sample::Index>()),
        zeros in prop::option::of(any::<prop::sample::Index>()),
        garbage in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let fs = build(size);
        let name = format!("{:08x}.leaves", (size - 1) / PACK);
        let unsynced = (size - 1) / PACK * PACK;
        let len = (size - unsynced) * 32;
        if let Some(at) = upper {
            let kept = upper_len(unsynced);
            cut(&fs, "upper", kept * 32 + at.index(((upper_len(size) - kept) * 32 + 1) as usize) as u64);
        }
        if let Some(at) = garbage {
            let sector = at.index((len / 512 + 1) as usize) as u64 * 512;
            overwrite(&fs, &name, sector, &[0xaa; 512]);
        }
        if let Some(at) = zeros {
            let sector = at.index((len / 512 + 1) as usize) as u64 * 512;
            overwrite(&fs, &name, sector, &vec![0; (len - sector).min(512) as usize]);
        }
        if let Some(at) = pack {
            cut(&fs, &name, at.index(len as usize + 1) as u64);
        }
        let mut writer = open(&fs, true);
        prop_assert!(writer.size() <= size);
        writer.append(&leaves(writer.size()..size));
        writer.sync().unwrap();
        prop_assert!(files(&fs) == files(&build(size)));
    }
}

#[test]
fn an_open_after_a_clean_close_restores_what_is_missing() {
    let size = 2 * PACK + 1_000;
    let wanted = files(&build(size));
    for damage in [
        |fs: &MemFs| fs.remove_file(&path("upper")).unwrap(),
        |fs: &MemFs| cut(fs, "upper", 32 * 300 + 5),
        |fs: &MemFs| overwrite(fs, "upper", 32 * 514, &[0; 32]),
        |fs: &MemFs| fs.remove_file(&path("00000001.leaves")).unwrap(),
        |fs: &MemFs| cut(fs, "00000000.leaves", 77),
        |fs: &MemFs| overwrite(fs, "00000002.leaves", 32 * 999, &[0; 32]),
        |fs: &MemFs| {
            overwrite(fs, "00000000.leaves", 0, &[0; 32]);
            fs.remove_file(&path("upper")).unwrap();
        },
    ] {
        let fs = build(size);
        damage(&fs);
        let mut writer = open(&fs, false);
        writer.append(&leaves(writer.size()..size));
        writer.sync().unwrap();
        assert!(files(&fs) == wanted);
    }
}

#[test]
fn every_flipped_byte_is_reported() {
    let size = 1_000;
    let fs = build(size);
    assert_eq!(check(&fs, size), []);
    for (name, bytes) in files(&fs) {
        for (at, byte) in bytes.iter().enumerate().step_by(23) {
            overwrite(&fs, &name, at as u64, &[byte ^ 1 << (at % 8)]);
            let findings = check(&fs, size);
            assert_eq!(findings.len(), 1, "{name} at {at}");
            assert_eq!(
                (findings[0].code, &findings[0].path),
                ("derived.tree", &path(&name))
            );
            assert_eq!(findings[0].offset, Some(at as u64 / 32 * 32));
            overwrite(&fs, &name, at as u64, &[*byte]);
        }
    }
}

#[test]
fn shorter_is_no_finding_longer_and_strangers_are() {
    let size = PACK + 1_000;
    for (damage, findings) in [
        (
            (|fs| fs.remove_file(&path("upper")).unwrap()) as fn(&MemFs),
            0,
        ),
        (|fs| cut(fs, "upper", 77), 0),
        (|fs| cut(fs, "00000000.leaves", 77), 0),
        (|fs| overwrite(fs, "00000001.leaves", 512, &[0; 512]), 0),
        (|fs| overwrite(fs, "upper", 32 * 260, &[1]), 1),
        (|fs| cut(fs, "00000001.leaves", 32 * 1_000 + 1), 1),
        (
            |fs| {
                drop(
                    fs.create_new(&path("00000001.leave"), Access::Shared)
                        .unwrap(),
                )
            },
            1,
        ),
        (
            |fs| fs.create_dir(&path("upper.d"), Access::Shared).unwrap(),
            1,
        ),
    ] {
        let fs = build(size);
        damage(&fs);
        assert_eq!(check(&fs, size).len(), findings);
    }
    assert_eq!(check(&build(size), size - 1).len(), 1);
    assert_eq!(check(&build(size), PACK - 1).len(), 3);
    assert_eq!(check(&MemFs::new(), 10), []);
}

#[test]
fn groups_leave_what_their_leaves_leave() {
    // Ends on and around the borders of tiles, of stored levels and of packs.
    let ends = [
        1, 2, 255, 256, 257, 1000, 4096, 65_000, 65_536, 65_537, 131_072, 140_000,
    ];
    let fs = MemFs::new();
    let mut writer = open(&fs, false);
    writer.append(&leaves(0..ends[0]));
    let mut frontier = frontier(ends[0]);
    for (at, (from, to)) in ends.iter().zip(&ends[1..]).enumerate() {
        writer.append_span(&frontier.extend(leaves(*from..*to)));
        if at % 2 == 0 {
            writer.flush().unwrap();
        }
        assert_eq!(writer.size(), *to);
    }
    writer.sync().unwrap();
    assert_eq!(files(&fs), files(&build(140_000)));
}

/// After a sync that failed the pages count as clean: a later sync of the same bytes wrote nothing, and
/// a power cut took leaves of a tree that was taken for whole.
#[test]
fn leaves_whose_sync_failed_are_written_again() {
    use factlog_sim::{FailedSync, Failure, Fault, PowerCut, SimFs};
    let dir = Path::new(DIR);
    let written = |sim: &SimFs, size| {
        let mut writer = TreeWriter::open(sim.store(), dir, false).unwrap();
        writer.append(&leaves(0..size));
        writer.sync()
    };
    for size in [600, PACK] {
        let dry = SimFs::new(1);
        written(&dry, size).unwrap();
        let pack = path("00000000.leaves");
        let calls = dry.trace().calls;
        let sync = calls
            .iter()
            .position(|call| call.name == "sync_data" && *call.path == pack);
        let sim = SimFs::new(1);
        let failed = Failure::Sync(FailedSync::KeepsInCache);
        sim.inject(Fault::at(sync.unwrap() as u64, failed));
        assert!(written(&sim, size).is_err());
        let mut writer = TreeWriter::open(sim.store(), dir, true).unwrap();
        let kept = writer.size();
        assert_eq!(kept, size - size % TILE);
        writer.append(&leaves(kept..size + 1));
        writer.sync().unwrap();
        let cut = sim.power_cut(&PowerCut::lost(), 2);
        let left = TreeWriter::open(cut.store(), dir, false).unwrap();
        assert_eq!(left.size(), size + 1);
        let store = cut.store();
        let none = |index| Err(Damage::new("test", dir, format!("leaf {index}")).into());
        let reader = TreeReader::new(store.as_ref(), dir, none);
        assert_eq!(
            reader.frontier(size + 1).unwrap().root(),
            frontier(size + 1).root()
        );
        assert_eq!(reader.node(0, 5).unwrap(), leaf(5));
    }
}
