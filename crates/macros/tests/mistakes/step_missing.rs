use factlog_macros::Event;

#[derive(Event)]
#[event(kind = "account.opened", version = 3, upcast(1 = with_owner))]
struct AccountOpened;

fn main() {}
