//! One file for each command or family of small commands: its flags, and one function that runs it.

pub mod artifact;
pub mod build;
pub mod ci;
pub mod copy;
pub mod diff;
pub mod doctor;
pub mod images;
pub mod index;
pub mod login;
pub mod look;
pub mod repository;
pub mod store;
