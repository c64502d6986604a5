//! HTML as one flat run of items: elements that matter for text, each with the place of its end. Every walk over it is a
//! loop, so depth costs no stack. Repairs what authors leave out, as far as text is concerned; no more of the standard.

use std::cell::RefCell;

use html5ever::tendril::StrTendril;
use html5ever::tokenizer::states::RawKind;
use html5ever::tokenizer::{
    BufferQueue, CharacterTokens, TagKind, TagToken, Token, TokenSink, TokenSinkResult, Tokenizer,
    TokenizerOpts,
};
use html5ever::{Attribute, TokenizerResult};

/// Deepest that elements lie in each other; deeper ones are text of the last.
const DEPTH_MAX: usize = 512;

/// Most items; after them only text is gathered.
const ITEMS_MAX: usize = 8_000_000;

/// Longest address of a link that is kept, in bytes.
const LINK_BYTES_MAX: usize = 500;

/// Bytes that are handed to the tokenizer at a time.
const FEED_BYTES: usize = 1 << 20;

/// Elements without text for readers.
const SKIPPED: &[&str] = &[
    "script", "style", "noscript", "template", "svg", "iframe", "select", "button", "textarea", "noembed",
    "noframes", "object", "math",
];

/// Elements that begin and end a block, and mean no more.
const BLOCKS: &[&str] = &[
    "div",
    "section",
    "header",
    "blockquote",
    "figure",
    "figcaption",
    "form",
    "fieldset",
    "address",
    "details",
    "summary",
    "center",
    "hgroup",
    "search",
    "dialog",
    "legend",
];

/// An element that matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tag {
    Heading(u8),
    Paragraph,
    /// By its place among [`BLOCKS`], so that ends find their starts.
    Block(u8),
    Main,
    Article,
    Nav,
    Aside,
    Footer,
    /// Ordered or not.
    List(bool),
    Item,
    Definitions,
    Term,
    Pre,
    Table,
    Rows,
    Row,
    Cell,
    Caption,
    Link,
    Break,
    Rule,
    Title,
    /// By its place among [`SKIPPED`].
    Skipped(u8),
}

/// What an element says that it is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    None,
    Main,
    Article,
    /// A way to other pages.
    Navigation,
    /// What surrounds the content, if its text says so too: links, or next to nothing.
    Margin,
}

#[derive(Debug)]
pub(super) struct Start {
    pub tag: Tag,
    pub role: Role,
    /// Address of a link that leads to another site.
    pub href: Option<Box<str>>,
    /// The item that ends it; itself where it cannot hold anything.
    pub end: usize,
}

#[derive(Debug)]
pub(super) enum Item {
    Text(String),
    Start(Start),
    End(Tag),
}

/// Parses a page.
pub(super) fn parse(html: &str) -> Vec<Item> {
    let tokenizer = Tokenizer::new(Builder::default(), TokenizerOpts::default());
    let queue = BufferQueue::default();
    let mut rest = html;
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(rest.floor_char_boundary(FEED_BYTES));
        queue.push_back(StrTendril::from_slice(piece));
        while !matches!(tokenizer.feed(&queue), TokenizerResult::Done) {}
        rest = after;
    }
    tokenizer.end();
    let mut state = tokenizer.sink.0.into_inner();
    state.close(0);
    state.items
}

#[derive(Default)]
struct Builder(RefCell<State>);

impl TokenSink for Builder {
    type Handle = ();

    fn process_token(&self, token: Token, _line: u64) -> TokenSinkResult<()> {
        let mut state = self.0.borrow_mut();
        match token {
            CharacterTokens(text) => state.text(&text),
            TagToken(tag) => {
                let name: &str = &tag.name;
                let known = tag_of(name);
                match (tag.kind, known) {
                    (TagKind::StartTag, known) => {
                        if let Some(known) = known {
                            state.start(known, &tag.attrs, tag.self_closing);
                        }
                        // What closes itself in XHTML would swallow all after it.
                        if !tag.self_closing
                            && let Some(kind) = raw_text(name)
                        {
                            return TokenSinkResult::RawData(kind);
                        }
                    }
                    (TagKind::EndTag, Some(known)) => state.end(known),
                    (TagKind::EndTag, None) => {}
                }
            }
            _ => {}
        }
        TokenSinkResult::Continue
    }
}

/// Elements whose content is no markup.
fn raw_text(name: &str) -> Option<RawKind> {
    match name {
        "script" => Some(RawKind::ScriptData),
        "style" | "noscript" | "iframe" | "noembed" | "noframes" | "xmp" => Some(RawKind::Rawtext),
        "title" | "textarea" => Some(RawKind::Rcdata),
        _ => None,
    }
}

fn tag_of(name: &str) -> Option<Tag> {
    let place = |names: &[&str]| names.iter().position(|known| *known == name).map(|place| place as u8);
    Some(match name {
        "h1" => Tag::Heading(1),
        "h2" => Tag::Heading(2),
        "h3" => Tag::Heading(3),
        "h4" => Tag::Heading(4),
        "h5" => Tag::Heading(5),
        "h6" => Tag::Heading(6),
        "p" => Tag::Paragraph,
        "main" => Tag::Main,
        "article" => Tag::Article,
        "nav" => Tag::Nav,
        "aside" => Tag::Aside,
        "footer" => Tag::Footer,
        "ol" => Tag::List(true),
        "ul" | "menu" | "dir" => Tag::List(false),
        "li" => Tag::Item,
        "dl" => Tag::Definitions,
        "dt" | "dd" => Tag::Term,
        "pre" | "listing" | "xmp" => Tag::Pre,
        "table" => Tag::Table,
        "thead" | "tbody" | "tfoot" => Tag::Rows,
        "tr" => Tag::Row,
        "td" | "th" => Tag::Cell,
        "caption" => Tag::Caption,
        "a" => Tag::Link,
        "br" => Tag::Break,
        "hr" => Tag::Rule,
        "title" => Tag::Title,
        _ => return place(BLOCKS).map(Tag::Block).or_else(|| place(SKIPPED).map(Tag::Skipped)),
    })
}

#[derive(Default)]
struct State {
    items: Vec<Item>,
    /// Elements that are open: their item and what they are.
    open: Vec<(usize, Tag)>,
    /// How many of them are skipped ones.
    skipping: usize,
}

impl State {
    fn text(&mut self, text: &str) {
        if self.skipping > 0 {
            return;
        }
        match self.items.last_mut() {
            Some(Item::Text(before)) => before.push_str(text),
            _ => self.items.push(Item::Text(text.to_owned())),
        }
    }

    fn start(&mut self, tag: Tag, attributes: &[Attribute], closes_itself: bool) {
        let is_skipped = matches!(tag, Tag::Skipped(_));
        // A table without room for a row and a cell would lose what is in it: its cells become those around it.
        let wanted = if tag == Tag::Table { 3 } else { 1 };
        let is_full = self.items.len() >= ITEMS_MAX || self.open.len() + wanted > DEPTH_MAX;
        if (self.skipping > 0 && !is_skipped) || (is_full && !(is_skipped && self.skipping == 0)) {
            return;
        }
        if let Some(place) = self.implied(tag) {
            self.close(place);
        }
        let item = self.items.len();
        let role = role_of(tag, attributes);
        let href = if tag == Tag::Link { href_of(attributes) } else { None };
        self.items.push(Item::Start(Start { tag, role, href, end: item }));
        if !closes_itself && !matches!(tag, Tag::Break | Tag::Rule) {
            self.skipping += usize::from(is_skipped);
            self.open.push((item, tag));
        }
    }

    fn end(&mut self, tag: Tag) {
        let is_skipped = matches!(tag, Tag::Skipped(_));
        if self.skipping > 0 && !is_skipped {
            return;
        }
        let is_structure = matches!(tag, Tag::Table | Tag::Rows | Tag::Row | Tag::Cell | Tag::Caption);
        for place in (0..self.open.len()).rev() {
            let open = self.open[place].1;
            if open == tag {
                return self.close(place);
            }
            // A stray end in a cell does not end what the table lies in, nor one in a table a cell around that.
            let is_wall = if is_structure { open == Tag::Table } else { is_cell_wall(open) };
            if is_wall && !is_skipped {
                return;
            }
        }
    }

    /// Closes this open element and all in it.
    fn close(&mut self, place: usize) {
        while self.open.len() > place {
            let Some((item, tag)) = self.open.pop() else { return };
            let end = self.items.len();
            if let Some(Item::Start(start)) = self.items.get_mut(item) {
                start.end = end;
            }
            self.items.push(Item::End(tag));
            self.skipping -= usize::from(matches!(tag, Tag::Skipped(_)));
        }
    }

    /// The open element that this one ends by its beginning.
    fn implied(&self, tag: Tag) -> Option<usize> {
        if matches!(tag, Tag::Caption | Tag::Break | Tag::Title | Tag::Skipped(_)) {
            return None;
        }
        let mut found = None;
        for (place, &(_, open)) in self.open.iter().enumerate().rev() {
            if ends(tag, open) {
                found = Some(place);
            }
            if is_out_of_reach(tag, open) {
                break;
            }
        }
        found
    }
}

/// Whether this element cannot begin within that one, so that it ends it.
fn ends(tag: Tag, open: Tag) -> bool {
    match tag {
        Tag::Item | Tag::Term | Tag::Cell | Tag::Link => open == tag,
        Tag::Rows => matches!(open, Tag::Rows | Tag::Row | Tag::Cell | Tag::Caption),
        Tag::Row => matches!(open, Tag::Row | Tag::Cell | Tag::Caption),
        Tag::Heading(_) | Tag::Paragraph | Tag::List(_) | Tag::Definitions | Tag::Pre | Tag::Table => {
            matches!(open, Tag::Paragraph | Tag::Heading(_))
        }
        _ => open == Tag::Paragraph,
    }
}

/// Whether what lies around that element is not this one's to end.
fn is_out_of_reach(tag: Tag, open: Tag) -> bool {
    match tag {
        Tag::Item => is_cell_wall(open) || matches!(open, Tag::List(_)),
        Tag::Term => is_cell_wall(open) || open == Tag::Definitions,
        Tag::Rows | Tag::Row => open == Tag::Table,
        Tag::Cell => matches!(open, Tag::Row | Tag::Table),
        _ => is_cell_wall(open),
    }
}

fn is_cell_wall(open: Tag) -> bool {
    matches!(open, Tag::Cell | Tag::Caption | Tag::Table)
}

fn value<'a>(attributes: &'a [Attribute], name: &str) -> Option<&'a str> {
    attributes.iter().find(|attribute| &*attribute.name.local == name).map(|attribute| &*attribute.value)
}

/// Only addresses that mean something without the page they stand on.
fn href_of(attributes: &[Attribute]) -> Option<Box<str>> {
    let href = value(attributes, "href")?.trim();
    let start = href.get(..8).unwrap_or(href).to_ascii_lowercase();
    let leads_away = ["http://", "https://", "mailto:"].iter().any(|scheme| start.starts_with(scheme));
    let is_plain =
        href.len() <= LINK_BYTES_MAX && !href.contains(|c: char| c.is_whitespace() || c.is_control());
    (leads_away && is_plain).then(|| href.into())
}

fn role_of(tag: Tag, attributes: &[Attribute]) -> Role {
    match tag {
        Tag::Main => return Role::Main,
        Tag::Article => return Role::Article,
        Tag::Nav => return Role::Navigation,
        Tag::Aside | Tag::Footer => return Role::Margin,
        Tag::Block(_) | Tag::List(_) | Tag::Table | Tag::Definitions => {}
        _ => return Role::None,
    }
    match value(attributes, "role").unwrap_or_default() {
        "main" => return Role::Main,
        "article" => return Role::Article,
        "navigation" | "search" | "menu" | "menubar" => return Role::Navigation,
        "banner" | "contentinfo" | "complementary" => return Role::Margin,
        _ => {}
    }
    let names = ["class", "id"].into_iter().filter_map(|name| value(attributes, name));
    if names.flat_map(|names| names.split_whitespace()).any(is_name_of_margin) {
        Role::Margin
    } else {
        Role::None
    }
}

/// What authors call the parts of a page that are not its content.
fn is_name_of_margin(name: &str) -> bool {
    const PARTS: &[&str] = &["sidebar", "breadcrumb", "cookie", "navbar", "navigation", "pagination"];
    const WHOLE: &[&str] =
        &["nav", "menu", "footer", "ads", "share", "social", "related", "banner", "navheader", "navfooter"];
    let name = name.to_ascii_lowercase();
    PARTS.iter().any(|part| name.contains(part)) || name.split(['-', '_']).any(|word| WHOLE.contains(&word))
}
