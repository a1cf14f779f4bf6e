//! From a request to invocations, and back to an answer.

use super::super::Destination;
use super::WebTrigger;
use super::waiting::Ended;
use crate::event::{Attr, Body, Event, Show, detect_type, print_envelope};
use crate::http::binding::{self, Message};
use crate::http::visitor::{Answer, Asked};
use crate::limits::{DRAIN_MAX_MS, REQUEST_ACCEPT_MAX_MS};
use crate::queue::{Handed, Handoff, Port, QueueError};
use hyper::StatusCode;
use hyper::header::HeaderMap;
use std::time::{Duration, Instant};

/// Media type of several envelopes.
const NDJSON: &str = "application/x-ndjson";
const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";

/// A request whose events are on their way to the first queue.
pub(super) struct Accepted {
    request: u64,
    ids: Vec<String>,
    since: Instant,
}

/// The trace a request belongs to, as HTTP carries it (W3C Trace Context).
fn trace(event: &mut Event, headers: &HeaderMap) {
    for name in ["traceparent", "tracestate"] {
        if let Some(value) = headers.get(name).and_then(|value| value.to_str().ok()) {
            let value = || Attr::Text(value.to_owned());
            event.extensions.entry(name.to_owned()).or_insert_with(value);
        }
    }
}

impl WebTrigger {
    /// Hands over what was asked, one request after the other, while there is
    /// room.
    pub(super) fn take_requests(&mut self) -> Result<(), QueueError> {
        while self.sending.is_none() {
            let Some((_, asked)) = self.queue.pop_front() else { return Ok(()) };
            if self.is_stopping() {
                self.refuse(&asked, StatusCode::SERVICE_UNAVAILABLE, "it is about to stop");
                continue;
            }
            match self.events_of(&asked) {
                Ok(events) => self.begin(&asked, events)?,
                Err((status, reason)) => self.refuse(&asked, status, &reason),
            }
        }
        Ok(())
    }

    fn events_of(&self, asked: &Asked) -> Result<Vec<Event>, (StatusCode, String)> {
        if asked.path != self.options.listen.path {
            let reason = format!("only {} is served here", self.options.listen.path);
            return Err((StatusCode::NOT_FOUND, reason));
        }
        if asked.method != hyper::Method::POST {
            return Err((StatusCode::METHOD_NOT_ALLOWED, "an event is a POST".to_owned()));
        }
        let too_large = || {
            let most = crate::units::show_size(self.options.body_max);
            (StatusCode::PAYLOAD_TOO_LARGE, format!("the body is over {most}"))
        };
        let body = asked.body.clone().ok_or_else(too_large)?;
        let bad = |reason| (StatusCode::BAD_REQUEST, reason);
        match binding::read(&asked.headers, body).map_err(bad)? {
            Message::Events(events) if events.is_empty() => Err(bad("no event in it".to_owned())),
            Message::Events(mut events) => {
                events.iter_mut().for_each(|event| trace(event, &asked.headers));
                Ok(events)
            }
            Message::Bare(media, body) => Ok(vec![self.bare(&asked.headers, media, body)]),
        }
    }

    /// A bare body as an event; its id is the client's key, if there is one.
    fn bare(&self, headers: &HeaderMap, media: Option<String>, body: Vec<u8>) -> Event {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let key = text("idempotency-key").filter(|key| !key.is_empty()).map(str::to_owned);
        let id = key.unwrap_or_else(|| format!("{}-{}", self.name, self.number + 1));
        // What clients say of every form and file tells nothing.
        let means_nothing = |media: &String| {
            let media = media.split(';').next().unwrap_or("").trim();
            media == "application/x-www-form-urlencoded" || media == "application/octet-stream"
        };
        let media = media.filter(|media| !means_nothing(media));
        let media = media.unwrap_or_else(|| detect_type(&body).to_owned());
        let source = format!("/faas-trigger{}", self.options.listen.path);
        let mut event = Event::bare(id, source, &media, Vec::new());
        event.body = Some(Body::Inline(body));
        event.time = Some(crate::clock::rfc3339_now());
        trace(&mut event, headers);
        event
    }

    fn begin(&mut self, asked: &Asked, events: Vec<Event>) -> Result<(), QueueError> {
        self.asked += 1;
        let request = self.asked;
        let ids = events.iter().map(|event| event.id.clone()).collect();
        let (mut outputs, mut invocations): (Vec<(Port, Event)>, Vec<String>) = Default::default();
        for event in events {
            self.number += 1;
            match &self.destination {
                Destination::Queue(port) => outputs.push((*port, event)),
                Destination::Run(start) => {
                    let mut control = start.control(&self.name, self.number);
                    if self.replies.is_some() {
                        control.reply.clone_from(&self.name);
                    }
                    invocations.push(control.invocation.clone());
                    outputs.extend(start.begin(&event, &control));
                }
            }
        }
        // What comes back may be faster than the rest of what is sent.
        self.answers.insert(request, (asked.visitor, asked.answer.clone()));
        if self.replies.is_some() {
            self.waiting.begin(request, invocations, Instant::now());
        }
        let accepted = Accepted { request, ids, since: Instant::now() };
        match self.desk.hand_over(Handoff { taken: None, outputs })? {
            Handed::Done => self.accept(accepted),
            Handed::Later(ticket) => self.sending = Some((ticket, accepted)),
            Handed::Sent(ticket) => _ = self.sent.insert(ticket, accepted),
            Handed::Refused(error) => self.turn_away(request, &error),
        }
        Ok(())
    }

    fn turn_away(&mut self, request: u64, error: &QueueError) {
        self.waiting.forget(request);
        let status = match error {
            QueueError::Limit { .. } => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::PAYLOAD_TOO_LARGE,
        };
        self.answer_with(request, status, TEXT, error.to_string() + "\n");
    }

    /// A hand-off that was on its way can never be done.
    pub(super) fn refused(&mut self, ticket: u64, error: &QueueError) {
        let waited = self.sending.take_if(|(held, _)| *held == ticket).map(|(_, held)| held);
        if let Some(accepted) = waited.or_else(|| self.sent.remove(&ticket)) {
            self.turn_away(accepted.request, error);
        }
    }

    /// A hand-off that waited for room, or was on its way, is done.
    pub(super) fn handed(&mut self, ticket: u64) {
        if let Some(accepted) = self.sent.remove(&ticket) {
            self.accept(accepted);
        }
        if let Some((_, accepted)) = self.sending.take_if(|(held, _)| *held == ticket) {
            self.accept(accepted);
        }
    }

    fn accept(&mut self, accepted: Accepted) {
        self.accepted += accepted.ids.len() as u64;
        if self.replies.is_none() {
            let ids = serde_json::json!({ "ids": accepted.ids }).to_string();
            self.answer_with(accepted.request, StatusCode::ACCEPTED, JSON, ids + "\n");
        }
    }

    /// Gives the answer that is owed to a request, if it still is.
    fn answer_with(&mut self, request: u64, status: StatusCode, media: &'static str, text: String) {
        if let Some((visitor, answer)) = self.answers.remove(&request) {
            self.give(visitor, &answer, status, media, text);
        }
    }

    fn refuse(&mut self, asked: &Asked, status: StatusCode, reason: &str) {
        self.give(asked.visitor, &asked.answer, status, TEXT, format!("{reason}\n"));
    }

    /// Answers a visitor; the last time, the connection closes with it.
    fn give(
        &mut self,
        visitor: u64,
        answer: &Answer,
        status: StatusCode,
        media: &'static str,
        text: String,
    ) {
        let is_last = self.is_stopping();
        if is_last {
            self.closing.insert(visitor);
        }
        answer.give(status, media, text, is_last);
        self.advance(visitor);
    }

    /// Takes what came back from the run.
    pub(super) fn take_replies(&mut self) -> Result<(), QueueError> {
        let Some((port, _)) = &self.replies else { return Ok(()) };
        let port = *port;
        let mut taken = Vec::new();
        self.desk.receive(port, 64, &mut taken)?;
        for reply in taken {
            if reply.event.control.as_ref().is_some_and(|control| control.is_dead()) {
                self.keep(&reply.event);
            }
            if let Some(ended) = self.waiting.end(&reply.event) {
                self.answer(ended);
            }
            let taken = Some((port.connection, reply.receipt));
            self.desk.hand_over(Handoff { taken, outputs: Vec::new() })?;
        }
        Ok(())
    }

    /// A dead letter is in a file too: whoever asked may be gone.
    fn keep(&mut self, letter: &Event) {
        if let Err(failure) = self.dead.append(letter) {
            self.log.failure(&failure);
        }
    }

    fn answer(&mut self, ended: Ended) {
        let mut lines = Vec::new();
        for end in &ended.ends {
            let show = Show { exact: true, control: false };
            if let Err(error) = print_envelope(end, show, &mut lines) {
                self.log.line(&format!("a result of request {}: {error}", ended.request));
            }
        }
        let status = if ended.is_dead { StatusCode::BAD_GATEWAY } else { StatusCode::OK };
        let text = String::from_utf8_lossy(&lines).into_owned();
        self.answer_with(ended.request, status, NDJSON, text);
    }

    /// Turns away what waited too long: for room, or for its results.
    pub(super) fn give_up_late(&mut self) {
        let is_late = |since: &Instant| since.elapsed().as_millis() >= REQUEST_ACCEPT_MAX_MS.into();
        while self.queue.front().is_some_and(|(since, _)| is_late(since)) {
            let Some((_, asked)) = self.queue.pop_front() else { break };
            self.refuse(&asked, StatusCode::SERVICE_UNAVAILABLE, "the first queue is full");
        }
        for request in self.waiting.late(self.options.timeout, Instant::now()) {
            let reason = "the results are not there yet; the invocation goes on\n";
            self.answer_with(request, StatusCode::GATEWAY_TIMEOUT, TEXT, reason.to_owned());
        }
        self.give_up_sending();
    }

    /// What found no room is not taken back: it may go on its way any time,
    /// unless we end.
    fn give_up_sending(&mut self) {
        let Some((_, accepted)) = &self.sending else { return };
        let (request, waited) = (accepted.request, accepted.since.elapsed());
        if self.listener.is_none() && waited >= Duration::from_millis(DRAIN_MAX_MS) {
            self.sending = None;
            self.waiting.forget(request);
            let reason =
                "the first queue is full, and this server stops; part of it may have gone\n";
            self.answer_with(request, StatusCode::GATEWAY_TIMEOUT, TEXT, reason.to_owned());
        } else if waited >= self.options.timeout {
            let reason = "the first queue is full; the event may still be accepted\n";
            self.answer_with(request, StatusCode::GATEWAY_TIMEOUT, TEXT, reason.to_owned());
        }
    }
}
