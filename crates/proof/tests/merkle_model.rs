//! The tree against the recursive definitions of RFC 6962, for every small size and for random large
//! ones; and everything a verifier must refuse.

use factlog_proof::{
    Frontier, Hash, PathError, ProofError, Span, consistency_path, empty_root, inclusion_path,
    leaf_hash, root_at, verify_consistency, verify_inclusion,
};
use proptest::prelude::*;

mod common;
use common::{Levels, Uniform, leaves, model_consistency, model_path, model_root};

const SIZES: u64 = 70;

fn frontier(leaves: &[Hash]) -> Frontier {
    let mut frontier = Frontier::new();
    frontier.append(leaves);
    frontier
}

fn flip(hash: &Hash, bit: usize) -> Hash {
    let mut bytes = *hash.as_bytes();
    bytes[bit / 8] ^= 1 << (bit % 8);
    Hash::from_bytes(bytes)
}

/// The path with one hash left out, one added, or one bit changed, in every place.
fn mutations(path: &[Hash]) -> Vec<Vec<Hash>> {
    let mut mutated = Vec::new();
    for place in 0..=path.len() {
        let mut longer = path.to_vec();
        longer.insert(place, leaf_hash(b"extra"));
        mutated.push(longer);
        if place < path.len() {
            let mut twice = path.to_vec();
            twice.insert(place, path[place]);
            mutated.push(twice);
            let mut shorter = path.to_vec();
            shorter.remove(place);
            mutated.push(shorter);
            let mut changed = path.to_vec();
            changed[place] = flip(&path[place], 7 * place + 3);
            mutated.push(changed);
        }
    }
    mutated
}

#[test]
fn every_small_root_is_that_of_the_model() {
    let all = leaves(SIZES);
    let levels = Levels::new(&all);
    for size in 0..=SIZES {
        let leaves = &all[..size as usize];
        let root = model_root(leaves);
        let frontier = frontier(leaves);
        assert_eq!((frontier.size(), frontier.root()), (size, root));
        assert_eq!(frontier.hashes().len() as u32, size.count_ones());
        assert_eq!(root_at(&levels, size), Ok(root));
        let parts = Frontier::from_parts(size, frontier.hashes().to_vec());
        assert_eq!(parts, Ok(frontier));
    }
}

#[test]
fn every_small_inclusion_path_holds_and_no_other() {
    let all = leaves(SIZES);
    let levels = Levels::new(&all);
    for size in 0..=SIZES {
        let leaves = &all[..size as usize];
        let root = model_root(leaves);
        for index in 0..size {
            let leaf = &leaves[index as usize];
            let path = inclusion_path(&levels, index, size).unwrap();
            assert_eq!(
                path,
                model_path(index as usize, leaves),
                "{index} of {size}"
            );
            assert_eq!(verify_inclusion(leaf, index, size, &path, &root), Ok(()));
            for path in mutations(&path) {
                assert!(verify_inclusion(leaf, index, size, &path, &root).is_err());
            }
            for other in (0..size).filter(|other| *other != index) {
                assert!(verify_inclusion(leaf, other, size, &path, &root).is_err());
                let leaf = &leaves[other as usize];
                let refused = verify_inclusion(leaf, index, size, &path, &root);
                assert_eq!(refused, Err(ProofError::RootMismatch));
            }
        }
        let leaf = leaf_hash(b"");
        for index in [size, size + 1, u64::MAX] {
            let refused = verify_inclusion(&leaf, index, size, &[], &leaf);
            assert_eq!(
                refused,
                Err(ProofError::IndexOutOfRange),
                "{index} of {size}"
            );
            assert_eq!(
                inclusion_path(&levels, index, size),
                Err(PathError::OutOfRange)
            );
        }
    }
}

#[test]
fn every_small_consistency_path_holds_and_no_other() {
    let all = leaves(SIZES);
    let levels = Levels::new(&all);
    for new in 0..=SIZES {
        let new_root = model_root(&all[..new as usize]);
        for old in 0..=new {
            let old_root = model_root(&all[..old as usize]);
            let path = consistency_path(&levels, old, new).unwrap();
            assert_eq!(path, model_consistency(old as usize, &all[..new as usize]));
            assert_eq!(
                verify_consistency(old, &old_root, new, &new_root, &path),
                Ok(())
            );
            for path in mutations(&path) {
                let refused = verify_consistency(old, &old_root, new, &new_root, &path);
                assert!(refused.is_err(), "{old} to {new}");
            }
            let bad = flip(&old_root, 9);
            let refused = verify_consistency(old, &bad, new, &new_root, &path);
            assert_eq!(refused, Err(ProofError::RootMismatch), "{old} to {new}");
            if old > 0 || new == 0 {
                let bad = flip(&new_root, 250);
                let refused = verify_consistency(old, &old_root, new, &bad, &path);
                assert_eq!(refused, Err(ProofError::RootMismatch), "{old} to {new}");
            }
        }
        let refused = verify_consistency(new + 1, &new_root, new, &new_root, &[]);
        assert_eq!(refused, Err(ProofError::SizesReversed));
        assert_eq!(
            consistency_path(&levels, new + 1, new),
            Err(PathError::OutOfRange)
        );
    }
}

#[test]
fn the_edges_of_consistency_are_strict() {
    let (empty, a, b) = (empty_root(), leaf_hash(b"a"), leaf_hash(b"b"));
    let (held, length, root) = (
        Ok(()),
        Err(ProofError::PathLength),
        Err(ProofError::RootMismatch),
    );
    // old size, old root, new size, new root, path, result
    let cases: [(_, _, _, _, &[Hash], _); 15] = [
        (0, empty, 0, empty, &[], held),
        (0, a, 0, a, &[], root),
        (0, empty, 0, a, &[], root),
        (0, empty, 0, empty, &[a], length),
        (0, empty, 7, a, &[], held),
        (0, a, 7, a, &[], root),
        (0, empty, 7, a, &[a], length),
        (3, a, 3, a, &[], held),
        (3, a, 3, b, &[], root),
        (3, a, 3, a, &[a], length),
        (2, a, 3, a, &[], length),
        (3, a, 4, a, &[], length),
        (4, a, 8, a, &[], length),
        (4, a, 8, a, &[b], root),
        (4, a, 8, a, &[b, b], length),
    ];
    for (line, (old, old_root, new, new_root, path, expected)) in cases.into_iter().enumerate() {
        let result = verify_consistency(old, &old_root, new, &new_root, path);
        assert_eq!(result, expected, "case {line}");
    }
}

/// A span must prove each of its leaves, and only those, and leave the frontier that pushes leave.
fn check_span(span: &Span, after: &Frontier, levels: &Levels, all: &[Hash]) {
    let (first, end) = (span.first(), span.end());
    let pushed = frontier(&all[..end as usize]);
    assert_eq!(*after, pushed);
    assert_eq!(span.root(), pushed.root());
    for index in first..end {
        let path = span.inclusion(index);
        assert_eq!(
            path,
            inclusion_path(levels, index, end).ok(),
            "{index} in {first}..{end}"
        );
    }
    assert_eq!(span.inclusion(end), None);
    assert_eq!(
        first.checked_sub(1).and_then(|index| span.inclusion(index)),
        None
    );
    assert_eq!(span.inclusion(u64::MAX), None);
}

#[test]
fn every_small_span_proves_its_leaves() {
    let all = leaves(SIZES);
    let levels = Levels::new(&all);
    for end in 0..=SIZES {
        for first in 0..=end {
            let mut after = frontier(&all[..first as usize]);
            let span = after.extend(&all[first as usize..end as usize]);
            assert_eq!((span.first(), span.end()), (first, end));
            check_span(&span, &after, &levels, &all);
        }
    }
}

#[test]
fn frontiers_have_one_hash_per_one_bit() {
    let hash = leaf_hash(b"");
    let cases = [
        (0, 0, None),
        (0, 1, Some("proof.frontier_length")),
        (6, 1, Some("proof.frontier_length")),
        (6, 2, None),
        (6, 3, Some("proof.frontier_length")),
        (1 << 63, 1, None),
        ((1 << 63) + 1, 2, Some("proof.too_large")),
        (u64::MAX, 64, Some("proof.too_large")),
    ];
    for (size, count, code) in cases {
        let result = Frontier::from_parts(size, vec![hash; count]);
        assert_eq!(
            result.err().map(|error| error.code()),
            code,
            "{count} for {size}"
        );
    }
}

#[test]
fn a_frontier_of_the_largest_size_still_takes_leaves() {
    let uniform = Uniform::new();
    let size = 1 << 63;
    let root = root_at(&uniform, size).unwrap();
    let mut frontier = Frontier::from_parts(size, vec![root]).unwrap();
    let span = frontier.extend([uniform.leaf(); 3]);
    assert_eq!(frontier.root(), root_at(&uniform, size + 3).unwrap());
    for index in size..size + 3 {
        let path = span.inclusion(index).unwrap();
        let held = verify_inclusion(&uniform.leaf(), index, size + 3, &path, &span.root());
        assert_eq!(held, Ok(()));
    }
}

proptest! {
    #[test]
    fn runs_of_any_length_agree_with_stored_nodes(lengths in prop::collection::vec(0u64..600, 1..6)) {
        let all = leaves(lengths.iter().sum());
        let levels = Levels::new(&all);
        let mut after = Frontier::new();
        for length in lengths {
            let first = after.size() as usize;
            let span = after.extend(&all[first..first + length as usize]);
            check_span(&span, &after, &levels, &all);
        }
    }

    #[test]
    fn trees_of_any_size_are_proven(a: u64, b: u64, c: u64) {
        let uniform = Uniform::new();
        let mut sizes = [a, b.max(1), c];
        sizes.sort_unstable();
        let [index, old, new] = sizes;
        let (old_root, new_root) = (root_at(&uniform, old).unwrap(), root_at(&uniform, new).unwrap());
        let path = consistency_path(&uniform, old, new).unwrap();
        prop_assert!(path.len() <= 65);
        prop_assert_eq!(verify_consistency(old, &old_root, new, &new_root, &path), Ok(()));
        if index < new {
            let path = inclusion_path(&uniform, index, new).unwrap();
            prop_assert!(path.len() <= 64);
            let held = verify_inclusion(&uniform.leaf(), index, new, &path, &new_root);
            prop_assert_eq!(held, Ok(()));
        }
    }

    #[test]
    fn nothing_that_is_verified_panics(
        a: u64,
        b: u64,
        shift in 0u32..64,
        length in 0usize..70,
        seed: [u8; 32],
    ) {
        let hash = Hash::from_bytes(seed);
        let path = vec![hash; length];
        let (a, b) = (a >> shift, b >> shift);
        prop_assert!(verify_inclusion(&hash, a, b, &path, &leaf_hash(b"")).is_err());
        let _ = verify_consistency(a, &hash, b, &hash, &path);
    }
}
