//! What AWS bills, how much of it a workload takes, and what AWS asks for it: one table, of one date. On-demand list prices in
//! US dollars, without tax and without discounts.
//!
//! Prices change. Look at the page that is named with each before you rely on it. Change a price here alone.

use std::str::FromStr;

use serde::Serialize;

use super::assumptions::{ALARMS, DASHBOARDS, LOG_KEPT, MEMORY, METRICS};
use super::workload::{FIVE_MINUTES, MINUTES, Month};

/// The date of the prices.
pub const AS_OF: &str = "November 2026";

/// Where the stack is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Region {
    /// Asia Pacific (Singapore).
    #[serde(rename = "ap-southeast-1")]
    Singapore,
    /// US East (N. Virginia).
    #[serde(rename = "us-east-1")]
    Virginia,
}

impl Region {
    /// AWS's code of it.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Singapore => "ap-southeast-1",
            Self::Virginia => "us-east-1",
        }
    }
}

impl FromStr for Region {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Singapore, Self::Virginia]
            .into_iter()
            .find(|region| region.code() == text)
            .ok_or("there are prices of ap-southeast-1 (Singapore) and us-east-1 (N. Virginia)")
    }
}

/// Amounts in a month from which another price applies, each with that price.
type Steps = &'static [(f64, f64)];

/// Something that AWS bills.
#[derive(Debug, Serialize)]
pub struct Item {
    /// The service that bills it.
    pub service: &'static str,
    /// What is billed.
    pub what: &'static str,
    /// How the amount comes about.
    pub how: &'static str,
    /// What the price is for: "a million".
    pub each: &'static str,
    /// The page on which AWS publishes the price.
    pub page: &'static str,
    /// Whether the price was found as AWS's price list or price page had it in 2025 or 2026. Otherwise it is of that size as far
    /// as we know.
    pub is_confirmed: bool,
    /// How much of it a month takes.
    #[serde(skip)]
    pub(super) amount: fn(&Month) -> f64,
    /// How much is free for every account in every month.
    #[serde(skip)]
    pub(super) free: f64,
    /// How many the price is for.
    #[serde(skip)]
    per: f64,
    /// The price of the first ones, in Singapore and in Virginia.
    #[serde(skip)]
    first: [f64; 2],
    #[serde(skip)]
    steps: [Steps; 2],
}

impl Item {
    /// The price of the first of them, in dollars for [`each`](Self::each).
    pub(super) fn price(&self, region: Region) -> f64 {
        self.first[region as usize]
    }

    /// The price of `amount` of it in a month, in dollars.
    pub(super) fn cost(&self, amount: f64, region: Region) -> f64 {
        let steps = self.steps[region as usize];
        let starts = [(0.0, self.price(region))].into_iter().chain(steps.iter().copied());
        let ends = steps.iter().map(|(from, _)| *from).chain([f64::INFINITY]);
        starts.zip(ends).map(|((from, price), to)| (amount.min(to) - from).max(0.0) / self.per * price).sum()
    }

    const fn at(self, Each(per, each): Each, singapore: f64, virginia: f64) -> Self {
        Self { per, each, first: [singapore, virginia], ..self }
    }

    const fn free(self, free: f64) -> Self {
        Self { free, ..self }
    }

    const fn steps(self, singapore: Steps, virginia: Steps) -> Self {
        Self { steps: [singapore, virginia], ..self }
    }

    const fn unconfirmed(self) -> Self {
        Self { is_confirmed: false, ..self }
    }
}

/// A service, or a part of one with a price page of its own.
struct Service(&'static str, &'static str);

const GATEWAY: Service = Service("API Gateway", "https://aws.amazon.com/api-gateway/pricing/");
const TRANSFER: Service = Service("Data transfer", "https://aws.amazon.com/ec2/pricing/on-demand/#Data_Transfer");
const LAMBDA: Service = Service("Lambda", "https://aws.amazon.com/lambda/pricing/");
const S3: Service = Service("S3", "https://aws.amazon.com/s3/pricing/");
const SQS: Service = Service("SQS", "https://aws.amazon.com/sqs/pricing/");
const DYNAMODB: Service = Service("DynamoDB", "https://aws.amazon.com/dynamodb/pricing/on-demand/");
const SNS: Service = Service("SNS", "https://aws.amazon.com/sns/pricing/");
const SMS: Service = Service("SNS", "https://aws.amazon.com/end-user-messaging/pricing/");
const CLOUDWATCH: Service = Service("CloudWatch", "https://aws.amazon.com/cloudwatch/pricing/");
const SECRETS: Service = Service("Secrets Manager", "https://aws.amazon.com/secrets-manager/pricing/");

/// How many a price is for.
struct Each(f64, &'static str);

const MILLION: Each = Each(1e6, "a million");
const THOUSAND: Each = Each(1e3, "a thousand");
const MESSAGE: Each = Each(1.0, "a message");
const GIGABYTE: Each = Each(1.0, "a GB");
const ONE: Each = Each(1.0, "each");

/// A row of the table, which has no price yet.
const fn item(
    Service(service, page): Service,
    what: &'static str,
    how: &'static str,
    amount: fn(&Month) -> f64,
) -> Item {
    let Each(per, each) = ONE;
    Item {
        service,
        what,
        how,
        each,
        page,
        is_confirmed: true,
        amount,
        free: 0.0,
        per,
        first: [0.0; 2],
        steps: [&[]; 2],
    }
}

/// In GB, as AWS bills data: 1,024 of them.
const TB: f64 = 1_024.0;
const COMPUTE: Steps = &[(7.5e9, 12.0001), (18.75e9, 10.6667)];
const QUEUE: Steps = &[(100e9, 0.30), (200e9, 0.24)];

/// Everything that is billed, each with its price in Singapore and in Virginia.
pub(super) static ITEMS: [Item; 21] = [
    item(GATEWAY, "requests", "a push, for each started 512 KB of it", Month::gateway_requests)
        .at(MILLION, 1.25, 1.00)
        .steps(&[(300e6, 1.13)], &[(300e6, 0.90)])
        .unconfirmed(),
    item(TRANSFER, "GB of answers", "the answer to each push", Month::gigabytes_answered)
        .at(GIGABYTE, 0.12, 0.09)
        .steps(
            &[(10.0 * TB, 0.085), (50.0 * TB, 0.082), (150.0 * TB, 0.08)],
            &[(10.0 * TB, 0.085), (50.0 * TB, 0.07), (150.0 * TB, 0.05)],
        )
        .free(100.0),
    item(LAMBDA, "calls", "each push, the second looks, a sweep a minute", |month| month.pushes + month.other_calls())
        .at(MILLION, 0.20, 0.20)
        .free(1e6),
    // On arm64.
    item(LAMBDA, "GB-seconds", "time of these, at the function's memory", |month| month.seconds * MEMORY.value)
        .at(MILLION, 13.3334, 13.3334)
        .steps(COMPUTE, COMPUTE)
        .free(400_000.0),
    item(S3, "objects written", "one object a push", |month| month.pushes).at(MILLION, 5.00, 5.00),
    item(S3, "objects read", "each object once, for the second look; the rules, each minute and process", |month| {
        month.pushes + month.processes * MINUTES
    })
    .at(MILLION, 0.40, 0.40),
    // Of the class Standard.
    item(S3, "GB kept", "compressed readings of all months that are kept", Month::gigabytes_stored)
        .at(GIGABYTE, 0.025, 0.023)
        .steps(&[(50.0 * TB, 0.024), (500.0 * TB, 0.023)], &[(50.0 * TB, 0.022), (500.0 * TB, 0.021)]),
    item(SQS, "requests", "a notice a push; two for ten of them; Lambda's looks if it is empty", Month::queue_requests)
        .at(MILLION, 0.40, 0.40)
        .steps(QUEUE, QUEUE)
        .free(1e6),
    // A unit is a started KB of an item.
    item(
        DYNAMODB,
        "write units",
        "changed zones and the index; three a message; one each 5 minutes",
        Month::write_units,
    )
    .at(MILLION, 0.7115, 0.625)
    .unconfirmed(),
    // A unit is 4 KB of an item that were started.
    item(DYNAMODB, "read units", "the zones of a push, twice; sweeps; messages", Month::read_units)
        .at(MILLION, 0.1425, 0.125)
        .unconfirmed(),
    // With what restores any moment of the last 35 days ($0.228 and $0.20 of it).
    item(DYNAMODB, "GB kept and restorable", "an item a zone", Month::gigabytes_of_state)
        .at(GIGABYTE, 0.513, 0.45)
        .unconfirmed(),
    item(SNS, "messages", "of alerts, at most ten a minute; more share digests", |month| month.messages)
        .at(MILLION, 0.50, 0.50)
        .free(1e6),
    item(SNS, "emails", "each to each address", |month| month.messages * month.workload.emails)
        .at(THOUSAND, 0.02, 0.02)
        .free(1e3),
    // The price depends on the country of the telephone.
    item(SMS, "SMS to Singapore", "each to each telephone, at most a hundred a day", Month::texts)
        .at(MESSAGE, 0.045, 0.045)
        .unconfirmed(),
    item(CLOUDWATCH, "GB of log lines", "lines of each push, second look and sweep", Month::gigabytes_logged)
        .at(GIGABYTE, 0.70, 0.50)
        .steps(
            &[(10.0 * TB, 0.35), (30.0 * TB, 0.14), (50.0 * TB, 0.07)],
            &[(10.0 * TB, 0.25), (30.0 * TB, 0.10), (50.0 * TB, 0.05)],
        )
        .free(5.0),
    item(CLOUDWATCH, "GB of log lines kept", "those of the last 30 days, compressed", |month| {
        month.gigabytes_logged() * LOG_KEPT.value / 100.0
    })
    .at(GIGABYTE, 0.03, 0.03),
    item(CLOUDWATCH, "metrics", "numbers of the dashboard and the alarms", |_| METRICS.value)
        .at(ONE, 0.30, 0.30)
        .free(10.0),
    item(CLOUDWATCH, "alarms", "in the template", |_| ALARMS.value).at(ONE, 0.10, 0.10).free(10.0),
    item(CLOUDWATCH, "dashboards", "in the template", |_| DASHBOARDS.value).at(ONE, 3.00, 3.00).free(3.0),
    item(SECRETS, "secrets", "the credentials", |_| 1.0).at(ONE, 0.40, 0.40),
    item(SECRETS, "reads", "two versions, each 5 minutes and process", |month| month.processes * 2.0 * FIVE_MINUTES)
        .at(MILLION, 5.00, 5.00),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn costs(what: &str, amount: f64) -> f64 {
        ITEMS.iter().find(|item| item.what == what).unwrap().cost(amount, Region::Singapore)
    }

    #[test]
    fn the_cheaper_step_counts_only_above_its_beginning() {
        assert_eq!(costs("requests", 0.0), 0.0);
        assert_eq!(costs("requests", 300e6), 375.0);
        // 300 million at $1.25 and one at $1.13.
        assert_eq!(costs("requests", 301e6), 376.13);
        // 10 TB at $0.70, 20 TB at $0.35, 20 TB at $0.14, 1 GB at $0.07.
        let logs = 10_240.0 * 0.70 + 20_480.0 * 0.35 + 20_480.0 * 0.14 + 0.07;
        assert!((costs("GB of log lines", 51_201.0) - logs).abs() < 1e-6);
    }

    #[test]
    fn regions_are_named_by_their_codes_alone() {
        for region in [Region::Singapore, Region::Virginia] {
            assert_eq!(region.code().parse(), Ok(region));
        }
        assert!("eu-west-1".parse::<Region>().unwrap_err().contains("us-east-1"));
        assert!("".parse::<Region>().is_err());
    }
}
