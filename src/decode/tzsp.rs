//! TaZmen Sniffer Protocol: the mirror of small routers and access points. It has no standard; the
//! layout here is the one that senders agree on.

use super::layer::Layer;
use super::span::Span;
use super::tunnel::{Content, Tunnel};

/// Reads version, type, encapsulated protocol and tagged fields up to the end tag.
pub(super) fn read(span: Span<'_>) -> Option<Tunnel<'_>> {
    // Version 1; type 0 is a received packet, 1 one to be sent.
    let content = match *span.bytes.first_chunk::<4>()? {
        [1, 0 | 1, 0, 1] => Content::Ethernet,
        [1, 0 | 1, 0, 18] => Content::Wlan,
        _ => return None,
    };
    let mut rest = span.after(4);
    for _ in 0..MAX_FIELDS {
        match rest.u8(0)? {
            END => return Some(Tunnel::new(Layer::Tzsp, content, rest.after(1))),
            PADDING => rest = rest.after(1),
            _ => rest = rest.after(2 + usize::from(rest.u8(1)?)),
        }
    }
    None
}

/// Tag that ends the fields.
const END: u8 = 1;
/// Tag of one byte without length.
const PADDING: u8 = 0;
/// Fields walked per packet; senders write a handful.
const MAX_FIELDS: usize = 32;

#[cfg(test)]
mod tests {
    use super::super::testing::{hex, inner_frame, ipv4, layers_in_ip, stays_udp, udp};

    #[test]
    fn tagged_fields_are_passed_over() {
        for header in ["01000001 01", "01000001 00 0a01c4 0d0105 01", "01010001 01"] {
            let message = [hex(header), inner_frame()].concat();
            assert_eq!(layers_in_ip(&ipv4(17, &udp(37008, &message))), "tzsp", "{header}");
        }
    }

    #[test]
    fn fields_without_end_stay_outside() {
        stays_udp(37008, &[hex("01000001"), vec![0; 60]].concat());
        stays_udp(37008, &[hex("02000001 01"), inner_frame()].concat());
        stays_udp(37008, &[hex("01040001 01"), inner_frame()].concat());
    }
}
