//! The file system that factlog sees.
//!
//! Everything factlog does to a disk goes through two small object-safe traits,
//! [`StoreFs`] and [`StoreFile`]. [`RealFs`] is the operating system's file system,
//! [`MemFs`] keeps everything in memory. What an implementation owes its callers,
//! above all *what is durable after what*, stands in the documentation of the traits;
//! [`conformance::check`] tests as much of it as can be tested without cutting the power.
//!
//! The traits are as raw as the system calls: reads and writes may be short or
//! interrupted. Callers use the functions that loop: [`read_exact_at`], [`read_up_to`],
//! [`write_all_at`], [`read_file`] and [`replace_file`].
//!
//! ```
//! use std::path::Path;
//! use factlog_fs::{Access, MemFs, StoreFs, read_file, replace_file};
//!
//! let fs = MemFs::new();
//! let dir = Path::new("journal");
//! fs.create_dir(dir, Access::Shared)?;
//! replace_file(&fs, dir, "NAME", b"one", Access::Shared)?;
//! replace_file(&fs, dir, "NAME", b"two", Access::Shared)?;
//! assert_eq!(read_file(&fs, &dir.join("NAME"), 1024)?, b"two");
//! # Ok::<(), std::io::Error>(())
//! ```

#[cfg(not(unix))]
compile_error!(
    "factlog supports Unix-like systems only: it needs advisory locks and directory sync"
);

pub mod conformance;
mod loops;
mod map;
mod mem;
mod probe;
mod real;
mod replace;
mod store_fs;

pub use loops::{read_exact_at, read_file, read_up_to, write_all_at};
pub use mem::MemFs;
pub use probe::{ProbeError, probe};
pub use real::RealFs;
pub use replace::{CleanupFailed, Replacement, TEMPORARY_SUFFIX, is_temporary, replace_file};
pub use store_fs::{
    Access, DirEntry, FileKind, FileLock, FileMap, LockError, Metadata, OpenMode, StoreFile,
    StoreFs,
};
