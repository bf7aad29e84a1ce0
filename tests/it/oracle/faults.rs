//! What goes wrong between the function and what it needs: by service, by call, and at random from a seed.

use std::fmt;
use std::sync::Mutex;

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// What the function needs of AWS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Service {
    S3,
    DynamoDb,
    Sns,
    Sqs,
    Secrets,
}

impl Service {
    pub(crate) const ALL: [Self; 5] = [Self::S3, Self::DynamoDb, Self::Sns, Self::Sqs, Self::Secrets];
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::S3 => "S3",
            Self::DynamoDb => "DynamoDB",
            Self::Sns => "SNS",
            Self::Sqs => "SQS",
            Self::Secrets => "Secrets Manager",
        })
    }
}

/// One way in which a call goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Diagnostic {
    /// Nobody listens.
    Refused,
    /// The connection breaks, and nothing was done.
    Reset,
    /// No answer ever comes. Every second time what was asked is done.
    TimedOut,
    /// 500. Every second time what was asked is done, as S3 and SNS do not rule out.
    Failing,
    /// Too much was asked for.
    Throttled,
    /// Done and answered, after a while.
    Slow,
    /// Done, and the connection breaks before that is said.
    AnswerLost,
    /// The service finds that the caller's clock is wrong.
    ClockWrong,
    /// The service finds that the caller's credentials have run out.
    Expired,
    /// Somebody else writes the same thing at the same time.
    Raced,
    /// A part is done: entries of a batch fail, keys are not read.
    Partly,
    /// The function's time is up while the service keeps it waiting.
    OutOfTime,
    /// The process dies, before what it asks for is done or right after.
    Killed,
}

impl Diagnostic {
    /// Those that any service can have.
    pub(crate) const ANYWHERE: [Self; 10] = [
        Self::Refused,
        Self::Reset,
        Self::TimedOut,
        Self::Failing,
        Self::Throttled,
        Self::Slow,
        Self::AnswerLost,
        Self::ClockWrong,
        Self::Expired,
        Self::OutOfTime,
    ];

    /// All that `service` can have by itself.
    pub(crate) fn of(service: Service) -> Vec<Self> {
        let special: &[Self] = match service {
            Service::S3 => &[Self::Raced],
            Service::DynamoDb => &[Self::Raced, Self::Partly],
            Service::Sns => &[Self::Partly],
            Service::Sqs | Service::Secrets => &[],
        };
        [&Self::ANYWHERE, special].concat()
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Refused => "connection refused",
            Self::Reset => "reset",
            Self::TimedOut => "timeout",
            Self::Failing => "500",
            Self::Throttled => "throttle",
            Self::Slow => "slow",
            Self::AnswerLost => "done, answer lost",
            Self::ClockWrong => "wrong-time clock",
            Self::Expired => "expired credentials",
            Self::Raced => "409/412, races",
            Self::Partly => "partial batches",
            Self::OutOfTime => "function timeout",
            Self::Killed => "killed",
        })
    }
}

/// What happens to one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub(crate) fault: Diagnostic,
    /// Whether what was asked is done before it goes wrong, where the fault leaves that open.
    pub(crate) is_done: bool,
}

#[derive(Debug)]
enum Trigger {
    Well,
    /// These services, each call of theirs.
    Outage(Vec<(Service, Diagnostic)>),
    /// Each call by chance.
    Chance {
        dice: Box<ChaCha8Rng>,
        per_cent: u32,
    },
    /// The call after so many others.
    Kill {
        after: usize,
        is_done: bool,
    },
}

/// What is to go wrong from now on, and what has.
#[derive(Debug)]
pub(crate) struct Plan(Mutex<Going>);

#[derive(Debug)]
struct Going {
    trigger: Trigger,
    /// Calls since the trigger began.
    calls: usize,
    /// Calls that went wrong since it began.
    hits: usize,
    /// Every call that ever went wrong.
    all_hits: Vec<(Service, Diagnostic)>,
}

impl Plan {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Going { trigger: Trigger::Well, calls: 0, hits: 0, all_hits: Vec::new() }))
    }

    fn begin(&self, trigger: Trigger) {
        let mut going = self.0.lock().unwrap();
        (going.trigger, going.calls, going.hits) = (trigger, 0, 0);
    }

    /// From now on nothing goes wrong. How many calls did since this was last said.
    pub(crate) fn end(&self) -> usize {
        let hits = self.0.lock().unwrap().hits;
        self.begin(Trigger::Well);
        hits
    }

    /// From now on every call of these services goes wrong.
    pub(crate) fn outage(&self, troubles: Vec<(Service, Diagnostic)>) {
        self.begin(Trigger::Outage(troubles));
    }

    /// From now on each call goes wrong by a chance of so many per cent.
    pub(crate) fn chance(&self, seed: u64, per_cent: u32) {
        self.begin(Trigger::Chance { dice: Box::new(ChaCha8Rng::seed_from_u64(seed)), per_cent });
    }

    /// The process dies at the call after so many others, before it is done or right after.
    pub(crate) fn kill(&self, after: usize, is_done: bool) {
        self.begin(Trigger::Kill { after, is_done });
    }

    /// What happens to the next call of a service; `None` where all goes well.
    pub(crate) fn next(&self, service: Service) -> Option<Trouble> {
        let mut going = self.0.lock().unwrap();
        let call = going.calls;
        going.calls += 1;
        let trouble = match &mut going.trigger {
            Trigger::Well => None,
            Trigger::Outage(troubles) => {
                let fault = troubles.iter().find(|(troubled, _)| *troubled == service)?.1;
                Some(Trouble { fault, is_done: call % 2 == 1 })
            }
            Trigger::Chance { dice, per_cent } => {
                let mut kinds = Diagnostic::of(service);
                // Kills are drawn like any other; the function's time is up where a service is silent for too long.
                kinds.retain(|fault| *fault != Diagnostic::OutOfTime);
                kinds.push(Diagnostic::Killed);
                let fault = kinds[dice.random_range(0..kinds.len())];
                let is_done = dice.random_bool(0.5);
                (dice.random_range(0..100) < *per_cent).then_some(Trouble { fault, is_done })
            }
            Trigger::Kill { after, is_done } => {
                (call == *after).then_some(Trouble { fault: Diagnostic::Killed, is_done: *is_done })
            }
        };
        if let Some(trouble) = trouble {
            going.hits += 1;
            going.all_hits.push((service, trouble.fault));
        }
        trouble
    }

    /// How many calls there were since the trigger began.
    pub(crate) fn calls(&self) -> usize {
        self.0.lock().unwrap().calls
    }

    /// How often a fault of a service was met, ever.
    pub(crate) fn hits_of(&self, service: Service, fault: Diagnostic) -> usize {
        self.0.lock().unwrap().all_hits.iter().filter(|hit| **hit == (service, fault)).count()
    }
}
