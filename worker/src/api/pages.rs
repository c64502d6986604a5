//! What a document consists of: its manifest, and the text of each page beside its image.
//!
//! Pages are not kept: their text is put together from the chunks that the manifest names. Between chunks there was
//! white space alone, so offsets into the page stay true. Images are of the file that was read: one that browsers show is
//! sent as it is, a page of a PDF and other pictures are drawn when they are asked for.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use docmill_core::id::DocumentId;
use docmill_core::manifest::ManifestEntry;
use serde::Serialize;
use utoipa::ToSchema;

use super::auth::Caller;
use super::content::{self, FILE_BYTES_MAX};
use super::drawing::{Drawer, gone, no_image};
use super::problem::Problem;
use super::request::Id;
use super::{Api, Shared};
use crate::desk::DocumentRow;
use crate::page_note::PageNote;
use crate::stages::KeptGeneration;

/// Chunks of a document that are told.
const CHUNKS_MAX: usize = 10_000;
/// Longest stretch of white space that is put back between two chunks, in bytes.
const GAP_BYTES_MAX: usize = 1 << 20;
/// Largest picture that is sent as it is, in bytes; a larger one is drawn.
const IMAGE_BYTES_MAX: u64 = 16 << 20;
/// Pictures that browsers show and that hold no program.
const IMAGES: [&str; 3] = ["image/png", "image/jpeg", "image/webp"];
/// Documents of which pages are drawn, beside those.
const DRAWN: [&str; 4] = ["application/pdf", "image/tiff", "image/gif", "image/bmp"];
/// What a picture may do that somebody opens by itself: nothing.
const IMAGE_POLICY: HeaderValue = HeaderValue::from_static("default-src 'none'; sandbox");

/// A chunk's place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ManifestChunk {
    /// The chunk.
    id: String,
    /// Its page, from 1.
    page: u32,
    /// The headings it stands under, outermost first.
    #[serde(skip_serializing_if = "Option::is_none")]
    heading: Option<String>,
    /// Its first byte in the page's text.
    start: u32,
    /// The byte after its last.
    end: u32,
}

/// What a document consists of.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ManifestView {
    /// The document.
    document: String,
    /// Where it is.
    uri: String,
    /// Its title.
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    /// The content that this is of, which may be older than the newest.
    generation: u64,
    /// Language of most of it.
    language: String,
    /// Its media type.
    media_type: String,
    /// Its pages.
    pages: u32,
    /// Of them, those whose text was recognised.
    ocr_pages: u32,
    /// And those that could not be read, or not to their end.
    lost_pages: u32,
    /// Bytes of text.
    text_bytes: u64,
    /// Milliseconds that a stage took, by its name.
    stage_ms: std::collections::BTreeMap<String, f64>,
    /// What pages say of themselves: `page`, `outcome`, `reason`, `code`, `detail`.
    #[schema(value_type = Vec<Object>)]
    notes: Vec<PageNote>,
    /// How many chunks it has.
    chunks_in_all: usize,
    /// The chunks in order, at most 10,000.
    chunks: Vec<ManifestChunk>,
}

/// The text of a page.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PageText {
    /// The document.
    document: String,
    /// Where it is.
    uri: String,
    /// Its title.
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    /// The page, from 1.
    page: u32,
    /// Pages of the document.
    pages: u32,
    /// The text; empty where the page has none.
    text: String,
    /// Chunks of the page, with their bytes in `text`.
    chunks: Vec<ManifestChunk>,
    /// What the page says of itself: `page`, `outcome`, `reason`, `code`, `detail`.
    #[schema(value_type = Vec<Object>)]
    notes: Vec<PageNote>,
    /// Whether there is an image of the page; it may still turn out that it cannot be drawn.
    has_image: bool,
    /// Why there is none, where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    no_image: Option<&'static str>,
}

/// `GET /v1/documents/{id}/manifest`.
pub async fn manifest(
    State(api): State<Shared>,
    caller: Caller,
    Id(document): Id<DocumentId>,
) -> Result<Json<ManifestView>, Problem> {
    let (row, kept) = shown(&api, &caller, document).await?;
    let summary = kept.summary;
    Ok(Json(ManifestView {
        document: document.to_string(),
        uri: row.uri,
        generation: kept.generation.0,
        language: kept.language,
        pages: summary.pages,
        ocr_pages: summary.ocr_pages,
        lost_pages: summary.lost_pages,
        text_bytes: summary.text_bytes,
        notes: PageNote::all(&summary.notes),
        title: summary.title,
        media_type: summary.media_type,
        stage_ms: summary.stage_ms,
        chunks_in_all: kept.entries.len(),
        chunks: kept.entries.iter().take(CHUNKS_MAX).map(|(entry, _)| chunk(entry)).collect(),
    }))
}

/// `GET /v1/documents/{id}/pages/{page}`.
pub async fn text(
    State(api): State<Shared>,
    caller: Caller,
    Path((document, page)): Path<(String, String)>,
) -> Result<Json<PageText>, Problem> {
    let (document, page) = numbered(&document, &page)?;
    let (row, kept) = shown(&api, &caller, document).await?;
    let pages = kept.summary.pages;
    let of_page: Vec<&(ManifestEntry, String)> =
        kept.entries.iter().filter(|(entry, _)| entry.page == page).collect();
    if of_page.is_empty() && !(1..=pages).contains(&page) {
        return Err(Problem::missing("page", &page.to_string()));
    }
    let (text, chunks) = put_together(&of_page);
    let notes = PageNote::all(&kept.summary.notes).into_iter().filter(|note| note.page == page).collect();
    let image = image_of(&api, &row, &kept.summary.media_type, page);
    let image = image.and_then(|how| match kept.generation.0 == row.generation {
        true => Ok(how),
        false => Err("the text is of an older content, and the newer one is being read"),
    });
    Ok(Json(PageText {
        document: document.to_string(),
        uri: row.uri,
        has_image: image.is_ok(),
        no_image: image.err(),
        title: kept.summary.title,
        page,
        pages,
        text,
        chunks,
        notes,
    }))
}

/// `GET /v1/documents/{id}/pages/{page}/image`.
pub async fn image(
    State(api): State<Shared>,
    caller: Caller,
    Path((document, page)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (document, page) = numbered(&document, &page)?;
    let row = own(&api, &caller, document).await?;
    let summary = row.summary.as_ref();
    let summary = summary.ok_or_else(|| no_image(page, "nothing of the document can be searched yet"))?;
    if !(1..=summary.pages.max(1)).contains(&page) {
        return Err(Problem::missing("page", &page.to_string()));
    }
    let how = image_of(&api, &row, &summary.media_type, page).map_err(|why| no_image(page, why))?;
    // A content never changes, and neither does its picture.
    let tag = format!("\"{document}-{}-{page}\"", row.generation);
    if headers.get(header::IF_NONE_MATCH).is_some_and(|known| names(known, &tag)) {
        return Ok((StatusCode::NOT_MODIFIED, cached(&tag)).into_response());
    }
    let (kind, bytes) = match how {
        Image::AsItIs(kind) => {
            let content = Box::pin(content::open(&api, &caller.tenant, &row)).await?;
            let bytes = content.ok_or_else(|| gone(page))?.whole().await.map_err(|_| gone(page))?;
            if !is_of_type(&bytes, kind) {
                return Err(gone(page));
            }
            (kind, Bytes::from(bytes))
        }
        Image::Drawn(drawer) => {
            ("image/png", Box::pin(drawer.page(&api, &caller.tenant, &row, page)).await?)
        }
    };
    let head = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CONTENT_SECURITY_POLICY, IMAGE_POLICY),
    ];
    Ok((cached(&tag), head, bytes).into_response())
}

/// How a page is shown.
enum Image<'a> {
    /// The document is a picture of this type.
    AsItIs(&'static str),
    /// It is drawn.
    Drawn(&'a Drawer),
}

/// How a page of a document of this type is shown, or why it is not.
fn image_of<'a>(
    api: &'a Api,
    row: &DocumentRow,
    media_type: &str,
    page: u32,
) -> Result<Image<'a>, &'static str> {
    let as_it_is = IMAGES.into_iter().find(|known| *known == media_type);
    match as_it_is {
        Some(kind) if page == 1 && row.bytes <= IMAGE_BYTES_MAX => return Ok(Image::AsItIs(kind)),
        None if !DRAWN.contains(&media_type) => {
            return Err(
                "there are images of PDF pages and of pictures; what is of another format, or lies in an \
                        archive or a mail, is shown as text alone",
            );
        }
        _ => {}
    }
    if row.bytes > FILE_BYTES_MAX {
        return Err("its file has more than 256 MiB, so no page of it is drawn");
    }
    api.drawer.as_ref().map(Image::Drawn).ok_or("pages are not drawn here; the log of the API says why")
}

/// May be kept by who asked, who asks each time whether it is still theirs.
fn cached(tag: &str) -> [(HeaderName, HeaderValue); 2] {
    let tag = HeaderValue::from_str(tag).unwrap_or(HeaderValue::from_static("\"\""));
    [(header::ETAG, tag), (header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"))]
}

/// Whether an `If-None-Match` names this tag.
fn names(known: &HeaderValue, tag: &str) -> bool {
    let mut known = known.as_bytes().split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
    known.any(|known| known == b"*" || known.strip_prefix(b"W/").unwrap_or(known) == tag.as_bytes())
}

/// The tenant's document, if it is there and not deleted.
async fn own(api: &Shared, caller: &Caller, document: DocumentId) -> Result<DocumentRow, Problem> {
    let row = api.desk.document(&caller.tenant, document).await?;
    row.filter(|row| !row.deleted).ok_or_else(|| Problem::missing("document", &document.to_string()))
}

/// The same with what search shows of it.
async fn shown(
    api: &Shared,
    caller: &Caller,
    document: DocumentId,
) -> Result<(DocumentRow, KeptGeneration), Problem> {
    let row = own(api, caller, document).await?;
    let kept = api.kept.shown(document).await.map_err(|error| {
        tracing::warn!(%error, "the ledger failed");
        Problem::ledger_away()
    })?;
    // Nothing of it was committed yet, or it has no text: to who asks for a page there is none.
    let kept = kept.ok_or_else(|| Problem::missing("page", &document.to_string()))?;
    Ok((row, kept))
}

fn numbered(document: &str, page: &str) -> Result<(DocumentId, u32), Problem> {
    let id = DocumentId::parse(document).ok_or_else(|| Problem::missing("document", document))?;
    Ok((id, page.parse().map_err(|_| Problem::missing("page", page))?))
}

fn chunk(entry: &ManifestEntry) -> ManifestChunk {
    ManifestChunk {
        id: entry.chunk.to_string(),
        page: entry.page,
        heading: entry.heading.clone(),
        start: entry.start,
        end: entry.end,
    }
}

/// The text of a page out of its chunks, which may overlap, with the chunks' places in it.
fn put_together(chunks: &[&(ManifestEntry, String)]) -> (String, Vec<ManifestChunk>) {
    let mut in_order: Vec<_> = chunks.iter().map(|(entry, text)| (entry, text.as_str())).collect();
    in_order.sort_by_key(|(entry, _)| (entry.start, entry.ordinal));
    let (mut page, mut places) = (String::new(), Vec::with_capacity(in_order.len()));
    for (entry, text) in in_order {
        let start = entry.start as usize;
        if let gap @ 1.. = start.saturating_sub(page.len()).min(GAP_BYTES_MAX) {
            page.push_str(if gap == 1 { " " } else { "\n\n" });
            page.extend(std::iter::repeat_n(' ', gap.saturating_sub(2)));
        }
        let at = start.min(page.len());
        // What of it is there already; chunks of one page agree where they overlap.
        if let Some(rest) = text.get(page.len() - at..) {
            page.push_str(rest);
        }
        let byte = |at: usize| u32::try_from(at.min(page.len())).unwrap_or(u32::MAX);
        places.push(ManifestChunk { start: byte(at), end: byte(at + text.len()), ..chunk(entry) });
    }
    (page, places)
}

/// Whether the bytes begin as the type does.
fn is_of_type(bytes: &[u8], media_type: &str) -> bool {
    match media_type {
        "image/png" => bytes.starts_with(b"\x89PNG\r\n\x1a\n"),
        "image/jpeg" => bytes.starts_with(b"\xff\xd8\xff"),
        _ => bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP"),
    }
}

#[cfg(test)]
mod tests {
    use docmill_core::id::{ChunkId, IndexId, TenantId, TextHash};
    use docmill_core::manifest::StoreSet;

    use super::*;
    use crate::extract::FORMATS;

    fn entry(page: &str, start: usize, end: usize, ordinal: u32) -> (ManifestEntry, String) {
        let text = page[start..end].to_owned();
        let text_hash = TextHash::of(text.as_bytes());
        let document = DocumentId::born(&TenantId::default(), "u", 0);
        let entry = ManifestEntry {
            chunk: ChunkId::of(document, text_hash, 0, IndexId(1)),
            text_hash,
            occurrence: 0,
            ordinal,
            page: 1,
            start: start as u32,
            end: end as u32,
            heading: None,
            stores: StoreSet::of_chunk(true, true),
        };
        (entry, text)
    }

    #[test]
    fn a_page_is_what_its_chunks_were_cut_from() {
        let page = "Überschrift\n\nErster Satz. Zweiter Satz.";
        let at = |what: &str| (page.find(what).unwrap(), page.find(what).unwrap() + what.len());
        let cut = |ranges: &[(usize, usize)]| -> Vec<_> {
            ranges.iter().enumerate().map(|(n, (start, end))| entry(page, *start, *end, n as u32)).collect()
        };
        let apart = cut(&[at("Überschrift"), at("Erster Satz."), at("Zweiter Satz.")]);
        let over = cut(&[at("Überschrift\n\nErster Satz."), at("Erster Satz. Zweiter Satz.")]);
        for chunks in [apart, over] {
            let (text, places) = put_together(&chunks.iter().rev().collect::<Vec<_>>());
            assert_eq!(text, page);
            for (place, (_, chunk)) in places.iter().zip(&chunks) {
                assert_eq!(&text[place.start as usize..place.end as usize], chunk);
            }
        }
        assert_eq!(put_together(&[]), (String::new(), Vec::new()));
    }

    #[test]
    fn a_tag_is_found_among_others() {
        let names = |known: &'static str| names(&HeaderValue::from_static(known), "\"a-1-2\"");
        assert!(names("\"a-1-2\"") && names("W/\"a-1-2\"") && names("\"b\", \"a-1-2\"") && names("*"));
        assert!(!names("\"a-1-3\"") && !names("a-1-2") && !names(""));
    }

    #[test]
    fn what_is_shown_is_what_the_formats_say() {
        let known = |media_type: &&str| FORMATS.iter().any(|format| format.media_type == *media_type);
        assert!(IMAGES.iter().chain(&DRAWN).all(known));
    }

    #[test]
    fn only_pictures_are_sent_as_pictures() {
        assert!(!IMAGES.contains(&"image/svg+xml") && !DRAWN.contains(&"image/svg+xml"));
        let html = b"<html><script>alert(1)</script>";
        assert!(IMAGES.iter().all(|kind| !is_of_type(html, kind)));
        assert!(is_of_type(b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"));
    }
}
