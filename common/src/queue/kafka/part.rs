//! One partition that is read here: what came, what was handed out, and how
//! far its progress is committed.

use super::gathering::{Fate, Gathering};
use super::mark::Mark;
use super::progress::{GAP_MAX, Progress, Sight};
use super::record::Letter;
use std::collections::VecDeque;

/// Most ranges beyond the prefix where every one must fit in the mark.
const RANGES_MAX: usize = 200;

/// A partition.
#[derive(Debug)]
pub(super) struct Part {
    /// Which of its assignments to this process: receipts of others are void.
    pub(super) epoch: u64,
    pub(super) progress: Progress,
    pub(super) gathering: Gathering,
    /// Messages that were read and not handed out.
    pub(super) waiting: VecDeque<Letter>,
    /// How many are handed out and not settled.
    out: usize,
    /// How many are handed out and not done: a join may keep what is settled.
    unfinished: usize,
    /// What the brokers know: whether somebody works on it; none before they
    /// were told anything.
    said: Option<bool>,
    /// Its first message killed somebody, or stood beside one that did, and is
    /// tried alone now.
    pub(super) probing: bool,
    /// Its first message was tried and killed nobody, and is not done yet:
    /// whoever comes next would try it again, so no other is handed out.
    survived: bool,
    /// Whether they do not know yet that the first message killed nobody.
    careful: bool,
    /// It was asked back, and is to be given up.
    pub(super) leaving: bool,
    pub(super) paused: bool,
    /// Set once parts of joins came: they wait for others behind them.
    joins: bool,
    /// Changes of the progress, and how many of them are committed.
    changes: u64,
    committed: u64,
}

/// What of a partition is being committed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Committing {
    pub(super) partition: i32,
    pub(super) epoch: u64,
    changes: u64,
    takeovers: u32,
    owned: bool,
}

impl Part {
    /// A partition as its owner before left it.
    pub(super) fn new(epoch: u64, prefix: i64, mark: &Mark) -> Self {
        let progress = Progress::taken_over(prefix, mark);
        Self {
            epoch,
            careful: progress.takeovers() > 0,
            progress,
            gathering: Gathering::taken_over(&mark.fired),
            waiting: VecDeque::new(),
            out: 0,
            unfinished: 0,
            said: None,
            probing: false,
            survived: false,
            leaving: false,
            paused: false,
            joins: false,
            changes: 1,
            committed: 0,
        }
    }

    /// Takes in a message that was read. `false`: the partition began anew,
    /// and what is out of it means nothing any more.
    pub(super) fn read(&mut self, letter: Letter) -> bool {
        let prefix = self.progress.prefix();
        let sight = self.progress.saw(letter.offset);
        if self.progress.prefix() != prefix {
            self.changes += 1;
        }
        match sight {
            Sight::Done => {}
            Sight::New => self.waiting.push_back(letter),
            Sight::Restarted => {
                self.waiting.clear();
                self.waiting.push_back(letter);
                self.gathering = Gathering::default();
                (self.probing, self.survived) = (false, false);
                (self.out, self.unfinished) = (0, 0);
            }
        }
        sight != Sight::Restarted
    }

    /// Whether the next message can be handed out. `exact`: nothing that is
    /// done may be forgotten.
    fn is_open(&self, exact: bool) -> bool {
        let Some(first) = self.waiting.front() else { return false };
        if self.said != Some(true) || self.leaving {
            return false;
        }
        if self.progress.takeovers() > 0 {
            return self.out == 0 && !self.survived;
        }
        let near = first.offset - self.progress.prefix() < GAP_MAX;
        let fits = !exact || self.progress.ranges() < RANGES_MAX;
        !self.careful && (self.joins || (near && fits))
    }

    /// How many messages can be handed out, one after the other.
    pub(super) fn ready(&self, exact: bool) -> usize {
        match self.is_open(exact) {
            false => 0,
            true if self.progress.takeovers() > 0 => 1,
            true => self.waiting.len(),
        }
    }

    /// Hands out the next message, and how many died of it.
    pub(super) fn take(&mut self, exact: bool) -> Option<(Letter, u32)> {
        if !self.is_open(exact) {
            return None;
        }
        let letter = self.waiting.pop_front()?;
        self.out += 1;
        self.unfinished += 1;
        Some((letter, self.progress.takeovers()))
    }

    /// Something that was handed out is settled, whatever becomes of its
    /// offset: it killed nobody.
    pub(super) fn came_back(&mut self, fate: &Fate) {
        self.out = self.out.saturating_sub(1);
        if *fate == Fate::Held {
            self.unfinished = self.unfinished.saturating_sub(1);
        }
        if self.progress.takeovers() > 0 {
            self.probing = false;
            self.survived = true;
        }
        // What a join keeps is done when others have come from behind it.
        if *fate == Fate::Held {
            self.absolve_survivor();
        }
    }

    /// The first message that was tried killed nobody, and no other need wait
    /// for it.
    fn absolve_survivor(&mut self) {
        if std::mem::take(&mut self.survived) {
            self.progress.absolve();
            self.careful = true;
            self.changes += 1;
        }
    }

    /// Whether something is at work that would be done again by a next owner.
    pub(super) fn is_at_work(&self) -> bool {
        self.unfinished > 0
    }

    /// Parts of joins come through here.
    pub(super) fn has_joins(&mut self) {
        self.joins = true;
    }

    /// Offsets that are done with a message.
    pub(super) fn offsets(&self, offset: i64, fate: &Fate) -> Vec<i64> {
        match fate {
            Fate::Held => Vec::new(),
            Fate::Free => vec![offset],
            Fate::Ends { key, .. } => {
                let mut offsets = self.gathering.held(key);
                offsets.push(offset);
                offsets
            }
        }
    }

    /// A message is done. Returns the number of the change, for whoever waits
    /// until it is committed.
    pub(super) fn finish(&mut self, offset: i64, fate: &Fate) -> u64 {
        for offset in self.offsets(offset, fate) {
            self.progress.finish(offset);
        }
        self.absolve_survivor();
        if let Fate::Ends { key, claim } = fate {
            self.gathering.end(key, claim);
        }
        if *fate != Fate::Held {
            self.changes += 1;
            self.unfinished = self.unfinished.saturating_sub(1);
        }
        self.changes
    }

    /// Offsets that no join waits for any more are done.
    pub(super) fn let_go(&mut self, now_us: u64) {
        for offset in self.gathering.let_go(now_us) {
            self.progress.finish(offset);
            self.changes += 1;
        }
    }

    /// Whether all changes up to this one are committed.
    pub(super) fn is_committed(&self, change: u64) -> bool {
        self.committed >= change
    }

    /// Whether something is not committed.
    pub(super) fn is_dirty(&self) -> bool {
        self.changes > self.committed || self.said != Some(self.is_claimed())
    }

    /// Whether the brokers are to know that somebody works on it: a message
    /// that may kill is claimed only when it is tried, so that what stands
    /// beside it is not blamed.
    pub(super) fn is_claimed(&self) -> bool {
        self.progress.takeovers() == 0 || self.probing
    }

    /// How many died over its first message, if that is to be tried.
    pub(super) fn suspicion(&self) -> Option<u32> {
        let takeovers = self.progress.takeovers();
        let is_idle = self.out == 0 && !self.probing && !self.survived && !self.leaving;
        (takeovers > 0 && is_idle && !self.waiting.is_empty()).then_some(takeovers)
    }

    /// Whether its first message is being tried alone.
    pub(super) fn is_on_trial(&self) -> bool {
        self.probing
    }

    /// Whether messages wait for a commit.
    pub(super) fn is_pressing(&self) -> bool {
        self.said != Some(self.is_claimed()) || (self.careful && self.progress.takeovers() == 0)
    }

    /// What is told to the next owner, beside the offset.
    pub(super) fn mark(&self, owned: bool) -> Mark {
        Mark { fired: self.gathering.fired(std::iter::empty()), ..self.progress.mark(owned) }
    }

    /// What is committed now.
    pub(super) fn committing(&self, partition: i32, owned: bool) -> Committing {
        Committing {
            partition,
            epoch: self.epoch,
            changes: self.changes,
            takeovers: self.progress.takeovers(),
            owned,
        }
    }

    /// It is committed.
    pub(super) fn committed(&mut self, what: &Committing) {
        self.committed = self.committed.max(what.changes);
        self.said = Some(what.owned);
        if what.takeovers == 0 {
            self.careful = false;
        }
    }

    /// A message is done, and a transaction has committed it already.
    pub(super) fn finish_committed(&mut self, offset: i64, fate: &Fate) {
        let before = self.changes;
        self.committed += self.finish(offset, fate) - before;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;

    /// A partition with messages 0 to 2, whose owner died.
    fn taken_over() -> Part {
        let mut part = Part::new(1, 0, &Mark { owned: true, ..Mark::default() });
        for offset in 0..3 {
            let letter = Letter { partition: 0, offset, event: Event::default(), fault: None };
            assert!(part.read(letter));
        }
        part
    }

    /// Commits as it is.
    fn commit(part: &mut Part) -> Mark {
        let owned = part.is_claimed();
        let what = part.committing(0, owned);
        part.committed(&what);
        part.mark(owned)
    }

    /// Tries the first message, which comes back.
    fn try_first(part: &mut Part, fate: &Fate) {
        assert_eq!((part.ready(true), part.suspicion()), (0, Some(1)));
        part.probing = true;
        commit(part);
        let (letter, attempts) = part.take(true).expect("it is tried");
        assert_eq!((letter.offset, attempts, part.ready(true)), (0, 1, 0));
        part.came_back(fate);
    }

    #[test]
    fn what_survived_is_done_before_another_is_tried() {
        let mut part = taken_over();
        try_first(&mut part, &Fate::Free);
        // Whoever has it next tries this one again, and blames it for nothing.
        let mark = commit(&mut part);
        assert_eq!((mark.owned, mark.takeovers), (false, 1));
        assert_eq!((part.ready(true), part.suspicion()), (0, None));
        part.finish(0, &Fate::Free);
        assert_eq!(part.ready(true), 0, "they do not know of it");
        let mark = commit(&mut part);
        assert_eq!((mark.owned, mark.takeovers, part.progress.prefix()), (true, 0, 1));
        assert_eq!(part.ready(true), 2);
    }

    #[test]
    fn what_survived_is_done_with_its_transaction() {
        let mut part = taken_over();
        try_first(&mut part, &Fate::Free);
        let what = part.committing(0, part.is_claimed());
        part.committed(&what);
        part.finish_committed(0, &Fate::Free);
        assert!(part.is_dirty() && part.is_pressing() && part.ready(true) == 0);
        commit(&mut part);
        assert_eq!(part.ready(true), 2);
    }

    #[test]
    fn what_a_join_keeps_holds_up_nothing() {
        let mut part = taken_over();
        part.has_joins();
        try_first(&mut part, &Fate::Held);
        assert_eq!(commit(&mut part).takeovers, 0);
        assert_eq!(part.ready(true), 2);
    }
}
