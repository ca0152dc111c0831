//! The example program does what it says.

#[path = "../examples/orders.rs"]
mod orders;

#[test]
fn orders_and_mails_are_complete_over_two_sessions() {
    let folder = tempfile::tempdir().unwrap();
    let mut out = Vec::new();
    orders::run_in(folder.path(), &mut out).unwrap();
    let shown = "\
order-1: ada, 500 cents, not shipped
order-2: eve, 1250 cents, P-77
order-3: ada, 75 cents, not shipped
mail to ada: thank you for order-1
mail to eve: thank you for order-2
mail to ada: thank you for order-3
orders: 0 behind
mails: 0 behind
";
    assert_eq!(String::from_utf8(out).unwrap(), shown);
}
