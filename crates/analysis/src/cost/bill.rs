//! What a workload costs in a month, line by line, and what of it could be spared.

use serde::Serialize;

use super::prices::{AS_OF, Known, Price, Region};
use super::usage::usage;
use super::workload::{MOST_READINGS, Workload};

/// How many times as many readings a push has where a larger one is tried.
const LARGER: u32 = 10;

/// A month.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Bill {
    /// When the prices are of.
    pub prices_of: &'static str,
    /// Where.
    pub region: Region,
    /// Whether what AWS gives away every month is taken off.
    pub free_tier: bool,
    /// For what.
    pub workload: Workload,
    /// Readings a month.
    pub readings: f64,
    /// Pushes a month.
    pub pushes: f64,
    /// What is billed, service by service.
    pub lines: Vec<Line>,
    /// All lines together, in dollars.
    pub total: f64,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Line {
    /// The service.
    pub service: &'static str,
    /// What of it.
    pub what: &'static str,
    /// How much of that.
    pub amount: f64,
    /// How that amount comes about.
    pub how: &'static str,
    /// What the first of it costs, in dollars.
    pub price: f64,
    /// How many one gets for that: "a million".
    pub each: &'static str,
    /// What the line costs, in dollars.
    pub cost: f64,
    /// Where AWS says what it asks for.
    pub page: &'static str,
    /// How well the price is known.
    pub known: Known,
}

impl Line {
    fn new(price: &Price, amount: f64, how: &'static str, region: Region, free_tier: bool) -> Self {
        let free = if free_tier { price.free } else { 0.0 };
        Self {
            service: price.service,
            what: price.what,
            amount,
            how,
            price: price.first(region),
            each: price.each,
            cost: price.cost((amount - free).max(0.0), region),
            page: price.page,
            known: price.known,
        }
    }
}

impl Bill {
    /// The line that costs the most.
    #[must_use]
    pub fn dominating(&self) -> Option<&Line> {
        self.lines.iter().max_by(|a, b| a.cost.total_cmp(&b.cost))
    }

    /// Each service with what it costs, the dearest first.
    #[must_use]
    pub fn services(&self) -> Vec<(&'static str, f64)> {
        let mut services: Vec<(&'static str, f64)> = Vec::new();
        for line in &self.lines {
            match services.iter_mut().find(|(service, _)| *service == line.service) {
                Some((_, cost)) => *cost += line.cost,
                None => services.push((line.service, line.cost)),
            }
        }
        services.sort_by(|(_, a), (_, b)| b.total_cmp(a));
        services
    }
}

/// What `workload` costs in `region`; with `free_tier` less what AWS gives away every month for ever, which all that an
/// account has shares.
#[must_use]
pub fn reckon(workload: &Workload, region: Region, free_tier: bool) -> Bill {
    let lines: Vec<Line> =
        usage(workload).iter().map(|used| Line::new(used.price, used.amount, used.how, region, free_tier)).collect();
    Bill {
        prices_of: AS_OF,
        region,
        free_tier,
        workload: *workload,
        readings: workload.readings(),
        pushes: workload.pushes(),
        total: lines.iter().map(|line| line.cost).sum(),
        lines,
    }
}

/// What would make a month cheaper.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Lever {
    /// So many readings in a push.
    Batch(u32),
    /// A reading half as often.
    Interval,
    /// Half as many messages.
    Messages,
    /// Nobody told by SMS.
    NoTexts,
}

impl Lever {
    fn pull(self, workload: &Workload) -> Workload {
        let mut changed = *workload;
        match self {
            Self::Batch(batch) => changed.batch = batch,
            Self::Interval => changed.interval = workload.interval * 2,
            Self::Messages => changed.messages_per_device_month /= 2.0,
            Self::NoTexts => changed.phones = 0,
        }
        changed
    }
}

/// A lever that moves less than this share of the bill is none.
const WORTH_PULLING: f64 = 0.05;

/// What lowers the bill most, and by how many dollars: of what loses nothing that is measured, and only where nothing of that
/// would do, a reading less often. `None` where the bill hardly depends on what is sent.
#[must_use]
pub fn best_lever(bill: &Bill) -> Option<(Lever, f64)> {
    let batch = bill.workload.batch.saturating_mul(LARGER).min(MOST_READINGS);
    let best_of = |levers: &[Lever]| {
        let spared =
            |lever: &Lever| bill.total - reckon(&lever.pull(&bill.workload), bill.region, bill.free_tier).total;
        let best = levers.iter().map(|lever| (*lever, spared(lever))).max_by(|(_, a), (_, b)| a.total_cmp(b));
        best.filter(|(_, spared)| *spared > bill.total * WORTH_PULLING)
    };
    best_of(&[Lever::Batch(batch), Lever::Messages, Lever::NoTexts]).or_else(|| best_of(&[Lever::Interval]))
}

#[cfg(test)]
#[path = "bill_tests.rs"]
mod tests;
