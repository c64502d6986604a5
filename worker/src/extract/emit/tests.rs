//! What is sent of what parsers put in, and what of it is left out.

use super::*;

/// Runs a parser and gives its blocks of all pages, for tests of formats.
pub fn blocks_of(parse: impl FnOnce(&mut Emitter) -> Result<(), Failure>) -> Vec<(BlockKind, String)> {
    let mut blocks = Vec::new();
    let mut forward = |event| {
        if let Event::Page(page) = event {
            blocks.extend(page.blocks.into_iter().map(|block| (block.kind, block.text)));
        }
        Ok(())
    };
    let limits = Limits::default();
    let mut emitter = Emitter::new(&mut forward, &limits, 1);
    parse(&mut emitter).unwrap();
    emitter.finish().unwrap();
    blocks
}

#[test]
fn text_is_cleaned() {
    assert_eq!(clean(" \u{feff}a\r\nb\0c\rd\u{ad}e \n"), "a\nbc\nde");
}

#[test]
fn what_is_passed_over_as_clean_would_be_cleaned_to_the_same() {
    // At the ends, within, and beyond the piece that is looked at together.
    let long = format!("{}{{}}b", "a".repeat(70));
    let places: [&str; 5] = ["{}", "{}a b", "a b{}", "a{}b", &long];
    let odd =
        (0..0xa1).chain([0xad, 0xdf, 0x2003, 0x3042, 0xfeff, 0xfffe, 0xffff]).filter_map(char::from_u32);
    for c in odd {
        for place in places {
            let text = place.replace("{}", &c.to_string());
            assert_eq!(cleaned(text.clone()), clean(&text), "{text:?}");
            let by_character = |c: char| c.is_control() && c != '\n' && c != '\t';
            assert!(!is_plain(&text) || !text.contains(by_character), "{text:?}");
        }
    }
    assert!(is_plain("A line\n\tand ~ another") && !is_plain("\u{7f}") && !is_plain("é"));
}

/// What is sent while `parse` runs, without the document's end.
fn pages_of(parse: impl FnOnce(&mut Emitter) -> Result<(), Failure>) -> (Vec<Page>, Result<(), Failure>) {
    let mut pages = Vec::new();
    let mut forward = |event| {
        if let Event::Page(page) = event {
            pages.push(page);
        }
        Ok(())
    };
    let limits = Limits::default();
    let mut emitter = Emitter::new(&mut forward, &limits, 1);
    parse(&mut emitter).unwrap();
    let outcome = emitter.finish();
    (pages, outcome)
}

#[test]
fn sections_have_pages_of_their_own_below_their_name() {
    let (pages, outcome) = pages_of(|emitter| {
        emitter.block(BlockKind::Paragraph, "before")?;
        let outer = emitter.begin_section("a\n.zip")?;
        let inner = emitter.begin_section("b\u{202e}.pdf")?;
        let block = Block { kind: BlockKind::Heading(1), text: "own".to_owned() };
        let page = Page { number: 1, source: PageSource::TextLayer, blocks: vec![block], note: None };
        emitter.page(page)?;
        emitter.end_section(inner)?;
        emitter.end_section(outer)?;
        emitter.block(BlockKind::Heading(1), "after")
    });
    outcome.unwrap();
    let found: Vec<_> = pages
        .iter()
        .map(|page| {
            let blocks = page.blocks.iter().map(|block| (block.kind, block.text.as_str()));
            (page.number, page.source, blocks.collect::<Vec<_>>())
        })
        .collect();
    use BlockKind::{Heading, Paragraph};
    let expected = [
        (1, PageSource::TextLayer, vec![(Paragraph, "before")]),
        (2, PageSource::TextLayer, vec![(Heading(1), "a.zip › b.pdf"), (Heading(2), "own")]),
        (3, PageSource::TextLayer, vec![(Heading(1), "after")]),
    ];
    assert_eq!(found, expected);
}

#[test]
fn pages_that_are_left_out_are_sent_as_they_are_given_below_the_name_of_their_section() {
    let died = Failure::new(FailureCode::ExtractorDied, "SIGKILL");
    let left_out =
        [Page::lost(2, &died), Page::lost(4, &died), Page::lost(5, &died), Page::lost_part(6, &died)];
    let limits = Limits::default();
    let mut pages = Vec::new();
    let mut forward = |event| {
        if let Event::Page(page) = event {
            pages.push(page);
        }
        Ok(())
    };
    let mut emitter = Emitter::new(&mut forward, &limits, 2).without(&left_out);
    emitter.block(BlockKind::Paragraph, "page 1").unwrap();
    let paged = emitter.begin_section("paged").unwrap();
    assert!(!emitter.leaves_out_section().unwrap(), "of what has pages of its own only the page");
    assert!(!emitter.wants(1).unwrap() && emitter.wants(2).unwrap());
    emitter.block(BlockKind::Paragraph, "page 3").unwrap();
    emitter.end_page().unwrap();
    assert!(!emitter.wants(3).unwrap());
    emitter.end_section(paged).unwrap();
    for (name, is_part) in [("whole", false), ("part", true)] {
        let section = emitter.begin_section(name).unwrap();
        assert_eq!(emitter.leaves_out_section().unwrap(), is_part);
        assert_ne!(emitter.leaves_out_document().unwrap(), is_part);
        emitter.end_section(section).unwrap();
    }
    emitter.finish().unwrap();
    let found: Vec<_> = pages.iter().map(|page| (page.number, page.source, page.text())).collect();
    let lost = |number, text: &str| (number, PageSource::Lost, text.to_owned());
    let expected = [
        lost(2, "paged"),
        (3, PageSource::TextLayer, "page 3".to_owned()),
        lost(4, ""),
        lost(5, "whole"),
        lost(6, "part"),
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_document_of_lost_parts_fails_as_the_first_of_them() {
    let locked = Failure::new(FailureCode::Encrypted, "a password");
    let (pages, outcome) = pages_of(|emitter| {
        let section = emitter.begin_section("a.pdf")?;
        emitter.lost(&locked)?;
        emitter.end_section(section)
    });
    assert_eq!(outcome.unwrap_err(), locked);
    assert_eq!(pages[0].source, PageSource::Lost);
    assert_eq!(pages[0].note.as_deref(), Some("lost: encrypted: a password"));
}

#[test]
fn a_document_without_text_says_why() {
    let without = |number, reason: PageReason| {
        let note = Some(reason.note("because"));
        Page { number, source: PageSource::Ocr, blocks: Vec::new(), note }
    };
    let (pages, outcome) = pages_of(|emitter| {
        emitter.page(without(1, PageReason::Blank))?;
        emitter.page(without(2, PageReason::NoWords))
    });
    let failure = outcome.unwrap_err();
    assert_eq!(failure.code, FailureCode::NoText);
    assert_eq!(failure.detail, "2 pages, none with text: blank: because");
    assert!(pages.iter().all(|page| page.source == PageSource::NoText));
}

#[test]
fn no_page_without_text_is_silent() {
    let (pages, outcome) = pages_of(|emitter| {
        emitter.without_text("empty: a footer".to_owned());
        emitter.end_page()?;
        emitter.end_page()?;
        emitter.without_text("empty: not so".to_owned());
        emitter.block(BlockKind::Paragraph, "text")?;
        emitter.end_page()?;
        emitter.end_page()?;
        let section = emitter.begin_section("a.docx")?;
        emitter.without_text("pictures_unread: two".to_owned());
        emitter.end_section(section)
    });
    outcome.unwrap();
    let notes: Vec<_> = pages.iter().map(|page| page.note.as_deref()).collect();
    let none = Some("empty: no text was found on it");
    assert_eq!(notes, [Some("empty: a footer"), none, None, none, Some("pictures_unread: two")]);
    let (_, outcome) = pages_of(|emitter| {
        emitter.without_text("pictures_unread: one".to_owned());
        Ok(())
    });
    assert_eq!(outcome.unwrap_err().detail, "0 pages, none with text: pictures_unread: one");
}

#[test]
fn the_name_of_a_page_is_no_text() {
    let named = |text: &'static str| {
        pages_of(move |emitter| {
            emitter.name_page("Sheet1")?;
            emitter.block(BlockKind::Table, text)?;
            emitter.end_page_if_any()
        })
    };
    let (pages, outcome) = named("a\tb");
    assert_eq!((outcome, pages[0].source), (Ok(()), PageSource::TextLayer));
    assert_eq!(pages[0].text(), "Sheet1\n\na\tb");
    let (pages, outcome) = named("");
    assert_eq!(outcome.unwrap_err().code, FailureCode::NoText);
    assert_eq!((pages[0].source, pages[0].text()), (PageSource::NoText, "Sheet1".to_owned()));
}

#[test]
fn there_are_no_more_pages_than_allowed_and_lost_ones_count() {
    let limits = Limits { pages_max: 2, pdf_pages: 1, ..Limits::default() };
    let mut pages = Vec::new();
    let mut forward = |event| {
        if let Event::Page(page) = event {
            pages.push(page.number);
        }
        Ok(())
    };
    let mut emitter = Emitter::new(&mut forward, &limits, 1);
    emitter.block(BlockKind::Paragraph, "text").unwrap();
    emitter.end_page().unwrap();
    emitter.lost(&Failure::new(FailureCode::Damaged, "torn")).unwrap();
    let failure = emitter.or_lost(Err(Failure::new(FailureCode::Damaged, "torn"))).unwrap_err();
    assert_eq!(failure.code, FailureCode::LimitPages);
    assert_eq!(pages, [1, 2]);
}

#[test]
fn much_text_becomes_pages_and_too_much_fails() {
    let limits = Limits { text_mib: 5, ..Limits::default() };
    let mut pages = Vec::new();
    let mut forward = |event| {
        if let Event::Page(page) = event {
            pages.push(page.number);
        }
        Ok(())
    };
    let mut emitter = Emitter::new(&mut forward, &limits, 2);
    let failure = (0..9).find_map(|_| emitter.block(BlockKind::Paragraph, "x".repeat(1 << 20)).err());
    assert_eq!(failure.unwrap().code, FailureCode::LimitText);
    assert_eq!(pages, [0u32; 0], "page 1 was not wanted, page 2 was not finished");
}
