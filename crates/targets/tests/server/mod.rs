//! A PostgreSQL server of the test's own, on a socket in a folder of its own.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
};

use postgres::{Client, NoTls};
use tempfile::TempDir;

pub(crate) struct Server {
    home: TempDir,
    program: PathBuf,
    child: Option<Child>,
}

/// As whom it runs, since it refuses to be run by root.
const USER: &str = "postgres";

impl Server {
    /// `None` where no server is installed or can be started.
    pub(crate) fn start() -> Option<Self> {
        let program = programs()?;
        let home = tempfile::Builder::new().prefix("pg").tempdir().ok()?;
        let mut server = Self {
            home,
            program,
            child: None,
        };
        if is_root() {
            let chown = Command::new("chown")
                .arg(USER)
                .arg(server.home.path())
                .status();
            chown.ok().filter(|status| status.success())?;
        }
        let data = server.data();
        let made = server
            .run("initdb")
            .args(["--auth=trust", "--username=test", "--no-sync", "-D"])
            .arg(data)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        made.ok().filter(|status| status.success())?;
        server.restart().then_some(server)
    }

    pub(crate) fn address(&self) -> String {
        format!(
            "host={} user=test dbname=postgres",
            self.home.path().display()
        )
    }

    /// Kills it with all its processes.
    pub(crate) fn kill(&mut self) {
        let Some(mut child) = self.child.take() else {
            return;
        };
        // The first line of its file is the process that all others end with.
        let pid = std::fs::read_to_string(self.data().join("postmaster.pid")).unwrap_or_default();
        let pid = pid.lines().next().unwrap_or_default().to_owned();
        let _ = Command::new("kill").args(["-QUIT", &pid]).status();
        let _ = child.wait();
    }

    /// Starts it where it was. `false`: it could not be reached.
    pub(crate) fn restart(&mut self) -> bool {
        let (data, home) = (self.data(), self.home.path().to_owned());
        let child = self
            .run("postgres")
            .arg("-D")
            .arg(data)
            .arg("-k")
            .arg(home)
            .args(["-c", "listen_addresses="])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let Ok(child) = child else {
            return false;
        };
        self.child = Some(child);
        loop {
            if Client::connect(&self.address(), NoTls).is_ok() {
                return true;
            }
            let ended = self
                .child
                .as_mut()
                .is_none_or(|child| !matches!(child.try_wait(), Ok(None)));
            if ended {
                return false;
            }
            thread::yield_now();
        }
    }

    fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    fn run(&self, program: &str) -> Command {
        let program = self.program.join(program);
        if !is_root() {
            return Command::new(program);
        }
        let mut command = Command::new("setpriv");
        let user = [format!("--reuid={USER}"), format!("--regid={USER}")];
        command.args(user).arg("--clear-groups").arg(program);
        command
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|output| output.stdout == b"0\n")
}

/// Where the server's programs are.
fn programs() -> Option<PathBuf> {
    let mut folders: Vec<PathBuf> = std::env::var_os("PATH")
        .map(|path| std::env::split_paths(&path).collect())
        .unwrap_or_default();
    let installed = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten();
    folders.extend(installed.flatten().map(|entry| entry.path().join("bin")));
    let has = |folder: &Path| folder.join("initdb").is_file() && folder.join("postgres").is_file();
    folders.into_iter().find(|folder| has(folder))
}
