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
        Self::named("authority")
    }

    /// An authority of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::with(name, "")
    }

    /// An authority that may vouch for some names only, such as `permitted;DNS:.near.test`.
    pub fn limited_to(constraints: &str) -> Option<Self> {
        Self::with("authority", &format!(" -addext nameConstraints=critical,{constraints}"))
    }

    fn with(name: &str, more: &str) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let made = openssl(
            dir.path(),
            &format!("req -x509 {KEY} -days 2 -keyout ca.key -out ca.pem -subj /CN={name}{more}"),
        );
        if made.is_none() {
            let _ = std::io::Write::write_all(&mut std::io::stderr(), b"skipped: no openssl\n");
        }
        made.map(|()| Self { dir })
    }

    pub fn pem(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// An authority that this one has signed; its chain begins with its own certificate.
    pub fn deputy(&self, constraints: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for file in ["ca.pem", "ca.key"] {
            std::fs::copy(self.dir.path().join(file), dir.path().join(format!("top-{file}"))).unwrap();
        }
        openssl(dir.path(), &format!("req {KEY} -keyout ca.key -out ca.csr -subj /CN=deputy")).unwrap();
        let extensions =
            format!("basicConstraints=critical,CA:TRUE\nnameConstraints=critical,{constraints}\n");
        std::fs::write(dir.path().join("ca.ext"), extensions).unwrap();
        let sign = "x509 -req -in ca.csr -CA top-ca.pem -CAkey top-ca.key -CAcreateserial -days 2 -extfile ca.ext -out ca.pem";
        openssl(dir.path(), sign).unwrap();
        Self { dir }
    }

    /// A server's certificate that nobody else has signed.
    pub fn self_signed(&self, names: &str) -> (PathBuf, PathBuf) {
        let dir = self.dir.path();
        let make = format!(
            "req -x509 {KEY} -days 2 -keyout self.key -out self.pem -subj /CN=self -addext subjectAltName={names} -addext basicConstraints=critical,CA:FALSE"
        );
        openssl(dir, &make).unwrap();
        (dir.join("self.pem"), dir.join("self.key"))
    }

    /// A certificate with these names, such as `IP:127.0.0.1`, good for so many days; its files' name.
    pub fn issue(&self, file: &str, names: &str, days: i32) -> (PathBuf, PathBuf) {
        self.request(file, names);
        let sign = format!(
            "x509 -req -in {file}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days {days} -extfile {file}.ext -out {file}.pem"
        );
        openssl(self.dir.path(), &sign).unwrap();
        self.files(file)
    }

    /// One that is good between two times, such as `240131235959Z`.
    pub fn issue_for(&self, file: &str, names: &str, (from, until): (&str, &str)) -> (PathBuf, PathBuf) {
        self.request(file, names);
        let dir = self.dir.path();
        let settings = "[ca]\ndefault_ca=d\n[d]\ndatabase=index\nnew_certs_dir=.\nrand_serial=yes\ndefault_md=sha256\n\
                        unique_subject=no\npolicy=p\n[p]\ncommonName=supplied\n";
        std::fs::write(dir.join("ca.cnf"), settings).unwrap();
        std::fs::write(dir.join("index"), "").unwrap();
        let sign = format!(
            "ca -batch -config ca.cnf -cert ca.pem -keyfile ca.key -notext -startdate {from} -enddate {until} -extfile {file}.ext -in {file}.csr -out {file}.pem"
        );
        openssl(dir, &sign).unwrap();
        self.files(file)
    }

    fn request(&self, file: &str, names: &str) {
        let dir = self.dir.path();
        openssl(dir, &format!("req {KEY} -keyout {file}.key -out {file}.csr -subj /CN={file}")).unwrap();
        let extensions = format!("subjectAltName={names}\nbasicConstraints=CA:FALSE\n");
        std::fs::write(dir.join(format!("{file}.ext")), extensions).unwrap();
    }

    fn files(&self, file: &str) -> (PathBuf, PathBuf) {
        let dir = self.dir.path();
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
