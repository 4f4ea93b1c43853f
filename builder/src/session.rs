//! A session: one open store and the clients that go with it. Everything that the command line does starts here.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use cooper_oci::Reference;
use cooper_registry_client::{Client, NetworkPolicy};
use cooper_snapshotter::Store;
use cooper_sys::process;
use tokio::sync::Semaphore;

use crate::arrivals::Arrivals;
use crate::distribution::{Board, RegistryOptions, Watch};
use crate::error::{BuildError, Kind};
use crate::export::Begun;
use crate::forms::Forms;
use crate::remote::http::Http;
use crate::task;

/// How a session is opened.
#[derive(Debug, Clone, Default)]
pub struct SessionOptions {
    /// The store's directory; `None` means [`default_root`].
    pub root: Option<PathBuf>,
    /// The user's real id, for the default store of an unprivileged user (inside a user namespace we look like root).
    pub unprivileged: bool,
    /// How registries are spoken to.
    pub registries: RegistryOptions,
}

/// An open store with its clients. Clones share them.
#[derive(Clone)]
pub struct Session(pub(crate) Arc<Inner>);

/// What all modules of the builder work with.
pub struct Inner {
    /// Compressed layers of this session. Before the store, whose last sync need not write what goes now.
    pub forms: Forms,
    /// The engine that has begun to load the image.
    pub begun: Begun,
    /// The store.
    pub store: Store,
    client: OnceLock<Client>,
    registries: RegistryOptions,
    /// Who is told what registries do.
    pub board: Arc<Board>,
    /// Registries that pushes may reach insecurely, and the client for that.
    lenient: Mutex<Option<(Vec<String>, Client)>>,
    /// Downloads.
    pub http: Http,
    /// Blobs that are being fetched.
    pub arrivals: Arrivals,
    /// Threads for compression.
    pub threads: usize,
    /// Layers compressed at the same time.
    pub compress_slots: Arc<Semaphore>,
    /// Commands run at the same time.
    pub run_slots: Arc<Semaphore>,
    warm_up: OnceLock<task::Task<Result<(), BuildError>>>,
}

/// `/var/lib/cooper` for root, `$XDG_DATA_HOME/cooper` (by default `~/.local/share/cooper`) for others.
pub fn default_root(unprivileged: bool) -> Result<PathBuf, BuildError> {
    if !unprivileged {
        return Ok(PathBuf::from("/var/lib/cooper"));
    }
    if let Some(data) = std::env::var_os("XDG_DATA_HOME").filter(|d| Path::new(d).is_absolute()) {
        return Ok(PathBuf::from(data).join("cooper"));
    }
    match std::env::var_os("HOME").filter(|h| !h.is_empty()) {
        Some(home) => Ok(PathBuf::from(home).join(".local/share/cooper")),
        None => Err(BuildError::new(Kind::Config, "no place for the store: HOME is not set")
            .hint("set HOME, or choose the store with --root or COOPER_ROOT")),
    }
}

/// Open files that many steps at once may need.
const OPEN_FILES: u64 = 65_536;

/// Allows as many open files as are needed, or as many as may be. What steps run has limits of its own.
fn raise_open_files() {
    let hard = process::hard_rlimit(process::Resource::Nofile);
    let _ = process::set_rlimit(process::Resource::Nofile, hard.min(OPEN_FILES), hard);
}

/// Keeps what this process holds, credentials and secrets, out of core dumps. What steps run has limits of its own.
pub fn forbid_core_dumps() {
    // With 1 the kernel neither writes a file nor starts the program that collects dumps; 0 forbids only the file.
    let hard = process::hard_rlimit(process::Resource::Core);
    let _ = process::set_rlimit(process::Resource::Core, hard.min(1), hard);
}

impl Session {
    /// Opens (and makes, if need be) the store.
    pub fn open(options: &SessionOptions) -> Result<Session, BuildError> {
        raise_open_files();
        let root = match &options.root {
            Some(root) => root.clone(),
            None => default_root(options.unprivileged)?,
        };
        let store = Store::open(&root).map_err(|e| {
            BuildError::new(Kind::Config, format!("cannot open the store {}", root.display())).caused_by(e)
        })?;
        let threads = std::thread::available_parallelism().map_or(2, usize::from);
        Ok(Session(Arc::new(Inner {
            store,
            client: OnceLock::new(),
            registries: options.registries.clone(),
            board: Arc::default(),
            lenient: Mutex::default(),
            http: Http::new(options.registries.network),
            forms: Forms::default(),
            begun: Begun::default(),
            arrivals: Arrivals::default(),
            threads,
            compress_slots: Arc::new(Semaphore::new(2)),
            run_slots: Arc::new(Semaphore::new(128)),
            warm_up: OnceLock::new(),
        })))
    }

    /// Lets `watch` know of this session's transfers.
    pub fn watched_by(&self, watch: &Arc<Watch>) {
        self.0.board.show_to(watch);
    }

    /// Ends all transfers, for good: registries forget the uploads that are not done, within 2 s. What a later push
    /// could go on with is forgotten only if nobody wants that any more.
    pub async fn end_transfers(&self, unwanted: bool) {
        let lenient = self.0.lenient.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let clients = self.0.client.get().into_iter().chain(lenient.as_ref().map(|(_, client)| client));
        futures_util::future::join_all(clients.map(|client| client.close(!unwanted))).await;
    }

    /// The store.
    pub fn store(&self) -> &Store {
        &self.0.store
    }
}

impl Inner {
    /// A command will run soon: what all containers have in common is made meanwhile. If that fails, the first one tells.
    pub fn expect_containers(&self) {
        self.warm_up.get_or_init(|| {
            let store = self.store.clone();
            task::spawn(task::blocking("prepare containers", move || {
                let _ = store.expect_changes();
                let _ = cooper_sandbox::warm_up();
                Ok(())
            }))
        });
    }

    /// The registry client, made at first use: an all-cached build never needs it.
    pub fn client(&self) -> &Client {
        self.client.get_or_init(|| self.noting(&self.registries))
    }

    /// Where downloads may lead.
    pub fn policy(&self) -> NetworkPolicy {
        self.registries.network
    }

    /// A client that keeps notes of its uploads in the store.
    fn noting(&self, registries: &RegistryOptions) -> Client {
        registries.client(&self.board, Some(self.store.root().join("uploads")))
    }

    /// From now on, pushes to these registries may go in plain HTTP and past any certificate. What is pulled from them
    /// may not.
    pub fn push_insecurely(&self, registries: Vec<String>) {
        let mut options = self.registries.clone();
        options.plain_http.extend(registries.iter().cloned());
        options.skip_verify.extend(registries.iter().cloned());
        let lenient = (registries, self.noting(&options));
        *self.lenient.lock().unwrap_or_else(PoisonError::into_inner) = Some(lenient);
    }

    /// The client for pushes to a name.
    pub fn push_client(&self, name: &Reference) -> Client {
        let lenient = self.lenient.lock().unwrap_or_else(PoisonError::into_inner);
        match &*lenient {
            Some((registries, client)) if registries.contains(&name.registry) => client.clone(),
            _ => self.client().clone(),
        }
    }
}
