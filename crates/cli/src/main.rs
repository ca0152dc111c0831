//! The `factlog` command.
fn main() {}
