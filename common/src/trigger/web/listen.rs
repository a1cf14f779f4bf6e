//! Where an HTTP trigger listens.

use crate::error::{Failure, Result};
use crate::exit::Exit;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};

/// An address and a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    host: String,
    port: u16,
    /// The one path that is served.
    pub path: String,
}

impl Listen {
    /// Reads `http://HOST:PORT/PATH`; without a host it is this host alone,
    /// port 0 is any that is free. None for other URLs.
    ///
    /// # Errors
    /// The address is not understood.
    pub fn parse(url: &str) -> Result<Option<Self>> {
        let Some(rest) = url.strip_prefix("http://") else { return Ok(None) };
        let (authority, path) = match rest.split_once('/') {
            Some((authority, path)) => (authority, format!("/{path}")),
            None => (rest, "/".to_owned()),
        };
        let flaw = |reason: &str| {
            Failure::new(Exit::Usage, "listen on", url, reason).cure("http://127.0.0.1:8080/orders")
        };
        let (host, port) = authority.rsplit_once(':').ok_or_else(|| flaw("it names no port"))?;
        let port = port.parse().map_err(|_| flaw("this is no port"))?;
        if path.contains(['?', '#']) {
            return Err(flaw("a path has no query"));
        }
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let host = if host.is_empty() { "127.0.0.1" } else { host }.to_owned();
        Ok(Some(Self { host, port, path }))
    }

    /// Begins to listen.
    ///
    /// # Errors
    /// The port is taken, or not ours to take.
    pub fn bind(&self) -> Result<(TcpListener, SocketAddr)> {
        let object = format!("http://{}:{}{}", self.host, self.port, self.path);
        let failed = |error: &std::io::Error| {
            let failure = Failure::io("listen on", &object, error);
            let exit = match error.kind() {
                std::io::ErrorKind::PermissionDenied => Exit::NotAllowed,
                _ => Exit::Unreachable,
            };
            Failure { exit, ..failure }.cure("another port; 0 takes one that is free")
        };
        let addresses: Vec<SocketAddr> = (self.host.as_str(), self.port)
            .to_socket_addrs()
            .map_err(|error| failed(&error))?
            .collect();
        let listener = TcpListener::bind(&*addresses).map_err(|error| failed(&error))?;
        listener.set_nonblocking(true).map_err(|error| failed(&error))?;
        let address = listener.local_addr().map_err(|error| failed(&error))?;
        Ok((listener, address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_addresses() {
        let listen = Listen::parse("http://127.0.0.1:8080/orders").expect("an address");
        let expected = Listen { host: "127.0.0.1".into(), port: 8080, path: "/orders".into() };
        assert_eq!(listen, Some(expected));
        let host = |url: &str| Listen::parse(url).ok().flatten().map(|l| (l.host, l.path));
        assert_eq!(host("http://:80"), Some(("127.0.0.1".into(), "/".into())));
        assert_eq!(host("http://[::1]:80/"), Some(("::1".into(), "/".into())));
        assert_eq!(Listen::parse("mq:/jobs").ok().flatten(), None);
        for bad in ["http://localhost/", "http://h:x/", "http://h:70000/", "http://h:1/?a"] {
            assert!(Listen::parse(bad).is_err(), "{bad}");
        }
    }
}
