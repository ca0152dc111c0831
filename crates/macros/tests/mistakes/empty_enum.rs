use factlog_macros::Event;

#[derive(Event)]
enum Account {}

fn main() {}
