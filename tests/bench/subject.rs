//! What is measured, and how it is driven.

use std::time::{Duration, Instant};

/// What each message holds.
pub const BODY: &[u8] = b"{\"order\":1,\"item\":\"teapot\",\"qty\":1,\"unit\":3.5}";

/// How long a measurement waits for a result before it gives up.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A chain under measurement.
pub trait Subject {
    /// What it is called in the tables.
    fn name(&self) -> &'static str;
    /// Sends a message; waits for room if it must.
    fn send(&mut self);
    /// Waits for the next result.
    fn receive(&mut self);
}

/// Microseconds from sending to the result, one message in flight; `pause`
/// between a result and the next message.
pub fn one_in_flight(subject: &mut dyn Subject, count: usize, pause: Duration) -> Vec<Duration> {
    let once = |_| {
        std::thread::sleep(pause);
        let began = Instant::now();
        subject.send();
        subject.receive();
        began.elapsed()
    };
    (0..count).map(once).collect()
}

/// How long `count` messages take, with `window` of them under way.
pub fn all_at_once(subject: &mut dyn Subject, count: usize, window: usize) -> Duration {
    let began = Instant::now();
    let (mut sent, mut received) = (0, 0);
    while received < count {
        while sent < count && sent - received < window {
            subject.send();
            sent += 1;
        }
        subject.receive();
        received += 1;
    }
    began.elapsed()
}
