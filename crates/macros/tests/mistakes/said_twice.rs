use factlog_macros::Event;

#[derive(Event)]
#[event(kind = "account.opened")]
#[event(kind = "account.created")]
struct AccountOpened;

fn main() {}
