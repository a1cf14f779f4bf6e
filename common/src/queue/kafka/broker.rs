//! A connection to one broker, for questions that are better not asked with
//! librdkafka. It speaks the plain protocol: neither TLS nor SASL.

use bytes::{Buf as _, Bytes, BytesMut};
use kafka_protocol::messages::{ApiVersionsRequest, RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::{Duration, Instant};

/// The port of a broker that is named without one.
const PORT: u16 = 9092;
/// How long a broker may take to accept a connection.
const CONNECT_MAX: Duration = Duration::from_secs(1);
/// The longest answer that is read, in bytes.
const FRAME_MAX: usize = 64 << 20;

/// A question that this asks, and the version of it that a broker has to know.
#[derive(Debug, Clone, Copy)]
pub(super) struct Question {
    /// Its number in the protocol.
    pub(super) key: i16,
    /// Its version.
    pub(super) version: i16,
}

/// A connection to a broker.
#[derive(Debug)]
pub(super) struct Broker {
    stream: TcpStream,
    asked: i32,
}

impl Broker {
    /// Connects to `HOST`, `HOST:PORT` or `[ADDRESS]:PORT`, and sees to it that
    /// the broker knows all these questions.
    ///
    /// # Errors
    /// There is none, it does not answer in time, or it does not know one of
    /// them.
    pub(super) fn connect(
        address: &str,
        questions: &[Question],
        deadline: Instant,
    ) -> io::Result<Self> {
        let mut broker = Self { stream: open(address, deadline)?, asked: 0 };
        let known = broker.ask(0, &ApiVersionsRequest::default(), deadline)?.api_keys;
        let knows = |question: &Question| {
            known.iter().any(|api| {
                api.api_key == question.key
                    && (api.min_version..=api.max_version).contains(&question.version)
            })
        };
        if !questions.iter().all(knows) {
            return Err(ErrorKind::Unsupported.into());
        }
        Ok(broker)
    }

    /// Asks one question and waits for its answer.
    ///
    /// # Errors
    /// The broker went away, takes too long, or answers something else; it is
    /// of no use then.
    pub(super) fn ask<R: Request>(
        &mut self,
        version: i16,
        request: &R,
        deadline: Instant,
    ) -> io::Result<R::Response> {
        self.asked = self.asked.wrapping_add(1);
        let frame = framed(version, self.asked, request)?;
        self.stream.set_write_timeout(Some(left(deadline)?))?;
        self.stream.write_all(&frame)?;
        let mut answer = self.read_frame(deadline)?;
        let header = ResponseHeader::decode(&mut answer, R::Response::header_version(version));
        if header.map_err(invalid)?.correlation_id != self.asked {
            return Err(ErrorKind::InvalidData.into());
        }
        R::Response::decode(&mut answer, version).map_err(invalid)
    }

    fn read_frame(&mut self, deadline: Instant) -> io::Result<Bytes> {
        let mut size = [0; 4];
        self.read(&mut size, deadline)?;
        let size = usize::try_from((&size[..]).get_i32()).map_err(invalid)?;
        if size > FRAME_MAX {
            return Err(ErrorKind::InvalidData.into());
        }
        let mut frame = vec![0; size];
        self.read(&mut frame, deadline)?;
        Ok(frame.into())
    }

    /// Reads so much, however slowly it comes, until the time is over.
    fn read(&mut self, mut into: &mut [u8], deadline: Instant) -> io::Result<()> {
        while !into.is_empty() {
            self.stream.set_read_timeout(Some(left(deadline)?))?;
            match self.stream.read(into) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => into = &mut into[count..],
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// The time until then, if there is any.
fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(left) }
}

fn open(address: &str, deadline: Instant) -> io::Result<TcpStream> {
    let (host, port) = host_and_port(address)?;
    let mut failure = ErrorKind::AddrNotAvailable.into();
    for place in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&place, CONNECT_MAX.min(left(deadline)?)) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// `HOST`, `HOST:PORT`, `ADDRESS`, `[ADDRESS]` or `[ADDRESS]:PORT`, in its parts.
fn host_and_port(address: &str) -> io::Result<(&str, u16)> {
    let after_host = address.rfind(']').unwrap_or(0);
    let (host, port) = match address[after_host..].split_once(':') {
        // More than one is an address of IPv6 by itself.
        Some((_, port)) if !port.contains(':') => {
            let host = &address[..address.len() - port.len() - 1];
            (host, port.parse().map_err(invalid)?)
        }
        _ => (address, PORT),
    };
    Ok((host.trim_start_matches('[').trim_end_matches(']'), port))
}

/// A request as it is sent: its size in four bytes, its header, itself.
fn framed<R: Request>(version: i16, number: i32, request: &R) -> io::Result<BytesMut> {
    let header = RequestHeader::default()
        .with_request_api_key(R::KEY)
        .with_request_api_version(version)
        .with_correlation_id(number)
        .with_client_id(Some(StrBytes::from_static_str("faas")));
    let mut frame = BytesMut::zeroed(4);
    header.encode(&mut frame, R::header_version(version)).map_err(invalid)?;
    request.encode(&mut frame, version).map_err(invalid)?;
    let size = i32::try_from(frame.len() - 4).map_err(invalid)?;
    frame[..4].copy_from_slice(&size.to_be_bytes());
    Ok(frame)
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn addresses_have_a_host_and_a_port() {
        let parts = |address| host_and_port(address).ok();
        assert_eq!(parts("queues.example"), Some(("queues.example", PORT)));
        assert_eq!(parts("queues.example:19"), Some(("queues.example", 19)));
        assert_eq!(parts("[::1]"), Some(("::1", PORT)));
        assert_eq!(parts("[::1]:19"), Some(("::1", 19)));
        assert_eq!(parts("2001:db8::5"), Some(("2001:db8::5", PORT)));
        assert_eq!(parts("queues.example:many"), None);
    }

    /// What comes back when this is what answers.
    fn answered(answer: &'static [u8]) -> ErrorKind {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("it has one").to_string();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a caller");
            let mut size = [0; 4];
            stream.read_exact(&mut size).expect("a size");
            let mut request = vec![0; u32::from_be_bytes(size) as usize];
            stream.read_exact(&mut request).expect("a request");
            stream.write_all(answer).expect("it listens");
        });
        let deadline = Instant::now() + Duration::from_secs(5);
        let failure = Broker::connect(&address, &[], deadline).expect_err("this is no broker");
        server.join().expect("it has answered");
        failure.kind()
    }

    #[test]
    fn what_is_no_answer_is_told_of() {
        assert_eq!(answered(b"HTTP/1.1 400 Bad Request\r\n\r\n"), ErrorKind::InvalidData);
        assert_eq!(answered(b"\xff\xff\xff\xff"), ErrorKind::InvalidData);
        assert_eq!(answered(b""), ErrorKind::UnexpectedEof);
        assert_eq!(answered(b"\0\0\0\x08\0\0\0\x01"), ErrorKind::UnexpectedEof);
        // An answer to something else.
        assert_eq!(answered(b"\0\0\0\x0a\0\0\0\x02\0\0\0\0\0\0"), ErrorKind::InvalidData);
    }
}
