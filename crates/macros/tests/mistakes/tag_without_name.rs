use factlog_macros::Event;

#[derive(Event)]
#[event(kind = "account.opened")]
struct AccountOpened(#[event(tag)] String);

fn main() {}
