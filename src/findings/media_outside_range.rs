//! Media on a port that its host's role does not have for media.

use super::{Case, Rule, Severity, Sight, Spark, Telling};
use crate::identify::Confidence;
use crate::policy::Misfit;

pub(super) const RULE: Rule = Rule {
    name: "media-outside-range",
    severity: Severity::Error,
    what: "RTP is plainly seen at a host on a port outside of the media range of its role, or SIP announces such a port for media.",
    why: "Firewalls, quality of service and IPsec exemptions go by the media range. Media outside of it is dropped by the first firewall that knows the range, queued with all other data, or negotiates IPsec and loses the first words of a call.",
    remedy: &[
        "Compare with the ranges that are configured: Get-CsService for Mediation, application and conferencing servers, Get-CsConferencingConfiguration for clients.",
        "If the range was changed on purpose, give it in the topology file under [media].",
        "If the host should keep to the range, correct it with Set-CsMediationServer, Set-CsConferenceServer or Set-CsConferencingConfiguration, restart the service and sign clients in again.",
        "If the host plays another role in the call, such as a gateway, correct its role in the topology file.",
    ],
    sight: Sight::OneWay,
    check,
    message,
};

fn check(case: &Case<'_>) -> Option<Spark> {
    let (row, misfit) = case.media_outside()?;
    let own = match misfit {
        Misfit::OwnPort => &case.initiator,
        _ => &case.responder,
    };
    // What was only announced may be something else.
    let seen = !case.announced_unseen();
    Some(Spark {
        severity: if own.server && seen { Severity::Error } else { Severity::Warning },
        confidence: if seen { Confidence::High } else { Confidence::Medium },
        expectation: Some(row.key),
        rows: vec![row.key],
        misfit: Some(misfit),
        // Every call has a port of its own.
        range: Some(match misfit {
            Misfit::OwnPort => "outside-own-media",
            _ => "outside-media",
        }),
        frame: None,
        detail: case.announced_media().then_some(ANNOUNCED.into()),
    })
}

/// What is to say of media that was announced and never seen.
pub(super) fn never_came(case: &Case<'_>) -> Option<Spark> {
    let (row, misfit) = case.media_outside().filter(|(_, misfit)| *misfit == Misfit::Port)?;
    Some(Spark {
        severity: Severity::Warning,
        confidence: Confidence::Medium,
        expectation: Some(row.key),
        rows: vec![row.key],
        misfit: Some(misfit),
        range: Some("announced-outside-media"),
        frame: None,
        detail: Some(NEVER_CAME.into()),
    })
}

fn message(telling: &Telling<'_>) -> String {
    if telling.details() == NEVER_CAME {
        let ranges: Vec<String> = telling.rows().iter().map(ToString::to_string).collect();
        return format!(
            "{} {} media at {} on {}, outside of its media range ({}); none was captured there",
            telling.initiator(),
            telling.initiators().verb("announces", "announce"),
            telling.responder(),
            telling.service(),
            ranges.join("; "),
        );
    }
    let outside = match telling.misfit() {
        Some(Misfit::OwnPort) => "from a port outside of its own media range",
        Some(_) => "outside of its media range",
        None => "outside of a media range",
    };
    let ranges: Vec<String> = telling.rows().iter().map(ToString::to_string).collect();
    format!(
        "{} {} {} with {} on {}, {outside} ({}){}",
        telling.initiator(),
        telling.reaches(),
        telling.responder(),
        telling.protocol_or("media"),
        telling.service(),
        ranges.join("; "),
        if telling.details() == ANNOUNCED { ", as SIP announced it" } else { "" },
    )
}

const ANNOUNCED: &str = "announced";
const NEVER_CAME: &str = "never came";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::Transport;
    use crate::findings::audit::Audit;
    use crate::findings::testbed::{AUDIO, Testbed, flow};
    use crate::flow::sample::Carrier;
    use crate::flow::{Endpoint, FrameRef};
    use crate::identify::signals::{Exchange, Signal, SignalKind};
    use crate::input::Timestamp;
    use crate::policy::{Class, Conversation, Learned};

    fn bed(misfit: Misfit) -> Testbed {
        Testbed { media_outside: Some((AUDIO.key, misfit)), ..Testbed::default() }
    }

    #[test]
    fn the_calls_of_a_server_outside_its_range_are_one_error() {
        let samples = [30_000, 30_002].map(|port| {
            flow("10.20.0.101:50020", &format!("10.0.1.31:{port}"))
                .udp()
                .class(Class::Unexpected)
                .nearest(AUDIO, Misfit::Port)
                .protocol("rtp")
        });
        let findings = bed(Misfit::Port).findings(&samples);
        let [finding] = findings.as_slice() else { panic!("{findings:#?}") };
        assert_eq!((finding.rule, finding.severity), ("media-outside-range", Severity::Error));
        assert_eq!(finding.expectation.as_deref(), Some("S40"));
        assert_eq!(
            finding.message,
            "client 10.20.0.101 reaches mediation med01 with rtp on udp/30000,30002, outside of its \
             media range (S40 tcp+udp/49152-57500)"
        );
    }

    #[test]
    fn the_initiator_has_a_range_as_well() {
        let sample = flow("10.20.0.101:30000", "192.0.2.9:6000")
            .udp()
            .class(Class::Unexpected)
            .protocol("rtp");
        let finding = bed(Misfit::OwnPort).only_finding(&sample);
        assert_eq!(finding.severity, Severity::Warning, "a client");
        assert_eq!(
            finding.message,
            "client 10.20.0.101 reaches unknown host 192.0.2.9 with rtp on udp/6000, from a port \
             outside of its own media range (S40 tcp+udp/49152-57500)"
        );
    }

    #[test]
    fn silent_when_unsure_expected_or_no_media() {
        let bed = bed(Misfit::Port);
        let base = || flow("10.20.0.101:50020", "10.0.1.31:30000").udp().class(Class::Unexpected);
        let unsure = base().protocol("rtp").confidence(Confidence::Medium);
        assert_eq!(bed.only_finding(&unsure).rule, "unexpected-port");
        assert_eq!(bed.fires(&RULE, &base().protocol("dns")), None);
        assert_eq!(bed.fires(&RULE, &base().class(Class::Confirmed).protocol("rtp")), None);
    }

    /// What the mediation server says in frame 8: audio at this port.
    fn announced(port: u16) -> Learned {
        let signal = Signal {
            kind: SignalKind::Sdp,
            address: Some("10.0.1.31".parse().unwrap()),
            carrier: Carrier::Datagrams,
            port,
            service: "audio".into(),
            exchange: Some(Exchange::Answer),
        };
        let mut learned = Learned::default();
        let at = FrameRef { capture: 0, frame: 8 };
        let end = |port| Endpoint { address: "10.0.1.31".parse().unwrap(), port };
        let within = Conversation::between(Transport::TCP, end(5068), end(50_000));
        learned.take(&signal, &within, at, Timestamp(0));
        learned.believe(|_, _| true);
        learned
    }

    #[test]
    fn a_wrong_port_is_told_though_no_media_came() {
        let bed = bed(Misfit::Port);
        let mut audit = Audit::over(&bed);
        audit.announced(&announced(30_060));
        let findings = audit.finish().findings;
        let [finding] = findings.as_slice() else { panic!("{findings:#?}") };
        assert_eq!((finding.rule, finding.severity), (RULE.name, Severity::Warning));
        assert_eq!((finding.flows, finding.frames[0].frame, finding.protocol), (0, 8, None));
        assert_eq!(
            finding.message,
            "mediation med01 announces media at mediation med01 on udp/30060, outside of its media \
             range (S40 tcp+udp/49152-57500); none was captured there"
        );
        assert_eq!(finding.announced.as_ref().unwrap().summary(), "sdp audio");
    }

    #[test]
    fn media_that_came_is_told_once_also_where_its_content_is_hidden() {
        let bed = bed(Misfit::Port);
        let learned = announced(30_060);
        let (_, _, announcement) = learned.media().next().unwrap();
        let sample = flow("10.20.0.101:50020", "10.0.1.31:30060")
            .udp()
            .class(Class::Unexpected)
            .announced(announcement);
        let mut audit = Audit::over(&bed);
        audit.add(&sample.judged());
        audit.announced(&learned);
        let findings = audit.finish().findings;
        let [finding] = findings.as_slice() else { panic!("{findings:#?}") };
        assert_eq!((finding.rule, finding.severity), (RULE.name, Severity::Warning));
        assert_eq!(finding.confidence, Confidence::Medium);
        assert!(finding.message.ends_with("49152-57500), as SIP announced it"), "{finding:?}");
    }
}
