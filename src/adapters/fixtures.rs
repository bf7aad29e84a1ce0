//! Log output captured by tests.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use tracing::subscriber::DefaultGuard;

/// The lines that this thread logs during the value's lifetime.
#[derive(Debug)]
pub(crate) struct LogLines {
    buffer: LogBuffer,
    _guard: DefaultGuard,
}

#[derive(Clone, Debug, Default)]
struct LogBuffer(Arc<Mutex<Vec<u8>>>);

impl LogLines {
    pub(crate) fn capture() -> Self {
        let buffer = LogBuffer::default();
        let writer = buffer.clone();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        Self { buffer, _guard: tracing::subscriber::set_default(subscriber) }
    }

    /// The lines that contain `part`.
    pub(crate) fn containing(&self, part: &str) -> Vec<String> {
        let bytes = self.buffer.0.lock().unwrap();
        String::from_utf8_lossy(&bytes).lines().filter(|line| line.contains(part)).map(ToOwned::to_owned).collect()
    }
}

impl Write for LogBuffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
