//! The simple commands of a RUN, as far as they can be read without a shell.
//!
//! Good enough to recognise common programs and their arguments; never used for anything but remarks.

use crate::ast::{Run, ShellOrExec, Source};

/// The commands in order, each as words without quotes; assignments and keywords in front of a program are left out.
pub(crate) fn commands(run: &Run, source: &Source) -> Vec<Vec<String>> {
    if let Some(heredoc) = run.script(source) {
        let body = heredoc.body();
        let text = String::from_utf8_lossy(&body);
        // Another interpreter's script is one command that nobody here understands.
        return match text.strip_prefix("#!") {
            Some(rest) if !rest.lines().next().unwrap_or_default().trim_end().ends_with("sh") => {
                vec![vec![rest.lines().next().unwrap_or_default().to_owned()]]
            }
            _ => split(&text),
        };
    }
    match &run.command {
        ShellOrExec::Shell(text) => split(text),
        ShellOrExec::Exec(argv) => match argv.as_slice() {
            [shell, flag, text] if shell.ends_with("sh") && flag.starts_with('-') && flag.ends_with('c') => {
                split(text)
            }
            _ => vec![argv.clone()],
        },
    }
}

/// Splits a shell text at its operators and line ends.
fn split(text: &str) -> Vec<Vec<String>> {
    let mut commands = Vec::new();
    let mut words: Vec<String> = Vec::new();
    let mut word = String::new();
    let mut in_word = false;
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => match letters.next() {
                Some('\n') | None => {}
                Some(next) => {
                    word.push(next);
                    in_word = true;
                }
            },
            '\'' => {
                in_word = true;
                word.extend(letters.by_ref().take_while(|letter| *letter != '\''));
            }
            '"' => {
                in_word = true;
                while let Some(letter) = letters.next().filter(|letter| *letter != '"') {
                    match letter {
                        '\\' => word.extend(letters.next()),
                        letter => word.push(letter),
                    }
                }
            }
            '#' if !in_word => while letters.next_if(|letter| *letter != '\n').is_some() {},
            ' ' | '\t' | '\r' => end_word(&mut words, &mut word, &mut in_word),
            '\n' | ';' | '&' | '|' => {
                // `>&2` and `&>` are redirections.
                let redirects = letter == '&' && (word.ends_with('>') || letters.peek() == Some(&'>'));
                if redirects {
                    word.push(letter);
                    continue;
                }
                end_word(&mut words, &mut word, &mut in_word);
                end_command(&mut commands, &mut words);
            }
            letter => {
                in_word = true;
                word.push(letter);
            }
        }
    }
    end_word(&mut words, &mut word, &mut in_word);
    end_command(&mut commands, &mut words);
    commands
}

fn end_word(words: &mut Vec<String>, word: &mut String, in_word: &mut bool) {
    if std::mem::take(in_word) {
        words.push(std::mem::take(word));
    }
}

fn end_command(commands: &mut Vec<Vec<String>>, words: &mut Vec<String>) {
    const KEYWORDS: [&str; 13] =
        ["if", "then", "else", "elif", "do", "while", "until", "!", "{", "(", "time", "exec", "sudo"];
    let is_prefix = |word: &str| {
        let assignment = word.split_once('=').is_some_and(|(name, _)| {
            !name.is_empty() && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
        });
        assignment || KEYWORDS.contains(&word)
    };
    let start = words.iter().position(|word| !is_prefix(word)).unwrap_or(words.len());
    let mut command: Vec<String> = words.drain(..).skip(start).collect();
    if let Some(first) = command.first_mut() {
        *first = first.trim_start_matches('(').to_owned();
    }
    command.retain(|word| !matches!(word.as_str(), "fi" | "done" | "}" | ")" | "esac" | ""));
    if !command.is_empty() {
        commands.push(command);
    }
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn commands_and_words() {
        let table: &[(&str, &[&[&str]])] = &[
            ("a b && c", &[&["a", "b"], &["c"]]),
            ("A=1 B='x y' make \"a b\" # note", &[&["make", "a b"]]),
            ("set -e\n\nif x; then y; fi", &[&["set", "-e"], &["x"], &["y"]]),
            ("a \\\n  b 2>&1 | c", &[&["a", "b", "2>&1"], &["c"]]),
            ("(cd x && y)", &[&["cd", "x"], &["y)"]]),
            ("a\\ b 'c'd", &[&["a b", "cd"]]),
            ("'unclosed", &[&["unclosed"]]),
            ("", &[]),
        ];
        for (text, want) in table {
            assert_eq!(split(text), *want, "{text:?}");
        }
    }
}
