//! The first messages of each protocol, in the form in which real programs send them.

use super::random::Random;

/// A message with a form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Message {
    ClientHello,
    ServerHello,
    ClientFinished,
    ServerFinished,
    HttpGet,
    HttpOk,
    SipOptions,
    SipOk,
    DnsQuery,
    DnsAnswer,
    StunRequest,
    StunResponse,
    IkeInit,
    IkeAnswer,
}

impl Message {
    /// Appends the message. `flow` names the conversation, so that an answer shows the id of its
    /// question.
    pub(crate) fn write(self, out: &mut Vec<u8>, flow: u64, random: &mut Random) {
        match self {
            Self::ClientHello => client_hello(out, random),
            Self::ServerHello => server_hello(out, random),
            Self::ClientFinished => finished(out, &[(22, 70), (20, 1), (22, 40)], random),
            Self::ServerFinished => finished(out, &[(20, 1), (22, 40)], random),
            Self::HttpGet => text(
                out,
                format_args!(
                    "GET /autodiscover/{flow} HTTP/1.1\r\nHost: web.example.test\r\nAccept: */*\r\n\r\n"
                ),
            ),
            Self::HttpOk => text(
                out,
                format_args!(
                    "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: 1048576\r\n\r\n"
                ),
            ),
            Self::SipOptions => {
                sip(out, flow, "OPTIONS sip:med.example.test:5068;transport=tcp SIP/2.0");
            }
            Self::SipOk => sip(out, flow, "SIP/2.0 200 OK"),
            Self::DnsQuery => dns(out, flow, false),
            Self::DnsAnswer => dns(out, flow, true),
            Self::StunRequest => stun(out, flow, false),
            Self::StunResponse => stun(out, flow, true),
            Self::IkeInit => ike(out, flow, 0, 0x08, random),
            Self::IkeAnswer => ike(out, flow, !flow | 1, 0x20, random),
        }
    }
}

fn text(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.extend_from_slice(text.to_string().as_bytes());
}

/// TLS 1.2 (RFC 5246, 7.4.1.2) with a server name (RFC 6066, 3).
fn client_hello(out: &mut Vec<u8>, random: &mut Random) {
    let name = b"sip.example.test";
    let mut body = vec![3, 3];
    random.fill(&mut body, 32);
    body.push(32);
    random.fill(&mut body, 32);
    // Suites, in the order in which Windows offers them.
    body.extend_from_slice(&[
        0, 12, 0xc0, 0x30, 0xc0, 0x2f, 0xc0, 0x28, 0xc0, 0x27, 0, 0x9d, 0, 0x3d, 1, 0,
    ]);
    let mut extensions = vec![0, 0];
    block(&mut extensions, |out| {
        block(out, |out| {
            out.push(0);
            block(out, |out| out.extend_from_slice(name));
        });
    });
    // Groups, point formats, signature algorithms (RFC 8422, 5.1; RFC 5246, 7.4.1.4.1).
    extensions.extend_from_slice(&[0, 10, 0, 6, 0, 4, 0, 29, 0, 23, 0, 11, 0, 2, 1, 0]);
    extensions.extend_from_slice(&[0, 13, 0, 8, 0, 6, 4, 1, 4, 3, 2, 1]);
    block(&mut body, |out| out.extend_from_slice(&extensions));
    record(out, 22, |out| handshake(out, 1, &body));
}

/// Hello, a chain of certificates that nothing reads, and the end of the flight.
fn server_hello(out: &mut Vec<u8>, random: &mut Random) {
    let mut hello = vec![3, 3];
    random.fill(&mut hello, 32);
    hello.extend_from_slice(&[0, 0xc0, 0x30, 0]);
    let mut chain = Vec::new();
    random.fill(&mut chain, 1100);
    record(out, 22, |out| {
        handshake(out, 2, &hello);
        handshake(out, 11, &chain);
        handshake(out, 14, &[]);
    });
}

/// The encrypted end of a handshake: records of the given types and lengths.
fn finished(out: &mut Vec<u8>, records: &[(u8, usize)], random: &mut Random) {
    for (kind, len) in records {
        record(out, *kind, |out| match kind {
            20 => out.push(1),
            _ => random.fill(out, *len),
        });
    }
}

/// Appends a TLS record.
pub(crate) fn record(out: &mut Vec<u8>, kind: u8, body: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(&[kind, 3, 3]);
    block(out, body);
}

fn handshake(out: &mut Vec<u8>, kind: u8, body: &[u8]) {
    out.push(kind);
    out.extend_from_slice(&(body.len() as u32).to_be_bytes()[1..]);
    out.extend_from_slice(body);
}

/// Appends a length of two bytes and what it counts.
fn block(out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.extend_from_slice(&[0, 0]);
    body(out);
    let len = (out.len() - at - 2) as u16;
    out[at..at + 2].copy_from_slice(&len.to_be_bytes());
}

fn sip(out: &mut Vec<u8>, flow: u64, first: &str) {
    text(
        out,
        format_args!(
            "{first}\r\nVia: SIP/2.0/TCP gw.example.test:5068;branch=z9hG4bK{flow}\r\nFrom: <sip:gw.example.test>;tag={flow}\r\nTo: <sip:med.example.test>\r\nCall-ID: {flow}@gw.example.test\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
        ),
    );
}

/// A question for an address, and its answer (RFC 1035, 4).
fn dns(out: &mut Vec<u8>, flow: u64, answer: bool) {
    out.extend_from_slice(&(flow as u16).to_be_bytes());
    out.extend_from_slice(if answer {
        &[0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]
    } else {
        &[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]
    });
    let host = format!("pc{}", flow % 100_000);
    for label in [host.as_str(), "example", "test"] {
        out.push(label.len() as u8);
        out.extend_from_slice(label.as_bytes());
    }
    out.extend_from_slice(&[0, 0, 1, 0, 1]);
    if answer {
        out.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 3, 0xe8, 0, 4, 10, 20, 0, 7]);
    }
}

/// A binding request with a priority, and its answer with the mapped address (RFC 8489, RFC 8445).
fn stun(out: &mut Vec<u8>, flow: u64, answer: bool) {
    out.extend_from_slice(if answer { &[1, 1, 0, 12] } else { &[0, 1, 0, 8] });
    out.extend_from_slice(&0x2112_A442_u32.to_be_bytes());
    out.extend_from_slice(&[0x5a; 4]);
    out.extend_from_slice(&flow.to_be_bytes());
    out.extend_from_slice(if answer {
        &[0, 0x20, 0, 8, 0, 1, 0x21, 0x12, 0x2b, 0x12, 0xa4, 0x42]
    } else {
        &[0, 0x24, 0, 4, 0x6e, 0, 1, 0xff]
    });
}

/// An `IKE_SA_INIT` message (RFC 7296, 3.1) whose payloads nothing reads.
fn ike(out: &mut Vec<u8>, flow: u64, responder: u64, flags: u8, random: &mut Random) {
    out.extend_from_slice(&(flow | 1 << 63).to_be_bytes());
    out.extend_from_slice(&responder.to_be_bytes());
    out.extend_from_slice(&[33, 0x20, 34, flags, 0, 0, 0, 0]);
    out.extend_from_slice(&(28_u32 + 268).to_be_bytes());
    random.fill(out, 268);
}
