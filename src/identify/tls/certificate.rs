//! The names in a server's certificate: who it says it is. RFC 5246 section 7.4.2, RFC 5280
//! sections 4.1 and 4.2.1.6.
//!
//! Up to TLS 1.2 the certificate comes in clear behind the server's hello. What is here is mostly
//! the beginning of a flight that goes on in the next packet, so that everything is read as far as
//! it is there. A name counts only when it is there as a whole.
//!
//! The lengths are the sender's word. None of them is trusted further than the bytes go, values
//! are not followed deeper than the structure of a certificate is, and each loop uses up bytes.

use crate::identify::bytes::{self, Reader};

/// The names in a certificate, as far as they were there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct LeafNames {
    /// The common name of the subject.
    pub(super) common_name: Option<String>,
    /// DNS names among the alternative names of the subject, in their order: the first few.
    pub(super) dns: Vec<String>,
}

impl LeafNames {
    /// DNS names kept.
    pub(super) const MAX_NAMES: usize = 4;
    /// The longest name kept in bytes: that of a domain (RFC 1035, 2.3.4).
    pub(super) const MAX_LENGTH: usize = 255;

    /// Reads the names from the first bytes that a TLS server sends: its hello and, behind it, its
    /// certificate. `None` where no name is to be seen.
    pub(super) fn read(payload: &[u8]) -> Option<Self> {
        let messages = handshake(payload);
        let leaf = first_certificate(&messages)?;
        let names = names(leaf).unwrap_or_default();
        (names != Self::default()).then_some(names)
    }
}

/// The handshake messages of the records at the beginning, without their record headers: messages
/// share records, and are split over them, as the sender likes.
fn handshake(payload: &[u8]) -> Vec<u8> {
    let mut messages = Vec::with_capacity(payload.len());
    let mut reader = Reader::new(payload);
    while let (Some([HANDSHAKE, 3, _]), Some(len)) = (reader.array(), reader.u16()) {
        messages.extend_from_slice(reader.take_up_to(len.into()));
    }
    messages
}

/// The first certificate of the server's list, the leaf, as far as it is there.
fn first_certificate(messages: &[u8]) -> Option<&[u8]> {
    let mut reader = Reader::new(messages);
    // A hello, and the status or whatever else an extension asks for, may come first.
    let list = loop {
        let (kind, size) = (reader.u8()?, reader.u24()? as usize);
        let body = reader.take_up_to(size);
        if kind == CERTIFICATE {
            break body;
        }
    };
    let mut list = Reader::new(list);
    list.skip(3)?;
    let size = list.u24()? as usize;
    Some(list.take_up_to(size))
}

/// The names of a certificate; `None` where it ends before the subject.
fn names(certificate: &[u8]) -> Option<LeafNames> {
    let signed = Reader::new(Reader::new(certificate).inside(SEQUENCE)?);
    let mut fields = Reader::new(signed.inside(SEQUENCE)?);
    if fields.rest().first() == Some(&VERSION) {
        fields.value()?;
    }
    // Serial number, signature, issuer, validity.
    for _ in 0..4 {
        fields.value().filter(|value| value.whole)?;
    }
    let subject = fields.value()?;
    let mut names = LeafNames { common_name: common_name(subject.bytes), ..LeafNames::default() };
    while let Some(field) = fields.value() {
        if field.tag == EXTENSIONS {
            names.dns = alternative_names(field.bytes).unwrap_or_default();
        }
    }
    Some(names)
}

/// The common name of a subject: the last one, which is the most specific.
fn common_name(subject: &[u8]) -> Option<String> {
    let mut found = None;
    let mut sets = Reader::new(subject);
    while let Some(set) = sets.value() {
        let mut attributes = Reader::new(set.bytes);
        while let Some(attribute) = attributes.value() {
            let mut parts = Reader::new(attribute.bytes);
            let (Some(kind), Some(value)) = (parts.value(), parts.value()) else { break };
            if kind.bytes == COMMON_NAME && value.whole {
                found = text(value.tag, value.bytes).or(found);
            }
        }
    }
    found
}

/// A text of a name, of whatever kind. Only names that can be printed are of use.
fn text(tag: u8, value: &[u8]) -> Option<String> {
    match tag {
        UTF8 | PRINTABLE | TELETEX | IA5 => printable(value),
        // Two bytes a character.
        BMP => {
            let (pairs, []) = value.as_chunks::<2>() else { return None };
            let low: Option<Vec<u8>> =
                pairs.iter().map(|&[high, low]| (high == 0).then_some(low)).collect();
            printable(&low?)
        }
        _ => None,
    }
}

/// The DNS names of the extension that lists alternative names.
fn alternative_names(extensions: &[u8]) -> Option<Vec<String>> {
    let mut list = Reader::new(Reader::new(extensions).inside(SEQUENCE)?);
    while let Some(extension) = list.value() {
        let mut parts = Reader::new(extension.bytes);
        if parts.value().is_none_or(|id| id.bytes != ALTERNATIVE_NAMES) {
            continue;
        }
        // Whether it is critical may stand before the value.
        let value = std::iter::from_fn(|| parts.value()).find(|part| part.tag == OCTETS)?;
        let mut names = Reader::new(Reader::new(value.bytes).inside(SEQUENCE)?);
        let all = std::iter::from_fn(|| names.value());
        let dns = all.filter(|name| name.tag == DNS_NAME && name.whole);
        return Some(
            dns.filter_map(|name| printable(name.bytes)).take(LeafNames::MAX_NAMES).collect(),
        );
    }
    None
}

fn printable(value: &[u8]) -> Option<String> {
    let fits = (1..=LeafNames::MAX_LENGTH).contains(&value.len());
    (fits && value.iter().all(|&byte| bytes::is_printable(byte))).then(|| bytes::text(value))?
}

/// A value of ASN.1 as far as it is there (X.690, 8.1).
#[derive(Debug, Clone, Copy)]
struct Value<'a> {
    tag: u8,
    bytes: &'a [u8],
    /// Nothing of it is missing.
    whole: bool,
}

impl<'a> Reader<'a> {
    /// The next value, or its beginning.
    fn value(&mut self) -> Option<Value<'a>> {
        let (tag, len) = self.der()?;
        let bytes = self.take_up_to(len);
        Some(Value { tag, bytes, whole: bytes.len() == len })
    }

    /// What the next value holds, if it has the tag.
    fn inside(mut self, tag: u8) -> Option<&'a [u8]> {
        self.value().filter(|value| value.tag == tag).map(|value| value.bytes)
    }
}

const HANDSHAKE: u8 = 22;
const CERTIFICATE: u8 = 11;
const SEQUENCE: u8 = 0x30;
const OCTETS: u8 = 0x04;
const UTF8: u8 = 0x0c;
const PRINTABLE: u8 = 0x13;
const TELETEX: u8 = 0x14;
const IA5: u8 = 0x16;
const BMP: u8 = 0x1e;
/// `[0]` and `[3]` of a certificate.
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;
/// `[2]` of a general name.
const DNS_NAME: u8 = 0x82;
/// 2.5.4.3 and 2.5.29.17.
const COMMON_NAME: &[u8] = &[0x55, 4, 3];
const ALTERNATIVE_NAMES: &[u8] = &[0x55, 0x1d, 0x11];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identify::craft::hex;

    /// Hello and certificate of a server, two records, as OpenSSL sends them: CN and first name
    /// `fe01.contoso.lab`, then `pool01.contoso.lab`, an address, and three names more.
    fn flight() -> Vec<u8> {
        hex("16030300410200003d0303293243cd84eec587eb08a8379f7969728a78c6ec4dee1c5723c4236b26d51a9d00
             c02c000015ff01000100000b000403000102002300000017000016030302570b00025300025000024d308202
             49308201efa00302010202145141bffaacb04ceefe5f6ba73bec6185abdf02c5300a06082a8648ce3d040302
             304231133011060a0992268993f22c64011916036c61623110300e060355040a0c07436f6e746f736f311930
             1706035504030c10666530312e636f6e746f736f2e6c6162301e170d3236313132363033333733305a170d33
             36313132333033333733305a304231133011060a0992268993f22c64011916036c61623110300e060355040a
             0c07436f6e746f736f3119301706035504030c10666530312e636f6e746f736f2e6c61623059301306072a86
             48ce3d020106082a8648ce3d03010703420004f513449647b3e7816e709b9eb00b1cc77381891060c388f498
             31c1212668a8f6a185e2a41398a5f5d23e1783cb16ad7896b12e5dc62275c11307ce7ef6a083b3a381c23081
             bf301d0603551d0e0416041400ce6d798e9a4a59622ecdc1a7f26a03b452bb09301f0603551d230418301680
             1400ce6d798e9a4a59622ecdc1a7f26a03b452bb09300f0603551d130101ff040530030101ff306c0603551d
             11046530638210666530312e636f6e746f736f2e6c61628212706f6f6c30312e636f6e746f736f2e6c616287
             040a00010b820f7369702e636f6e746f736f2e636f6d82106d6565742e636f6e746f736f2e636f6d82126469
             616c696e2e636f6e746f736f2e636f6d300a06082a8648ce3d0403020348003045022021a5d63c3dbe174257
             cd46a9e1314aa74780a19ae6a1de0825d94972129e40890221008ab53a03e5d51d7beab5c104f2e725f43d93
             ffaf796cb719e5487c756e45c523")
    }

    fn dns(names: &LeafNames) -> Vec<&str> {
        names.dns.iter().map(String::as_str).collect()
    }

    const NAMES: [&str; 4] =
        ["fe01.contoso.lab", "pool01.contoso.lab", "sip.contoso.com", "meet.contoso.com"];

    #[test]
    fn subject_and_alternative_names_are_read() {
        let names = LeafNames::read(&flight()).unwrap();
        assert_eq!(names.common_name.as_deref(), Some("fe01.contoso.lab"));
        assert_eq!(dns(&names), NAMES);
    }

    #[test]
    fn records_may_be_cut_anywhere_by_the_sender() {
        let messages = handshake(&flight());
        for size in [1, 7, 100, 255, 16_000] {
            let records: Vec<u8> = messages
                .chunks(size)
                .flat_map(|part| {
                    let [high, low] = (part.len() as u16).to_be_bytes();
                    [&[22, 3, 3, high, low], part].concat()
                })
                .collect();
            assert_eq!(LeafNames::read(&records), LeafNames::read(&flight()), "{size}");
        }
    }

    #[test]
    fn what_was_cut_off_is_not_guessed() {
        let flight = flight();
        let whole = LeafNames::read(&flight).unwrap();
        let mut seen = 0;
        for len in 0..flight.len() {
            let Some(names) = LeafNames::read(&flight[..len]) else {
                assert_eq!(seen, 0, "fewer names at {len}");
                continue;
            };
            assert_eq!(names.common_name, whole.common_name, "at {len}");
            assert!(whole.dns.starts_with(&names.dns), "{names:?} at {len}");
            assert!(names.dns.len() + 1 >= seen, "fewer names at {len}");
            seen = names.dns.len() + 1;
        }
        assert_eq!(seen, 5);
        assert_eq!(LeafNames::read(&flight[..170]), None, "ends within the issuer");
    }

    #[test]
    fn damage_of_any_kind_is_survived() {
        let flight = flight();
        for at in 0..flight.len() {
            for value in [0, 1, 0x1f, 0x30, 0x7f, 0x80, 0x84, 0x85, 0xa3, 0xff] {
                let mut damaged = flight.clone();
                damaged[at] = value;
                if let Some(names) = LeafNames::read(&damaged) {
                    assert!(names.dns.len() <= LeafNames::MAX_NAMES);
                    let all = names.dns.iter().chain(&names.common_name);
                    assert!(all.clone().all(|name| name.len() <= LeafNames::MAX_LENGTH));
                    assert!(all.flat_map(|name| name.bytes()).all(bytes::is_printable));
                }
            }
        }
        for other in [&b""[..], &[0x16; 600], &[0x30; 600], b"GET / HTTP/1.1\r\n\r\n"] {
            assert_eq!(LeafNames::read(other), None);
        }
    }

    #[test]
    fn names_that_cannot_be_printed_are_none() {
        assert_eq!(text(UTF8, b"fe01"), Some("fe01".into()));
        assert_eq!(text(BMP, &hex("0066 0065")), Some("fe".into()));
        assert_eq!(text(BMP, &hex("4e2d 0065")), None);
        assert_eq!(text(BMP, &hex("0066 00")), None);
        assert_eq!(text(UTF8, b"fe\x1b[31m"), None);
        assert_eq!(text(IA5, b""), None);
        assert_eq!(text(IA5, &[b'a'; 256]), None);
        assert_eq!(text(SEQUENCE, b"fe01"), None);
    }
}
