//! Receives SmartClean's data push: lets it in by the operator's credentials, keeps every raw reading for ever, and tells
//! the right person when a limit is crossed.
//!
//! # The way of one push
//! 1. [`http`] bounds it (method, path, encoding, size) and authenticates it from its headers alone;
//! 2. [`domain::batch`] splits the body into items, each a reading or a rejection;
//! 3. [`ingest`] stores both, under names made from their content, before anything is decided about them; what the store
//!    does not take waits in a queue ([`adapters::fallback_queue`]);
//! 4. [`domain::engine`] evaluates the rules: a pure function of rules, state, readings and time. State and the messages it
//!    makes commit together, zone by zone, by compare-and-swap;
//! 5. [`notify::render`] makes the words, and a publisher sends them; what is not sent stays for the
//!    [sweep](ingest::Ingest::sweep);
//! 6. 200 is answered when the push is stored and accounted for. 4xx means a retry cannot help, 5xx means it can.
//!
//! # When something behind it fails
//! | fails | the push is | who goes on |
//! |---|---|---|
//! | storing, in AWS | put into the queue as it is; 200 | [`sources`], every few minutes for hours |
//! | storing and the queue, or the disk of `serve` | not stored; 503 with `Retry-After` | the sender |
//! | reading or writing state (DynamoDB throttles, say) | stored, and evaluated later; 200 | in AWS S3's notice of the new object in [`sources`]; in `serve` the note that the folder keeps (`ingest/left_over.rs`), once a minute |
//! | sending a message | evaluated; the message stays in the outbox | the [sweep](ingest::Ingest::sweep), once a minute |
//!
//! # What always holds
//! - Nothing that arrived authenticated and within the size limit is lost: what is no batch is kept as well.
//! - One bad item never costs a good one.
//! - The same body makes one object, and the same cause an alert of the same id, however often it is sent.
//! - Every stored batch is evaluated, and every due message sent at least once, wherever a crash falls.
//!
//! # Where things are
//! Arrows point one way: [`domain`] knows nothing of the others, [`ingest`] knows the domain, [`http`] knows both, and
//! [`adapters`] are known to the binaries only; [`hosts`] carry requests to [`http`], and what is no request to [`sources`].
//!
//! [`telemetry`] stands below all of them: whoever knows a number logs it, and there it becomes a metric.
//!
//! Five crates below this one hold what needs neither AWS nor HTTP. Three are pure: [`domain`] (readings, rules, state, the
//! engine), [`auth`] (who may push) and [`notify`] (from facts to words). `history` reads what is stored in the order in which
//! it happened and copies it into Parquet files (`lake`). `analysis` is what the command has beside receiving: it judges
//! rules by history and reports what that found (`backtest`, `report`), tries rules by hand (`cases`), simulates a building
//! (`simulate`) and estimates a bill (`cost`).

pub mod adapters;
pub mod config;
pub mod hosts;
pub mod http;
pub mod ingest;
pub mod sources;
pub mod telemetry;

pub use auth;
pub use domain;
pub use notify;
