use factlog_macros::Event;

#[derive(Event, serde::Serialize, serde::Deserialize)]
#[serde(tag = "type")]
enum Account {
    #[event(kind = "account.opened")]
    Opened,
}

fn main() {}
