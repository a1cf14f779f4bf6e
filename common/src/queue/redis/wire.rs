//! One connection to a server: commands go out, values come in, and nothing
//! ever waits. Commands are written by the redis crate and values read by
//! redis-protocol: the former's own reader takes four times as long.

use super::tls;
use redis::{Cmd, Value};
use redis_protocol::resp2::decode::decode_range;
use redis_protocol::resp2::types::RangeFrame;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};

/// Most bytes taken in at once.
const SCRATCH: usize = 32 << 10;

/// See the module.
pub(super) struct Wire {
    stream: Stream,
    out: Vec<u8>,
    written: usize,
    /// What came and is not read: from `read` on.
    input: Vec<u8>,
    read: usize,
    /// Where the next bytes come to first.
    scratch: Box<[u8]>,
    /// Whether a read took all there was: nothing more is read until we are
    /// told that more came.
    is_drained: bool,
}

/// What the bytes go over.
pub(super) enum Stream {
    /// As they are.
    Plain(TcpStream),
    /// Encrypted.
    Tls(Box<tls::Stream>),
}

impl Wire {
    pub(super) fn new(stream: Stream) -> Self {
        Self {
            stream,
            out: Vec::new(),
            written: 0,
            input: Vec::new(),
            read: 0,
            scratch: vec![0; SCRATCH].into_boxed_slice(),
            is_drained: false,
        }
    }

    /// Adds a command to what goes out next.
    pub(super) fn send(&mut self, command: &Cmd) {
        command.write_packed_command(&mut self.out);
    }

    /// Adds commands that were packed before.
    pub(super) fn send_packed(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// Writes what goes out, as far as there is room.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        while self.written < self.out.len() {
            match self.stream.write(&self.out[self.written..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(len) => self.written += len,
                Err(error) if is_for_later(&error) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.out.clear();
        self.written = 0;
        match self.stream.flush() {
            Err(error) if !is_for_later(&error) => Err(error),
            _ => Ok(()),
        }
    }

    /// Whether something waits to be written.
    pub(super) fn has_unsent(&self) -> bool {
        self.written < self.out.len()
    }

    /// More may have come.
    pub(super) fn rouse(&mut self) {
        self.is_drained = false;
    }

    /// The next value; none until more has come.
    pub(super) fn next(&mut self) -> io::Result<Option<Value>> {
        loop {
            let input = &self.input[self.read..];
            if let Some((frame, len)) = decode_range(input).map_err(is_no_value)? {
                let value = value(input, frame)?;
                self.read += len;
                return Ok(Some(value));
            }
            self.input.drain(..std::mem::take(&mut self.read));
            match self.take_in() {
                Ok(()) => {}
                Err(error) if is_for_later(&error) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }

    /// Takes in some of what came.
    fn take_in(&mut self) -> io::Result<()> {
        loop {
            let read = match &mut self.stream {
                _ if self.is_drained => Err(io::ErrorKind::WouldBlock.into()),
                Stream::Plain(stream) => {
                    let read = stream.read(&mut self.scratch);
                    self.is_drained = match &read {
                        Ok(len) => (1..self.scratch.len()).contains(len),
                        Err(error) => is_for_later(error),
                    };
                    read
                }
                Stream::Tls(stream) => stream.read(&mut self.scratch),
            };
            match read {
                Ok(0) => {
                    let what = "it closed the connection";
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, what));
                }
                Ok(len) => {
                    self.input.extend_from_slice(&self.scratch[..len]);
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// What came is not what a server says.
fn is_no_value(error: impl std::error::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error.to_string())
}

/// A value whose bytes are in `input`.
fn value(input: &[u8], frame: RangeFrame) -> io::Result<Value> {
    let text = |(from, to): (usize, usize)| String::from_utf8_lossy(&input[from..to]).into_owned();
    Ok(match frame {
        RangeFrame::SimpleString((from, to)) if &input[from..to] == b"OK" => Value::Okay,
        RangeFrame::SimpleString(range) => Value::SimpleString(text(range)),
        RangeFrame::BulkString((from, to)) => Value::BulkString(input[from..to].to_vec()),
        RangeFrame::Integer(number) => Value::Int(number),
        RangeFrame::Null => Value::Nil,
        RangeFrame::Array(frames) => Value::Array(
            frames.into_iter().map(|frame| value(input, frame)).collect::<io::Result<_>>()?,
        ),
        // What it means is for the redis crate to say.
        RangeFrame::Error(range) => {
            redis::parse_redis_value(format!("-{}\r\n", text(range)).as_bytes())
                .map_err(is_no_value)?
        }
    })
}

/// Not connected yet, or nothing to read, or no room.
fn is_for_later(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected)
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

impl AsFd for Wire {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.stream {
            Stream::Plain(stream) => stream.as_fd(),
            Stream::Tls(stream) => stream.sock.as_fd(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn pair() -> (Wire, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("it has one");
        let stream = crate::dial::dial(address).expect("it begins");
        let (server, _) = listener.accept().expect("it comes");
        (Wire::new(Stream::Plain(stream)), server)
    }

    /// A value that comes in pieces is the same value.
    #[test]
    fn values_come_in_pieces() {
        let (mut wire, mut server) = pair();
        let body = vec![b'x'; 100_000];
        let mut sent = format!("*2\r\n:7\r\n${}\r\n", body.len()).into_bytes();
        sent.extend_from_slice(&body);
        sent.extend_from_slice(b"\r\n+OK\r\n");
        let mut came = Vec::new();
        for piece in sent.chunks(9_973) {
            server.write_all(piece).expect("it is sent");
            std::thread::sleep(std::time::Duration::from_millis(2));
            wire.rouse();
            while let Some(value) = wire.next().expect("it is understood") {
                came.push(value);
            }
        }
        let expected = [Value::Array(vec![Value::Int(7), Value::BulkString(body)]), Value::Okay];
        assert!(came == expected);
        drop(server);
        wire.rouse();
        assert_eq!(wire.next().map_err(|e| e.kind()), Err(io::ErrorKind::UnexpectedEof));
    }

    fn said(text: &[u8]) -> io::Result<Vec<Value>> {
        let (mut wire, mut server) = pair();
        server.write_all(text).expect("it is sent");
        std::thread::sleep(std::time::Duration::from_millis(20));
        wire.rouse();
        let mut came = Vec::new();
        while let Some(value) = wire.next()? {
            came.push(value);
        }
        Ok(came)
    }

    #[test]
    fn each_kind_is_what_it_is() {
        let came = said(b"+fine\r\n$-1\r\n*-1\r\n*0\r\n$0\r\n\r\n-NOSCRIPT none\r\n:-2\r\n");
        let came = came.expect("values");
        let [fine, nil, none, empty, blank, Value::ServerError(error), Value::Int(-2)] = &came[..]
        else {
            panic!("{came:?}");
        };
        assert_eq!(fine, &Value::SimpleString("fine".to_owned()));
        assert_eq!((nil, none, empty), (&Value::Nil, &Value::Nil, &Value::Array(Vec::new())));
        assert_eq!(blank, &Value::BulkString(Vec::new()));
        assert_eq!((error.code(), error.details()), ("NOSCRIPT", Some("none")));
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        let error = said(b"HTTP/1.1 400 Bad Request\r\n\r\n").expect_err("no value");
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}
