//! As much of HTTP as these measurements ask by themselves, a connection a request. What is measured is asked by
//! `docmill bench`.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Result, ensure};

/// Longest wait for an answer.
const ANSWER_MAX: Duration = Duration::from_secs(60);
/// What no file of ours has in it.
const BOUNDARY: &str = "docmill-bench-7f3a91";

/// An answer.
pub struct Answer {
    pub status: u16,
    pub body: String,
}

/// The body of a good answer.
pub fn get(url: &str, path: &str) -> Result<String> {
    let answer = send(url, "GET", path, &[], b"")?;
    ensure!(answer.status == 200, "{url}{path} answers {}: {}", answer.status, answer.body);
    Ok(answer.body)
}

/// Sends a file; `token` is what changes need.
pub fn upload(url: &str, token: &str, name: &str, text: &str) -> Result<Answer> {
    let body = format!(
        "--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
         content-type: application/octet-stream\r\n\r\n{text}\r\n--{BOUNDARY}--\r\n"
    );
    let kind = format!("multipart/form-data; boundary={BOUNDARY}");
    let headers = [("content-type", kind.as_str()), ("x-docmill-token", token)];
    send(url, "POST", "/v1/documents", &headers, body.as_bytes())
}

/// Sends a request and reads its answer.
pub fn send(url: &str, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Answer> {
    let address = url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(ANSWER_MAX))?;
    let mut request = format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n");
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
    let mut request = request.into_bytes();
    request.extend_from_slice(body);
    stream.write_all(&request)?;
    read(&mut BufReader::new(stream))
}

/// Reads an answer whose length is told, or that ends with the connection.
fn read(from: &mut impl BufRead) -> Result<Answer> {
    let mut status = String::new();
    from.read_line(&mut status)?;
    let number = status.split(' ').nth(1).and_then(|number| number.parse().ok());
    let mut length = None;
    loop {
        let mut line = String::new();
        from.read_line(&mut line)?;
        let Some((name, value)) = line.trim().split_once(':') else { break };
        ensure!(!name.eq_ignore_ascii_case("transfer-encoding"), "an answer comes in chunks");
        if name.eq_ignore_ascii_case("content-length") {
            length = Some(value.trim().parse::<u64>()?);
        }
    }
    let mut body = String::new();
    from.take(length.unwrap_or(u64::MAX)).read_to_string(&mut body)?;
    let Some(status) = number else { anyhow::bail!("no answer of HTTP: {}", status.trim()) };
    Ok(Answer { status, body })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_end_where_they_say() {
        let told = b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n{}more".as_slice();
        let answer = read(&mut { told }).unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (202, "{}"));
        let ended = read(&mut b"HTTP/1.0 503 Busy\r\n\r\nbusy".as_slice()).unwrap();
        assert_eq!((ended.status, ended.body.as_str()), (503, "busy"));
        assert!(read(&mut b"".as_slice()).is_err());
        assert!(
            read(&mut b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n".as_slice())
                .is_err()
        );
    }
}
