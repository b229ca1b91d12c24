//! Whom a certificate is for.

use std::sync::Arc;

use x509_cert::Certificate;
use x509_cert::der::asn1::{PrintableStringRef, TeletexStringRef, Utf8StringRef};
use x509_cert::der::oid::db::rfc4519::COMMON_NAME;
use x509_cert::der::{Decode, asn1::AnyRef};

/// Most characters of a name: more than the 64 that RFC 5280 allows in a common name, and little in a log or a list.
const CHARS_MAX: usize = 128;
/// Of a certificate whose subject has no common name.
const NAMELESS: &str = "certificate without a name";

/// The common name of the subject of `certificate`, which is DER whose signature somebody else has verified.
pub(super) fn of(certificate: &[u8]) -> Arc<str> {
    let name = Certificate::from_der(certificate)
        .ok()
        .and_then(|certificate| {
            let parts = certificate.tbs_certificate.subject.0;
            let mut parts = parts.iter().flat_map(|part| part.0.iter());
            let name = parts.find(|part| part.oid == COMMON_NAME)?;
            text(AnyRef::from(&name.value))
        });
    name.filter(|name| !name.is_empty())
        .map_or_else(|| NAMELESS.into(), Arc::from)
}

fn text(value: AnyRef<'_>) -> Option<String> {
    let utf8 = || value.decode_as::<Utf8StringRef<'_>>().ok();
    let printable = || value.decode_as::<PrintableStringRef<'_>>().ok();
    let teletex = || value.decode_as::<TeletexStringRef<'_>>().ok();
    let text = (utf8().map(|text| text.as_str()))
        .or_else(|| Some(printable()?.as_str()))
        .or_else(|| Some(teletex()?.as_str()))?;
    // A name is shown in lists and logs, where it is one line.
    let legible = text.chars().filter(|c| !c.is_control());
    Some(legible.take(CHARS_MAX).collect())
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};

    use super::*;

    fn named(subject: &[(DnType, &str)]) -> Arc<str> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        for (kind, text) in subject {
            params.distinguished_name.push(kind.clone(), *text);
        }
        let key = KeyPair::generate().expect("a key");
        of(params.self_signed(&key).expect("a certificate").der())
    }

    #[test]
    fn the_common_name_is_the_name() {
        let unit = (DnType::OrganizationName, "ops");
        assert_eq!(&*named(&[unit.clone(), (DnType::CommonName, "ann")]), "ann");
        assert_eq!(&*named(&[unit]), NAMELESS);
        assert_eq!(&*named(&[(DnType::CommonName, "a\n\u{7f}b é")]), "ab é");
        let long = "x".repeat(1000);
        assert_eq!(named(&[(DnType::CommonName, &long)]).len(), CHARS_MAX);
        assert_eq!(&*of(b"no certificate"), NAMELESS);
    }
}
