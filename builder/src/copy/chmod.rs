//! `--chmod`: octal bits, or the symbolic language of chmod(1) in its BSD reading.
//!
//! What the BSD reading means here: `=` clears only the classes named (with their setuid or setgid bit, never the
//! sticky bit unless `t` is given); `X` looks at the mode that the file had before the first clause; a clause without
//! a class means all classes, and no umask is applied.

use cooper_frontend::graph::Chmod;

use super::CopyError;

const ALL: u32 = 0o6777;
const STICKY: u32 = 0o1000;

/// A parsed `--chmod`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModeChange(Form);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Form {
    Octal(u32),
    Symbolic(Vec<Action>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Action {
    Set(u32),
    Clear(u32),
    /// Set for directories and for files that could be executed by anyone.
    SetIfExecutable(u32),
    /// Copies the bits of the class at `from` (6, 3 or 0) to the classes in `who`.
    CopyClass {
        from: u32,
        who: u32,
        operator: u8,
    },
}

impl ModeChange {
    /// Parses what the planner passed on.
    pub fn new(chmod: &Chmod) -> Result<ModeChange, CopyError> {
        match chmod {
            Chmod::Octal(bits) => Ok(ModeChange(Form::Octal(bits & 0o7777))),
            Chmod::Symbolic(text) => parse(text)
                .map(|actions| ModeChange(Form::Symbolic(actions)))
                .ok_or_else(|| CopyError::BadMode { text: text.clone() }),
        }
    }

    /// The mode (07777) of a file that had `mode`.
    pub fn apply(&self, mode: u32, is_dir: bool) -> u32 {
        match &self.0 {
            Form::Octal(bits) => *bits,
            Form::Symbolic(actions) => {
                let executable = is_dir || mode & 0o111 != 0;
                actions.iter().fold(mode, |now, action| action.apply(now, executable))
            }
        }
    }

    /// The mode of directories that COPY makes on the way to its destination: octal bits apply to them too.
    pub fn of_parents(&self) -> u32 {
        match &self.0 {
            Form::Octal(bits) => bits & 0o777,
            Form::Symbolic(_) => 0o755,
        }
    }
}

impl Action {
    fn apply(&self, mode: u32, executable: bool) -> u32 {
        match *self {
            Action::Set(bits) => mode | bits,
            Action::Clear(bits) => mode & !bits,
            Action::SetIfExecutable(bits) => mode | if executable { bits } else { 0 },
            Action::CopyClass { from, who, operator } => {
                let bits = mode >> from & 7;
                let spread = (bits << 6 | bits << 3 | bits) & who;
                match operator {
                    b'+' => mode | spread,
                    b'-' => mode & !spread,
                    _ => mode & !(who & 0o777) | spread,
                }
            }
        }
    }
}

/// `None` is a syntax error.
fn parse(text: &str) -> Option<Vec<Action>> {
    let mut actions = Vec::new();
    for clause in text.split(',') {
        parse_clause(clause.as_bytes(), &mut actions)?;
    }
    Some(actions)
}

fn parse_clause(clause: &[u8], actions: &mut Vec<Action>) -> Option<()> {
    let classes = clause.iter().take_while(|c| b"ugoa".contains(c)).count();
    let who = clause[..classes].iter().fold(0, |who, class| {
        who | match class {
            b'u' => 0o4700,
            b'g' => 0o2070,
            b'o' => 0o007,
            _ => ALL,
        }
    });
    let mut rest = &clause[classes..];
    if rest.is_empty() {
        return None;
    }
    while let Some((&operator, after)) = rest.split_first() {
        if !b"+-=".contains(&operator) {
            return None;
        }
        let length = after.iter().position(|c| b"+-=".contains(c)).unwrap_or(after.len());
        parse_permissions(operator, who, &after[..length], actions)?;
        rest = &after[length..];
    }
    Some(())
}

fn parse_permissions(operator: u8, who: u32, text: &[u8], actions: &mut Vec<Action>) -> Option<()> {
    // For the class of others alone, `s` and `t` mean nothing.
    let special = who == 0 || who & !0o007 != 0;
    let (mut bits, mut conditional, mut sticky) = (0, 0, 0);
    let mut copies = Vec::new();
    for permission in text {
        match permission {
            b'r' => bits |= 0o444,
            b'w' => bits |= 0o222,
            b'x' => bits |= 0o111,
            b's' if special => bits |= 0o6000,
            b't' if special => sticky = STICKY,
            b's' | b't' => {}
            b'X' => conditional = 0o111,
            b'u' => copies.push(6),
            b'g' => copies.push(3),
            b'o' => copies.push(0),
            _ => return None,
        }
    }
    let who = if who == 0 { ALL } else { who };
    // A copied class is all that `=` sets; it must be read before the old bits are cleared.
    let only_copies = operator == b'=' && !copies.is_empty() && bits | sticky == 0;
    if operator == b'=' && !only_copies {
        actions.push(Action::Clear(who | sticky));
    }
    let set = bits & who | sticky;
    match operator {
        b'-' => actions.push(Action::Clear(set)),
        _ => actions.push(Action::Set(set)),
    }
    for from in copies {
        actions.push(Action::CopyClass { from, who, operator });
    }
    // After `-` it means nothing.
    if operator != b'-' {
        actions.push(Action::SetIfExecutable(conditional & who));
    }
    Some(())
}
