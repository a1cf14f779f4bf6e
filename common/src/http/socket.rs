//! A socket that never blocks. Nothing is woken from here: the descriptor is
//! in the caller's epoll set, edge-triggered, and whoever sees it ready polls
//! the task again.

use crate::dial::dial;
use hyper::rt::{Read, ReadBufCursor, Write};
use std::cell::Cell;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Instant;

/// See the module.
#[derive(Debug)]
pub struct Socket {
    stream: TcpStream,
    /// When something was last written.
    written: Option<Rc<Cell<Instant>>>,
}

impl Socket {
    /// Around a connection that does not block, and another handle of it for
    /// the epoll set.
    ///
    /// # Errors
    /// No descriptors left.
    pub fn of(stream: TcpStream) -> io::Result<(Self, TcpStream)> {
        stream.set_nonblocking(true)?;
        // Requests and answers are whole; waiting to fill a packet helps nobody.
        stream.set_nodelay(true)?;
        let handle = stream.try_clone()?;
        Ok((Self { stream, written: None }, handle))
    }

    /// Keeps in `written` when something was last written.
    pub fn note_writes(&mut self, written: Rc<Cell<Instant>>) {
        self.written = Some(written);
    }

    fn wrote<T>(&self, result: Poll<T>) -> Poll<T> {
        if let (true, Some(written)) = (result.is_ready(), &self.written) {
            written.set(Instant::now());
        }
        result
    }

    /// Begins to connect; a refusal shows when it is first written to.
    ///
    /// # Errors
    /// No descriptors left, or the address cannot be reached at all.
    pub fn connect(address: SocketAddr) -> io::Result<(Self, TcpStream)> {
        Self::of(dial(address)?)
    }
}

/// What would block is pending; the epoll set tells when to try again.
fn pending<T>(result: io::Result<T>) -> Poll<io::Result<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
        other => Poll::Ready(other),
    }
}

fn uninterrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

impl Read for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let mut chunk = [0_u8; 16 << 10];
        let room = buffer.remaining().min(chunk.len());
        pending(uninterrupted(|| self.stream.read(&mut chunk[..room])))
            .map_ok(|len| buffer.put_slice(&chunk[..len]))
    }
}

impl Write for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = uninterrupted(|| self.stream.write(bytes));
        self.wrote(pending(result))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = uninterrupted(|| self.stream.write_vectored(slices));
        self.wrote(pending(result))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The other side may have closed first.
        let _ = self.stream.shutdown(std::net::Shutdown::Write);
        Poll::Ready(Ok(()))
    }
}
