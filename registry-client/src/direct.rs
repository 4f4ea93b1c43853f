//! A part of a file as the body of a request in plain HTTP, moved from the page cache to the socket by the kernel.
//!
//! Copying is most of what a push to a registry nearby costs, and without TLS nobody here needs to see the bytes. Owns
//! the connection of each such request and the little of HTTP/1.1 that it needs: the request's head, and an answer that
//! may come at any time. Which requests may go this way is the matter of `transport`.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::ops::Range;

use bytes::Bytes;
use http::Response;
use reqwest::header::{
    AUTHORIZATION, CONNECTION, HOST, HeaderName, HeaderValue, TRANSFER_ENCODING, USER_AGENT,
};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use crate::sent::Sent;
use crate::transport::Outgoing;

/// Bytes that the kernel is asked to move at once: more than a socket holds.
const PART_BYTES: u64 = 8 << 20;
/// Bytes of an answer; what its body says beyond them is not read.
const ANSWER_BYTES: usize = 128 << 10;
const MOST_HEADERS: usize = 100;

/// The head of a request, as it goes over the wire.
pub(crate) fn head(outgoing: &Outgoing, user_agent: &str) -> Vec<u8> {
    let url = &outgoing.url;
    let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
    let mut head = format!("{} {}{query} HTTP/1.1\r\n", outgoing.method, url.path()).into_bytes();
    let mut line = |name: &HeaderName, value: &[u8]| {
        head.extend_from_slice(&[name.as_str().as_bytes(), b": ", value, b"\r\n"].concat());
    };
    line(&HOST, url.authority().as_bytes());
    line(&USER_AGENT, user_agent.as_bytes());
    line(&CONNECTION, b"close");
    for (name, value) in &outgoing.headers {
        line(name, value.as_bytes());
    }
    if let Some(bound) = outgoing.authorization.as_ref().filter(|bound| bound.origin == url.origin()) {
        line(&AUTHORIZATION, bound.header.as_bytes());
    }
    head.extend_from_slice(b"\r\n");
    head
}

/// Ends an exchange when nobody waits for it any more.
pub(crate) struct Hangup(pub(crate) TcpStream);

impl Drop for Hangup {
    fn drop(&mut self) {
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

/// One request and its answer, over a socket that does not block. Nothing more is sent once it is answered. `moved` is
/// told the position in the file.
pub(crate) fn exchange(
    mut socket: TcpStream,
    mut head: &[u8],
    file: &File,
    part: Range<u64>,
    sent: &Sent,
    moved: impl Fn(u64),
) -> io::Result<Response<Bytes>> {
    let (mut at, mut answer, mut broken) = (part.start, Vec::new(), None);
    loop {
        let sending = broken.is_none() && (!head.is_empty() || at < part.end);
        let wanted = if sending { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN };
        let mut polled = [PollFd::new(&socket, wanted)];
        match poll(&mut polled, None) {
            Err(Errno::INTR) => continue,
            done => done?,
        };
        let ready = polled[0].revents();
        if ready.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) {
            match receive(&mut socket, &mut answer) {
                Ok(Some(response)) => return Ok(response),
                Ok(None) => {}
                Err(error) => return Err(broken.unwrap_or(error)),
            }
        }
        if !sending || !ready.contains(PollFlags::OUT) {
            continue;
        }
        let done = if head.is_empty() {
            send(&socket, file, &mut at, part.end, sent)
        } else {
            socket.write(head).map(|n| head = head.get(n..).unwrap_or_default())
        };
        match done {
            Ok(()) => moved(at),
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            // It may have answered before it closed the connection.
            Err(e) if sent.is_sound() => broken = Some(e),
            Err(e) => return Err(e),
        }
    }
}

/// Moves some bytes of the file.
fn send(socket: &TcpStream, file: &File, at: &mut u64, end: u64, sent: &Sent) -> io::Result<()> {
    let most = usize::try_from((end - *at).min(PART_BYTES)).unwrap_or(usize::MAX);
    match rustix::fs::sendfile(socket, file, Some(at), most) {
        Ok(0) => {
            let what = "it is shorter than its descriptor says";
            Err(sent.fail(io::Error::new(io::ErrorKind::UnexpectedEof, what)))
        }
        Ok(n) => {
            sent.took(n as u64);
            Ok(())
        }
        Err(e @ (Errno::IO | Errno::INVAL | Errno::OVERFLOW | Errno::NOMEM)) => Err(sent.fail(e.into())),
        Err(e) => Err(e.into()),
    }
}

/// Takes what is there of the answer; `None` while it is not complete.
fn receive(socket: &mut TcpStream, answer: &mut Vec<u8>) -> io::Result<Option<Response<Bytes>>> {
    let mut bytes = [0; 8192];
    let ended = match socket.read(&mut bytes) {
        Ok(n) => {
            answer.extend_from_slice(bytes.get(..n).unwrap_or_default());
            n == 0 || answer.len() >= ANSWER_BYTES
        }
        Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
            return Ok(None);
        }
        Err(e) => return Err(e),
    };
    parse(answer, ended)
}

/// Reads an answer; `ended` says that no more of it will come.
fn parse(mut answer: &[u8], ended: bool) -> io::Result<Option<Response<Bytes>>> {
    let invalid = |what: &'static str| io::Error::new(io::ErrorKind::InvalidData, what);
    let cut_off =
        || io::Error::new(io::ErrorKind::UnexpectedEof, "the connection was closed without an answer");
    loop {
        let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
        let mut head = httparse::Response::new(&mut headers);
        let length = match head.parse(answer).map_err(|_| invalid("the answer is not HTTP"))? {
            httparse::Status::Complete(length) => length,
            httparse::Status::Partial if ended => return Err(cut_off()),
            httparse::Status::Partial => return Ok(None),
        };
        let body = answer.get(length..).unwrap_or_default();
        let status = head.code.unwrap_or_default();
        // Not the answer yet.
        if (100..200).contains(&status) {
            answer = body;
            continue;
        }
        let mut response = Response::builder().status(status);
        for header in head.headers.iter() {
            let value =
                HeaderValue::from_bytes(header.value).map_err(|_| invalid("the answer has a bad header"))?;
            response = response.header(header.name, value);
        }
        let of = |name: HeaderName| response.headers_ref().and_then(|all| all.get(name)?.to_str().ok());
        let whole = if status == 204 || status == 304 {
            Some(Bytes::new())
        } else if of(TRANSFER_ENCODING).is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
            unchunked(body)
        } else {
            let length =
                of(reqwest::header::CONTENT_LENGTH).and_then(|length| length.trim().parse::<usize>().ok());
            length.and_then(|length| body.get(..length)).map(Bytes::copy_from_slice)
        };
        let body = match whole {
            Some(body) => body,
            // Its beginning will do: bodies only say why something was refused.
            None if ended => Bytes::copy_from_slice(body),
            None => return Ok(None),
        };
        return response.body(body).map(Some).map_err(|_| invalid("the answer has a bad head"));
    }
}

/// The content of a chunked body, if it is all there.
fn unchunked(mut body: &[u8]) -> Option<Bytes> {
    let mut content = Vec::new();
    loop {
        let Ok(httparse::Status::Complete((start, length))) = httparse::parse_chunk_size(body) else {
            return None;
        };
        let end = start.checked_add(usize::try_from(length).ok()?)?;
        if length == 0 {
            return Some(content.into());
        }
        content.extend_from_slice(body.get(start..end)?);
        body = body.get(end..)?.strip_prefix(b"\r\n")?;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// Status and body, if the answer is complete.
    fn read(answer: &str, ended: bool) -> Option<(u16, String)> {
        let response = parse(answer.as_bytes(), ended).unwrap()?;
        Some((response.status().as_u16(), String::from_utf8(response.body().to_vec()).unwrap()))
    }

    #[test]
    fn answers_are_read_when_they_are_complete() {
        let table = [
            ("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n", Some((201, ""))),
            ("HTTP/1.1 204 No Content\r\n\r\n", Some((204, ""))),
            (
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\nok",
                Some((202, "ok")),
            ),
            ("HTTP/1.1 100 Continue\r\n\r\n", None),
            ("HTTP/1.1 403 Forbidden\r\nContent-Length: 5\r\n\r\nno", None),
            (
                "HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nno \r\n2\r\nno\r\n0\r\n\r\n",
                Some((403, "no no")),
            ),
            ("HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nno", None),
            ("HTTP/1.1 500 Oops\r\n\r\nall", None),
            ("HTTP/1.1 20", None),
        ];
        for (answer, want) in table {
            let want = want.map(|(status, body)| (status, body.to_owned()));
            assert_eq!(read(answer, false), want, "{answer}");
        }
        assert_eq!(read("HTTP/1.1 500 Oops\r\n\r\nall", true), Some((500, "all".to_owned())));
        assert_eq!(
            read("HTTP/1.1 403 No\r\nContent-Length: 5\r\n\r\nno", true),
            Some((403, "no".to_owned()))
        );
        assert_eq!(parse(b"HTTP/1.1 20", true).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(parse(b"", true).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(parse(b"SSH-2.0-x\r\n", false).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
