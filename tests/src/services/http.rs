//! As much of an HTTP client as the tests need: one request a connection.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(60);
const BOUNDARY: &str = "a-boundary-that-no-test-sends";

/// A server on this machine, and who asks it.
#[derive(Clone)]
pub struct Client {
    /// The server's port.
    pub port: u16,
    /// What the caller shows.
    pub key: Option<String>,
}

/// What it answered.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    /// The body.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as it came.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The body, which is JSON.
    ///
    /// # Panics
    /// It is not.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}{}", self.head, self.text()))
    }

    /// Head and body as they came.
    pub fn whole(&self) -> Vec<u8> {
        [self.head.as_bytes(), b"\r\n\r\n", &self.body].concat()
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        let line = |line: &'_ str| {
            line.split_once(": ").filter(|(found, _)| found.eq_ignore_ascii_case(name)).is_some()
        };
        self.head
            .lines()
            .find(|found| line(found))
            .and_then(|line| line.split_once(": "))
            .map(|(_, value)| value)
    }
}

/// A form with files: its content type and its bytes.
pub fn form(files: &[(&str, &[u8])]) -> (String, Vec<u8>) {
    let mut body = Vec::new();
    for (name, bytes) in files {
        let head = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n"
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(bytes);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    (format!("multipart/form-data; boundary={BOUNDARY}"), body)
}

impl Client {
    /// Asks for a page.
    ///
    /// # Panics
    /// There is no whole answer.
    pub fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], b"").unwrap()
    }

    /// Sends JSON.
    ///
    /// # Panics
    /// There is no whole answer.
    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, &[("content-type", "application/json")], body.to_string().as_bytes())
            .unwrap()
    }

    /// A figure of the metrics, by its whole name.
    ///
    /// # Panics
    /// Nobody answers, or it is not among them.
    pub fn figure(&self, name: &str) -> f64 {
        let metrics = self.get("/metrics").text();
        let line = metrics.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap();
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Errors
    /// Nobody answers, or the connection ends early.
    pub fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Answer> {
        let mut stream = self.begin(method, path, headers, body)?;
        let mut whole = Vec::new();
        stream.read_to_end(&mut whole)?;
        let cut = whole
            .windows(4)
            .position(|window| window == b"\r\n\r\n")
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        let head = String::from_utf8_lossy(&whole[..cut]).into_owned();
        let status =
            head.get(9..12).and_then(|status| status.parse().ok()).ok_or(io::ErrorKind::InvalidData)?;
        let answer = Answer { status, head, body: whole.split_off(cut + 4) };
        let length = answer.header("content-length").and_then(|length| length.parse().ok());
        match length {
            Some(length) if answer.body.len() < length => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(answer),
        }
    }

    /// The first line of a stream of lines.
    ///
    /// # Errors
    /// Nobody answers, or no line comes.
    pub fn first_line(&self, path: &str) -> io::Result<String> {
        let stream = BufReader::new(self.begin("GET", path, &[], b"")?);
        for line in stream.lines() {
            let line = line?;
            // Between the head and it are sizes of chunks, and what else an event has.
            let data = line.strip_prefix("data: ").unwrap_or(&line);
            if data.starts_with('{') {
                return Ok(data.to_owned());
            }
        }
        Err(io::ErrorKind::UnexpectedEof.into())
    }

    fn begin(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<TcpStream> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(LIMIT))?;
        let mut head =
            format!("{method} {path} HTTP/1.1\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
        if !headers.iter().any(|(name, _)| *name == "host") {
            head += "host: localhost\r\n";
        }
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        if let Some(key) = &self.key {
            head += &format!("authorization: Bearer {key}\r\n");
        }
        stream.write_all(format!("{head}\r\n").as_bytes())?;
        // Who refuses early need not read the rest, and may be gone by then: what was said counts.
        let _ = stream.write_all(body);
        Ok(stream)
    }
}
