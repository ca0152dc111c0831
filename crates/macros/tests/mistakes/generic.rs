use factlog_macros::Event;

#[derive(Event)]
#[event(kind = "account.opened")]
struct AccountOpened<T>(T);

fn main() {}
