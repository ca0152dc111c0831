use factlog_macros::Event;

#[derive(Event)]
enum Account {
    #[event(kind = "account.opened")]
    Opened,
    #[event(kind = "account.opened")]
    Closed,
}

fn main() {}
