//! `cooper login` and `logout`: credentials in Docker's configuration file.

use std::io::{IsTerminal, Read};

use clap::Args;
use serde_json::json;

use crate::args::Global;
use crate::backend::distribution::RegistryOptions;
use crate::backend::{self, Saved};
use crate::failure::Failure;
use crate::flags::registry::RegistryFlags;
use crate::ui;

/// Flags of `login`.
#[derive(Debug, Args)]
pub struct LoginArgs {
    /// Registry
    #[arg(default_value = "docker.io")]
    server: String,
    /// User name
    #[arg(short, long)]
    username: Option<String>,
    /// Password (seen by other users of this machine; better use --password-stdin)
    #[arg(short, long, conflicts_with = "password_stdin")]
    password: Option<String>,
    /// Read the password from standard input
    #[arg(long)]
    password_stdin: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    registry: RegistryFlags,
}

/// Flags of `logout`.
#[derive(Debug, Args)]
pub struct LogoutArgs {
    /// Registry
    #[arg(default_value = "docker.io")]
    server: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs `cooper login`.
pub async fn login(args: &LoginArgs, global: &Global) -> Result<(), Failure> {
    let username = match &args.username {
        Some(username) => username.clone(),
        None if args.password_stdin => return Err(Failure::usage("--password-stdin needs --username")),
        None => ask("Username: ", false)?,
    };
    let password = match (&args.password, args.password_stdin) {
        (Some(password), _) => password.clone(),
        (None, true) => {
            let mut text = String::new();
            let read = std::io::stdin().take(64 << 10).read_to_string(&mut text);
            read.map_err(|e| Failure::user(format!("cannot read the password from standard input: {e}")))?;
            text.trim_end_matches(['\r', '\n']).to_owned()
        }
        (None, false) => ask("Password: ", true)?,
    };
    if username.is_empty() || password.is_empty() {
        return Err(Failure::user("user name and password must not be empty"));
    }
    let registries = args.registry.options([args.server.as_str()]);
    let registries = RegistryOptions { network: global.network_policy, ..registries };
    let kept = backend::login(&args.server, &username, &password, &registries).await?;
    let (file, helper) = match &kept {
        Saved::File(path) => (Some(path.display().to_string()), None),
        Saved::Helper(name) => (None, Some(name)),
    };
    if args.json {
        return ui::json(
            &json!({ "registry": args.server, "username": username, "file": file, "helper": helper }),
        );
    }
    let place = file.or(helper.map(|name| format!("the credential helper {name}"))).unwrap_or_default();
    ui::print(&format!("Login Succeeded\nCredentials are kept in {place}\n"))
}

/// Runs `cooper logout`.
pub async fn logout(args: &LogoutArgs) -> Result<(), Failure> {
    let removed = backend::logout(&args.server).await?;
    if args.json {
        return ui::json(&json!({ "registry": args.server, "removed": removed }));
    }
    if removed {
        ui::print(&format!("Removed the credentials for {}\n", args.server))
    } else {
        ui::print(&format!("Not logged in to {}\n", args.server))
    }
}

fn ask(question: &str, secret: bool) -> Result<String, Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::usage("no terminal to ask on: give --username and --password-stdin"));
    }
    let terminal = console::Term::stderr();
    let read = || -> std::io::Result<String> {
        terminal.write_str(question)?;
        if secret { terminal.read_secure_line() } else { terminal.read_line() }
    };
    read().map_err(|e| Failure::user(format!("cannot read from the terminal: {e}")))
}
