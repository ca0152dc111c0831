//! One proof for many leaves.

use std::ops::Range;

use factlog_proof::{PathError, ProofError, inclusion_path, root_of_set, set_proof};
use proptest::prelude::*;

use crate::common::{Levels, leaves, model_root};

fn prove(size: u64, ranges: &[Range<u64>]) -> Vec<factlog_proof::Hash> {
    set_proof(&Levels::new(&leaves(size)), size, ranges).unwrap()
}

fn taken(size: u64, ranges: &[Range<u64>]) -> Vec<(u64, factlog_proof::Hash)> {
    let all = leaves(size);
    let indexes = ranges.iter().cloned().flatten();
    indexes.map(|index| (index, all[index as usize])).collect()
}

#[test]
fn every_range_of_every_small_tree_leads_to_the_root() {
    for size in 1..20 {
        let root = model_root(&leaves(size));
        for start in 0..size {
            for end in start + 1..=size {
                let ranges = std::slice::from_ref(&(start..end)).to_vec();
                let proof = prove(size, &ranges);
                let leaves = taken(size, &ranges);
                assert_eq!(
                    root_of_set(size, &leaves, &proof),
                    Ok(root),
                    "{size} {ranges:?}"
                );
                let mut short = proof.clone();
                if short.pop().is_some() {
                    assert_eq!(
                        root_of_set(size, &leaves, &short),
                        Err(ProofError::PathLength)
                    );
                }
                let mut long = proof;
                long.push(root);
                assert_eq!(
                    root_of_set(size, &leaves, &long),
                    Err(ProofError::PathLength)
                );
            }
        }
    }
}

#[test]
fn the_proof_of_one_leaf_is_its_path_from_left_to_right() {
    for size in 1..20 {
        for index in 0..size {
            let range = index..index + 1;
            let mut proof = prove(size, std::slice::from_ref(&range));
            let tree = Levels::new(&leaves(size));
            let mut path = inclusion_path(&tree, index, size).unwrap();
            proof.sort();
            path.sort();
            assert_eq!(proof, path, "{size} {index}");
        }
    }
}

#[test]
fn what_is_no_set_of_leaves_is_refused() {
    let all = leaves(4);
    for bad in [
        vec![],
        vec![(4, all[0])],
        vec![(1, all[1]), (1, all[1])],
        vec![(2, all[2]), (1, all[1])],
    ] {
        assert_eq!(root_of_set(4, &bad, &[]), Err(ProofError::IndexOutOfRange));
    }
    let past = std::slice::from_ref(&(3..5)).to_vec();
    let proof = set_proof(&Levels::new(&all), 4, &past);
    assert_eq!(proof, Err(PathError::OutOfRange));
}

proptest! {
    #[test]
    fn any_leaves_lead_to_the_root_and_no_other_leaves_do(
        size in 1u64..200,
        picks in prop::collection::btree_set(0u64..200, 1..40),
        changed in any::<prop::sample::Index>(),
    ) {
        let picks: Vec<u64> = picks.into_iter().filter(|index| *index < size).collect();
        prop_assume!(!picks.is_empty());
        let mut ranges: Vec<Range<u64>> = Vec::new();
        for index in &picks {
            match ranges.last_mut() {
                Some(last) if last.end == *index => last.end += 1,
                _ => ranges.push(*index..index + 1),
            }
        }
        let proof = prove(size, &ranges);
        let mut leaves_of_set = taken(size, &ranges);
        let root = model_root(&leaves(size));
        prop_assert_eq!(root_of_set(size, &leaves_of_set, &proof), Ok(root));
        let at = changed.index(leaves_of_set.len());
        leaves_of_set[at].1 = root;
        if size > 1 {
            prop_assert_ne!(root_of_set(size, &leaves_of_set, &proof), Ok(root));
        }
    }
}
