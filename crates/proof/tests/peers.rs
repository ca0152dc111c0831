//! Our trees, notes, keys and checkpoints against other implementations, both ways.

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use ct_merkle::{ConsistencyProof, InclusionProof, RootHash};
use factlog_proof::{
    Checkpoint, Frontier, Hash, SignedCheckpoint, SignedNote, VerifierKey, consistency_path,
    inclusion_path, leaf_hash, root_at, verify_consistency, verify_inclusion,
};
use sha2::Sha256;
use signed_note::{Note, StandardSigner, StandardVerifier, VerifierList};
use tlog_tiles::{HashReader, stored_hash_index};

mod common;
use common::{Levels, ORIGIN, key};

const SIZE: u64 = 40;

fn data(index: u64) -> [u8; 32] {
    *leaf_hash(&index.to_le_bytes()).as_bytes()
}

fn our_leaves() -> Vec<Hash> {
    (0..SIZE).map(|index| leaf_hash(&data(index))).collect()
}

fn concat(path: &[Hash]) -> Vec<u8> {
    path.iter().flat_map(|hash| *hash.as_bytes()).collect()
}

#[test]
fn trees_agree_with_ct_merkle() {
    let leaves = our_leaves();
    let levels = Levels::new(&leaves);
    let mut theirs = MemoryBackedTree::<Sha256, [u8; 32]>::new();
    let mut ours = Frontier::new();
    let mut roots: Vec<RootHash<Sha256>> = Vec::new();
    for size in 1..=SIZE {
        theirs.push(data(size - 1));
        ours.push(leaves[size as usize - 1]);
        let root = theirs.root();
        assert_eq!(ours.root().as_ref(), root.as_bytes().as_slice());
        for index in 0..size {
            let path = inclusion_path(&levels, index, size).unwrap();
            assert_eq!(
                concat(&path),
                theirs.prove_inclusion(index as usize).as_bytes()
            );
            let proof = InclusionProof::try_from_bytes(concat(&path)).unwrap();
            root.verify_inclusion(&data(index), index, &proof).unwrap();
        }
        roots.push(root);
        let root = roots.last().unwrap();
        for old in 1..=size {
            let path = consistency_path(&levels, old, size).unwrap();
            let proof = theirs.prove_consistency((size - old) as usize);
            assert_eq!(concat(&path), proof.as_bytes());
            let proof = ConsistencyProof::try_from_bytes(concat(&path)).unwrap();
            root.verify_consistency(&roots[old as usize - 1], &proof)
                .unwrap();
        }
    }
}

/// The storage that `tlog_tiles` proves from.
struct Stored(Vec<tlog_tiles::Hash>);

impl HashReader for Stored {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<tlog_tiles::Hash>, tlog_tiles::Error> {
        Ok(indexes
            .iter()
            .map(|index| self.0[*index as usize])
            .collect())
    }
}

fn theirs(hash: &Hash) -> tlog_tiles::Hash {
    tlog_tiles::Hash(*hash.as_bytes())
}

fn ours(path: &[tlog_tiles::Hash]) -> Vec<Hash> {
    path.iter().map(|hash| Hash::from_bytes(hash.0)).collect()
}

#[test]
fn trees_agree_with_tlog_tiles() {
    let leaves = our_leaves();
    let mut stored = Stored(Vec::new());
    for index in 0..SIZE {
        let hashes = tlog_tiles::stored_hashes(index, &data(index), &stored).unwrap();
        stored.0.extend(hashes);
    }
    let levels = Levels::new(&leaves);
    assert_eq!(stored.0[stored_hash_index(2, 3) as usize].0, {
        use factlog_proof::NodeSource;
        *levels.node(2, 3).unwrap().as_bytes()
    });
    for size in 1..=SIZE {
        let root = root_at(&levels, size).unwrap();
        assert_eq!(tlog_tiles::tree_hash(size, &stored).unwrap(), theirs(&root));
        for index in 0..size {
            let leaf = &leaves[index as usize];
            let path = ours(&tlog_tiles::prove_record(size, index, &stored).unwrap());
            assert_eq!(verify_inclusion(leaf, index, size, &path, &root), Ok(()));
            let path = inclusion_path(&levels, index, size).unwrap();
            let path = path.iter().map(theirs).collect();
            tlog_tiles::check_record(&path, size, theirs(&root), index, theirs(leaf)).unwrap();
        }
        for old in 1..=size {
            let old_root = root_at(&levels, old).unwrap();
            let path = ours(&tlog_tiles::prove_tree(size, old, &stored).unwrap());
            assert_eq!(
                verify_consistency(old, &old_root, size, &root, &path),
                Ok(())
            );
            let path = consistency_path(&levels, old, size).unwrap();
            let path = path.iter().map(theirs).collect();
            tlog_tiles::check_tree(&path, size, theirs(&root), old, theirs(&old_root)).unwrap();
        }
    }
}

#[test]
fn notes_and_keys_are_exchanged_with_signed_note() {
    let key = key(ORIGIN, 1);
    let signer = StandardSigner::new(&key.to_text()).unwrap();
    let verifier = StandardVerifier::new(&key.verifier().to_string()).unwrap();

    let ours = checkpoint().sign(&key).unwrap().to_string();
    let note = Note::from_bytes(ours.as_bytes()).unwrap();
    let (verified, unverified) = note
        .verify(&VerifierList::new(vec![Box::new(verifier)]))
        .unwrap();
    assert_eq!((verified.len(), unverified.len()), (1, 0));

    let mut note = Note::new(checkpoint().to_string().as_bytes(), &[]).unwrap();
    note.add_sigs(&[&signer]).unwrap();
    // Ed25519 is deterministic: both write the same bytes.
    assert_eq!(String::from_utf8(note.to_bytes()).unwrap(), ours);
    let parsed = SignedCheckpoint::parse(&note.to_bytes()).unwrap();
    assert_eq!(parsed.verify(key.verifier()), Ok(&checkpoint()));
}

#[test]
fn generated_keys_of_signed_note_are_read() {
    let secret = ed25519_dalek::SigningKey::from_bytes(&[9; 32]);
    let public = secret.verifying_key();
    let ours = VerifierKey::new("example.com/log", public.as_bytes()).unwrap();
    let mut typed = vec![1];
    typed.extend(public.as_bytes());
    let id = signed_note::key_id("example.com/log", &typed);
    assert_eq!(ours.key_id(), id.to_be_bytes());
    assert_eq!(VerifierKey::parse(&ours.to_string()), Ok(ours));
}

#[test]
fn checkpoints_are_exchanged_with_tlog_tiles() {
    let ours = checkpoint();
    let parsed = tlog_tiles::Checkpoint::from_bytes(ours.to_string().as_bytes()).unwrap();
    assert_eq!(
        (parsed.origin(), parsed.size()),
        (ours.origin(), ours.size())
    );
    assert_eq!(*parsed.hash(), theirs(&ours.root()));
    let theirs = tlog_tiles::Checkpoint::new(ORIGIN, 8, theirs(&ours.root()), "").unwrap();
    let text = String::from_utf8(theirs.to_bytes()).unwrap();
    assert_eq!(Checkpoint::parse(&text), Ok(ours));
}

#[test]
fn notes_with_blank_lines_and_unknown_signers_are_exchanged() {
    let (a, b) = (key("a.example/log", 1), key("b.example/log", 2));
    let text = "one\n\n\ntwo — not a signature\n\n";
    let mut note = Note::new(text.as_bytes(), &[]).unwrap();
    let signers = [&a, &b].map(|key| StandardSigner::new(&key.to_text()).unwrap());
    note.add_sigs(&[&signers[0], &signers[1]]).unwrap();
    let parsed = SignedNote::parse(&note.to_bytes()).unwrap();
    assert_eq!(parsed.text(), text);
    assert_eq!(parsed.to_string().into_bytes(), note.to_bytes());
    let keys = [b.verifier().clone()];
    assert_eq!(parsed.verify(&keys), Ok(vec![&keys[0]]));
}

fn checkpoint() -> Checkpoint {
    let root = root_at(&Levels::new(&our_leaves()), 8).unwrap();
    Checkpoint::new(ORIGIN, 8, root).unwrap()
}
