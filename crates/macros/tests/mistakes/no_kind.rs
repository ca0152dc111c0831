use factlog_macros::Event;

#[derive(Event)]
struct AccountOpened {
    owner: String,
}

fn main() {}
