use factlog_macros::Event;

#[derive(Event)]
#[event(kind = "account.opened")]
union AccountOpened {
    owner: u64,
}

fn main() {}
