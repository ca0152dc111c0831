//! The format seen from outside: properties, golden files, limits, the format page.

mod arbitrary;
mod bit_flips;
mod by_the_book;
mod canonical;
mod corpus;
mod examples;
mod golden;
mod limits;
mod page;
mod refused;
mod round_trip;
