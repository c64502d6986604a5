//! One file to the server: a form that is streamed from disk, sent again as a whole where that helps.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use docmill_worker::stages::file_uri;
use futures::stream::{self, Stream};
use reqwest::{Body, Method, RequestBuilder};
use tokio::io::AsyncReadExt;

use super::super::client::{Again, Client};
use super::super::error::{Error, Refusal};
use super::super::wire::{self, Accepted};
use super::plan::{self, Stamp};

/// Bytes that are read at once; with those on their way all that an upload holds in memory.
const READ_BYTES: usize = 64 << 10;
/// Longest time of an upload of nothing; larger ones get what the slowest line needs.
const UPLOAD_MAX: Duration = Duration::from_secs(180);
/// The slowest line that is waited for, in bytes a second.
const SLOWEST: u64 = 16 << 10;

/// A file that is to be handed in.
#[derive(Debug, Clone)]
pub struct Found {
    pub path: PathBuf,
    pub place: String,
    pub bytes: u64,
    pub stamp: Stamp,
}

/// What became of it.
#[derive(Debug)]
pub enum Outcome {
    /// The server has it; what changed there.
    Taken { change: String, bytes: u64, stamp: Stamp },
    /// It does not want it, or we cannot read it: this file alone.
    Refused(Refusal),
    /// It went between the look and the upload, as if it had never been seen.
    Gone,
}

/// Hands it in.
///
/// # Errors
/// Something that would befall any other file too.
pub async fn upload(client: &Client, batch: &str, found: &Found) -> Result<Outcome, Error> {
    let mut uploaded = attempt(client, batch, found, None).await;
    if uploaded.as_ref().is_err_and(|error| error.is("idempotency_key_reused")) {
        // The file changed while it was sent and its times did not: another request after all.
        let fresh = super::random_hex().map_err(|_| Error::Broken("no random numbers".to_owned()))?;
        uploaded = attempt(client, batch, found, Some(&fresh)).await;
    }
    match uploaded {
        Ok(taken) => Ok(taken),
        Err(Error::File(error)) if error.kind() == std::io::ErrorKind::NotFound => Ok(Outcome::Gone),
        Err(Error::File(error)) => Ok(Outcome::Refused(unreadable(&error.to_string()))),
        // Of this file, not of the server or the batch.
        Err(Error::Refused(refusal)) if matches!(refusal.status, 400 | 413 | 422) => {
            Ok(Outcome::Refused(refusal))
        }
        Err(error) => Err(error),
    }
}

async fn attempt(client: &Client, batch: &str, found: &Found, key: Option<&str>) -> Result<Outcome, Error> {
    let boundary = super::random_hex().map_err(|_| Error::Broken("no random numbers".to_owned()))?;
    let sent = std::cell::Cell::new((found.bytes, found.stamp));
    // A read that fails ends the request as a broken line would; which of the two it was is here.
    let read_error: Arc<OnceLock<String>> = Arc::default();
    let make = async || -> Result<RequestBuilder, Error> {
        if let Some(error) = read_error.get() {
            return Err(Error::File(std::io::Error::other(error.clone())));
        }
        let file = tokio::fs::File::open(&found.path).await.map_err(Error::File)?;
        let metadata = file.metadata().await.map_err(Error::File)?;
        if !metadata.is_file() {
            return Err(Error::File(std::io::Error::other("not a regular file")));
        }
        // As it is now: what is sent, not what was looked at.
        let (bytes, stamp) = (metadata.size(), plan::stamp(&found.place, &file_uri::stat_of(&metadata)));
        sent.set((bytes, stamp));
        let own = plan::upload_key(batch, &stamp);
        let request = client.request(Method::POST, &["v1", "documents"], &[("batch", batch)])?;
        let request = request
            .header("content-type", format!("multipart/form-data; boundary={boundary}"))
            .header("idempotency-key", key.unwrap_or(&own))
            .timeout(UPLOAD_MAX + Duration::from_secs(bytes / SLOWEST));
        Ok(request.body(Body::wrap_stream(form(&boundary, &found.place, file, bytes, read_error.clone()))))
    };
    let answer = client.ask(Again::Always, make).await;
    let answer = match (answer, read_error.get()) {
        (Err(Error::Broken(_)), Some(error)) => {
            return Err(Error::File(std::io::Error::other(error.clone())));
        }
        (answer, _) => answer?,
    };
    let accepted: Accepted = wire::read(&answer)?;
    let Some(document) = accepted.documents.into_iter().next() else {
        return Err(Error::foreign("it names no document"));
    };
    let (bytes, stamp) = sent.get();
    Ok(Outcome::Taken { change: document.change, bytes, stamp })
}

/// The place, then the file: as many bytes as it had when it was opened.
fn form(
    boundary: &str,
    place: &str,
    file: tokio::fs::File,
    bytes: u64,
    read_error: Arc<OnceLock<String>>,
) -> impl Stream<Item = std::io::Result<Bytes>> + Send + 'static {
    let head = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"uri\"\r\n\r\n{place}\r\n\
         --{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"document\"\r\n\
         Content-Type: application/octet-stream\r\n\r\n"
    );
    let tail = format!("\r\n--{boundary}--\r\n");
    let part = Part::Head(head, tail);
    stream::unfold((part, file, bytes), move |(part, mut file, left)| {
        let read_error = read_error.clone();
        async move {
            match part {
                Part::Head(head, tail) => Some((Ok(Bytes::from(head)), (Part::File(tail), file, left))),
                Part::File(tail) if left == 0 => Some((Ok(Bytes::from(tail)), (Part::End, file, 0))),
                Part::File(tail) => match read(&mut file, left).await {
                    Ok(chunk) => {
                        let left = left - chunk.len() as u64;
                        Some((Ok(chunk), (Part::File(tail), file, left)))
                    }
                    Err(error) => {
                        let _ = read_error.set(error.to_string());
                        Some((Err(error), (Part::End, file, 0)))
                    }
                },
                Part::End => None,
            }
        }
    })
}

/// What comes next of a form.
enum Part {
    /// What is before the file, and what is after it.
    Head(String, String),
    File(String),
    End,
}

async fn read(file: &mut tokio::fs::File, left: u64) -> std::io::Result<Bytes> {
    let mut chunk = vec![0; READ_BYTES.min(usize::try_from(left).unwrap_or(READ_BYTES))];
    let read = file.read(&mut chunk).await?;
    if read == 0 {
        return Err(std::io::Error::new(
            std::io::ErrorKind::UnexpectedEof,
            "it became shorter while it was read",
        ));
    }
    chunk.truncate(read);
    Ok(chunk.into())
}

/// A file that cannot be read, in the words of a refusal.
pub fn unreadable(cause: &str) -> Refusal {
    Refusal {
        status: 0,
        code: "unreadable".to_owned(),
        message: format!("it cannot be read: {cause}"),
        advice: "check the path and its permissions".to_owned(),
        retry_after: None,
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;

    use super::*;

    #[tokio::test]
    async fn a_form_has_the_bytes_that_the_file_had() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        std::fs::write(&path, b"0123456789").unwrap();
        let whole = async |bytes: u64| {
            let file = tokio::fs::File::open(&path).await.unwrap();
            let error: Arc<OnceLock<String>> = Arc::default();
            let parts: Vec<_> = form("b", "host/a", file, bytes, error.clone()).collect().await;
            let failed = parts.iter().any(Result::is_err);
            let text: Vec<u8> = parts.into_iter().filter_map(Result::ok).flatten().collect();
            (String::from_utf8(text).unwrap(), failed, error.get().is_some())
        };
        let (text, failed, _) = whole(4).await;
        assert!(!failed && text.contains("\r\n\r\nhost/a\r\n--b\r\n"), "{text}");
        assert!(text.ends_with("\r\n\r\n0123\r\n--b--\r\n"), "{text}");
        let (text, failed, noted) = whole(11).await;
        assert!(failed && noted && !text.ends_with("--b--\r\n"), "it became shorter: {text}");
    }
}
