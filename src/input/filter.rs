//! Leaves out the frames a BPF expression does not want, also offline.
//!
//! The language is libpcap's own (pcap-filter(7)), compiled and run by it. What that means:
//!
//! - Only the first fragment of a datagram has ports, so a filter by port hides the others.
//! - Frames cut by the snaplen are judged by what was captured: a look behind the end does not
//!   match, and `len`, `less` and `greater` see the captured length.
//! - Tags and tunnels are not looked through unless the expression says `vlan`, `geneve` and so on.
//! - A host given by name is looked up by libpcap; addresses keep the tool off the network.

use super::{Frame, LinkType, dlt};
use crate::error::{Error, Result};
use pcap::{BpfProgram, Capture};
use std::fmt;

/// A BPF expression, compiled by libpcap for each link type it meets.
pub struct Filter {
    expression: String,
    /// One program per link type, in the order they were met. Captures have one or two.
    programs: Vec<(LinkType, BpfProgram)>,
}

impl Filter {
    /// Compiles for one link type at once, so that a bad expression is found before any reading.
    pub fn compile(expression: &str, link_type: LinkType) -> Result<Self> {
        let program = program(expression, link_type)?;
        Ok(Self { expression: expression.to_owned(), programs: vec![(link_type, program)] })
    }

    /// Whether the frame passes; compiles on the first frame of a further link type.
    pub fn passes(&mut self, frame: &Frame<'_>) -> Result<bool> {
        let known = self.programs.iter().position(|(link_type, _)| *link_type == frame.link_type);
        let index = match known {
            Some(index) => index,
            None => self.learn(frame.link_type)?,
        };
        Ok(self.programs.get(index).is_some_and(|(_, program)| program.filter(frame.data)))
    }

    #[cold]
    fn learn(&mut self, link_type: LinkType) -> Result<usize> {
        self.programs.push((link_type, program(&self.expression, link_type)?));
        Ok(self.programs.len() - 1)
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let link_types: Vec<_> = self.programs.iter().map(|(link_type, _)| link_type).collect();
        f.debug_struct("Filter")
            .field("expression", &self.expression)
            .field("link_types", &link_types)
            .finish()
    }
}

fn program(expression: &str, link_type: LinkType) -> Result<BpfProgram> {
    let link = dlt::to_libpcap(link_type);
    Capture::dead(link).and_then(|capture| capture.compile(expression, true)).map_err(|error| {
        Error::Filter {
            expression: expression.to_owned(),
            link_type: link.get_name().unwrap_or_else(|_| link_type.0.to_string()),
            why: message(error),
        }
    })
}

/// What libpcap said, without the crate's preface.
pub(super) fn message(error: pcap::Error) -> String {
    match error {
        pcap::Error::PcapError(text) => text,
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Timestamp;
    use super::*;

    /// An Ethernet frame of UDP from port 1000 to port 5061, without payload.
    fn udp() -> Vec<u8> {
        let mut bytes = vec![2; 12];
        bytes.extend([8, 0, 0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        bytes.extend([3, 232, 19, 197, 0, 8, 0, 0]);
        bytes
    }

    fn passes(filter: &mut Filter, link_type: LinkType, data: &[u8]) -> bool {
        let frame = Frame { number: 1, time: Timestamp(0), link_type, data, original_len: 1_500 };
        filter.passes(&frame).unwrap()
    }

    #[test]
    fn takes_what_matches() {
        let mut filter = Filter::compile("udp port 5061", LinkType::ETHERNET).unwrap();
        assert!(passes(&mut filter, LinkType::ETHERNET, &udp()));
        let mut filter = Filter::compile("tcp", LinkType::ETHERNET).unwrap();
        assert!(!passes(&mut filter, LinkType::ETHERNET, &udp()));
    }

    #[test]
    fn each_link_type_gets_its_program() {
        let mut filter = Filter::compile("src host 10.0.0.1", LinkType::ETHERNET).unwrap();
        let frame = udp();
        assert!(passes(&mut filter, LinkType::RAW, &frame[14..]));
        assert!(!passes(&mut filter, LinkType::ETHERNET, &frame[14..]));
        assert!(passes(&mut filter, LinkType::RAW_OPENBSD, &frame[14..]));
        assert!(passes(&mut filter, LinkType::ETHERNET, &frame));
        assert_eq!(filter.programs.len(), 3);
    }

    #[test]
    fn what_was_not_captured_does_not_match() {
        let mut filter = Filter::compile("udp port 5061", LinkType::ETHERNET).unwrap();
        assert!(!passes(&mut filter, LinkType::ETHERNET, &udp()[..36]));
        assert!(!passes(&mut filter, LinkType::ETHERNET, &[]));
    }

    #[test]
    fn errors_carry_libpcaps_words() {
        let error = Filter::compile("udp prot 5", LinkType::ETHERNET).unwrap_err().to_string();
        assert!(error.contains("'udp prot 5'") && error.contains("EN10MB"), "{error}");
        assert!(error.contains("syntax error"), "{error}");
        let error = Filter::compile("wlan type mgt", LinkType::RAW).unwrap_err().to_string();
        assert!(error.contains("802.11"), "{error}");
        let mut filter = Filter::compile("tcp", LinkType::ETHERNET).unwrap();
        let frame = Frame {
            number: 1,
            time: Timestamp(0),
            link_type: LinkType(65_000),
            data: &[],
            original_len: 0,
        };
        let error = filter.passes(&frame).unwrap_err().to_string();
        assert!(error.contains("link type 65000"), "{error}");
    }

    #[test]
    fn a_filter_can_move_to_a_worker() {
        fn is_send<T: Send>() {}
        is_send::<Filter>();
    }
}
