//! Traffic on a port for which its parties have no expectation.

use super::{Case, Rule, Severity, Sight, Spark, Telling};
use crate::decode::Transport;
use crate::flow::TcpSeen;
use crate::identify::Confidence;
use crate::policy::{Class, Misfit};

pub(super) const RULE: Rule = Rule {
    name: "unexpected-port",
    severity: Severity::Error,
    what: "A flow uses a port, or a port with this transport, content or direction, that no expectation allows.",
    why: "A service outside the port table is either not needed, and then it is a way in that nobody watches, or it is needed, and then the next firewall change will break it because nobody knows of it.",
    remedy: &[
        "Find the program on the responder: `netstat -abno` on Windows, `ss -lntup` on Linux.",
        "If the port should not be open, stop the service or block the port at the firewall.",
        "If a service was moved to this port on purpose, correct the port in its configuration or in the topology file.",
        "If the traffic is legitimate, add an expectation with its reason to a policy file and pass it with --policy.",
    ],
    sight: Sight::OneWay,
    check,
    message,
};

fn check(case: &Case<'_>) -> Option<Spark> {
    if case.judged.verdict.class != Class::Unexpected {
        return None;
    }
    // Rules that say more speak instead.
    let edition = matches!(case.nearest, Some((_, Misfit::Edition)));
    let named = edition || case.media_outside().is_some() || case.speaks_elsewhere();
    if named || case.expected_of_others().is_some() {
        return None;
    }
    // Security associations belong to the exemption rows, which look at both ends.
    let transport = case.judged.flow.transport;
    if transport.is_security_association() || transport == Transport::WESP {
        return None;
    }
    // That a wide range is meant for other peers is no hint.
    let nearest = (case.nearest.as_ref()).filter(|(_, misfit)| *misfit != Misfit::Peer);
    Some(Spark {
        severity: severity(case),
        confidence: case.direction_confidence(),
        // The nearest row with another port is a hint, not what the finding is about.
        expectation: nearest
            .filter(|(_, misfit)| !matches!(misfit, Misfit::Port | Misfit::OwnPort))
            .map(|(row, _)| row.key),
        rows: nearest.map(|(row, _)| row.key).into_iter().collect(),
        misfit: nearest.map(|&(_, misfit)| misfit),
        range: None,
        frame: None,
        detail: None,
    })
}

/// How grave unexpected traffic is: what a server accepts weighs more than what it sends, and both
/// more than what clients do among themselves.
pub(super) fn severity(case: &Case<'_>) -> Severity {
    let flow = case.judged.flow;
    if !flow.transport.has_ports() {
        return Severity::Note;
    }
    // What is left of a connection that ended before the capture began.
    if flow.transport == Transport::TCP && flow.tcp[0].0 | flow.tcp[1].0 == TcpSeen::RST {
        return Severity::Note;
    }
    // Without a known direction the responder may as well be the initiator.
    let known = case.direction_confidence() > Confidence::Low;
    match (case.initiator.server, case.responder.server) {
        (_, true) if known => Severity::Error,
        (true, _) | (_, true) => Severity::Warning,
        (false, false) => Severity::Note,
    }
}

fn message(telling: &Telling<'_>) -> String {
    format!(
        "{} {} {} on {}{}, where no expectation allows it{}",
        telling.initiator(),
        telling.reaches(),
        telling.responder(),
        telling.service(),
        telling.speaking(),
        telling.nearest(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::testbed::{AUDIO, SIP, Testbed, WEB, flow};
    use crate::flow::{DirectionBy, Outcome};

    #[test]
    fn a_port_without_a_row_is_an_error_at_a_server() {
        let sample = flow("10.20.0.101:51000", "10.0.1.11:8888")
            .class(Class::Unexpected)
            .nearest(WEB, Misfit::Port);
        let finding = Testbed::default().only_finding(&sample);
        assert_eq!(finding.rule, "unexpected-port");
        assert_eq!(finding.severity, Severity::Error);
        assert_eq!(finding.expectation, None);
        assert_eq!(
            finding.message,
            "client 10.20.0.101 reaches front-end fe01 on tcp/8888, \
             where no expectation allows it (nearest: S13 tcp/8080)"
        );
    }

    #[test]
    fn the_failed_field_is_named() {
        let sample = flow("10.20.0.101:51000", "10.0.1.11:5061")
            .udp()
            .class(Class::Unexpected)
            .nearest(SIP, Misfit::Transport)
            .outcome(Outcome::Unanswered);
        let finding = Testbed::default().only_finding(&sample);
        assert_eq!(finding.expectation.as_deref(), Some("S03"));
        assert_eq!(finding.layer.as_deref(), Some("built-in"));
        assert_eq!(
            finding.message,
            "client 10.20.0.101 tries front-end fe01 on udp/5061, \
             where no expectation allows it (nearest: S03 tcp/5061, another transport)"
        );
    }

    #[test]
    fn a_port_that_only_other_hosts_have_is_said_to_be_theirs() {
        let sample = flow("10.20.0.101:51000", "10.0.1.11:8080")
            .class(Class::Unexpected)
            .nearest(WEB, Misfit::Port);
        let finding = Testbed::default().only_finding(&sample);
        assert_eq!(
            finding.message,
            "client 10.20.0.101 reaches front-end fe01 on tcp/8080, \
             where no expectation allows it (nearest: S13 tcp/8080, for other hosts)"
        );
    }

    #[test]
    fn a_wide_range_of_other_peers_is_no_hint() {
        let sample = flow("10.20.0.101:51000", "10.0.1.11:8888")
            .class(Class::Unexpected)
            .nearest(AUDIO, Misfit::Peer);
        let finding = Testbed::default().only_finding(&sample);
        assert_eq!((finding.rule, finding.expectation), ("unexpected-port", None));
        assert_eq!(
            finding.message,
            "client 10.20.0.101 reaches front-end fe01 on tcp/8888, where no expectation allows it"
        );
    }

    #[test]
    fn a_reset_without_a_connection_is_a_note() {
        let sample = flow("10.20.0.101:51000", "10.0.1.11:8888")
            .class(Class::Unexpected)
            .tcp([TcpSeen(TcpSeen::RST), TcpSeen(0)]);
        assert_eq!(Testbed::default().only_finding(&sample).severity, Severity::Note);
    }

    #[test]
    fn severity_follows_the_servers_involved() {
        let bed = Testbed::default();
        for (from, to, severity) in [
            ("10.20.0.101:51000", "10.0.1.11:8888", Severity::Error),
            ("10.0.1.11:51000", "10.20.0.101:8888", Severity::Warning),
            ("10.0.1.11:51000", "192.0.2.9:8888", Severity::Warning),
            ("10.20.0.101:51000", "192.0.2.9:8888", Severity::Note),
        ] {
            let sample = flow(from, to).class(Class::Unexpected);
            assert_eq!(bed.only_finding(&sample).severity, severity, "{from} {to}");
        }
        let unsure = flow("10.20.0.101:51000", "10.0.1.11:8888")
            .class(Class::Unexpected)
            .direction(DirectionBy::Unknown);
        assert_eq!(bed.only_finding(&unsure).severity, Severity::Warning);
    }

    #[test]
    fn other_classes_other_peers_and_security_associations_are_not_its_business() {
        let bed = Testbed::default();
        let base = || flow("10.20.0.101:51000", "10.0.1.11:5061");
        for sample in [
            base().class(Class::Confirmed).row(SIP),
            base().class(Class::OutOfScope),
            base().class(Class::Unexpected).nearest(SIP, Misfit::Peer),
            base().esp(7).class(Class::Unexpected),
        ] {
            assert_eq!(bed.fires(&RULE, &sample), None, "{sample:?}");
        }
    }
}
