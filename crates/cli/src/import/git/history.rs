//! Which commits there are, in order, by the git command.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use anyhow::{Context, Result};

use super::{GitOptions, failed};

/// The git command for a folder, asking nobody and following nothing that would change what it says.
pub(super) fn git(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new("git");
    command.arg("-C").arg(dir).args(args);
    // These would lead it to another repository than the one of the folder.
    for variable in [
        "GIT_DIR",
        "GIT_WORK_TREE",
        "GIT_INDEX_FILE",
        "GIT_OBJECT_DIRECTORY",
    ] {
        command.env_remove(variable);
    }
    command
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_OPTIONAL_LOCKS", "0")
        .env("GIT_NO_REPLACE_OBJECTS", "1")
        .env("GIT_NO_LAZY_FETCH", "1")
        .env("LC_ALL", "C")
        .stdin(Stdio::null());
    command
}

fn ask(dir: &Path, args: &[&str]) -> Result<Option<String>> {
    let output = git(dir, args)
        .output()
        .context("the git command could not be started")?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(output
        .status
        .success()
        .then(|| text.trim_end_matches('\n').to_owned()))
}

/// What `HEAD` is; `None` in a repository without commits.
pub(super) fn tip(dir: &Path) -> Result<Option<String>> {
    let output = git(dir, &["rev-parse", "--git-dir"])
        .output()
        .context("the git command could not be started")?;
    if !output.status.success() {
        return Err(failed(
            "rev-parse",
            &String::from_utf8_lossy(&output.stderr),
        ));
    }
    ask(dir, &["rev-parse", "--verify", "--quiet", "HEAD^{commit}"])
}

pub(super) fn count(dir: &Path, tip: &str) -> Result<u64> {
    let count = ask(dir, &["rev-list", "--count", tip])?;
    count
        .and_then(|count| count.parse().ok())
        .ok_or_else(|| failed("rev-list", "it gave no count"))
}

/// The name of the repository's top folder; of a bare one, of the repository itself.
pub(super) fn repository_name(dir: &Path) -> Result<Option<String>> {
    let Some(git_dir) = ask(dir, &["rev-parse", "--absolute-git-dir"])? else {
        return Ok(None);
    };
    let top = ask(dir, &["rev-parse", "--show-toplevel"])?.filter(|top| !top.is_empty());
    let path = top.unwrap_or(git_dir);
    let name = Path::new(&path)
        .file_name()
        .map(|name| name.to_string_lossy());
    let name = name.map(|name| name.trim_end_matches(".git").to_owned());
    Ok(name
        .filter(|name| !name.is_empty())
        .or_else(|| Some("repository".to_owned())))
}

/// One commit of the history.
pub(super) struct Entry {
    pub(super) oid: String,
    /// The first parent, as far as the repository has it.
    pub(super) parent: Option<String>,
    /// The top-level paths touched, if they were asked for.
    paths: Option<Vec<String>>,
}

impl Entry {
    /// The entities of the commit's events; `None` stands for the repository itself, which takes
    /// commits that touch nothing.
    pub(super) fn places(&self) -> impl Iterator<Item = Option<&str>> {
        let paths = self.paths.as_deref().unwrap_or_default();
        let none = paths.is_empty().then_some(None);
        none.into_iter()
            .chain(paths.iter().map(|path| Some(path.as_str())))
    }
}

/// A running listing of commits.
pub(super) struct History {
    listing: Option<Listing>,
    /// The paths of each commit, in the same order.
    paths: Option<Paths>,
    skipped: Option<u64>,
}

impl History {
    /// A history of which everything is known already.
    pub(super) fn nothing(known: u64) -> Self {
        Self {
            listing: None,
            paths: None,
            skipped: Some(known),
        }
    }

    pub(super) fn take_skipped(&mut self) -> Option<u64> {
        self.skipped.take()
    }

    pub(super) fn start(dir: &Path, tip: &str, options: &GitOptions) -> Result<Self> {
        let newest = options.newest.map(|newest| format!("--max-count={newest}"));
        let mut args = vec!["rev-list", "--topo-order", "--reverse", "--parents"];
        args.extend(newest.as_deref());
        args.push(tip);
        let start = || Listing::start(git(dir, &args), "rev-list");
        let paths = if options.by_path {
            Some(Paths::start(dir, start()?)?)
        } else {
            None
        };
        Ok(Self {
            listing: Some(start()?),
            paths,
            skipped: None,
        })
    }

    /// The next commit, parents before children.
    pub(super) fn next(&mut self) -> Result<Option<Entry>> {
        let Some(listing) = &mut self.listing else {
            return Ok(None);
        };
        let Some(line) = listing.read_until(b'\n')? else {
            let ended = listing.end();
            self.listing = None;
            return ended.map(|()| None);
        };
        let line = String::from_utf8_lossy(&line).into_owned();
        let mut oids = line.split(' ').map(str::to_owned);
        let oid = oids.next().unwrap_or_default();
        let parent = oids.next();
        let paths = match &mut self.paths {
            Some(paths) => Some(paths.of(&oid)?),
            None => None,
        };
        Ok(Some(Entry { oid, parent, paths }))
    }
}

/// The top-level paths that commits touch; of a merge none, since its parents have them.
struct Paths {
    /// Gives the commits to the other process.
    _commits: Listing,
    diffs: Listing,
    /// The first item of the next commit, read already.
    ahead: Option<Vec<u8>>,
}

impl Paths {
    fn start(dir: &Path, mut commits: Listing) -> Result<Self> {
        let diff = [
            "diff-tree",
            "--stdin",
            "--root",
            "--always",
            "--name-status",
            "--no-renames",
            "-z",
        ];
        let mut diff = git(dir, &diff);
        if let Some(out) = commits.take_out() {
            diff.stdin(out);
        }
        Ok(Self {
            diffs: Listing::start(diff, "diff-tree")?,
            _commits: commits,
            ahead: None,
        })
    }

    /// The output is a commit's name, then a letter and a path for each change.
    fn of(&mut self, oid: &str) -> Result<Vec<String>> {
        let head = match self.ahead.take() {
            Some(head) => Some(head),
            None => self.diffs.read_until(0)?,
        };
        if head.as_deref() != Some(oid.as_bytes()) {
            return Err(failed("diff-tree", "it listed other commits than rev-list"));
        }
        let mut paths = Vec::new();
        while let Some(item) = self.diffs.read_until(0)? {
            if item.len() != 1 {
                self.ahead = Some(item);
                break;
            }
            let path = self.diffs.read_until(0)?.unwrap_or_default();
            paths.push(entity_of(&path));
        }
        paths.sort();
        paths.dedup();
        Ok(paths)
    }
}

/// A path as an entity: what no entity can hold is spelled out.
fn entity_of(path: &[u8]) -> String {
    let mut entity = String::new();
    for c in String::from_utf8_lossy(path).chars() {
        if c.is_control() {
            entity.extend(c.escape_unicode());
        } else {
            entity.push(c);
        }
    }
    while entity.len() > factlog_format::MAX_NAME_LEN {
        entity.pop();
    }
    entity
}

/// A git command of which the output is read bit by bit.
struct Listing {
    child: Child,
    out: Option<BufReader<ChildStdout>>,
    what: &'static str,
}

impl Listing {
    fn start(mut command: Command, what: &'static str) -> Result<Self> {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("the git command could not be started")?;
        let out = child.stdout.take().map(BufReader::new);
        Ok(Self { child, out, what })
    }

    /// The raw output, of which nothing must have been read.
    fn take_out(&mut self) -> Option<ChildStdout> {
        self.out.take().map(BufReader::into_inner)
    }

    /// The bytes up to a separator, without it; `None` at the end.
    fn read_until(&mut self, end: u8) -> Result<Option<Vec<u8>>> {
        let mut item = Vec::new();
        let Some(out) = &mut self.out else {
            return Ok(None);
        };
        out.read_until(end, &mut item)
            .with_context(|| format!("git {} could not be read", self.what))?;
        if item.is_empty() {
            return Ok(None);
        }
        if item.last() == Some(&end) {
            item.pop();
        }
        Ok(Some(item))
    }

    /// Waits for the end, which must be a good one: a list cut short is not the history.
    fn end(&mut self) -> Result<()> {
        self.out = None;
        let status = self.child.wait()?;
        if status.success() {
            return Ok(());
        }
        Err(failed(self.what, &status.to_string()))
    }
}

impl Drop for Listing {
    fn drop(&mut self) {
        self.out = None;
        // Ended early: nobody reads the rest. Errors are those of a process that is gone.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
