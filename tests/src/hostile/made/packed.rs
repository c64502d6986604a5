//! ZIP and TAR archives byte by byte, as no packer would write them. What is in them is not known here.

use std::io::Write;

use flate2::write::DeflateEncoder;
use flate2::{Compression, Crc};

/// A member as its headers have it: they may lie.
#[derive(Clone)]
pub struct Member {
    /// Its name, of any bytes.
    pub name: Vec<u8>,
    /// Its content, packed or not.
    pub bytes: Vec<u8>,
    /// 0 as it is, 8 deflated.
    pub method: u16,
    /// Bit 0: with a password.
    pub flags: u16,
    /// The check sum of its content.
    pub crc: u32,
    /// How long it says that its content is.
    pub size: u32,
    /// Rights and kind of file of unix, in the upper half.
    pub attributes: u32,
}

/// A plain file.
const FILE: u32 = 0o100_644 << 16;
/// A symbolic link.
pub const LINK: u32 = 0o120_777 << 16;

/// A member as it is.
pub fn stored(name: impl Into<Vec<u8>>, bytes: &[u8]) -> Member {
    let mut crc = Crc::new();
    crc.update(bytes);
    let size = u32::try_from(bytes.len()).unwrap();
    Member {
        name: name.into(),
        bytes: bytes.to_vec(),
        method: 0,
        flags: 0,
        crc: crc.sum(),
        size,
        attributes: FILE,
    }
}

/// A packed member.
pub fn deflated(name: impl Into<Vec<u8>>, bytes: &[u8]) -> Member {
    let mut packer = DeflateEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(bytes).unwrap();
    Member { bytes: packer.finish().unwrap(), method: 8, ..stored(name, bytes) }
}

/// A packed member of as many zeros; never held unpacked.
pub fn zeros(name: &str, mib: usize) -> Member {
    let mut packer = DeflateEncoder::new(Vec::new(), Compression::fast());
    let (one, mut crc) = (vec![0u8; 1 << 20], Crc::new());
    for _ in 0..mib {
        crc.update(&one);
        packer.write_all(&one).unwrap();
    }
    let size = u32::try_from(mib << 20).unwrap();
    Member { bytes: packer.finish().unwrap(), method: 8, crc: crc.sum(), size, ..stored(name, b"") }
}

/// The header of a member that stands before its content, or in the directory.
fn header(member: &Member, place: Option<u32>) -> Vec<u8> {
    let mut header = Vec::with_capacity(46 + member.name.len());
    match place {
        None => header.extend(b"PK\x03\x04"),
        Some(_) => header.extend(b"PK\x01\x02\x14\x03"),
    }
    header.extend(20u16.to_le_bytes());
    header.extend(member.flags.to_le_bytes());
    header.extend(member.method.to_le_bytes());
    // The first of January 1980.
    header.extend([0, 0, 0x21, 0]);
    header.extend(member.crc.to_le_bytes());
    header.extend(u32::try_from(member.bytes.len()).unwrap().to_le_bytes());
    header.extend(member.size.to_le_bytes());
    header.extend(u16::try_from(member.name.len()).unwrap().to_le_bytes());
    header.extend([0, 0]);
    if let Some(place) = place {
        header.extend([0; 6]);
        header.extend(member.attributes.to_le_bytes());
        header.extend(place.to_le_bytes());
    }
    header.extend_from_slice(&member.name);
    header
}

/// The archive's end, as it says how many members there are and where the directory is.
pub fn end(members: u16, directory: usize, at: usize) -> Vec<u8> {
    let mut end = b"PK\x05\x06\0\0\0\0".to_vec();
    end.extend(members.to_le_bytes());
    end.extend(members.to_le_bytes());
    end.extend(u32::try_from(directory).unwrap().to_le_bytes());
    end.extend(u32::try_from(at).unwrap().to_le_bytes());
    end.extend([0, 0]);
    end
}

/// Members one after the other, and their directory.
fn body(members: &[Member]) -> (Vec<u8>, Vec<u8>) {
    let (mut archive, mut directory) = (Vec::new(), Vec::new());
    for member in members {
        directory.extend(header(member, Some(u32::try_from(archive.len()).unwrap())));
        archive.extend(header(member, None));
        archive.extend_from_slice(&member.bytes);
    }
    (archive, directory)
}

/// An archive of these members.
pub fn zip(members: &[Member]) -> Vec<u8> {
    let (mut archive, directory) = body(members);
    let at = archive.len();
    archive.extend_from_slice(&directory);
    archive.extend(end(u16::try_from(members.len()).unwrap(), directory.len(), at));
    archive
}

/// The same bytes as a member under each of these names.
pub fn overlapping(member: &Member, names: &[&str]) -> Vec<u8> {
    let (mut archive, _) = body(std::slice::from_ref(member));
    let at = archive.len();
    for name in names {
        archive.extend(header(&Member { name: name.as_bytes().to_vec(), ..member.clone() }, Some(0)));
    }
    let directory = archive.len() - at;
    archive.extend(end(u16::try_from(names.len()).unwrap(), directory, at));
    archive
}

/// An archive whose long record says that it has so many members.
pub fn zip64(members: &[Member], says: u64) -> Vec<u8> {
    let (mut archive, directory) = body(members);
    let at = archive.len();
    archive.extend_from_slice(&directory);
    let record = archive.len() as u64;
    archive.extend(b"PK\x06\x06");
    archive.extend(44u64.to_le_bytes());
    archive.extend([45, 0, 45, 0]);
    archive.extend([0; 8]);
    archive.extend(says.to_le_bytes());
    archive.extend(says.to_le_bytes());
    archive.extend((directory.len() as u64).to_le_bytes());
    archive.extend((at as u64).to_le_bytes());
    archive.extend(b"PK\x06\x07\0\0\0\0");
    archive.extend(record.to_le_bytes());
    archive.extend(1u32.to_le_bytes());
    archive.extend(end(u16::MAX, directory.len(), at));
    archive
}

/// A TAR archive: name, kind of member (`0` a file, `2` a link), where it leads, content.
pub fn tar(members: &[(&[u8], u8, &str, &[u8])]) -> Vec<u8> {
    let mut archive = Vec::new();
    for (name, kind, target, bytes) in members {
        let mut header = [0u8; 512];
        let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &name[..name.len().min(100)]);
        put(100, b"0000644\0");
        put(108, b"0000000\0");
        put(116, b"0000000\0");
        put(124, format!("{:011o}\0", bytes.len()).as_bytes());
        put(136, b"00000000000\0");
        put(148, b"        ");
        put(156, &[*kind]);
        put(157, target.as_bytes());
        put(257, b"ustar\x0000");
        let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        archive.extend_from_slice(&header);
        archive.extend_from_slice(bytes);
        archive.resize(archive.len().next_multiple_of(512), 0);
    }
    archive.resize(archive.len() + 1_024, 0);
    archive
}
