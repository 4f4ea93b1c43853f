//! Instructions that change the config only, and WORKDIR.

use std::time::Duration;

use cooper_oci::{Empty, Healthcheck as HealthcheckConfig};

use super::dispatch::StageRun;
use super::env::set_in_image;
use super::{PlanError, expose, gofmt, signal};
use crate::ast::{
    Arg, ArgDefinition, Command, EnvLabel, Healthcheck, HealthcheckTest, ShellOrExec, Source, Text, Volume,
};
use crate::expand::Env;
use crate::gopath;
use crate::graph::{MkdirOp, Op, PlannedArg};

/// ARGs that say something to the builder and never reach a RUN.
const SILENT_ARGS: [&str; 2] = ["BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"];

impl StageRun<'_, '_> {
    /// Dispatches an instruction that makes no step.
    pub(super) fn metadata(&mut self, command: &Command) -> Result<(), PlanError> {
        match command {
            Command::Arg(arg) => self.arg(arg)?,
            Command::Env(env) => self.set_env(env)?,
            Command::Label(labels) => self.label(labels)?,
            Command::Expose(words) => self.expose(words)?,
            Command::Volume(volume) => self.volume(volume)?,
            Command::User(user) => {
                let user = self.word(user)?;
                self.commit(format!("USER {user}"), false);
                self.state.image.config.user = user;
            }
            Command::StopSignal(text) => self.stop_signal(text)?,
            Command::Cmd(command) => {
                let argv = self.command_line(command, "CMD");
                self.commit(format!("CMD {}", gofmt::quoted_list(&argv)), false);
                self.cmd_seen = true;
                let config = &mut self.state.image.config;
                config.cmd = (!argv.is_empty()).then_some(argv);
                config.args_escaped = Some(true);
            }
            Command::Entrypoint(command) => {
                let argv = self.command_line(command, "ENTRYPOINT");
                self.commit(format!("ENTRYPOINT {}", gofmt::quoted_list(&argv)), false);
                let config = &mut self.state.image.config;
                config.entrypoint = (!argv.is_empty()).then_some(argv);
                if !self.cmd_seen {
                    config.cmd = None;
                }
            }
            Command::Healthcheck(healthcheck) => self.healthcheck(healthcheck),
            Command::Shell(shell) => {
                self.commit(format!("SHELL {}", gofmt::list(shell)), false);
                self.state.image.config.shell = Some(shell.clone());
            }
            Command::Maintainer(name) => {
                self.commit(format!("MAINTAINER {}", name.as_str()), false);
                self.state.image.author = Some(name.value.clone());
            }
            // Stored without an entry in the history.
            Command::OnBuild(onbuild) => {
                self.state.image.config.on_build.push(onbuild.trigger.value.clone());
            }
            Command::Add(_) | Command::Copy(_) | Command::Run(_) | Command::Workdir(_) => {}
        }
        Ok(())
    }

    fn arg(&mut self, arg: &Arg) -> Result<(), PlanError> {
        let mut words = vec!["ARG".to_owned()];
        for definition in &arg.definitions {
            let name = definition.name.as_str();
            let value = self.arg_value(definition)?;
            self.charge(value.as_ref().map_or(0, String::len))?;
            if let Some(value) = &value
                && !SILENT_ARGS.contains(&name)
            {
                self.state.env.set(name, value);
            }
            words.push(match &value {
                Some(value) => format!("{name}={value}"),
                None => name.to_owned(),
            });
            if !self.trigger {
                let (name, value, span) = (name.to_owned(), value.clone(), self.span);
                self.planner.found_args.push(PlannedArg { name, value, span });
            }
            self.warn_secret("ARG", name, value.as_deref().unwrap_or_default());
            self.state.args.push((name.to_owned(), value));
        }
        self.commit(words.join(" "), false);
        Ok(())
    }

    /// The command line's value, else the default, else the global value.
    fn arg_value(&mut self, definition: &ArgDefinition) -> Result<Option<String>, PlanError> {
        let name = definition.name.as_str();
        if let Some(given) = self.planner.args.given.get(name) {
            return Ok(Some(given.clone()));
        }
        match &definition.default {
            Some(default) => self.word(default).map(Some),
            None => Ok(self.planner.args.global.get(name).map(str::to_owned)),
        }
    }

    /// Names and values, expanded before any of them is set.
    fn pairs(&mut self, list: &EnvLabel) -> Result<Vec<(String, String)>, PlanError> {
        list.pairs.iter().map(|pair| Ok((self.word(&pair.name)?, self.word(&pair.value)?))).collect()
    }

    fn set_env(&mut self, list: &EnvLabel) -> Result<(), PlanError> {
        let pairs = self.pairs(list)?;
        for (name, value) in &pairs {
            self.warn_secret("ENV", name, value);
            self.state.env.set(name, value);
            set_in_image(&mut self.state.image.config.env, name, value);
        }
        self.commit(pair_text("ENV", &pairs), false);
        Ok(())
    }

    fn label(&mut self, list: &EnvLabel) -> Result<(), PlanError> {
        let pairs = self.pairs(list)?;
        self.commit(pair_text("LABEL", &pairs), false);
        self.state.image.config.labels.extend(pairs);
        Ok(())
    }

    fn expose(&mut self, words: &[Text]) -> Result<(), PlanError> {
        let mut exposed = Vec::new();
        // In the order of the words as they are written, before variables count.
        let mut words: Vec<&Text> = words.iter().collect();
        words.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        for text in words {
            let place = self.place(text.span);
            let expanded = self
                .planner
                .expander
                .words(text.as_str(), &self.state.env)
                .map_err(PlanError::expand(place))?;
            for word in expanded.words {
                let ports = expose::ports(&word).map_err(|message| self.error(text.span, message))?;
                // Eight bytes of text make a range of 65535 ports.
                self.charge(ports.len() * size_of::<String>())?;
                exposed.extend(ports);
                self.warn_port(&word);
            }
        }
        self.commit(format!("EXPOSE {}", gofmt::list(&exposed)), false);
        self.state.image.config.exposed_ports.extend(exposed.into_iter().map(|port| (port, Empty {})));
        Ok(())
    }

    fn warn_port(&mut self, word: &str) {
        let span = self.span;
        if word.contains(':') {
            let message = format!(
                "EXPOSE instruction should not define an IP address or host-port mapping, found '{word}'"
            );
            self.planner.warn("ExposeInvalidFormat", span, message);
        }
        if word.split_once('/').is_some_and(|(_, protocol)| protocol != protocol.to_lowercase()) {
            let message = format!("Defined protocol '{word}' in EXPOSE instruction should be lowercase");
            self.planner.warn("ExposeProtoCasing", span, message);
        }
    }

    fn volume(&mut self, volume: &Volume) -> Result<(), PlanError> {
        let mut paths = Vec::new();
        for text in &volume.paths {
            let path = self.word(text)?;
            if path.is_empty() {
                return Err(self.error(text.span, "VOLUME specified can not be an empty string"));
            }
            paths.push(path);
        }
        self.commit(format!("VOLUME {}", gofmt::list(&paths)), false);
        self.state.image.config.volumes.extend(paths.into_iter().map(|path| (path, Empty {})));
        Ok(())
    }

    fn stop_signal(&mut self, text: &Text) -> Result<(), PlanError> {
        let name = self.word(text)?;
        if !signal::is_signal(&name) {
            return Err(self.error(text.span, format!("invalid signal: {name}")));
        }
        self.commit(format!("STOPSIGNAL {name}"), false);
        self.state.image.config.stop_signal = Some(name);
        Ok(())
    }

    fn healthcheck(&mut self, check: &Healthcheck) {
        let test = match &check.test {
            HealthcheckTest::None => vec!["NONE".to_owned()],
            HealthcheckTest::Shell(text) => vec!["CMD-SHELL".to_owned(), text.clone()],
            HealthcheckTest::Exec(argv) => {
                let mut test = vec!["CMD".to_owned()];
                test.extend(argv.iter().cloned());
                test
            }
        };
        self.commit(
            format!(
                "HEALTHCHECK {{Test:{} Interval:{} Timeout:{} StartPeriod:{} StartInterval:{} Retries:{}}}",
                gofmt::list(&test),
                gofmt::duration(check.interval),
                gofmt::duration(check.timeout),
                gofmt::duration(check.start_period),
                gofmt::duration(check.start_interval),
                check.retries
            ),
            false,
        );
        let nanos = |value: Duration| i64::try_from(value.as_nanos()).unwrap_or(i64::MAX);
        self.state.image.config.healthcheck = Some(HealthcheckConfig {
            test,
            interval: nanos(check.interval),
            timeout: nanos(check.timeout),
            start_period: nanos(check.start_period),
            start_interval: nanos(check.start_interval),
            retries: i64::from(check.retries),
            ..HealthcheckConfig::default()
        });
    }

    fn command_line(&mut self, command: &ShellOrExec, keyword: &str) -> Vec<String> {
        match command {
            ShellOrExec::Exec(argv) => argv.clone(),
            ShellOrExec::Shell(text) => {
                if self.state.image.config.shell.as_ref().is_none_or(Vec::is_empty) {
                    let message = format!(
                        "JSON arguments recommended for {keyword} to prevent unintended behavior related to OS signals"
                    );
                    let span = self.span;
                    self.planner.warn("JSONArgsRecommended", span, message);
                }
                self.with_shell(text)
            }
        }
    }

    /// The stage's shell with a command line as its last argument.
    pub(super) fn with_shell(&self, text: &str) -> Vec<String> {
        let image = &self.state.image;
        let mut argv = match &image.config.shell {
            Some(shell) if !shell.is_empty() => shell.clone(),
            _ if image.os == "windows" => ["cmd", "/S", "/C"].map(str::to_owned).to_vec(),
            _ => ["/bin/sh", "-c"].map(str::to_owned).to_vec(),
        };
        argv.push(text.to_owned());
        argv
    }

    /// Changes the working directory, without making it. An absolute path stays as it is written.
    pub(super) fn enter(&mut self, path: &str) {
        self.state.cwd = if path.starts_with('/') { path.to_owned() } else { self.resolve_path(path) };
        self.state.image.config.working_dir.clone_from(&self.state.cwd);
    }

    /// Joins a path to the working directory, and cleans it.
    pub(super) fn resolve_path(&self, path: &str) -> String {
        if path.starts_with('/') {
            gopath::clean_str(path)
        } else {
            gopath::join(&["/", &self.state.cwd, path])
        }
    }

    pub(super) fn workdir(&mut self, text: &Text, source: &Source) -> Result<(), PlanError> {
        let path = self.word(text)?;
        if !self.state.workdir_seen && !path.starts_with('/') {
            let message =
                format!("Relative workdir {path:?} can have unexpected results if the base image changes");
            let span = self.span;
            self.planner.warn("WorkdirRelativePath", span, message);
        }
        self.state.workdir_seen = true;
        self.enter(&path);
        let path = self.state.cwd.clone();
        let makes_layer = path != "/";
        if makes_layer {
            let shown = self.shown(&source.original, &[]);
            let name = self.step_name(&shown);
            let op = Op::Mkdir(MkdirOp {
                base: self.state.root,
                path: path.clone(),
                user: self.state.image.config.user.clone(),
                source_date_epoch: self.planner.args.epoch,
            });
            self.state.root = self.add_step(op, name, false, &[self.state.root]);
        }
        self.commit(format!("WORKDIR {path}"), makes_layer);
        Ok(())
    }
}

fn pair_text(keyword: &str, pairs: &[(String, String)]) -> String {
    let mut words = vec![keyword.to_owned()];
    words.extend(pairs.iter().map(|(name, value)| format!("{name}={value}")));
    words.join(" ")
}
