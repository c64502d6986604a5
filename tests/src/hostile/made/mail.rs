//! 62: mails in mails, and what they name that is elsewhere.

use super::office::container;
use super::{Made, World, made};

/// More than documents may lie in each other.
const NESTED: usize = 20;

pub fn files(world: &World) -> Vec<Made> {
    let mail = nested(world);
    let letters = format!(
        "From a@example.org Mon Jan  1 00:00:00 2024\n{mail}\n\nFrom b@example.org Mon Jan  1 00:00:00 2024\n\
        From: b\nMessage-ID: <b>\nSubject: second\n\nthe last words\n"
    );
    vec![
        made(62, "nested.eml", mail).partial("limit_depth").holds("words at 19").lacks("words at 0"),
        made(62, "nested.mbox", letters)
            .partial("limit_depth")
            .holds("words at 19")
            .holds("the last words"),
        made(62, "nested.msg", outlook()).partial("limit_depth").holds("words at 0").lacks("words at 19"),
    ]
}

/// The outermost says 19, the innermost 0. Each has an HTML part with a picture that is elsewhere.
fn nested(world: &World) -> String {
    let mut inner = String::new();
    for depth in 0..NESTED {
        let attached = if inner.is_empty() {
            String::new()
        } else {
            format!("--p{depth:02}\nContent-Type: message/rfc822\n\n{inner}\n")
        };
        inner = format!(
            "From: a@example.org\nTo: b@example.org\nMessage-ID: <{depth}@example.org>\nSubject: mail {depth}\n\
             MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=p{depth:02}\n\n--p{depth:02}\n\
             Content-Type: text/html\n\n<p>words at {depth}</p><img src=\"{url}\"><link rel=stylesheet href=\"{url}\">\n\
             --p{depth:02}\nContent-Type: message/external-body; access-type=URL; URL=\"{url}\"\n\n\
             Content-Type: text/plain\n\n\n{attached}--p{depth:02}--\n",
            url = world.url("mail")
        );
    }
    inner
}

/// The same as Outlook keeps it; here the outermost says 0.
fn outlook() -> Vec<u8> {
    let wide = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let mut streams = Vec::new();
    let mut path = String::new();
    for depth in 0..NESTED {
        let header = if depth == 0 { 32 } else { 24 };
        streams.push((format!("{path}/__properties_version1.0"), vec![0; header]));
        streams.push((format!("{path}/__substg1.0_0037001F"), wide(&format!("mail {depth}"))));
        streams.push((format!("{path}/__substg1.0_1000001F"), wide(&format!("words at {depth}."))));
        if depth + 1 < NESTED {
            path += "/__attach_version1.0_#00000000";
            streams.push((format!("{path}/__properties_version1.0"), vec![0; 8]));
            streams.push((format!("{path}/__substg1.0_3001001F"), wide("the inner one")));
            path += "/__substg1.0_3701000D";
        }
    }
    container(&streams)
}
