//! What a journal asks of a signer in another process, and what that answers. `docs/signer.md` is the
//! protocol; how the texts get there and back is for others.

use std::fmt;

use thiserror::Error;

use crate::{Checkpoint, Hash, SignedCheckpoint, text, verify_consistency};

const MAX_PATH: usize = 63;
/// Old size, path and a checkpoint.
const MAX_TEXT: usize = 68 << 10;

/// A checkpoint that is to be signed, shown to continue the one of `old` leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignRequest {
    /// The size of the checkpoint that the signer has signed last; 0 if none.
    pub old: u64,
    /// The consistency proof from there (RFC 6962, section 2.1.2); none from 0, or to the same size.
    pub path: Vec<Hash>,
    /// What is to be signed.
    pub checkpoint: Checkpoint,
}

/// What a signer answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignAnswer {
    /// The checkpoint with its signature.
    Signed(SignedCheckpoint),
    /// It has signed so many leaves, and the proof begins elsewhere: ask again.
    ProveFrom(u64),
    /// It has signed so many leaves, which is more than these.
    RolledBack(u64),
    /// It has signed so many leaves, and these don't continue them.
    Forked(u64),
}

/// A text that is no request to a signer, or no answer of one, in its one spelling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the text is no request to a signer, or no answer of one, in its one valid spelling")]
pub struct MalformedSigning;

impl SignRequest {
    /// Reads a request. Takes one spelling only.
    ///
    /// # Errors
    ///
    /// [`MalformedSigning`].
    pub fn parse(request: &str) -> Result<Self, MalformedSigning> {
        if request.len() > MAX_TEXT {
            return Err(MalformedSigning);
        }
        let (head, checkpoint) = request.split_once("\n\n").ok_or(MalformedSigning)?;
        let mut lines = head.split('\n');
        let old = lines.next().and_then(|line| line.strip_prefix("old "));
        let old = old.and_then(text::decode_decimal).ok_or(MalformedSigning)?;
        let path: Option<Vec<Hash>> = lines.map(Hash::from_base64).collect();
        let path = path.filter(|path| path.len() <= MAX_PATH);
        Ok(Self {
            old,
            path: path.ok_or(MalformedSigning)?,
            checkpoint: Checkpoint::parse(checkpoint).map_err(|_| MalformedSigning)?,
        })
    }

    /// Whether a signer that has signed `known` last may sign: size and root, or `None` before the first.
    ///
    /// # Errors
    ///
    /// What it has to answer instead.
    pub fn judge(&self, known: Option<(u64, Hash)>) -> Result<(), SignAnswer> {
        let (size, root) = (self.checkpoint.size(), self.checkpoint.root());
        let Some((known, known_root)) = known else {
            return match self.old == 0 && self.path.is_empty() {
                true => Ok(()),
                false => Err(SignAnswer::ProveFrom(0)),
            };
        };
        if size < known {
            return Err(SignAnswer::RolledBack(known));
        }
        if size == known && root != known_root {
            return Err(SignAnswer::Forked(known));
        }
        if self.old != known {
            return Err(SignAnswer::ProveFrom(known));
        }
        let shown = verify_consistency(known, &known_root, size, &root, &self.path);
        shown.map_err(|_| SignAnswer::Forked(known))
    }
}

impl fmt::Display for SignRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "old {}", self.old)?;
        for hash in &self.path {
            writeln!(f, "{hash}")?;
        }
        write!(f, "\n{}", self.checkpoint)
    }
}

impl SignAnswer {
    /// Reads an answer. Takes one spelling only.
    ///
    /// # Errors
    ///
    /// [`MalformedSigning`].
    pub fn parse(answer: &str) -> Result<Self, MalformedSigning> {
        let line = answer.strip_suffix('\n').ok_or(MalformedSigning)?;
        if line.contains('\n') {
            let signed = SignedCheckpoint::parse(answer.as_bytes());
            return signed.map(Self::Signed).map_err(|_| MalformedSigning);
        }
        let (word, size) = line.split_once(' ').ok_or(MalformedSigning)?;
        let size = text::decode_decimal(size).ok_or(MalformedSigning)?;
        match word {
            "old" => Ok(Self::ProveFrom(size)),
            "rolled-back" => Ok(Self::RolledBack(size)),
            "forked" => Ok(Self::Forked(size)),
            _ => Err(MalformedSigning),
        }
    }
}

impl fmt::Display for SignAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signed(signed) => signed.fmt(f),
            Self::ProveFrom(size) => writeln!(f, "old {size}"),
            Self::RolledBack(size) => writeln!(f, "rolled-back {size}"),
            Self::Forked(size) => writeln!(f, "forked {size}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Frontier, leaf_hash};

    const ORIGIN: &str = "example.com/log/00000000000000000000000000000000";

    fn root(size: u64) -> Hash {
        let mut tree = Frontier::new();
        (0..size).for_each(|leaf| tree.push(leaf_hash(&leaf.to_le_bytes())));
        tree.root()
    }

    fn request(old: u64, path: Vec<Hash>, size: u64, root: Hash) -> SignRequest {
        let checkpoint = Checkpoint::new(ORIGIN, size, root).unwrap();
        SignRequest {
            old,
            path,
            checkpoint,
        }
    }

    #[test]
    fn requests_and_answers_have_one_spelling() {
        let good = request(3, vec![root(1), root(2)], 7, root(7)).to_string();
        assert_eq!(SignRequest::parse(&good).unwrap().to_string(), good);
        let hash = root(1).to_string();
        let bad = [
            good.replace("old 3", "old 03"),
            good.replace("old 3", "old -3"),
            good.replace("old 3\n", ""),
            good.replace('\n', "\r\n"),
            good.trim_end().to_owned(),
            format!("{good}\n"),
            format!("{good}more\n"),
            good.replace(&hash, hash.trim_end_matches('=')),
            good.replace(&format!("{hash}\n"), &format!("{hash}\n").repeat(64)),
            String::new(),
        ];
        for text in bad {
            assert_eq!(SignRequest::parse(&text), Err(MalformedSigning), "{text}");
        }
        for text in ["old 0\n", "rolled-back 7\n", "forked 9\n"] {
            assert_eq!(SignAnswer::parse(text).unwrap().to_string(), text);
        }
        for text in [
            "",
            "old 07\n",
            "old 7",
            "old 7 \n",
            "signed 7\n",
            "old 7\n\n",
            "7\n",
        ] {
            assert_eq!(SignAnswer::parse(text), Err(MalformedSigning), "{text}");
        }
    }

    #[test]
    fn a_signer_takes_what_continues_and_nothing_else() {
        use SignAnswer::{Forked, ProveFrom, RolledBack};
        let known = Some((4, root(4)));
        // From 4 to 5 leaves: the last leaf alone.
        let path = vec![leaf_hash(&4u64.to_le_bytes())];
        let judge =
            |old, path: &[Hash], size, root| request(old, path.to_vec(), size, root).judge(known);
        assert_eq!(judge(4, &path, 5, root(5)), Ok(()));
        assert_eq!(judge(4, &[], 4, root(4)), Ok(()), "the same again");
        assert_eq!(judge(4, &path, 5, root(6)), Err(Forked(4)));
        assert_eq!(judge(4, &[], 5, root(5)), Err(Forked(4)));
        assert_eq!(
            judge(4, &[], 4, root(5)),
            Err(Forked(4)),
            "a second root of one size"
        );
        assert_eq!(judge(4, &[], 3, root(3)), Err(RolledBack(4)));
        assert_eq!(judge(0, &[], 3, root(3)), Err(RolledBack(4)));
        assert_eq!(judge(3, &path, 5, root(5)), Err(ProveFrom(4)));
        assert_eq!(judge(0, &[], 5, root(5)), Err(ProveFrom(4)));
        assert_eq!(request(0, Vec::new(), 5, root(5)).judge(None), Ok(()));
        assert_eq!(
            request(2, Vec::new(), 5, root(5)).judge(None),
            Err(ProveFrom(0))
        );
    }
}
