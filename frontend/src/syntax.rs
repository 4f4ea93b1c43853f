//! `# syntax=`: which frontends this one stands in for.
//!
//! BuildKit runs the image that the directive names. Here the Dockerfile frontend is built in, of whatever version is
//! asked for; any other frontend is refused, for its files mean something else.

use cooper_oci::Reference;

use crate::ast::{Dockerfile, Span};
use crate::plan::PlanError;

/// Repositories of the Dockerfile frontend, in full form.
const BUILT_IN: [&str; 2] = ["docker.io/docker/dockerfile", "docker.io/docker/dockerfile-upstream"];

/// Refuses a Dockerfile that asks for a frontend that is not ours. The build argument `BUILDKIT_SYNTAX` beats the
/// directive.
pub fn check(file: &Dockerfile, build_args: &[(String, String)]) -> Result<(), PlanError> {
    let forced =
        build_args.iter().rev().find(|(name, _)| name == "BUILDKIT_SYNTAX").map(|(_, value)| value.as_str());
    let (text, span): (&str, Option<Span>) = match (forced, &file.directives.syntax) {
        (Some(text), _) => (text, None),
        (None, Some(directive)) => (directive.as_str(), Some(directive.span)),
        (None, None) => return Ok(()),
    };
    let name = text.split_whitespace().next().unwrap_or_default();
    let built_in = name == "dockerfile.v0"
        || name.parse::<Reference>().is_ok_and(|reference| BUILT_IN.contains(&reference.name().as_str()));
    if built_in {
        return Ok(());
    }
    Err(PlanError {
        span,
        message: format!("the frontend \"{name}\" cannot be run: only the Dockerfile frontend is built in"),
        hint: Some("remove the `# syntax=` line if the file is a plain Dockerfile".to_owned()),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::check;

    #[test]
    fn dockerfile_frontends_of_any_version_are_accepted_and_others_refused() {
        for (directive, args, accepted) in [
            ("# syntax=docker/dockerfile:1\n", vec![], true),
            (
                "# syntax = docker/dockerfile:1.7-labs@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n",
                vec![],
                true,
            ),
            ("# syntax=docker.io/docker/dockerfile-upstream:master\n", vec![], true),
            ("# syntax=dockerfile.v0\n", vec![], true),
            ("", vec![], true),
            ("# syntax=example.com/mine:1 an argument\n", vec![], false),
            (
                "# syntax=example.com/mine\n",
                vec![("BUILDKIT_SYNTAX".to_owned(), "docker/dockerfile:1".to_owned())],
                true,
            ),
            ("", vec![("BUILDKIT_SYNTAX".to_owned(), "example.com/mine".to_owned())], false),
        ] {
            let file = crate::parser::parse(format!("{directive}FROM scratch\n").as_bytes()).unwrap();
            assert_eq!(check(&file, &args).is_ok(), accepted, "{directive:?} {args:?}");
        }
    }
}
