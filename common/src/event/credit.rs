//! Credit: which share of an invocation a message stands for.
//!
//! A share is a dyadic interval of [0, 1), written as a bit string: the empty
//! string is the whole, and appending 0 or 1 takes a half. Strings grow as
//! long as they must, so no number of splits exhausts them (a 64-bit counter
//! is used up after 64 splits of a loop). What has ended is the *union* of
//! the shares that came back, so a share that comes twice changes nothing.

use super::varint::{FrameError, Reader, put_bytes, put_number};

/// One dyadic interval, as the bits of its path from the whole.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Interval {
    /// Bits, most significant first; unused bits of the last byte are zero.
    /// This field first makes the derived order that of the intervals' left
    /// ends, an enclosing interval before what it encloses.
    bits: Vec<u8>,
    len: u32,
}

impl Interval {
    /// The whole of [0, 1).
    pub fn whole() -> Self {
        Self::default()
    }

    /// The lower (`false`) or upper (`true`) half.
    #[must_use]
    pub fn half(&self, upper: bool) -> Self {
        let mut half = self.clone();
        if half.len.is_multiple_of(8) {
            half.bits.push(0);
        }
        if upper {
            let last = half.bits.len() - 1;
            half.bits[last] |= 0x80 >> (half.len % 8);
        }
        half.len += 1;
        half
    }

    /// The interval this one is a half of; the whole has none.
    fn parent(&self) -> Option<Self> {
        let len = self.len.checked_sub(1)?;
        let mut bits = self.bits.clone();
        bits[(len / 8) as usize] &= !(0x80 >> (len % 8));
        bits.truncate(len.div_ceil(8) as usize);
        Some(Self { bits, len })
    }

    fn encloses(&self, other: &Self) -> bool {
        if self.len > other.len {
            return false;
        }
        let (whole_bytes, rest_bits) = ((self.len / 8) as usize, self.len % 8);
        let mask = !(0xFF_u8.checked_shr(rest_bits).unwrap_or(0));
        self.bits[..whole_bytes] == other.bits[..whole_bytes]
            && (rest_bits == 0 || (self.bits[whole_bytes] ^ other.bits[whole_bytes]) & mask == 0)
    }
}

/// A set of points of [0, 1): disjoint intervals in order, halves of the same
/// interval always merged.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Credit {
    intervals: Vec<Interval>,
}

impl Credit {
    /// All of an invocation.
    pub fn whole() -> Self {
        Self { intervals: vec![Interval::whole()] }
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.intervals.is_empty()
    }

    /// Whether this is the whole: everything came back.
    pub fn is_whole(&self) -> bool {
        self.intervals.first().is_some_and(|first| first.len == 0)
    }

    /// Adds the points of one interval.
    pub fn insert(&mut self, mut interval: Interval) {
        loop {
            let at = self.intervals.partition_point(|held| held < &interval);
            let enclosed = at.checked_sub(1).is_some_and(|i| self.intervals[i].encloses(&interval));
            if enclosed {
                return;
            }
            let inner =
                self.intervals[at..].iter().take_while(|held| interval.encloses(held)).count();
            self.intervals.splice(at..at + inner, [interval.clone()]);
            let Some(parent) = interval.parent() else { return };
            let sibling = if parent.half(false) == interval { at + 1 } else { at.wrapping_sub(1) };
            let merges = self
                .intervals
                .get(sibling)
                .is_some_and(|held| held.len == interval.len && parent.encloses(held));
            if !merges {
                return;
            }
            interval = parent;
        }
    }

    /// Adds all of another set.
    pub fn unite(&mut self, other: &Self) {
        for interval in &other.intervals {
            self.insert(interval.clone());
        }
    }

    /// What this set holds and `other` does not.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        let mut rest = Self::default();
        for interval in &self.intervals {
            other.cut_from(interval, &mut rest);
        }
        rest
    }

    /// Adds to `rest` the points of `interval` that are not in this set.
    fn cut_from(&self, interval: &Interval, rest: &mut Self) {
        let at = self.intervals.partition_point(|held| held < interval);
        let enclosed = at.checked_sub(1).is_some_and(|i| self.intervals[i].encloses(interval));
        let first = self.intervals.get(at);
        if enclosed || first == Some(interval) {
            return;
        }
        if !first.is_some_and(|held| interval.encloses(held)) {
            rest.insert(interval.clone());
            return;
        }
        self.cut_from(&interval.half(false), rest);
        self.cut_from(&interval.half(true), rest);
    }

    /// How much of the whole this is, from 0 to 1, as far as a float can tell.
    pub fn size(&self) -> f64 {
        self.intervals.iter().map(|interval| f64::from(interval.len).exp2().recip()).sum()
    }

    /// The first of its intervals: what parts of a split are ordered by.
    pub fn leftmost(&self) -> Option<&Interval> {
        self.intervals.first()
    }

    /// Cuts the set into `ways` parts (at least one) that are disjoint, none
    /// empty, and together the set: the last interval is halved as a balanced
    /// tree, what else is held goes with the first part, so that the parts
    /// come in the order of their first intervals.
    pub fn split(self, ways: usize) -> Vec<Self> {
        if ways <= 1 || self.intervals.is_empty() {
            let mut parts = vec![Self::default(); ways.saturating_sub(1)];
            parts.insert(0, self);
            return parts;
        }
        let mut others = self.intervals;
        let Some(last) = others.pop() else { return vec![Self::default(); ways] };
        let mut leaves = Vec::with_capacity(ways);
        halve(&last, ways, &mut leaves);
        let mut parts: Vec<Self> =
            leaves.into_iter().map(|leaf| Self { intervals: vec![leaf] }).collect();
        for other in others {
            parts[0].insert(other);
        }
        parts
    }

    /// Its intervals as paths from the whole: a text of `0` and `1` each.
    pub fn paths(&self) -> Vec<String> {
        let bit = |interval: &Interval, i: u32| {
            let byte = interval.bits[(i / 8) as usize];
            if byte & (0x80 >> (i % 8)) == 0 { '0' } else { '1' }
        };
        let path = |interval: &Interval| (0..interval.len).map(|i| bit(interval, i)).collect();
        self.intervals.iter().map(path).collect()
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_number(out, self.intervals.len() as u64);
        for interval in &self.intervals {
            put_number(out, u64::from(interval.len));
            put_bytes(out, &interval.bits);
        }
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, FrameError> {
        let mut credit = Self::default();
        for _ in 0..reader.number()? {
            let len = u32::try_from(reader.number()?).map_err(|_| FrameError::Short)?;
            let bits = reader.bytes()?.to_vec();
            let unused = (8 - len % 8) % 8;
            let padded = bits.last().is_some_and(|last| last & ((1_u16 << unused) - 1) as u8 != 0);
            if bits.len() != len.div_ceil(8) as usize || padded {
                return Err(FrameError::Damaged("an interval's length"));
            }
            credit.insert(Interval { bits, len });
        }
        Ok(credit)
    }
}

fn halve(interval: &Interval, ways: usize, leaves: &mut Vec<Interval>) {
    if ways == 1 {
        leaves.push(interval.clone());
        return;
    }
    halve(&interval.half(false), ways.div_ceil(2), leaves);
    halve(&interval.half(true), ways / 2, leaves);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn path(bits: &[bool]) -> Interval {
        bits.iter().fold(Interval::whole(), |interval, &bit| interval.half(bit))
    }

    /// The set as its 2^10 smallest cells, computed the slow way.
    fn cells(credit: &Credit) -> Vec<bool> {
        (0..1024_u32)
            .map(|cell| {
                let leaf = path(&(0..10).map(|i| cell >> (9 - i) & 1 == 1).collect::<Vec<_>>());
                credit.intervals.iter().any(|held| held.encloses(&leaf))
            })
            .collect()
    }

    proptest! {
        #[test]
        fn union_is_the_union_of_points(paths in prop::collection::vec(
            prop::collection::vec(any::<bool>(), 0..10), 0..24)) {
            let mut credit = Credit::default();
            let mut expected = vec![false; 1024];
            for bits in &paths {
                let single = Credit { intervals: vec![path(bits)] };
                for (cell, held) in expected.iter_mut().zip(cells(&single)) { *cell |= held; }
                credit.insert(path(bits));
                credit.insert(path(bits));
            }
            prop_assert_eq!(&cells(&credit), &expected);
            prop_assert_eq!(credit.is_whole(), expected.iter().all(|&c| c));
            let sorted = credit.intervals.windows(2).all(|w| w[0] < w[1] && !w[0].encloses(&w[1]));
            prop_assert!(sorted);
        }

        #[test]
        fn split_parts_are_disjoint_and_unite_to_the_set(
            ways in 1_usize..40, seed in prop::collection::vec(any::<bool>(), 0..12)) {
            let mut credit = Credit::whole();
            for &second in &seed {
                let mut parts = credit.split(2);
                credit = parts.swap_remove(usize::from(second));
            }
            let parts = credit.clone().split(ways);
            prop_assert_eq!(parts.len(), ways);
            let mut united = Credit::default();
            for part in &parts {
                prop_assert!(!part.is_empty());
                let before = united.clone();
                united.unite(part);
                prop_assert_ne!(&before, &united, "parts overlap");
            }
            prop_assert_eq!(united, credit);
            let in_order = parts.windows(2).all(|w| w[0].leftmost() < w[1].leftmost());
            prop_assert!(in_order);
        }

        #[test]
        fn without_is_the_difference_of_points(
            left in prop::collection::vec(prop::collection::vec(any::<bool>(), 0..10), 0..12),
            right in prop::collection::vec(prop::collection::vec(any::<bool>(), 0..10), 0..12)) {
            let (mut a, mut b) = (Credit::default(), Credit::default());
            left.iter().for_each(|bits| a.insert(path(bits)));
            right.iter().for_each(|bits| b.insert(path(bits)));
            let expected: Vec<bool> =
                cells(&a).iter().zip(cells(&b)).map(|(a, b)| *a && !b).collect();
            prop_assert_eq!(cells(&a.without(&b)), expected);
        }

        #[test]
        fn encoding_is_lossless(paths in prop::collection::vec(
            prop::collection::vec(any::<bool>(), 0..70), 0..8)) {
            let mut credit = Credit::default();
            for bits in &paths { credit.insert(path(bits)); }
            let mut bytes = Vec::new();
            credit.encode(&mut bytes);
            prop_assert_eq!(Credit::decode(&mut Reader::new(&bytes)), Ok(credit));
        }
    }

    #[test]
    fn a_long_loop_keeps_splitting() {
        let mut credit = Credit::whole();
        let mut returned = Credit::default();
        for _ in 0..1_000 {
            let mut parts = credit.split(2);
            returned.unite(&parts[1]);
            credit = parts.swap_remove(0);
            assert!(!returned.is_whole());
        }
        returned.unite(&credit);
        assert!(returned.is_whole());
    }
}
