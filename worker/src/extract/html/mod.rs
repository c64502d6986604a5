//! HTML to blocks: what a reader came for, without navigation, scripts and styles, and where its links lead.

mod tree;

use docmill_core::failure::Failure;
use docmill_core::page::{BlockKind, DocumentInfo};
use encoding_rs::Encoding;

use self::tree::{Item, Role, Start, Tag};
use super::decode;
use super::emit::Emitter;
use super::source::Source;
use super::text::Table;
use super::work::Work;

/// The content that a page names has to have this share of its text, in percent: else the page names another thing so.
const MAIN_PERCENT_MIN: u64 = 25;

/// The same for a single article, which may be one teaser among others.
const ARTICLE_PERCENT_MIN: u64 = 50;

/// A margin with less text than this has nothing to say.
const MARGIN_BYTES_MIN: u64 = 200;

/// Reads a page.
pub(super) fn read(source: Source, work: &mut Work<'_, '_>) -> Result<(), Failure> {
    let page = Html::decode(source.into_bytes(work.bytes_max())?);
    let media_type = work.kind.media_type().to_owned();
    work.emitter.info(DocumentInfo { title: page.title(), media_type, page_count: None })?;
    page.send(work.emitter)
}

/// A parsed page.
pub(super) struct Html {
    items: Vec<Item>,
}

/// What of a page is read.
struct Content {
    start: usize,
    end: usize,
    /// Tells what of it are margins, where they are left out.
    margins: Option<Weights>,
}

impl Html {
    /// Parses bytes in the encoding that they have or declare.
    pub fn decode(bytes: Vec<u8>) -> Self {
        let html = decode::decode(&bytes, declared_encoding(&bytes));
        drop(bytes);
        Self::parse(&html)
    }

    /// Parses text.
    pub fn parse(html: &str) -> Self {
        Self { items: tree::parse(html) }
    }

    /// Its title, else its first heading.
    pub fn title(&self) -> Option<String> {
        self.first(Tag::Title).or_else(|| self.first(Tag::Heading(1)))
    }

    fn first(&self, tag: Tag) -> Option<String> {
        let (at, end) = self.items.iter().enumerate().find_map(|(at, item)| match item {
            Item::Start(start) if start.tag == tag => Some((at, start.end)),
            _ => None,
        })?;
        let text = squeezed(&self.flat(at + 1, end));
        (!text.is_empty()).then_some(text)
    }

    /// Sends its content.
    pub fn send(&self, emitter: &mut Emitter<'_>) -> Result<(), Failure> {
        let mut walk = Walk {
            page: self,
            text: String::new(),
            kind: BlockKind::Paragraph,
            blocks: Vec::new(),
            links: Vec::new(),
            emitter,
        };
        walk.run(&self.content())?;
        walk.end()
    }

    /// All its text in one line, margins too.
    pub fn plain(&self) -> String {
        squeezed(&self.flat(0, self.items.len()))
    }

    /// The text of the items from `at` up to `end`, with spaces where blocks part it.
    fn flat(&self, at: usize, end: usize) -> String {
        let mut text = String::new();
        let mut i = at;
        while i < end {
            match &self.items[i] {
                Item::Text(run) => text.push_str(run),
                Item::Start(start) if is_never_read(start.tag) => i = start.end,
                Item::Start(Start { tag: Tag::Link, .. }) | Item::End(Tag::Link) => {}
                Item::Start(_) | Item::End(_) => text.push(' '),
            }
            i += 1;
        }
        text
    }

    /// Finds what a reader came for: the part that the page names as its content, or all without its margins; all of it
    /// where that leaves next to nothing.
    fn content(&self) -> Content {
        let len = self.items.len();
        let named = |item: &Item| matches!(item, Item::Start(start) if start.role != Role::None);
        if !self.items.iter().any(named) {
            return Content { start: 0, end: len, margins: None };
        }
        let weights = Weights::new(&self.items);
        let whole = weights.text(0, len);
        let mut chosen = (0, len);
        for (role, percent_min) in [(Role::Main, MAIN_PERCENT_MIN), (Role::Article, ARTICLE_PERCENT_MIN)] {
            let regions = self.items.iter().enumerate().filter_map(|(at, item)| match item {
                Item::Start(start) if start.role == role => Some((at, start.end)),
                _ => None,
            });
            let largest = regions.max_by_key(|&(at, end)| weights.text(at, end));
            if let Some((start, end)) = largest
                && weights.text(start, end) * 100 >= whole * percent_min
            {
                chosen = (start, end);
                break;
            }
        }
        let (mut kept, mut i) = (0, chosen.0);
        while i < chosen.1 {
            match &self.items[i] {
                Item::Start(start) if weights.is_margin(i, start) || is_never_read(start.tag) => {
                    i = start.end
                }
                Item::Text(_) => kept += weights.text(i, i + 1),
                _ => {}
            }
            i += 1;
        }
        if kept * 100 < whole * MAIN_PERCENT_MIN {
            return Content { start: 0, end: len, margins: None };
        }
        Content { start: chosen.0, end: chosen.1, margins: Some(weights) }
    }
}

fn is_never_read(tag: Tag) -> bool {
    matches!(tag, Tag::Skipped(_) | Tag::Title)
}

/// How much text, and how much of it in links, stands before each item.
struct Weights {
    text: Vec<u64>,
    linked: Vec<u64>,
}

impl Weights {
    fn new(items: &[Item]) -> Self {
        let (mut text, mut linked) = (vec![0], vec![0]);
        let (mut text_sum, mut linked_sum) = (0, 0);
        let (mut link_end, mut skipped_end) = (0usize, 0usize);
        for (i, item) in items.iter().enumerate() {
            match item {
                Item::Start(start) if start.tag == Tag::Link => link_end = link_end.max(start.end),
                Item::Start(start) if is_never_read(start.tag) => skipped_end = skipped_end.max(start.end),
                Item::Text(run) if i >= skipped_end => {
                    let bytes = run.bytes().filter(|byte| !byte.is_ascii_whitespace()).count() as u64;
                    text_sum += bytes;
                    linked_sum += if i < link_end { bytes } else { 0 };
                }
                _ => {}
            }
            text.push(text_sum);
            linked.push(linked_sum);
        }
        Self { text, linked }
    }

    fn text(&self, start: usize, end: usize) -> u64 {
        self.text[end] - self.text[start]
    }

    /// Whether an element that may be a margin is one.
    fn is_margin(&self, at: usize, start: &Start) -> bool {
        let (text, linked) = (self.text(at, start.end), self.linked[start.end] - self.linked[at]);
        match start.role {
            Role::Navigation => true,
            Role::Margin => linked * 2 >= text || (start.tag == Tag::Footer && text < MARGIN_BYTES_MIN),
            Role::None | Role::Main | Role::Article => false,
        }
    }
}

fn squeezed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The charset that the page says it has, in its first KiB.
pub(super) fn declared_encoding(bytes: &[u8]) -> Option<&'static Encoding> {
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(1_024)]).to_ascii_lowercase();
    let at = head.find("charset=").map(|at| at + 8).or_else(|| head.find("encoding=").map(|at| at + 9))?;
    let label: String = head[at..]
        .trim_start_matches(['"', '\''])
        .chars()
        .take_while(|c| c.is_ascii_alphanumeric() || "-_".contains(*c))
        .collect();
    Encoding::for_label(label.as_bytes())
}

struct Walk<'a, 'e> {
    page: &'a Html,
    text: String,
    kind: BlockKind,
    /// Blocks that are open: the item that ends each, and the kind of the one around it.
    blocks: Vec<(usize, BlockKind)>,
    /// Links that are open: the item that ends each, where its text begins, and where it leads.
    links: Vec<(usize, usize, &'a str)>,
    emitter: &'a mut Emitter<'e>,
}

impl<'a> Walk<'a, '_> {
    fn run(&mut self, content: &Content) -> Result<(), Failure> {
        let page = self.page;
        let mut i = content.start;
        while i < content.end {
            match &page.items[i] {
                Item::Text(run) => self.push(run)?,
                Item::End(_) => self.leave(i)?,
                Item::Start(start) if is_never_read(start.tag) => i = start.end,
                Item::Start(start) => {
                    if content.margins.as_ref().is_some_and(|weights| weights.is_margin(i, start)) {
                        self.end()?;
                        i = start.end;
                    } else if start.tag == Tag::Table
                        && start.end > i
                        && is_data_table(&page.items[i + 1..start.end])
                    {
                        self.end()?;
                        self.rows(i, start.end)?;
                        i = start.end;
                    } else {
                        self.enter(i, start)?;
                    }
                }
            }
            i += 1;
        }
        Ok(())
    }

    fn push(&mut self, run: &str) -> Result<(), Failure> {
        if self.kind == BlockKind::Code {
            self.text.push_str(run);
        } else {
            // Only `br` breaks a line.
            self.text.extend(run.chars().map(|c| if c.is_whitespace() { ' ' } else { c }));
        }
        self.emitter.gathering(self.text.len())
    }

    fn enter(&mut self, at: usize, start: &'a Start) -> Result<(), Failure> {
        let kind = match start.tag {
            Tag::Link => {
                if let Some(href) = &start.href
                    && start.end > at
                {
                    self.links.push((start.end, self.text.len(), href));
                }
                return Ok(());
            }
            Tag::Break => {
                self.text.push('\n');
                return Ok(());
            }
            Tag::Rule => return self.end(),
            Tag::Heading(level) => BlockKind::Heading(level),
            Tag::Item | Tag::Term => BlockKind::ListItem,
            Tag::Pre => BlockKind::Code,
            Tag::Cell | Tag::Row | Tag::Caption => BlockKind::Paragraph,
            // A paragraph within a list item is still the item.
            _ if self.kind == BlockKind::ListItem => BlockKind::ListItem,
            _ => BlockKind::Paragraph,
        };
        self.end()?;
        // One that closes itself holds nothing.
        if start.end > at {
            self.blocks.push((start.end, std::mem::replace(&mut self.kind, kind)));
        }
        Ok(())
    }

    /// Ends what this item ends.
    fn leave(&mut self, item: usize) -> Result<(), Failure> {
        while let Some((_, at, href)) = self.links.pop_if(|(end, ..)| *end == item) {
            // The block may have ended within the link.
            let address = href.strip_prefix("mailto:").unwrap_or(href);
            let words = self.text.get(at..).unwrap_or_default().trim();
            if !words.is_empty() && !words.contains(address) {
                let kept = self.text.trim_end().len();
                let space = self.text.split_off(kept);
                self.text.extend([" (", address, ")", &space]);
            }
        }
        if self.blocks.last().is_some_and(|(end, _)| *end == item) {
            self.end()?;
            if let Some((_, outer)) = self.blocks.pop() {
                self.kind = outer;
            }
        }
        Ok(())
    }

    /// Ends the block in work.
    fn end(&mut self) -> Result<(), Failure> {
        // Links that are open go on in the next block.
        for link in &mut self.links {
            link.1 = 0;
        }
        let text = std::mem::take(&mut self.text);
        if self.kind == BlockKind::Code {
            return self.emitter.block(self.kind, text);
        }
        let lines = text.split('\n').map(squeezed).filter(|line| !line.is_empty());
        self.emitter.block(self.kind, lines.collect::<Vec<_>>().join("\n"))
    }

    fn rows(&mut self, table_start: usize, table_end: usize) -> Result<(), Failure> {
        let (page, mut table, mut row) = (self.page, Table::default(), Vec::<String>::new());
        let mut i = table_start + 1;
        while i < table_end {
            if let Item::Start(start) = &page.items[i] {
                match start.tag {
                    Tag::Row => table.row(row.drain(..), self.emitter)?,
                    Tag::Cell => {
                        row.push(page.flat(i + 1, start.end));
                        i = start.end;
                    }
                    Tag::Caption => {
                        self.emitter.block(BlockKind::Paragraph, squeezed(&page.flat(i + 1, start.end)))?;
                        i = start.end;
                    }
                    tag if is_never_read(tag) => i = start.end,
                    _ => {}
                }
            }
            i += 1;
        }
        table.row(row.drain(..), self.emitter)?;
        table.end(self.emitter)
    }
}

/// A table with block structure in it only lays a page out; its cells are read as text.
fn is_data_table(content: &[Item]) -> bool {
    !content.iter().any(|item| {
        matches!(
            item,
            Item::Start(Start { tag: Tag::Table | Tag::Heading(1..=3) | Tag::List(_) | Tag::Pre, .. })
        )
    })
}

#[cfg(test)]
mod tests {
    use super::super::emit::tests::blocks_of;
    use super::super::work::tests::read_bytes;
    use super::*;
    use BlockKind::{Code, Heading, ListItem, Paragraph, Table};

    fn blocks(html: &str) -> Vec<(BlockKind, String)> {
        blocks_of(|emitter| Html::decode(html.as_bytes().to_vec()).send(emitter))
    }

    fn texts(html: &str) -> Vec<String> {
        blocks(html).into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn a_page_becomes_blocks() {
        let html = "<html><head><title>T &amp; U</title><style>x{}</style></head><body><nav>menu</nav><h2>Head</h2>\
            intro <b>bold</b><p>one\n two<br>three</p><ul><li>a</li><li><p>b</p></li></ul>\
            <table><tr><th>x</th><th>y</th></tr><tr><td>1</td><td>2</td></tr></table><pre>a\n  b</pre><script>no</script>";
        let expected = [
            (Heading(2), "Head"),
            (Paragraph, "intro bold"),
            (Paragraph, "one two\nthree"),
            (ListItem, "a"),
            (ListItem, "b"),
            (Table, "x\ty\n1\t2"),
            (Code, "a\n  b"),
        ];
        assert_eq!(blocks(html), expected.map(|(kind, text)| (kind, text.to_owned())));
        assert_eq!(Html::parse(html).title().as_deref(), Some("T & U"));
        assert_eq!(Html::parse(html).plain(), "menu Head intro bold one two three a b x y 1 2 a b");
    }

    #[test]
    fn what_authors_leave_out_is_put_in() {
        let html = "<p>one<p>two<ul><li>a<li>b<ul><li>c</ul></ul><dl><dt>t<dd>d</dl><table><tr><td>1<td>2<tr><td>3</table>\
            <h2>open<p>under it</div></p>end";
        let expected = [
            (Paragraph, "one"),
            (Paragraph, "two"),
            (ListItem, "a"),
            (ListItem, "b"),
            (ListItem, "c"),
            (ListItem, "t"),
            (ListItem, "d"),
            (Table, "1\t2\n3"),
            (Heading(2), "open"),
            (Paragraph, "under it"),
            (Paragraph, "end"),
        ];
        assert_eq!(blocks(html), expected.map(|(kind, text)| (kind, text.to_owned())));
    }

    #[test]
    fn links_that_lead_away_are_told() {
        let html = "<p>See <a href='https://example.org/a'>the <b>page</b> </a>or <a href='#here'>below</a>, \
            <a href='https://example.org/'>https://example.org/</a>, <a href='mailto:a@example.org'>her</a>, \
            <a href='javascript:x()'>no</a>.";
        assert_eq!(
            texts(html),
            [
                "See the page (https://example.org/a) or below, https://example.org/, her (a@example.org), no."
            ]
        );
    }

    #[test]
    fn the_content_is_read_and_not_what_surrounds_it() {
        let story = "A story of many words that goes on for a while. ".repeat(9);
        let links = "<ul><li><a href='/a'>Home</a></li><li><a href='/b'>News</a></li></ul>";
        for page in [
            format!("<div class='left sidebar'>{links}</div><p>{story}</p><footer>(c) 2026</footer>"),
            format!("<header>{links}</header><main><p>{story}</p></main><div>read on elsewhere</div>"),
            format!("<nav>{links}</nav><article><p>{story}</p></article>"),
            format!("<nav>{links}<p>{story}</p>"),
        ] {
            let found = texts(&page);
            assert!(found.contains(&story.trim().to_owned()), "{page}");
            assert_eq!(
                found.contains(&"Home".to_owned()),
                !page.contains("</nav>") && page.starts_with("<nav>")
            );
        }
        assert_eq!(texts(&format!("<nav>{links}</nav>")), ["Home", "News"], "a page of links is its links");
        let aside = format!("<p>{story}</p><aside><p>{story}</p></aside>");
        assert_eq!(texts(&aside).len(), 2, "an aside that says something is read");
    }

    #[test]
    fn depth_and_breadth_are_text_or_nothing_but_no_crash() {
        let deep = format!("{}deep{}<p>after", "<div>".repeat(1_000_000), "</div>".repeat(1_000_000));
        assert_eq!(texts(&deep), ["deep", "after"]);
        assert_eq!(texts(&format!("{}x", "<table><tr><td>".repeat(100_000))), ["x"]);
        assert_eq!(texts(&format!("{}x", "</p></table>".repeat(100_000))), ["x"]);
        let scripts =
            format!("<p>a<script>{}</script><svg><title>t</title><svg></svg></svg>b", "<p>".repeat(9));
        assert_eq!(texts(&scripts), ["ab"]);
        assert_eq!(
            texts("<title/><p>after a title that closes itself"),
            ["after a title that closes itself"]
        );
    }

    #[test]
    fn the_declared_charset_is_used() {
        let mut html = b"<meta charset='koi8-r'><title>x</title><p>".to_vec();
        html.extend_from_slice(&encoding_rs::KOI8_R.encode("привет").0);
        let read = read_bytes("a.html", html);
        assert_eq!(read.texts(), ["привет"]);
        assert_eq!(read.info.unwrap().title.as_deref(), Some("x"));
    }
}
