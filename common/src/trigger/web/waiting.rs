//! Requests that are under way, and what is known of their invocations. Pure:
//! it is told what came.

use crate::chain::ending::{self, Endings};
use crate::event::{Event, Verdict};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Requests by number.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    requests: HashMap<u64, Request>,
    by_invocation: HashMap<String, u64>,
    endings: Endings,
}

#[derive(Debug)]
struct Request {
    began: Instant,
    /// Invocations that have not ended.
    open: usize,
    is_dead: bool,
    ends: Vec<Event>,
}

/// A request whose invocations have all ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) request: u64,
    /// Whether a branch of them became a dead letter.
    pub(super) is_dead: bool,
    /// Results and dead letters, as they came.
    pub(super) ends: Vec<Event>,
}

impl Waiting {
    /// A request was accepted.
    pub(super) fn begin(&mut self, request: u64, invocations: Vec<String>, now: Instant) {
        let open = invocations.len();
        self.requests
            .insert(request, Request { began: now, open, is_dead: false, ends: Vec::new() });
        for invocation in invocations {
            self.by_invocation.insert(invocation, request);
        }
    }

    /// A branch ended. Nobody may wait for it any more; then it is nothing.
    pub(super) fn end(&mut self, end: &Event) -> Option<Ended> {
        let control = end.control.as_deref()?;
        let reply = self.endings.reply(control, &ending::key(end));
        let number = *self.by_invocation.get(&control.invocation)?;
        if reply.ended.is_some() {
            self.by_invocation.remove(&control.invocation);
        }
        let request = self.requests.get_mut(&number)?;
        if reply.fresh && matches!(control.verdict, Some(Verdict::Result | Verdict::Dead)) {
            request.is_dead |= control.is_dead();
            request.ends.push(end.clone());
        }
        request.open -= usize::from(reply.ended.is_some());
        if request.open > 0 {
            return None;
        }
        let request = self.requests.remove(&number)?;
        Some(Ended { request: number, is_dead: request.is_dead, ends: request.ends })
    }

    /// Requests that have waited for `timeout`; they are waited for no longer.
    pub(super) fn late(&mut self, timeout: Duration, now: Instant) -> Vec<u64> {
        let is_late = |request: &Request| now.duration_since(request.began) >= timeout;
        let late: Vec<u64> =
            self.requests.iter().filter(|(_, r)| is_late(r)).map(|(number, _)| *number).collect();
        late.iter().for_each(|number| self.forget(*number));
        late
    }

    /// Nobody waits for it any more.
    pub(super) fn forget(&mut self, request: u64) {
        self.requests.remove(&request);
        self.by_invocation.retain(|_, of| *of != request);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Control;
    use crate::event::credit::Credit;

    fn end(id: &str, invocation: &str, verdict: Verdict, credit: Credit) -> Event {
        let control = Control {
            invocation: invocation.into(),
            verdict: Some(verdict),
            credit,
            ..Control::default()
        };
        Event { id: id.into(), control: Some(Box::new(control)), ..Event::default() }
    }

    #[test]
    fn a_request_ends_with_the_last_of_its_branches() {
        let (mut waiting, now) = (Waiting::default(), Instant::now());
        waiting.begin(1, vec!["t-1".into()], now);
        let mut halves = Credit::whole().split(2).into_iter();
        let mut half = || halves.next().expect("two");
        let first = end("a", "t-1", Verdict::Result, half());
        assert!(waiting.end(&first).is_none());
        assert!(waiting.end(&first).is_none(), "the same again changes nothing");
        let ended = waiting.end(&end("b", "t-1", Verdict::Dead, half())).expect("it ended");
        assert!(ended.is_dead);
        let ids: Vec<&str> = ended.ends.iter().map(|end| end.id.as_str()).collect();
        assert_eq!((ended.request, ids), (1, vec!["a", "b"]));
        assert!(waiting.is_empty());
    }

    #[test]
    fn several_events_of_a_request_end_together() {
        let mut waiting = Waiting::default();
        waiting.begin(7, vec!["t-1".into(), "t-2".into()], Instant::now());
        assert!(waiting.end(&end("a", "t-2", Verdict::Dropped, Credit::whole())).is_none());
        let ended = waiting.end(&end("b", "t-1", Verdict::Result, Credit::whole()));
        assert_eq!(ended.map(|ended| (ended.is_dead, ended.ends.len())), Some((false, 1)));
    }

    #[test]
    fn what_is_late_is_waited_for_no_longer() {
        let (mut waiting, now) = (Waiting::default(), Instant::now());
        waiting.begin(1, vec!["t-1".into()], now);
        let second = Duration::from_secs(1);
        assert!(waiting.late(second, now).is_empty());
        assert_eq!(waiting.late(second, now + second), [1]);
        assert!(waiting.end(&end("a", "t-1", Verdict::Result, Credit::whole())).is_none());
    }
}
