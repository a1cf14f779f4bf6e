//! How far the messages of one partition are done. Kafka keeps one number per
//! partition: everything before it is done. Messages here are done in any
//! order, so there is also what is done beyond it; a [`Mark`] beside the
//! number tells it to the next owner. Pure.

use super::mark::Mark;
use std::collections::BTreeMap;

/// Most offsets beyond the first that is not done at which a message may still
/// be handed out.
pub const GAP_MAX: i64 = 10_000;

/// Progress of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    prefix: i64,
    /// What is done beyond the prefix: begin and end of ranges that neither
    /// touch each other nor the prefix.
    done: BTreeMap<i64, i64>,
    takeovers: u32,
    /// The offset after the last one that was seen.
    next: i64,
}

/// What a message is that was just read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// To be worked on.
    New,
    /// Done already.
    Done,
    /// It was before: the partition begins anew, its topic was made again.
    Restarted,
}

impl Progress {
    /// A partition that nobody has worked on.
    pub fn new(prefix: i64) -> Self {
        Self { prefix, done: BTreeMap::new(), takeovers: 0, next: prefix }
    }

    /// A partition as its owner before left it: one that was still at work
    /// when it went has died.
    pub fn taken_over(prefix: i64, mark: &Mark) -> Self {
        let takeovers = mark.takeovers.saturating_add(u32::from(mark.owned));
        let mut progress = Self { takeovers, ..Self::new(prefix) };
        let mut at = prefix;
        for (gap, len) in &mark.ranges {
            let (Ok(gap), Ok(len)) = (i64::try_from(*gap), i64::try_from(*len)) else { break };
            let Some(begin) = at.checked_add(gap) else { break };
            let Some(end) = begin.checked_add(len) else { break };
            progress.finish_range(begin, end);
            at = end;
        }
        progress
    }

    /// The first offset that is not done.
    pub fn prefix(&self) -> i64 {
        self.prefix
    }

    /// How often in a row a worker died without finishing the first message.
    pub fn takeovers(&self) -> u32 {
        self.takeovers
    }

    /// How many ranges are done beyond the prefix.
    pub fn ranges(&self) -> usize {
        self.done.len()
    }

    /// How many messages are done beyond the prefix.
    pub fn done_beyond(&self) -> u64 {
        self.done.iter().map(|(begin, end)| (end - begin).unsigned_abs()).sum()
    }

    /// Whether an offset is done.
    pub fn is_done(&self, offset: i64) -> bool {
        let before = self.done.range(..=offset).next_back();
        offset < self.prefix || before.is_some_and(|(_, end)| offset < *end)
    }

    /// A message was read. Offsets that were passed over hold no message: a
    /// transaction's end, or what was deleted meanwhile.
    pub fn saw(&mut self, offset: i64) -> Sight {
        if offset < self.next {
            // An offset comes twice only where the log began anew.
            if offset >= self.prefix {
                return if self.is_done(offset) { Sight::Done } else { Sight::New };
            }
            *self = Self::new(offset);
            self.next = offset + 1;
            return Sight::Restarted;
        }
        self.finish_range(self.next, offset);
        self.next = offset + 1;
        if self.is_done(offset) { Sight::Done } else { Sight::New }
    }

    /// A message is done. Where it was the first, nobody has died of the one
    /// that is first now.
    pub fn finish(&mut self, offset: i64) {
        let prefix = self.prefix;
        self.finish_range(offset, offset.saturating_add(1));
        if self.prefix != prefix {
            self.takeovers = 0;
        }
    }

    /// The first message was worked on and its worker lives: whatever killed
    /// others is not it.
    pub fn absolve(&mut self) {
        self.takeovers = 0;
    }

    /// All of `begin..end` is done.
    pub fn finish_range(&mut self, begin: i64, end: i64) {
        let (mut begin, mut end) = (begin.max(self.prefix), end);
        if begin >= end {
            return;
        }
        if let Some((first, last)) = self.done.range(..=begin).next_back()
            && *last >= begin
        {
            begin = *first;
            end = end.max(*last);
        }
        while let Some((&first, &last)) = self.done.range(begin..=end).next() {
            end = end.max(last);
            self.done.remove(&first);
        }
        if begin == self.prefix {
            self.prefix = end;
        } else {
            self.done.insert(begin, end);
        }
    }

    /// What is committed beside the prefix.
    pub fn mark(&self, owned: bool) -> Mark {
        let mut at = self.prefix;
        let mut ranges = Vec::with_capacity(self.done.len());
        for (begin, end) in &self.done {
            ranges.push(((begin - at).unsigned_abs(), (end - begin).unsigned_abs()));
            at = *end;
        }
        Mark { owned, takeovers: self.takeovers, ranges, fired: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_prefix_follows_what_is_done() {
        let mut progress = Progress::new(10);
        progress.finish(12);
        progress.finish(11);
        assert_eq!((progress.prefix(), progress.ranges()), (10, 1));
        assert_eq!(progress.mark(true).ranges, [(1, 2)]);
        progress.finish(10);
        assert_eq!((progress.prefix(), progress.ranges()), (13, 0));
        progress.finish(5);
        assert_eq!(progress.prefix(), 13);
    }

    #[test]
    fn what_is_no_message_is_done() {
        let mut progress = Progress::new(0);
        assert_eq!(progress.saw(2), Sight::New);
        assert_eq!(progress.prefix(), 2);
        progress.finish(2);
        assert_eq!(progress.saw(5), Sight::New);
        assert_eq!(progress.prefix(), 5);
        assert_eq!(progress.saw(0), Sight::Restarted);
        assert_eq!(progress.prefix(), 0);
    }

    #[test]
    fn the_dead_are_counted() {
        let mut progress = Progress::taken_over(7, &Progress::new(7).mark(true));
        assert_eq!(progress.takeovers(), 1);
        let again = Progress::taken_over(7, &progress.mark(true));
        assert_eq!(again.takeovers(), 2);
        assert_eq!(Progress::taken_over(7, &again.mark(false)).takeovers(), 2);
        let mut done = again.clone();
        done.finish(9);
        assert_eq!(done.takeovers(), 2, "it is not the first that is done");
        done.finish(7);
        assert_eq!(done.takeovers(), 0);
        // The end of a transaction stands before the one that is suspected.
        let mut seen = again;
        assert_eq!((seen.saw(8), seen.takeovers()), (Sight::New, 2));
        progress.absolve();
        assert_eq!(Progress::taken_over(7, &progress.mark(false)).takeovers(), 0);
    }

    proptest! {
        #[test]
        fn is_a_set_of_offsets(finished in prop::collection::vec(0_i64..200, 0..150)) {
            let mut progress = Progress::new(0);
            let mut plain = BTreeSet::new();
            for offset in finished {
                progress.finish(offset);
                plain.insert(offset);
                let first = (0..).find(|offset| !plain.contains(offset)).unwrap_or_default();
                prop_assert_eq!(progress.prefix(), first);
            }
            let text = progress.mark(false).print();
            let next = Progress::taken_over(progress.prefix(), &Mark::parse(&text));
            for offset in 0..200 {
                prop_assert_eq!(progress.is_done(offset), plain.contains(&offset));
                prop_assert_eq!(next.is_done(offset), plain.contains(&offset));
            }
            let beyond = plain.range(progress.prefix()..).count() as u64;
            prop_assert_eq!(progress.done_beyond(), beyond);
        }
    }
}
