//! `cost`: what a month in AWS costs.

mod text;

use analysis::cost::assumptions::MESSAGES;
use analysis::cost::{Bill, RawDelivery, Region, Workload};
use clap::{Args, ValueEnum};
use jiff::SignedDuration;

use crate::Failure;
use crate::output::OutputFormat;
use crate::period::interval;

/// Estimate the cost of a month in AWS by service, and name the largest line
///
/// Uses a dated table of list prices, and how this program works: an object, a notice and a second look for each push, or for
/// the pushes of five minutes; a write for each changed zone; an SNS message for each message about alerts. It does not read
/// your AWS account.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  smartclean-push cost --devices 1000 --interval 5m
  smartclean-push cost --devices 1000 --interval 5m --batch 1        # a push for each reading, the dearest there is
  smartclean-push cost --devices 1000 --interval 5m --batch 1 --delivery buffered --lake
  smartclean-push cost --devices 200 --interval 15m --emails 3 --sms 2 --messages-per-device-month 4
  smartclean-push cost --devices 100000 --interval 5m --explain      # how each amount is computed, and what is assumed
  smartclean-push cost --devices 1000 --interval 5m --format json | jq .total

Not counted: what is pushed by AWS IoT, what an external issuer charges, access logs in other places, KMS keys, a sender ID
for SMS, support, tax.")]
pub(super) struct CostCommand {
    /// Number of devices
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000_000))]
    devices: u32,
    /// Interval of each device's readings, such as 30s, 5m or 1h
    #[arg(long, value_name = "TIME", value_parser = interval)]
    interval: SignedDuration,
    /// Mean number of readings in a push. SmartClean does not document it; the summary lines of the log have it (received)
    #[arg(long, value_name = "N", default_value_t = 25, value_parser = clap::value_parser!(u32).range(1..=7_000))]
    batch: u32,
    /// Devices in a zone
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=500))]
    devices_per_zone: u32,
    /// Per cent of readings that change the state of their zone: all of people counters, few of others
    #[arg(long, value_name = "PERCENT", default_value_t = 7.0, value_parser = percent)]
    changing: f64,
    /// Messages about a device in a month. The default is the number of a simulated building with the built-in rules
    /// (--explain). `replay raw` counts those of your rules
    #[arg(long, value_name = "N", default_value_t = MESSAGES.value, value_parser = messages)]
    messages_per_device_month: f64,
    /// Email addresses that get each message
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(..=1_000))]
    emails: u32,
    /// Phones in Singapore that get each message as an SMS. The estimate includes the few messages below `sms_from`
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=1_000))]
    sms: u32,
    /// Months whose readings are kept. They are never deleted, so that each year adds 12
    #[arg(long, value_name = "N", default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..=1_200))]
    months_kept: u32,
    /// Milliseconds that the function takes for a push. Yours are in CloudWatch (push_ms)
    #[arg(long, value_name = "MS", default_value_t = 80, value_parser = clap::value_parser!(u32).range(1..=29_000))]
    push_ms: u32,
    /// How pushes reach the bucket: RawDelivery of the stack
    #[arg(long, value_enum, default_value_t)]
    delivery: Delivery,
    /// Include the lake: compaction, Parquet files and its alarm
    #[arg(long)]
    lake: bool,
    /// GB that queries of the lake scan in a month
    #[arg(long, value_name = "GB", default_value_t = 10, requires = "lake")]
    scanned_gb: u32,
    /// Region: ap-southeast-1 (Singapore) or us-east-1 (N. Virginia)
    #[arg(long, value_name = "REGION", default_value = "ap-southeast-1")]
    region: Region,
    /// Subtract the monthly free tier
    #[arg(long)]
    free_tier: bool,
    /// Explain each amount, each price and each assumption
    #[arg(long)]
    explain: bool,
    /// Format of the results. JSON is one object with every line
    #[arg(long, value_enum, default_value_t)]
    format: OutputFormat,
}

/// [`RawDelivery`] as an argument.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Delivery {
    /// Each push is an object
    #[default]
    Direct,
    /// Data Firehose writes the pushes of five minutes as one object
    Buffered,
}

impl CostCommand {
    pub(super) fn run(self) -> Result<(), Failure> {
        let bill = Bill::of(&self.workload(), self.region, self.free_tier);
        self.format.print(&bill, |bill| text::text(bill, self.explain))
    }

    fn workload(&self) -> Workload {
        Workload {
            devices: self.devices.into(),
            interval: self.interval,
            batch: self.batch.into(),
            devices_per_zone: self.devices_per_zone.into(),
            changing_percent: self.changing,
            messages_per_device_month: self.messages_per_device_month,
            emails: self.emails.into(),
            phones: self.sms.into(),
            months_kept: self.months_kept.into(),
            push_ms: self.push_ms.into(),
            delivery: match self.delivery {
                Delivery::Direct => RawDelivery::Direct,
                Delivery::Buffered => RawDelivery::Buffered,
            },
            lake_scanned_gb: self.lake.then(|| self.scanned_gb.into()),
        }
    }
}

fn percent(text: &str) -> Result<f64, &'static str> {
    within(text, 100.0).ok_or("a share is a number from 0 to 100")
}

fn messages(text: &str) -> Result<f64, &'static str> {
    within(text, 100_000.0).ok_or("messages are a number from 0 to 100000, such as 2 or 0.5")
}

fn within(text: &str, most: f64) -> Option<f64> {
    text.parse().ok().filter(|number| (0.0..=most).contains(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_and_messages_are_numbers_within_their_bounds() {
        assert_eq!((percent("0"), percent("100"), messages("0.5")), (Ok(0.0), Ok(100.0), Ok(0.5)));
        for wrong in ["-1", "100.1", "NaN", "inf", "many", ""] {
            assert!(percent(wrong).is_err(), "{wrong}");
        }
        assert!(messages("-0.1").is_err() && messages("NaN").is_err() && messages("100001").is_err());
    }
}
