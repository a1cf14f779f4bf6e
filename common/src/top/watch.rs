//! Threads that ask middlewares: one for each that is watched, one for the
//! messages of an opened queue, one for each deed. What they find goes into a
//! channel; a slow middleware never holds up the screen.

use super::Watched;
use super::parts::{Deed, Sample};
use crate::cli::confirm::messages;
use crate::look::Filter;
use crate::queue::{self, Connection, Position, QueueError, QueueStat, QueueUrl, Range, Seen};
use crate::transfer::{End, Errand, Outcome, Report};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

/// A look takes at most one part in so many of the time.
const SHARE: u32 = 20;
/// The longest pause for that reason.
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// The shortest pause.
const EVERY_MIN: Duration = Duration::from_millis(100);
/// Messages told of at once.
const BATCH: usize = 100;
/// How many of the oldest messages are shown of a queue that is opened.
pub(super) const OPENED: u64 = 500;

/// What the threads tell.
pub(super) enum News {
    /// A middleware is asked, since so many milliseconds after the start.
    Asking(usize, u64),
    Sample(Sample),
    Messages(u64, Vec<Seen>),
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

type Listed = Result<Vec<(String, QueueStat, bool)>, QueueError>;

/// One look; after a failure the next begins with a new connection.
pub(super) fn sample(
    connection: &mut Option<Box<dyn Connection>>,
    url: &QueueUrl,
    run: Option<&str>,
) -> Listed {
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
    let is_bounded = open.capabilities().bounded;
    Ok(meant.map(|stat| (open.url_of(&stat.name), stat, is_bounded)).collect())
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

/// Shows the messages of a queue, until told to stop.
pub(super) fn open(
    url: &QueueUrl,
    number: u64,
    follows: bool,
    stop: &Arc<AtomicBool>,
    news: &Sender<News>,
) {
    let range = match follows {
        true => Range { at: Position::Last(OPENED / 10), until: None },
        false => Range { at: Position::Start, until: Some(Position::End) },
    };
    let told = queue::view(url, &range).and_then(|mut view| {
        let mut count = 0;
        while !view.is_at_end() && !stop.load(Ordering::Relaxed) {
            let mut seen = Vec::new();
            view.next(BATCH, Duration::from_millis(200), &mut seen)?;
            count += seen.len() as u64;
            if news.send(News::Messages(number, seen)).is_err() || (!follows && count >= OPENED) {
                break;
            }
        }
        Ok(())
    });
    if let Err(error) = told {
        let failure = error.failure("look at", &url.without_query().to_string());
        let _ = news.send(News::Closed(number, failure.to_string().replace('\n', " ")));
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
