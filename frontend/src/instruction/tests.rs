//! Instructions by keyword.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use crate::ast::{Command, CopySource, HealthcheckTest, MountType, MountValues, Sharing, ShellOrExec};
use crate::error::ParseError;
use crate::parser::parse;

fn command(line: &str) -> Command {
    let file =
        parse(format!("FROM a\n{line}\n").as_bytes()).unwrap_or_else(|error| panic!("{line:?}: {error}"));
    file.stages[0].instructions[0].command.clone()
}

#[track_caller]
fn fails(line: &str, message: &str) -> ParseError {
    let error = parse(format!("FROM a\n{line}\n").as_bytes()).unwrap_err();
    assert_eq!(error.message, message, "{line:?}");
    error
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn unknown_words_get_a_suggestion() {
    assert_eq!(fails("RUNN x", "unknown instruction: RUNN").hint.as_deref(), Some("did you mean RUN?"));
    assert_eq!(fails("lable x", "unknown instruction: lable").hint.as_deref(), Some("did you mean label?"));
    assert_eq!(fails("XYZZY x", "unknown instruction: XYZZY").hint, None);
}

#[test]
fn from() {
    let stage = |text: &str| parse(text.as_bytes()).unwrap().stages.remove(0);
    let from = stage("FROM --platform=linux/$A img as Base-1.x\n").from;
    assert_eq!(from.base.value, "img");
    assert_eq!(from.platform.unwrap().value, "linux/$A");
    let name = from.name.unwrap();
    assert_eq!((name.value.as_str(), name.written.as_str()), ("base-1.x", "Base-1.x"));
    assert_eq!(stage("FROM --platform= a\n").from.platform, None);
    let message = |text: &str| parse(text.as_bytes()).unwrap_err().message;
    for text in ["FROM\n", "FROM a b\n", "FROM a is b\n", "FROM a as b c\n"] {
        assert_eq!(message(text), "FROM requires either one or three arguments");
    }
    assert_eq!(
        message("FROM a AS 1x\n"),
        "invalid name for build stage: \"1x\", name can't start with a number or contain symbols"
    );
    assert_eq!(message("FROM --x=1 a\n"), "unknown flag: --x");
}

#[test]
fn flags() {
    let Command::Copy(copy) =
        command("COPY --link --parents=FALSE --chown='a b' --exclude=x --exclude=\"y z\" s d")
    else {
        panic!()
    };
    assert!(copy.link && !copy.parents);
    assert_eq!(copy.chown.unwrap().value, "a b");
    assert_eq!(copy.excludes.iter().map(|e| e.value.as_str()).collect::<Vec<_>>(), ["x", "y z"]);
    let Command::Copy(copy) = command("COPY -- --link d") else { panic!() };
    assert!(matches!(&copy.sources[0], CopySource::Path(path) if path.value == "--link"));
    fails("COPY --link=maybe a b", "expecting boolean value for flag --link, not: maybe");
    fails("COPY --link= a b", "missing a value on flag: --link");
    fails("COPY --chown a b", "missing a value on flag: --chown");
    fails("COPY --chown=1 --chown=1 a b", "duplicate flag specified: --chown");
    let error = fails("COPY --chwon=1 a b", "unknown flag: --chwon");
    assert_eq!(error.hint.as_deref(), Some("did you mean chown?"));
    assert_eq!((error.span.start, error.span.end), (12, 21));
    fails("WORKDIR --x /a", "unknown flag: --x");
}

#[test]
fn flags_that_nobody_looks_at() {
    assert!(matches!(command("ARG --x a=1"), Command::Arg(arg) if arg.definitions.len() == 1));
    assert!(matches!(command("STOPSIGNAL --x TERM"), Command::StopSignal(text) if text.value == "TERM"));
    assert!(matches!(command("HEALTHCHECK --x NONE"), Command::Healthcheck(_)));
}

#[test]
fn copy_and_add() {
    let Command::Add(add) = command("ADD --keep-git-dir --unpack=false --checksum=sha256:$x a [\"b\"] /c/")
    else {
        panic!()
    };
    assert_eq!((add.keep_git_dir, add.unpack, add.sources.len()), (Some(true), Some(false), 2));
    assert_eq!(add.destination.value, "/c/");
    let Command::Copy(copy) = command("COPY --from=b [\"a b\", \"c\"]") else { panic!() };
    assert!(matches!(&copy.sources[..], [CopySource::Path(path)] if path.value == "a b"));
    let too_few = "COPY requires at least two arguments, but only one was provided. Destination could not be determined";
    fails("COPY a", too_few);
    fails("COPY", too_few);
    fails("COPY [\"a\"]", too_few);
    fails("COPY a <<b\nb", "COPY cannot accept a heredoc as a destination");
    fails("ADD --from=x a b", "unknown flag: --from");
    fails("COPY [\"a\", 1]", "when using JSON array syntax, arrays must be comprised of strings only");
}

#[test]
fn json_or_not() {
    let exec = |texts: &[&str]| Command::Cmd(ShellOrExec::Exec(strings(texts)));
    let shell = |text: &str| Command::Cmd(ShellOrExec::Shell(text.to_owned()));
    assert_eq!(command("CMD [\"a\", \"b c\"]"), exec(&["a", "b c"]));
    assert_eq!(command("CMD  [ ]"), exec(&[]));
    assert_eq!(command("CMD [\"\\u0041\\n\\\"\\ud83d\\ude00\\ud800\"]"), exec(&["A\n\"\u{1f600}\u{fffd}"]));
    assert_eq!(command("CMD"), shell(""));
    for text in ["['a']", "[\"a\"] b", "[\"a\"", "[\"a\",]", "[\"a\" \"b\"]", "[a]", "{\"a\":1}", "[\"\t\"]"]
    {
        assert_eq!(command(&format!("CMD {text}")), shell(text));
    }
    for text in ["[1]", "[\"a\", null]", "[[\"a\"]]", "[{}]", "[\"a\", true]"] {
        fails(
            &format!("CMD {text}"),
            "when using JSON array syntax, arrays must be comprised of strings only",
        );
    }
}

fn pairs(line: &str) -> (Vec<(String, String)>, bool) {
    match command(line) {
        Command::Env(env) | Command::Label(env) => {
            (env.pairs.into_iter().map(|p| (p.name.value, p.value.value)).collect(), env.legacy)
        }
        other => panic!("{other:?}"),
    }
}

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

#[test]
fn names_with_values() {
    let expected =
        vec![pair("a", "1"), pair("b", "\"x y\""), pair("c", "x\\ y"), pair("d", ""), pair("e", "'='")];
    assert_eq!(pairs("ENV a=1 b=\"x y\" c=x\\ y d= e='='"), (expected, false));
    assert_eq!(pairs("LABEL \"a b\"=c"), (vec![pair("\"a b\"", "c")], false));
    assert_eq!(pairs("ENV a b  c=d # e"), (vec![pair("a", "b  c=d # e")], true));
    fails("ENV a", "ENV must have two arguments");
    fails("LABEL a", "LABEL must have two arguments");
    fails("ENV", "ENV requires at least one argument");
    fails("ENV =a", "ENV names can not be blank");
    fails("ENV a=1 b", "Syntax error - can't find = in \"b\". Must be of the form: name=value");
}

#[test]
fn arg() {
    let Command::Arg(arg) = command("ARG a b= c=\"d e\"") else { panic!() };
    let read: Vec<(String, Option<String>)> =
        arg.definitions.into_iter().map(|d| (d.name.value, d.default.map(|v| v.value))).collect();
    assert_eq!(
        read,
        [
            ("a".to_owned(), None),
            ("b".to_owned(), Some(String::new())),
            ("c".to_owned(), Some("\"d e\"".to_owned()))
        ]
    );
    fails("ARG", "ARG requires at least one argument");
    fails("ARG a = b", "ARG names can not be blank");
}

#[test]
fn one_argument_is_the_rest_of_the_line() {
    assert!(matches!(command("WORKDIR a  b"), Command::Workdir(text) if text.value == "a  b"));
    assert!(matches!(command("USER \"a\""), Command::User(text) if text.value == "\"a\""));
    assert!(matches!(command("MAINTAINER A <a@b>"), Command::Maintainer(text) if text.value == "A <a@b>"));
    for keyword in ["WORKDIR", "USER", "STOPSIGNAL", "MAINTAINER"] {
        fails(keyword, &format!("{keyword} requires exactly one argument"));
    }
}

#[test]
fn lists() {
    let Command::Expose(ports) = command("EXPOSE 80\t443/udp  $p") else { panic!() };
    assert_eq!(ports.iter().map(|p| p.value.as_str()).collect::<Vec<_>>(), ["80", "443/udp", "$p"]);
    fails("EXPOSE", "EXPOSE requires at least one argument");
    let Command::Volume(volume) = command("VOLUME [\" /a b \", \"/c\"]") else { panic!() };
    assert_eq!(volume.paths.iter().map(|p| p.value.as_str()).collect::<Vec<_>>(), ["/a b", "/c"]);
    fails("VOLUME [\"\"]", "VOLUME specified can not be an empty string");
    fails("VOLUME []", "VOLUME requires at least one argument");
    assert_eq!(command("SHELL [\"a\", \"-c\"]"), Command::Shell(strings(&["a", "-c"])));
    fails("SHELL a -c", "SHELL requires the arguments to be in JSON form");
    fails("SHELL []", "SHELL requires at least one argument");
}

#[test]
fn onbuild() {
    fails("ONBUILD", "ONBUILD requires at least one argument");
    fails("ONBUILD onbuild RUN x", "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed");
    fails("ONBUILD from x", "FROM isn't allowed as an ONBUILD trigger");
    fails("ONBUILD MAINTAINER x", "MAINTAINER isn't allowed as an ONBUILD trigger");
    fails("ONBUILD CMD [1]", "when using JSON array syntax, arrays must be comprised of strings only");
    let chain = format!("ONBUILD {}", "ONBUILD ".repeat(5_000));
    fails(&chain, "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed");
    // What the trigger says is looked at when it fires.
    assert!(matches!(command("ONBUILD NOPE --x"), Command::OnBuild(o) if o.trigger.value == "NOPE --x"));
}

#[test]
fn healthcheck() {
    let Command::Healthcheck(check) = command(
        "HEALTHCHECK --interval=1m30s --timeout=1.5s --start-period=0 --start-interval=2ms --retries=3 cmd a  b",
    ) else {
        panic!()
    };
    assert_eq!(check.test, HealthcheckTest::Shell("a  b".to_owned()));
    assert_eq!(check.interval, Duration::from_secs(90));
    assert_eq!(check.timeout, Duration::from_millis(1500));
    assert_eq!(check.start_period, Duration::ZERO);
    assert_eq!(check.start_interval, Duration::from_millis(2));
    assert_eq!(check.retries, 3);
    let test = |line: &str| match command(line) {
        Command::Healthcheck(check) => check.test,
        other => panic!("{other:?}"),
    };
    assert_eq!(test("HEALTHCHECK CMD [\"a\"]"), HealthcheckTest::Exec(strings(&["a"])));
    assert_eq!(test("HEALTHCHECK none"), HealthcheckTest::None);
    fails("HEALTHCHECK", "HEALTHCHECK requires at least one argument");
    fails("HEALTHCHECK NONE x", "HEALTHCHECK NONE takes no arguments");
    fails("HEALTHCHECK curl x", "Unknown type \"CURL\" in HEALTHCHECK (try CMD)");
    fails("HEALTHCHECK CMD", "Missing command after HEALTHCHECK CMD");
    fails("HEALTHCHECK --interval=1us CMD x", "Interval \"interval\" cannot be less than 1ms");
    fails("HEALTHCHECK --timeout=-1s CMD x", "Interval \"timeout\" cannot be less than 1ms");
    fails("HEALTHCHECK --interval=1d CMD x", "time: unknown unit \"d\" in duration \"1d\"");
    fails("HEALTHCHECK --interval=1 CMD x", "time: missing unit in duration \"1\"");
    fails("HEALTHCHECK --interval=s CMD x", "time: invalid duration \"s\"");
    fails("HEALTHCHECK --retries=-1 CMD x", "--retries cannot be negative (-1)");
}

#[test]
fn run_flags() {
    let Command::Run(run) =
        command("RUN --network=none --security=insecure --device=v/c=d,required --device=x echo")
    else {
        panic!()
    };
    assert_eq!(run.network.unwrap().value, "none");
    assert_eq!(run.security.unwrap().value, "insecure");
    let devices: Vec<(&str, bool)> = run.devices.iter().map(|d| (d.name.as_str(), d.required)).collect();
    assert_eq!(devices, [("v/c=d", true), ("x", false)]);
    fails("RUN --network=bridge x", "invalid network mode \"bridge\"");
    fails("RUN --network= x", "invalid network mode \"\"");
    fails("RUN --security=none x", "security \"none\" is not valid");
    fails("RUN --device=name=a,name=b x", "device name already set to a");
    fails("RUN --device=a,b x", "invalid field 'b' must be a key=value pair");
}

fn mount(value: &str) -> Result<MountValues, String> {
    match command(&format!("RUN --mount={value} x")) {
        Command::Run(run) => {
            run.mounts[0].resolve(|text| Ok(text.replace("$v", "/val"))).map_err(|error| error.message)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn mounts() {
    let values = mount("type=cache,target=$v/x,id=i,sharing=locked,mode=0750,uid=1,gid=2").unwrap();
    assert_eq!(
        values,
        MountValues {
            kind: MountType::Cache,
            target: "/val/x".to_owned(),
            id: Some("i".to_owned()),
            sharing: Sharing::Locked,
            mode: Some(0o750),
            uid: Some(1),
            gid: Some(2),
            ..MountValues::default()
        }
    );
    let bind = mount("source=s,DST=/d,from=b").unwrap();
    assert_eq!((bind.kind, bind.read_only, bind.from.as_deref()), (MountType::Bind, true, Some("b")));
    assert!(!mount("target=/d,rw").unwrap().read_only);
    assert!(!mount("target=/d,ro=false").unwrap().read_only);
    assert_eq!(mount("type=tmpfs,target=/t,size=64m").unwrap().size_bytes, 64 << 20);
    assert_eq!(mount("type=tmpfs,target=/t,size=1.5KiB").unwrap().size_bytes, 1536);
    let secret = mount("type=secret,source=s,required,env=E").unwrap();
    assert_eq!((secret.id.as_deref(), secret.source, secret.required), (Some("s"), None, true));
    assert_eq!(secret.env.as_deref(), Some("E"));
    assert!(mount("type=ssh,required=true").unwrap().required);
    let quoted = mount("\\\"target=/a,b\\\",rw").unwrap();
    assert_eq!(quoted.target, "/a,b");
}

#[test]
fn wrong_mounts() {
    let cases = [
        ("type=volume", "unsupported mount type \"volume\""),
        ("foo=bar", "unexpected key 'foo' in 'foo=bar'"),
        ("type=cache,x", "invalid field 'x' must be a key=value pair"),
        ("target=/x,size=1m", "unexpected key 'size' for mount type 'bind'"),
        ("type=tmpfs,size=x", "invalid value for size: x"),
        ("type=cache,sharing=x", "unsupported sharing value \"x\""),
        ("type=cache,mode=rwx", "invalid value rwx for mode"),
        ("type=cache,uid=app", "invalid value app for uid"),
        ("type=bind,mode=0755", "mode not allowed for \"bind\" type mounts"),
        ("type=tmpfs,gid=1", "gid not allowed for \"tmpfs\" type mounts"),
        ("required", "unexpected key 'required' for mount type 'bind'"),
        ("type=cache,ro=x", "invalid value for ro: x"),
        ("type=secret", "invalid secret mount. one of source, target required"),
        ("type=secret,id=a,src=b", "both source and id can't be set"),
        ("type=secret,id=a,from=b", "secret mount should not have a from"),
        ("type=secret,id=a,sharing=locked", "secret mount should not define sharing"),
        ("type=ssh,sharing=locked", "invalid cache sharing set for ssh mount"),
    ];
    for (value, message) in cases {
        assert_eq!(mount(value), Err(message.to_owned()), "{value}");
    }
    fails(
        "RUN --mount=from=$x,target=/a x",
        "'from' doesn't support variable expansion, define alias stage instead",
    );
    fails("RUN --mount= x", "failed to parse csv mounts: EOF");
}

#[test]
fn a_heredoc_name_used_twice_has_the_last_body() {
    let Command::Copy(copy) = command("COPY <<a <<a /d/\n1\na\n2\na") else { panic!() };
    for source in copy.sources {
        assert!(matches!(source, CopySource::Heredoc { content, .. } if content == b"2\n"));
    }
}

#[test]
fn a_marker_in_json_makes_an_empty_file() {
    let Command::Copy(copy) = command("COPY [\"<<a\", \"/d\"]") else { panic!() };
    assert!(
        matches!(&copy.sources[0], CopySource::Heredoc { name, content, .. } if name == "a" && content.is_empty())
    );
}
