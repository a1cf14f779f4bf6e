//! The entries of a batch by what they have in common: names, and values that
//! are the same in all of them, are said once.

use super::entry;
use super::pack::Words;
use crate::event::Event;
use std::ops::Range;

/// Shapes that an entry is compared to: those that came last.
const COMPARED_MAX: usize = 8;

/// The words of many entries, one after the other.
#[derive(Default)]
pub(super) struct Entries {
    text: Vec<u8>,
    /// Where each word is in the text.
    words: Vec<Range<usize>>,
    entries: Vec<Entry>,
    shapes: Vec<Shape>,
}

struct Entry {
    shape: usize,
    /// Which words are its own.
    words: Range<usize>,
}

/// Entries with the same names in the same order.
struct Shape {
    /// The words of the first of them.
    words: Range<usize>,
    /// Which of them are not the same in all.
    differs: Vec<bool>,
}

impl Entries {
    /// One more.
    ///
    /// # Errors
    /// Its body is in a file that cannot be read.
    pub(super) fn add(&mut self, event: &Event) -> std::io::Result<()> {
        let first = self.words.len();
        entry::write(event, |word| {
            let begin = self.text.len();
            self.text.extend_from_slice(word);
            self.words.push(begin..self.text.len());
        })?;
        let words = first..self.words.len();
        let shape = self.shape_of(&words).unwrap_or_else(|| {
            self.shapes.push(Shape { words: words.clone(), differs: vec![false; words.len()] });
            self.shapes.len() - 1
        });
        self.entries.push(Entry { shape, words });
        Ok(())
    }

    /// The shape that these words fit, with what differs noted.
    fn shape_of(&mut self, words: &Range<usize>) -> Option<usize> {
        let (text, all) = (&self.text, &self.words);
        let same = |a: usize, b: usize| text[all[a].clone()] == text[all[b].clone()];
        let has_names = |shape: &Shape| {
            let mut names = shape.words.clone().zip(words.clone()).step_by(2);
            shape.words.len() == words.len() && names.all(|(a, b)| same(a, b))
        };
        let mut latest = self.shapes.iter().enumerate().rev().take(COMPARED_MAX);
        let index = latest.find(|(_, shape)| has_names(shape))?.0;
        let shape = &mut self.shapes[index];
        for ((a, b), differs) in shape.words.clone().zip(words.clone()).zip(&mut shape.differs) {
            *differs |= !same(a, b);
        }
        Some(index)
    }

    fn word(&self, index: usize) -> &[u8] {
        &self.text[self.words[index].clone()]
    }

    /// All shapes: how many, then for each its words, empty where they differ,
    /// and the places of those, from 1.
    pub(super) fn pack_shapes(&self, into: &mut Words) {
        into.number(self.shapes.len() as u64);
        for shape in &self.shapes {
            into.number(shape.words.len() as u64);
            for (index, differs) in shape.words.clone().zip(&shape.differs) {
                into.bytes(if *differs { b"" } else { self.word(index) });
            }
            let places = || (1u64..).zip(&shape.differs).filter(|(_, differs)| **differs);
            into.number(places().count() as u64);
            places().for_each(|(place, _)| into.number(place));
        }
    }

    /// The shape of each entry, from 1.
    pub(super) fn shapes(&self) -> impl Iterator<Item = u64> {
        self.entries.iter().map(|entry| entry.shape as u64 + 1)
    }

    /// What is an entry's own: one before which so many were added.
    pub(super) fn pack_entry(&self, index: usize, into: &mut Words) {
        let entry = &self.entries[index];
        let own = entry.words.clone().zip(&self.shapes[entry.shape].differs);
        own.filter(|(_, differs)| **differs).for_each(|(index, _)| into.bytes(self.word(index)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Attr, Body};

    fn event(id: &str, body: &str) -> Event {
        Event {
            id: id.to_owned(),
            source: "/s".to_owned(),
            kind: "k".to_owned(),
            body: Some(Body::Inline(body.into())),
            ..Event::default()
        }
    }

    fn packed(events: &[Event]) -> String {
        let mut entries = Entries::default();
        events.iter().for_each(|event| entries.add(event).expect("in memory"));
        let mut words = Words::default();
        entries.pack_shapes(&mut words);
        for (index, shape) in entries.shapes().enumerate() {
            words.number(shape);
            entries.pack_entry(index, &mut words);
        }
        let text = String::from_utf8(words.bytes).expect("text");
        // Each word is its length and itself.
        text.split("\r\n").skip(1).step_by(2).collect::<Vec<_>>().join(" ")
    }

    const NAMES: [&str; 2] = ["ce_specversion 1.0 ce_source /s ce_type k", "data"];

    #[test]
    fn one_alone_is_all_shape() {
        let [names, data] = NAMES;
        assert_eq!(packed(&[event("a", "x")]), format!("1 10 ce_id a {names} {data} x 0 1"));
    }

    #[test]
    fn what_differs_is_said_for_each() {
        let [names, data] = NAMES;
        let events = [event("a", "x"), event("b", "x"), event("c", "y")];
        let shape = format!("1 10 ce_id  {names} {data}  2 2 10");
        assert_eq!(packed(&events), format!("{shape} 1 a x 1 b x 1 c y"));
    }

    #[test]
    fn other_names_are_another_shape() {
        let mut other = event("b", "x");
        other.extensions.insert("k".to_owned(), Attr::Text("v".to_owned()));
        let [names, data] = NAMES;
        let one = format!("10 ce_id a {names} {data} x 0");
        let two = format!("12 ce_id b {names} ce_k v {data} x 0");
        assert_eq!(
            packed(&[event("a", "x"), other, event("a", "x")]),
            format!("2 {one} {two} 1 2 1")
        );
    }
}
