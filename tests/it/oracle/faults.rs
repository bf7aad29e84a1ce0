//! Faults injected between the function and AWS: per service, per call, and at random from a seed.

use std::fmt;
use std::sync::Mutex;

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// The services that the function uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Service {
    S3,
    DynamoDb,
    Sns,
    Sqs,
    Secrets,
    Firehose,
}

impl Service {
    pub(crate) const ALL: [Self; 6] = [Self::S3, Self::DynamoDb, Self::Sns, Self::Sqs, Self::Secrets, Self::Firehose];
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::S3 => "S3",
            Self::DynamoDb => "DynamoDB",
            Self::Sns => "SNS",
            Self::Sqs => "SQS",
            Self::Secrets => "Secrets Manager",
            Self::Firehose => "Firehose",
        })
    }
}

/// The ways in which a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// The connection is refused.
    Refused,
    /// The connection is reset before the request is performed.
    Reset,
    /// No response is sent. Every second request is performed.
    TimedOut,
    /// 500. Every second request is performed, which S3 and SNS do not rule out.
    Failing,
    /// Throttling.
    Throttled,
    /// Performed, with a delay.
    Slow,
    /// Performed, but the connection is reset before the response.
    ResponseLost,
    /// The service reports that the caller's clock is wrong.
    ClockWrong,
    /// The service reports that the caller's credentials have expired.
    Expired,
    /// Another process writes the same item or object at the same time.
    Conflict,
    /// A part is performed: entries of a batch fail, keys are not read.
    Partial,
    /// The function times out while the service does not respond.
    OutOfTime,
    /// The process is killed before the request is performed or right after.
    Killed,
}

impl Fault {
    /// The faults that any service can have.
    pub(crate) const ANYWHERE: [Self; 10] = [
        Self::Refused,
        Self::Reset,
        Self::TimedOut,
        Self::Failing,
        Self::Throttled,
        Self::Slow,
        Self::ResponseLost,
        Self::ClockWrong,
        Self::Expired,
        Self::OutOfTime,
    ];

    /// All faults of `service`.
    pub(crate) fn of(service: Service) -> Vec<Self> {
        let special: &[Self] = match service {
            Service::S3 => &[Self::Conflict],
            Service::DynamoDb => &[Self::Conflict, Self::Partial],
            Service::Sns => &[Self::Partial],
            Service::Sqs | Service::Secrets | Service::Firehose => &[],
        };
        [&Self::ANYWHERE, special].concat()
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Refused => "connection refused",
            Self::Reset => "reset",
            Self::TimedOut => "timeout",
            Self::Failing => "500",
            Self::Throttled => "throttle",
            Self::Slow => "slow",
            Self::ResponseLost => "done, response lost",
            Self::ClockWrong => "wrong-time clock",
            Self::Expired => "expired credentials",
            Self::Conflict => "409/412, races",
            Self::Partial => "partial batches",
            Self::OutOfTime => "function timeout",
            Self::Killed => "killed",
        })
    }
}

/// The fault of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InjectedFault {
    pub(crate) fault: Fault,
    /// Whether the request is performed, if the fault leaves that open.
    pub(crate) is_performed: bool,
}

#[derive(Debug)]
enum FaultMode {
    Off,
    /// All calls of these services.
    Outage(Vec<(Service, Fault)>),
    /// Each call with a probability, which is greater for one service.
    Chance {
        dice: Box<ChaCha8Rng>,
        per_cent: u32,
        worst: Service,
    },
    /// The call after this number of calls.
    Kill {
        after: usize,
        is_performed: bool,
    },
}

/// The faults to inject, and those that were injected.
#[derive(Debug)]
pub(crate) struct FaultPlan(Mutex<FaultState>);

#[derive(Debug)]
struct FaultState {
    mode: FaultMode,
    /// Calls since the mode began.
    calls: usize,
    /// Injected faults since it began.
    hits: usize,
    /// All injected faults.
    all_hits: Vec<(Service, Fault)>,
}

impl FaultPlan {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(FaultState { mode: FaultMode::Off, calls: 0, hits: 0, all_hits: Vec::new() }))
    }

    fn begin(&self, mode: FaultMode) {
        let mut state = self.0.lock().unwrap();
        (state.mode, state.calls, state.hits) = (mode, 0, 0);
    }

    /// Injects no more faults. Returns the number since the mode began.
    pub(crate) fn end(&self) -> usize {
        let hits = self.0.lock().unwrap().hits;
        self.begin(FaultMode::Off);
        hits
    }

    /// Fails every call of these services from now on.
    pub(crate) fn outage(&self, faults: Vec<(Service, Fault)>) {
        self.begin(FaultMode::Outage(faults));
    }

    /// Fails each call from now on with this probability, and with four times as much those of a random service.
    pub(crate) fn chance(&self, seed: u64, per_cent: u32) {
        let mut dice = ChaCha8Rng::seed_from_u64(seed);
        let worst = Service::ALL[dice.random_range(0..Service::ALL.len())];
        self.begin(FaultMode::Chance { dice: Box::new(dice), per_cent, worst });
    }

    /// Kills the process at the call after this number of calls, before it is performed or right after.
    pub(crate) fn kill(&self, after: usize, is_performed: bool) {
        self.begin(FaultMode::Kill { after, is_performed });
    }

    /// The fault of the next call of a service; `None` if it succeeds.
    pub(crate) fn next(&self, service: Service) -> Option<InjectedFault> {
        let mut state = self.0.lock().unwrap();
        let call = state.calls;
        state.calls += 1;
        let injected = match &mut state.mode {
            FaultMode::Off => None,
            FaultMode::Outage(faults) => {
                let fault = faults.iter().find(|(faulty, _)| *faulty == service)?.1;
                Some(InjectedFault { fault, is_performed: call % 2 == 1 })
            }
            FaultMode::Chance { dice, per_cent, worst } => {
                let per_cent = if *worst == service { 4 * *per_cent } else { *per_cent };
                let mut kinds = Fault::of(service);
                // Kills are drawn like any other fault. Timeouts of the function follow from services that do not respond.
                kinds.retain(|fault| *fault != Fault::OutOfTime);
                kinds.push(Fault::Killed);
                let fault = kinds[dice.random_range(0..kinds.len())];
                let is_performed = dice.random_bool(0.5);
                (dice.random_range(0..100) < per_cent).then_some(InjectedFault { fault, is_performed })
            }
            FaultMode::Kill { after, is_performed } => {
                (call == *after).then_some(InjectedFault { fault: Fault::Killed, is_performed: *is_performed })
            }
        };
        if let Some(injected) = injected {
            state.hits += 1;
            state.all_hits.push((service, injected.fault));
        }
        injected
    }

    /// The number of calls since the mode began.
    pub(crate) fn calls(&self) -> usize {
        self.0.lock().unwrap().calls
    }

    /// How often a fault of a service was injected.
    pub(crate) fn hits_of(&self, service: Service, fault: Fault) -> usize {
        self.0.lock().unwrap().all_hits.iter().filter(|hit| **hit == (service, fault)).count()
    }
}
