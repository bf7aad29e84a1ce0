//! A fake of Lambda: processes of the function, which get one event at a time with a timeout, and are restarted after they die.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use tokio::sync::{Mutex as AsyncMutex, Notify, mpsc, oneshot};
use tokio::time::sleep;

use crate::oracle::aws::FakeAws;
use crate::oracle::clock;
use crate::oracle::port::TestPort;
use crate::support::{paths, repository};

/// The function's timeout, as in template.yaml.
const FUNCTION_TIMEOUT: Duration = Duration::from_secs(29);
/// For the start of a process on a busy machine.
const START_TIMEOUT: Duration = Duration::from_secs(120);
/// Extra time for a response on a machine that is busy with other processes.
const GRACE: Duration = Duration::from_secs(30);

/// The function, which belongs to another package: `cargo test --workspace` builds it beside the command, unless a test target is
/// named.
///
/// # Panics
/// If it is missing or older than its source.
fn push_function() -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_smartclean-push")).with_file_name("push-function");
    let modified = |path: &Path| path.metadata().and_then(|metadata| metadata.modified()).ok();
    let sources =
        ["src", "crates/auth/src", "crates/domain/src", "crates/notify/src"].map(|folder| repository().join(folder));
    // Cargo does not build the function again after a change of a test file or of the other function.
    let is_part = |file: &PathBuf| {
        let name = file.to_string_lossy();
        !["_tests.rs", "/fixtures.rs", "/compact-function/"].iter().any(|other| name.contains(other))
    };
    let files = sources.iter().flat_map(|folder| paths(folder)).filter(is_part);
    let newest = files.filter_map(|file| modified(&file)).max();
    assert!(
        modified(&path) >= newest,
        "{path:?} is older than its source: add --test function to cargo test --workspace"
    );
    path
}

/// Why an invocation has no response.
#[derive(Debug)]
pub(crate) enum InvocationError {
    /// The process died.
    Died,
    /// It timed out.
    Timeout,
    /// The function returned an error.
    FunctionError,
}

/// The function, with one process per concurrent event.
#[derive(Debug)]
pub(crate) struct Function {
    aws: Arc<FakeAws>,
    /// How far the clock of these processes is ahead; `None` for the deployed program.
    ahead: Option<SignedDuration>,
    log: PathBuf,
    idle: Mutex<Vec<FunctionProcess>>,
    started: AtomicUsize,
}

/// A process of the function.
#[derive(Debug)]
struct FunctionProcess {
    child: Child,
    events: mpsc::UnboundedSender<Invocation>,
    /// Notified whenever it requests an event.
    ready: Arc<Notify>,
    kill_signal: Arc<Notify>,
    _api: TestPort,
}

#[derive(Debug)]
struct Invocation {
    id: String,
    event: String,
    deadline_ms: i64,
    response: oneshot::Sender<Result<Value, Value>>,
}

/// The Runtime API for a process.
#[derive(Debug)]
struct RuntimeApi {
    events: AsyncMutex<mpsc::UnboundedReceiver<Invocation>>,
    ready: Arc<Notify>,
    response: Mutex<Option<oneshot::Sender<Result<Value, Value>>>>,
}

impl Function {
    /// The deployed program, which uses `aws` and logs to the file `name`.
    pub(crate) fn new(aws: &Arc<FakeAws>, name: &str) -> Self {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("oracle");
        std::fs::create_dir_all(&folder).unwrap();
        let log = folder.join(format!("{}.log", name.replace(' ', "-")));
        File::create(&log).unwrap();
        Self { aws: Arc::clone(aws), ahead: None, log, idle: Mutex::default(), started: AtomicUsize::default() }
    }

    /// The same function on machines whose clock is ahead.
    pub(crate) fn with_clock(&self, ahead: SignedDuration) -> Self {
        let (aws, log) = (Arc::clone(&self.aws), self.log.clone());
        Self { aws, ahead: Some(ahead), log, idle: Mutex::default(), started: AtomicUsize::default() }
    }

    /// Ends all idle processes, so that the next event is a cold start.
    pub(crate) fn stop_idle(&self) {
        self.idle.lock().unwrap().clear();
    }

    /// Starts a process.
    pub(crate) async fn warm(&self) -> Result<(), InvocationError> {
        let mut process = self.process();
        process.is_ready().await?;
        process.ready.notify_one();
        self.idle.lock().unwrap().push(process);
        Ok(())
    }

    /// Invokes the function and returns its response.
    pub(crate) async fn invoke(&self, event: &Value) -> Result<Value, InvocationError> {
        self.invoke_within(FUNCTION_TIMEOUT, event).await
    }

    /// Invokes the function with another timeout.
    pub(crate) async fn invoke_within(&self, limit: Duration, event: &Value) -> Result<Value, InvocationError> {
        let mut process = self.process();
        process.is_ready().await?;
        let reply = process.handle(event, limit).await?;
        self.idle.lock().unwrap().push(process);
        reply.map_err(|_| InvocationError::FunctionError)
    }

    fn process(&self) -> FunctionProcess {
        let idle = self.idle.lock().unwrap().pop();
        idle.unwrap_or_else(|| FunctionProcess::start(self))
    }

    fn command(&self, access_key: &str, api: u16) -> Command {
        let mut command = match self.ahead {
            None => Command::new(push_function()),
            Some(_) => clock::command(),
        };
        let log = File::options().append(true).open(&self.log).unwrap();
        command.env_clear().envs(self.aws.environment()).envs([
            ("AWS_LAMBDA_RUNTIME_API", format!("127.0.0.1:{api}").as_str()),
            ("AWS_LAMBDA_FUNCTION_NAME", "push"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512"),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
            ("AWS_LAMBDA_LOG_GROUP_NAME", "g"),
            ("AWS_LAMBDA_LOG_STREAM_NAME", "s"),
            ("AWS_REGION", "ap-southeast-1"),
            ("AWS_ACCESS_KEY_ID", access_key),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("RAW_BUCKET", "readings"),
            ("ALERT_TOPIC_ARN", "arn:aws:sns:ap-southeast-1:123456789012:alerts"),
            ("CREDENTIALS_SECRET_ARN", "arn:aws:secretsmanager:ap-southeast-1:123456789012:secret:push"),
            ("STATE_TABLE", "state"),
            ("RETRY_QUEUE_URL", "https://sqs.ap-southeast-1.amazonaws.com/123456789012/stored"),
        ]);
        if let Some(ahead) = self.ahead {
            // A test's own stack is a quarter of a program's.
            command.env(clock::AHEAD, ahead.as_secs().to_string()).env("RUST_MIN_STACK", "16777216");
        }
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).kill_on_drop(true);
        command
    }
}

impl FunctionProcess {
    fn start(function: &Function) -> Self {
        let number = function.started.fetch_add(1, Ordering::Relaxed);
        let whose = function.ahead.map_or(0, |ahead| ahead.as_secs());
        let access_key = format!("process{whose}n{number}").replace('-', "m");
        let (events, waiting) = mpsc::unbounded_channel();
        let ready = Arc::new(Notify::new());
        let api = Arc::new(RuntimeApi {
            events: AsyncMutex::new(waiting),
            ready: Arc::clone(&ready),
            response: Mutex::new(None),
        });
        let port = TestPort::new();
        port.open(move |request| Arc::clone(&api).respond(request));
        let kill_signal = function.aws.register(&access_key, function.ahead.unwrap_or_default());
        let child = function.command(&access_key, port.port()).spawn().unwrap();
        Self { child, events, ready, kill_signal, _api: port }
    }

    /// Waits until it requests an event.
    async fn is_ready(&mut self) -> Result<(), InvocationError> {
        tokio::select! {
            () = self.ready.notified() => Ok(()),
            () = self.kill_signal.notified() => self.die(InvocationError::Died).await,
            _ = self.child.wait() => Err(InvocationError::Died),
            () = sleep(START_TIMEOUT) => panic!("the function did not start within {START_TIMEOUT:?}"),
        }
    }

    async fn handle(&mut self, event: &Value, limit: Duration) -> Result<Result<Value, Value>, InvocationError> {
        let (response, responded) = oneshot::channel();
        let now = Timestamp::now().as_millisecond();
        let deadline_ms = now + i64::try_from(limit.as_millis()).unwrap();
        let id = format!("8476a536-e9f4-11e8-9739-{now:012x}");
        self.events.send(Invocation { id, event: event.to_string(), deadline_ms, response }).unwrap();
        // With its own timeout it must respond by itself, however busy this machine is.
        let timeout = if limit < FUNCTION_TIMEOUT { limit } else { limit + GRACE };
        tokio::select! {
            result = responded => result.map_err(|_| InvocationError::Died),
            () = self.kill_signal.notified() => self.die(InvocationError::Died).await,
            _ = self.child.wait() => Err(InvocationError::Died),
            () = sleep(timeout) => self.die(InvocationError::Timeout).await,
        }
    }

    async fn die<T>(&mut self, why: InvocationError) -> Result<T, InvocationError> {
        // SIGKILL: nothing is closed, nothing is dropped.
        self.child.kill().await.unwrap();
        Err(why)
    }
}

impl RuntimeApi {
    async fn respond(self: Arc<Self>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, hyper::Error> {
        let path = request.uri().path().to_owned();
        if request.method() == Method::GET && path.ends_with("/invocation/next") {
            self.ready.notify_one();
            let next = self.events.lock().await.recv().await;
            // Without an event, the process is about to be ended.
            let Some(Invocation { id, event, deadline_ms, response }) = next else { std::future::pending().await };
            *self.response.lock().unwrap() = Some(response);
            let response = Response::builder().header("lambda-runtime-aws-request-id", id);
            let response = response.header("lambda-runtime-deadline-ms", deadline_ms);
            let response = response.header(
                "lambda-runtime-invoked-function-arn",
                "arn:aws:lambda:ap-southeast-1:123456789012:function:push",
            );
            return Ok(response.body(Full::new(Bytes::from(event))).unwrap());
        }
        let body = request.into_body().collect().await?.to_bytes();
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        if let Some(response) = self.response.lock().unwrap().take() {
            // Fails if the invocation timed out.
            let _ = response.send(if path.ends_with("/response") { Ok(body) } else { Err(body) });
        }
        Ok(Response::builder().status(202).body(Full::default()).unwrap())
    }
}

/// The event of the schedule.
pub(crate) fn sweep_event() -> Value {
    json!({ "smartclean-push": "sweep" })
}

/// Delivers the records of the stream that are due, and the messages of the queue until none waits, at most `rounds` times. As
/// standard queues do, it delivers some messages twice.
pub(crate) async fn drain_queue(aws: &FakeAws, function: &Function, limit: Duration, rounds: usize) {
    aws.with_state(|state| state.deliver_records(function.ahead.unwrap_or_default()));
    for round in 0..rounds {
        let Some(event) = aws.with_state(|state| state.queue.deliver()) else { return };
        let mut reply = function.invoke_within(limit, &event).await;
        if round % 2 == 1 && reply.is_ok() {
            reply = function.invoke_within(limit, &event).await;
        }
        if let Ok(reply) = reply {
            aws.with_state(|state| state.queue.delete(&event, &reply));
        }
    }
}
