//! MPLS label stacks (RFC 3032), and what is below the last label.
//!
//! Labels do not say what they carry; routers know from signalling. So the content is told by its
//! first bits, as RFC 4928 has equipment do: 4 and 6 are IP, 0 is the control word of a pseudowire
//! (RFC 4385) with Ethernet behind it (RFC 4448), 1 is an associated channel (RFC 5586) for the
//! operators' own messages. A pseudowire without a control word begins with a hardware address,
//! which may look like anything; it counts where a known EtherType stands in its place, unless the
//! length of an IP header fits to the byte.

use super::Stop;
use super::ether;
use super::ip;
use super::layer::{Layer, Path};
use super::span::Span;

/// Reads a label stack and what it carries. Leads to IP.
pub(super) fn read<'a>(span: Span<'a>, path: &mut Path) -> Result<Span<'a>, Stop> {
    let (label, body) = last_label(span)?;
    path.enter(Layer::Mpls { label })?;
    if label == ASSOCIATED_CHANNEL {
        return Err(Stop::NotIp(ether::MPLS));
    }
    match body.u8(0).map(|byte| byte >> 4) {
        Some(4 | 6) if ip::fills(body) => Ok(body),
        Some(4 | 6) if ip::is_consistent(body) && !ether::is_plausible(body) => Ok(body),
        Some(0) if ether::is_plausible(body.after(CONTROL_WORD)) => {
            ether::frame(body.after(CONTROL_WORD), path)
        }
        Some(_) if ether::is_plausible(body) => ether::frame(body, path),
        Some(_) => Err(Stop::NotIp(ether::MPLS)),
        None => Err(Stop::LinkHeader),
    }
}

/// What is below a label stack, if the stack ends.
pub(super) fn below(span: Span<'_>) -> Option<Span<'_>> {
    last_label(span).ok().map(|(_, body)| body)
}

/// The label at the bottom of the stack, and what is below it.
fn last_label(mut span: Span<'_>) -> Result<(u32, Span<'_>), Stop> {
    for _ in 0..MAX_LABELS {
        let entry = span.u32(0).ok_or(Stop::LinkHeader)?;
        span = span.after(4);
        if entry & BOTTOM != 0 {
            return Ok((entry >> 12, span));
        }
    }
    Err(Stop::TooDeep)
}

/// The bit that marks the last label.
const BOTTOM: u32 = 0x100;
/// The label that only says that an associated channel follows (RFC 5586, 4.1).
const ASSOCIATED_CHANNEL: u32 = 13;
/// Bytes of a pseudowire's control word.
const CONTROL_WORD: usize = 4;
/// Labels walked per stack; networks use one to five.
const MAX_LABELS: usize = 16;

#[cfg(test)]
mod tests {
    use super::super::testing::{
        UDP, frame, hex, inner, inner_frame, ipv6, layers_around_inner, packet, stop,
    };
    use super::*;
    use crate::input::LinkType;

    fn on_wire(stack: &str, body: &[u8]) -> Vec<u8> {
        [hex(stack), body.to_vec()].concat()
    }

    #[track_caller]
    fn layers(stack: &str, body: &[u8]) -> String {
        layers_around_inner(LinkType::MPLS, &on_wire(stack, body))
    }

    #[test]
    fn the_innermost_label_is_told() {
        // Label 29, bottom of the stack, time to live 255: as in a capture by others
        // (mixed-vlan-mpls); then two levels and an explicit null (RFC 3032, 2.1).
        assert_eq!(layers("0001d1ff", &inner()), "mpls:29");
        assert_eq!(layers("0001d0ff 000101ff", &inner()), "mpls:16");
        assert_eq!(layers("0001d0ff 000001ff", &inner()), "mpls:0");
        assert_eq!(layers("0001d1ff", &ipv6(17, &hex(UDP))), "mpls:29");
        let ethernet = [hex("020000000002 020000000001 8847 0001d1ff"), inner()].concat();
        assert_eq!(layers_around_inner(LinkType::ETHERNET, &ethernet), "mpls:29");
    }

    #[test]
    fn pseudowires_with_and_without_control_word() {
        assert_eq!(layers("000121ff 00000000", &inner_frame()), "mpls:18");
        assert_eq!(layers("000121ff 00000007", &inner_frame()), "mpls:18");
        assert_eq!(layers("000121ff", &inner_frame()), "mpls:18");
        // Hardware addresses that look like IP.
        for first in [0x40, 0x60] {
            let mut odd = inner_frame();
            odd[0] = first;
            assert_eq!(layers("000121ff", &odd), "mpls:18");
        }
        let mut tagged = inner_frame();
        tagged.splice(12..12, hex("8100 0014"));
        let bytes = on_wire("000121ff 00000000", &tagged);
        let frame = frame(LinkType::MPLS, &bytes);
        assert_eq!(packet(&frame).vlans.as_slice(), [20]);
    }

    #[test]
    fn other_content_is_counted_as_labels() {
        for stack in ["000121ff 10000021 0000", "0000d1ff 10000021", "000121ff 80e08f33 12345678"] {
            let bytes = on_wire(stack, &[0; 40]);
            assert_eq!(stop(&frame(LinkType::MPLS, &bytes)), Stop::NotIp(0x8847), "{stack}");
        }
        let endless = hex("000120ff").repeat(17);
        assert_eq!(stop(&frame(LinkType::MPLS, &endless)), Stop::TooDeep);
    }
}
