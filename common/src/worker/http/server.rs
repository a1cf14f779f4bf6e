//! A function that we start and reach by its URL: it is told a port in PORT,
//! and is up when something accepts connections there.

use crate::poll::{Interest, Poller};
use crate::worker::guard::{Guard, Stdio};
use crate::worker::output::output_pipe;
use crate::worker::stderr::Stderr;
use crate::worker::token;
use nix::sys::socket::{setsockopt, sockopt};
use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// How long one attempt to connect may take: it is on this host.
const TRY: Duration = Duration::from_millis(50);

/// See the module.
#[derive(Debug)]
pub struct Server {
    /// What it prints; a server's stdout is talk.
    pub stdout: Stderr,
    /// Its log.
    pub stderr: Stderr,
    /// Where it listens.
    address: SocketAddr,
    began: Instant,
    /// How long it took to be up; none while it is not.
    pub booted: Option<Duration>,
}

impl Server {
    /// Starts it, to listen there.
    ///
    /// # Errors
    /// No descriptors left, or no guard.
    pub fn start(
        guard: &Guard,
        poller: &Poller,
        base: u64,
        process: (u64, usize),
        mut env: Vec<(String, String)>,
        address: SocketAddr,
    ) -> io::Result<Self> {
        let (stdout, their_stdout) = output_pipe()?;
        let (stderr, their_stderr) = output_pipe()?;
        poller.add(&stdout, base | token::STDOUT, Interest::Read)?;
        poller.add(&stderr, base | token::STDERR, Interest::Read)?;
        env.push(("PORT".to_owned(), address.port().to_string()));
        let stdin = File::open("/dev/null")?.into();
        let stdio = Stdio { stdin, stdout: their_stdout, stderr: their_stderr, held: None };
        guard.spawn(process.0, process.1, env, &stdio)?;
        Ok(Self {
            stdout: Stderr::new(stdout),
            stderr: Stderr::new(stderr),
            address,
            began: Instant::now(),
            booted: None,
        })
    }

    /// How long ago it was started.
    pub fn age(&self) -> Duration {
        self.began.elapsed()
    }

    /// Looks whether it accepts connections; `true` when it just began to.
    pub fn look(&mut self) -> bool {
        if self.booted.is_some() {
            return false;
        }
        let connected = TcpStream::connect_timeout(&self.address, TRY);
        if connected.is_ok_and(|stream| !is_connected_to_itself(stream)) {
            self.booted = Some(self.began.elapsed());
        }
        self.booted.is_some()
    }
}

/// A socket that looks for a port nobody listens on may be given that very
/// port as its own, and finds itself. It must not keep the port either, not
/// even for the time a closed connection is remembered.
fn is_connected_to_itself(stream: TcpStream) -> bool {
    let is_it = matches!((stream.local_addr(), stream.peer_addr()), (Ok(a), Ok(b)) if a == b);
    if is_it {
        let at_once = nix::libc::linger { l_onoff: 1, l_linger: 0 };
        // Without it, the port is free a minute later.
        let _ = setsockopt(&stream, sockopt::Linger, &at_once);
    }
    is_it
}

/// A port of the loopback that is free now.
///
/// # Errors
/// There is none.
pub fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
