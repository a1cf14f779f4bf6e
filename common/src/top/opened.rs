//! The queue that is opened: its messages, where the cursors are, and what of
//! a body is folded. Pure.

use super::body;
use super::fold::Fold;
use super::message;
use super::parts::{Ahead, Key};
use crate::queue::Seen;
use std::collections::VecDeque;

/// Messages kept of an opened queue.
pub(super) const MESSAGES_MAX: usize = 1_000;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Opened {
    pub(super) messages: VecDeque<Seen>,
    /// How many were shown before the first of them.
    pub(super) before: u64,
    pub(super) ahead: Ahead,
    /// The message the cursor is on.
    pub(super) message: usize,
    pub(super) follows: bool,
    pub(super) fold: Fold,
    /// The line of the body that the cursor is on, while it is in the body.
    pub(super) line: Option<usize>,
    /// How far the message is scrolled.
    pub(super) scroll: usize,
    /// Columns and rows there are for a message.
    pub(super) room: (usize, usize),
}

impl Opened {
    /// Nothing is known of the queue that is opened now.
    pub(super) fn begin(&mut self, follows: bool) {
        self.messages.clear();
        (self.before, self.ahead, self.follows) = (0, Ahead::Nothing, follows);
        self.choose(0);
    }

    /// Takes messages, and what waits behind them.
    pub(super) fn see(&mut self, seen: Vec<Seen>, ahead: Ahead) {
        self.ahead = ahead;
        let at_end = self.message + 1 >= self.messages.len();
        for one in seen {
            if self.messages.len() == MESSAGES_MAX {
                self.messages.pop_front();
                self.before += 1;
                match self.message {
                    0 => self.choose(0),
                    message => self.message = message - 1,
                }
            }
            self.messages.push_back(one);
        }
        // Nobody's page is turned while they read.
        if self.follows && at_end && self.line.is_none() {
            self.choose(self.messages.len().saturating_sub(1));
        }
    }

    /// The message the cursor is on.
    pub(super) fn chosen(&self) -> Option<&Seen> {
        self.messages.get(self.message)
    }

    fn choose(&mut self, message: usize) {
        (self.message, self.scroll, self.line) = (message, 0, None);
        self.fold.forget();
    }

    /// Does what a key stands for on the list; whether more messages are wanted.
    pub(super) fn press(&mut self, key: Key) -> bool {
        let last = self.messages.len().saturating_sub(1);
        if let Some(next) = key.moves(self.message, last) {
            self.choose(next);
            return next == last && std::mem::take(&mut self.ahead) != Ahead::Nothing;
        }
        let page = self.room.1.saturating_sub(1).max(1);
        match key {
            Key::Letter('+') => self.fold.deeper(1),
            Key::Letter('-') => self.fold.deeper(-1),
            Key::Letter(' ') => self.scroll = (self.scroll + page).min(self.scroll_max()),
            Key::Letter('b') => self.scroll = self.scroll.saturating_sub(page),
            Key::Enter => self.line = self.chosen().map(|_| 0),
            _ => {}
        }
        false
    }

    /// How far there is something to scroll to.
    fn scroll_max(&self) -> usize {
        let (width, height) = self.room;
        let rows = |seen: &Seen| message::rows(&seen.event, &self.fold, width).len();
        self.chosen().map_or(0, rows).saturating_sub(height)
    }

    /// Does what a key stands for while the cursor is on this line of the body.
    pub(super) fn press_in_body(&mut self, line: usize, key: Key) {
        let lines = self.chosen().map(|seen| body::lines(&seen.event, &self.fold));
        let lines = lines.unwrap_or_default();
        let last = lines.len().saturating_sub(1);
        let line = line.min(last);
        let key = match key {
            Key::Letter(' ') => Key::PageDown,
            Key::Letter('b') => Key::PageUp,
            key => key,
        };
        self.line = Some(key.moves(line, last).unwrap_or(line));
        match key {
            Key::Enter => {
                if let Some(part) = lines.get(line).and_then(|line| line.part) {
                    self.fold.turn(part);
                }
            }
            Key::Letter('+') => self.fold.deeper(1),
            Key::Letter('-') => self.fold.deeper(-1),
            Key::Back | Key::Erase => (self.line, self.scroll) = (None, 0),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Body, Event};

    fn opened(bodies: &[&str]) -> Opened {
        let seen = |(at, body): (usize, &&str)| Seen {
            lane: 0,
            mark: at.to_string(),
            time_ms: None,
            event: Event {
                body: Some(Body::Inline(body.as_bytes().to_vec())),
                content_type: Some("application/json".to_owned()),
                ..Event::default()
            },
            fault: None,
        };
        let mut opened = Opened { room: (40, 5), ..Opened::default() };
        opened.begin(false);
        opened.see(bodies.iter().enumerate().map(seen).collect(), Ahead::Nothing);
        opened
    }

    #[test]
    fn parts_of_a_body_are_folded_one_by_one() {
        let mut opened = opened(&[r#"{"x":[1,2],"y":3}"#]);
        let lines = |opened: &Opened| body::lines(&opened.messages[0].event, &opened.fold).len();
        assert_eq!(lines(&opened), 7);
        opened.press(Key::Enter);
        opened.press_in_body(0, Key::Down);
        opened.press_in_body(1, Key::Enter);
        assert_eq!((lines(&opened), opened.line), (4, Some(1)));
        opened.press_in_body(1, Key::Letter(' '));
        assert_eq!(opened.line, Some(3));
        opened.press_in_body(3, Key::Enter);
        assert_eq!((lines(&opened), opened.line), (4, Some(3)));
        opened.press_in_body(3, Key::Back);
        opened.press(Key::Letter('+'));
        assert_eq!((lines(&opened), opened.line), (7, None));
    }

    #[test]
    fn all_of_a_long_line_can_be_scrolled_to() {
        let text = format!("\"{}\"", "x".repeat(398));
        let mut opened = opened(&[&text, "1"]);
        let rows = message::rows(&opened.messages[0].event, &opened.fold, 40).len();
        assert_eq!(rows, 4 + 10, "four attributes, and the body on ten rows");
        for wanted in [4, 8, 9, 9] {
            opened.press(Key::Letter(' '));
            assert_eq!(opened.scroll, wanted);
        }
        opened.press(Key::Letter('b'));
        assert_eq!(opened.scroll, 5);
        opened.press(Key::Down);
        assert_eq!((opened.message, opened.scroll), (1, 0));
    }

    #[test]
    fn more_is_asked_for_behind_the_last_once() {
        let mut opened = opened(&["1", "2"]);
        assert!(!opened.press(Key::End));
        opened.see(Vec::new(), Ahead::Some(7));
        assert!(!opened.press(Key::Up));
        assert!(opened.press(Key::Down));
        assert!(!opened.press(Key::Down));
    }
}
