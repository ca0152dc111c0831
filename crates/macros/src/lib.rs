//! The derive macro of factlog's typed events; `factlog` re-exports it, and its `typed` module says
//! what the attributes mean.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod attributes;
mod expand;

use proc_macro::TokenStream;

/// Makes a struct, or each variant of an enum, an event: a kind, a version, upcasts from earlier
/// versions, and tags from fields.
///
/// On a struct or a variant: `#[event(kind = "account.deposited", version = 2, upcast(1 = with_currency))]`.
/// On a field: `#[event(tag)]` or `#[event(tag = "account")]`.
#[proc_macro_derive(Event, attributes(event))]
pub fn derive_event(input: TokenStream) -> TokenStream {
    let input = syn::parse_macro_input!(input as syn::DeriveInput);
    let expanded = expand::event(&input).unwrap_or_else(|error| error.into_compile_error());
    expanded.into()
}
