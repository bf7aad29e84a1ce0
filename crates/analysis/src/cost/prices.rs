//! The price table, `prices.toml`.

use std::collections::HashMap;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

/// The date of the prices.
pub const AS_OF: &str = "November 2026";

domain::words! {
    /// The region of the stack, by its code.
    pub enum Region {
        /// Asia Pacific (Singapore).
        Singapore = "ap-southeast-1",
        /// US East (N. Virginia).
        Virginia = "us-east-1",
    }
}

/// An item that AWS bills.
#[derive(Debug, Serialize, Deserialize)]
pub struct PricedItem {
    /// The service that bills it.
    pub service: String,
    /// What is billed.
    pub what: String,
    /// How the amount comes about.
    pub how: String,
    /// The amount that the price is for: "a million".
    pub each: String,
    /// AWS's page with the price.
    pub page: String,
    /// Where the price was found in 2025 or 2026. Without it, the price is of that size as far as we know.
    #[serde(default)]
    pub checked: Option<String>,
    /// The amount that is free for every account in every month.
    #[serde(default, skip_serializing)]
    pub(super) free: f64,
    #[serde(skip_serializing)]
    per: f64,
    /// For each region the amounts of a month from which on a price applies, with that price.
    #[serde(skip_serializing)]
    price: HashMap<Region, Vec<(f64, f64)>>,
}

impl PricedItem {
    /// The price of the first of them, in dollars for [`each`](Self::each).
    pub(super) fn price(&self, region: Region) -> f64 {
        self.price[&region][0].1
    }

    /// The price of `amount` of it in a month, in dollars.
    pub(super) fn cost(&self, amount: f64, region: Region) -> f64 {
        let steps = &self.price[&region];
        let ends = steps[1..].iter().map(|(from, _)| *from).chain([f64::INFINITY]);
        steps.iter().zip(ends).map(|((from, price), to)| (amount.min(to) - from).max(0.0) / self.per * price).sum()
    }
}

/// All items that AWS bills.
#[expect(clippy::panic, reason = "the table is part of the program, and tests read it")]
pub(super) fn items() -> &'static [PricedItem] {
    #[derive(Deserialize)]
    struct PriceTable {
        item: Vec<PricedItem>,
    }
    static TABLE: OnceLock<PriceTable> = OnceLock::new();
    let read = || toml::from_str(include_str!("prices.toml")).unwrap_or_else(|error| panic!("prices.toml: {error}"));
    &TABLE.get_or_init(read).item
}

#[cfg(test)]
mod tests {
    use super::*;

    fn costs(what: &str, amount: f64) -> f64 {
        items().iter().find(|item| item.what == what).unwrap().cost(amount, Region::Singapore)
    }

    #[test]
    fn a_lower_price_applies_above_its_amount_alone() {
        assert_eq!(costs("requests", 0.0), 0.0);
        assert_eq!(costs("requests", 300e6), 375.0);
        // 300 million at $1.25 and one at $1.13.
        assert_eq!(costs("requests", 301e6), 376.13);
        // 10 TB at $0.70, 20 TB at $0.35, 20 TB at $0.14, 1 GB at $0.07.
        let logs = 10_240.0 * 0.70 + 20_480.0 * 0.35 + 20_480.0 * 0.14 + 0.07;
        assert!((costs("GB of log lines", 51_201.0) - logs).abs() < 1e-6);
    }
}
