//! Where a URL leads.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::Uri;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};

/// A URL, taken apart. Its names are looked up once and again after a
/// connection failed.
#[derive(Debug, Clone)]
pub struct Endpoint {
    host: String,
    port: Option<u16>,
    path: String,
    /// `Authorization`, if the URL names a user.
    pub authorization: Option<String>,
    addresses: Vec<SocketAddr>,
    turn: usize,
}

/// Why a URL leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// It is no URL of HTTP.
    #[error("not an HTTP URL")]
    NotHttp,
    /// TLS is not built in.
    #[error("not yet: https")]
    Tls,
}

impl Endpoint {
    /// Takes a URL apart.
    ///
    /// # Errors
    /// It is none, or none we can call.
    pub fn parse(url: &str) -> Result<Self, EndpointError> {
        let uri: Uri = url.parse().map_err(|_| EndpointError::NotHttp)?;
        let authority = uri.authority().ok_or(EndpointError::NotHttp)?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => return Err(EndpointError::Tls),
            _ => return Err(EndpointError::NotHttp),
        }
        let user = authority.as_str().rsplit_once('@').map(|(user, _)| user);
        Ok(Self {
            host: authority.host().to_owned(),
            port: authority.port_u16(),
            path: uri.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
            authorization: user.map(|user| format!("Basic {}", STANDARD.encode(user))),
            addresses: Vec::new(),
            turn: 0,
        })
    }

    /// The port the URL names; 0 means any that is free.
    pub fn port(&self) -> Option<u16> {
        self.port.filter(|port| *port > 0)
    }

    /// Sets the port of a server that was started for this URL.
    pub fn set_port(&mut self, port: u16) {
        self.port = Some(port);
        self.addresses.clear();
    }

    /// Path and query, for the request line.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// `Host`.
    pub fn host(&self) -> String {
        match self.port {
            Some(port) => format!("{}:{port}", self.host),
            None => self.host.clone(),
        }
    }

    /// The next address to try.
    ///
    /// # Errors
    /// The name is unknown.
    pub fn address(&mut self) -> io::Result<SocketAddr> {
        if self.addresses.is_empty() {
            let host = self.host.trim_start_matches('[').trim_end_matches(']');
            self.addresses = (host, self.port.unwrap_or(80)).to_socket_addrs()?.collect();
        }
        let none = || io::Error::new(io::ErrorKind::NotFound, "the host has no address");
        let index = self.turn.checked_rem(self.addresses.len()).ok_or_else(none)?;
        Ok(self.addresses[index])
    }

    /// A connection failed: the next address has its turn, and after the last
    /// the name is looked up again.
    pub fn failed(&mut self) {
        self.turn += 1;
        if self.turn >= self.addresses.len() {
            self.turn = 0;
            self.addresses.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_urls_apart() {
        let endpoint = Endpoint::parse("http://ada:secret@[::1]:8081/a/b?c=d").expect("a URL");
        assert_eq!((endpoint.host().as_str(), endpoint.path()), ("[::1]:8081", "/a/b?c=d"));
        assert_eq!(endpoint.authorization.as_deref(), Some("Basic YWRhOnNlY3JldA=="));
        assert_eq!(Endpoint::parse("http://h").map(|e| e.path().to_owned()), Ok("/".to_owned()));
        assert_eq!(Endpoint::parse("http://h:0/").map(|e| e.port()), Ok(None));
    }

    #[test]
    fn others_are_refused() {
        for url in ["", "h", "ftp://h/", "/path", "http://"] {
            assert_eq!(Endpoint::parse(url).map(drop), Err(EndpointError::NotHttp), "{url}");
        }
        assert_eq!(Endpoint::parse("https://h/").map(drop), Err(EndpointError::Tls));
    }

    #[test]
    fn addresses_take_turns() {
        let mut endpoint = Endpoint::parse("http://127.0.0.1:8081/").expect("a URL");
        let first = endpoint.address().expect("an address");
        endpoint.failed();
        assert_eq!(endpoint.address().expect("an address"), first);
    }
}
