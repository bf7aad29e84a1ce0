//! What the rate limiter allows. Without an answer it allows nothing: messages wait for the sweep, and go out without SMS.

use std::time::Duration;

use super::evaluator::Evaluator;
use super::ports::{UnavailableError, within};
use crate::domain::rate_limit::{Sender, TokenRequest, Wanted};
use crate::domain::severity::Severity;

/// The limiter of all messages.
const CHANNEL: &str = "alerts";
/// Longest that a push waits for the limiter.
pub const ALLOWED_WITHIN: Duration = Duration::from_secs(1);
/// Longest that the sweep waits for it. No client waits for the sweep, and without an answer all messages wait a minute more.
const ALLOWED_TO_SWEEP_WITHIN: Duration = Duration::from_secs(5);

/// How many of these messages may be sent now, the urgent ones first.
pub(super) async fn take_tokens(
    Evaluator { store, rules, now }: &Evaluator<'_>,
    messages: impl Iterator<Item = Severity>,
    sender: Sender,
) -> usize {
    let mut wanted = Wanted::default();
    messages.for_each(|severity| wanted += severity);
    if wanted == Wanted::default() {
        return 0;
    }
    let limit = match sender {
        Sender::Push => ALLOWED_WITHIN,
        Sender::Sweep { .. } => ALLOWED_TO_SWEEP_WITHIN,
    };
    let request = TokenRequest { limit: rules.rate_limit, wanted, sender, now: *now };
    allowed(limit, store.take_tokens(CHANNEL, request)).await.unwrap_or_default()
}

/// How many of `wanted` messages may go out by SMS today; `None` without an answer.
pub(super) async fn take_sms(Evaluator { store, rules, now }: &Evaluator<'_>, wanted: usize) -> Option<usize> {
    if wanted == 0 {
        return Some(0);
    }
    allowed(ALLOWED_WITHIN, store.take_sms(rules.rate_limit.sms_per_day, wanted, *now)).await
}

async fn allowed(
    limit: Duration,
    asked: impl Future<Output = Result<usize, UnavailableError>> + Send,
) -> Option<usize> {
    let granted = within(limit, "the rate limiter took too long", asked).await;
    granted
        .inspect_err(|error| tracing::warn!(error = %error.chain(), "rate limiter not available, nothing granted"))
        .ok()
}
