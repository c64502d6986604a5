//! The few facts that we need of a certificate.

use std::time::Duration;

use x509_cert::Certificate;
use x509_cert::der::asn1::ObjectIdentifier;
use x509_cert::der::{Decode, Tag, Tagged};

/// `id-at-commonName`.
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");

/// What a certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The last common name of its subject.
    pub common_name: Option<String>,
    /// It is valid from here, in milliseconds since the Unix epoch.
    pub from_ms: u64,
    /// It is valid until here.
    pub until_ms: u64,
    /// The public key's own bytes.
    pub public_key: Vec<u8>,
}

/// Reads a certificate in DER; none: it is none.
pub fn read(der: &[u8]) -> Option<Facts> {
    let certificate = Certificate::from_der(der).ok()?.tbs_certificate;
    let attributes = certificate.subject.0.iter().flat_map(|part| part.0.iter());
    let names = attributes.filter(|attribute| attribute.oid == COMMON_NAME);
    let mut texts = names.filter_map(|attribute| match attribute.value.tag() {
        Tag::Utf8String | Tag::PrintableString | Tag::Ia5String => {
            std::str::from_utf8(attribute.value.value()).ok().map(str::to_owned)
        }
        _ => None,
    });
    let key = certificate.subject_public_key_info.subject_public_key.raw_bytes();
    Some(Facts {
        common_name: texts.next_back(),
        from_ms: milliseconds(certificate.validity.not_before.to_unix_duration()),
        until_ms: milliseconds(certificate.validity.not_after.to_unix_duration()),
        public_key: key.to_vec(),
    })
}

fn milliseconds(since_epoch: Duration) -> u64 {
    u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};

    use super::*;

    #[test]
    fn the_last_common_name_counts() {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "o");
        params.distinguished_name.push(DnType::CommonName, "front-proxy-client");
        params.not_before = rcgen::date_time_ymd(1970, 1, 2);
        let facts = read(params.self_signed(&key).unwrap().der()).unwrap();
        assert_eq!(facts.common_name.as_deref(), Some("front-proxy-client"));
        assert_eq!(facts.from_ms, crate::certificates::DAY_MS);
        assert_eq!(facts.public_key, key.public_key_raw());
        assert_eq!(read(b"no certificate"), None);
    }
}
