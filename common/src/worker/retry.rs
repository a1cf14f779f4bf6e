//! How long to wait before the next attempt. Pure: chance is an argument.

use crate::limits::BACKOFF_MAX_MS;
use std::time::Duration;

/// Exponential back-off with full jitter: after the `failed`-th failed
/// attempt (from 1) anything from zero to `first * 2^(failed - 1)`, at most
/// 30 s, by `chance`.
pub fn wait(first: Duration, failed: u32, chance: u64) -> Duration {
    let ceiling =
        first.saturating_mul(1_u32.checked_shl(failed.saturating_sub(1)).unwrap_or(u32::MAX));
    let ceiling = ceiling.min(Duration::from_millis(BACKOFF_MAX_MS));
    ceiling.mul_f64((chance >> 11) as f64 / (1_u64 << 53) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_and_is_bounded() {
        let first = Duration::from_millis(100);
        let most = |failed| wait(first, failed, u64::MAX);
        assert!(most(1) <= Duration::from_millis(100) && most(1) > Duration::from_millis(99));
        assert!(most(3) > Duration::from_millis(399));
        assert!(most(60) <= Duration::from_secs(30) && most(60) > Duration::from_secs(29));
        assert!(most(4_000_000) <= Duration::from_secs(30));
        assert_eq!(wait(first, 5, 0), Duration::ZERO);
    }
}
