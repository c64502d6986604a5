//! 33 to 38, 40: archives that unpack to too much, in themselves, lie, or have names that lead elsewhere.

use std::io::Write;

use docmill_core::failure::FailureCode::{
    Damaged, Encrypted, LimitDepth, LimitEntries, LimitFileSize, LimitUnpacked,
};
use flate2::write::GzEncoder;
use flate2::{Compression, Crc};

use super::packed::{LINK, Member, deflated, overlapping, stored, tar, zeros, zip, zip64};
use super::{Made, World, made};

/// More than one file may have, in MiB.
const FILE_MIB: usize = 501;
/// Three of these are more than all together may have, in MiB.
const SHARE_MIB: usize = 400;
/// Archives in each other: more than documents may lie in each other.
const NESTED: usize = 12;
/// More than a document may hold.
const MEMBERS: usize = 10_001;

pub fn files(_: &World) -> Vec<Made> {
    let mut files = too_much();
    files.extend(names());
    files.extend(locked());
    files
}

fn too_much() -> Vec<Made> {
    let share = |name: &str| zeros(name, SHARE_MIB);
    let mut nested = zip(&[stored("end.txt", b"never seen")]);
    let mut gzips = b"packed over and over".to_vec();
    for depth in 0..NESTED {
        let text = format!("at {depth}");
        nested = zip(&[stored("text.txt", text.as_bytes()), stored("in.zip", &nested)]);
        gzips = gzipped(&gzips);
    }
    let many: Vec<Member> = (0..MEMBERS).map(|number| stored(format!("{number}.txt"), b"x")).collect();
    let short = Member { size: 10, ..deflated("short.txt", &b"far more than ten letters ".repeat(200)) };
    vec![
        made(33, "flat.zip", zip(&[zeros("zeros.bin", FILE_MIB)]))
            .fails(LimitFileSize, "larger than 500 MiB"),
        made(33, "three.zip", zip(&[share("a.bin"), share("b.bin"), share("c.bin")]))
            .fails(LimitUnpacked, "more than 1024 MiB"),
        made(
            34,
            "overlapping.zip",
            overlapping(&deflated("a.txt", &b"again ".repeat(9_000)), &["a.txt", "b.txt"]),
        )
        .fails(Damaged, "in each other's bytes"),
        made(35, "nested.zip", nested).partial("limit_depth").holds("at 11").lacks("never seen"),
        made(35, "nested.gz", gzips).fails(LimitDepth, "deeper than 8"),
        made(36, "zip64.zip", zip64(&[stored("a.txt", b"x")], 1 << 60))
            .fails(LimitEntries, "says that it has"),
        made(36, "short.zip", zip(&[short])).fails(Damaged, "larger than its declared"),
        made(38, "ten-million.zip", zip64(&[stored("a.txt", b"x")], 10_000_000))
            .fails(LimitEntries, "10000000 members"),
        made(38, "many.zip", zip(&many)).fails(LimitEntries, "10000 are allowed"),
    ]
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

/// Members that would lie elsewhere, if their names were paths.
pub fn names() -> Vec<Made> {
    let text = |text: &str| text.as_bytes().to_vec();
    let link = Member { attributes: LINK, ..stored("link.txt", b"/etc/passwd") };
    let archive = zip(&[
        stored("../../../../tmp/docmill-was-here.txt", &text("one level up")),
        stored("/etc/docmill-was-here.txt", &text("an absolute one")),
        stored("C:\\Windows\\docmill.txt", &text("with a drive")),
        stored(b"nul\0byte.txt".to_vec(), &text("with a zero")),
        stored(b"\x1b[31mred\r\nline.txt".to_vec(), &text("with an escape")),
        stored(b"\xff\xfebad.txt".to_vec(), &text("of no encoding")),
        stored("twice.txt", &text("the first of two")),
        stored("twice.txt", &text("the second of two")),
        stored("caf\u{e9}.txt", &text("composed")),
        stored("cafe\u{301}.txt", &text("decomposed")),
        stored("CON", &text("a reserved one")),
        stored("n".repeat(5_000), &text("a long one")),
        link,
    ]);
    let tape = tar(&[
        (b"../../../../tmp/docmill-was-here.txt", b'0', "", b"one level up"),
        (b"/etc/docmill-was-here.txt", b'0', "", b"an absolute one"),
        (b"link.txt", b'2', "/etc/passwd", b""),
        (b"hard.txt", b'1', "/etc/passwd", b""),
        (b"device", b'3', "", b""),
        (b"last.txt", b'0', "", b"the last one"),
    ]);
    let zipped = made(37, "names.zip", archive).lacks("root:").lacks("\u{1b}");
    let held = ["one level up", "an absolute one", "with a drive", "with a zero", "with an escape"];
    let more =
        ["of no encoding", "the second of two", "composed", "decomposed", "a reserved one", "a long one"];
    vec![
        held.into_iter().chain(more).fold(zipped, |zipped, text| zipped.holds(text)),
        made(37, "names.tar", tape).holds("one level up").holds("the last one").lacks("root:"),
    ]
}

fn locked() -> Vec<Made> {
    let member =
        Member { flags: 1, ..stored("locked.txt", b"a header of the cipher, and what follows it") };
    vec![
        made(40, "locked.zip", zip(&[member])).fails(Encrypted, "password"),
        made(40, "locked.7z", sevenz()).fails(Encrypted, "needs a password, and none is given"),
    ]
}

/// A 7z archive of one file that is encrypted, and its directory is not.
fn sevenz() -> Vec<u8> {
    let (packed, unpacked) = ([0x5a; 16], 11u8);
    let name: Vec<u8> = "a.txt\0".encode_utf16().flat_map(u16::to_le_bytes).collect();
    // Where the packed bytes are; one folder of one coder, AES with two bytes of properties, and nothing to say of the
    // streams in it; one file with a name.
    let mut header = vec![0x01, 0x04, 0x06, 0, 1, 0x09, 16, 0x00];
    header.extend([
        0x07, 0x0b, 1, 0, 1, 0x24, 0x06, 0xf1, 0x07, 0x01, 2, 0x13, 0x00, 0x0c, unpacked, 0x00, 0x08, 0x00,
        0x00,
    ]);
    header.extend([0x05, 1, 0x11, u8::try_from(name.len()).unwrap() + 1, 0]);
    header.extend(name);
    header.extend([0x00, 0x00]);
    let sum = |bytes: &[u8]| {
        let mut crc = Crc::new();
        crc.update(bytes);
        crc.sum().to_le_bytes()
    };
    let mut start = 16u64.to_le_bytes().to_vec();
    start.extend((header.len() as u64).to_le_bytes());
    start.extend(sum(&header));
    let mut archive = b"7z\xbc\xaf\x27\x1c\0\x04".to_vec();
    archive.extend(sum(&start));
    archive.extend(start);
    archive.extend(packed);
    archive.extend(header);
    archive
}
