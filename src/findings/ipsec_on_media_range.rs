//! Media inside IPsec, though an exemption row wants it left alone.

use std::cmp::Reverse;

use super::ipsec::Ground;
use super::ipsec::protected::{Protected, Told, protected};
use super::{Case, Rule, Severity, Sight, Spark, Telling};

pub(super) const RULE: Rule = Rule {
    name: "ipsec-on-media-range",
    severity: Severity::Error,
    what: "Audio, video or application sharing comes inside IPsec with readable headers, though its hosts and ports are to be exempt. Strictly, any traffic of these hosts.",
    why: "IPsec negotiates before the first packet of each new pair of hosts may pass. Media ports change with every call, so calls start late, lose their first words or fall back to another path. SRTP protects the media already.",
    remedy: &[
        "Exempt the media on both ends: on the servers of the role and on every peer that has an IPsec policy. An exemption on one end only leaves the other end negotiating.",
        "portassay plan -t TOPOLOGY --only exempt prints the rules for both ends, for PowerShell, netsh, swanctl or ip xfrm; the report names those of each row under ipsec.exemptions.",
        "If gateways on the way wrap the media and not its own hosts, declare them in the topology file: [ipsec] gateways = [\"<address>\"].",
        "Check that no firewall rule demands a secured connection for these ports: it would now block the media.",
        "Security associations outlive the change: wait until they expire (5 minutes idle, 1 hour at most by default) or run netsh advfirewall monitor delete qmsa all, then capture again.",
    ],
    sight: Sight::OneWay,
    check,
    message,
};

fn check(case: &Case<'_>) -> Option<Spark> {
    let broken: Vec<_> = protected(case)
        .into_iter()
        .map(|protected| (Ground::of(protected.sign), protected))
        .filter(|(ground, _)| *ground > Ground::SharedPort)
        .collect();
    let surest = broken.iter().map(|(ground, _)| *ground).max()?;
    let of_surest = broken.iter().filter(|(ground, _)| *ground == surest);
    let first = case.lead(of_surest.map(|(_, protected)| protected.row))?;
    let levels = broken.iter().map(|(ground, p)| ground.level(p.association.packets));
    let (severity, confidence) = levels.max()?.grade();
    let surest = broken
        .iter()
        .max_by_key(|(ground, protected)| (*ground, Reverse(protected.association.first_frame)));
    Some(Spark {
        severity,
        confidence,
        expectation: Some(first),
        rows: broken.iter().map(|(_, protected)| protected.row.key).collect(),
        misfit: None,
        range: Some("media-range"),
        frame: surest.map(|(_, protected)| protected.association.first_frame),
        detail: surest.map(|(ground, protected)| detail(case, *ground, protected).into()),
    })
}

/// Whether a tunnel is around the packets that ends at a host the topology does not know: a gateway, perhaps, that
/// it should declare.
fn is_of_strangers(case: &Case<'_>, protected: &Protected<'_>) -> bool {
    let (from, to) = protected.association.ends;
    protected.in_tunnel(case) && !(case.is_known(from) && case.is_known(to))
}

fn detail(case: &Case<'_>, ground: Ground, protected: &Protected<'_>) -> String {
    let told = match ground {
        Ground::Content => "as its content shows",
        Ground::AnyPort => "though every port of the role is exempt, strictly",
        _ => "told by its port",
    };
    let tunnel = if is_of_strangers(case, protected) {
        let (from, to) = protected.association.ends;
        format!(" in a tunnel from {from} to {to}, where the topology declares no gateway")
    } else {
        String::new()
    };
    format!("{}{tunnel}, {told}", Told(&protected.association))
}

fn message(telling: &Telling<'_>) -> String {
    format!(
        "{} between {} and {} on {} is inside {}; {} it",
        if telling.strict() { "traffic" } else { "media" },
        telling.initiator(),
        telling.responder(),
        telling.service(),
        telling.details(),
        telling.rows_do("exempts", "exempt"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::testbed::{EXEMPT_IN, EXEMPT_OUT, Testbed, flow};
    use crate::flow::FrameRef;
    use crate::identify::Confidence;
    use crate::policy::MediaSign;

    #[test]
    fn media_content_inside_ah_is_proven() {
        let sample = flow("10.20.0.101:50020", "10.0.1.31:49200")
            .udp()
            .exempt(&[(EXEMPT_IN, MediaSign::Content), (EXEMPT_OUT, MediaSign::Content)])
            .inside_ah([40, 39]);
        let finding = Testbed::default().only_finding(&sample);
        assert_eq!(finding.rule, "ipsec-on-media-range");
        assert_eq!((finding.severity, finding.confidence), (Severity::Error, Confidence::High));
        assert_eq!(finding.expectation.as_deref(), Some("X05"));
        assert_eq!(finding.frames, [FrameRef { capture: 0, frame: 3 }]);
        assert_eq!(
            finding.message,
            "media between client 10.20.0.101 and mediation med01 on udp/49200 is inside AH, as \
             its content shows; X05, X06 exempt it"
        );
        assert_eq!(
            finding.bpf,
            "host 10.20.0.101 and host 10.0.1.31 and \
             (udp port 49200 or ah)"
        );
    }

    #[test]
    fn a_udp_port_that_others_use_too_is_a_warning_and_a_media_port_an_error() {
        let many = |sign, packets| {
            let sample = flow("10.20.0.101:50020", "10.0.1.31:49200")
                .udp()
                .exempt(&[(EXEMPT_IN, sign)])
                .inside_ah([packets, 0]);
            Testbed::default().only_finding(&sample)
        };
        let inside = |sign| many(sign, 100);
        let few = many(MediaSign::SharedRange, 99);
        assert_eq!((few.severity, few.confidence), (Severity::Note, Confidence::Low));
        let finding = inside(MediaSign::SharedRange);
        assert_eq!((finding.severity, finding.confidence), (Severity::Warning, Confidence::Medium));
        let end = "inside AH, told by its port; X05 exempts it";
        assert!(finding.message.ends_with(end), "{}", finding.message);
        let finding = inside(MediaSign::OwnRange);
        assert_eq!((finding.severity, finding.confidence), (Severity::Error, Confidence::High));
        assert!(finding.message.ends_with(end), "{}", finding.message);
    }

    #[test]
    fn strictly_any_port_is_an_error() {
        let bed = Testbed { strict: true, ..Testbed::default() };
        let sample = flow("10.20.0.101:50020", "10.0.1.31:5070")
            .exempt(&[(EXEMPT_IN, MediaSign::AnyPort)])
            .inside_ah([40, 0]);
        let finding = bed.only_finding(&sample);
        assert_eq!(finding.severity, Severity::Error);
        assert_eq!(
            finding.message,
            "traffic between client 10.20.0.101 and mediation med01 on tcp/5070 is inside AH, \
             though every port of the role is exempt, strictly; X05 exempts it"
        );
    }

    #[test]
    fn a_tunnel_of_hosts_that_nobody_declared_is_told() {
        let sample = flow("10.20.0.101:50020", "10.0.1.31:49200")
            .udp()
            .exempt(&[(EXEMPT_IN, MediaSign::Content)])
            .in_tunnel(("203.0.113.1", "203.0.113.2"), 40);
        let finding = Testbed::default().only_finding(&sample);
        assert_eq!((finding.severity, finding.confidence), (Severity::Error, Confidence::High));
        assert_eq!(
            finding.message,
            "media between client 10.20.0.101 and mediation med01 on udp/49200 is inside ESP \
             without encryption in a tunnel from 203.0.113.1 to 203.0.113.2, where the topology \
             declares no gateway, as its content shows; X05 exempts it"
        );
        let of_the_server = flow("10.20.0.101:50020", "10.0.1.31:49200")
            .udp()
            .exempt(&[(EXEMPT_IN, MediaSign::Content)])
            .in_tunnel(("203.0.113.1", "10.0.1.31"), 40);
        let message = Testbed::default().only_finding(&of_the_server).message;
        assert!(message.contains("declares no gateway"), "{message}");
    }

    #[test]
    fn one_packet_is_not_proof() {
        let sample = flow("10.20.0.101:50020", "10.0.1.31:49200")
            .udp()
            .exempt(&[(EXEMPT_IN, MediaSign::Content)])
            .inside_ah([1, 0]);
        let finding = Testbed::default().only_finding(&sample);
        assert_eq!((finding.severity, finding.confidence), (Severity::Note, Confidence::Low));
    }

    #[test]
    fn silent_in_clear_without_rows_and_by_tcp_range() {
        let bed = Testbed::default();
        let base = || flow("10.20.0.101:50020", "10.0.1.31:49200");
        for sample in [
            base().udp().exempt(&[(EXEMPT_IN, MediaSign::Content)]),
            base().udp().inside_ah([40, 40]),
            base().exempt(&[(EXEMPT_IN, MediaSign::SharedPort)]).inside_ah([40, 40]),
        ] {
            assert_eq!(bed.fires(&RULE, &sample), None);
        }
    }
}
