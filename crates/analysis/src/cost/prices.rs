//! What AWS asks for: one table, of one date. On-demand list prices in US dollars, without tax and without discounts.
//!
//! Prices change. Look at the page that is named with each before you rely on it; a changed price is changed here alone.

use std::str::FromStr;

use serde::Serialize;

/// When the table was put together.
pub const AS_OF: &str = "November 2026";

/// Where the stack is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub enum Region {
    /// Asia Pacific (Singapore).
    #[default]
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

/// How well a price is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Known {
    /// Found as AWS's price list or price page had it in 2025 or 2026.
    Published,
    /// Of this size as far as we know; not found published for both regions.
    Check,
}

/// A price: from how much in a month on, and what is asked above that.
type Steps = &'static [(f64, f64)];

/// What one thing costs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Price {
    /// The service that bills it.
    pub service: &'static str,
    /// What is billed.
    pub what: &'static str,
    /// What the price is for, as it is read after the price: "a million".
    pub each: &'static str,
    /// How many that are.
    pub per: f64,
    /// What of it is free every month for every account, for ever.
    pub free: f64,
    singapore: Steps,
    virginia: Steps,
    /// Where AWS says it.
    pub page: &'static str,
    /// How well it is known.
    pub known: Known,
}

impl Price {
    fn steps(&self, region: Region) -> Steps {
        match region {
            Region::Singapore => self.singapore,
            Region::Virginia => self.virginia,
        }
    }

    /// What the first of them cost, in dollars for [`each`](Self::each).
    #[must_use]
    pub fn first(&self, region: Region) -> f64 {
        self.steps(region).first().map_or(0.0, |(_, price)| *price)
    }

    /// What `amount` of it costs in a month, in dollars.
    #[must_use]
    pub fn cost(&self, amount: f64, region: Region) -> f64 {
        let steps = self.steps(region);
        let ends = steps.iter().skip(1).map(|(from, _)| *from).chain([f64::INFINITY]);
        steps.iter().zip(ends).map(|((from, price), to)| (amount.min(to) - from).max(0.0) / self.per * price).sum()
    }
}

const MILLION: f64 = 1e6;
/// In GB, as AWS bills data: 1,024 of them.
const TB: f64 = 1_024.0;

/// A row of the table, still without its prices.
const fn price(service: &'static str, what: &'static str, each: &'static str, per: f64, page: &'static str) -> Price {
    Price { service, what, each, per, free: 0.0, singapore: &[], virginia: &[], page, known: Known::Published }
}

impl Price {
    const fn at(mut self, singapore: Steps, virginia: Steps) -> Self {
        self.singapore = singapore;
        self.virginia = virginia;
        self
    }

    const fn free(mut self, free: f64) -> Self {
        self.free = free;
        self
    }

    const fn to_be_checked(mut self) -> Self {
        self.known = Known::Check;
        self
    }
}

const GATEWAY: &str = "https://aws.amazon.com/api-gateway/pricing/";
const LAMBDA: &str = "https://aws.amazon.com/lambda/pricing/";
const S3: &str = "https://aws.amazon.com/s3/pricing/";
const DYNAMODB: &str = "https://aws.amazon.com/dynamodb/pricing/on-demand/";
const SQS: &str = "https://aws.amazon.com/sqs/pricing/";
const SNS: &str = "https://aws.amazon.com/sns/pricing/";
const SMS: &str = "https://aws.amazon.com/end-user-messaging/pricing/";
const SECRETS: &str = "https://aws.amazon.com/secrets-manager/pricing/";
const CLOUDWATCH: &str = "https://aws.amazon.com/cloudwatch/pricing/";
const TRANSFER: &str = "https://aws.amazon.com/ec2/pricing/on-demand/#Data_Transfer";

/// Requests to the HTTP API, each started 512 KB one.
pub const GATEWAY_REQUESTS: Price = price("API Gateway", "requests", "a million", MILLION, GATEWAY)
    .at(&[(0.0, 1.25), (300e6, 1.13)], &[(0.0, 1.00), (300e6, 0.90)])
    .to_be_checked();
/// Calls of the function.
pub const INVOCATIONS: Price =
    price("Lambda", "calls", "a million", MILLION, LAMBDA).at(&[(0.0, 0.20)], &[(0.0, 0.20)]).free(MILLION);
/// Its time, on arm64.
pub const COMPUTE: Price =
    price("Lambda", "GB-seconds", "a million", MILLION, LAMBDA).at(COMPUTE_STEPS, COMPUTE_STEPS).free(400_000.0);
const COMPUTE_STEPS: Steps = &[(0.0, 13.3334), (7.5e9, 12.0001), (18.75e9, 10.6667)];
/// Objects written.
pub const PUTS: Price = price("S3", "objects written", "a million", MILLION, S3).at(&[(0.0, 5.00)], &[(0.0, 5.00)]);
/// Objects read.
pub const GETS: Price = price("S3", "objects read", "a million", MILLION, S3).at(&[(0.0, 0.40)], &[(0.0, 0.40)]);
/// Objects kept, in class Standard.
pub const KEPT: Price = price("S3", "GB kept", "a GB", 1.0, S3).at(
    &[(0.0, 0.025), (50.0 * TB, 0.024), (500.0 * TB, 0.023)],
    &[(0.0, 0.023), (50.0 * TB, 0.022), (500.0 * TB, 0.021)],
);
/// Write units: a started KB of an item is one.
pub const WRITES: Price = price("DynamoDB", "write units", "a million", MILLION, DYNAMODB)
    .at(&[(0.0, 0.7115)], &[(0.0, 0.625)])
    .to_be_checked();
/// Read units: 4 KB of an item that were started are one.
pub const READS: Price = price("DynamoDB", "read units", "a million", MILLION, DYNAMODB)
    .at(&[(0.0, 0.1425)], &[(0.0, 0.125)])
    .to_be_checked();
/// Items kept, and with them what is needed to restore any moment of the last 35 days ($0.228 and $0.20 of it).
pub const REMEMBERED: Price = price("DynamoDB", "GB kept and restorable", "a GB", 1.0, DYNAMODB)
    .at(&[(0.0, 0.513)], &[(0.0, 0.45)])
    .to_be_checked();
/// Requests to the queue.
pub const QUEUE_REQUESTS: Price =
    price("SQS", "requests", "a million", MILLION, SQS).at(QUEUE_STEPS, QUEUE_STEPS).free(MILLION);
const QUEUE_STEPS: Steps = &[(0.0, 0.40), (100e9, 0.30), (200e9, 0.24)];
/// Messages to the topic.
pub const PUBLISHES: Price =
    price("SNS", "messages", "a million", MILLION, SNS).at(&[(0.0, 0.50)], &[(0.0, 0.50)]).free(MILLION);
/// Emails.
pub const EMAILS: Price = price("SNS", "emails", "a thousand", 1e3, SNS).at(&[(0.0, 0.02)], &[(0.0, 0.02)]).free(1e3);
/// Text messages to a telephone in Singapore; what they cost goes by the country that they go to.
pub const TEXTS: Price =
    price("SNS", "SMS to Singapore", "a message", 1.0, SMS).at(&[(0.0, 0.045)], &[(0.0, 0.045)]).to_be_checked();
/// A secret.
pub const SECRET: Price = price("Secrets Manager", "secrets", "each", 1.0, SECRETS).at(&[(0.0, 0.40)], &[(0.0, 0.40)]);
/// Looks at a secret.
pub const SECRET_READS: Price =
    price("Secrets Manager", "reads", "a million", MILLION, SECRETS).at(&[(0.0, 5.00)], &[(0.0, 5.00)]);
/// Log lines written; of a function's, and of the gateway's, the more the cheaper.
pub const LOGS: Price = price("CloudWatch", "GB of log lines", "a GB", 1.0, CLOUDWATCH)
    .at(
        &[(0.0, 0.70), (10.0 * TB, 0.35), (30.0 * TB, 0.14), (50.0 * TB, 0.07)],
        &[(0.0, 0.50), (10.0 * TB, 0.25), (30.0 * TB, 0.10), (50.0 * TB, 0.05)],
    )
    .free(5.0);
/// Log lines kept, compressed.
pub const LOGS_KEPT: Price =
    price("CloudWatch", "GB of log lines kept", "a GB", 1.0, CLOUDWATCH).at(&[(0.0, 0.03)], &[(0.0, 0.03)]);
/// Metrics of our own.
pub const METRICS: Price =
    price("CloudWatch", "metrics", "each", 1.0, CLOUDWATCH).at(&[(0.0, 0.30)], &[(0.0, 0.30)]).free(10.0);
/// Alarms.
pub const ALARMS: Price =
    price("CloudWatch", "alarms", "each", 1.0, CLOUDWATCH).at(&[(0.0, 0.10)], &[(0.0, 0.10)]).free(10.0);
/// Dashboards.
pub const DASHBOARDS: Price =
    price("CloudWatch", "dashboards", "each", 1.0, CLOUDWATCH).at(&[(0.0, 3.00)], &[(0.0, 3.00)]).free(3.0);
/// What leaves AWS for the internet: answers.
pub const DATA_OUT: Price = price("Data transfer", "GB of answers", "a GB", 1.0, TRANSFER)
    .at(
        &[(0.0, 0.12), (10.0 * TB, 0.085), (50.0 * TB, 0.082), (150.0 * TB, 0.08)],
        &[(0.0, 0.09), (10.0 * TB, 0.085), (50.0 * TB, 0.07), (150.0 * TB, 0.05)],
    )
    .free(100.0);

#[cfg(test)]
mod tests {
    use super::*;

    fn costs(price: &Price, amount: f64) -> f64 {
        price.cost(amount, Region::Singapore)
    }

    #[test]
    fn the_cheaper_step_counts_only_above_its_beginning() {
        assert_eq!(costs(&GATEWAY_REQUESTS, 0.0), 0.0);
        assert_eq!(costs(&GATEWAY_REQUESTS, 300e6), 375.0);
        // 300 million at $1.25 and one at $1.13.
        assert_eq!(costs(&GATEWAY_REQUESTS, 301e6), 376.13);
        // 10 TB at $0.70, 20 TB at $0.35, 20 TB at $0.14, 1 GB at $0.07.
        let logs = 10_240.0 * 0.70 + 20_480.0 * 0.35 + 20_480.0 * 0.14 + 0.07;
        assert!((costs(&LOGS, 51_201.0) - logs).abs() < 1e-6);
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
