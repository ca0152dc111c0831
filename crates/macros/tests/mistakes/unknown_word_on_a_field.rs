use factlog_macros::Event;

#[derive(Event)]
#[event(kind = "account.opened")]
struct AccountOpened {
    #[event(index)]
    owner: String,
}

fn main() {}
