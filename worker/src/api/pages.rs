//! What a document consists of: its manifest, the text of each page, and pictures that are documents themselves.
//!
//! Pages are not kept: their text is put together from the chunks that the manifest names. Between chunks there was
//! white space alone, so offsets into the page stay true. Pages of other documents are not drawn.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use docmill_core::id::DocumentId;
use docmill_core::manifest::ManifestEntry;
use serde::Serialize;
use utoipa::ToSchema;

use super::Shared;
use super::auth::Caller;
use super::problem::Problem;
use super::request::Id;
use crate::desk::DocumentRow;
use crate::objects::ObjectKey;
use crate::page_note::PageNote;
use crate::stages::{KeptGeneration, upload_uri};

/// Chunks of a document that are told.
const CHUNKS_MAX: usize = 10_000;
/// Longest stretch of white space that is put back between two chunks, in bytes.
const GAP_BYTES_MAX: usize = 1 << 20;
/// Largest picture that is sent, in bytes.
const IMAGE_BYTES_MAX: u64 = 16 << 20;
/// Pictures that browsers show and that hold no program.
const IMAGES: [&str; 3] = ["image/png", "image/jpeg", "image/webp"];

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
    /// Whether the document itself is a picture that can be shown beside it.
    has_image: bool,
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
    Ok(Json(PageText {
        document: document.to_string(),
        uri: row.uri,
        has_image: image_type(&kept.summary.media_type).is_some(),
        title: kept.summary.title,
        page,
        pages,
        text,
        chunks,
        notes,
    }))
}

/// `GET /v1/documents/{id}/pages/{page}/image`: of a picture that is a document, the picture.
pub async fn image(
    State(api): State<Shared>,
    caller: Caller,
    Path((document, page)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let (document, page) = numbered(&document, &page)?;
    let row = own(&api, &caller, document).await?;
    let kind = row.summary.as_ref().and_then(|summary| image_type(&summary.media_type));
    let Some(kind) = kind.filter(|_| page == 1) else { return Err(no_image(page)) };
    let Some(bytes) = picture(&api, &caller, &row).await? else { return Err(no_image(page)) };
    if is_of_type(&bytes, kind) {
        let head = [
            (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
            (header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache")),
            (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox")),
        ];
        return Ok((head, bytes).into_response());
    }
    // Another content lies there by now.
    Err(no_image(page))
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

fn no_image(page: u32) -> Problem {
    let detail = "there is no picture of this page";
    let what_to_do = "show its text; pictures are had of documents that are PNG, JPEG or WebP themselves";
    Problem::new(StatusCode::NOT_FOUND, "no_page_image", detail, what_to_do).given(&page.to_string())
}

fn image_type(media_type: &str) -> Option<&'static str> {
    IMAGES.into_iter().find(|known| *known == media_type)
}

/// Whether the bytes begin as the type does.
fn is_of_type(bytes: &[u8], media_type: &str) -> bool {
    match media_type {
        "image/png" => bytes.starts_with(b"\x89PNG\r\n\x1a\n"),
        "image/jpeg" => bytes.starts_with(b"\xff\xd8\xff"),
        _ => bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP"),
    }
}

/// The bytes of a document that is an object; none where it is none, or has more than are sent.
async fn picture(api: &Shared, caller: &Caller, row: &DocumentRow) -> Result<Option<Vec<u8>>, Problem> {
    let (Some((objects, options)), Some(scratch)) = (&api.objects, &api.scratch) else { return Ok(None) };
    let key = if upload_uri::is_upload(&row.uri) {
        // A named place has another object for each content, and the row does not say which.
        let Some(content) = upload_uri::content_of(&row.uri) else { return Ok(None) };
        match api.desk.object_of(&caller.tenant, content).await? {
            Some(key) => ObjectKey::new(key)?,
            None => return Ok(None),
        }
    } else {
        match options.key_of(&row.uri) {
            Some(key) => key,
            None => return Ok(None),
        }
    };
    let meta = match objects.head(&key).await {
        Err(crate::objects::Error::Missing(_)) => return Ok(None),
        meta => meta?,
    };
    if meta.bytes > IMAGE_BYTES_MAX {
        return Ok(None);
    }
    let fetched = objects.fetch(&meta, scratch, &mut |_| {}).await?;
    let read = tokio::fs::read(fetched.file.path()).await;
    let bytes = read.map_err(|error| crate::objects::Error::Failed(error.to_string()))?;
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    use docmill_core::id::{ChunkId, IndexId, TenantId, TextHash};
    use docmill_core::manifest::StoreSet;

    use super::*;

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
    fn only_pictures_are_sent_as_pictures() {
        assert_eq!(image_type("image/svg+xml"), None);
        let html = b"<html><script>alert(1)</script>";
        assert!(IMAGES.iter().all(|kind| !is_of_type(html, kind)));
        assert!(is_of_type(b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"));
    }
}
