//! What was published by others: the examples of the RFCs and of vendors' own pages, each through the whole handler.

mod basic;
mod bearer;
mod gsm7;
mod passwords;
mod signature;
mod tokens;
