//! Which topics there are, as brokers know.

use super::admin::{ANSWER_MAX, Admin, check_name};
use super::depth;
use super::faults;
use crate::queue::QueueError;
use rdkafka::consumer::Consumer as _;
use rdkafka::error::RDKafkaErrorCode;
use std::time::{Duration, Instant};

/// How long it takes at most until all brokers know of a topic that was made.
const HEARD_OF_MAX: Duration = Duration::from_secs(1);
/// How long it takes until a broker is asked again that has not heard of one.
const HEARD_OF_AFTER: Duration = Duration::from_millis(50);
/// How long it takes at least until topics are asked for again.
const SEEN_AGAIN_AFTER: Duration = Duration::from_secs(2);
/// How long that may take, for it is asked in between.
const SEEN_MAX: Duration = Duration::from_millis(300);

impl Admin {
    /// Whether there is such a topic, as a broker knows.
    ///
    /// # Errors
    /// No broker answers, or it may not be seen.
    pub(super) fn exists(&self, name: &str) -> Result<bool, QueueError> {
        Ok(self.known(name)?.0)
    }

    /// Whether there is such a topic, also when it was made a moment ago: of
    /// several brokers some hear of that later.
    ///
    /// # Errors
    /// As [`exists`](Self::exists).
    pub(super) fn is_made(&self, name: &str) -> Result<bool, QueueError> {
        let begin = Instant::now();
        loop {
            let (exists, brokers) = self.known(name)?;
            if exists || brokers < 2 || begin.elapsed() >= HEARD_OF_MAX {
                return Ok(exists);
            }
            std::thread::sleep(HEARD_OF_AFTER);
        }
    }

    /// Whether the broker that is asked knows a topic, and how many brokers.
    fn known(&self, name: &str) -> Result<(bool, usize), QueueError> {
        check_name(name)?;
        let url = self.settings.url_of(name);
        let known =
            self.asker.fetch_metadata(Some(name), ANSWER_MAX).map_err(|e| faults::of(&e, &url))?;
        let topic = known.topics().iter().find(|topic| topic.name() == name);
        let exists = match topic.map(|topic| topic.error().map(RDKafkaErrorCode::from)) {
            None => false,
            Some(None | Some(RDKafkaErrorCode::LeaderNotAvailable)) => true,
            Some(Some(code)) if faults::is_missing(code) => false,
            Some(Some(code)) => return Err(faults::of_code(code, &url)),
        };
        Ok((exists, known.brokers().len()))
    }

    /// Whether there was such a topic a moment ago; yes when nobody can say.
    pub(super) fn is_there(&self, name: &str) -> bool {
        let mut seen = self.seen.borrow_mut();
        if seen.0.is_none() || seen.1.elapsed() >= SEEN_AGAIN_AFTER {
            seen.1 = Instant::now();
            if let Ok(known) = self.asker.fetch_metadata(None, SEEN_MAX) {
                let whole = known.topics().iter().filter(|topic| topic.error().is_none());
                seen.0 = Some(whole.map(|topic| topic.name().to_owned()).collect());
            }
        }
        if seen.0.as_ref().is_none_or(|names| names.contains(name)) {
            return true;
        }
        // It may be younger than what was seen.
        self.exists(name).unwrap_or(true)
    }

    /// Whether somebody takes from a topic, when brokers say so at once.
    pub(super) fn is_read(&self, name: &str) -> bool {
        depth::is_read(&self.asker, name, self.settings.group_of(name), SEEN_MAX)
    }

    pub(super) fn forget_seen(&self) {
        self.seen.borrow_mut().0 = None;
    }
}
