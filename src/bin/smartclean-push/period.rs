//! A period as it is named on the command line.

use clap::Args;
use jiff::Timestamp;

/// From when, until when.
#[derive(Clone, Copy, Debug, Default, Args)]
pub(super) struct Period {
    /// Only readings of this moment and later ones
    #[arg(long, value_name = "TIME")]
    pub(super) since: Option<Timestamp>,
    /// Only readings of before this moment
    #[arg(long, value_name = "TIME")]
    pub(super) until: Option<Timestamp>,
}
