//! Takes tokens and SMS from the rate limit, a state document that all copies of the program share. Without an answer nothing is
//! granted: without one about tokens, messages wait for the sweep; without one about SMS, they go out without SMS.

use std::cmp::Reverse;
use std::time::Duration;

use jiff::Timestamp;

use super::evaluator::Evaluator;
use super::ports::{StateStore, UnavailableError, within};
use super::state_documents::change;
use crate::domain::rate_limit::{RateLimitState, Requester, TokenDemand, TokenRequest};
use crate::domain::state::{Channel, OutboxEntry};

/// Key of the state document of the channel that a push uses.
pub const RATE_LIMIT: &str = "rate-limit";
/// Retries of a compare-and-swap. Almost all of sixty copies that want a token at the same time get one within the timeout,
/// because random pauses spread their attempts. A copy that loses every attempt gets none.
const RETRIES: u32 = 20;
/// How long a push waits for the rate limit.
pub const RATE_LIMIT_TIMEOUT: Duration = Duration::from_secs(1);
/// How long the sweep waits for the rate limit. No client waits for the sweep, and a timeout delays every message by a minute.
const SWEEP_RATE_LIMIT_TIMEOUT: Duration = Duration::from_secs(5);

/// Key of the state document of a channel.
fn key(channel: Channel) -> &'static str {
    match channel {
        Channel::Sns | Channel::Log => RATE_LIMIT,
        Channel::Email => "rate-limit/email",
        Channel::Webhook => "rate-limit/webhook",
    }
}

/// Takes tokens for messages about to be sent over `channel`. Returns how many are granted, to urgent messages first. Concurrent copies never
/// get more than the limit together.
///
/// # Errors
/// [`UnavailableError`] if the state store did not confirm in time. Tokens may be taken; send nothing.
pub async fn take_tokens(
    store: &dyn StateStore,
    channel: Channel,
    request: &TokenRequest,
) -> Result<usize, UnavailableError> {
    let limit = match request.requester {
        Requester::Push => RATE_LIMIT_TIMEOUT,
        Requester::Sweep { .. } => SWEEP_RATE_LIMIT_TIMEOUT,
    };
    take_within(limit, store, key(channel), |state| state.take_tokens(request)).await
}

/// Counts messages about to go out by SMS against `quota`, the maximum per UTC day. Returns how many may go out.
///
/// # Errors
/// [`UnavailableError`] if the state store did not confirm in time. They may be counted; send nothing by SMS.
pub async fn take_sms(
    store: &dyn StateStore,
    quota: u32,
    wanted: usize,
    now: Timestamp,
) -> Result<usize, UnavailableError> {
    take_within(RATE_LIMIT_TIMEOUT, store, RATE_LIMIT, |state| state.take_sms(quota, wanted, now)).await
}

async fn take_within(
    limit: Duration,
    store: &dyn StateStore,
    key: &str,
    take: impl Fn(&mut RateLimitState) -> usize + Send,
) -> Result<usize, UnavailableError> {
    within(limit, "the rate limit did not answer in time", change(store, key, RETRIES, take)).await
}

impl Evaluator<'_> {
    /// Number of tokens with which these messages may be sent now, the most severe first.
    pub(super) async fn tokens(&self, messages: impl Iterator<Item = &OutboxEntry>, requester: Requester) -> usize {
        let demand = |entry: &OutboxEntry| TokenDemand { severity: entry.message.severity(), tokens: self.cost(entry) };
        let mut demand: Vec<TokenDemand> = messages.map(demand).collect();
        if demand.is_empty() {
            return 0;
        }
        demand.sort_by_key(|message| Reverse(message.severity));
        let request = TokenRequest { limit: self.rules.rate_limit, demand, requester, now: self.now };
        granted(take_tokens(self.rate_limit, self.channel, &request).await).unwrap_or_default()
    }

    /// The tokens of a message: one for each language in which it goes out, because an address of a topic can get all of them. At
    /// most a burst, so that it does not wait forever.
    pub(super) fn cost(&self, entry: &OutboxEntry) -> usize {
        self.recipients(&entry.to, self.done(entry)).len().clamp(1, self.rules.rate_limit.burst as usize)
    }

    /// Number of the `wanted` messages that may go out by SMS today; `None` without an answer.
    pub(super) async fn sms(&self, wanted: usize) -> Option<usize> {
        if wanted == 0 {
            return Some(0);
        }
        granted(take_sms(self.rate_limit, self.rules.rate_limit.sms_per_day, wanted, self.now).await)
    }
}

fn granted(taken: Result<usize, UnavailableError>) -> Option<usize> {
    taken.inspect_err(|error| tracing::warn!(error = %error.chain(), "rate limit not available, nothing granted")).ok()
}
