//! Published test vectors: the examples of RFCs and of vendor documentation, each sent through the whole HTTP handler.

mod basic;
mod bearer;
mod gsm7;
mod passwords;
mod signature;
mod tokens;
