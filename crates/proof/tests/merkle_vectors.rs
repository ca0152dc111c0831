//! The published vectors of RFC 6962 trees: the eight leaves of Certificate Transparency's reference
//! implementations, with the roots of all their prefixes and a few of their proofs.

use data_encoding::HEXLOWER;
use factlog_proof::{
    Frontier, Hash, consistency_path, empty_root, inclusion_path, leaf_hash, root_at,
    verify_consistency, verify_inclusion,
};

mod common;
use common::Levels;

const LEAVES: [&str; 8] = [
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
];

/// By size.
const ROOTS: [&str; 9] = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

// Subtrees, named by their first and last leaf.
const N0: &str = "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d";
const N1: &str = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7";
const N4: &str = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b";
const N01: &str = "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125";
const N23: &str = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e";
const N45: &str = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a";
const N67: &str = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0";
const N03: &str = "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7";
const N47: &str = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4";

/// Index, size, path.
const INCLUSION: &[(u64, u64, &[&str])] = &[
    (0, 1, &[]),
    (0, 2, &[N1]),
    (1, 2, &[N0]),
    (2, 3, &[N01]),
    (1, 5, &[N0, N23, N4]),
    (0, 8, &[N1, N23, N47]),
    (5, 8, &[N4, N67, N03]),
];

/// Old size, new size, path.
const CONSISTENCY: &[(u64, u64, &[&str])] = &[
    (1, 1, &[]),
    (1, 8, &[N1, N23, N47]),
    (2, 5, &[N23, N4]),
    (6, 8, &[N45, N67, N03]),
];

fn hash(hex: &str) -> Hash {
    let bytes = HEXLOWER.decode(hex.as_bytes()).unwrap();
    Hash::from_bytes(bytes.try_into().unwrap())
}

fn hashes(hex: &[&str]) -> Vec<Hash> {
    hex.iter().copied().map(hash).collect()
}

fn leaves() -> Vec<Hash> {
    LEAVES
        .iter()
        .map(|leaf| leaf_hash(&HEXLOWER.decode(leaf.as_bytes()).unwrap()))
        .collect()
}

#[test]
fn roots_are_the_published_ones() {
    let levels = Levels::new(&leaves());
    let mut frontier = Frontier::new();
    assert_eq!(empty_root(), hash(ROOTS[0]));
    for (size, root) in ROOTS.iter().enumerate() {
        assert_eq!(frontier.root(), hash(root), "size {size}");
        assert_eq!(root_at(&levels, size as u64), Ok(hash(root)), "size {size}");
        if let Some(leaf) = leaves().get(size) {
            frontier.push(*leaf);
        }
    }
}

#[test]
fn inclusion_paths_are_the_published_ones() {
    let (leaves, levels) = (leaves(), Levels::new(&leaves()));
    for &(index, size, path) in INCLUSION {
        let path = hashes(path);
        assert_eq!(
            inclusion_path(&levels, index, size),
            Ok(path.clone()),
            "{index} of {size}"
        );
        let root = hash(ROOTS[size as usize]);
        assert_eq!(
            verify_inclusion(&leaves[index as usize], index, size, &path, &root),
            Ok(())
        );
        let span = Frontier::new().extend(&leaves[..size as usize]);
        assert_eq!(span.inclusion(index), Some(path), "{index} of {size}");
    }
}

#[test]
fn consistency_paths_are_the_published_ones() {
    let levels = Levels::new(&leaves());
    for &(old, new, path) in CONSISTENCY {
        let path = hashes(path);
        assert_eq!(
            consistency_path(&levels, old, new),
            Ok(path.clone()),
            "{old} to {new}"
        );
        let (old_root, new_root) = (hash(ROOTS[old as usize]), hash(ROOTS[new as usize]));
        assert_eq!(
            verify_consistency(old, &old_root, new, &new_root, &path),
            Ok(())
        );
    }
}
