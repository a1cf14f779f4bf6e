//! Which parts of a body are folded.

use std::collections::BTreeSet;

/// How deep a body is unfolded at first.
const DEPTH: usize = 2;

/// Objects and arrays are counted in the order in which they begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fold {
    /// What is nested deeper is folded.
    depth: usize,
    /// Those that somebody folded or unfolded against that.
    turned: BTreeSet<usize>,
}

impl Default for Fold {
    fn default() -> Self {
        Self::at(DEPTH)
    }
}

impl Fold {
    /// All deeper than that is folded, and nothing else.
    pub(super) fn at(depth: usize) -> Self {
        Self { depth, turned: BTreeSet::new() }
    }

    /// Whether the part of this number is folded; the outermost has level 1.
    pub(super) fn is_folded(&self, part: usize, level: usize) -> bool {
        (level > self.depth) != self.turned.contains(&part)
    }

    /// Folds a part that was unfolded, and the other way round.
    pub(super) fn turn(&mut self, part: usize) {
        if !self.turned.remove(&part) {
            self.turned.insert(part);
        }
    }

    /// The whole body unfolded by one level more, or less.
    pub(super) fn deeper(&mut self, by: isize) {
        *self = Self::at(self.depth.saturating_add_signed(by));
    }

    /// What was turned was of another body.
    pub(super) fn forget(&mut self) {
        self.turned.clear();
    }
}
