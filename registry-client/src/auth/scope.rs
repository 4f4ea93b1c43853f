//! Token scopes: which actions on which repositories.
//!
//! Kept sorted and joined per repository, so that equal needs give equal keys in the token cache.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// A set of scopes of the form `type:name:action,action`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct Scopes(BTreeMap<String, BTreeSet<String>>);

impl Scopes {
    pub(crate) fn none() -> Self {
        Self::default()
    }

    pub(crate) fn pull(repository: &str) -> Self {
        Self::none().and(repository, &["pull"])
    }

    pub(crate) fn push(repository: &str) -> Self {
        Self::none().and(repository, &["pull", "push"])
    }

    pub(crate) fn delete(repository: &str) -> Self {
        Self::none().and(repository, &["delete", "pull", "push"])
    }

    /// Adds actions on a repository.
    pub(crate) fn and(mut self, repository: &str, actions: &[&str]) -> Self {
        let entry = self.0.entry(format!("repository:{repository}")).or_default();
        entry.extend(actions.iter().map(|&a| a.to_owned()));
        self
    }

    /// Adds what a challenge asks for.
    pub(crate) fn union(mut self, scopes: &[String]) -> Self {
        for scope in scopes {
            // The action is what follows the last colon; a repository name may hold a port's colon.
            match scope.rsplit_once(':') {
                Some((resource, actions)) => {
                    let entry = self.0.entry(resource.to_owned()).or_default();
                    entry.extend(actions.split(',').filter(|a| !a.is_empty()).map(str::to_owned));
                }
                None => drop(self.0.entry(scope.clone()).or_default()),
            }
        }
        self
    }

    /// Whether nothing but reading is asked for.
    pub(crate) fn only_pull(&self) -> bool {
        self.0.values().flatten().all(|action| action == "pull")
    }

    /// Each scope in its wire form.
    pub(crate) fn iter(&self) -> impl Iterator<Item = String> + '_ {
        self.0.iter().map(|(resource, actions)| {
            if actions.is_empty() {
                return resource.clone();
            }
            format!("{resource}:{}", actions.iter().map(String::as_str).collect::<Vec<_>>().join(","))
        })
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.iter().collect::<Vec<_>>().join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::Scopes;

    #[test]
    fn r005_scopes_are_sorted_and_joined() {
        let asked = Scopes::push("b/x").and("a", &["pull"]);
        let more = ["repository:b/x:pull,delete".to_owned(), "registry:catalog:*".to_owned()];
        let union = asked.union(&more);
        assert_eq!(union.to_string(), "registry:catalog:* repository:a:pull repository:b/x:delete,pull,push");
        assert_eq!(Scopes::none().to_string(), "");
    }
}
