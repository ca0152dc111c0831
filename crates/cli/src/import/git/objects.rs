//! Raw objects, by a running `git cat-file --batch`.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use anyhow::{Context, Result};

use super::failed;
use super::history::git;

/// What an event can hold.
const MAX_OBJECT: usize = factlog_format::MAX_PAYLOAD_LEN / 2;

pub(super) struct Objects {
    child: Child,
    input: Option<ChildStdin>,
    out: BufReader<ChildStdout>,
}

impl Objects {
    pub(super) fn start(dir: &Path) -> Result<Self> {
        let mut child = git(dir, &["cat-file", "--batch"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("the git command could not be started")?;
        let input = child.stdin.take();
        let out = child.stdout.take().context("git gives no output")?;
        Ok(Self {
            child,
            input,
            out: BufReader::with_capacity(64 << 10, out),
        })
    }

    /// Asks for objects, which are then to be read in the same order. So few that their names fit into
    /// a pipe: neither side then waits for the other.
    pub(super) fn ask(&mut self, oids: &[&str]) -> Result<()> {
        let mut names = oids.join("\n");
        names.push('\n');
        let input = self.input.as_mut().context("git takes no input")?;
        input
            .write_all(names.as_bytes())
            .and_then(|()| input.flush())
            .context("git cat-file could not be asked")
    }

    /// The next object.
    pub(super) fn read(&mut self, oid: &str) -> Result<Vec<u8>> {
        let mut head = String::new();
        self.out
            .read_line(&mut head)
            .context("git cat-file could not be read")?;
        let mut words = head.trim_end().split(' ');
        let (name, kind, size) = (words.next(), words.next(), words.next());
        let size: usize = match (name, kind, size.and_then(|size| size.parse().ok())) {
            (Some(name), Some("commit"), Some(size)) if name == oid => size,
            _ => return Err(failed("cat-file", &format!("{oid} is no commit: {head}"))),
        };
        if size > MAX_OBJECT {
            return Err(failed(
                "cat-file",
                &format!("{oid} is larger than {MAX_OBJECT} bytes"),
            ));
        }
        let mut raw = vec![0; size];
        self.out
            .read_exact(&mut raw)
            .context("git cat-file ended early")?;
        // A line feed follows each object.
        let mut end = [0];
        self.out
            .read_exact(&mut end)
            .context("git cat-file ended early")?;
        Ok(raw)
    }
}

impl Drop for Objects {
    fn drop(&mut self) {
        self.input = None;
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
