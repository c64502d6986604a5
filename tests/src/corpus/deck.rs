//! Presentations as programs for slides write them: every part that such a program asks for when it opens one.

use crate::hostile::made::packed::{deflated, zip};

const HEAD: &str = r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?>"#;
const NAMES: &str = r#"xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships" xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main""#;
const RELATIONS: &str = "http://schemas.openxmlformats.org/package/2006/relationships";
const RELATION: &str = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
const PART: &str = "application/vnd.openxmlformats-officedocument.presentationml";
/// The group that all shapes of a slide are in.
const GROUP: &str =
    r#"<p:nvGrpSpPr><p:cNvPr id="1" name=""/><p:cNvGrpSpPr/><p:nvPr/></p:nvGrpSpPr><p:grpSpPr/>"#;

/// A presentation with these slides, each a title and a text of plain letters.
pub fn pptx(slides: &[(String, String)]) -> Vec<u8> {
    let numbers: Vec<usize> = (1..=slides.len()).collect();
    let each = |write: &dyn Fn(usize) -> String| numbers.iter().map(|n| write(*n)).collect::<String>();

    let types = format!(
        r#"{HEAD}<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType="application/xml"/><Override PartName="/ppt/presentation.xml" ContentType="{PART}.presentation.main+xml"/><Override PartName="/ppt/slideMasters/slideMaster1.xml" ContentType="{PART}.slideMaster+xml"/><Override PartName="/ppt/slideLayouts/slideLayout1.xml" ContentType="{PART}.slideLayout+xml"/><Override PartName="/ppt/theme/theme1.xml" ContentType="application/vnd.openxmlformats-officedocument.theme+xml"/>{}</Types>"#,
        each(&|n| format!(
            r#"<Override PartName="/ppt/slides/slide{n}.xml" ContentType="{PART}.slide+xml"/>"#
        ))
    );
    let presentation = format!(
        r#"{HEAD}<p:presentation {NAMES}><p:sldMasterIdLst><p:sldMasterId id="2147483648" r:id="rId1"/></p:sldMasterIdLst><p:sldIdLst>{}</p:sldIdLst><p:sldSz cx="12192000" cy="6858000"/><p:notesSz cx="6858000" cy="9144000"/></p:presentation>"#,
        each(&|n| format!(r#"<p:sldId id="{}" r:id="rId{}"/>"#, 255 + n, n + 1))
    );
    let mut parts = vec![
        ("[Content_Types].xml".to_owned(), types),
        ("_rels/.rels".to_owned(), relations(&[("officeDocument", "ppt/presentation.xml".to_owned())])),
        ("ppt/presentation.xml".to_owned(), presentation),
    ];
    let mut leads = vec![("slideMaster", "slideMasters/slideMaster1.xml".to_owned())];
    leads.extend(numbers.iter().map(|n| ("slide", format!("slides/slide{n}.xml"))));
    parts.push(("ppt/_rels/presentation.xml.rels".to_owned(), relations(&leads)));
    parts.extend(master());
    for (n, (title, text)) in numbers.iter().zip(slides) {
        let shapes = shape(2, r#"<p:ph type="title"/>"#, title) + &shape(3, r#"<p:ph idx="1"/>"#, text);
        let slide = format!(
            r#"{HEAD}<p:sld {NAMES}><p:cSld><p:spTree>{GROUP}{shapes}</p:spTree></p:cSld><p:clrMapOvr><a:masterClrMapping/></p:clrMapOvr></p:sld>"#
        );
        let layout = relations(&[("slideLayout", "../slideLayouts/slideLayout1.xml".to_owned())]);
        parts.push((format!("ppt/slides/slide{n}.xml"), slide));
        parts.push((format!("ppt/slides/_rels/slide{n}.xml.rels"), layout));
    }
    let members: Vec<_> =
        parts.into_iter().map(|(name, text)| deflated(name.into_bytes(), text.as_bytes())).collect();
    zip(&members)
}

/// `rId1` and so on, by kind and target.
fn relations(leads: &[(&str, String)]) -> String {
    let rows = leads.iter().zip(1..).map(|((kind, target), n)| {
        format!(r#"<Relationship Id="rId{n}" Type="{RELATION}/{kind}" Target="{target}"/>"#)
    });
    format!(r#"{HEAD}<Relationships xmlns="{RELATIONS}">{}</Relationships>"#, rows.collect::<String>())
}

fn shape(id: usize, place: &str, text: &str) -> String {
    format!(
        r#"<p:sp><p:nvSpPr><p:cNvPr id="{id}" name="Text {id}"/><p:cNvSpPr><a:spLocks noGrp="1"/></p:cNvSpPr><p:nvPr>{place}</p:nvPr></p:nvSpPr><p:spPr/><p:txBody><a:bodyPr/><a:lstStyle/><a:p><a:r><a:rPr lang="en-GB"/><a:t>{text}</a:t></a:r></a:p></p:txBody></p:sp>"#
    )
}

/// What all slides look like: a master, a layout, and a theme with the colours, fonts and lines that it must have.
fn master() -> Vec<(String, String)> {
    let colours: String = [
        ("dk1", "000000"),
        ("lt1", "FFFFFF"),
        ("dk2", "1F3A34"),
        ("lt2", "EEEEEA"),
        ("accent1", "0C6356"),
        ("accent2", "25559F"),
        ("accent3", "7A4D00"),
        ("accent4", "A81F18"),
        ("accent5", "5D6661"),
        ("accent6", "1A6B3C"),
        ("hlink", "25559F"),
        ("folHlink", "5D6661"),
    ]
    .iter()
    .map(|(name, colour)| format!(r#"<a:{name}><a:srgbClr val="{colour}"/></a:{name}>"#))
    .collect();
    let font = r#"<a:latin typeface="Arial"/><a:ea typeface=""/><a:cs typeface=""/>"#;
    let fill = r#"<a:solidFill><a:schemeClr val="phClr"/></a:solidFill>"#;
    let line = format!(r#"<a:ln w="6350">{fill}</a:ln>"#);
    let (effect, three) =
        ("<a:effectStyle><a:effectLst/></a:effectStyle>", |one: &str| [one, one, one].concat());
    let theme = format!(
        r#"{HEAD}<a:theme xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main" name="Plain"><a:themeElements><a:clrScheme name="Plain">{colours}</a:clrScheme><a:fontScheme name="Plain"><a:majorFont>{font}</a:majorFont><a:minorFont>{font}</a:minorFont></a:fontScheme><a:fmtScheme name="Plain"><a:fillStyleLst>{fills}</a:fillStyleLst><a:lnStyleLst>{lines}</a:lnStyleLst><a:effectStyleLst>{effects}</a:effectStyleLst><a:bgFillStyleLst>{fills}</a:bgFillStyleLst></a:fmtScheme></a:themeElements></a:theme>"#,
        fills = three(fill),
        lines = three(&line),
        effects = three(effect),
    );
    let master = format!(
        r#"{HEAD}<p:sldMaster {NAMES}><p:cSld><p:spTree>{GROUP}</p:spTree></p:cSld><p:clrMap bg1="lt1" tx1="dk1" bg2="lt2" tx2="dk2" accent1="accent1" accent2="accent2" accent3="accent3" accent4="accent4" accent5="accent5" accent6="accent6" hlink="hlink" folHlink="folHlink"/><p:sldLayoutIdLst><p:sldLayoutId id="2147483649" r:id="rId1"/></p:sldLayoutIdLst></p:sldMaster>"#
    );
    let layout = format!(
        r#"{HEAD}<p:sldLayout {NAMES} type="obj"><p:cSld name="Title and text"><p:spTree>{GROUP}</p:spTree></p:cSld><p:clrMapOvr><a:masterClrMapping/></p:clrMapOvr></p:sldLayout>"#
    );
    let of_master = [
        ("slideLayout", "../slideLayouts/slideLayout1.xml".to_owned()),
        ("theme", "../theme/theme1.xml".to_owned()),
    ];
    let of_layout = [("slideMaster", "../slideMasters/slideMaster1.xml".to_owned())];
    let parts = [
        ("theme/theme1.xml", theme),
        ("slideMasters/slideMaster1.xml", master),
        ("slideMasters/_rels/slideMaster1.xml.rels", relations(&of_master)),
        ("slideLayouts/slideLayout1.xml", layout),
        ("slideLayouts/_rels/slideLayout1.xml.rels", relations(&of_layout)),
    ];
    parts.map(|(name, text)| (format!("ppt/{name}"), text)).into()
}
