use factlog_macros::Event;

#[derive(Event)]
#[event(kind = "account.opened", version = 0)]
struct AccountOpened;

fn main() {}
