//! Takes tokens from the rate limit. Without an answer nothing is granted: messages wait for the sweep and go out without SMS.

use std::time::Duration;

use super::evaluator::Evaluator;
use super::ports::{UnavailableError, within};
use crate::domain::rate_limit::{Requester, TokenDemand, TokenRequest};
use crate::domain::severity::Severity;

/// The rate limit that all messages share.
const CHANNEL: &str = "alerts";
/// How long a push waits for the rate limit.
pub const RATE_LIMIT_TIMEOUT: Duration = Duration::from_secs(1);
/// How long the sweep waits for the rate limit. No client waits for the sweep, and a timeout delays every message by a minute.
const SWEEP_RATE_LIMIT_TIMEOUT: Duration = Duration::from_secs(5);

/// Number of these messages that may be sent now, urgent ones first.
pub(super) async fn take_tokens(
    Evaluator { store, rules, now }: &Evaluator<'_>,
    messages: impl Iterator<Item = Severity>,
    requester: Requester,
) -> usize {
    let mut demand = TokenDemand::default();
    messages.for_each(|severity| demand += severity);
    if demand == TokenDemand::default() {
        return 0;
    }
    let limit = match requester {
        Requester::Push => RATE_LIMIT_TIMEOUT,
        Requester::Sweep { .. } => SWEEP_RATE_LIMIT_TIMEOUT,
    };
    let request = TokenRequest { limit: rules.rate_limit, demand, requester, now: *now };
    granted_within(limit, store.take_tokens(CHANNEL, request)).await.unwrap_or_default()
}

/// Number of the `wanted` messages that may go out by SMS today; `None` without an answer.
pub(super) async fn take_sms(Evaluator { store, rules, now }: &Evaluator<'_>, wanted: usize) -> Option<usize> {
    if wanted == 0 {
        return Some(0);
    }
    granted_within(RATE_LIMIT_TIMEOUT, store.take_sms(rules.rate_limit.sms_per_day, wanted, *now)).await
}

async fn granted_within(
    limit: Duration,
    asked: impl Future<Output = Result<usize, UnavailableError>> + Send,
) -> Option<usize> {
    let granted = within(limit, "the rate limit did not answer in time", asked).await;
    granted
        .inspect_err(|error| tracing::warn!(error = %error.chain(), "rate limit not available, nothing granted"))
        .ok()
}
