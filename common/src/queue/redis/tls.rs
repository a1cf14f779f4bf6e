//! TLS for connections to servers that speak it.

use super::settings::Settings;
use crate::queue::QueueError;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::io;
use std::net::TcpStream;
use std::sync::Arc;

/// A connection that is encrypted.
pub(super) type Stream = StreamOwned<ClientConnection, TcpStream>;

/// Whom to trust.
///
/// # Errors
/// The file of certificates cannot be read, or there is none.
pub(super) fn config(settings: &Settings) -> Result<Option<Arc<ClientConfig>>, QueueError> {
    if !settings.is_tls {
        return Ok(None);
    }
    let mut roots = RootCertStore::empty();
    match &settings.tls_ca {
        Some(file) => {
            let unread = |error: String| QueueError::NotAllowed {
                what: format!("the certificates in {file} cannot be read: {error}"),
                cure: "tls-ca=FILE, certificates in PEM".to_owned(),
            };
            let found = CertificateDer::pem_file_iter(file).map_err(|e| unread(e.to_string()))?;
            for certificate in found {
                let certificate = certificate.map_err(|error| unread(error.to_string()))?;
                roots.add(certificate).map_err(|error| unread(error.to_string()))?;
            }
            if roots.is_empty() {
                return Err(unread("there is none in it".to_owned()));
            }
        }
        None => {
            let system = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(system.certs);
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| QueueError::io("setting up TLS")(io::Error::other(error)))?;
    Ok(Some(Arc::new(builder.with_root_certificates(roots).with_no_client_auth())))
}

/// Begins to speak TLS on a connection.
///
/// # Errors
/// The host is no name that a certificate could have.
pub(super) fn wrap(config: Arc<ClientConfig>, host: &str, tcp: TcpStream) -> io::Result<Stream> {
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    let connection = ClientConnection::new(config, name).map_err(io::Error::other)?;
    Ok(StreamOwned::new(connection, tcp))
}
