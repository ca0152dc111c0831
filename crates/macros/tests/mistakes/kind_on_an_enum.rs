use factlog_macros::Event;

#[derive(Event)]
#[event(kind = "account")]
enum Account {
    #[event(kind = "account.opened")]
    Opened,
}

fn main() {}
