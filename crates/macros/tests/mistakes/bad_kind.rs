use factlog_macros::Event;

#[derive(Event)]
#[event(kind = "account\nopened")]
struct AccountOpened;

fn main() {}
