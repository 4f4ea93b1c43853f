//! The `cooper` command: reads the command line, calls the builder, shows what happens.
//!
//! Must not know how anything is done: no file formats, no kernel, no network.

mod args;
mod backend;
mod commands;
mod excerpt;
mod failure;
mod flags;
mod github;
mod progress;
mod signals;
mod ui;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use args::{Cli, Command, Global};
use backend::Session;
use backend::distribution::{Images, RegistryOptions};
use failure::{Failure, Kind};
use flags::registry::Names;

/// How long the work that a failure broke off may take to end. Files that are left after it go with the next command.
const LETTING_GO: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    backend::early();
    let cli = Cli::parse();
    match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !failure.message.is_empty() {
                ui::note(&excerpt::failure(&failure, console::colors_enabled_stderr()));
            }
            if cli.global.debug {
                ui::note(&format!("{failure:#?}"));
            }
            failure.exit_code()
        }
    }
}

fn run(cli: &Cli) -> Result<(), Failure> {
    let global = &cli.global;
    match &cli.command {
        Command::Version => ui::print(&format!("cooper {}\n", env!("CARGO_PKG_VERSION"))),
        Command::Doctor(args) => commands::doctor::run(args),
        Command::Login(args) => runtime()?.block_on(commands::login::login(args, global)),
        Command::Logout(args) => runtime()?.block_on(commands::login::logout(args)),
        Command::Build(args) => {
            let prepared = args.prepare(&environment, &mut std::io::stdin())?;
            with_store(global, async |session| commands::build::run(args, prepared, session).await)
        }
        Command::Ci(args) => commands::ci::run(args, global),
        Command::Pull(args) => {
            with_store_and(global, &args.registries(), async |s| commands::images::pull(args, s).await)
        }
        Command::Push(args) => {
            with_store_and(global, &args.registries(), async |s| commands::images::push(args, s).await)
        }
        Command::Ls(args) => with_images(global, args, async |i| commands::repository::ls(args, i).await),
        Command::Delete(args) => {
            with_images(global, args, async |i| commands::repository::delete(args, i).await)
        }
        Command::Digest(args) => with_images(global, args, async |i| commands::look::digest(args, i).await),
        Command::Manifest(args) => {
            with_images(global, args, async |i| commands::look::manifest(args, i).await)
        }
        Command::Config(args) => with_images(global, args, async |i| commands::look::config(args, i).await),
        Command::Export(args) => with_images(global, args, async |i| commands::look::export(args, i).await),
        Command::Copy(args) => with_images(global, args, async |i| commands::copy::copy(args, i).await),
        Command::Referrers(args) => {
            with_images(global, args, async |i| commands::copy::referrers(args, i).await)
        }
        Command::Index(args) => with_images(global, args, async |i| commands::index::run(args, i).await),
        Command::Artifact(args) => {
            with_images(global, args, async |i| commands::artifact::run(args, i).await)
        }
        Command::Diff(args) => with_images(global, args, async |i| commands::diff::run(args, i).await),
        Command::Images(args) => with_store(global, async |s| commands::images::images(args, &s)),
        Command::Tag(args) => with_store(global, async |s| commands::images::tag(args, &s)),
        Command::Rmi(args) => with_store(global, async |s| commands::images::rmi(args, &s)),
        Command::Inspect(args) => with_store(global, async |s| commands::images::inspect(args, &s)),
        Command::Prune(args) => with_store(global, async |s| commands::store::prune(args, &s)),
        Command::Du(args) => with_store(global, async |s| commands::store::du(args, &s)),
    }
}

/// Gives access to the images that a command names; opens the store only if one of them needs it.
fn with_images<F>(global: &Global, names: &impl Names, work: F) -> Result<(), Failure>
where
    F: AsyncFnOnce(Images) -> Result<(), Failure>,
{
    let options = RegistryOptions { network: global.network_policy, ..names.registries() };
    let work = async |images: Images| {
        let result = work(images.clone()).await;
        if let Err(failure) = &result {
            images.end_transfers(failure.kind == Kind::Cancelled).await;
        }
        result
    };
    if names.need_store() {
        return with_store_and(global, &options, async |s| work(s.images_by_name(&options)).await);
    }
    runtime()?.block_on(work(Images::new(&options, None)))
}

/// A variable of our environment, if it is text.
fn environment(key: &str) -> Option<String> {
    std::env::var(key).ok()
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::new(Kind::Internal, format!("cannot start the runtime: {e}")))
}

/// Enters the place where the store can be used, while there is one thread; then starts the runtime and opens the store.
pub fn with_store<F>(global: &Global, work: F) -> Result<(), Failure>
where
    F: AsyncFnOnce(Session) -> Result<(), Failure>,
{
    let registries = RegistryOptions { on_notice: Some(ui::note), ..RegistryOptions::default() };
    with_store_and(global, &registries, work)
}

/// The same, speaking to registries as flags say.
fn with_store_and<F>(global: &Global, registries: &RegistryOptions, work: F) -> Result<(), Failure>
where
    F: AsyncFnOnce(Session) -> Result<(), Failure>,
{
    let entered = backend::enter()?;
    let runtime = runtime()?;
    let registries = RegistryOptions { network: global.network_policy, ..registries.clone() };
    let result = runtime.block_on(async {
        let session = Session::open(global, &entered, &registries)?;
        let result = work(session.clone()).await;
        if let Err(failure) = &result {
            session.end_transfers(failure).await;
        }
        result
    });
    // What was given up lets go of the store now, so that its temporary files go. What hangs must not hold the exit.
    runtime.shutdown_timeout(if result.is_ok() { Duration::ZERO } else { LETTING_GO });
    result
}
