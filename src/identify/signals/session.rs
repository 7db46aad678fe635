//! Session descriptions: where media will go. RFC 8866, in SIP or alone in a segment.
//!
//! Lines are what matters: those of a description are a letter, `=` and a value, which no line of SIP
//! is. So bodies are found without lengths, in several parts, behind keep-alives and in a segment that begins with
//! one of their lines. A line that does not end in what was captured is not read, and the last medium of a
//! segment counts only where its description is known to end: what follows may name another address.
//!
//! | line | what it tells |
//! |---|---|
//! | `c=IN IP4 address` | the address, of the session or of one medium |
//! | `m=audio port RTP/AVP …` | a medium and its port; 0 declines it, 9 stands for none |
//! | `a=rtcp:port` | where its reports go (RFC 3605); the next port without, none with `a=rtcp-mux` |
//! | `a=candidate:…` | a further endpoint (RFC 8839, 5.1) |
//!
//! Candidates have the form of RFC 8839 or that of the draft which Lync 2010 and older phones follow, in
//! which a password stands before the transport.

use std::net::IpAddr;

use super::{Exchange, Signal, SignalKind};
use crate::flow::sample::Carrier;
use crate::identify::bytes;

/// Hands on the media endpoints of every description in a payload.
pub(super) fn read(carrier: Carrier, payload: &[u8], take: &mut dyn FnMut(Signal)) {
    let begin = payload.iter().position(|b| !b"\r\n".contains(b)).unwrap_or(payload.len());
    let text = payload.get(begin..).unwrap_or_default();
    let mut body = Body::default();
    match opening(text) {
        Some(Opening::Message(exchange)) => body.exchange = exchange,
        Some(Opening::Line) => {}
        None => return,
    }
    let mut length = Length::default();
    let mut at = 0;
    for line in text.split_inclusive(|&b| b == b'\n').filter(|line| line.ends_with(b"\n")) {
        at += line.len();
        length.line(line.trim_ascii_end(), at);
        match line.trim_ascii_end() {
            [b'v', b'=', ..] => {
                body.end(take);
                body = Body { exchange: body.exchange, ..Body::default() };
            }
            [letter @ b'a'..=b'z', b'=', value @ ..] => body.line(*letter, value, take),
            other => {
                body.end(take);
                if let Some(Opening::Message(exchange)) = opening(other) {
                    body = Body { exchange, ..Body::default() };
                    length = Length::default();
                }
            }
        }
    }
    if carrier == Carrier::Datagrams || length.end.is_some_and(|end| end <= text.len()) {
        body.end(take);
    }
}

/// How long a message says that its body is.
#[derive(Debug, Default)]
struct Length {
    told: Option<usize>,
    /// Where the body ends, from the empty line before it on.
    end: Option<usize>,
}

impl Length {
    /// Reads a line that ends at `at`.
    fn line(&mut self, line: &[u8], at: usize) {
        if self.end.is_some() {
            return;
        }
        if line.is_empty() {
            self.end = self.told.and_then(|length| at.checked_add(length));
            return;
        }
        let colon = line.iter().position(|&b| b == b':').unwrap_or(line.len());
        let (name, value) = line.split_at(colon);
        let name = name.trim_ascii();
        if name.eq_ignore_ascii_case(b"Content-Length") || name.eq_ignore_ascii_case(b"l") {
            let value = value.get(1..).unwrap_or_default().trim_ascii();
            self.told = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
        }
    }
}

/// What a payload or a line begins with.
enum Opening {
    /// A message of SIP that may carry a description.
    Message(Option<Exchange>),
    /// A line of a description.
    Line,
}

/// Only the rarest of offers comes in a response and is answered in an ACK, as RFC 3261, 13.2.1, allows.
fn opening(text: &[u8]) -> Option<Opening> {
    let offer = Some(Opening::Message(Some(Exchange::Offer)));
    let answer = Some(Opening::Message(Some(Exchange::Answer)));
    match text {
        [b'S', b'I', b'P', b'/', ..] | [b'A', b'C', b'K', b' ', ..] => answer,
        [b'I', b'N', b'V', b'I', b'T', b'E', b' ', ..]
        | [b'U', b'P', b'D', b'A', b'T', b'E', b' ', ..] => offer,
        [b'P', b'R', b'A', b'C', b'K', b' ', ..] => Some(Opening::Message(None)),
        [b'a'..=b'z', b'=', ..] => Some(Opening::Line),
        _ => None,
    }
}

/// A description as far as it has been read.
#[derive(Debug, Default)]
struct Body {
    exchange: Option<Exchange>,
    /// The address for media that have none of their own.
    address: Option<IpAddr>,
    medium: Option<Medium>,
    /// Media seen.
    media: usize,
}

/// A medium as far as it has been read.
#[derive(Debug)]
struct Medium {
    service: Service,
    carrier: Carrier,
    port: u16,
    /// How many ports in a row (RFC 8866, 5.14).
    ports: u16,
    /// Whether reports go beside it.
    reported: bool,
    address: Option<IpAddr>,
    reports: Option<(u16, Option<IpAddr>)>,
}

/// The name of a medium, and that of its reports.
type Service = [&'static str; 2];

impl Body {
    fn line(&mut self, letter: u8, value: &[u8], take: &mut dyn FnMut(Signal)) {
        match (letter, &mut self.medium) {
            (b'm', _) => {
                self.end(take);
                self.media += 1;
                self.medium = Medium::read(value).filter(|_| self.media <= MAX_MEDIA);
            }
            (b'c', None) => self.address = connection(value),
            (b'c', Some(medium)) => medium.address = connection(value),
            (b'a', Some(medium)) => {
                if let Some(candidate) = value.strip_prefix(b"candidate:") {
                    let found = (medium.port > 0).then(|| self::candidate(candidate)).flatten();
                    if let Some((component, carrier, address, port)) = found {
                        let service = medium.service[usize::from(component == 2)];
                        take(self.signal(service, carrier, address, port));
                    }
                } else {
                    medium.attribute(value);
                }
            }
            _ => {}
        }
    }

    /// Hands on the medium that ends here. Called also where nothing has begun.
    fn end(&mut self, take: &mut dyn FnMut(Signal)) {
        let Some(medium) = self.medium.take() else { return };
        let Some(address) = medium.address.or(self.address) else { return };
        if [0, DISCARD].contains(&medium.port) {
            return;
        }
        let [media, reports] = medium.service;
        // Each medium of several has a port for its reports behind it.
        let step = if medium.reported { 2 } else { 1 };
        for nth in 0..medium.ports {
            let Some(port) = nth.checked_mul(step).and_then(|n| medium.port.checked_add(n)) else {
                return;
            };
            take(self.signal(media, medium.carrier, address, port));
            let beside = || port.checked_add(1).map(|port| (port, None));
            let told = medium.reports.filter(|_| nth == 0).or_else(beside);
            if let Some((port, own)) = told.filter(|(port, _)| medium.reported && *port > 0) {
                take(self.signal(reports, medium.carrier, own.unwrap_or(address), port));
            }
        }
    }

    fn signal(
        &self,
        service: &'static str,
        carrier: Carrier,
        address: IpAddr,
        port: u16,
    ) -> Signal {
        Signal {
            kind: SignalKind::Sdp,
            address: Some(address),
            carrier,
            port,
            service: service.into(),
            exchange: self.exchange,
        }
    }
}

impl Medium {
    /// Reads the value of an `m=` line. Media that are no packets of their own, such as messages inside
    /// SIP, are left out.
    fn read(value: &[u8]) -> Option<Self> {
        let mut words = words(value);
        let name = words.next()?;
        let service = SERVICES.iter().find(|[known, _]| known.as_bytes() == name)?;
        let mut ports = words.next()?.splitn(2, |&b| b == b'/');
        let port = ports.next().filter(|port| *port != b"0").map_or(Some(0), bytes::port)?;
        let count = ports.next().and_then(bytes::port).unwrap_or(1).min(MAX_PORTS);
        let protocol = words.next()?.to_ascii_uppercase();
        let stream = protocol.starts_with(b"TCP");
        Some(Self {
            service: *service,
            carrier: if stream { Carrier::Stream } else { Carrier::Datagrams },
            port,
            ports: count,
            reported: !stream && protocol.windows(3).any(|word| word == b"RTP"),
            address: None,
            reports: None,
        })
    }

    fn attribute(&mut self, value: &[u8]) {
        if value == b"rtcp-mux" {
            self.reported = false;
        } else if let Some(rest) = value.strip_prefix(b"rtcp:") {
            let (port, rest) =
                rest.split_at(rest.iter().position(|&b| b == b' ').unwrap_or(rest.len()));
            self.reports = bytes::port(port).map(|port| (port, connection(rest)));
        }
    }
}

/// Reads `IN IP4 address`, behind which a lifetime may stand.
fn connection(value: &[u8]) -> Option<IpAddr> {
    let mut words = words(value);
    if words.next() != Some(b"IN") {
        return None;
    }
    let (b"IP4" | b"IP6") = words.next()? else { return None };
    address(words.next()?.split(|&b| b == b'/').next()?)
}

/// Reads `foundation component transport priority address port …`, or the older form with a password
/// before the transport. Candidates that only connect from where they are have no port to reach.
fn candidate(value: &[u8]) -> Option<(u8, Carrier, IpAddr, u16)> {
    let mut fields = [&b""[..]; 7];
    for (field, word) in fields.iter_mut().zip(words(value)) {
        *field = word;
    }
    let [_, component, third, fourth, fifth, sixth, seventh] = fields;
    let (carrier, host, port) = match (transport(third), transport(fourth)) {
        (Some(carrier), _) => (carrier, fifth, sixth),
        (None, Some(carrier)) => (carrier, sixth, seventh),
        (None, None) => return None,
    };
    let active = words(value).skip_while(|word| *word != b"tcptype").nth(1) == Some(b"active");
    let port = bytes::port(port).filter(|port| *port != DISCARD && !active)?;
    let component = match component {
        b"1" => 1,
        b"2" => 2,
        _ => return None,
    };
    Some((component, carrier, address(host)?, port))
}

fn transport(word: &[u8]) -> Option<Carrier> {
    let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
    if is("UDP") {
        Some(Carrier::Datagrams)
    } else if is("TCP") || is("TCP-PASS") || is("TCP-SO") {
        Some(Carrier::Stream)
    } else {
        None
    }
}

/// An address that one host may have. Names are not looked up.
fn address(word: &[u8]) -> Option<IpAddr> {
    let address: IpAddr = std::str::from_utf8(word).ok()?.parse().ok()?;
    (!address.is_unspecified() && !address.is_multicast()).then_some(address)
}

fn words(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&b| b == b' ').filter(|word| !word.is_empty())
}

/// Media of RFC 8866, section 8.2.2, and of Lync that are packets of their own.
const SERVICES: [Service; 7] = [
    ["audio", "audio-rtcp"],
    ["video", "video-rtcp"],
    ["application", "application-rtcp"],
    ["applicationsharing", "applicationsharing-rtcp"],
    ["data", "data-rtcp"],
    ["text", "text-rtcp"],
    ["image", "image-rtcp"],
];
/// Media read of one description.
const MAX_MEDIA: usize = 32;
/// Ports read of one medium that asks for several.
const MAX_PORTS: u16 = 8;
/// Stands where there is no port yet (RFC 4145, 4.1; RFC 8840, 4.1.1).
const DISCARD: u16 = 9;

#[cfg(test)]
mod tests {
    use super::super::all;
    use super::*;

    /// Service, transport, address and port of each endpoint.
    fn told(text: &str) -> Vec<String> {
        let text = text.replace('\n', "\r\n");
        let found = all(Carrier::Datagrams, text.as_bytes());
        let mut lines: Vec<String> = found
            .iter()
            .map(|signal| {
                let over = if signal.is_stream() { "tcp" } else { "udp" };
                format!("{} {over} {}:{}", signal.service, signal.address.unwrap(), signal.port)
            })
            .collect();
        lines.sort();
        lines
    }

    fn exchange(text: &str) -> Option<Exchange> {
        let text = text.replace('\n', "\r\n");
        all(Carrier::Stream, text.as_bytes()).first().and_then(|signal| signal.exchange)
    }

    const SDP: &str = "v=0\no=- 1 1 IN IP4 10.0.0.9\ns=-\nc=IN IP4 10.0.0.1\nt=0 0\n\
                       m=audio 49170 RTP/AVP 0 8\na=rtpmap:0 PCMU/8000\n\
                       m=video 57600 RTP/SAVP 121\nc=IN IP4 10.0.0.2/127\na=rtcp:58000 IN IP4 10.0.0.3\n";

    #[test]
    fn media_of_a_session_and_of_their_own_address() {
        let expected = [
            "audio udp 10.0.0.1:49170",
            "audio-rtcp udp 10.0.0.1:49171",
            "video udp 10.0.0.2:57600",
            "video-rtcp udp 10.0.0.3:58000",
        ];
        let head =
            "INVITE sip:a@b SIP/2.0\nVia: SIP/2.0/UDP 10.0.0.7\nContent-Type: application/sdp\n\n";
        assert_eq!(told(&format!("{head}{SDP}")), expected);
        assert_eq!(told(&format!("\n\n{head}{SDP}")), expected, "behind a keep-alive");
        assert_eq!(told(SDP), expected, "alone in a segment");
        assert_eq!(
            told(&format!("{head}--x\nContent-Type: application/sdp\n\n{SDP}\n--x--\n")),
            expected
        );
    }

    #[test]
    fn declined_held_and_foreign_media_announce_nothing() {
        for text in [
            "c=IN IP4 10.0.0.1\nm=audio 0 RTP/AVP 0\na=candidate:1 1 UDP 1 10.0.0.1 4000 typ host\n",
            "c=IN IP4 0.0.0.0\nm=audio 4000 RTP/AVP 0\n",
            "c=IN IP4 10.0.0.1\nm=audio 9 TCP/TLS/RTP/SAVP 0\n",
            "c=IN IP4 10.0.0.1\nm=message 5060 sip null\n",
            "c=IN IP4 224.2.1.1/127\nm=audio 4000 RTP/AVP 0\n",
            "c=IN IP4 host.example\nm=audio 4000 RTP/AVP 0\n",
            "c=IN IP4 10.0.0.1\nm=audio 99999 RTP/AVP 0\n",
            "c=IN IP4 10.0.0.1\nm=audio 4000",
            "m=audio 4000 RTP/AVP 0\n",
        ] {
            assert_eq!(told(text), [""; 0], "{text}");
        }
    }

    #[test]
    fn several_ports_and_one_for_media_and_reports() {
        let two = "c=IN IP6 fd00::1\nm=audio 4000/2 RTP/AVP 0\n";
        assert_eq!(
            told(two),
            [
                "audio udp fd00::1:4000",
                "audio udp fd00::1:4002",
                "audio-rtcp udp fd00::1:4001",
                "audio-rtcp udp fd00::1:4003"
            ]
        );
        let one = "c=IN IP4 10.0.0.1\nm=audio 4000 RTP/SAVPF 0\na=rtcp-mux\n";
        assert_eq!(told(one), ["audio udp 10.0.0.1:4000"]);
        let last = "c=IN IP4 10.0.0.1\nm=audio 65535/9 RTP/AVP 0\n";
        assert_eq!(told(last), ["audio udp 10.0.0.1:65535"]);
    }

    #[test]
    fn candidates_of_both_forms() {
        let head = "c=IN IP4 10.0.0.1\nm=applicationsharing 50040 TCP/RTP/SAVP 127\n";
        let new = "a=candidate:1 1 UDP 2130706431 10.0.0.1 50020 typ host \n\
                   a=candidate:1 2 UDP 2130705918 10.0.0.1 50021 typ host\n\
                   a=candidate:2 1 TCP-PASS 174455807 198.51.100.5 52001 typ relay raddr 10.0.0.1 rport 1\n\
                   a=candidate:3 1 TCP-ACT 174847487 10.0.0.1 52002 typ host\n\
                   a=candidate:4 1 TCP 1 10.0.0.1 9 typ host tcptype active\n\
                   a=candidate:5 3 UDP 1 10.0.0.1 50022 typ host\n\
                   a=candidate:6 1 UDP 1 host.local 50023 typ host\n";
        assert_eq!(
            told(&format!("{head}{new}")),
            [
                "applicationsharing tcp 10.0.0.1:50040",
                "applicationsharing tcp 198.51.100.5:52001",
                "applicationsharing udp 10.0.0.1:50020",
                "applicationsharing-rtcp udp 10.0.0.1:50021"
            ]
        );
        let old = "a=candidate:7R1jMlq0 1 AyI4QGCi UDP 0.830 10.0.0.1 50010\n\
                   a=candidate:7R1jMlq0 2 AyI4QGCi UDP 0.830 10.0.0.1 50011\n";
        let audio = "c=IN IP4 10.0.0.1\nm=audio 50010 RTP/AVP 114\na=rtcp:50011\n";
        let expected = ["audio udp 10.0.0.1:50010", "audio-rtcp udp 10.0.0.1:50011"];
        let mut found = told(&format!("{audio}{old}"));
        found.dedup();
        assert_eq!(found, expected);
    }

    #[test]
    fn requests_offer_and_responses_answer() {
        let told = |line: &str| exchange(&format!("{line}\n\n{SDP}"));
        assert_eq!(told("INVITE sip:a SIP/2.0"), Some(Exchange::Offer));
        assert_eq!(told("SIP/2.0 200 OK"), Some(Exchange::Answer));
        assert_eq!(told("ACK sip:a SIP/2.0"), Some(Exchange::Answer));
        assert_eq!(exchange(SDP), None);
        let second = format!("SIP/2.0 100 Trying\n\nINVITE sip:a SIP/2.0\n\n{SDP}");
        assert_eq!(exchange(&second), Some(Exchange::Offer));
    }

    #[test]
    fn the_last_medium_of_a_segment_counts_when_its_description_ends() {
        let body = "v=0\r\nc=IN IP4 10.0.0.1\r\nm=audio 4000 RTP/AVP 8\r\na=rtcp-mux\r\n";
        let ports = |text: &str| -> Vec<u16> {
            all(Carrier::Stream, text.as_bytes()).iter().map(|signal| signal.port).collect()
        };
        let message = |length: usize| format!("INVITE sip:a SIP/2.0\r\nl: {length}\r\n\r\n{body}");
        assert_eq!(ports(&message(body.len())), [4000]);
        assert!(ports(&message(body.len() + 1)).is_empty(), "more is to come");
        assert!(ports(body).is_empty(), "nobody says where it ends");
        let next = "m=video 5000 RTP/AVP 9\r\n";
        assert_eq!(ports(&format!("{body}{next}")), [4000]);
        assert_eq!(ports(&format!("{body}SIP/2.0 200 OK\r\n")), [4000]);
        let second = format!("{}{}", message(body.len()), message(body.len() + 1));
        assert_eq!(ports(&second), [4000]);
    }

    #[test]
    fn a_cut_body_gives_what_is_there() {
        let text = format!("INVITE sip:a SIP/2.0\n\n{SDP}").replace('\n', "\r\n");
        for len in 0..=text.len() {
            for signal in all(Carrier::Datagrams, &text.as_bytes()[..len]) {
                assert!([49170, 49171, 57600, 57601, 58000].contains(&signal.port), "{len}");
            }
        }
    }

    #[test]
    fn the_number_of_media_is_bounded() {
        let many = "m=audio 4000 RTP/AVP 0\n".repeat(500);
        assert!(told(&format!("c=IN IP4 10.0.0.1\n{many}")).len() <= 2 * MAX_MEDIA);
    }
}
