//! Threads that ask middlewares: one for each that is watched, one for the
//! messages of an opened queue, one for each deed. What they find goes into a
//! channel; a slow middleware never holds up the screen.

use super::Watched;
use super::parts::{Ahead, Deed, Listed, Sample};
use crate::cli::confirm::messages;
use crate::look::Filter;
use crate::queue::{
    self, Connection, Position, QueueError, QueueStat, QueueUrl, Range, Seen, View,
};
use crate::transfer::{End, Errand, Outcome, Report};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant};

/// A look takes at most one part in so many of the time.
const SHARE: u32 = 20;
/// The longest pause for that reason.
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// The shortest pause.
const EVERY_MIN: Duration = Duration::from_millis(100);
/// Messages told of at once.
const BATCH: usize = 100;
/// How many messages of an opened queue are shown before more are asked for.
const OPENED: usize = 500;
/// How many of the last messages are shown of a queue that is followed.
const FOLLOWED: u64 = 50;

/// What the threads tell.
pub(super) enum News {
    /// A middleware is asked, since so many milliseconds after the start.
    Asking(usize, u64),
    Sample(Sample),
    /// Messages of this opening, and what waits behind them.
    Messages(u64, Vec<Seen>, Ahead),
    /// The queue of this opening cannot be shown, or no more.
    Closed(u64, String),
    Done(String),
    /// This signal came to one of the threads.
    Signal(i32),
}

/// Looks at a middleware again and again, until nobody listens.
pub(super) fn watch(watched: &Watched, source: usize, begin: Instant, news: &Sender<News>) {
    let url = &watched.urls[source];
    let mut connection: Option<Box<dyn Connection>> = None;
    let mut last_took = Duration::ZERO;
    loop {
        let began = Instant::now();
        let begin_ms = u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX);
        if news.send(News::Asking(source, begin_ms)).is_err() {
            return;
        }
        let queues = sample(&mut connection, url, watched.run.as_deref());
        let queues = queues.map_err(|error| format!("{}: {error}", url.without_query()));
        let at_ms = u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX);
        let failed = queues.is_err();
        if news.send(News::Sample(Sample { source, at_ms, queues })).is_err() {
            return;
        }
        // One look that took long waited for a server; two in a row cost that.
        let took = began.elapsed();
        let cost = if failed { Duration::ZERO } else { took.min(last_took) };
        last_took = took;
        std::thread::sleep(pause(watched.every, cost));
    }
}

/// How long to wait after a look that took so long.
pub(super) fn pause(every: Duration, cost: Duration) -> Duration {
    every.max(EVERY_MIN).max((cost * SHARE).min(PAUSE_MAX))
}

/// One look; after a failure the next begins with a new connection.
pub(super) fn sample(
    connection: &mut Option<Box<dyn Connection>>,
    url: &QueueUrl,
    run: Option<&str>,
) -> Result<Vec<Listed>, QueueError> {
    let asked = match connection {
        Some(open) => list(open.as_mut(), url),
        None => match queue::connect(url) {
            Ok(mut open) => {
                let listed = list(open.as_mut(), url);
                *connection = Some(open);
                listed
            }
            Err(error) => Err(error),
        },
    };
    let stats = match asked {
        Ok(stats) => stats,
        Err(error) => {
            *connection = None;
            return Err(error);
        }
    };
    let Some(open) = connection else { return Ok(Vec::new()) };
    let meant = stats.into_iter().filter(|stat| run.is_none() || stat.run.as_deref() == run);
    let can = open.capabilities();
    let (is_bounded, counts_held) = (can.bounded, can.counts_held);
    let listed =
        |stat: QueueStat| Listed { url: open.url_of(&stat.name), stat, is_bounded, counts_held };
    Ok(meant.map(listed).collect())
}

fn list(connection: &mut dyn Connection, url: &QueueUrl) -> Result<Vec<QueueStat>, QueueError> {
    match url.name() {
        "" => connection.list(),
        name => match connection.stat(name) {
            Ok(stat) => Ok(vec![stat]),
            Err(QueueError::NoSuchQueue) => Ok(Vec::new()),
            Err(error) => Err(error),
        },
    }
}

/// The messages of an opened queue.
pub(super) struct Opening {
    pub(super) url: QueueUrl,
    /// Which opening it is.
    pub(super) number: u64,
    /// Whether what comes is shown, from the last messages on.
    pub(super) follows: bool,
    pub(super) stop: Arc<AtomicBool>,
    /// Says that more are wanted.
    pub(super) more: Receiver<()>,
}

impl Opening {
    /// Shows them, until told to stop.
    pub(super) fn show(&self, news: &Sender<News>) {
        let range = match self.follows {
            true => Range { at: Position::Last(FOLLOWED), until: None },
            false => Range { at: Position::Start, until: Some(Position::End) },
        };
        let told = queue::view(&self.url, &range);
        if let Err(error) = told.and_then(|mut view| self.tell_all(view.as_mut(), news)) {
            let failure = error.failure("look at", &self.url.without_query().to_string());
            let _ = news.send(News::Closed(self.number, failure.to_string().replace('\n', " ")));
        }
    }

    fn tell_all(&self, view: &mut dyn View, news: &Sender<News>) -> Result<(), QueueError> {
        let mut wanted = OPENED;
        while !view.is_at_end() && !self.stop.load(Ordering::Relaxed) {
            let mut seen = Vec::new();
            let most = if self.follows { BATCH } else { wanted.min(BATCH) };
            view.next(most, Duration::from_millis(200), &mut seen)?;
            wanted = wanted.saturating_sub(seen.len());
            let is_enough = !self.follows && wanted == 0;
            let ahead = match is_enough && !view.is_at_end() {
                false => Ahead::Nothing,
                true => match view.left()? {
                    Some(0) => Ahead::Nothing,
                    left => left.map_or(Ahead::Many, Ahead::Some),
                },
            };
            if news.send(News::Messages(self.number, seen, ahead)).is_err() {
                break;
            }
            if is_enough {
                // Whoever closes it drops the other end.
                if self.more.recv().is_err() {
                    break;
                }
                wanted = OPENED;
            }
        }
        Ok(())
    }
}

/// Removes messages, or sends dead letters again.
pub(super) fn act(deed: &Deed, url: &QueueUrl, news: &Sender<News>) {
    let to = match deed {
        Deed::Purge(_) => None,
        Deed::Redrive(_) => {
            let name = url.name();
            Some(url.with_name(name.strip_suffix(".dead").unwrap_or(name)))
        }
    };
    let done = if to.is_some() { "redriven" } else { "removed" };
    let strips = to.is_some();
    let (filter, resumes) = (Filter::default(), None);
    let errand = Errand { from: url.clone(), to, filter, count: None, strips, resumes };
    let outcome = errand.run(true, Box::new(|_| {}), |_| {});
    if let Ok(Outcome { report: Report { end: End::Signal(signal), .. }, .. }) = &outcome {
        let _ = news.send(News::Signal(*signal));
    }
    let said = match outcome {
        Ok(outcome) => format!("{} {done}", messages(outcome.report.moved)),
        Err(failure) => failure.to_string().replace('\n', " "),
    };
    let _ = news.send(News::Done(said));
}
