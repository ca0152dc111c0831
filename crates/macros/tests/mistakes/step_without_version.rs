use factlog_macros::Event;

#[derive(Event)]
#[event(kind = "account.opened", version = 2, upcast(with_owner))]
struct AccountOpened;

fn main() {}
