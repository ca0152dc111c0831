use factlog_macros::Event;

#[derive(Event, serde::Serialize, serde::Deserialize)]
enum Account {
    #[event(kind = "account.opened")]
    #[serde(skip)]
    Opened,
}

fn main() {}
