//! One file per store; here the names by which they are called.

mod factlog;
#[cfg(feature = "peers")]
mod peers;
mod raw;

use crate::store::Store;

/// Something to be done with a store of whichever type.
pub(crate) trait Task {
    type Output;
    fn run<S: Store>(self) -> anyhow::Result<Self::Output>;
}

macro_rules! stores {
    ($($(#[$condition:meta])* $name:literal => $store:ty,)*) => {
        /// The stores that this program was built with, in the order of the tables.
        pub(crate) const NAMES: &[&str] = &[$($(#[$condition])* $name),*];

        /// Does the task with the store of this name.
        pub(crate) fn with<T: Task>(name: &str, task: T) -> anyhow::Result<T::Output> {
            match name {
                $($(#[$condition])* $name => task.run::<$store>(),)*
                _ => anyhow::bail!("there is no store {name}; there are {}", NAMES.join(", ")),
            }
        }
    };
}

stores! {
    "factlog" => factlog::Factlog<true, false>,
    "factlog-mapped" => factlog::Factlog<true, true>,
    "factlog-unsigned" => factlog::Factlog<false, false>,
    "raw" => raw::Raw<false>,
    "raw-zeroed" => raw::Raw<true>,
    #[cfg(feature = "peers")]
    "batpak" => peers::Batpak,
    #[cfg(feature = "peers")]
    "tephra" => peers::Tephra,
    #[cfg(feature = "peers")]
    "umadb" => peers::Umadb,
    #[cfg(feature = "peers")]
    "redb" => peers::Redb,
    #[cfg(feature = "peers")]
    "fjall" => peers::Fjall,
    #[cfg(feature = "peers")]
    "sqlite" => peers::Sqlite,
    #[cfg(feature = "peers")]
    "raft-engine" => peers::RaftEngine,
    #[cfg(feature = "peers")]
    "okaywal" => peers::OkayWal,
}
