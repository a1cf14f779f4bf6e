//! The words of a slot, and the order in which they are stored. Every store
//! leaves a state from which a successor can go on; the same code runs under
//! a model checker with its own words (see the tests).

use super::marker::marker;
use std::sync::atomic::Ordering;

/// State of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Empty, or taken: the buffer tells.
    Free,
    /// The outbox is valid.
    Sending,
    /// Done but for clearing.
    Settled,
}

/// A word of shared memory.
pub(super) trait Word {
    fn load(&self, ordering: Ordering) -> u32;
    fn store(&self, value: u32, ordering: Ordering);
}

impl Word for std::sync::atomic::AtomicU32 {
    fn load(&self, ordering: Ordering) -> u32 {
        Self::load(self, ordering)
    }

    fn store(&self, value: u32, ordering: Ordering) {
        Self::store(self, value, ordering);
    }
}

/// The words of one slot. Only its owner stores; others may look.
#[derive(Debug, Clone, Copy)]
pub(super) struct Words<'a, W> {
    pub(super) state: &'a W,
    pub(super) attempts: &'a W,
    pub(super) sent: &'a W,
    pub(super) outbox_len: &'a W,
    pub(super) poison: &'a W,
}

impl<W: Word> Words<'_, W> {
    pub(super) fn state(&self) -> State {
        match self.state.load(Ordering::Acquire) {
            1 => State::Sending,
            2 => State::Settled,
            _ => State::Free,
        }
    }

    pub(super) fn count_attempt(&self) {
        set(self.attempts, self.attempts.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    /// The outbox is written, and so long; from here on it is sent.
    pub(super) fn begin_sending(&self, outbox_len: u32) {
        set(self.outbox_len, outbox_len, Ordering::Relaxed);
        set(self.sent, 0, Ordering::Relaxed);
        set(self.state, State::Sending as u32, Ordering::Release);
    }

    /// One more recorded output is sent.
    pub(super) fn mark_sent(&self) {
        set(self.sent, self.sent.load(Ordering::Relaxed) + 1, Ordering::Release);
    }

    pub(super) fn mark_settled(&self) {
        set(self.state, State::Settled as u32, Ordering::Release);
    }

    /// The buffer is zero; who sees the slot free must see that.
    pub(super) fn clear(&self) {
        for word in [self.attempts, self.sent, self.outbox_len, self.poison] {
            set(word, 0, Ordering::Relaxed);
        }
        set(self.state, State::Free as u32, Ordering::Release);
    }
}

fn set<W: Word>(word: &W, value: u32, ordering: Ordering) {
    marker();
    word.store(value, ordering);
    marker();
}

/// Run with `RUSTFLAGS='--cfg loom' cargo test -p faas-common --lib loom_`.
#[cfg(all(test, loom))]
mod tests {
    use super::*;
    use loom::sync::Arc;
    use loom::sync::atomic::AtomicU32;

    impl Word for AtomicU32 {
        fn load(&self, ordering: Ordering) -> u32 {
            Self::load(self, ordering)
        }

        fn store(&self, value: u32, ordering: Ordering) {
            Self::store(self, value, ordering);
        }
    }

    /// A slot: its words, one word for the buffer and two for the outbox.
    struct Slot([AtomicU32; 8]);

    const OUTPUTS: u32 = 2;

    impl Slot {
        fn new() -> Self {
            let slot = Self(std::array::from_fn(|_| AtomicU32::new(0)));
            slot.0[5].store(7, Ordering::Relaxed);
            slot
        }

        fn words(&self) -> Words<'_, AtomicU32> {
            let [state, attempts, sent, outbox_len, poison, ..] = &self.0;
            Words { state, attempts, sent, outbox_len, poison }
        }

        /// What a reader does with a message; it dies before step `until`.
        /// Returns how many outputs it has sent.
        fn work(&self, until: u32) -> u32 {
            let (words, mut step, mut sent) = (self.words(), 0, 0);
            let mut alive = || {
                step += 1;
                step <= until
            };
            if alive() {
                words.count_attempt();
            }
            if alive() {
                self.0[6].store(1, Ordering::Relaxed);
                self.0[7].store(1, Ordering::Relaxed);
            }
            if alive() {
                words.begin_sending(OUTPUTS);
            }
            for _ in 0..OUTPUTS {
                sent += u32::from(alive());
                if alive() {
                    words.mark_sent();
                }
            }
            if alive() {
                words.mark_settled();
            }
            if alive() {
                self.0[5].store(0, Ordering::Relaxed);
                words.clear();
            }
            sent
        }
    }

    const STEPS: u32 = 9;

    #[test]
    fn loom_who_looks_on_sees_a_whole_record() {
        loom::model(|| {
            let slot = Arc::new(Slot::new());
            let looking = slot.clone();
            let onlooker = loom::thread::spawn(move || {
                let words = looking.words();
                if words.state() == State::Sending {
                    let record = [3, 6, 7].map(|word| looking.0[word].load(Ordering::Relaxed));
                    // It may be cleared by now, but it is never half of a record.
                    assert!(record[1] == 1 && record[2] == 1, "{record:?}");
                    assert!(record[0] == OUTPUTS || record[0] == 0);
                }
            });
            slot.work(STEPS);
            onlooker.join().expect("it looked on");
        });
    }

    #[test]
    fn loom_a_successor_goes_on_from_every_step() {
        for until in 0..=STEPS {
            loom::model(move || {
                let slot = Arc::new(Slot::new());
                let dying = slot.clone();
                // The lock that a successor gets is free when the owner is gone.
                let owner = loom::thread::spawn(move || dying.work(until));
                let sent = owner.join().expect("it died");
                let words = slot.words();
                let buffer = slot.0[5].load(Ordering::Relaxed);
                let marked = words.sent.load(Ordering::Relaxed);
                match words.state() {
                    State::Free if buffer == 0 => assert_eq!(sent, OUTPUTS),
                    State::Free => assert_eq!(sent, 0, "it is worked on again"),
                    State::Sending => {
                        assert_eq!(words.outbox_len.load(Ordering::Relaxed), OUTPUTS);
                        assert!(marked == sent || marked + 1 == sent, "one may be sent again");
                    }
                    State::Settled => assert_eq!(sent, OUTPUTS),
                }
            });
        }
    }
}
