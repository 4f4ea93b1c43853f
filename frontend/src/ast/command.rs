//! What each instruction says: one type per instruction.

use std::time::Duration;

use super::{Device, Heredoc, MountFlag, Source, Span, Spanned, Text, with_heredocs};

/// An instruction's meaning. FROM stands in [`super::Stage`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// `ADD`
    Add(Add),
    /// `ARG`
    Arg(Arg),
    /// `CMD`
    Cmd(ShellOrExec),
    /// `COPY`
    Copy(Copy),
    /// `ENTRYPOINT`; `Exec` of nothing resets it.
    Entrypoint(ShellOrExec),
    /// `ENV`
    Env(EnvLabel),
    /// `EXPOSE`: words, each of which may expand to several.
    Expose(Vec<Text>),
    /// `HEALTHCHECK`
    Healthcheck(Healthcheck),
    /// `LABEL`
    Label(EnvLabel),
    /// `MAINTAINER`: taken literally.
    Maintainer(Text),
    /// `ONBUILD`
    OnBuild(OnBuild),
    /// `RUN`
    Run(Run),
    /// `SHELL`
    Shell(Vec<String>),
    /// `STOPSIGNAL`
    StopSignal(Text),
    /// `USER`
    User(Text),
    /// `VOLUME`
    Volume(Volume),
    /// `WORKDIR`
    Workdir(Text),
}

impl Command {
    /// The keyword in upper case.
    pub fn keyword(&self) -> &'static str {
        match self {
            Self::Add(_) => "ADD",
            Self::Arg(_) => "ARG",
            Self::Cmd(_) => "CMD",
            Self::Copy(_) => "COPY",
            Self::Entrypoint(_) => "ENTRYPOINT",
            Self::Env(_) => "ENV",
            Self::Expose(_) => "EXPOSE",
            Self::Healthcheck(_) => "HEALTHCHECK",
            Self::Label(_) => "LABEL",
            Self::Maintainer(_) => "MAINTAINER",
            Self::OnBuild(_) => "ONBUILD",
            Self::Run(_) => "RUN",
            Self::Shell(_) => "SHELL",
            Self::StopSignal(_) => "STOPSIGNAL",
            Self::User(_) => "USER",
            Self::Volume(_) => "VOLUME",
            Self::Workdir(_) => "WORKDIR",
        }
    }
}

/// A command line: text for the shell, or an argument vector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShellOrExec {
    /// Text to be appended to the stage's SHELL; empty for a bare keyword.
    Shell(String),
    /// The JSON form. May be empty.
    Exec(Vec<String>),
}

/// `FROM [--platform=P] BASE [AS NAME]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct From {
    /// Stage name, `scratch` or image reference, not expanded.
    pub base: Text,
    /// `AS NAME`
    pub name: Option<StageName>,
    /// The word `AS` as written.
    pub as_keyword: Option<Text>,
    /// `--platform`, not expanded.
    pub platform: Option<Text>,
}

/// A stage's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageName {
    /// In lower case.
    pub value: String,
    /// As written.
    pub written: String,
    /// Where.
    pub span: Span,
}

/// `ARG NAME[=DEFAULT] …`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arg {
    /// The definitions in order; at least one.
    pub definitions: Vec<ArgDefinition>,
}

/// One word of an ARG.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArgDefinition {
    /// Name, not expanded.
    pub name: Text,
    /// Default, not expanded; `None` without `=`.
    pub default: Option<Text>,
    /// The whole word.
    pub span: Span,
}

/// `ENV` or `LABEL`: names with values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvLabel {
    /// The pairs in order; at least one.
    pub pairs: Vec<Pair>,
    /// Written as `ENV NAME rest of line`.
    pub legacy: bool,
}

/// `NAME=VALUE`; both are to be expanded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// Name as written.
    pub name: Text,
    /// Value as written.
    pub value: Text,
    /// The whole pair.
    pub span: Span,
}

/// `RUN`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The command. With heredocs it is always `Shell`, and holds only the line with the markers:
    /// see [`Run::script`] and [`Run::shell_text`].
    pub command: ShellOrExec,
    /// The whole command is one heredoc marker.
    pub is_script: bool,
    /// `--mount`, in order.
    pub mounts: Vec<MountFlag>,
    /// `--network`: `default`, `none` or `host`.
    pub network: Option<Text>,
    /// `--security`: `sandbox` or `insecure`.
    pub security: Option<Text>,
    /// `--device`, in order.
    pub devices: Vec<Device>,
}

impl Run {
    /// The heredoc that is the whole command. Its body (tabs stripped) goes to the stage's shell as text whatever the
    /// marker's quotes; one that starts with `#!` is run as a file.
    pub fn script<'a>(&self, source: &'a Source) -> Option<&'a Heredoc> {
        if self.is_script { source.heredocs.first() } else { None }
    }

    /// The text that the shell is given in the shell form when the command is no script: the line, with all heredocs
    /// behind it for the shell to read. `None` for the exec form.
    pub fn shell_text(&self, source: &Source) -> Option<String> {
        match &self.command {
            ShellOrExec::Shell(line) => Some(with_heredocs(line, &source.heredocs)),
            ShellOrExec::Exec(_) => None,
        }
    }
}

/// A source of COPY or ADD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CopySource {
    /// A path, URL or Git reference, not expanded.
    Path(Text),
    /// A file made of a heredoc.
    Heredoc {
        /// Name of the file: the end word.
        name: String,
        /// Whether the body is to be expanded.
        expand: bool,
        /// The file's content with tabs stripped if asked for, not expanded. Of several heredocs of one name all get
        /// the last body.
        content: Vec<u8>,
        /// Where the marker stands.
        span: Span,
    },
}

/// `COPY`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    /// Sources in order; at least one.
    pub sources: Vec<CopySource>,
    /// Destination, not expanded.
    pub destination: Text,
    /// `--from`, never expanded.
    pub from: Option<Text>,
    /// `--chown`, not expanded.
    pub chown: Option<Text>,
    /// `--chmod`, not expanded.
    pub chmod: Option<Text>,
    /// `--link`
    pub link: bool,
    /// `--parents`
    pub parents: bool,
    /// `--exclude`, in order.
    pub excludes: Vec<Text>,
}

/// `ADD`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Add {
    /// Sources in order; at least one.
    pub sources: Vec<CopySource>,
    /// Destination, not expanded.
    pub destination: Text,
    /// `--chown`, not expanded.
    pub chown: Option<Text>,
    /// `--chmod`, not expanded.
    pub chmod: Option<Text>,
    /// `--checksum`, not expanded.
    pub checksum: Option<Text>,
    /// `--link`
    pub link: bool,
    /// `--keep-git-dir`, if written.
    pub keep_git_dir: Option<bool>,
    /// `--unpack`, if written.
    pub unpack: Option<bool>,
    /// `--exclude`, in order.
    pub excludes: Vec<Text>,
}

/// `VOLUME`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// Paths, not expanded; at least one.
    pub paths: Vec<Text>,
}

/// `HEALTHCHECK`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Healthcheck {
    /// What is run.
    pub test: HealthcheckTest,
    /// `--interval`; zero means inherited.
    pub interval: Duration,
    /// `--timeout`; zero means inherited.
    pub timeout: Duration,
    /// `--start-period`; zero means inherited.
    pub start_period: Duration,
    /// `--start-interval`; zero means inherited.
    pub start_interval: Duration,
    /// `--retries`; zero means inherited.
    pub retries: u32,
}

/// The test of a HEALTHCHECK.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HealthcheckTest {
    /// `NONE`: an inherited check is turned off.
    None,
    /// `CMD text`
    Shell(String),
    /// `CMD ["a", …]`
    Exec(Vec<String>),
}

/// `ONBUILD`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnBuild {
    /// The trigger as the image stores it: one line, then heredoc bodies with their names. Parsed when it fires, by
    /// [`crate::parser::parse_onbuild_trigger`].
    pub trigger: Spanned<String>,
}
