//! How many members of a group one process should be: as many as its rate
//! deserves. Partitions go to members in equal shares, whatever these are
//! able to do, so a quick process takes several shares. Pure.
//!
//! Who has nothing to do while messages wait elsewhere takes more; who is
//! behind while nothing waits elsewhere, and has several shares, gives some
//! back. Nobody talks to anybody: how much waits where, and how fast it gets
//! less, is what a group commits anyway.

use std::collections::{BTreeMap, BTreeSet};

/// Most members that one process has in a group.
pub const MEMBERS_MAX: usize = 8;
/// From this part of the time on that it waited for messages a process has
/// nothing to do.
pub const HUNGRY: f64 = 0.25;
/// What a process can do shows while it has enough to do, for so long.
const BUSY_S: f64 = 0.2;
/// How much larger a process gets at once.
const GROWTH_MAX: f64 = 4.0;
/// How much must wait elsewhere, in seconds of work, to be worth a rebalance.
const WORTH_S: f64 = 2.0;
/// With less than this a process has nothing that others could take.
const SPARE_S: f64 = 0.5;
/// How many looks in a row must show a process behind until it gives a share
/// back: who takes more goes first.
const LOOKS_BEHIND: u32 = 3;

/// How far a group is with each partition: messages that are done (from any
/// beginning), and messages that are not.
pub type Tally = BTreeMap<i32, (i64, u64)>;

/// Some partitions of a topic, over some time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Load {
    /// How many partitions.
    pub partitions: usize,
    /// Messages that are not done.
    pub waiting: u64,
    /// Messages that get done, in one second.
    pub rate: f64,
}

impl Load {
    /// The partitions that `choose` takes, between two tallies.
    pub fn between(before: &Tally, now: &Tally, s: f64, choose: impl Fn(i32) -> bool) -> Self {
        let mut load = Self { partitions: 0, waiting: 0, rate: 0.0 };
        for (partition, (done, waiting)) in now.iter().filter(|(partition, _)| choose(**partition))
        {
            let done_before = before.get(partition).map_or(*done, |(done, _)| *done);
            let is_same = before.get(partition) == Some(&(*done, *waiting));
            load.partitions += 1;
            // One that stays is at work, or the end of a transaction.
            load.waiting += if is_same && *waiting <= 1 { 0 } else { *waiting };
            load.rate += (done - done_before).max(0) as f64 / s;
        }
        load
    }

    /// Until all that waits is done, in seconds.
    fn wait_s(&self) -> f64 {
        // Few that do not move wait for something else.
        let is_stuck = self.rate == 0.0 && self.waiting < 2 * self.partitions as u64;
        match self.waiting {
            0 => 0.0,
            _ if is_stuck => 0.0,
            waiting => waiting as f64 / self.rate,
        }
    }
}

/// What a process sees when it looks.
#[derive(Debug, Clone, Copy)]
pub struct View {
    /// How many members it is.
    pub members: usize,
    /// Its partitions.
    pub mine: Load,
    /// The others.
    pub others: Load,
    /// The part of the time in which it had room for more and there was none.
    pub hungry: f64,
}

/// What a process remembers between looks.
#[derive(Debug, Default)]
pub struct Balance {
    /// What it finishes in a second while it has enough to do.
    able: Option<f64>,
    looks_behind: u32,
}

impl Balance {
    /// Remembers what it is able to do, from what it finished in some time.
    pub fn saw(&mut self, finished: u64, s: f64, hungry: f64) {
        let busy_s = s * (1.0 - hungry);
        if busy_s >= BUSY_S && finished > 0 {
            let rate = finished as f64 / busy_s;
            self.able = Some(self.able.map_or(rate, |able| (able + rate) / 2.0));
        }
    }

    /// How many members it should be now.
    pub fn decide(&mut self, view: &View) -> usize {
        if view.hungry >= HUNGRY {
            self.looks_behind = 0;
            return match view.others.wait_s() >= WORTH_S {
                true => self.more(view),
                false => view.members,
            };
        }
        let is_behind = view.mine.wait_s() >= WORTH_S && view.others.wait_s() < SPARE_S;
        self.looks_behind = if is_behind { self.looks_behind + 1 } else { 0 };
        if self.looks_behind < LOOKS_BEHIND {
            return view.members;
        }
        self.looks_behind = 0;
        (view.members / 2).max(1)
    }

    /// The members with which both would be done at the same time, and at
    /// least one more.
    fn more(&self, view: &View) -> usize {
        let Load { partitions, rate, .. } = view.others;
        if view.mine.partitions == 0 {
            // There are not enough for those that there are.
            return view.members;
        }
        let others = view.members as f64 * partitions as f64 / view.mine.partitions as f64;
        let deserved = match self.able {
            Some(able) if rate > 0.0 => (others * able / rate).round(),
            _ => 2.0 * view.members as f64,
        };
        let deserved = deserved.min(GROWTH_MAX * view.members as f64);
        let partitions = view.mine.partitions + view.others.partitions;
        let most = MEMBERS_MAX.min(partitions).max(view.members);
        (deserved as usize).max(view.members + 1).min(most)
    }
}

/// What a process sees of a topic between two tallies.
pub fn view(
    (before, now): (&Tally, &Tally),
    s: f64,
    mine: &BTreeSet<i32>,
    members: usize,
    hungry: f64,
) -> View {
    let is_mine = |partition| mine.contains(&partition);
    View {
        members,
        mine: Load::between(before, now, s, is_mine),
        others: Load::between(before, now, s, |partition| !is_mine(partition)),
        hungry,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARTITIONS: i32 = 64;

    /// A process that is able to do so much in a second.
    struct Host {
        able: f64,
        members: usize,
        balance: Balance,
        hungry: f64,
        finished: u64,
    }

    /// A group at work: a second is one step.
    struct Group {
        hosts: Vec<Host>,
        tally: Tally,
    }

    impl Group {
        fn new(able: &[f64], each: u64) -> Self {
            let host = |able: &f64| Host {
                able: *able,
                members: 1,
                balance: Balance::default(),
                hungry: 0.0,
                finished: 0,
            };
            let tally = (0..PARTITIONS).map(|partition| (partition, (0, each))).collect();
            Self { hosts: able.iter().map(host).collect(), tally }
        }

        /// Equal shares for all members, as the group's protocol has it.
        fn owners(&self) -> Vec<usize> {
            let members: Vec<usize> = (self.hosts.iter().enumerate())
                .flat_map(|(index, host)| std::iter::repeat_n(index, host.members))
                .collect();
            (0..PARTITIONS as usize).map(|partition| members[partition % members.len()]).collect()
        }

        fn step(&mut self, owners: &[usize]) {
            for (index, host) in self.hosts.iter_mut().enumerate() {
                let mut left = host.able as u64;
                for (partition, (done, waiting)) in &mut self.tally {
                    if owners[*partition as usize] == index {
                        let now = left.min(*waiting);
                        *done += now as i64;
                        *waiting -= now;
                        left -= now;
                    }
                }
                host.finished = host.able as u64 - left;
                host.hungry = left as f64 / host.able;
            }
        }

        /// How many seconds they need, at most `max`.
        fn run(&mut self, balanced: bool, max: usize) -> usize {
            for second in 0..max {
                if self.tally.values().all(|(_, waiting)| *waiting == 0) {
                    return second;
                }
                let (owners, before) = (self.owners(), self.tally.clone());
                self.step(&owners);
                if !balanced {
                    continue;
                }
                for (index, host) in self.hosts.iter_mut().enumerate() {
                    let mine = (0..PARTITIONS).filter(|p| owners[*p as usize] == index).collect();
                    host.balance.saw(host.finished, 1.0, host.hungry);
                    let tallies = (&before, &self.tally);
                    let seen = view(tallies, 1.0, &mine, host.members, host.hungry);
                    host.members = host.balance.decide(&seen);
                }
            }
            max
        }
    }

    #[test]
    fn a_quick_process_gets_more_than_its_share() {
        for able in [[400.0, 100.0], [1_000.0, 50.0], [150.0, 100.0]] {
            let fixed = Group::new(&able, 100).run(false, 1_000);
            let balanced = Group::new(&able, 100).run(true, 1_000);
            let ideal = 6_400.0 / (able[0] + able[1]);
            assert!(balanced < fixed, "{able:?}: {balanced} s, {fixed} s as it was");
            assert!(balanced as f64 <= 1.6 * ideal + 4.0, "{able:?}: {balanced} s, ideal {ideal}");
        }
    }

    #[test]
    fn equal_processes_stay_as_they_are() {
        let mut group = Group::new(&[100.0, 100.0, 100.0], 100);
        group.run(true, 1_000);
        assert!(group.hosts.iter().all(|host| host.members <= 2));
    }

    #[test]
    fn who_falls_behind_gives_back() {
        let load = |partitions, waiting, rate| Load { partitions, waiting, rate };
        let (mine, others) = (load(56, 1_000, 10.0), load(8, 0, 100.0));
        let mut balance = Balance::default();
        let mut view = View { members: 8, mine, others, hungry: 0.0 };
        let mut last = 8;
        for _ in 0..9 {
            last = balance.decide(&view);
            view.members = last;
        }
        assert_eq!(last, 1);
    }

    #[test]
    fn nothing_changes_without_a_gain() {
        let load = |partitions, waiting, rate| Load { partitions, waiting, rate };
        let mut balance = Balance::default();
        // Nothing waits elsewhere; little waits; there are too few partitions.
        let (idle, little) = (load(8, 0, 0.0), load(8, 10, 100.0));
        for (mine, others) in [(idle, idle), (idle, little), (load(0, 0, 0.0), load(2, 99, 1.0))] {
            let view = View { members: 3, mine, others, hungry: 1.0 };
            assert_eq!(balance.decide(&view), 3);
        }
        let stuck = View { members: 8, mine: idle, others: load(8, 50, 0.0), hungry: 1.0 };
        assert_eq!(balance.decide(&stuck), MEMBERS_MAX);
        assert_eq!(balance.decide(&View { members: 3, ..stuck }), 6);
        let (one, others) = (load(1, 0, 0.0), load(1, 50, 1.0));
        let few = View { members: 1, mine: one, others, hungry: 1.0 };
        assert_eq!(balance.decide(&few), 2, "no more than there are partitions");
    }

    #[test]
    fn what_does_not_move_is_not_waited_for() {
        let still = Tally::from([(0, (7, 1)), (1, (3, 1)), (2, (4, 5))]);
        let load = Load::between(&still, &still, 1.0, |_| true);
        assert_eq!(load, Load { partitions: 3, waiting: 5, rate: 0.0 });
        assert_eq!(load.wait_s(), 0.0);
        let moved = Tally::from([(0, (8, 1)), (1, (3, 1)), (2, (4, 5))]);
        assert_eq!(Load::between(&still, &moved, 2.0, |_| true).waiting, 6);
    }
}
