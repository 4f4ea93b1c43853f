//! Flag values of `build`: text of the command line to the types of a build request.
//!
//! Pure functions; what they need of the environment is handed in. Messages name the flag and the value.

pub mod csv;
pub mod hosts;
pub mod output;
pub mod pairs;
pub mod registry;
pub mod secret;
pub mod units;
