//! `cost`: what a month in AWS costs.

mod text;

use analysis::cost::{Bill, Region, Workload};
use clap::Args;

use crate::Failure;
use crate::output::OutputFormat;

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
    #[command(flatten)]
    workload: Workload,
    /// Include the lake: compaction, Parquet files and its alarm
    #[arg(long)]
    lake: bool,
    /// GB that queries of the lake scan in a month
    #[arg(long, value_name = "GB", default_value_t = 10, requires = "lake")]
    scanned_gb: u32,
    /// Region: ap-southeast-1 (Singapore) or us-east-1 (N. Virginia)
    #[arg(long, value_name = "REGION", default_value_t = Region::Singapore, value_parser = region)]
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

impl CostCommand {
    pub(super) fn run(self) -> Result<(), Failure> {
        let lake_scanned_gb = self.lake.then(|| self.scanned_gb.into());
        let bill = Bill::of(&Workload { lake_scanned_gb, ..self.workload }, self.region, self.free_tier);
        self.format.print(&bill, |bill| text::text(bill, self.explain))
    }
}

fn region(code: &str) -> Result<Region, &'static str> {
    Region::named(code).ok_or("there are prices of ap-southeast-1 (Singapore) and us-east-1 (N. Virginia)")
}
