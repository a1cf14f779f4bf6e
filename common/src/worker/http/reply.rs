//! What a function answered.

use crate::http::binding::{self, Message};
use crate::worker::end::{CallEnd, Output};
use hyper::header::{HeaderMap, RETRY_AFTER};
use std::time::Duration;

/// An HTTP answer, whole.
#[derive(Debug)]
pub struct Reply {
    /// Its status.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Vec<u8>,
}

impl Reply {
    /// How the call ended; `now_s` is Unix time in seconds, for a
    /// `Retry-After` that names a date.
    pub fn end(&self, now_s: i64) -> CallEnd {
        let asks = matches!(self.status, 429 | 503);
        let wait = asks.then(|| self.headers.get(RETRY_AFTER)).flatten();
        let wait = wait.and_then(|value| retry_after(value.to_str().ok()?, now_s));
        CallEnd::Status(self.status, wait)
    }

    /// The output in it.
    ///
    /// # Errors
    /// It says it is an event, and is none.
    pub fn output(self) -> Result<Output, String> {
        Ok(match binding::read(&self.headers, self.body)? {
            Message::Events(events) => Output::Events(events),
            Message::Bare(media, body) => {
                // Frameworks put these on whatever a handler returns: there
                // the body tells, as with a program.
                let means_nothing = |media: &String| {
                    let essence = media.split(';').next().unwrap_or("").trim();
                    matches!(essence, "text/plain" | "text/html" | "application/octet-stream")
                };
                Output::Sent(media.filter(|media| !means_nothing(media)), body)
            }
        })
    }

    /// The beginning of an answer that is no output, for the dead letter.
    pub fn said(&self) -> Vec<u8> {
        self.body[..self.body.len().min(crate::limits::STDERR_KEPT)].to_vec()
    }
}

/// RFC 9110, section 10.2.3: seconds, or a date.
fn retry_after(value: &str, now_s: i64) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(value.trim()).ok()?;
    let left = date.timestamp().as_second() - now_s;
    Some(Duration::from_secs(u64::try_from(left).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_dates() {
        assert_eq!(retry_after("120", 0), Some(Duration::from_secs(120)));
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        assert_eq!(retry_after(date, 784_111_770), Some(Duration::from_secs(7)));
        assert_eq!(retry_after(date, 784_111_780), Some(Duration::ZERO));
        assert_eq!(retry_after("soon", 0), None);
    }

    #[test]
    fn only_where_it_means_something() {
        let reply = |status| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, hyper::header::HeaderValue::from_static("3"));
            Reply { status, headers, body: Vec::new() }.end(0)
        };
        assert_eq!(reply(503), CallEnd::Status(503, Some(Duration::from_secs(3))));
        assert_eq!(reply(500), CallEnd::Status(500, None));
    }
}
