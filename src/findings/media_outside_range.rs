//! Media on a port that its host's role does not have for media.

use super::{Case, Rule, Severity, Sight, Spark, Telling};
use crate::identify::Confidence;
use crate::policy::Misfit;

pub(super) const RULE: Rule = Rule {
    name: "media-outside-range",
    severity: Severity::Error,
    what: "RTP is plainly seen at a host on a port outside of the media range of its role.",
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
    Some(Spark {
        severity: if own.server { Severity::Error } else { Severity::Warning },
        confidence: Confidence::High,
        expectation: Some(row.key),
        rows: vec![row.key],
        misfit: Some(misfit),
        // Every call has a port of its own.
        range: Some(match misfit {
            Misfit::OwnPort => "outside-own-media",
            _ => "outside-media",
        }),
        frame: None,
        detail: None,
    })
}

fn message(telling: &Telling<'_>) -> String {
    let outside = match telling.misfit() {
        Some(Misfit::OwnPort) => "from a port outside of its own media range",
        Some(_) => "outside of its media range",
        None => "outside of a media range",
    };
    let ranges: Vec<String> = telling.rows().iter().map(ToString::to_string).collect();
    format!(
        "{} {} {} with {} on {}, {outside} ({})",
        telling.initiator(),
        telling.reaches(),
        telling.responder(),
        telling.protocol_or("media"),
        telling.service(),
        ranges.join("; "),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::testbed::{AUDIO, Testbed, flow};
    use crate::policy::Class;

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
}
