//! Answers of SQL Server Browser: the TCP ports of instances. MC-SQLR 2.2.5 and 2.2.6.
//!
//! `05`, a length (2, low byte first), then text: `key;value;` pairs, an empty key between two
//! instances. A port is the answering host's own.

use super::{Signal, SignalKind};
use crate::flow::sample::Carrier;
use crate::identify::bytes::{self, Reader};

/// Hands on the port of each instance that has one.
pub(super) fn read(payload: &[u8], take: &mut dyn FnMut(Signal)) {
    let mut reader = Reader::new(payload);
    let size = match (reader.u8(), reader.u16_le()) {
        (Some(ANSWER), Some(size)) => usize::from(size),
        _ => return,
    };
    let text = reader.take_up_to(size);
    if !text.starts_with(b"ServerName;") {
        return;
    }
    // What stands behind the last semicolon is cut.
    let whole = text.iter().rposition(|&b| b == b';').and_then(|end| text.get(..end));
    let mut words = whole.unwrap_or_default().split(|&b| b == b';');
    let mut instance = None;
    while let Some(key) = words.next() {
        if key.is_empty() {
            instance = None;
            continue;
        }
        let value = words.next().unwrap_or_default();
        match key {
            b"InstanceName" => {
                instance = bytes::text(value.get(..MAX_INSTANCE).unwrap_or(value));
            }
            b"tcp" => {
                if let Some(port) = bytes::port(value) {
                    take(Signal {
                        kind: SignalKind::Ssrp,
                        address: None,
                        carrier: Carrier::Stream,
                        port,
                        service: instance.clone().unwrap_or_default().into(),
                        exchange: None,
                    });
                }
            }
            _ => {}
        }
    }
}

const ANSWER: u8 = 5;
/// MC-SQLR 2.2.3.
const MAX_INSTANCE: usize = 32;

#[cfg(test)]
mod tests {
    use super::super::all;
    use super::*;

    fn answer(text: &str) -> Vec<u8> {
        let mut bytes = vec![5];
        bytes.extend((text.len() as u16).to_le_bytes());
        bytes.extend(text.as_bytes());
        bytes
    }

    fn ports(bytes: &[u8]) -> Vec<(u16, String)> {
        let found = all(Carrier::Datagrams, bytes);
        found.into_iter().map(|signal| (signal.port, signal.service.into_owned())).collect()
    }

    const TWO: &str = "ServerName;BE01;InstanceName;RTC;IsClustered;No;Version;13.0.1601.5;tcp;50211;;\
                       ServerName;BE01;InstanceName;LYNCLOCAL;IsClustered;No;np;\\\\BE01\\pipe;;\
                       ServerName;BE01;InstanceName;MON;tcp;50312;;";

    #[test]
    fn each_instance_with_a_port_is_announced() {
        let two = [(50_211, "RTC".to_owned()), (50_312, "MON".to_owned())];
        assert_eq!(ports(&answer(TWO)), two);
        let signal = all(Carrier::Datagrams, &answer(TWO)).remove(0);
        assert_eq!((signal.kind, signal.address), (SignalKind::Ssrp, None));
        assert!(signal.is_stream());
    }

    #[test]
    fn a_cut_answer_gives_what_is_there() {
        let whole = answer(TWO);
        for len in 0..whole.len() {
            let found = ports(&whole[..len]);
            assert!(found.iter().all(|(port, _)| [50_211, 50_312].contains(port)), "{len}");
        }
        assert_eq!(ports(&whole[..100]).len(), 1);
    }

    #[test]
    fn what_is_no_port_is_none() {
        for text in ["ServerName;A;tcp;0;;", "ServerName;A;tcp;70000;;", "ServerName;A;tcp;+5;;"] {
            assert_eq!(ports(&answer(text)), [], "{text}");
        }
        assert_eq!(ports(&answer("Server;A;tcp;1433;;")), []);
        assert_eq!(all(Carrier::Stream, &answer(TWO)), []);
    }
}
