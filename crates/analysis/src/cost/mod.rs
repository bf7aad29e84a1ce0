//! What a month costs in AWS: a workload becomes amounts that are billed, by how this program works, and those become money,
//! by one table of prices.
//!
//! Pure: the same workload costs the same, and every number can be followed. What is not known by the code is an
//! [`assumption`](assumptions), with its source.

pub mod assumptions;
pub mod prices;
#[cfg(test)]
mod tests;
pub mod workload;

use serde::Serialize;

use self::prices::{AS_OF, ITEMS, Item};
use self::workload::Month;

pub use self::prices::Region;
pub use self::workload::Workload;

/// A month.
#[derive(Clone, Debug, Serialize)]
pub struct Bill {
    /// The date of the prices.
    pub prices_of: &'static str,
    /// Where the stack is.
    pub region: Region,
    /// Whether what AWS gives away every month is taken off.
    pub free_tier: bool,
    /// What is paid for.
    pub workload: Workload,
    /// Readings a month.
    pub readings: f64,
    /// Pushes a month.
    pub pushes: f64,
    /// What is billed.
    pub lines: Vec<Line>,
    /// All lines together, in dollars.
    pub total: f64,
}

/// One line of a bill.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// What is billed.
    #[serde(flatten)]
    pub item: &'static Item,
    /// How much of it.
    pub amount: f64,
    /// The price of the first of it, in dollars.
    pub price: f64,
    /// The price of all of it, in dollars.
    pub cost: f64,
}

impl Bill {
    /// The bill for `workload` in `region`; with `free_tier` less what AWS gives every account every month, for ever.
    #[must_use]
    pub fn of(workload: &Workload, region: Region, free_tier: bool) -> Self {
        let month = Month::of(*workload);
        let line = |item: &'static Item| {
            let amount = (item.amount)(&month);
            let free = if free_tier { item.free } else { 0.0 };
            let cost = item.cost((amount - free).max(0.0), region);
            Line { item, amount, price: item.price(region), cost }
        };
        let lines: Vec<Line> = ITEMS.iter().map(line).collect();
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
    pub fn dominating(&self) -> Option<&Line> {
        self.lines.iter().max_by(|a, b| a.cost.total_cmp(&b.cost))
    }

    /// Each service with its cost, the most expensive first.
    #[must_use]
    pub fn services(&self) -> Vec<(&'static str, f64)> {
        let mut services: Vec<(&'static str, f64)> = Vec::new();
        for Line { item, cost, .. } in &self.lines {
            match services.iter_mut().find(|(service, _)| *service == item.service) {
                Some((_, sum)) => *sum += cost,
                None => services.push((item.service, *cost)),
            }
        }
        services.sort_by(|(_, a), (_, b)| b.total_cmp(a));
        services
    }
}
