//! The hellos of client and server, as far as they were kept. RFC 8446 sections 4.1 and 4.2,
//! RFC 6066 section 3 (server name), RFC 7301 (protocols), RFC 8701 (GREASE).

use crate::identify::bytes::{self, Reader};
use crate::identify::sides::Seen;

/// What a hello says, as far as it was kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Hello<'v> {
    legacy: u16,
    /// The newest version of the extension that lists them.
    newest: Option<u16>,
    /// Every extension was read, so that what was not found is not there.
    complete: bool,
    /// The server name asked for.
    pub(super) sni: Option<&'v [u8]>,
    /// The extension with the protocols offered.
    alpn: Option<&'v [u8]>,
}

impl Hello<'_> {
    /// The version offered or chosen; `None` where it may stand in what was cut.
    pub(super) fn version(&self) -> Option<u16> {
        let settled = self.complete || self.legacy < 0x0303;
        self.newest.or(settled.then_some(self.legacy))
    }

    /// The protocols offered, joined by commas.
    pub(super) fn protocols(&self) -> Option<String> {
        alpn(self.alpn?)
    }
}

/// Reads a client's hello of `size` bytes, of which `body` was kept (RFC 8446, 4.1.2).
pub(super) fn client(body: &[u8], size: usize) -> Seen<Hello<'_>> {
    let mut reader = Reader::new(body);
    let mut hello = match hello_version(&mut reader) {
        Seen::Fits(hello) => hello,
        other => return other,
    };
    match client_lists(&mut reader) {
        Some(true) => {}
        Some(false) => return Seen::Foreign,
        None => return Seen::Fits(hello),
    }
    let left = size - (body.len() - reader.remaining());
    hello.complete = extensions(&mut reader, left, |id, data| match id {
        SERVER_NAME => hello.sni = server_name(data),
        ALPN => hello.alpn = Some(data),
        SUPPORTED_VERSIONS => {
            hello.newest = Reader::new(data).block8().and_then(newest);
        }
        _ => {}
    });
    Seen::Fits(hello)
}

/// Reads a server's hello of `size` bytes, of which `body` was kept (RFC 8446, 4.1.3).
pub(super) fn server(body: &[u8], size: usize) -> Seen<Hello<'_>> {
    let mut reader = Reader::new(body);
    let mut hello = match hello_version(&mut reader) {
        Seen::Fits(hello) => hello,
        other => return other,
    };
    match server_choices(&mut reader) {
        Some(true) => {}
        Some(false) => return Seen::Foreign,
        None => return Seen::Fits(hello),
    }
    let left = size - (body.len() - reader.remaining());
    hello.complete = extensions(&mut reader, left, |id, data| {
        if id == SUPPORTED_VERSIONS {
            hello.newest = newest(data);
        }
    });
    Seen::Fits(hello)
}

fn hello_version<'v>(reader: &mut Reader<'v>) -> Seen<Hello<'v>> {
    match reader.u16() {
        None => Seen::Short,
        Some(legacy) if is_version(legacy) => Seen::Fits(Hello { legacy, ..Hello::default() }),
        Some(_) => Seen::Foreign,
    }
}

/// Moves over random, session, suites and compression; whether they make sense, or `None` where
/// they are cut.
fn client_lists(reader: &mut Reader<'_>) -> Option<bool> {
    reader.skip(32)?;
    let session = reader.u8()?;
    if session > 32 {
        return Some(false);
    }
    reader.skip(session.into())?;
    let suites = reader.u16()?;
    if suites < 2 || suites % 2 != 0 {
        return Some(false);
    }
    reader.skip(suites.into())?;
    let compression = reader.u8()?;
    reader.skip(compression.into())?;
    Some(compression > 0)
}

fn server_choices(reader: &mut Reader<'_>) -> Option<bool> {
    reader.skip(32)?;
    let session = reader.u8()?;
    if session > 32 {
        return Some(false);
    }
    reader.skip(session.into())?;
    reader.skip(2)?;
    // Null or DEFLATE (RFC 3749); nothing else was ever assigned.
    Some(reader.u8()? <= 1)
}

/// Shows each extension that is wholly there to `take`; whether that was all of them. `left` is
/// what the hello still holds by its length.
fn extensions<'v>(
    reader: &mut Reader<'v>,
    left: usize,
    mut take: impl FnMut(u16, &'v [u8]),
) -> bool {
    if left < 2 {
        return true;
    }
    let Some(total) = reader.u16() else {
        return false;
    };
    let mut list = Reader::new(reader.take_up_to(total.into()));
    let whole = list.remaining() == usize::from(total);
    while let Some(id) = list.u16() {
        let Some(data) = list.block16() else {
            return false;
        };
        take(id, data);
    }
    whole
}

fn server_name(data: &[u8]) -> Option<&[u8]> {
    let mut list = Reader::new(data);
    list.skip(2)?;
    // Type 0 is a host name; no other was ever defined (RFC 6066, 3).
    (list.u8()? == 0).then(|| list.block16())?
}

fn alpn(data: &[u8]) -> Option<String> {
    let mut list = Reader::new(data);
    list.skip(2)?;
    let names: Vec<String> = std::iter::from_fn(|| list.block8())
        .filter(|name| !is_grease(name))
        .filter_map(bytes::text)
        .collect();
    (!names.is_empty()).then(|| names.join(","))
}

/// Names that clients make up so that servers learn to ignore the unknown (RFC 8701).
fn is_grease(name: &[u8]) -> bool {
    matches!(name, [a, b] if a == b && a & 0x0f == 0x0a)
}

/// The newest version of a list; drafts of 1.3 count as it.
fn newest(data: &[u8]) -> Option<u16> {
    let mut reader = Reader::new(data);
    std::iter::from_fn(|| reader.u16())
        .filter(|&version| is_version(version) || is_draft(version))
        .map(|version| if is_draft(version) { 0x0304 } else { version })
        .max()
}

/// Whether a version is one of SSL 3.0 to TLS 1.3.
pub(super) fn is_version(version: u16) -> bool {
    (0x0300..=0x0304).contains(&version)
}

/// Drafts of TLS 1.3 counted in their own range.
fn is_draft(version: u16) -> bool {
    version >> 8 == 0x7f
}

/// The stable name used in facts.
pub(super) fn name(version: u16) -> &'static str {
    match version {
        0x0300 => "ssl3",
        0x0301 => "1.0",
        0x0302 => "1.1",
        0x0303 => "1.2",
        _ => "1.3",
    }
}

const SERVER_NAME: u16 = 0;
const ALPN: u16 = 16;
const SUPPORTED_VERSIONS: u16 = 43;
