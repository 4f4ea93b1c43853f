//! RUN.

use crate::ast::{Device, MountFlag, Run, ShellOrExec, Text};
use crate::error::{ParseError, did_you_mean_exactly};
use crate::parser::go_bool;
use crate::parser::heredoc::marker;
use crate::parser::node::Node;

use super::csv::fields;
use super::flags::Flags;
use super::{mount, shell_or_exec, words};

pub(super) fn read(node: &Node) -> Result<Run, ParseError> {
    let mut flags = Flags::new(node);
    let (network, security) = (flags.text_or_empty("network"), flags.text_or_empty("security"));
    let (mounts, devices) = (flags.many("mount"), flags.many("device"));
    flags.check()?;
    let (words, json) = words(node);
    let command = shell_or_exec(words, json);
    let is_script = match &command {
        ShellOrExec::Shell(line) => !node.heredocs.is_empty() && marker(line).is_some(),
        ShellOrExec::Exec(_) => false,
    };
    if let Some(network) =
        network.as_ref().filter(|mode| !["default", "none", "host"].contains(&mode.as_str()))
    {
        let hint = did_you_mean_exactly(network.as_str(), ["default", "none", "host"]);
        let message = format!("invalid network mode {:?}", network.value);
        return Err(ParseError::new(network.span, message).with_hint(hint));
    }
    if let Some(security) = security.as_ref().filter(|mode| !["sandbox", "insecure"].contains(&mode.as_str()))
    {
        return Err(ParseError::new(security.span, format!("security {:?} is not valid", security.value)));
    }
    let mounts = mounts.into_iter().map(mount::read).collect::<Result<Vec<MountFlag>, _>>()?;
    let devices = devices.iter().map(device).collect::<Result<_, _>>()?;
    Ok(Run { command, is_script, mounts, network, security, devices })
}

fn device(flag: &Text) -> Result<Device, ParseError> {
    let error = |message: String| ParseError::new(flag.span, message);
    let fields =
        fields(&flag.value).map_err(|message| error(format!("failed to parse csv devices: {message}")))?;
    let mut device = Device { name: String::new(), required: false, span: flag.span };
    for field in &fields {
        let (key, value) = match field.split_once('=') {
            Some((key, value)) => (key.to_lowercase(), Some(value)),
            None => (field.to_lowercase(), None),
        };
        match (key.as_str(), value) {
            ("required", None) => device.required = true,
            ("required", Some(value)) => {
                device.required =
                    go_bool(value).ok_or_else(|| error(format!("invalid value for {key}: {value}")))?;
            }
            ("name", Some(_)) if !device.name.is_empty() => {
                return Err(error(format!("device name already set to {}", device.name)));
            }
            ("name", Some(value)) => value.clone_into(&mut device.name),
            _ if device.name.is_empty() => field.clone_into(&mut device.name),
            (_, None) => return Err(error(format!("invalid field '{field}' must be a key=value pair"))),
            (_, Some(_)) => {
                let hint = did_you_mean_exactly(&key, ["name", "required"]);
                return Err(error(format!("unexpected key '{key}' in '{field}'")).with_hint(hint));
            }
        }
    }
    Ok(device)
}
