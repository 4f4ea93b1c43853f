//! An agent with keys of ours: answers the two questions that pass [`super::Forward`]
//! (draft-ietf-sshm-ssh-agent, sections 3.5 and 3.6).

use super::key::Key;
use super::openssh::{Reader, put_number, put_string};

/// `SSH_AGENTC_REQUEST_IDENTITIES` and its answer.
pub const LIST: u8 = 11;
const LISTED: u8 = 12;
/// `SSH_AGENTC_SIGN_REQUEST` and its answer.
pub const SIGN: u8 = 13;
const SIGNED: u8 = 14;
/// `SSH_AGENT_FAILURE`.
pub const FAILURE: u8 = 5;

/// Keys that may be listed and used.
#[derive(Debug)]
pub struct Keyring(Vec<Key>);

impl Keyring {
    pub(super) fn new(keys: Vec<Key>) -> Keyring {
        Keyring(keys)
    }

    /// The answer to a question; both without their lengths.
    pub(super) fn answer(&self, question: &[u8]) -> Vec<u8> {
        let answer = match question {
            [LIST, ..] => Some(self.list()),
            [SIGN, question @ ..] => self.sign(question),
            _ => None,
        };
        answer.unwrap_or_else(|| vec![FAILURE])
    }

    fn list(&self) -> Vec<u8> {
        let mut answer = vec![LISTED];
        put_number(&mut answer, self.0.len());
        for key in &self.0 {
            put_string(&mut answer, key.public());
            put_string(&mut answer, key.comment());
        }
        answer
    }

    fn sign(&self, question: &[u8]) -> Option<Vec<u8>> {
        let mut question = Reader(question);
        let (public, data, flags) = (question.string()?, question.string()?, question.number()?);
        let signature = self.0.iter().find(|key| key.public() == public)?.sign(data, flags)?;
        let mut answer = vec![SIGNED];
        put_string(&mut answer, &signature);
        Some(answer)
    }
}
