//! Estimates what a month costs in AWS: a [`Workload`] becomes amounts, and these become money by `prices.toml`.
//!
//! Sizes and times that the code does not know are [`assumptions`], each with its source.
//!
//! ```
//! use analysis::cost::{Bill, RawDelivery, Region, Workload};
//! let workload = Workload {
//!     devices: 1_000.0,
//!     interval: jiff::SignedDuration::from_mins(5),
//!     batch: 25.0,
//!     devices_per_zone: 5.0,
//!     changing_percent: 7.0,
//!     messages_per_device_month: 2.0,
//!     emails: 1.0,
//!     phones: 0.0,
//!     months_kept: 12.0,
//!     push_ms: 80.0,
//!     delivery: RawDelivery::Direct,
//!     lake_scanned_gb: None,
//! };
//! let bill = Bill::of(&workload, Region::Singapore, false);
//! assert_eq!(bill.dominating().unwrap().item.what, "metrics");
//! ```

pub mod assumptions;
pub mod prices;
#[cfg(test)]
mod tests;
pub mod workload;

use serde::Serialize;

use self::prices::{AS_OF, PricedItem, items};
use self::workload::Month;

pub use self::prices::Region;
pub use self::workload::{RawDelivery, Workload};

/// The bill of a month.
#[derive(Clone, Debug, Serialize)]
pub struct Bill {
    /// The date of the prices.
    pub prices_of: &'static str,
    /// The region of the stack.
    pub region: Region,
    /// Whether the free tier is subtracted.
    pub free_tier: bool,
    /// The workload.
    pub workload: Workload,
    /// Readings a month.
    pub readings: f64,
    /// Pushes a month.
    pub pushes: f64,
    /// A line for each item.
    pub lines: Vec<BillLine>,
    /// The sum of the lines, in dollars.
    pub total: f64,
}

/// A line of a bill.
#[derive(Clone, Debug, Serialize)]
pub struct BillLine {
    /// The item.
    #[serde(flatten)]
    pub item: &'static PricedItem,
    /// Its amount.
    pub amount: f64,
    /// The price of [`each`](PricedItem::each), in dollars.
    pub price: f64,
    /// The price of the whole amount, in dollars.
    pub cost: f64,
}

impl Bill {
    /// The bill of `workload` in `region`. With `free_tier`, less the monthly free tier.
    #[must_use]
    pub fn of(workload: &Workload, region: Region, free_tier: bool) -> Self {
        let month = Month::of(workload);
        let lines = month.amounts.into_iter().filter_map(|(service, what, amount)| {
            let item = items().iter().find(|item| item.service == service && item.what == what)?;
            let free = if free_tier { item.free } else { 0.0 };
            let cost = item.cost((amount - free).max(0.0), region);
            Some(BillLine { item, amount, price: item.price(region), cost })
        });
        let lines: Vec<BillLine> = lines.collect();
        Self {
            prices_of: AS_OF,
            region,
            free_tier,
            workload: *workload,
            readings: month.readings,
            pushes: month.pushes,
            total: lines.iter().map(|line| line.cost).sum(),
            lines,
        }
    }

    /// The line that costs most.
    #[must_use]
    pub fn dominating(&self) -> Option<&BillLine> {
        self.lines.iter().max_by(|a, b| a.cost.total_cmp(&b.cost))
    }

    /// Each service with its cost, the most expensive first.
    #[must_use]
    pub fn services(&self) -> Vec<(&'static str, f64)> {
        let mut services: Vec<(&'static str, f64)> = Vec::new();
        for lines in self.lines.chunk_by(|one, other| one.item.service == other.item.service) {
            services.push((&lines[0].item.service, lines.iter().map(|line| line.cost).sum()));
        }
        services.sort_by(|(_, a), (_, b)| b.total_cmp(a));
        services
    }
}
