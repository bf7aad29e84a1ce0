//! Fakes of AWS on the loopback interface: each stores what it receives, checks conditional writes, refuses what the service
//! refuses, and injects faults.

mod dynamodb;
mod firehose;
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
use jiff::SignedDuration;
use serde_json::{Value, json};
use tokio::sync::Notify;

pub(crate) use self::dynamodb::FakeDynamoDb;
pub(crate) use self::firehose::{FakeFirehose, LONGEST_DELIVERY};
pub(crate) use self::s3::{FakeS3, S3Object};
pub(crate) use self::secrets::FakeSecrets;
pub(crate) use self::sns::{AHEAD_S, FakeSns};
pub(crate) use self::sqs::FakeSqs;
use crate::oracle::faults::{Fault, FaultPlan, InjectedFault, Service};
use crate::oracle::port::TestPort;

/// How long a slow service takes.
const SLOW: Duration = Duration::from_millis(400);
/// How long connections are refused if that is drawn at random.
const CLOSED_FOR: Duration = Duration::from_millis(150);

/// A received request.
#[derive(Debug)]
pub(crate) struct AwsRequest {
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Bytes,
    /// How far the clock of the calling process is ahead.
    ahead: SignedDuration,
}

impl AwsRequest {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The operation of a JSON protocol.
    fn target(&self) -> &str {
        self.header("x-amz-target").rsplit('.').next().unwrap_or_default()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// The access key, which identifies the calling process.
fn process(headers: &HeaderMap) -> &str {
    let header = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let credential = header.split("Credential=").nth(1).unwrap_or_default();
    credential.split('/').next().unwrap_or_default()
}

/// A response of a service.
pub(crate) type AwsResponse = Response<Full<Bytes>>;

fn response(status: u16, content_type: &str, body: impl Into<Bytes>) -> AwsResponse {
    let builder = Response::builder().status(status).header("content-type", content_type);
    builder.header("x-amzn-requestid", "r").body(Full::new(body.into())).unwrap()
}

fn json_response(status: u16, body: &Value) -> AwsResponse {
    response(status, "application/x-amz-json-1.0", body.to_string())
}

/// An error response of a JSON protocol.
fn json_refusal(status: u16, code: &str) -> AwsResponse {
    json_response(status, &json!({ "__type": code, "message": "injected" }))
}

/// What all services store.
#[derive(Debug, Default)]
pub(crate) struct AwsState {
    pub(crate) bucket: FakeS3,
    pub(crate) table: FakeDynamoDb,
    pub(crate) topic: FakeSns,
    pub(crate) queue: FakeSqs,
    pub(crate) secrets: FakeSecrets,
    /// With `RawDelivery=buffered`.
    pub(crate) stream: Option<FakeFirehose>,
}

impl AwsState {
    /// Performs a request.
    fn perform(&mut self, service: Service, request: &AwsRequest) -> AwsResponse {
        match service {
            Service::S3 => self.bucket.perform(request, &mut self.queue),
            Service::DynamoDb => self.table.perform(request),
            Service::Sns => self.topic.perform(request),
            Service::Sqs => self.queue.perform(request),
            Service::Secrets => self.secrets.perform(request),
            Service::Firehose => self.stream.as_mut().unwrap().perform(request),
        }
    }

    /// Writes the records of the stream that are due to the bucket.
    pub(crate) fn deliver_records(&mut self, ahead: SignedDuration) {
        let Some(stream) = &mut self.stream else { return };
        for (key, bytes) in stream.deliver(ahead) {
            self.bucket.create(&key, bytes, Vec::new());
            (0..stream.events()).for_each(|_| self.queue.notify(&s3::notification(&key)));
        }
    }
}

/// The connection is closed without a response.
#[derive(Debug, thiserror::Error)]
#[error("closed by the test")]
struct ClosedByTest;

/// All services of one account, with injected faults.
#[derive(Debug)]
pub(crate) struct FakeAws {
    pub(crate) faults: FaultPlan,
    state: Mutex<AwsState>,
    ports: HashMap<Service, TestPort>,
    /// The kill signals of the processes and how far their clocks are ahead, by access key.
    processes: Mutex<HashMap<String, (Arc<Notify>, SignedDuration)>>,
}

impl FakeAws {
    /// Starts all services, without content. With a seed for its random deliveries, there is a stream.
    pub(crate) fn start(stream: Option<u64>) -> Arc<Self> {
        let ports = Service::ALL.into_iter().map(|service| (service, TestPort::new())).collect();
        let state = Mutex::new(AwsState { stream: stream.map(FakeFirehose::new), ..AwsState::default() });
        let processes = Mutex::default();
        let aws = Arc::new(Self { faults: FaultPlan::new(), state, ports, processes });
        Service::ALL.into_iter().for_each(|service| aws.open(service));
        aws
    }

    /// Reads or changes what is stored.
    pub(crate) fn with_state<R>(&self, of: impl FnOnce(&mut AwsState) -> R) -> R {
        of(&mut self.state.lock().unwrap())
    }

    /// The environment variables of a process that uses these services.
    pub(crate) fn environment(&self) -> Vec<(String, String)> {
        let name = |service| match service {
            Service::S3 => "S3",
            Service::DynamoDb => "DYNAMODB",
            Service::Sns => "SNS",
            Service::Sqs => "SQS",
            Service::Secrets => "SECRETS_MANAGER",
            Service::Firehose => "FIREHOSE",
        };
        let url = |(service, port): (&Service, &TestPort)| {
            (format!("AWS_ENDPOINT_URL_{}", name(*service)), format!("http://127.0.0.1:{}", port.port()))
        };
        let stream = self.with_state(|state| state.stream.is_some());
        let stream = stream.then(|| ("FIREHOSE_STREAM".to_owned(), firehose::STREAM.to_owned()));
        self.ports.iter().map(url).chain(stream).collect()
    }

    /// Registers a process, and returns its kill signal.
    pub(crate) fn register(&self, access_key: &str, ahead: SignedDuration) -> Arc<Notify> {
        let signal = Arc::new(Notify::new());
        self.processes.lock().unwrap().insert(access_key.to_owned(), (Arc::clone(&signal), ahead));
        signal
    }

    /// Fails every call of these services from now on.
    pub(crate) fn start_outage(&self, faults: &[(Service, Fault)]) {
        self.faults.outage(faults.to_vec());
        let refused = faults.iter().filter(|(_, fault)| *fault == Fault::Refused);
        refused.for_each(|(service, _)| self.ports[service].close());
    }

    /// Injects no more faults. Returns the number since the outage began, without refused connections.
    pub(crate) fn end_outage(self: &Arc<Self>) -> usize {
        Service::ALL
            .into_iter()
            .filter(|service| !self.ports[service].is_open())
            .for_each(|service| self.open(service));
        self.faults.end()
    }

    fn open(self: &Arc<Self>, service: Service) {
        let aws = Arc::downgrade(self);
        self.ports[&service].open(move |request| {
            let aws = aws.upgrade();
            async move {
                match aws {
                    Some(aws) => aws.respond(service, request).await,
                    None => Err(ClosedByTest),
                }
            }
        });
    }

    async fn respond(
        self: Arc<Self>,
        service: Service,
        request: Request<Incoming>,
    ) -> Result<AwsResponse, ClosedByTest> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.map_err(|_| ClosedByTest)?.to_bytes();
        let path = parts.uri.path().to_owned();
        let process = self.processes.lock().unwrap().get(process(&parts.headers)).cloned();
        let ahead = process.as_ref().map_or(SignedDuration::ZERO, |(_, ahead)| *ahead);
        let request = AwsRequest { method: parts.method, path, headers: parts.headers, body, ahead };
        let perform = || self.with_state(|state| state.perform(service, &request));
        let Some(InjectedFault { fault, is_performed }) = self.faults.next(service) else { return Ok(perform()) };
        match fault {
            Fault::Reset => return Err(ClosedByTest),
            Fault::Refused => {
                self.close_for_a_while(service);
                return Err(ClosedByTest);
            }
            Fault::ResponseLost => {
                perform();
                return Err(ClosedByTest);
            }
            Fault::Slow => tokio::time::sleep(SLOW).await,
            Fault::Conflict => return Ok(self.with_state(|state| conflict(state, service, &request, is_performed))),
            Fault::Partial => return Ok(self.with_state(|state| perform_partially(state, service, &request))),
            Fault::TimedOut | Fault::OutOfTime | Fault::Killed => {
                if is_performed {
                    perform();
                }
                if let (Fault::Killed, Some((signal, _))) = (fault, process) {
                    signal.notify_one();
                }
                pending().await
            }
            Fault::Failing => {
                if is_performed {
                    perform();
                }
                return Ok(refusal(service, fault));
            }
            Fault::Throttled | Fault::ClockWrong | Fault::Expired => return Ok(refusal(service, fault)),
        }
        Ok(perform())
    }

    fn close_for_a_while(self: &Arc<Self>, service: Service) {
        let aws = Arc::clone(self);
        tokio::spawn(async move {
            aws.ports[&service].close();
            tokio::time::sleep(CLOSED_FOR).await;
            aws.open(service);
        });
    }
}

/// Another process performs the same request a moment before, or at the same time.
fn conflict(state: &mut AwsState, service: Service, request: &AwsRequest, is_first: bool) -> AwsResponse {
    match service {
        Service::S3 if request.method == Method::PUT && is_first => s3::refusal(409, "ConditionalRequestConflict"),
        Service::DynamoDb if ["PutItem", "BatchExecuteStatement"].contains(&request.target()) && is_first => {
            state.table.write_after_another(request)
        }
        _ => {
            state.perform(service, request);
            state.perform(service, request)
        }
    }
}

fn perform_partially(state: &mut AwsState, service: Service, request: &AwsRequest) -> AwsResponse {
    match service {
        Service::Sns => state.topic.perform_partially(request),
        Service::DynamoDb => state.table.perform_partially(request),
        _ => state.perform(service, request),
    }
}

/// The error response of a service.
fn refusal(service: Service, fault: Fault) -> AwsResponse {
    use Fault::{ClockWrong, Expired, Throttled};
    match (service, fault) {
        (Service::S3, Throttled) => s3::refusal(503, "SlowDown"),
        (Service::S3, ClockWrong) => s3::refusal(403, "RequestTimeTooSkewed"),
        (Service::S3, Expired) => s3::refusal(400, "ExpiredToken"),
        (Service::S3, _) => s3::refusal(500, "InternalError"),
        (Service::Sns, Throttled) => sns::refusal(400, "Throttling"),
        (Service::Sns, ClockWrong) => sns::refusal(403, "SignatureDoesNotMatch"),
        (Service::Sns, Expired) => sns::refusal(403, "ExpiredToken"),
        (Service::Sns, _) => sns::refusal(500, "InternalError"),
        // https://docs.aws.amazon.com/firehose/latest/APIReference/API_PutRecord.html
        (Service::Firehose, Throttled) => json_refusal(503, "ServiceUnavailableException"),
        (Service::DynamoDb, Throttled) => json_refusal(400, "ProvisionedThroughputExceededException"),
        (_, Throttled) => json_refusal(400, "ThrottlingException"),
        (_, ClockWrong) => json_refusal(400, "InvalidSignatureException"),
        (_, Expired) => json_refusal(400, "ExpiredTokenException"),
        (Service::DynamoDb, _) => json_refusal(500, "InternalServerError"),
        (_, _) => json_refusal(500, "InternalServiceError"),
    }
}
