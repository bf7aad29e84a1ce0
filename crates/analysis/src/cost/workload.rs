//! What is to be paid for: devices, what they send, and who is told.

use jiff::SignedDuration;
use serde::Serialize;

use super::assumptions::{CHANGING, MESSAGES, PUSH_MS};

/// Seconds of a month, as AWS reckons it: 730 hours.
pub const MONTH: f64 = 730.0 * 3_600.0;
/// Readings that fit into a push through the gateway: Lambda takes 6 MB of event, and the body is escaped twice in it.
pub const MOST_READINGS: u32 = 7_000;

/// Devices and what they do.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Workload {
    /// How many devices send.
    pub devices: u64,
    /// How often each sends a reading.
    #[serde(serialize_with = "seconds")]
    pub interval: SignedDuration,
    /// Readings in a push, on average.
    pub batch: u32,
    /// Devices of a zone.
    pub devices_per_zone: u32,
    /// Of a hundred readings those that change what is remembered of their zone.
    pub changing_percent: f64,
    /// Messages about a device in a month.
    pub messages_per_device_month: f64,
    /// Addresses that get each message as an email.
    pub emails: u32,
    /// Telephones that get it as a text message.
    pub phones: u32,
    /// Months whose readings are kept.
    pub months_kept: u32,
    /// Milliseconds of a push.
    pub push_ms: f64,
}

fn seconds<S: serde::Serializer>(interval: &SignedDuration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(interval.as_secs_f64())
}

impl Workload {
    /// So many devices that each send a reading every `interval`, `batch` of which come in a push; all else as measured or
    /// customary. At least one device, a second and one reading; at most [`MOST_READINGS`].
    #[must_use]
    pub fn new(devices: u64, interval: SignedDuration, batch: u32) -> Self {
        Self {
            devices: devices.max(1),
            interval: interval.max(SignedDuration::from_secs(1)),
            batch: batch.clamp(1, MOST_READINGS),
            devices_per_zone: 5,
            changing_percent: CHANGING.value,
            messages_per_device_month: MESSAGES.value,
            emails: 1,
            phones: 0,
            months_kept: 12,
            push_ms: PUSH_MS.value,
        }
    }

    fn device_count(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52 devices")]
        let devices = self.devices as f64;
        devices
    }

    /// Readings a month.
    #[must_use]
    pub fn readings(&self) -> f64 {
        self.device_count() * MONTH / self.interval.as_secs_f64()
    }

    /// Pushes a month.
    #[must_use]
    pub fn pushes(&self) -> f64 {
        self.readings() / f64::from(self.batch)
    }

    /// Pushes a second, on average.
    #[must_use]
    pub fn pushes_a_second(&self) -> f64 {
        self.pushes() / MONTH
    }

    /// Zones.
    #[must_use]
    pub fn zones(&self) -> f64 {
        (self.device_count() / f64::from(self.devices_per_zone)).ceil()
    }

    /// Messages a month, as far as nothing limits them.
    #[must_use]
    pub fn messages(&self) -> f64 {
        self.device_count() * self.messages_per_device_month
    }
}
