//! Every bound in one place. A length read from outside is checked against
//! these before memory is taken for it.

/// Largest body of one event, in bytes.
pub const BODY_MAX: u64 = 1 << 30;

/// Largest line accepted on a pipe: a body as base64 plus its envelope.
pub const LINE_MAX: u64 = BODY_MAX / 3 * 4 + (1 << 20);

/// How much of a line over [`LINE_MAX`] is kept in its dead letter.
pub const OVERLONG_KEPT: usize = 64 << 10;

/// Largest body a `when` condition is evaluated on.
pub const CONDITION_BODY_MAX: u64 = 1 << 20;

/// How long one evaluation of a rule's conditions may take, in milliseconds.
pub const CONDITION_TIME_MAX_MS: u64 = 1_000;

/// Bodies up to this size are given to a function through a pipe that is
/// filled before the function starts; larger ones as a file.
pub const STDIN_PIPE_MAX: usize = 64 << 10;

/// Most outputs one call may produce with `emit: lines` or `emit: events`.
pub const OUTPUTS_PER_CALL_MAX: usize = 100_000;

/// Messages of one function that may wait out a back-off at the same time in
/// one invoker; beyond it the function's intake pauses.
pub const BACKOFF_WAITING_MAX: usize = 256;

/// Longest an idle receiver sleeps before it looks again by itself, in
/// milliseconds: a reader killed just after its wake-up strands a message.
pub const IDLE_LOOK_MS: u64 = 500;

/// How long a sender waits for room before it says so, in milliseconds.
pub const FULL_NOTICE_MS: u64 = 1_000;

/// The longest back-off between two attempts, in milliseconds.
pub const BACKOFF_MAX_MS: u64 = 30_000;

/// How many bytes of a function's stderr are kept for its dead letter.
pub const STDERR_KEPT: usize = 2 << 10;

/// Attempts that a message has beyond its retries, for those that ended with
/// their invoker or their guard and not by a fault of the function.
pub const CRASHES_MAX: u32 = 3;

/// How often a message may find the process it was meant for gone before it
/// was asked, until that counts as an attempt.
pub const UNASKED_MAX: u32 = 12;

/// Messages of one function that may be done and wait for their turn, where
/// the order of intake is kept; beyond it the function's intake pauses.
pub const ORDER_WAITING_MAX: usize = 256;

/// Events that a trigger, `put` or `get` may have on their way to any broker.
pub const UNDER_WAY_MAX: usize = 8_192;

/// The same where a round trip is short: three batches. With more the events
/// fall out of the processor's caches while they wait.
pub const UNDER_WAY_SHORT: usize = 768;

/// Bytes of bodies from which on they have enough on their way.
pub const UNDER_WAY_BYTES_MAX: u64 = 64 << 20;

/// How long a broker may take to say whether there are messages, for those
/// that wait a certain time for one, in milliseconds.
pub const ANSWER_MAX_MS: u64 = 10_000;

/// Hand-offs of one function that may be on their way to a broker before the
/// function's intake pauses.
pub const SENT_MAX: usize = 1_024;

/// Most bytes that wait in the spill file of one queue.
pub const SPILL_MAX: u64 = 64 << 20;

/// Dead letters of one function that may wait for room in their queue before
/// the function's intake pauses.
pub const DEAD_WAITING_MAX: usize = 1_000;

/// How long a stopping invoker waits for room for outputs that their queue
/// keeps anyway, in milliseconds.
pub const DRAIN_MAX_MS: u64 = 2_000;

/// How long a killed call may take to be gone before its guard is given up,
/// in milliseconds.
pub const KILL_MAX_MS: u64 = 1_000;

/// How much of a function's stderr one call may pass on, in bytes.
pub const STDERR_PER_CALL_MAX: usize = 1 << 20;

/// Longest line of a function's stderr that is passed on whole, in bytes.
pub const STDERR_LINE_MAX: usize = 8 << 10;

/// How long an answer of a filter is held back while the filter does not ask
/// for the next line, in milliseconds: what follows it by then voids it.
pub const ANSWER_HELD_MAX_MS: u64 = 10;

/// How long the next line waits for a filter with an event loop that is never
/// seen to wait for input alone, in milliseconds.
pub const FILTER_ASK_MAX_MS: u64 = 1_000;

/// How long a starting filter waits for something else than its input before
/// its children are looked at: a shell around a pipeline, in milliseconds.
pub const FILTER_OPAQUE_MS: u64 = 100;

/// How long a starting filter may wait for something else before it counts as
/// one that cannot be watched, in milliseconds.
pub const FILTER_OPAQUE_MAX_MS: u64 = 2_000;

/// How long a function that is not needed any more may take to end by itself
/// once its input has ended, in milliseconds.
pub const FAREWELL_MAX_MS: u64 = 1_000;

/// Connections that an HTTP trigger serves at once; others wait to be accepted.
pub const VISITORS_MAX: usize = 1_000;

/// Longest body of a request to an HTTP trigger, unless it is told otherwise.
pub const REQUEST_BODY_MAX: u64 = 16 << 20;

/// How long the headers of a request may take, and a connection may be idle,
/// in milliseconds.
pub const REQUEST_HEADERS_MAX_MS: u64 = 10_000;

/// How long the body of a request may take, in milliseconds.
pub const REQUEST_BODY_MAX_MS: u64 = 60_000;

/// How long a request waits for room in the first queue before it is turned
/// away, in milliseconds.
pub const REQUEST_ACCEPT_MAX_MS: u64 = 5_000;

/// How often an invoker of a run may be started again, over the attempts its
/// messages have, while nothing comes back from the run at all.
pub const RESTARTS_MAX: u32 = 5;

const _: () = assert!(LINE_MAX > BODY_MAX && OVERLONG_KEPT < LINE_MAX as usize);
