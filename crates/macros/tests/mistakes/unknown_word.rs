use factlog_macros::Event;

#[derive(Event)]
#[event(kind = "account.opened", revision = 2)]
struct AccountOpened;

fn main() {}
