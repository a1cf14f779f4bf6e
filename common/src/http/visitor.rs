//! A connection of somebody who asks us: requests are handed out whole, and
//! answered when the answer is there.

use super::body::Outbound;
use super::socket::Socket;
use super::task::{self, Alarm, Task};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

/// What is asked for.
#[derive(Debug)]
pub struct Asked {
    /// Whose request it is.
    pub visitor: u64,
    /// The method.
    pub method: Method,
    /// The path, without its query.
    pub path: String,
    /// Headers.
    pub headers: HeaderMap,
    /// The body; none if it is over the limit.
    pub body: Option<Vec<u8>>,
    /// Where the answer goes.
    pub answer: Answer,
}

/// Where an answer goes: filled once.
#[derive(Debug, Clone, Default)]
pub struct Answer(Rc<RefCell<Option<Response<Outbound>>>>);

impl Answer {
    /// Answers with a text for people or programs; `is_last` closes the
    /// connection afterwards.
    pub fn give(&self, status: StatusCode, media: &'static str, text: String, is_last: bool) {
        let mut response = Response::new(Outbound::from(text));
        *response.status_mut() = status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media));
        if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if is_last {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        *self.0.borrow_mut() = Some(response);
    }
}

/// What a visitor is at, and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing of a request has come, or part of its headers.
    Quiet,
    /// Its body comes.
    Sending,
    /// It waits for its answer.
    Waiting,
}

/// How long a visitor may take.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Until the headers of a request are there.
    pub headers: Duration,
    /// Until its body is.
    pub body: Duration,
}

/// See the module.
pub struct Visitor {
    handle: TcpStream,
    driver: Option<Task<hyper::Result<()>>>,
    alarm: Arc<Alarm>,
    stage: Rc<Cell<(Stage, Instant)>>,
    /// When something was last written to it.
    written: Rc<Cell<Instant>>,
}

/// Requests that are whole, of all visitors.
pub type Inbox = Rc<RefCell<Vec<Asked>>>;

impl Visitor {
    /// Receives somebody; bodies up to `body_max` bytes are accepted.
    ///
    /// # Errors
    /// No descriptors left.
    pub fn receive(
        number: u64,
        stream: TcpStream,
        body_max: usize,
        inbox: Inbox,
    ) -> io::Result<Self> {
        let (mut socket, handle) = Socket::of(stream)?;
        let written = Rc::new(Cell::new(Instant::now()));
        socket.note_writes(written.clone());
        let stage = Rc::new(Cell::new((Stage::Quiet, Instant::now())));
        let seen = stage.clone();
        let service = service_fn(move |request| {
            let (inbox, stage) = (inbox.clone(), seen.clone());
            async move {
                let asked = asked(number, request, body_max, &stage).await;
                Ok::<_, Infallible>(answered(asked, &inbox, &stage).await)
            }
        });
        // Who has said all may still want an answer.
        let connection = http1::Builder::new().half_close(true).serve_connection(socket, service);
        let driver: Task<_> = Box::pin(connection);
        Ok(Self { handle, driver: Some(driver), alarm: Alarm::new(), stage, written })
    }

    /// Goes on as far as the socket lets it; `false` when it is gone.
    pub fn advance(&mut self) -> bool {
        while let Some(driver) = &mut self.driver {
            self.alarm.take();
            if task::poll(&self.alarm, driver).is_ready() {
                self.driver = None;
            } else if !self.alarm.take() {
                break;
            }
        }
        self.driver.is_some()
    }

    /// Whether nothing could be written to it for so long.
    pub fn is_stalled(&self, patience: Duration) -> bool {
        self.written.get().elapsed() >= patience
    }

    /// Whether it takes longer than it may.
    pub fn is_late(&self, patience: Patience) -> bool {
        let (stage, since) = self.stage.get();
        match stage {
            // It may still be reading its last answer.
            Stage::Quiet => since.max(self.written.get()).elapsed() > patience.headers,
            Stage::Sending => since.elapsed() > patience.body,
            Stage::Waiting => false,
        }
    }
}

impl AsFd for Visitor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.handle.as_fd()
    }
}

/// The whole request; none when its sender is gone.
async fn asked(
    visitor: u64,
    request: Request<Incoming>,
    body_max: usize,
    stage: &Cell<(Stage, Instant)>,
) -> Option<Asked> {
    stage.set((Stage::Sending, Instant::now()));
    let (head, body) = request.into_parts();
    let body = match Limited::new(body, body_max).collect().await {
        Ok(body) => Some(body.to_bytes().to_vec()),
        Err(error) if error.is::<LengthLimitError>() => None,
        Err(_) => return None,
    };
    let path = head.uri.path().to_owned();
    let answer = Answer::default();
    Some(Asked { visitor, method: head.method, path, headers: head.headers, body, answer })
}

async fn answered(
    asked: Option<Asked>,
    inbox: &Inbox,
    stage: &Cell<(Stage, Instant)>,
) -> Response<Outbound> {
    let Some(asked) = asked else { return Response::new(Outbound::new(None)) };
    stage.set((Stage::Waiting, Instant::now()));
    let answer = asked.answer.clone();
    inbox.borrow_mut().push(asked);
    let response = poll_fn(|_| match answer.0.borrow_mut().take() {
        Some(response) => Poll::Ready(response),
        None => Poll::Pending,
    });
    let response = response.await;
    stage.set((Stage::Quiet, Instant::now()));
    response
}
