//! Which of a process's pipes is ready: its base token with one of these.

/// Its stdout.
pub const STDOUT: u64 = 0;
/// Its stderr.
pub const STDERR: u64 = 1;
/// Its stdin, when there was no room.
pub const STDIN: u64 = 2;
/// Bits they take.
pub const BITS: u32 = 2;
