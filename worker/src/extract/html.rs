//! HTML to blocks by a walk of its tree: what a reader sees, without navigation, scripts and styles.

use docmill_core::failure::{Failure, FailureCode};
use docmill_core::page::{BlockKind, DocumentInfo};
use encoding_rs::Encoding;
use htmd::{HtmlToMarkdown, Node};
use markup5ever_rcdom::NodeData;

use super::emit::Emitter;
use super::source::Source;
use super::text::Table;
use super::work::Work;
use super::{Kind, decode};

const SKIPPED: &[&str] = &[
    "script", "style", "noscript", "template", "nav", "head", "svg", "iframe", "select", "button",
    "textarea",
];
const BLOCKS: &[&str] = &[
    "p",
    "div",
    "section",
    "article",
    "main",
    "header",
    "footer",
    "aside",
    "blockquote",
    "figure",
    "figcaption",
    "ul",
    "ol",
    "dl",
    "table",
    "form",
    "fieldset",
    "address",
    "hr",
    "body",
    "html",
    "details",
    "summary",
    "center",
];

/// Reads a page. Very deep nesting ends the process, which is why this runs in a child.
pub(super) fn read(source: Source, work: &mut Work<'_, '_>) -> Result<(), Failure> {
    blocks(&source.into_bytes(work.bytes_max())?, work.emitter)
}

fn blocks(bytes: &[u8], emitter: &mut Emitter<'_>) -> Result<(), Failure> {
    let html = decode::decode(bytes, declared_encoding(bytes));
    let tree = HtmlToMarkdown::new()
        .html_to_tree(&html)
        .map_err(|error| Failure::new(FailureCode::Damaged, error.to_string()))?;
    let title = find(&tree, "title").map(|node| text_of(&node)).filter(|title| !title.trim().is_empty());
    let title = title.or_else(|| find(&tree, "h1").map(|node| text_of(&node)));
    let title = title.map(|title| title.split_whitespace().collect::<Vec<_>>().join(" "));
    emitter.info(DocumentInfo {
        title,
        media_type: Kind::Html.media_type().to_owned(),
        page_count: None,
    })?;
    let mut walk = Walk { text: String::new(), kind: BlockKind::Paragraph, emitter };
    walk.node(&tree)?;
    walk.end()
}

/// The charset that the page says it has, in its first KiB.
fn declared_encoding(bytes: &[u8]) -> Option<&'static Encoding> {
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
    text: String,
    kind: BlockKind,
    emitter: &'a mut Emitter<'e>,
}

impl Walk<'_, '_> {
    fn end(&mut self) -> Result<(), Failure> {
        let text = std::mem::take(&mut self.text);
        if self.kind == BlockKind::Code {
            return self.emitter.block(self.kind, text);
        }
        let lines = text.split('\n').map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
        self.emitter.block(self.kind, lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n"))
    }

    fn as_block(&mut self, kind: BlockKind, node: &Node) -> Result<(), Failure> {
        self.end()?;
        let outer = std::mem::replace(&mut self.kind, kind);
        self.children(node)?;
        self.end()?;
        self.kind = outer;
        Ok(())
    }

    fn children(&mut self, node: &Node) -> Result<(), Failure> {
        node.children.borrow().iter().try_for_each(|child| self.node(child))
    }

    fn node(&mut self, node: &Node) -> Result<(), Failure> {
        let name = match &node.data {
            NodeData::Text { contents } => {
                let text = contents.borrow();
                if self.kind == BlockKind::Code {
                    self.text.push_str(&text);
                } else {
                    // Only `br` breaks a line.
                    self.text.extend(text.chars().map(|c| if c.is_whitespace() { ' ' } else { c }));
                }
                return Ok(());
            }
            NodeData::Element { name, .. } => &*name.local,
            NodeData::Document => return self.children(node),
            _ => return Ok(()),
        };
        match name {
            skipped if SKIPPED.contains(&skipped) => Ok(()),
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => {
                self.as_block(BlockKind::Heading(name.as_bytes()[1] - b'0'), node)
            }
            "li" | "dt" | "dd" => self.as_block(BlockKind::ListItem, node),
            "pre" => self.as_block(BlockKind::Code, node),
            "br" => {
                self.text.push('\n');
                Ok(())
            }
            "table" if is_data_table(node) => {
                self.end()?;
                let mut table = Table::default();
                self.rows(node, &mut table)?;
                table.end(self.emitter)
            }
            block if BLOCKS.contains(&block) => {
                // A paragraph within a list item is still the item.
                let kind = if self.kind == BlockKind::ListItem {
                    BlockKind::ListItem
                } else {
                    BlockKind::Paragraph
                };
                self.as_block(kind, node)
            }
            "td" | "th" | "tr" | "caption" => self.as_block(BlockKind::Paragraph, node),
            _ => self.children(node),
        }
    }

    fn rows(&mut self, node: &Node, table: &mut Table) -> Result<(), Failure> {
        for child in node.children.borrow().iter() {
            match element(child) {
                Some("tr") => {
                    let cells = child.children.borrow();
                    let cells = cells.iter().filter(|cell| matches!(element(cell), Some("td" | "th")));
                    table.row(cells.map(|cell| text_of(cell)), self.emitter)?;
                }
                Some("caption") => self.as_block(BlockKind::Paragraph, child)?,
                Some(_) => self.rows(child, table)?,
                None => {}
            }
        }
        Ok(())
    }
}

fn element(node: &Node) -> Option<&str> {
    match &node.data {
        NodeData::Element { name, .. } => Some(&*name.local),
        _ => None,
    }
}

/// A table with block structure in it only lays a page out; its cells are read as text.
fn is_data_table(table: &Node) -> bool {
    !["table", "h1", "h2", "h3", "ul", "ol", "pre"]
        .iter()
        .any(|name| table.children.borrow().iter().any(|child| find(child, name).is_some()))
}

fn find(node: &std::rc::Rc<Node>, name: &str) -> Option<std::rc::Rc<Node>> {
    if element(node) == Some(name) {
        return Some(node.clone());
    }
    node.children.borrow().iter().find_map(|child| find(child, name))
}

fn text_of(node: &Node) -> String {
    let mut text = String::new();
    collect(node, &mut text);
    text
}

fn collect(node: &Node, text: &mut String) {
    if let NodeData::Text { contents } = &node.data {
        text.push_str(&contents.borrow());
    }
    if element(node).is_some_and(|name| SKIPPED.contains(&name)) {
        return;
    }
    for child in node.children.borrow().iter() {
        collect(child, text);
        if matches!(element(child), Some("p" | "div" | "br" | "li")) {
            text.push(' ');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::emit::tests::blocks_of;
    use super::*;

    #[test]
    fn a_page_becomes_blocks() {
        let html = b"<html><head><title>T &amp; U</title><style>x{}</style></head><body><nav>menu</nav><h2>Head</h2>\
            intro <b>bold</b><p>one\n two<br>three</p><ul><li>a</li><li><p>b</p></li></ul>\
            <table><tr><th>x</th><th>y</th></tr><tr><td>1</td><td>2</td></tr></table><pre>a\n  b</pre><script>no</script>";
        use BlockKind::{Code, Heading, ListItem, Paragraph, Table};
        let expected = [
            (Heading(2), "Head"),
            (Paragraph, "intro bold"),
            (Paragraph, "one two\nthree"),
            (ListItem, "a"),
            (ListItem, "b"),
            (Table, "x\ty\n1\t2"),
            (Code, "a\n  b"),
        ];
        assert_eq!(
            blocks_of(|emitter| blocks(html, emitter)),
            expected.map(|(kind, text)| (kind, text.to_owned()))
        );
    }

    #[test]
    fn the_declared_charset_is_used() {
        let mut html = b"<meta charset='koi8-r'><p>".to_vec();
        html.extend_from_slice(&encoding_rs::KOI8_R.encode("привет").0);
        assert_eq!(blocks_of(|emitter| blocks(&html, emitter))[0].1, "привет");
    }
}
