//! Other stores, each as its own documentation advises, but that what is acknowledged is synced.

mod batpak;
mod fjall;
mod okaywal;
mod raft_engine;
mod redb;
mod row;
mod sqlite;
mod tephra;
mod umadb;

pub(super) use self::{
    batpak::Batpak, fjall::Fjall, okaywal::OkayWal, raft_engine::RaftEngine, redb::Redb,
    sqlite::Sqlite, tephra::Tephra, umadb::Umadb,
};
