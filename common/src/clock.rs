//! The only doors to wall time and to chance. Pure modules take their values
//! as arguments.

use std::time::{SystemTime, UNIX_EPOCH};

/// Microseconds since the Unix epoch.
pub fn unix_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// Now as an RFC 3339 timestamp in UTC with microseconds.
pub fn rfc3339_now() -> String {
    let now = jiff::Timestamp::now();
    format!("{now:.6}")
}

/// Eight bytes from the kernel's random source. Where there is none, the
/// clock and the process id stand in: names stay apart, nothing secret
/// depends on them.
pub fn random_u64() -> u64 {
    let mut bytes = [0_u8; 8];
    match getrandom::fill(&mut bytes) {
        Ok(()) => u64::from_ne_bytes(bytes),
        Err(_) => unix_us().wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ u64::from(std::process::id()),
    }
}
