//! What a raw commit says. Nothing of it is trusted to be well formed: git itself has kept commits
//! without authors, with times before 1970 and in every encoding.

use serde::Serialize;

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Commit<'a> {
    /// Name and address, without the time.
    pub(super) author: Option<&'a [u8]>,
    /// In microseconds since 1970-01-01 UTC.
    pub(super) committed_at: Option<i64>,
    tree: Option<&'a [u8]>,
    parents: Vec<&'a [u8]>,
    subject: Option<&'a [u8]>,
}

#[derive(Serialize)]
struct Data<'a> {
    commit: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tree: Option<String>,
    parents: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a str>,
}

impl<'a> Commit<'a> {
    pub(super) fn parse(raw: &'a [u8]) -> Self {
        let mut commit = Self::default();
        let mut lines = raw.split(|byte| *byte == b'\n');
        for line in lines.by_ref() {
            // The head ends at the first blank line; lines that go on start with a blank.
            if line.is_empty() {
                break;
            }
            let (name, value) = match line.iter().position(|byte| *byte == b' ') {
                Some(at) => (line.get(..at).unwrap_or_default(), line.get(at + 1..)),
                None => (line, None),
            };
            let Some(value) = value else { continue };
            match name {
                b"tree" => commit.tree = Some(value),
                b"parent" => commit.parents.push(value),
                b"author" => commit.author = Some(person(value)),
                b"committer" => commit.committed_at = time(value),
                _ => {}
            }
        }
        commit.subject = lines.find(|line| !line.is_empty());
        commit
    }

    /// The readable fields as JSON; what is not UTF-8 is left to the raw commit.
    pub(super) fn data(&self, oid: &str) -> Vec<u8> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let data = Data {
            commit: oid,
            tree: self.tree.map(text),
            parents: self.parents.iter().map(|parent| text(parent)).collect(),
            subject: self.subject.and_then(|line| std::str::from_utf8(line).ok()),
        };
        serde_json::to_vec(&data).unwrap_or_default()
    }
}

/// `Name <address>` without the time behind it.
fn person(value: &[u8]) -> &[u8] {
    match value.iter().rposition(|byte| *byte == b'>') {
        Some(end) => value.get(..=end).unwrap_or_default(),
        None => value,
    }
}

/// The seconds behind `Name <address>`, if there are any that make sense.
fn time(value: &[u8]) -> Option<i64> {
    let end = value.iter().rposition(|byte| *byte == b'>')?;
    let rest = std::str::from_utf8(value.get(end + 1..)?).ok()?;
    let seconds: i64 = rest.split_ascii_whitespace().next()?.parse().ok()?;
    seconds.checked_mul(1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_read() {
        let raw = b"tree aa\nparent bb\nparent cc\nauthor A B <a@b> 12 +0100\n\
            committer C <c@d> 34 -0200\ngpgsig x\n y\n\n\nSubject\n\nBody\n";
        let commit = Commit::parse(raw);
        assert_eq!(commit.author, Some(&b"A B <a@b>"[..]));
        assert_eq!(commit.committed_at, Some(34_000_000));
        let data = String::from_utf8(commit.data("dd")).unwrap();
        assert_eq!(
            data,
            r#"{"commit":"dd","tree":"aa","parents":["bb","cc"],"subject":"Subject"}"#
        );
    }

    #[test]
    fn a_strange_commit_is_read_as_far_as_it_goes() {
        for (raw, author, time) in [
            (&b""[..], None, None),
            (b"\n\n", None, None),
            (b"author\ncommitter\n\n", None, None),
            (
                b"author nobody\ncommitter x 5\n",
                Some(&b"nobody"[..]),
                None,
            ),
            (b"committer a <b> -5 +0000\n", None, Some(-5_000_000)),
            (b"committer a <b> 99999999999999999999\n", None, None),
            (b"committer a <b> 9223372036854775807\n", None, None),
            (
                b"author \xe9 <\xff> 1\n\n\xe9\n",
                Some(b"\xe9 <\xff>"),
                None,
            ),
        ] {
            let commit = Commit::parse(raw);
            assert_eq!((commit.author, commit.committed_at), (author, time));
            assert!(serde_json::from_slice::<serde_json::Value>(&commit.data("x")).is_ok());
        }
    }
}
