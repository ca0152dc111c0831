use factlog_macros::Event;

#[derive(Event)]
#[event(kind = "account.opened", version = 2, upcast(1 = with_owner, 2 = with_branch))]
struct AccountOpened;

fn main() {}
