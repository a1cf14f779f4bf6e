//! What is shown, and what keys do to it. Pure: it is told what was seen and
//! which keys were pressed, and says what is to be done.

use super::opened::Opened;
use super::parts::{Deed, Key, Over, Page, Row, Sample, Sort, Source, Wish};
use std::collections::BTreeMap;

/// A middleware that has not answered for so long is said to be silent.
const SILENCE_MS: u64 = 1_500;

/// All that is shown.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) rows: BTreeMap<String, Row>,
    pub(super) sort: Sort,
    pub(super) is_reversed: bool,
    pub(super) filter: String,
    pub(super) page: Page,
    pub(super) over: Over,
    /// URL of the row the cursor is on.
    pub(super) cursor: Option<String>,
    /// Whether somebody has put it there.
    is_chosen: bool,
    /// What is shown of the queue that is opened.
    pub(super) opened: Opened,
    /// What is watched, for people.
    sources: Vec<Source>,
    /// What went wrong, or was done, last.
    pub(super) notice: Option<String>,
    /// Trouble of each watched middleware.
    pub(super) troubles: BTreeMap<usize, String>,
    /// Deeds that are not done yet.
    pub(super) busy: u32,
    /// Whether somebody wanted to leave meanwhile.
    leaves: bool,
    /// Since when middlewares that have not answered were asked.
    pub(super) asked: BTreeMap<usize, u64>,
    /// Which of them has not answered for how many seconds, when that is long.
    pub(super) silence: Option<(String, u64)>,
    last_at_ms: BTreeMap<usize, u64>,
}

impl Model {
    pub(super) fn new(sources: Vec<Source>) -> Self {
        Self {
            rows: BTreeMap::new(),
            sort: Sort::Name,
            is_reversed: false,
            filter: String::new(),
            page: Page::Queues,
            over: Over::Nothing,
            cursor: None,
            is_chosen: false,
            opened: Opened::default(),
            sources,
            notice: None,
            troubles: BTreeMap::new(),
            busy: 0,
            leaves: false,
            asked: BTreeMap::new(),
            silence: None,
            last_at_ms: BTreeMap::new(),
        }
    }

    /// Takes what a look came to.
    pub(super) fn see(&mut self, sample: Sample) {
        let Sample { source, at_ms, queues } = sample;
        self.asked.remove(&source);
        let queues = match queues {
            Ok(queues) => queues,
            Err(trouble) => {
                self.troubles.insert(source, trouble);
                return;
            }
        };
        let missing = self.sources.get(source).filter(|one| one.is_queue && queues.is_empty());
        match missing.map(|one| format!("{}: no such queue", one.url)) {
            Some(trouble) => _ = self.troubles.insert(source, trouble),
            None => _ = self.troubles.remove(&source),
        }
        let before = self.last_at_ms.insert(source, at_ms);
        let took_s = before.map(|before| at_ms.saturating_sub(before).max(1) as f64 / 1000.0);
        let mut old = std::mem::take(&mut self.rows);
        for listed in queues {
            let row = Row::seen(old.remove(&listed.url), source, listed, took_s);
            self.rows.insert(row.url.clone(), row);
        }
        // What this middleware did not name is gone.
        self.rows.extend(old.into_iter().filter(|(_, row)| row.source != source));
        self.keep_cursor();
    }

    /// Takes note of the time, in milliseconds since the start.
    pub(super) fn tick(&mut self, now_ms: u64) {
        let longest = self.asked.iter().min_by_key(|(_, since_ms)| **since_ms);
        self.silence = longest.and_then(|(source, since_ms)| {
            let silent_ms = now_ms.saturating_sub(*since_ms);
            let source = self.sources.get(*source).filter(|_| silent_ms >= SILENCE_MS)?;
            Some((source.url.clone(), silent_ms / 1000))
        });
    }

    /// The middleware, when there is only one.
    pub(super) fn middleware(&self) -> Option<&str> {
        let mut all = self.rows.values().map(Row::middleware);
        let first = all.next()?;
        all.all(|other| other == first).then_some(first)
    }

    /// What a row is called: its queue alone where there is one middleware.
    pub(super) fn name_of<'a>(&self, row: &'a Row) -> &'a str {
        if self.middleware().is_some() { &row.stat.name } else { &row.url }
    }

    /// Rows that are shown, in their order.
    pub(super) fn shown(&self) -> Vec<&Row> {
        let is_meant = |row: &&Row| row.url.contains(&self.filter);
        let mut rows: Vec<&Row> = self.rows.values().filter(is_meant).collect();
        let rate = |row: &Row, out: bool| row.rates.map_or(0.0, |(i, o)| if out { o } else { i });
        match self.sort {
            Sort::Name => {}
            Sort::Depth => rows.sort_by_key(|row| std::cmp::Reverse(row.stat.depth)),
            Sort::In => rows.sort_by(|a, b| rate(b, false).total_cmp(&rate(a, false))),
            Sort::Out => rows.sort_by(|a, b| rate(b, true).total_cmp(&rate(a, true))),
        }
        if self.is_reversed {
            rows.reverse();
        }
        rows
    }

    /// Where the cursor is among the shown rows.
    pub(super) fn place(&self) -> Option<usize> {
        let cursor = self.cursor.as_ref()?;
        self.shown().iter().position(|row| row.url == *cursor)
    }

    /// A cursor that nobody has moved is on the first row, whoever answers first.
    fn keep_cursor(&mut self) {
        if !self.is_chosen || self.place().is_none() {
            self.cursor = self.shown().first().map(|row| row.url.clone());
        }
    }

    /// Does what a key stands for.
    pub(super) fn press(&mut self, key: Key) -> Wish {
        match (&self.over, key) {
            (_, Key::Interrupt) => Wish::Leave,
            (Over::Help, _) => self.close_over(),
            (Over::Filter, key) => self.type_filter(key),
            (Over::Ask(_, deed), Key::Letter('y' | 'Y')) => {
                let deed = deed.clone();
                self.over = Over::Nothing;
                Wish::Do(deed)
            }
            (Over::Ask(..), _) => self.close_over(),
            (Over::Nothing, Key::Letter('?')) => {
                self.over = Over::Help;
                Wish::Nothing
            }
            (Over::Nothing, Key::Letter('q')) if self.busy > 0 && !self.leaves => {
                self.leaves = true;
                self.notice = Some("messages are under way; q again leaves all the same".into());
                Wish::Nothing
            }
            (Over::Nothing, Key::Letter('q')) => Wish::Leave,
            (Over::Nothing, Key::Letter('P')) => self.ask(false),
            (Over::Nothing, Key::Letter('R')) => self.ask(true),
            (Over::Nothing, key) => match self.page {
                Page::Queues => self.on_queues(key),
                Page::Messages(_) => self.on_messages(key),
            },
        }
    }

    fn close_over(&mut self) -> Wish {
        self.over = Over::Nothing;
        Wish::Nothing
    }

    fn type_filter(&mut self, key: Key) -> Wish {
        match key {
            Key::Letter(letter) => self.filter.push(letter),
            Key::Erase => _ = self.filter.pop(),
            Key::Back => {
                self.filter.clear();
                self.over = Over::Nothing;
            }
            Key::Enter => self.over = Over::Nothing,
            _ => {}
        }
        self.keep_cursor();
        Wish::Nothing
    }

    /// The queue that keys are about: the opened one, or that of the cursor.
    fn meant(&mut self) -> Option<String> {
        let Page::Messages(url) = &self.page else { return self.cursor.clone() };
        if self.rows.contains_key(url) {
            return Some(url.clone());
        }
        self.notice = Some(format!("{url} is gone"));
        None
    }

    /// Whether the opened queue is there no more.
    pub(super) fn is_gone(&self) -> bool {
        matches!(&self.page, Page::Messages(url) if !self.rows.contains_key(url))
    }

    /// Asks before messages go.
    fn ask(&mut self, redrives: bool) -> Wish {
        let Some(url) = self.meant() else { return Wish::Nothing };
        let count = self.rows.get(&url).map_or(0, |row| row.stat.depth);
        let messages = crate::cli::confirm::messages(count);
        self.is_chosen = true;
        self.over = match redrives {
            false => Over::Ask(format!("Remove {messages} from {url}?"), Deed::Purge(url)),
            true if count == 0 && url.ends_with(".dead") => {
                self.notice = Some(format!("{url} holds no dead letters"));
                Over::Nothing
            }
            true if url.ends_with(".dead") => {
                let to = url.strip_suffix(".dead").unwrap_or(&url);
                Over::Ask(format!("Send {messages} of {url} to {to} again?"), Deed::Redrive(url))
            }
            true => {
                self.notice =
                    Some(format!("{url} holds no dead letters: its name does not end with .dead"));
                Over::Nothing
            }
        };
        Wish::Nothing
    }

    fn on_queues(&mut self, key: Key) -> Wish {
        let shown = self.shown();
        let last = shown.len().saturating_sub(1);
        let place = self.place().unwrap_or(0);
        let next = match key.moves(place, last) {
            Some(next) => next,
            None => return self.command(key),
        };
        self.cursor = shown.get(next).map(|row| row.url.clone());
        self.is_chosen = true;
        Wish::Nothing
    }

    fn command(&mut self, key: Key) -> Wish {
        match key {
            Key::Letter('s') => self.sort = self.sort.next(),
            Key::Letter('r') => self.is_reversed = !self.is_reversed,
            Key::Letter('/') => self.over = Over::Filter,
            Key::Back => {
                self.filter.clear();
                self.keep_cursor();
            }
            Key::Enter | Key::Letter('f') => return self.open(key == Key::Letter('f')),
            _ => {}
        }
        Wish::Nothing
    }

    fn open(&mut self, follows: bool) -> Wish {
        let Some(url) = self.meant() else { return Wish::Nothing };
        self.is_chosen = true;
        self.page = Page::Messages(url.clone());
        self.opened.begin(follows);
        Wish::Open { url, follows }
    }

    fn on_messages(&mut self, key: Key) -> Wish {
        if let Some(line) = self.opened.line {
            self.opened.press_in_body(line, key);
            return Wish::Nothing;
        }
        match key {
            Key::Letter('f') => self.open(!self.opened.follows),
            Key::Back | Key::Erase => {
                self.page = Page::Queues;
                Wish::Close
            }
            key if self.opened.press(key) => Wish::More,
            _ => Wish::Nothing,
        }
    }

    /// An opened queue cannot be shown.
    pub(super) fn fail_to_open(&mut self, why: String) {
        self.notice = Some(why);
        if self.opened.messages.is_empty() {
            self.page = Page::Queues;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;
    use crate::queue::QueueStat;
    use crate::queue::Seen;
    use crate::top::opened::MESSAGES_MAX;
    use crate::top::parts::{Ahead, Listed};

    fn stat(name: &str, depth: u64, sent: u64) -> QueueStat {
        QueueStat {
            name: name.to_owned(),
            depth,
            held: 0,
            capacity: 10,
            message_size: 1024,
            readers: 0,
            run: None,
            orphaned: false,
            created: None,
            sent_total: Some(sent),
            done_total: Some(sent - depth),
        }
    }

    fn sample(at_ms: u64, queues: &[(&str, u64, u64)]) -> Sample {
        let queue = |(name, depth, sent): &(&str, u64, u64)| {
            let (url, stat) = (format!("redis://h/0/{name}"), stat(name, *depth, *sent));
            Listed { url, stat, is_bounded: true, counts_held: true }
        };
        Sample { source: 0, at_ms, queues: Ok(queues.iter().map(queue).collect()) }
    }

    fn model() -> Model {
        Model::new(vec![Source { url: "redis://h/0".to_owned(), is_queue: false }])
    }

    fn names(model: &Model) -> Vec<&str> {
        model.shown().iter().map(|row| row.stat.name.as_str()).collect()
    }

    #[test]
    fn sorts_filters_and_tells_rates() {
        let mut model = model();
        model.see(sample(0, &[("a", 1, 1), ("b", 9, 10), ("c", 5, 5)]));
        model.see(sample(2_000, &[("a", 1, 41), ("b", 9, 10), ("c", 5, 5)]));
        assert_eq!(names(&model), ["a", "b", "c"]);
        assert_eq!(model.shown()[0].rates, Some((20.0, 20.0)));
        model.press(Key::Letter('s'));
        assert_eq!(names(&model), ["b", "c", "a"]);
        model.press(Key::Letter('r'));
        assert_eq!(names(&model), ["a", "c", "b"]);
        model.press(Key::Letter('/'));
        model.press(Key::Letter('/'));
        model.press(Key::Letter('c'));
        assert_eq!(names(&model), ["c"]);
        assert_eq!(model.cursor.as_deref(), Some("redis://h/0/c"));
        model.press(Key::Back);
        assert_eq!(names(&model).len(), 3);
    }

    #[test]
    fn the_cursor_stays_with_its_queue() {
        let mut model = model();
        model.see(sample(0, &[("a", 1, 1), ("b", 9, 10)]));
        // Until somebody moves it, it is on the first.
        model.see(sample(0, &[("0", 1, 1), ("a", 1, 1), ("b", 9, 10)]));
        assert_eq!(model.cursor.as_deref(), Some("redis://h/0/0"));
        model.press(Key::End);
        model.see(sample(1, &[("a", 1, 1), ("aa", 1, 1), ("b", 9, 10)]));
        assert_eq!(model.cursor.as_deref(), Some("redis://h/0/b"));
        model.see(sample(2, &[("a", 1, 1)]));
        assert_eq!(model.cursor.as_deref(), Some("redis://h/0/a"));
        model.see(Sample { source: 0, at_ms: 3, queues: Err("gone".to_owned()) });
        assert_eq!((names(&model).len(), model.troubles.len()), (1, 1));
        model.asked.insert(0, 1_000);
        model.tick(2_000);
        assert_eq!(model.silence, None);
        model.tick(4_000);
        assert_eq!(model.silence, Some(("redis://h/0".to_owned(), 3)));
    }

    #[test]
    fn a_queue_that_is_not_there_is_told_of() {
        let source = Source { url: "redis://h/0/q".to_owned(), is_queue: true };
        let mut model = Model::new(vec![source]);
        model.see(sample(0, &[]));
        assert_eq!(model.troubles[&0], "redis://h/0/q: no such queue");
        model.see(sample(1, &[("q", 1, 1)]));
        assert_eq!(model.troubles.len(), 0);
    }

    #[test]
    fn asks_before_messages_go() {
        let mut model = model();
        model.see(sample(0, &[("a", 1, 1), ("a.dead", 3, 3)]));
        model.press(Key::Letter('R'));
        assert!(model.notice.is_some());
        assert_eq!(model.press(Key::Letter('P')), Wish::Nothing);
        assert_eq!(model.press(Key::Letter('n')), Wish::Nothing);
        assert_eq!(model.over, Over::Nothing);
        model.press(Key::Down);
        model.press(Key::Letter('R'));
        let deed = Deed::Redrive("redis://h/0/a.dead".to_owned());
        assert_eq!(model.press(Key::Letter('y')), Wish::Do(deed));
    }

    #[test]
    fn opens_follows_and_goes_back() {
        let mut model = model();
        model.see(sample(0, &[("a", 1, 1)]));
        let url = "redis://h/0/a".to_owned();
        let open = Wish::Open { url: url.clone(), follows: true };
        assert_eq!(model.press(Key::Letter('f')), open);
        let seen = |mark: usize| Seen {
            lane: 0,
            mark: mark.to_string(),
            time_ms: None,
            event: Event::default(),
            fault: None,
        };
        model.opened.see((0..MESSAGES_MAX + 5).map(seen).collect(), Ahead::Some(7));
        assert_eq!(
            (model.opened.messages.len(), model.opened.message),
            (MESSAGES_MAX, MESSAGES_MAX - 1)
        );
        assert_eq!(model.opened.messages[0].mark, "5");
        // More is asked for behind the last, once.
        assert_eq!(model.press(Key::Home), Wish::Nothing);
        assert_eq!(model.press(Key::End), Wish::More);
        assert_eq!(model.press(Key::Down), Wish::Nothing);
        model.press(Key::Home);
        model.opened.see(vec![seen(0)], Ahead::Nothing);
        assert_eq!(model.opened.message, 0);
        model.press(Key::End);
        model.press(Key::Enter);
        model.opened.see(vec![seen(0)], Ahead::Nothing);
        assert_eq!((model.opened.message, model.opened.line), (MESSAGES_MAX - 2, Some(0)));
        assert_eq!(model.press(Key::Back), Wish::Nothing);
        // Keys mean the opened queue, also when it is gone.
        model.see(sample(1, &[("b", 1, 1)]));
        assert!(model.is_gone());
        for key in ['f', 'P'] {
            assert_eq!(model.press(Key::Letter(key)), Wish::Nothing);
            assert_eq!(model.notice.take(), Some(format!("{url} is gone")));
        }
        assert_eq!(model.press(Key::Back), Wish::Close);
        assert_eq!(model.press(Key::Letter('q')), Wish::Leave);
    }
}
