//! Ctrl-C and the system's request to end: the first one stops a command in order, the second one at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::failure::INTERRUPTED;
use crate::{Failure, OrFailure as _};

/// How often a wait checks for a request to stop.
const CHECK_EVERY: Duration = Duration::from_millis(50);

/// Says whether the user asked the command to stop.
#[derive(Clone, Debug, Default)]
pub(super) struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Listens for signals from now on.
    pub(super) fn listen() -> Result<Self, Failure> {
        let (stop, runtime) = (Self::default(), runtime(1)?);
        let mut signals = runtime.block_on(async { Signals::listen() })?;
        let is_requested = Arc::clone(&stop.0);
        thread::spawn(move || {
            runtime.block_on(async {
                signals.next().await;
                is_requested.store(true, Ordering::Relaxed);
                signals.exit_at_next().await;
            });
        });
        Ok(stop)
    }

    /// Whether the command should stop.
    pub(super) fn is_requested(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Waits. Returns early on a request to stop.
    pub(super) fn sleep(&self, wait: Duration) {
        let until = Instant::now() + wait;
        while let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            if self.is_requested() {
                return;
            }
            thread::sleep(left.min(CHECK_EVERY));
        }
    }
}

/// Ctrl-C and SIGTERM.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Listens from now on. Requires a runtime.
    pub(super) fn listen() -> Result<Self, Failure> {
        let listen = |kind| signal(kind).or_failure("signals cannot be received");
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    /// Completes at the next signal.
    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }

    /// Ends the process at the next signal.
    pub(super) async fn exit_at_next(&mut self) {
        self.next().await;
        std::process::exit(INTERRUPTED.into());
    }
}

/// A runtime with so many threads.
pub(super) fn runtime(threads: usize) -> Result<Runtime, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build();
    runtime.or_failure("the program cannot start")
}
