//! What wakes the caller: one descriptor for all clients of a connection. The
//! only file that calls librdkafka past the crate around it, for the two
//! things that the crate has no door to.

#![allow(unsafe_code)]

use super::context::Context;
use crate::queue::QueueError;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use rdkafka::bindings::{
    rd_kafka_commit_queue, rd_kafka_queue_destroy, rd_kafka_queue_get_consumer,
    rd_kafka_queue_get_main, rd_kafka_queue_io_event_enable,
};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{IsError as _, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, Producer as _};
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::types::RDKafkaQueue;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::ptr;
use std::sync::Arc;

/// A descriptor that is readable once it was rung, from any thread.
#[derive(Debug, Clone)]
pub(super) struct Bell(Arc<EventFd>);

impl Bell {
    /// A silent bell.
    ///
    /// # Errors
    /// No descriptors left.
    pub(super) fn new() -> Result<Self, QueueError> {
        EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)
            .map(|fd| Self(Arc::new(fd)))
            .map_err(|errno| QueueError::io("making a doorbell")(errno.into()))
    }

    /// Rings. A full counter has been rung already.
    pub(super) fn ring(&self) {
        let _ = self.0.write(1);
    }

    /// Makes it silent again.
    pub(super) fn answer(&self) {
        let _ = self.0.read();
    }

    /// Waits until it is rung, at most so long.
    pub(super) fn wait(&self, max_ms: u8) {
        let mut fds = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
        // A signal ends the wait early; whoever waits looks again.
        let _ = poll(&mut fds, PollTimeout::from(max_ms));
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Makes a producer ring a bell when it has something to tell. Dropped before
/// its producer.
#[derive(Debug)]
pub(super) struct Wire {
    queue: *mut RDKafkaQueue,
    /// Open for as long as librdkafka's threads may write to it.
    _bell: Bell,
}

// SAFETY: librdkafka's queues may be used from any thread, and this one is
// only touched again by the thread that drops it.
unsafe impl Send for Wire {}

impl Wire {
    /// From now on `producer` rings `bell`.
    pub(super) fn new(producer: &BaseProducer<Context>, bell: &Bell) -> Self {
        let ring = 1_u64.to_ne_bytes();
        // SAFETY: the client lives, so its main queue does; the reference is
        // given back in `drop`, before the client goes.
        let queue = unsafe { rd_kafka_queue_get_main(producer.client().native_ptr()) };
        // SAFETY: the payload is copied in the call; the descriptor stays open
        // until the event is disabled in `drop`.
        unsafe {
            rd_kafka_queue_io_event_enable(
                queue,
                bell.0.as_raw_fd(),
                ring.as_ptr().cast(),
                ring.len(),
            );
        }
        Self { queue, _bell: bell.clone() }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        // SAFETY: the reference from `new` is still ours; with -1 nothing is
        // written to the descriptor any more, and it is closed after this.
        unsafe {
            rd_kafka_queue_io_event_enable(self.queue, -1, ptr::null(), 0);
            rd_kafka_queue_destroy(self.queue);
        }
    }
}

/// Commits offsets and returns at once. The answer comes to the consumer's
/// queue, and so to `commit_callback`; that of the crate's own asynchronous
/// commit goes nowhere.
///
/// # Errors
/// The consumer is closed.
pub(super) fn commit(
    consumer: &BaseConsumer<Context>,
    offsets: &TopicPartitionList,
) -> Result<(), RDKafkaErrorCode> {
    let client = consumer.client().native_ptr();
    // SAFETY: the client lives for the whole call, and the list too, which is
    // copied; the answer holds a reference of its own to the queue, so that
    // ours can be given back. Without a callback the answer is an event.
    let answer = unsafe {
        let queue = rd_kafka_queue_get_consumer(client);
        if queue.is_null() {
            return Err(RDKafkaErrorCode::UnknownGroup);
        }
        let answer = rd_kafka_commit_queue(client, offsets.ptr(), queue, None, ptr::null_mut());
        rd_kafka_queue_destroy(queue);
        answer
    };
    if answer.is_error() { Err(answer.into()) } else { Ok(()) }
}
