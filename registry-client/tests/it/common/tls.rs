//! Certificates made by openssl, and a door that speaks TLS before a plain server.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// An authority.
pub struct Authority {
    pub dir: TempDir,
}

fn openssl(dir: &Path, args: &str) -> Option<()> {
    let done = Command::new("openssl").args(args.split(' ')).current_dir(dir).output().ok()?;
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    Some(())
}

const KEY: &str = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";

impl Authority {
    /// `None`, with the reason printed, without openssl.
    pub fn new() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let made = openssl(
            dir.path(),
            &format!("req -x509 {KEY} -days 2 -keyout ca.key -out ca.pem -subj /CN=authority"),
        );
        if made.is_none() {
            let _ = std::io::Write::write_all(&mut std::io::stderr(), b"skipped: no openssl\n");
        }
        made.map(|()| Self { dir })
    }

    pub fn pem(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// A certificate with these names, such as `IP:127.0.0.1`, good for so many days; its files' name.
    pub fn issue(&self, file: &str, names: &str, days: i32) -> (PathBuf, PathBuf) {
        let dir = self.dir.path();
        openssl(dir, &format!("req {KEY} -keyout {file}.key -out {file}.csr -subj /CN={file}")).unwrap();
        let extensions = format!("subjectAltName={names}\nbasicConstraints=CA:FALSE\n");
        std::fs::write(dir.join(format!("{file}.ext")), extensions).unwrap();
        let sign = format!(
            "x509 -req -in {file}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days {days} -extfile {file}.ext -out {file}.pem"
        );
        openssl(dir, &sign).unwrap();
        (dir.join(format!("{file}.pem")), dir.join(format!("{file}.key")))
    }
}

/// A TLS listener that passes on what it decrypts.
pub struct Door {
    pub address: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for Door {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Door {
    /// A door at `at` to a plain server; with `clients`, only who shows a certificate of that authority is let in.
    pub async fn open(
        at: &str,
        to: SocketAddr,
        (certificate, key): &(PathBuf, PathBuf),
        clients: Option<&Authority>,
    ) -> Self {
        let acceptor = acceptor((certificate, key), clients, &[]);
        let listener = TcpListener::bind(at).await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let mut inside = acceptor.accept(stream).await.ok()?;
                    let mut outside = TcpStream::connect(to).await.ok()?;
                    tokio::io::copy_bidirectional(&mut inside, &mut outside).await.ok()
                });
            }
        });
        Self { address, task }
    }
}

/// What speaks TLS with a certificate, and one of these protocols inside.
pub fn acceptor(
    (certificate, key): (&Path, &Path),
    clients: Option<&Authority>,
    protocols: &[&[u8]],
) -> TlsAcceptor {
    let chain = CertificateDer::pem_file_iter(certificate).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(key).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
    let config = match clients {
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from_pem_file(authority.pem()).unwrap()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            config.unwrap().with_client_cert_verifier(verifier.build().unwrap())
        }
        None => config.unwrap().with_no_client_auth(),
    };
    let mut config = config.with_single_cert(chain, key).unwrap();
    config.alpn_protocols = protocols.iter().map(|p| p.to_vec()).collect();
    TlsAcceptor::from(Arc::new(config))
}
