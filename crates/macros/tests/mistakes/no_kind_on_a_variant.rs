use factlog_macros::Event;

#[derive(Event)]
enum Account {
    #[event(kind = "account.opened")]
    Opened,
    Closed,
}

fn main() {}
