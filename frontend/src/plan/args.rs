//! Arguments of the whole build: platform ARGs, ARGs before the first FROM, proxies, `SOURCE_DATE_EPOCH`.

use std::collections::BTreeMap;

use cooper_oci::Platform;

use super::PlanError;
use super::env::EnvList;
use super::epoch::{self, EpochSource};
use crate::ast::{Command, Dockerfile, Stage};
use crate::expand::{Env, Expander};
use crate::graph::{PlanOptions, PlannedArg};

/// What the command line and the top of the file say.
#[derive(Debug)]
pub(super) struct BuildArgs {
    /// `--build-arg`, last of equal names.
    pub given: BTreeMap<String, String>,
    /// Platform ARGs and ARGs before the first FROM.
    pub global: EnvList,
    /// Names that the file defines before the first FROM.
    pub declared: Vec<String>,
    /// The same, each with its value, the names in its default, and its place.
    pub definitions: Vec<(PlannedArg, Vec<String>)>,
    /// Proxy variables of RUN, both cases.
    pub proxies: Vec<(String, String)>,
    /// `SOURCE_DATE_EPOCH`, seconds.
    pub epoch: Option<i64>,
    /// What the epoch names, if it is no number.
    pub epoch_source: Option<EpochSource>,
}

/// The argument.
pub(super) const EPOCH: &str = "SOURCE_DATE_EPOCH";

impl BuildArgs {
    pub fn new(
        file: &Dockerfile,
        options: &PlanOptions,
        expander: &Expander,
        target: &Platform,
        build: &Platform,
    ) -> Result<BuildArgs, PlanError> {
        let given: BTreeMap<String, String> = options.build_args.iter().cloned().collect();
        let mut global = platform_args(file, options, target, build, &given);
        let mut declared = Vec::new();
        let mut definitions = Vec::new();
        for instruction in &file.global_args {
            let Command::Arg(arg) = &instruction.command else { continue };
            for definition in &arg.definitions {
                let name = definition.name.as_str();
                declared.push(name.to_owned());
                let mut used = Vec::new();
                if let Some(value) = given.get(name) {
                    global.set(name, value);
                } else if let Some(default) = &definition.default {
                    let value =
                        expander.word(default.as_str(), &global).map_err(PlanError::expand(default.span))?;
                    global.set(name, &value.value);
                    used = value.used;
                }
                let value = global.get(name).map(str::to_owned);
                let span = instruction.source.span;
                definitions.push((PlannedArg { name: name.to_owned(), value, span }, used));
            }
        }
        let proxies = proxies(&given);
        let mut args =
            BuildArgs { given, global, declared, definitions, proxies, epoch: None, epoch_source: None };
        args.resolve_epoch(file, options, expander)?;
        Ok(args)
    }

    /// The global ARGs of these names and of those that their defaults use.
    pub fn used_definitions(&self, names: &[String]) -> Vec<PlannedArg> {
        let mut wanted = names.to_vec();
        let mut found = Vec::new();
        for (definition, used) in self.definitions.iter().rev() {
            if wanted.contains(&definition.name) {
                wanted.extend(used.iter().cloned());
                found.push(definition.clone());
            }
        }
        found.reverse();
        found
    }

    fn resolve_epoch(
        &mut self,
        file: &Dockerfile,
        options: &PlanOptions,
        expander: &Expander,
    ) -> Result<(), PlanError> {
        let global = self.global.get(EPOCH).filter(|value| !value.is_empty());
        let Some(value) = self.given.get(EPOCH).map(String::as_str).or(global).map(str::to_owned) else {
            return Ok(());
        };
        self.epoch = value.parse::<i64>().ok();
        if self.epoch.is_none() && !value.is_empty() {
            let mut global = self.global.clone();
            global.remove(EPOCH);
            let given = &self.given;
            self.epoch_source = Some(epoch::source(&value, file, options, expander, global, given)?);
            self.epoch = options.keyword_epoch;
        }
        let text = match self.epoch {
            Some(seconds) => seconds.to_string(),
            None => String::new(),
        };
        if text.is_empty() {
            self.given.remove(EPOCH);
            self.global.remove(EPOCH);
            return Ok(());
        }
        if let Some(given) = self.given.get_mut(EPOCH) {
            given.clone_from(&text);
        }
        if self.global.get(EPOCH).is_some() {
            self.global.set(EPOCH, &text);
        }
        Ok(())
    }
}

fn platform_args(
    file: &Dockerfile,
    options: &PlanOptions,
    target: &Platform,
    build: &Platform,
    given: &BTreeMap<String, String>,
) -> EnvList {
    let last = file.stages.last().and_then(Stage::name);
    let stage = options.target.as_deref().filter(|name| !name.is_empty()).or(last).unwrap_or("default");
    let mut list = EnvList::default();
    let mut set = |name: String, value: &str| {
        let value = given.get(&name).map_or(value, String::as_str);
        list.set(&name, value);
    };
    for (prefix, platform) in [("BUILD", build), ("TARGET", target)] {
        set(format!("{prefix}PLATFORM"), &platform.to_string());
        set(format!("{prefix}OS"), &platform.os);
        set(format!("{prefix}OSVERSION"), platform.os_version.as_deref().unwrap_or_default());
        set(format!("{prefix}ARCH"), &platform.architecture);
        set(format!("{prefix}VARIANT"), platform.variant.as_deref().unwrap_or_default());
    }
    set("TARGETSTAGE".to_owned(), stage);
    list
}

const PROXIES: [&str; 5] = ["http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy"];

fn proxies(given: &BTreeMap<String, String>) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for proxy in PROXIES {
        // Sorted by name, so that the lower-case form is the last and wins.
        let value = given
            .iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case(proxy))
            .map(|(_, value)| value)
            .next_back();
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            found.push((proxy.to_ascii_uppercase(), value.clone()));
            found.push((proxy.to_owned(), value.clone()));
        }
    }
    found
}
