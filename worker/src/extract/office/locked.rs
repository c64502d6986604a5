//! Office documents of parts that have a password: an OLE container with the encrypted package and how it is encrypted, in
//! either of the ways that [MS-OFFCRYPTO] has for them, agile and standard. Opens what a password opens and leaves the
//! package to its reader. What extensions to a rights service or to smart cards hold, no password opens.

use std::io::{Read, Seek};

use aes::cipher::block_padding::NoPadding;
use aes::cipher::{Array, BlockCipherDecrypt, BlockModeDecrypt, KeyInit, KeyIvInit};
use aes::{Aes128, Aes192, Aes256};
use cbc::Decryptor;
use cfb::CompoundFile;
use docmill_core::failure::{Failure, FailureCode};
use docmill_core::limits::Limits;
use quick_xml::events::Event;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha384, Sha512};

use crate::extract::mail::base64;
use crate::extract::ole::{u16_at, u32_at};
use crate::extract::passwords::{Tries, locked};
use crate::extract::xml::{attribute, events, local};
use crate::secret::Secret;

/// Excel encrypts with it what nobody may change but everybody may read.
const EVERYBODYS: &str = "VelvetSweatshop";
/// Most times that a password is hashed: programs do it 100,000 times, which takes a tenth of a second.
const SPINS_MAX: u32 = 1_000_000;
/// Most times for all passwords that are given: as many as there may be of documents as programs make them.
const SPINS_IN_ALL_MAX: u64 = 10_000_000;
/// Longest salt; programs take 16 bytes.
const SALT_BYTES_MAX: usize = 64;
/// How often it is, where that is not said.
const STANDARD_SPINS: u32 = 50_000;
/// Most bytes of what is said of the encryption.
const INFO_BYTES_MAX: u64 = 1 << 20;
/// Parts of a package that are encrypted each by itself.
const SEGMENT_BYTES: usize = 4_096;
const BLOCK_BYTES: usize = 16;

/// What keys are made for.
const VERIFIER_INPUT: [u8; 8] = [0xfe, 0xa7, 0xd2, 0x76, 0x3b, 0x4b, 0x9e, 0x79];
const VERIFIER_VALUE: [u8; 8] = [0xd7, 0xaa, 0x0f, 0x6d, 0x30, 0x61, 0x34, 0x4e];
const PACKAGE_KEY: [u8; 8] = [0x14, 0x6e, 0x0b, 0xe7, 0xab, 0xac, 0xd0, 0xd6];

/// The package in such a container, opened with the first of the passwords that fits.
///
/// # Errors
/// None of them does, it is encrypted in another way, or larger than `bytes_max`.
pub(in crate::extract) fn open<F: Read + Seek>(
    container: &mut CompoundFile<F>,
    name: &str,
    passwords: &[Secret],
    tries: &Tries,
    limits: &Limits,
    bytes_max: u64,
) -> Result<Vec<u8>, Failure> {
    // Rights services have it elsewhere.
    let info = match container.is_stream("EncryptionInfo") {
        true => stream(container, "EncryptionInfo", INFO_BYTES_MAX)?,
        false => Vec::new(),
    };
    let Some(scheme) = Scheme::of(&info, limits) else {
        let detail = format!("{name} is encrypted in a way that no password opens, or that is not known");
        return Err(Failure::new(FailureCode::Encrypted, detail));
    };
    let spins = scheme.spins().saturating_mul(passwords.len() as u64 + 1);
    if spins > SPINS_IN_ALL_MAX {
        let detail = format!(
            "{name} has a password that would have to be hashed {spins} times to try all that are given; {SPINS_IN_ALL_MAX} times are allowed"
        );
        return Err(Failure::new(FailureCode::Encrypted, detail));
    }
    let key = match scheme.key(EVERYBODYS) {
        None => tries.first(name, passwords, |password| scheme.key(password.expose()))?,
        key => key,
    };
    let Some(key) = key else {
        if passwords.is_empty() {
            let detail = format!("{name} is an Office document with a password, and none is given");
            return Err(Failure::new(FailureCode::Encrypted, detail));
        }
        return Err(locked(name, passwords.len()));
    };
    let mut package = stream(container, "EncryptedPackage", bytes_max)?;
    // Its length, as blocks are filled up.
    let length = u64::from(u32_at(&package, 0)) | (u64::from(u32_at(&package, 4)) << 32);
    package.drain(..package.len().min(8));
    let length = usize::try_from(length).ok().filter(|length| *length <= package.len());
    let length = length.ok_or_else(|| damaged("the encrypted package is cut"))?;
    package.truncate(length.next_multiple_of(BLOCK_BYTES).min(package.len()));
    scheme.package(&key, &mut package).ok_or_else(|| damaged("the encrypted package is cut"))?;
    package.truncate(length);
    Ok(package)
}

fn stream<F: Read + Seek>(
    container: &mut CompoundFile<F>,
    path: &str,
    bytes_max: u64,
) -> Result<Vec<u8>, Failure> {
    let stream = container.open_stream(path).map_err(damaged)?;
    let mut bytes = Vec::new();
    stream.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes).map_err(damaged)?;
    if bytes.len() as u64 > bytes_max {
        let detail = format!("{path} is larger than {bytes_max} bytes");
        return Err(Failure::new(FailureCode::LimitFileSize, detail));
    }
    Ok(bytes)
}

fn damaged(error: impl std::fmt::Display) -> Failure {
    Failure::new(FailureCode::Damaged, error.to_string())
}

/// How a package is encrypted.
enum Scheme {
    Agile { package: Agile, password: Agile, locks: Locks },
    Standard(Standard),
}

/// Of Office 2007: everything by AES and SHA-1, block by block.
struct Standard {
    key_bytes: usize,
    salt: Vec<u8>,
    verifier: Vec<u8>,
    verifier_hash: Vec<u8>,
}

/// Of Office 2010 and later, of the package and of the password alike.
#[derive(Default)]
struct Agile {
    hash: Option<Hash>,
    key_bytes: usize,
    hash_bytes: usize,
    salt: Vec<u8>,
    /// AES in chains of blocks. Nobody writes what else is allowed.
    is_known: bool,
}

/// What the password opens: by which to see that it is right, and the key of the package.
#[derive(Default)]
struct Locks {
    spins: u32,
    input: Vec<u8>,
    value: Vec<u8>,
    key: Vec<u8>,
}

impl Scheme {
    /// Nothing where it is not known.
    fn of(info: &[u8], limits: &Limits) -> Option<Self> {
        match (u16_at(info, 0), u16_at(info, 2)) {
            (4, 4) => Self::agile(info.get(8..)?, limits),
            (2..=4, 2) => Standard::of(info).map(Self::Standard),
            _ => None,
        }
    }

    fn agile(xml: &[u8], limits: &Limits) -> Option<Self> {
        let (mut package, mut password, mut locks) = (Agile::default(), Agile::default(), Locks::default());
        let (_, read) = events(xml, "EncryptionInfo", INFO_BYTES_MAX, limits, |event| {
            let (Event::Start(tag) | Event::Empty(tag)) = event else { return Ok(()) };
            let of = |name: &str| attribute(&tag, name).unwrap_or_default();
            let bytes = |name: &str| base64(of(name).as_bytes());
            match local(tag.name().as_ref()) {
                "keyData" => package = Agile::of(&of),
                // There may be others, for certificates.
                "encryptedKey" if !of("encryptedVerifierHashInput").is_empty() => {
                    password = Agile::of(&of);
                    locks = Locks {
                        spins: of("spinCount").parse().unwrap_or(u32::MAX),
                        input: bytes("encryptedVerifierHashInput"),
                        value: bytes("encryptedVerifierHashValue"),
                        key: bytes("encryptedKeyValue"),
                    };
                }
                _ => {}
            }
            Ok(())
        });
        let is_known = package.is_known && password.is_known && locks.spins <= SPINS_MAX;
        (read.is_ok() && is_known).then_some(Self::Agile { package, password, locks })
    }

    /// How often a password is hashed.
    fn spins(&self) -> u64 {
        u64::from(match self {
            Self::Standard(_) => STANDARD_SPINS,
            Self::Agile { locks, .. } => locks.spins,
        })
    }

    /// The key of the package, if this is its password.
    fn key(&self, password: &str) -> Option<Vec<u8>> {
        let password_bytes: Vec<u8> = password.encode_utf16().flat_map(u16::to_le_bytes).collect();
        match self {
            Self::Standard(standard) => standard.key(&password_bytes),
            Self::Agile { password, locks, .. } => {
                let hash = password.hash?;
                let spun = hash.spin(&password.salt, &password_bytes, locks.spins);
                let unlock = |what: &[u8; 8], locked: &[u8]| {
                    let key = fitted(hash.of(&[&spun, what]), password.key_bytes);
                    let mut bytes = locked.to_vec();
                    chained(&key, &fitted(password.salt.clone(), BLOCK_BYTES), &mut bytes)?;
                    Some(bytes)
                };
                let input = unlock(&VERIFIER_INPUT, &locks.input)?;
                let value = unlock(&VERIFIER_VALUE, &locks.value)?;
                let expected = hash.of(&[input.get(..password.salt.len())?]);
                let is_right = !expected.is_empty() && value.get(..password.hash_bytes)? == expected;
                let mut key = is_right.then(|| unlock(&PACKAGE_KEY, &locks.key))??;
                key.truncate(password.key_bytes);
                Some(key)
            }
        }
    }

    /// Decrypts a package, whole blocks of it.
    fn package(&self, key: &[u8], bytes: &mut [u8]) -> Option<()> {
        match self {
            Self::Standard(_) => blocks(key, bytes),
            Self::Agile { package, .. } => {
                let hash = package.hash?;
                for (number, segment) in (0_u32..).zip(bytes.chunks_mut(SEGMENT_BYTES)) {
                    let start = fitted(hash.of(&[&package.salt, &number.to_le_bytes()]), BLOCK_BYTES);
                    chained(key, &start, segment)?;
                }
                Some(())
            }
        }
    }
}

impl Agile {
    fn of(attribute: &impl Fn(&str) -> String) -> Self {
        let number = |name: &str| attribute(name).parse::<usize>().unwrap_or_default();
        let hash = Hash::named(&attribute("hashAlgorithm"));
        let is_chained = attribute("cipherChaining") == "ChainingModeCBC";
        let is_aes = attribute("cipherAlgorithm") == "AES" && number("blockSize") == BLOCK_BYTES;
        let (key_bytes, salt) = (number("keyBits") / 8, base64(attribute("saltValue").as_bytes()));
        // Nobody is to make us hash or fill up more than these have.
        let fits = matches!(key_bytes, 16 | 24 | 32) && (1..=SALT_BYTES_MAX).contains(&salt.len());
        Self {
            hash,
            key_bytes,
            hash_bytes: number("hashSize"),
            salt,
            is_known: hash.is_some() && is_chained && is_aes && fits,
        }
    }
}

impl Standard {
    /// A header of the length that stands before it, and a verifier.
    fn of(info: &[u8]) -> Option<Self> {
        /// AES with keys of 128, 192 and 256 bits.
        const AES: [u32; 3] = [0x660e, 0x660f, 0x6610];
        let header = info.get(12..)?;
        let verifier = header.get(usize::try_from(u32_at(info, 8)).ok()?..)?;
        let key_bytes = usize::try_from(u32_at(header, 16) / 8).ok()?;
        let is_known = AES.contains(&u32_at(header, 8)) && u32_at(verifier, 0) == 16;
        is_known.then_some(Self {
            key_bytes,
            salt: verifier.get(4..20)?.to_vec(),
            verifier: verifier.get(20..36)?.to_vec(),
            verifier_hash: verifier.get(40..72)?.to_vec(),
        })
    }

    fn key(&self, password: &[u8]) -> Option<Vec<u8>> {
        let spun = Hash::Sha1.spin(&self.salt, password, STANDARD_SPINS);
        let hash = Hash::Sha1.of(&[&spun, &0_u32.to_le_bytes()]);
        let half = |fill: u8| {
            let mut pad = [fill; 64];
            pad.iter_mut().zip(&hash).for_each(|(pad, byte)| *pad ^= byte);
            Hash::Sha1.of(&[&pad])
        };
        let mut key = [half(0x36), half(0x5c)].concat();
        key.truncate(self.key_bytes);
        let (mut verifier, mut expected) = (self.verifier.clone(), self.verifier_hash.clone());
        blocks(&key, &mut verifier)?;
        blocks(&key, &mut expected)?;
        let found = Hash::Sha1.of(&[&verifier]);
        (expected.get(..found.len())? == found).then_some(key)
    }
}

#[derive(Debug, Clone, Copy)]
enum Hash {
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

impl Hash {
    fn named(name: &str) -> Option<Self> {
        match name {
            "SHA1" | "SHA-1" => Some(Self::Sha1),
            "SHA256" | "SHA-256" => Some(Self::Sha256),
            "SHA384" | "SHA-384" => Some(Self::Sha384),
            "SHA512" | "SHA-512" => Some(Self::Sha512),
            _ => None,
        }
    }

    fn of(self, parts: &[&[u8]]) -> Vec<u8> {
        fn hash<D: Digest>(parts: &[&[u8]]) -> Vec<u8> {
            let mut hash = D::new();
            parts.iter().for_each(|part| hash.update(part));
            hash.finalize().to_vec()
        }
        match self {
            Self::Sha1 => hash::<Sha1>(parts),
            Self::Sha256 => hash::<Sha256>(parts),
            Self::Sha384 => hash::<Sha384>(parts),
            Self::Sha512 => hash::<Sha512>(parts),
        }
    }

    /// A password hashed again and again, so that it is slow to try many.
    fn spin(self, salt: &[u8], password: &[u8], spins: u32) -> Vec<u8> {
        (0..spins).fold(self.of(&[salt, password]), |spun, spin| self.of(&[&spin.to_le_bytes(), &spun]))
    }
}

/// Cut, or filled up, to a length.
fn fitted(mut bytes: Vec<u8>, length: usize) -> Vec<u8> {
    bytes.resize(length, 0x36);
    bytes
}

/// Decrypts chained blocks; nothing where key or blocks have no such length.
fn chained(key: &[u8], start: &[u8], bytes: &mut [u8]) -> Option<()> {
    match key.len() {
        16 => {
            Decryptor::<Aes128>::new_from_slices(key, start).ok()?.decrypt_padded::<NoPadding>(bytes).ok()
        }
        24 => {
            Decryptor::<Aes192>::new_from_slices(key, start).ok()?.decrypt_padded::<NoPadding>(bytes).ok()
        }
        32 => {
            Decryptor::<Aes256>::new_from_slices(key, start).ok()?.decrypt_padded::<NoPadding>(bytes).ok()
        }
        _ => None,
    }
    .map(drop)
}

/// Decrypts blocks of which each stands by itself.
fn blocks(key: &[u8], bytes: &mut [u8]) -> Option<()> {
    fn decrypt<C: BlockCipherDecrypt + KeyInit>(key: &[u8], bytes: &mut [u8]) -> Option<()> {
        let cipher = C::new_from_slice(key).ok()?;
        let (blocks, rest) = Array::slice_as_chunks_mut(bytes);
        cipher.decrypt_blocks(blocks);
        rest.is_empty().then_some(())
    }
    match key.len() {
        16 => decrypt::<Aes128>(key, bytes),
        24 => decrypt::<Aes192>(key, bytes),
        32 => decrypt::<Aes256>(key, bytes),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extract::passwords::parse;

    const AGILE: &[u8] = include_bytes!("../../../tests/fixtures/formats/locked.docx");
    const STANDARD: &[u8] = include_bytes!("../../../tests/fixtures/formats/locked-standard.docx");

    fn opened(file: &[u8], passwords: &str, bytes_max: u64) -> Result<Vec<u8>, Failure> {
        let mut container = CompoundFile::open(std::io::Cursor::new(file)).unwrap();
        let (passwords, tries) = (parse(passwords).unwrap(), Tries::default());
        open(&mut container, "a.docx", &passwords, &tries, &Limits::default(), bytes_max)
    }

    #[test]
    fn the_password_that_fits_opens_both_kinds() {
        for file in [AGILE, STANDARD] {
            let package = opened(file, "wrong\ncopper meadow\nafter", 1 << 20).unwrap();
            assert!(package.starts_with(b"PK\x03\x04") && package.len() > 10_000);
            // Not longer than it was before: the directory is at its end.
            assert_eq!(
                package.windows(4).rposition(|mark| mark == b"PK\x05\x06"),
                Some(package.len() - 22)
            );
        }
    }

    #[test]
    fn none_that_fits_says_so() {
        for file in [AGILE, STANDARD] {
            let failure = opened(file, "", 1 << 20).unwrap_err();
            assert_eq!(failure.code, FailureCode::Encrypted);
            assert_eq!(failure.detail, "a.docx is an Office document with a password, and none is given");
            let failure = opened(file, "copper\nmeadow", 1 << 20).unwrap_err();
            assert_eq!(failure.code, FailureCode::Encrypted);
            assert_eq!(failure.detail, "a.docx needs a password that is not among those given (2)");
        }
        assert_eq!(opened(AGILE, "copper meadow", 999).unwrap_err().code, FailureCode::LimitFileSize);
    }

    #[test]
    fn what_would_be_hashed_for_ever_is_not_tried() {
        let info = |spins: &str| {
            let xml = format!(
                r#"<encryption><keyData saltSize="16" blockSize="16" keyBits="256" hashSize="64" cipherAlgorithm="AES"
                cipherChaining="ChainingModeCBC" hashAlgorithm="SHA512" saltValue="AAAA"/><p:encryptedKey spinCount="{spins}"
                saltSize="16" blockSize="16" keyBits="256" hashSize="64" cipherAlgorithm="AES" hashAlgorithm="SHA512"
                cipherChaining="ChainingModeCBC" saltValue="AAAA" encryptedVerifierHashInput="AAAA"
                encryptedVerifierHashValue="AAAA" encryptedKeyValue="AAAA"/></encryption>"#
            );
            [[4, 0, 4, 0, 0x40, 0, 0, 0].as_slice(), xml.as_bytes()].concat()
        };
        let scheme = |spins: &str| Scheme::of(&info(spins), &Limits::default());
        assert!(scheme("100000").is_some());
        assert!(scheme("10000000").is_none() && scheme("many").is_none());
        // What is no block, and a verifier that is cut, fit no password.
        assert!(scheme("1").unwrap().key("any").is_none());
        assert!(Scheme::of(b"", &Limits::default()).is_none());
    }
}
