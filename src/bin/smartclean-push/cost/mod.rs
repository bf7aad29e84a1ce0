//! `cost`: what a month in AWS costs.

mod text;

use analysis::cost::assumptions::MESSAGES;
use analysis::cost::{Bill, Region, Workload};
use clap::Args;
use jiff::SignedDuration;

use crate::Failure;
use crate::output::OutputFormat;
use crate::period::interval;

/// Estimate what a month in AWS costs, service by service, and which line of it dominates
///
/// From one dated table of list prices, and from how this program works: an object, a notice and a second look a push, a
/// write for each zone that changes, an SNS message for each message about alerts. No account is asked, and nothing is sent.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  smartclean-push cost --devices 1000 --interval 5m
  smartclean-push cost --devices 1000 --interval 5m --batch 1        # a push for each reading, the dearest there is
  smartclean-push cost --devices 200 --interval 15m --emails 3 --sms 2 --messages-per-device-month 4
  smartclean-push cost --devices 100000 --interval 5m --explain      # how each amount comes about, and what is assumed
  smartclean-push cost --devices 1000 --interval 5m --format json | jq .total

Not counted: compaction and queries of the lake (each reads every object once more, $0.40 a million), what is pushed by AWS
IoT, what an external issuer charges, access logs in other places, KMS keys, a sender ID for SMS, support, tax.")]
pub(super) struct CostCommand {
    /// How many devices send
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000_000))]
    devices: u32,
    /// How often each sends a reading, such as 30s, 5m or 1h
    #[arg(long, value_name = "TIME", value_parser = interval)]
    interval: SignedDuration,
    /// Readings in a push, on average. SmartClean does not say; the log's summary lines do (received)
    #[arg(long, value_name = "N", default_value_t = 25, value_parser = clap::value_parser!(u32).range(1..=7_000))]
    batch: u32,
    /// Devices of a zone
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=500))]
    devices_per_zone: u32,
    /// Readings of a hundred that change the state of their zone: of people counters all, of others few
    #[arg(long, value_name = "PERCENT", default_value_t = 7.0, value_parser = percent)]
    changing: f64,
    /// Messages about a device in a month. By the built-in rules as many as a simulated building makes (--explain); `replay raw`
    /// counts what yours would have made
    #[arg(long, value_name = "N", default_value_t = MESSAGES.value, value_parser = messages)]
    messages_per_device_month: f64,
    /// Addresses that get each message as an email
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(..=1_000))]
    emails: u32,
    /// Telephones in Singapore that get it as an SMS. Messages below medium severity (`sms_from`) are so few that they count too
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=1_000))]
    sms: u32,
    /// Months whose readings are kept. They are never deleted, so that each year adds 12
    #[arg(long, value_name = "N", default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..=1_200))]
    months_kept: u32,
    /// Milliseconds that a push takes the function; your own are in CloudWatch (push_ms)
    #[arg(long, value_name = "MS", default_value_t = 80, value_parser = clap::value_parser!(u32).range(1..=29_000))]
    push_ms: u32,
    /// Where: ap-southeast-1 (Singapore) or us-east-1 (N. Virginia)
    #[arg(long, value_name = "REGION", default_value = "ap-southeast-1")]
    region: Region,
    /// Take off what AWS gives every account every month
    #[arg(long)]
    free_tier: bool,
    /// Explain each amount, each price and each assumption
    #[arg(long)]
    explain: bool,
    /// Format of the results. JSON is one object with every line
    #[arg(long, value_enum, default_value_t)]
    format: OutputFormat,
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
