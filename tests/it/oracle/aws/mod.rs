//! Stand-ins for AWS on the loopback: each keeps what it is given, honours the conditions that the function writes with,
//! refuses what the service refuses, and lets go wrong what it is told to.

mod dynamodb;
mod s3;
mod secrets;
mod sns;
mod sqs;

use std::collections::HashMap;
use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use serde_json::{Value, json};
use tokio::sync::Notify;

pub(crate) use self::dynamodb::Table;
pub(crate) use self::s3::{Bucket, Stored};
pub(crate) use self::secrets::Vault;
pub(crate) use self::sns::Topic;
pub(crate) use self::sqs::Queue;
use crate::oracle::door::Door;
use crate::oracle::faults::{Diagnostic, Plan, Service, Trouble};

/// How long a slow service takes.
const SLOW: Duration = Duration::from_millis(400);
/// How long nobody listens where that comes by chance.
const CLOSED_FOR: Duration = Duration::from_millis(150);

/// A request as it came.
#[derive(Debug)]
pub(crate) struct Asked {
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Bytes,
}

impl Asked {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The operation that a JSON protocol names.
    fn target(&self) -> &str {
        self.header("x-amz-target").rsplit('.').next().unwrap_or_default()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The process that asks: each has an access key of its own.
    fn process(&self) -> String {
        let credential = self.header("authorization").split("Credential=").nth(1).unwrap_or_default();
        credential.split('/').next().unwrap_or_default().to_owned()
    }
}

/// An answer of a service.
pub(crate) type Answer = Response<Full<Bytes>>;

fn answer(status: u16, content_type: &str, body: impl Into<Bytes>) -> Answer {
    let response = Response::builder().status(status).header("content-type", content_type);
    response.header("x-amzn-requestid", "r").body(Full::new(body.into())).unwrap()
}

fn json_answer(status: u16, body: &Value) -> Answer {
    answer(status, "application/x-amz-json-1.0", body.to_string())
}

/// A refusal as the services that speak JSON have it.
fn json_refusal(status: u16, code: &str) -> Answer {
    json_answer(status, &json!({ "__type": code, "message": "told to" }))
}

/// What all services keep.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    pub(crate) bucket: Bucket,
    pub(crate) table: Table,
    pub(crate) topic: Topic,
    pub(crate) queue: Queue,
    pub(crate) vault: Vault,
}

impl Kept {
    /// Does what is asked.
    fn perform(&mut self, service: Service, asked: &Asked) -> Answer {
        match service {
            Service::S3 => self.bucket.perform(asked, &mut self.queue),
            Service::DynamoDb => self.table.perform(asked),
            Service::Sns => self.topic.perform(asked),
            Service::Sqs => self.queue.perform(asked),
            Service::Secrets => self.vault.perform(asked),
        }
    }
}

/// The connection ends without an answer.
#[derive(Debug, thiserror::Error)]
#[error("told to go")]
struct Gone;

/// All services of one account, and what goes wrong there.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) plan: Plan,
    kept: Mutex<Kept>,
    doors: HashMap<Service, Door>,
    /// Who is told to die, by access key.
    processes: Mutex<HashMap<String, Arc<Notify>>>,
}

impl World {
    /// Everything is empty, and listens.
    pub(crate) fn start() -> Arc<Self> {
        let doors = Service::ALL.into_iter().map(|service| (service, Door::new())).collect();
        let (kept, processes) = (Mutex::default(), Mutex::default());
        let world = Arc::new(Self { plan: Plan::new(), kept, doors, processes });
        Service::ALL.into_iter().for_each(|service| world.open(service));
        world
    }

    /// What is kept, to be looked at or changed.
    pub(crate) fn kept<R>(&self, of: impl FnOnce(&mut Kept) -> R) -> R {
        of(&mut self.kept.lock().unwrap())
    }

    /// The environment by which a process finds these services.
    pub(crate) fn environment(&self) -> Vec<(String, String)> {
        let name = |service| match service {
            Service::S3 => "S3",
            Service::DynamoDb => "DYNAMODB",
            Service::Sns => "SNS",
            Service::Sqs => "SQS",
            Service::Secrets => "SECRETS_MANAGER",
        };
        let url = |(service, door): (&Service, &Door)| {
            (format!("AWS_ENDPOINT_URL_{}", name(*service)), format!("http://127.0.0.1:{}", door.port()))
        };
        self.doors.iter().map(url).collect()
    }

    /// A process that can be told to die.
    pub(crate) fn register(&self, access_key: &str) -> Arc<Notify> {
        let told = Arc::new(Notify::new());
        self.processes.lock().unwrap().insert(access_key.to_owned(), Arc::clone(&told));
        told
    }

    /// From now on every call of these services goes wrong.
    pub(crate) fn break_down(&self, troubles: &[(Service, Diagnostic)]) {
        self.plan.outage(troubles.to_vec());
        let refused = troubles.iter().filter(|(_, fault)| *fault == Diagnostic::Refused);
        refused.for_each(|(service, _)| self.doors[service].shut());
    }

    /// From now on nothing goes wrong. How many calls did, where somebody listened.
    pub(crate) fn heal(self: &Arc<Self>) -> usize {
        Service::ALL
            .into_iter()
            .filter(|service| !self.doors[service].is_open())
            .for_each(|service| self.open(service));
        self.plan.end()
    }

    fn open(self: &Arc<Self>, service: Service) {
        let world = Arc::downgrade(self);
        self.doors[&service].open(move |request| {
            let world = world.upgrade();
            async move {
                match world {
                    Some(world) => world.respond(service, request).await,
                    None => Err(Gone),
                }
            }
        });
    }

    async fn respond(self: Arc<Self>, service: Service, request: Request<Incoming>) -> Result<Answer, Gone> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.map_err(|_| Gone)?.to_bytes();
        let path = parts.uri.path().to_owned();
        let asked = Asked { method: parts.method, path, headers: parts.headers, body };
        let perform = || self.kept(|kept| kept.perform(service, &asked));
        let Some(Trouble { fault, is_done }) = self.plan.next(service) else { return Ok(perform()) };
        match fault {
            Diagnostic::Reset => return Err(Gone),
            Diagnostic::Refused => {
                self.close_for_a_while(service);
                return Err(Gone);
            }
            Diagnostic::AnswerLost => {
                perform();
                return Err(Gone);
            }
            Diagnostic::Slow => tokio::time::sleep(SLOW).await,
            Diagnostic::Raced => return Ok(self.kept(|kept| raced(kept, service, &asked, is_done))),
            Diagnostic::Partly => return Ok(self.kept(|kept| partly(kept, service, &asked))),
            Diagnostic::TimedOut | Diagnostic::OutOfTime | Diagnostic::Killed => {
                if is_done {
                    perform();
                }
                if fault == Diagnostic::Killed {
                    self.kill(&asked.process());
                }
                pending().await
            }
            Diagnostic::Failing => {
                if is_done {
                    perform();
                }
                return Ok(refusal(service, fault));
            }
            Diagnostic::Throttled | Diagnostic::ClockWrong | Diagnostic::Expired => return Ok(refusal(service, fault)),
        }
        Ok(perform())
    }

    fn kill(&self, process: &str) {
        if let Some(told) = self.processes.lock().unwrap().get(process) {
            told.notify_one();
        }
    }

    fn close_for_a_while(self: &Arc<Self>, service: Service) {
        let world = Arc::clone(self);
        tokio::spawn(async move {
            world.doors[&service].shut();
            tokio::time::sleep(CLOSED_FOR).await;
            world.open(service);
        });
    }
}

/// Somebody else does the same a moment before, or is doing it right now.
fn raced(kept: &mut Kept, service: Service, asked: &Asked, is_first: bool) -> Answer {
    match service {
        Service::S3 if asked.method == Method::PUT && is_first => s3::refusal(409, "ConditionalRequestConflict"),
        Service::DynamoDb if asked.target() == "PutItem" && is_first => kept.table.put_after_another(asked),
        _ => {
            kept.perform(service, asked);
            kept.perform(service, asked)
        }
    }
}

fn partly(kept: &mut Kept, service: Service, asked: &Asked) -> Answer {
    match service {
        Service::Sns => kept.topic.perform_partly(asked),
        Service::DynamoDb => kept.table.perform_partly(asked),
        _ => kept.perform(service, asked),
    }
}

/// How each service says it.
fn refusal(service: Service, fault: Diagnostic) -> Answer {
    use Diagnostic::{ClockWrong, Expired, Throttled};
    match (service, fault) {
        (Service::S3, Throttled) => s3::refusal(503, "SlowDown"),
        (Service::S3, ClockWrong) => s3::refusal(403, "RequestTimeTooSkewed"),
        (Service::S3, Expired) => s3::refusal(400, "ExpiredToken"),
        (Service::S3, _) => s3::refusal(500, "InternalError"),
        (Service::Sns, Throttled) => sns::refusal(400, "Throttling"),
        (Service::Sns, ClockWrong) => sns::refusal(403, "SignatureDoesNotMatch"),
        (Service::Sns, Expired) => sns::refusal(403, "ExpiredToken"),
        (Service::Sns, _) => sns::refusal(500, "InternalError"),
        (Service::DynamoDb, Throttled) => json_refusal(400, "ProvisionedThroughputExceededException"),
        (_, Throttled) => json_refusal(400, "ThrottlingException"),
        (_, ClockWrong) => json_refusal(400, "InvalidSignatureException"),
        (_, Expired) => json_refusal(400, "ExpiredTokenException"),
        (Service::DynamoDb, _) => json_refusal(500, "InternalServerError"),
        (_, _) => json_refusal(500, "InternalServiceError"),
    }
}
