//! One connection to a function, with at most one call on it.

use super::reply::Reply;
use crate::event::{Body, Event, Show, print_envelope};
use crate::http::binding::{self, STRUCTURED};
use crate::http::body::Outbound;
use crate::http::socket::Socket;
use crate::http::task::{self, Alarm, Task};
use crate::limits::BODY_MAX;
use http_body_util::{BodyExt, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, USER_AGENT};
use hyper::{Method, Request};
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::task::Poll;

/// Why no answer came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// The connection was closed before the request was taken from it: on one
    /// that was kept alive, the server was about to close it.
    Stale,
    /// Nothing listens there.
    Refused,
    /// Something else; in words.
    Failed(String),
    /// The answer's body is over the limit.
    TooLarge,
}

/// What a function is asked.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The event.
    pub event: &'a Event,
    /// Structured mode instead of binary.
    pub whole_event: bool,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// `Host`.
    pub host: &'a str,
    /// Path and query.
    pub path: &'a str,
    /// `Authorization`.
    pub authorization: Option<&'a str>,
}

type Answer = (SendRequest<Outbound>, Result<Reply, Trouble>);

/// See the module.
pub struct Connection {
    handle: TcpStream,
    driver: Option<Task<hyper::Result<()>>>,
    sender: Option<SendRequest<Outbound>>,
    exchange: Option<Task<Answer>>,
    alarm: Arc<Alarm>,
    calls: u64,
    /// What ended the connection, if it did not just close.
    failure: Option<Trouble>,
}

impl Connection {
    /// Begins to connect.
    ///
    /// # Errors
    /// No descriptors left, or the address cannot be reached at all.
    pub fn open(address: SocketAddr) -> io::Result<Self> {
        let (socket, handle) = Socket::connect(address)?;
        let alarm = Alarm::new();
        let mut handshake: Task<_> = Box::pin(http1::handshake(socket));
        let Poll::Ready(made) = task::poll(&alarm, &mut handshake) else {
            return Err(io::Error::other("the handshake of HTTP/1.1 waits for something"));
        };
        let (sender, driver) = made.map_err(io::Error::other)?;
        Ok(Self {
            handle,
            driver: Some(Box::pin(driver)),
            sender: Some(sender),
            exchange: None,
            alarm,
            calls: 0,
            failure: None,
        })
    }

    /// Whether it is open, has no call, and has sent all of the last one's.
    pub fn is_idle(&self) -> bool {
        self.driver.is_some() && self.sender.as_ref().is_some_and(SendRequest::is_ready)
    }

    /// Whether nothing can come from it any more.
    pub fn is_over(&self) -> bool {
        self.exchange.is_none() && !self.is_idle()
    }

    /// Whether it has carried a call before the present one.
    pub fn was_used(&self) -> bool {
        self.calls > 1
    }

    /// Asks; the answer comes from [`Connection::advance`].
    ///
    /// # Errors
    /// The event cannot be a request; in words.
    pub fn ask(&mut self, question: &Question<'_>) -> Result<(), String> {
        let Some(mut sender) = self.sender.take() else {
            return Err("the connection has a call already".to_owned());
        };
        let request = match request(question) {
            Ok(request) => request,
            Err(error) => {
                self.sender = Some(sender);
                return Err(error);
            }
        };
        self.calls += 1;
        self.exchange = Some(Box::pin(async move {
            let answer = exchange(&mut sender, request).await;
            (sender, answer)
        }));
        Ok(())
    }

    /// Goes on as far as the socket lets it; an answer, if one is complete.
    pub fn advance(&mut self) -> Option<Result<Reply, Trouble>> {
        let mut answer = None;
        loop {
            self.alarm.take();
            if let Some(driver) = &mut self.driver
                && let Poll::Ready(ended) = task::poll(&self.alarm, driver)
            {
                self.driver = None;
                self.failure = ended.err().map(|error| failure(&error));
            }
            if let Some(exchange) = &mut self.exchange
                && let Poll::Ready((sender, came)) = task::poll(&self.alarm, exchange)
            {
                self.exchange = None;
                self.sender = Some(sender);
                answer = Some(self.explained(came));
            }
            if !self.alarm.take() {
                return answer;
            }
        }
    }

    /// A first call that was never taken failed for what ended the connection.
    fn explained(&self, came: Result<Reply, Trouble>) -> Result<Reply, Trouble> {
        match (came, &self.failure) {
            (Err(Trouble::Stale), Some(reason)) if !self.was_used() => Err(reason.clone()),
            (came, _) => came,
        }
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.handle.as_fd()
    }
}

async fn exchange(
    sender: &mut SendRequest<Outbound>,
    request: Request<Outbound>,
) -> Result<Reply, Trouble> {
    let response = sender.send_request(request).await.map_err(|error| trouble(&error))?;
    let (head, body) = response.into_parts();
    let most = usize::try_from(BODY_MAX).unwrap_or(usize::MAX);
    let body = Limited::new(body, most).collect().await;
    let bytes = match body {
        Ok(body) => body.to_bytes().to_vec(),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => {
            return Err(Trouble::TooLarge);
        }
        Err(error) => return Err(Trouble::Failed(innermost(error.as_ref()))),
    };
    Ok(Reply { status: head.status.as_u16(), headers: head.headers, body: bytes })
}

fn trouble(error: &hyper::Error) -> Trouble {
    // Not sent, or closed with nothing said.
    if error.is_canceled() || error.is_closed() || error.is_incomplete_message() {
        Trouble::Stale
    } else {
        Trouble::Failed(innermost(error))
    }
}

fn failure(error: &(dyn std::error::Error + 'static)) -> Trouble {
    let mut source = error;
    while let Some(next) = source.source() {
        source = next;
    }
    let kind = source.downcast_ref::<io::Error>().map(io::Error::kind);
    match kind {
        Some(io::ErrorKind::ConnectionRefused) => Trouble::Refused,
        _ => Trouble::Failed(innermost(error)),
    }
}

/// The error at the bottom, which says what happened.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    match error.downcast_ref::<io::Error>() {
        Some(error) => crate::error::plain_io(error),
        None => error.to_string(),
    }
}

fn request(question: &Question<'_>) -> Result<Request<Outbound>, String> {
    let event = question.event;
    let mut headers = HeaderMap::new();
    let body = if question.whole_event {
        let mut line = Vec::new();
        print_envelope(event, Show { exact: true, control: false }, &mut line)
            .map_err(|error| crate::error::plain_io(&error))?;
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(STRUCTURED));
        Some(Body::Inline(line))
    } else {
        headers = binding::headers_of(event);
        event.body.clone()
    };
    let mut put = |name: hyper::header::HeaderName, value: &str| {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    };
    put(HOST, question.host);
    put(USER_AGENT, concat!("faas-tools/", env!("CARGO_PKG_VERSION")));
    put(hyper::header::HeaderName::from_static("idempotency-key"), &event.id);
    put(hyper::header::HeaderName::from_static("faas-attempt"), &question.attempt.to_string());
    for name in ["traceparent", "tracestate"] {
        if let Some(value) = event.text(name) {
            put(hyper::header::HeaderName::from_static(name), value);
        }
    }
    if let Some(authorization) = question.authorization {
        put(AUTHORIZATION, authorization);
    }
    let mut request = Request::new(Outbound::new(body));
    *request.method_mut() = Method::POST;
    *request.uri_mut() =
        question.path.parse().map_err(|_| format!("`{}` is no path", question.path))?;
    *request.headers_mut() = headers;
    Ok(request)
}
