//! Media inside IPsec, though an exemption row wants it left alone.

use super::protected::{Sign, protected};
use super::{Case, Rule, Severity, Sight, Spark, Telling};
use crate::flow::FrameRef;
use crate::identify::Confidence;

pub(super) const RULE: Rule = Rule {
    name: "ipsec-on-media-range",
    severity: Severity::Error,
    what: "Audio, video or application sharing comes inside IPsec with readable headers, though its hosts and ports are to be exempt.",
    why: "IPsec negotiates before the first packet of each new pair of hosts may pass. Media ports change with every call, so calls start late, lose their first words or fall back to another path. SRTP protects the media already.",
    remedy: &[
        "Exempt the media on both ends: on the servers of the role and on every peer that has an IPsec policy. An exemption on one end only leaves the other end negotiating.",
        "PowerShell, once for UDP and once for TCP: New-NetIPsecRule -PolicyStore '<domain>\\<GPO>' -DisplayName '<row name>' -InboundSecurity None -OutboundSecurity None -LocalAddress Any -RemoteAddress <addresses of the role> -Protocol UDP -LocalPort Any -RemotePort Any.",
        "Or netsh: netsh advfirewall consec add rule name=\"<row name>\" endpoint1=any endpoint2=<addresses of the role> action=noauthentication protocol=udp port1=any port2=any.",
        "On the servers of the role itself the two ends change places: their own addresses are the local ones, and any address is remote.",
        "To exempt the media only, give the role's media range as the port of its endpoint: port ranges are allowed in rules that do not authenticate.",
        "Check that no firewall rule demands a secured connection for these ports: it would now block the media.",
        "Security associations outlive the change: wait until they expire (5 minutes idle, 1 hour at most by default) or run netsh advfirewall monitor delete qmsa all, then capture again.",
    ],
    sight: Sight::OneWay,
    check,
    message,
};

fn check(case: &Case<'_>) -> Option<Spark> {
    let broken: Vec<_> =
        protected(case).into_iter().filter(|protected| protected.sign > Sign::TcpRange).collect();
    let first = broken.iter().map(|protected| protected.row.key).min()?;
    let proven = broken
        .iter()
        .any(|protected| protected.sign == Sign::Content && protected.packets >= MIN_PACKETS);
    let (severity, confidence) = if proven {
        (Severity::Error, Confidence::High)
    } else {
        (Severity::Warning, Confidence::Medium)
    };
    Some(Spark {
        severity,
        confidence,
        expectation: Some(first),
        rows: broken.iter().map(|protected| protected.row.key).collect(),
        misfit: None,
        range: Some("media-range"),
        frame: first_frame(case),
        detail: None,
    })
}

fn first_frame(case: &Case<'_>) -> Option<FrameRef> {
    let associations = case.judged.flow.associations.as_ref()?;
    Some(associations.earliest()?.first_frame)
}

fn message(telling: &Telling<'_>) -> String {
    let shown = match telling.confidence() {
        Confidence::High => "as its content shows",
        Confidence::Medium | Confidence::Low => "told by its port",
    };
    format!(
        "media between {} and {} on {} is inside IPsec (AH), {shown}; {} it",
        telling.initiator(),
        telling.responder(),
        telling.service(),
        telling.rows_do("exempts", "exempt"),
    )
}

/// One packet may be damaged or crafted; two with the same headers prove it.
pub(super) const MIN_PACKETS: u64 = 2;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::testbed::{EXEMPT_IN, EXEMPT_OUT, Testbed, flow};
    use crate::flow::FrameRef;

    #[test]
    fn media_content_inside_ah_is_proven() {
        let sample = flow("10.20.0.101:50020", "10.0.1.31:49200")
            .udp()
            .exempt(&[(EXEMPT_IN, true), (EXEMPT_OUT, true)])
            .inside_ah([40, 39]);
        let finding = Testbed::default().only_finding(&sample);
        assert_eq!(finding.rule, "ipsec-on-media-range");
        assert_eq!((finding.severity, finding.confidence), (Severity::Error, Confidence::High));
        assert_eq!(finding.expectation.as_deref(), Some("X05"));
        assert_eq!(finding.frames, [FrameRef { capture: 0, frame: 3 }]);
        assert_eq!(
            finding.message,
            "media between client 10.20.0.101 and mediation med01 on udp/49200 is inside IPsec \
             (AH), as its content shows; X05, X06 exempt it"
        );
        assert_eq!(finding.bpf, "host 10.20.0.101 and host 10.0.1.31 and (udp port 49200 or ah)");
    }

    #[test]
    fn a_udp_port_alone_is_a_warning() {
        let sample = flow("10.20.0.101:50020", "10.0.1.31:49200")
            .udp()
            .exempt(&[(EXEMPT_IN, false)])
            .inside_ah([40, 0]);
        let finding = Testbed::default().only_finding(&sample);
        assert_eq!((finding.severity, finding.confidence), (Severity::Warning, Confidence::Medium));
        assert!(
            finding.message.ends_with("told by its port; X05 exempts it"),
            "{}",
            finding.message
        );
    }

    #[test]
    fn one_packet_is_not_proof() {
        let sample = flow("10.20.0.101:50020", "10.0.1.31:49200")
            .udp()
            .exempt(&[(EXEMPT_IN, true)])
            .inside_ah([1, 0]);
        let finding = Testbed::default().only_finding(&sample);
        assert_eq!(finding.confidence, Confidence::Medium);
    }

    #[test]
    fn silent_in_clear_without_rows_and_by_tcp_range() {
        let bed = Testbed::default();
        let base = || flow("10.20.0.101:50020", "10.0.1.31:49200");
        for sample in [
            base().udp().exempt(&[(EXEMPT_IN, true)]),
            base().udp().inside_ah([40, 40]),
            base().exempt(&[(EXEMPT_IN, false)]).inside_ah([40, 40]),
        ] {
            assert_eq!(bed.fires(&RULE, &sample), None);
        }
    }
}
