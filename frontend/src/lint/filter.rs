//! Which rules are on: the `check` directive or what replaces it, and `# check=` comments.

use crate::ast::{CheckOptions, Comment, Dockerfile};
use crate::graph::PlanWarning;
use crate::parser::check_comment;

/// Rules that are off unless they are named.
const EXPERIMENTAL: [&str; 1] = ["InvalidDefinitionDescription"];

/// The settings of the checks of one build.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    options: CheckOptions,
}

impl Filter {
    /// Settings from the file's directive, or from `BUILDKIT_DOCKERFILE_CHECK`, which replaces it.
    pub fn new(options: CheckOptions) -> Self {
        Self { options }
    }

    /// Whether a rule is on for an instruction with these comments above it. The first `check=` among them counts.
    pub fn allows(&self, rule: &str, comments: &[Comment]) -> bool {
        let local = comments.iter().find_map(|comment| check_comment(&comment.text));
        let mut all = std::iter::once(&self.options).chain(&local);
        let named = |rules: &[String]| rules.iter().any(|name| name == rule);
        if EXPERIMENTAL.contains(&rule) {
            all.any(|options| options.experimental_all || named(&options.experimental))
        } else {
            !all.any(|options| options.skip_all || named(&options.skip))
        }
    }

    /// Whether a finding fails the build.
    pub fn findings_are_errors(&self) -> bool {
        self.options.error
    }
}

impl PlanWarning {
    /// The comments above the instruction that is meant, which may turn the rule off.
    pub fn comments<'f>(&self, file: &'f Dockerfile) -> &'f [Comment] {
        let stages = file.stages.iter();
        let sources = stages.flat_map(|stage| {
            std::iter::once(&stage.source)
                .chain(stage.instructions.iter().map(|instruction| &instruction.source))
        });
        let mut meant = sources.filter(|source| Some(source.span) == self.span);
        meant.next().map_or(&[], |source| &source.comments)
    }
}

/// The message of a build that fails for findings of these rules.
pub fn violation_message<'a>(rules: impl IntoIterator<Item = &'a str>) -> String {
    let mut names: Vec<&str> = Vec::new();
    for rule in rules {
        if !names.contains(&rule) {
            names.push(rule);
        }
    }
    format!("lint violation found for rules: {}", names.join(", "))
}

/// The page that explains a rule.
pub fn documentation_url(rule: &str) -> Option<String> {
    if rule == "InvalidBaseImagePlatform" || !super::counts_as_violation(rule) {
        return None;
    }
    let mut name = String::with_capacity(rule.len() + 4);
    let mut previous_is_lower = false;
    let mut letters = rule.chars().peekable();
    while let Some(letter) = letters.next() {
        // `JSONArgs`: the last capital of a run starts the next word.
        let starts_word = letter.is_uppercase()
            && (previous_is_lower || letters.peek().is_some_and(|next| next.is_lowercase()));
        if starts_word && !name.is_empty() {
            name.push('-');
        }
        previous_is_lower = letter.is_lowercase();
        name.extend(letter.to_lowercase());
    }
    Some(format!("https://docs.docker.com/go/dockerfile/rule/{name}/"))
}
