//! Takes tokens and SMS from the rate limit, a state document that all copies of the program share. Without an answer nothing is
//! granted: without one about tokens, messages wait for the sweep; without one about SMS, they go out without SMS.

use std::time::Duration;

use jiff::Timestamp;

use super::evaluator::Evaluator;
use super::ports::{StateStore, UnavailableError, within};
use super::state_documents::change;
use crate::domain::rate_limit::{RateLimit, RateLimitState, Requester, TokenDemand, TokenRequest};
use crate::domain::severity::Severity;
use crate::domain::state::Channel;

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
    /// Number of these messages that may be sent now, urgent ones first.
    pub(super) async fn tokens(&self, messages: impl Iterator<Item = Severity>, requester: Requester) -> usize {
        let mut demand = TokenDemand::default();
        messages.for_each(|severity| demand += severity);
        if demand == TokenDemand::default() {
            return 0;
        }
        let request = TokenRequest { limit: self.limit(), demand, requester, now: self.now };
        granted(take_tokens(self.rate_limit, self.channel, &request).await).unwrap_or_default()
    }

    /// The limit of messages. A topic gets each message once per language, and an address can be subscribed to all of them.
    fn limit(&self) -> RateLimit {
        let languages = if self.channel == Channel::Sns { self.rules.languages().len() } else { 1 };
        let share = |limit: u32| (limit / u32::try_from(languages).unwrap_or(u32::MAX)).max(1);
        let RateLimit { burst, per_minute, sms_per_day } = self.rules.rate_limit;
        RateLimit { burst: share(burst), per_minute: share(per_minute), sms_per_day }
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
