//! Futures without a runtime: polled when their socket is ready, and again
//! for as long as one part of them wakes another.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// A future of its own.
pub type Task<T> = Pin<Box<dyn Future<Output = T>>>;

/// Whether something woke a task since it was last polled.
#[derive(Debug, Default)]
pub struct Alarm(AtomicBool);

impl Alarm {
    /// A new one.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Whether it rang; it is quiet afterwards.
    pub fn take(&self) -> bool {
        self.0.swap(false, Ordering::AcqRel)
    }
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Release);
    }
}

/// Polls once.
pub fn poll<T>(alarm: &Arc<Alarm>, task: &mut Task<T>) -> Poll<T> {
    let waker = Waker::from(alarm.clone());
    task.as_mut().poll(&mut Context::from_waker(&waker))
}
