//! Network service header: which functions a packet is steered through (RFC 8300).

use super::layer::{Layer, Path};
use super::span::Span;
use super::{Stop, ether, mpls};

/// Reads the header and what it carries. Leads to IP.
pub(super) fn read<'a>(span: Span<'a>, path: &mut Path) -> Result<Span<'a>, Stop> {
    let base = span.u32(0).ok_or(Stop::LinkHeader)?;
    // Version 0, no operations message; the length counts words and includes the path header.
    let (version, operations, words) = (base >> 30, base >> 29 & 1, base >> 16 & 0x3F);
    if version != 0 || operations != 0 || words < 2 {
        return Err(Stop::NotIp(ether::NSH));
    }
    path.enter(Layer::Nsh)?;
    let body = span.after(4 * words as usize);
    // RFC 8300, 2.2 and the IANA registry "NSH Next Protocol".
    match base & 0xFF {
        1 | 2 => Ok(body),
        3 => ether::frame(body, path),
        4 => read(body, path),
        5 => mpls::read(body, path),
        _ => Err(Stop::NotIp(ether::NSH)),
    }
}
