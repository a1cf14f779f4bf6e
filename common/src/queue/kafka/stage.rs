//! A step from which a thread may never come back: whoever waits for it takes
//! over after a while, and exactly one of them goes on.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Whether a thread hands over offsets, seen from both sides. librdkafka may
/// never come back from that when the group's coordinator dies: it forgets the
/// time it was given (its issue 5456), and waits for a broker that it has
/// struck off (its issue 5511).
#[derive(Debug, Default)]
pub(super) struct Stage(Mutex<At>);

#[derive(Debug, Default)]
enum At {
    #[default]
    Elsewhere,
    /// Since then.
    Offsets(Instant),
    /// Somebody else does what it was to do: it must not commit any more.
    Abandoned,
}

impl Stage {
    /// A thread begins to hand over.
    pub(super) fn enter(&self) {
        let mut at = self.at();
        if !matches!(*at, At::Abandoned) {
            *at = At::Offsets(Instant::now());
        }
    }

    /// It has come back: whether it may go on.
    pub(super) fn leave(&self) -> bool {
        let mut at = self.at();
        let is_mine = !matches!(*at, At::Abandoned);
        if is_mine {
            *at = At::Elsewhere;
        }
        is_mine
    }

    /// Takes over from a thread that has been there for so long.
    pub(super) fn abandon(&self, max: Duration) -> bool {
        let mut at = self.at();
        let is_late = matches!(*at, At::Offsets(since) if since.elapsed() >= max);
        if is_late {
            *at = At::Abandoned;
        }
        is_late
    }

    fn at(&self) -> MutexGuard<'_, At> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_both_goes_on() {
        let stage = Stage::default();
        assert!(!stage.abandon(Duration::ZERO), "nobody is there");
        stage.enter();
        assert!(!stage.abandon(Duration::from_secs(600)), "it is not late");
        assert!(stage.leave());
        assert!(!stage.abandon(Duration::ZERO), "it is elsewhere");
        stage.enter();
        assert!(stage.abandon(Duration::ZERO));
        assert!(!stage.leave());
        stage.enter();
        assert!(!stage.abandon(Duration::ZERO), "somebody took over already");
        assert!(!stage.leave());
    }
}
