//! ERSPAN: mirrors of Cisco switches in GRE (draft-foschiano-erspan-03).
//!
//! Type I has no header of its own and goes without sequence numbers; types II and III begin with a
//! version, 1 and 2.

use super::ether;
use super::layer::Layer;
use super::span::Span;
use super::tunnel::{Content, Tunnel};

/// Type I: the mirrored frame follows GRE at once.
pub(super) fn type_1(body: Span<'_>) -> Option<Tunnel<'_>> {
    ether::is_plausible(body).then(|| Tunnel::new(Layer::Erspan1, Content::Ethernet, body))
}

/// Types II and III.
pub(super) fn read(span: Span<'_>) -> Option<Tunnel<'_>> {
    let start = span.u32(0)?;
    let session = (start & SESSION) as u16;
    match start >> 28 {
        1 => Some(Tunnel::new(Layer::Erspan2 { session }, Content::Ethernet, span.after(8))),
        2 => type_3(session, span),
        _ => None,
    }
}

/// Type III: time and security group, then what kind of frame it is, and whether eight bytes of the
/// platform's own follow.
fn type_3(session: u16, span: Span<'_>) -> Option<Tunnel<'_>> {
    let kind = span.u16(10)?;
    let len = if kind & SUB_HEADER == 0 { 12 } else { 20 };
    let content = match kind >> 10 & 0x1F {
        0 => Content::Ethernet,
        2 => Content::Ip,
        _ => return None,
    };
    Some(Tunnel::new(Layer::Erspan3 { session }, content, span.after(len)))
}

/// The session in the first word; VLAN, class of service and truncation are above it.
const SESSION: u32 = 0x3FF;
/// Type III: the optional platform header is present.
const SUB_HEADER: u16 = 1;

#[cfg(test)]
mod tests {
    use super::super::testing::{hex, inner, inner_frame, ipv4, layers_in_ip, raw, raw_stop};
    use super::super::{Stop, Transport};

    fn in_gre(header: &str, body: &[u8]) -> String {
        layers_in_ip(&ipv4(47, &[hex(header), body.to_vec()].concat()))
    }

    #[test]
    fn three_types_show_the_mirrored_frame() {
        assert_eq!(in_gre("0000 88be", &inner_frame()), "erspan-1");
        // Type II: VLAN 100, session 7, index 5.
        assert_eq!(in_gre("1000 88be 00000001 1064 1007 00000005", &inner_frame()), "erspan-2:7");
        // Type III: session 1023, security group 0, frame type 0; with the platform's own header.
        let header = "1000 22eb 00000001 2064 03ff 0000000a 0000 0008";
        assert_eq!(in_gre(header, &inner_frame()), "erspan-3:1023");
        let header = "1000 22eb 00000001 2064 0007 0000000a 0000 0009 c000000000000000";
        assert_eq!(in_gre(header, &inner_frame()), "erspan-3:7");
        // Frame type 2: IP.
        let header = "1000 22eb 00000001 2064 0007 0000000a 0000 0800";
        assert_eq!(in_gre(header, &inner()), "erspan-3:7");
    }

    #[test]
    fn a_mirrored_spanning_tree_is_counted_as_such() {
        // The first frame of a capture by others (erspan-type-ii-3).
        let frame = "1000 88be 00001f47 1000 0003 00000000
            0180c2000000 001bd43d0881 0026 424203";
        assert_eq!(raw_stop(&ipv4(47, &hex(frame))), Stop::NotIp(0x26));
    }

    #[test]
    fn other_versions_and_frame_types_stay_gre() {
        for header in [
            "1000 88be 00000001 0064 1007 00000005",
            "1000 22eb 00000001 2064 0007 0000000a 0000 1c08",
        ] {
            let bytes = ipv4(47, &[hex(header), inner_frame()].concat());
            assert_eq!(raw(&bytes).transport, Transport::GRE, "{header}");
        }
    }
}
