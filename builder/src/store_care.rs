//! Commands about the store itself, and about credentials: prune, disk usage, login, logout.

use cooper_registry_client::{Error, ErrorKind, Saved, Secret};
use cooper_snapshotter::{DiskUsage, PruneOptions, PruneReport};

use crate::distribution::RegistryOptions;
use crate::error::{BuildError, Kind};
use crate::session::Session;
use crate::transfer;

impl Session {
    /// Removes what no image and no running build needs; with `all`, names of images too, and everything that no running
    /// build holds.
    pub fn prune(&self, options: &PruneOptions) -> Result<PruneReport, BuildError> {
        if options.all && !options.dry_run {
            for image in self.0.store.images()? {
                self.0.store.untag(&image.name)?;
            }
        }
        Ok(self.0.store.prune(options)?)
    }

    /// How much the store holds, by kind.
    pub fn disk_usage(&self) -> Result<DiskUsage, BuildError> {
        Ok(self.0.store.disk_usage()?)
    }
}

/// Checks credentials with a registry and keeps them; says where.
pub async fn login(
    server: &str,
    username: &str,
    password: &str,
    options: &RegistryOptions,
) -> Result<Saved, BuildError> {
    cooper_registry_client::login(options.builder(), server, username, &Secret::new(password), None)
        .await
        .map_err(|e| match e.kind() {
            // Wrong credentials: to log in is what was tried.
            ErrorKind::Auth if !matches!(e, Error::Plaintext { .. }) => {
                BuildError::new(Kind::Remote, format!("login to {server} failed")).caused_by(e)
            }
            _ => transfer::remote(format!("login to {server} failed"), e),
        })
}

/// Forgets credentials; false if there were none.
pub async fn logout(server: &str) -> Result<bool, BuildError> {
    cooper_registry_client::logout(server, None)
        .await
        .map_err(|e| BuildError::new(Kind::Config, format!("logout from {server} failed")).caused_by(e))
}
