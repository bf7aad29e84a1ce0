//! Ctrl-C: the first ends the run in order, the second at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::Failure;

/// Whether the run is to end.
#[derive(Clone, Debug, Default)]
pub(super) struct Stop {
    asked: Arc<AtomicBool>,
}

/// The exit code of what was interrupted, as shells have it: 128 and the signal's number.
pub(super) const INTERRUPTED: u8 = 130;
/// A wait is looked up from this often.
const LOOK_UP: Duration = Duration::from_millis(50);

impl Stop {
    /// Listens for Ctrl-C, and for the system's request to end, from now on.
    pub(super) fn listening() -> Result<Self, Failure> {
        let fault = |fault| Failure::new(format!("signals cannot be received: {fault}"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(fault)?;
        let stop = Self::default();
        let mut signals = runtime.block_on(async { Signals::new() }).map_err(fault)?;
        let asked = Arc::clone(&stop.asked);
        thread::spawn(move || {
            runtime.block_on(async {
                signals.next().await;
                asked.store(true, Ordering::Relaxed);
                signals.next().await;
                std::process::exit(i32::from(INTERRUPTED));
            });
        });
        Ok(stop)
    }

    /// Whether it was asked for.
    pub(super) fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }

    /// Waits, less where the end is asked for.
    pub(super) fn sleep(&self, wait: Duration) {
        let until = Instant::now() + wait;
        while let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            if self.is_asked() {
                return;
            }
            thread::sleep(left.min(LOOK_UP));
        }
    }
}

/// Ctrl-C, and the system's request to end.
#[cfg(unix)]
pub(super) struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    /// Receives them from now on.
    pub(super) fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Completes when the next one comes.
    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Ctrl-C.
#[cfg(not(unix))]
pub(super) struct Signals;

#[cfg(not(unix))]
impl Signals {
    /// Receives them from now on.
    pub(super) fn new() -> std::io::Result<Self> {
        Ok(Self)
    }

    /// Completes when the next one comes.
    pub(super) async fn next(&mut self) {
        let _ = tokio::signal::ctrl_c().await;
    }
}
