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
    /// What became of it for each link type, in the order they were met. Captures have one or two.
    programs: Vec<(LinkType, Program)>,
}

/// An expression for one link type.
enum Program {
    Compiled(BpfProgram),
    /// It can hold for no frame of the link type.
    Nothing,
    /// libpcap cannot tell on this link type.
    Unknown,
}

/// What a filter says of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passage {
    /// The frame is wanted.
    Wanted,
    /// It is not.
    Unwanted,
    /// The filter cannot tell on its link type.
    Unknown,
}

impl Filter {
    /// A filter of which nothing is compiled yet; see [`check`].
    pub fn new(expression: &str) -> Self {
        Self { expression: expression.to_owned(), programs: Vec::new() }
    }

    /// Whether the frame passes; compiles on the first frame of each link type. One link type that
    /// cannot be filtered says nothing against the frames of others.
    pub fn passes(&mut self, frame: &Frame<'_>) -> Passage {
        let known = self.programs.iter().position(|(link_type, _)| *link_type == frame.link_type);
        let index = known.unwrap_or_else(|| self.learn(frame.link_type));
        match self.programs.get(index) {
            Some((_, Program::Compiled(program))) if program.filter(frame.data) => Passage::Wanted,
            Some((_, Program::Compiled(_) | Program::Nothing)) => Passage::Unwanted,
            Some((_, Program::Unknown)) | None => Passage::Unknown,
        }
    }

    #[cold]
    fn learn(&mut self, link_type: LinkType) -> usize {
        let program = match program(&self.expression, link_type) {
            Ok(program) => Program::Compiled(program),
            Err(error) if rejects_all(&error) => Program::Nothing,
            Err(_) => Program::Unknown,
        };
        self.programs.push((link_type, program));
        self.programs.len() - 1
    }
}

/// Whether an expression can be used at all: on the link type of the first capture, or on Ethernet. So
/// a mistake is found before any reading.
pub fn check(expression: &str, link_type: LinkType) -> Result<()> {
    let on = |link_type| match program(expression, link_type) {
        Err(error) if !rejects_all(&error) => Err(error),
        _ => Ok(()),
    };
    on(link_type).or_else(|error| on(LinkType::ETHERNET).map_err(|_| error))
}

/// libpcap does not compile what can hold for no frame.
fn rejects_all(error: &Error) -> bool {
    matches!(error, Error::Filter { why, .. } if why.contains("rejects all"))
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

    fn passage(filter: &mut Filter, link_type: LinkType, data: &[u8]) -> Passage {
        let frame = Frame { number: 1, time: Timestamp(0), link_type, data, original_len: 1_500 };
        filter.passes(&frame)
    }

    fn passes(filter: &mut Filter, link_type: LinkType, data: &[u8]) -> bool {
        match passage(filter, link_type, data) {
            Passage::Wanted => true,
            Passage::Unwanted => false,
            Passage::Unknown => panic!("no filter on {link_type:?}"),
        }
    }

    #[test]
    fn takes_what_matches() {
        let mut filter = Filter::new("udp port 5061");
        assert!(passes(&mut filter, LinkType::ETHERNET, &udp()));
        let mut filter = Filter::new("tcp");
        assert!(!passes(&mut filter, LinkType::ETHERNET, &udp()));
    }

    #[test]
    fn each_link_type_gets_its_program() {
        let mut filter = Filter::new("src host 10.0.0.1");
        let frame = udp();
        assert!(passes(&mut filter, LinkType::RAW, &frame[14..]));
        assert!(!passes(&mut filter, LinkType::ETHERNET, &frame[14..]));
        assert!(passes(&mut filter, LinkType::RAW_OPENBSD, &frame[14..]));
        assert!(passes(&mut filter, LinkType::ETHERNET, &frame));
        assert_eq!(filter.programs.len(), 3);
    }

    #[test]
    fn what_was_not_captured_does_not_match() {
        let mut filter = Filter::new("udp port 5061");
        assert!(!passes(&mut filter, LinkType::ETHERNET, &udp()[..36]));
        assert!(!passes(&mut filter, LinkType::ETHERNET, &[]));
    }

    #[test]
    fn errors_carry_libpcaps_words() {
        let error = check("udp prot 5", LinkType::ETHERNET).unwrap_err().to_string();
        assert!(error.contains("'udp prot 5'") && error.contains("EN10MB"), "{error}");
        assert!(error.contains("syntax error"), "{error}");
        let error = check("wlan type mgt", LinkType::RAW).unwrap_err().to_string();
        assert!(error.contains("802.11"), "{error}");
    }

    #[test]
    fn an_odd_link_type_says_nothing_against_the_others() {
        check("udp port 5061", LinkType(149)).unwrap();
        let mut filter = Filter::new("udp port 5061");
        assert_eq!(passage(&mut filter, LinkType(65_000), &udp()), Passage::Unknown);
        assert!(passes(&mut filter, LinkType::ETHERNET, &udp()));
        // What can hold for no frame lets none pass.
        let mut filter = Filter::new("host 10.0.0.1");
        check("host 10.0.0.1", LinkType::IPV6).unwrap();
        assert_eq!(passage(&mut filter, LinkType::IPV6, &udp()), Passage::Unwanted);
    }

    #[test]
    fn a_filter_can_move_to_a_worker() {
        fn is_send<T: Send>() {}
        is_send::<Filter>();
    }
}
