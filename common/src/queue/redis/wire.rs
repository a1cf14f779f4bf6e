//! One connection to a server: commands go out, values come in, and nothing
//! ever waits. What goes out is packed by the redis crate; what comes in is
//! taken apart by redis-protocol, in a quarter of the time.

use super::tls;
use redis::{Cmd, Value};
use redis_protocol::resp2::decode::decode_range;
use redis_protocol::resp2::types::RangeFrame;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};

/// Bytes read at once.
const CHUNK: usize = 64 << 10;
/// Room for what comes that is kept, once it was needed.
const ROOM_KEPT: usize = 1 << 20;

/// See the module.
pub(super) struct Wire {
    stream: Stream,
    out: Vec<u8>,
    written: usize,
    /// Where a read puts what comes.
    chunk: Box<[u8]>,
    /// What has come, and how much of it was parsed.
    came: Vec<u8>,
    parsed: usize,
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
        let chunk = vec![0; CHUNK].into_boxed_slice();
        let (out, came) = (Vec::new(), Vec::new());
        Self { stream, out, written: 0, chunk, came, parsed: 0, is_drained: false }
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
            if let Some(value) = self.parse()? {
                return Ok(Some(value));
            }
            if self.is_drained || !self.read()? {
                return Ok(None);
            }
        }
    }

    /// A value of what has come.
    fn parse(&mut self) -> io::Result<Option<Value>> {
        let came = &self.came[self.parsed..];
        if came.is_empty() {
            return Ok(None);
        }
        let told = decode_range(came).map_err(|error| invalid(&error))?;
        let Some((frame, len)) = told else { return Ok(None) };
        let value = value(&frame, came)?;
        self.parsed += len;
        if self.parsed == self.came.len() {
            self.came.clear();
            self.came.shrink_to(ROOM_KEPT);
            self.parsed = 0;
        }
        Ok(Some(value))
    }

    /// Takes in what has come; false when that was nothing.
    fn read(&mut self) -> io::Result<bool> {
        // What was parsed makes room.
        self.came.drain(..std::mem::take(&mut self.parsed));
        loop {
            let read = match &mut self.stream {
                Stream::Plain(stream) => stream.read(&mut self.chunk),
                Stream::Tls(stream) => stream.read(&mut self.chunk),
            };
            match read {
                Ok(0) => {
                    let what = "it closed the connection";
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, what));
                }
                Ok(len) => {
                    self.came.extend_from_slice(&self.chunk[..len]);
                    let is_plain = matches!(self.stream, Stream::Plain(_));
                    self.is_drained = is_plain && len < self.chunk.len();
                    return Ok(true);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_for_later(&error) => {
                    self.is_drained = matches!(self.stream, Stream::Plain(_));
                    return Ok(false);
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// A frame of these bytes, as the redis crate has it.
fn value(frame: &RangeFrame, bytes: &[u8]) -> io::Result<Value> {
    Ok(match frame {
        RangeFrame::BulkString((begin, end)) => Value::BulkString(bytes[*begin..*end].to_vec()),
        RangeFrame::Integer(number) => Value::Int(*number),
        RangeFrame::Null => Value::Nil,
        RangeFrame::Array(frames) => {
            let values = frames.iter().map(|frame| value(frame, bytes));
            Value::Array(values.collect::<io::Result<_>>()?)
        }
        RangeFrame::SimpleString((begin, end)) => match &bytes[*begin..*end] {
            b"OK" => Value::Okay,
            text => Value::SimpleString(String::from_utf8_lossy(text).into_owned()),
        },
        RangeFrame::Error((begin, end)) => {
            // Only the crate's own parser makes its errors.
            let line = [b"-", &bytes[*begin..*end], b"\r\n"].concat();
            redis::parse_redis_value(&line).map_err(|error| invalid(&error))?
        }
    })
}

fn invalid(error: &dyn std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error.to_string())
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

    /// A value that comes in pieces is the same value.
    #[test]
    fn values_come_in_pieces() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("it has one");
        let stream = crate::dial::dial(address).expect("it begins");
        let mut wire = Wire::new(Stream::Plain(stream));
        let (mut server, _) = listener.accept().expect("it comes");
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
}
