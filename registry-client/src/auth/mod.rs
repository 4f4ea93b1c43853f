//! Who we are to a registry: credentials, challenges and tokens.
//!
//! A credential belongs to one registry and is sent only to its origin, or to a token service that
//! [`trust`] admits. A token belongs to one origin, realm, service, set of scopes and account.

mod authenticator;
mod challenge;
mod config_file;
mod credentials;
mod helper;
mod login;
mod scope;
mod token;
mod trust;

pub(crate) use authenticator::{Authenticator, Authorization, Learned, Means, Need};
pub use credentials::{Credential, CredentialError, Credentials};
pub use login::{Saved, login, logout, save_credential};
pub(crate) use scope::Scopes;
pub(crate) use trust::{is_loopback, of_unknown_scheme};
