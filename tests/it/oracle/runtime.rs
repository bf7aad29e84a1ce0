//! Lambda around the function: processes of it that are given events one by one, their time bounded, started anew where
//! they have died.

use std::fs::File;
use std::path::PathBuf;
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
use tokio::sync::{Mutex as TurnMutex, Notify, mpsc, oneshot};
use tokio::time::sleep;

use crate::oracle::aws::World;
use crate::oracle::clock;
use crate::oracle::door::Door;

/// The function's time, as in template.yaml.
const LIMIT: Duration = Duration::from_secs(29);
/// Longest that a process takes to start, on a machine that is busy.
const STARTED_WITHIN: Duration = Duration::from_secs(120);
/// How much later an answer may come than the limit says, on a machine that is busy with other processes.
const GRACE: Duration = Duration::from_secs(30);

/// Why an invocation came to nothing.
#[derive(Debug)]
pub(crate) enum Failed {
    /// The process died.
    Died,
    /// Its time was up.
    OutOfTime,
    /// The function says that it failed.
    Told,
}

/// The function: as many processes as are needed at a time.
#[derive(Debug)]
pub(crate) struct Function {
    world: Arc<World>,
    /// How much later it is for these processes than it is; `None` for the program that is deployed.
    ahead: Option<SignedDuration>,
    log: PathBuf,
    idle: Mutex<Vec<Process>>,
    started: AtomicUsize,
}

/// One process of it.
#[derive(Debug)]
struct Process {
    child: Child,
    events: mpsc::UnboundedSender<Invocation>,
    /// Noted whenever it asks for an event.
    ready: Arc<Notify>,
    told_to_die: Arc<Notify>,
    _api: Door,
}

#[derive(Debug)]
struct Invocation {
    id: String,
    event: String,
    deadline_ms: i64,
    answer: oneshot::Sender<Result<Value, Value>>,
}

/// The Runtime API's side of a process.
#[derive(Debug)]
struct Api {
    events: TurnMutex<mpsc::UnboundedReceiver<Invocation>>,
    ready: Arc<Notify>,
    answer: Mutex<Option<oneshot::Sender<Result<Value, Value>>>>,
}

impl Function {
    /// The program that is deployed, in `world`. What it logs is in a file of that name.
    pub(crate) fn new(world: &Arc<World>, name: &str) -> Self {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("oracle");
        std::fs::create_dir_all(&folder).unwrap();
        let log = folder.join(format!("{}.log", name.replace(' ', "-")));
        File::create(&log).unwrap();
        Self { world: Arc::clone(world), ahead: None, log, idle: Mutex::default(), started: AtomicUsize::default() }
    }

    /// The same function on machines whose clock is ahead by so much.
    pub(crate) fn by_clock(&self, ahead: SignedDuration) -> Self {
        let (world, log) = (Arc::clone(&self.world), self.log.clone());
        Self { world, ahead: Some(ahead), log, idle: Mutex::default(), started: AtomicUsize::default() }
    }

    /// Ends every process that has nothing to do, so that the next event meets a cold start.
    pub(crate) fn renew(&self) {
        self.idle.lock().unwrap().clear();
    }

    /// Has a process ready.
    pub(crate) async fn warm(&self) -> Result<(), Failed> {
        let mut process = self.process();
        process.is_ready().await?;
        process.ready.notify_one();
        self.idle.lock().unwrap().push(process);
        Ok(())
    }

    /// Hands an event over. What it replies.
    pub(crate) async fn invoke(&self, event: &Value) -> Result<Value, Failed> {
        self.invoke_within(LIMIT, event).await
    }

    /// The same with another limit to its time.
    pub(crate) async fn invoke_within(&self, limit: Duration, event: &Value) -> Result<Value, Failed> {
        let mut process = self.process();
        process.is_ready().await?;
        let reply = process.handle(event, limit).await?;
        self.idle.lock().unwrap().push(process);
        reply.map_err(|_| Failed::Told)
    }

    fn process(&self) -> Process {
        let idle = self.idle.lock().unwrap().pop();
        idle.unwrap_or_else(|| Process::start(self))
    }

    fn command(&self, access_key: &str, api: u16) -> Command {
        let mut command = match self.ahead {
            None => Command::new(env!("CARGO_BIN_EXE_push-function")),
            Some(_) => clock::command(),
        };
        let log = File::options().append(true).open(&self.log).unwrap();
        command.env_clear().envs(self.world.environment()).envs([
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

impl Process {
    fn start(function: &Function) -> Self {
        let number = function.started.fetch_add(1, Ordering::Relaxed);
        let whose = function.ahead.map_or(0, |ahead| ahead.as_secs());
        let access_key = format!("process{whose}n{number}").replace('-', "m");
        let (events, waiting) = mpsc::unbounded_channel();
        let ready = Arc::new(Notify::new());
        let api =
            Arc::new(Api { events: TurnMutex::new(waiting), ready: Arc::clone(&ready), answer: Mutex::new(None) });
        let door = Door::new();
        door.open(move |request| Arc::clone(&api).respond(request));
        let told_to_die = function.world.register(&access_key);
        let child = function.command(&access_key, door.port()).spawn().unwrap();
        Self { child, events, ready, told_to_die, _api: door }
    }

    /// Waits until it asks for an event.
    async fn is_ready(&mut self) -> Result<(), Failed> {
        tokio::select! {
            () = self.ready.notified() => Ok(()),
            () = self.told_to_die.notified() => self.die(Failed::Died).await,
            _ = self.child.wait() => Err(Failed::Died),
            () = sleep(STARTED_WITHIN) => panic!("the function did not start within {STARTED_WITHIN:?}"),
        }
    }

    async fn handle(&mut self, event: &Value, limit: Duration) -> Result<Result<Value, Value>, Failed> {
        let (answer, answered) = oneshot::channel();
        let now = Timestamp::now().as_millisecond();
        let deadline_ms = now + i64::try_from(limit.as_millis()).unwrap();
        let id = format!("8476a536-e9f4-11e8-9739-{now:012x}");
        self.events.send(Invocation { id, event: event.to_string(), deadline_ms, answer }).unwrap();
        // At its own limit it must have answered by itself, however busy this machine is.
        let patience = if limit < LIMIT { limit } else { limit + GRACE };
        tokio::select! {
            answer = answered => answer.map_err(|_| Failed::Died),
            () = self.told_to_die.notified() => self.die(Failed::Died).await,
            _ = self.child.wait() => Err(Failed::Died),
            () = sleep(patience) => self.die(Failed::OutOfTime).await,
        }
    }

    async fn die<T>(&mut self, why: Failed) -> Result<T, Failed> {
        // SIGKILL: nothing is closed, nothing is dropped.
        self.child.kill().await.unwrap();
        Err(why)
    }
}

impl Api {
    async fn respond(self: Arc<Self>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, hyper::Error> {
        let path = request.uri().path().to_owned();
        if request.method() == Method::GET && path.ends_with("/invocation/next") {
            self.ready.notify_one();
            let next = self.events.lock().await.recv().await;
            // The process is given up where there is none.
            let Some(Invocation { id, event, deadline_ms, answer }) = next else { std::future::pending().await };
            *self.answer.lock().unwrap() = Some(answer);
            let response = Response::builder().header("lambda-runtime-aws-request-id", id);
            let response = response.header("lambda-runtime-deadline-ms", deadline_ms);
            let response = response.header(
                "lambda-runtime-invoked-function-arn",
                "arn:aws:lambda:ap-southeast-1:123456789012:function:push",
            );
            return Ok(response.body(Full::new(Bytes::from(event))).unwrap());
        }
        let body = request.into_body().collect().await?.to_bytes();
        let told: Value = serde_json::from_slice(&body).unwrap_or_default();
        if let Some(answer) = self.answer.lock().unwrap().take() {
            // Nobody waits any more where its time was up.
            let _ = answer.send(if path.ends_with("/response") { Ok(told) } else { Err(told) });
        }
        Ok(Response::builder().status(202).body(Full::default()).unwrap())
    }
}

/// The schedule's tick.
pub(crate) fn tick() -> Value {
    json!({ "smartclean-push": "sweep" })
}

/// Gives a process of the function what waits in the queue, until nothing does or `rounds` are over. As standard queues
/// do, it delivers some messages twice.
pub(crate) async fn drain_queue(world: &World, function: &Function, limit: Duration, rounds: usize) {
    for round in 0..rounds {
        let Some(event) = world.kept(|kept| kept.queue.deliver()) else { return };
        let mut reply = function.invoke_within(limit, &event).await;
        if round % 2 == 1 && reply.is_ok() {
            reply = function.invoke_within(limit, &event).await;
        }
        if let Ok(reply) = reply {
            world.kept(|kept| kept.queue.done(&event, &reply));
        }
    }
}
