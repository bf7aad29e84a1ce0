//! What is logged, for tests that are about it.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use tracing::subscriber::DefaultGuard;

/// The lines that this thread logs while it lives.
#[derive(Debug)]
pub(crate) struct LogLines {
    text: Text,
    _guard: DefaultGuard,
}

#[derive(Clone, Debug, Default)]
struct Text(Arc<Mutex<Vec<u8>>>);

impl LogLines {
    pub(crate) fn capture() -> Self {
        let text = Text::default();
        let writer = text.clone();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        Self { text, _guard: tracing::subscriber::set_default(subscriber) }
    }

    /// The lines that hold `part`.
    pub(crate) fn containing(&self, part: &str) -> Vec<String> {
        let text = self.text.0.lock().unwrap();
        String::from_utf8_lossy(&text).lines().filter(|line| line.contains(part)).map(ToOwned::to_owned).collect()
    }
}

impl Write for Text {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
