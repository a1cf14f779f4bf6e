//! The chain as a graph of functions.

use super::model::{Chain, Target};
use std::collections::BTreeSet;

/// Successors of each function.
pub(super) struct Graph {
    next: Vec<BTreeSet<usize>>,
}

impl Graph {
    /// The edges of the rules for which `keep` is true.
    pub(super) fn of(chain: &Chain, keep: impl Fn(usize) -> bool) -> Self {
        let mut next = vec![BTreeSet::new(); chain.functions.len()];
        for (_, rule) in chain.rules.iter().enumerate().filter(|(index, _)| keep(*index)) {
            for &from in &rule.from {
                next[from].extend(rule.to.iter().filter_map(|target| match target {
                    Target::Function(to) => Some(*to),
                    Target::Result => None,
                }));
            }
        }
        Self { next }
    }

    /// Everything that can be reached from `from`, those themselves included.
    pub(super) fn reach(&self, from: &[usize]) -> BTreeSet<usize> {
        let mut reached = BTreeSet::new();
        let mut waiting = from.to_vec();
        while let Some(function) = waiting.pop() {
            if reached.insert(function) {
                waiting.extend(&self.next[function]);
            }
        }
        reached
    }

    /// A cycle, as the functions along it, if there is one.
    pub(super) fn cycle(&self) -> Option<Vec<usize>> {
        let mut done = BTreeSet::new();
        (0..self.next.len()).find_map(|start| self.visit(start, &mut Vec::new(), &mut done))
    }

    fn visit(
        &self,
        at: usize,
        path: &mut Vec<usize>,
        done: &mut BTreeSet<usize>,
    ) -> Option<Vec<usize>> {
        if let Some(first) = path.iter().position(|&seen| seen == at) {
            return Some(path[first..].to_vec());
        }
        if done.contains(&at) {
            return None;
        }
        path.push(at);
        let found = self.next[at].iter().find_map(|&next| self.visit(next, path, done));
        path.pop();
        done.insert(at);
        found
    }

    /// Functions that send to `to`.
    pub(super) fn sources(&self, to: usize) -> usize {
        self.next.iter().filter(|next| next.contains(&to)).count()
    }
}
