//! Receives SmartClean's data push: authenticates clients, stores every reading, evaluates rules, and sends alerts.
//!
//! # One push
//! 1. [`http`] checks method, path, encoding and size, and authenticates the client from the headers alone.
//! 2. [`domain::batch`] splits the body into items, each a reading or a rejection.
//! 3. [`ingest`] stores both before anything is evaluated: a stored push can be evaluated again, a lost one cannot. If the bucket is
//!    unavailable, the objects go to the queue ([`adapters::fallback_queue`]).
//! 4. [`domain::engine`] evaluates the rules, as a pure function of rules, state, readings and time. State and new messages commit
//!    together, zone by zone, by compare-and-swap.
//! 5. [`notify::render`] renders the messages, and a publisher sends them. Unsent messages wait for the
//!    [sweep](ingest::Ingest::sweep).
//! 6. The response is 200 when the push is stored or queued. A retry can help after 408, 429, 5xx and an incomplete body (400), not
//!    after any other 4xx.
//!
//! # Failures
//! | failed component | the push is | continued by |
//! |---|---|---|
//! | the bucket, in AWS | queued; 200 | [`sources`], every few minutes for hours |
//! | bucket and queue, or the disk of `serve` | not stored; 503 with `Retry-After` | the client |
//! | state, for example throttled by DynamoDB | stored, evaluated later; 200 | in AWS, S3's notice of the object ([`sources`]); in `serve`, the journal in the data folder, once a minute |
//! | sending a message | evaluated; the message stays in the outbox | the [sweep](ingest::Ingest::sweep), once a minute |
//!
//! # Guarantees
//! - Everything that is authenticated and within the size limit is stored, even if it is no batch.
//! - A malformed item does not affect the others.
//! - However often a body is sent, its readings are one object, and the same cause has one alert id.
//! - Every stored batch is evaluated, and every due message is sent at least once, even after a crash.
//!
//! # Modules
//! Dependencies point one way: [`domain`] depends on no other module, [`ingest`] on the domain, [`http`] on both. Only the binaries
//! use [`adapters`]. [`hosts`] pass requests to [`http`] and other events to [`sources`]. [`telemetry`] is below all of them.
//!
//! The command is `crates/command`. Five crates contain what needs neither AWS nor HTTP. Three are pure: [`domain`] (readings,
//! rules, state, the engine), [`auth`]
//! (authentication) and [`notify`] (texts of messages). `history` reads the archive in order of time and writes it as Parquet
//! (`lake`). `analysis` has what the other commands do: rules against history (`backtest`, `report`), rule cases (`cases`), a simulated
//! building (`simulate`) and costs (`cost`).

pub mod adapters;
pub mod config;
pub mod hosts;
pub mod http;
pub mod ingest;
pub mod sources;
pub mod telemetry;

/// The version of the release, as `--version`, `/health` and the log show it.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

pub use auth;
pub use domain;
pub use notify;
