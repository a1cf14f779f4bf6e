//! One connection to a server: commands go out, values come in, and nothing
//! ever waits. The protocol itself is the redis crate's.

use super::tls;
use redis::{Cmd, Parser, Value};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};

/// See the module.
pub(super) struct Wire {
    stream: Stream,
    out: Vec<u8>,
    written: usize,
    parser: Parser,
    /// Whether a read took all there was: nothing more is read until we are
    /// told that more came.
    is_drained: bool,
    /// Whether all that was read is parsed too, as far as it goes.
    is_parsed: bool,
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
        let (out, parser) = (Vec::new(), Parser::new());
        Self { stream, out, written: 0, parser, is_drained: false, is_parsed: false }
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
        self.is_parsed = false;
    }

    /// The next value; none until more has come.
    pub(super) fn next(&mut self) -> io::Result<Option<Value>> {
        if self.is_parsed {
            return Ok(None);
        }
        let mut source =
            Source { stream: &mut self.stream, is_drained: &mut self.is_drained, ended: None };
        match self.parser.parse_value(&mut source) {
            Ok(value) => Ok(Some(value)),
            Err(error) => match source.ended {
                Some(ended) if is_for_later(&ended) => {
                    self.is_parsed = self.is_drained;
                    Ok(None)
                }
                Some(ended) => Err(ended),
                None => Err(io::Error::new(io::ErrorKind::InvalidData, error.to_string())),
            },
        }
    }
}

/// Not connected yet, or nothing to read, or no room.
fn is_for_later(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected)
}

/// Keeps why reading ended: the parser only says that it did.
struct Source<'a> {
    stream: &'a mut Stream,
    is_drained: &'a mut bool,
    ended: Option<io::Error>,
}

impl Read for Source<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = match &mut *self.stream {
                _ if *self.is_drained => Err(io::ErrorKind::WouldBlock.into()),
                Stream::Plain(stream) => {
                    let read = stream.read(buffer);
                    *self.is_drained = match &read {
                        Ok(len) => (1..buffer.len()).contains(len),
                        Err(error) => is_for_later(error),
                    };
                    read
                }
                Stream::Tls(stream) => stream.read(buffer),
            };
            let error = match read {
                Ok(len @ 1..) => return Ok(len),
                Ok(0) => io::Error::new(io::ErrorKind::UnexpectedEof, "it closed the connection"),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => error,
            };
            let told = error.kind().into();
            self.ended = Some(error);
            return Err(told);
        }
    }
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
