//! What hosts' own exported rules say about the media that was seen: that it was exempt all along, which
//! contradicts what was seen, or that it was not, which explains it.

use std::collections::BTreeMap;

use super::exemptions::place;
use super::protected::Protected;
use crate::findings::Case;
use crate::flow::{FrameRef, Side};
use crate::policy::exports::{Action, HostPolicy, Passage};

/// What a host's exported policy says about what was seen of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configured {
    /// The host or network whose policy it is.
    pub host: String,
    /// The name of the rule that decides; None where no rule is about it.
    pub rule: Option<String>,
    /// `exempts`, `secures` or, without a rule, `nothing`.
    pub says: &'static str,
    /// What was seen, such as `inside-ipsec`.
    pub seen: &'static str,
    /// Whether the two cannot both be, unless something changed or is not applied.
    pub contradicts: bool,
    /// Where that begins.
    pub frame: FrameRef,
    /// All of it as a sentence.
    pub text: String,
}

/// Media of which exported rules are asked, and how each end of it took part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::findings) struct Asking {
    packets: Passage,
    /// Of the sender, then of the receiver.
    seen: [Seen; 2],
}

/// What was seen, as it concerns the policy of one end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::findings) enum Seen {
    /// The media came inside IPsec.
    Inside,
    /// The host began a negotiation with the media.
    Initiated,
    /// The peer began it, and the host agreed.
    Agreed,
    /// Either of these, and other traffic began as well.
    AmongOthers,
    /// The peer asked for IPsec as the media began, and nothing came of it.
    AskedByPeer,
    /// The media came in clear.
    Clear,
}

impl Asking {
    /// Of what one side of a flow sends.
    pub(in crate::findings) fn of(case: &Case<'_>, sender: Side, seen: [Seen; 2]) -> Self {
        let flow = case.judged.flow;
        let [from, to] = [sender, sender.other()].map(|side| flow.ends[side.index()]);
        Self { packets: Passage { transport: flow.transport, from, to }, seen }
    }

    /// Of what came inside IPsec, unless others than its own hosts wrapped it: their policy is not the hosts'.
    pub(in crate::findings) fn inside(case: &Case<'_>, protected: &Protected<'_>) -> Option<Self> {
        let own = !protected.in_tunnel(case);
        own.then(|| Self::of(case, protected.sender, [Seen::Inside; 2]))
    }
}

impl Seen {
    fn token(self) -> &'static str {
        match self {
            Self::Inside => "inside-ipsec",
            Self::Initiated => "initiated",
            Self::Agreed => "agreed",
            Self::AmongOthers => "negotiated-among-others",
            Self::AskedByPeer => "asked-by-peer",
            Self::Clear => "in-clear",
        }
    }

    fn contradicts(self, action: Option<Action>) -> bool {
        match self {
            Self::Inside | Self::Initiated | Self::Agreed => action != Some(Action::Secure),
            Self::Clear => action == Some(Action::Secure),
            Self::AmongOthers | Self::AskedByPeer => false,
        }
    }
}

/// What the exported rules say about one row: of each rule and each thing seen, where that was first.
#[derive(Debug, Default)]
pub(super) struct Said(BTreeMap<Rule, (FrameRef, Asking)>);

/// A rule by the positions of its host's policy and of itself, None where the host has none, and what was seen.
type Rule = (usize, Option<usize>, Seen);

/// How the policy of an end is asked: as the sender's or the receiver's.
type Decides = fn(&HostPolicy, &Passage) -> Option<usize>;

impl Said {
    /// Asks the policies of both ends. The order of asking decides nothing.
    pub(super) fn ask(&mut self, policies: &[HostPolicy], asking: Asking, frame: FrameRef) {
        let Asking { packets, seen: [by_sender, by_receiver] } = asking;
        let ends: [(_, Decides, _); 2] = [
            (packets.from.address, HostPolicy::sending, by_sender),
            (packets.to.address, HostPolicy::receiving, by_receiver),
        ];
        for (address, decides, seen) in ends {
            let own = policies.iter().enumerate().filter(|(_, policy)| policy.is_of(address));
            let rules: Vec<_> = own
                .map(|(position, policy)| (position, policy, decides(policy, &packets)))
                .collect();
            // A host may have several exports, one a store: it has no rule where none of them has.
            let silent =
                rules.iter().all(|(_, policy, rule)| rule.is_none() && policy.is_understood());
            for (position, _, rule) in rules {
                if rule.is_none() && !silent {
                    continue;
                }
                let first = self.0.entry((position, rule, seen)).or_insert((frame, asking));
                *first = (*first).min((frame, asking));
            }
        }
    }

    /// What there is to tell, contradictions first, then by frame; at most [`MAX_TOLD`].
    pub(super) fn tell(&self, policies: &[HostPolicy]) -> Vec<Configured> {
        let told = self.0.iter().filter_map(|(&(position, rule, seen), &(frame, asking))| {
            let policy = policies.get(position)?;
            let host = policy.host();
            let decides = rule.and_then(|rule| policy.rule(rule));
            let text = match decides {
                Some((rule, action)) => sentence(host, rule, action, seen, (frame, asking)),
                None => silence(host, seen, (frame, asking)),
            }?;
            let action = decides.map(|(_, action)| action);
            Some(Configured {
                host: host.to_owned(),
                rule: decides.map(|(rule, _)| rule.to_owned()),
                says: match action {
                    None => "nothing",
                    Some(Action::Exempt) => "exempts",
                    Some(_) => "secures",
                },
                seen: seen.token(),
                contradicts: seen.contradicts(action),
                frame,
                text,
            })
        });
        let mut told: Vec<Configured> = told.collect();
        // What is equal in all of this keeps the order of the exports.
        told.sort_by(|a, b| {
            let rank = |one: &Configured| (!one.contradicts, one.frame);
            rank(a).cmp(&rank(b)).then_with(|| (&a.host, &a.rule).cmp(&(&b.host, &b.rule)))
        });
        told.dedup();
        told.truncate(MAX_TOLD);
        told
    }
}

/// What there is to say of a rule and what was seen, if anything.
fn sentence(
    host: &str,
    rule: &str,
    action: Action,
    seen: Seen,
    (frame, asking): (FrameRef, Asking),
) -> Option<String> {
    let (media, place) = (asking.packets, place(frame));
    let of = format!("rule '{rule}' of the export of {host}");
    Some(match (action, seen) {
        (Action::Exempt, Seen::Inside) => format!(
            "{of} exempts {media}, and yet it came inside IPsec ({place}): {NOT_APPLIED}, or the \
             peer asked for IPsec"
        ),
        (Action::Exempt, Seen::Initiated) => {
            format!(
                "{of} exempts {media}, and yet {host} began to negotiate ({place}): {NOT_APPLIED}"
            )
        }
        (Action::Exempt, Seen::Agreed) => format!(
            "{of} exempts {media}, and yet {host} agreed as the peer asked for IPsec ({place}): \
             {NOT_APPLIED}, or what the peer asks for goes before it"
        ),
        (Action::Exempt, Seen::AmongOthers) => format!(
            "{of} exempts {media}: the negotiation that came with it ({place}) is rather of the \
             other traffic that began then"
        ),
        (Action::Exempt, Seen::AskedByPeer) => format!(
            "{of} exempts {media}, for which the peer began to negotiate ({place}): the exemption \
             is missing at the peer"
        ),
        (Action::Secure, Seen::Clear) => format!(
            "{of} secures {media}, and yet it came in clear ({place}): {NOT_APPLIED}, or it only \
             asks for IPsec and lets clear pass"
        ),
        (Action::Secure, _) => {
            format!("{of} secures {media} ({place}), and no exemption is known to go before it")
        }
        (Action::Exempt, Seen::Clear) | (Action::Block | Action::Unknown, _) => return None,
    })
}

/// What there is to say where no rule is about what was seen, if anything.
fn silence(host: &str, seen: Seen, (frame, asking): (FrameRef, Asking)) -> Option<String> {
    let (media, place) = (asking.packets, place(frame));
    let none = format!("the export of {host} has no rule about {media}");
    Some(match seen {
        Seen::Inside => {
            format!("{none}, and yet it came inside IPsec ({place}): {ANOTHER_STORE}")
        }
        Seen::Initiated => {
            format!("{none}, and yet {host} began to negotiate ({place}): {ANOTHER_STORE}")
        }
        Seen::Agreed => format!(
            "{none}, and yet {host} agreed as the peer asked for IPsec ({place}): {ANOTHER_STORE}"
        ),
        Seen::AskedByPeer => format!(
            "{none}, for which the peer began to negotiate ({place}): the exemption is missing at \
             the peer"
        ),
        Seen::AmongOthers | Seen::Clear => return None,
    })
}

/// How a host may use IPsec without a rule in its export.
const ANOTHER_STORE: &str = "the rules in force are in another store than the one exported, or \
     are not those of the time of the capture";
/// How a rule may say one thing and the host do another.
const NOT_APPLIED: &str =
    "the rule came later, is not applied (gpupdate, another profile of the network)";
/// Rules told of one row.
const MAX_TOLD: usize = 5;

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::decode::Transport;
    use crate::findings::testbed::{EXEMPT_IN, EXEMPT_OUT, Sample, Testbed, flow};
    use crate::flow::Endpoint;
    use crate::policy::exports::Export;
    use crate::policy::{Layer, MediaSign, Policy, Profile};

    const SITE: &str = "[[host]]\nname = \"med01\"\naddresses = [\"10.0.1.31\"]\nroles = [\"mediation\"]\n\
                        [[network]]\nname = \"users\"\nprefixes = [\"10.20.0.0/24\"]\nroles = [\"client\"]\n";
    const SECURE: &str = "v2.10|Action=SecureServer|Active=TRUE|Name=Isolation|\n";
    const EXEMPT: &str =
        "v2.10|Action=DoNotSecure|Active=TRUE|Name=Media|Protocol=17|EP2Port2_10=49152-57500|\n";

    fn policy_of(name: &str, rules: &str) -> HostPolicy {
        let layers = crate::policy::builtin::layers();
        let site = Layer::named("site", SITE);
        let policy = Policy::compile(&layers, Some(&site), Profile::default(), false).unwrap();
        let owner = policy.topology().unwrap().owner_named(name).unwrap();
        HostPolicy::of(&Export::read(rules.as_bytes(), Path::new("x"), name).unwrap(), owner)
    }

    fn bed(policies: &[(&str, &str)]) -> Testbed {
        let exported = policies.iter().map(|(name, rules)| policy_of(name, rules)).collect();
        Testbed { exported, ..Testbed::default() }
    }

    fn talk() -> Sample {
        let both = [(EXEMPT_IN, MediaSign::Content), (EXEMPT_OUT, MediaSign::Content)];
        flow("10.20.0.101:50020", "10.0.1.31:49200").udp().exempt(&both)
    }

    /// What is told of the inbound row.
    fn told(bed: &Testbed, samples: &[Sample]) -> Vec<Configured> {
        bed.summary(samples).exemptions.remove(0).configured
    }

    #[test]
    fn an_exemption_that_was_configured_contradicts_media_inside_ipsec() {
        let both = [SECURE, EXEMPT].concat();
        let bed = bed(&[("med01", &both), ("users", SECURE)]);
        let told = told(&bed, &[talk().inside_ah([40, 40])]);
        let [first, second] = &told[..] else { panic!("two: {told:?}") };
        assert_eq!(
            first.text,
            "rule 'Media' of the export of med01 exempts udp 10.20.0.101:50020 -> 10.0.1.31:49200, \
             and yet it came inside IPsec (capture 0, frame 3): the rule came later, is not applied \
             (gpupdate, another profile of the network), or the peer asked for IPsec"
        );
        assert_eq!((first.says, first.seen, first.contradicts), ("exempts", "inside-ipsec", true));
        assert_eq!(
            second.text,
            "rule 'Isolation' of the export of users secures udp 10.20.0.101:50020 -> \
             10.0.1.31:49200 (capture 0, frame 3), and no exemption is known to go before it"
        );
        assert_eq!(
            (second.host.as_str(), second.says, second.contradicts),
            ("users", "secures", false)
        );
    }

    #[test]
    fn clear_media_contradicts_a_rule_that_secures_it_and_only_that() {
        let esp = flow("10.20.0.101:0", "10.0.1.31:0").esp(0xaabb);
        let samples = [talk().packets(300, 290), esp];
        let secured = told(&bed(&[("med01", SECURE)]), &samples);
        assert_eq!((secured.len(), secured[0].seen, secured[0].contradicts), (1, "in-clear", true));
        assert!(secured[0].text.contains("and yet it came in clear"), "{}", secured[0].text);
        assert_eq!(told(&bed(&[("med01", &[SECURE, EXEMPT].concat())]), &samples), []);
    }

    #[test]
    fn what_others_wrap_is_no_matter_of_the_hosts_rules() {
        let tunnel = talk().in_tunnel(("203.0.113.1", "203.0.113.2"), 40);
        let bed = bed(&[("med01", EXEMPT)]);
        let summary = bed.summary(&[tunnel]);
        assert_eq!(summary.exemptions[0].status, "proven");
        assert_eq!(summary.exemptions[0].configured, []);
    }

    #[test]
    fn ipsec_without_a_rule_is_of_another_policy_than_the_exported_one() {
        let inside = [talk().inside_ah([40, 40])];
        let tcp = EXEMPT.replace("Protocol=17", "Protocol=6");
        let told_of = |rules: &str| told(&bed(&[("med01", rules)]), &inside);
        let [silent] = &told_of(&tcp)[..] else { panic!("one") };
        assert_eq!((&silent.rule, silent.says, silent.contradicts), (&None, "nothing", true));
        assert_eq!(
            silent.text,
            "the export of med01 has no rule about udp 10.20.0.101:50020 -> 10.0.1.31:49200, and \
             yet it came inside IPsec (capture 0, frame 3): the rules in force are in another \
             store than the one exported, or are not those of the time of the capture"
        );
        // A rule that is not understood may be the one.
        assert_eq!(
            told_of(&[&tcp, "v2.10|Action=SecureServer|Active=TRUE|Name=New|Zone=9|\n"].concat()),
            []
        );
        assert_eq!(told(&bed(&[]), &inside), [], "no export");
        // Nor does a store count that is not the only one.
        let stores = told(&bed(&[("med01", &tcp), ("med01", SECURE)]), &inside);
        assert_eq!(stores.iter().map(|one| one.says).collect::<Vec<_>>(), ["secures"]);
        // Clear media needs no rule.
        let clear = [talk().packets(300, 290), flow("10.20.0.101:0", "10.0.1.31:0").esp(0xaabb)];
        assert_eq!(told(&bed(&[("med01", &tcp)]), &clear), []);
    }

    fn asking(port: u16, seen: [Seen; 2]) -> Asking {
        let [from, to] = [("10.20.0.101", port), ("10.0.1.31", 49200)]
            .map(|(address, port)| Endpoint { address: address.parse().unwrap(), port });
        Asking { packets: Passage { transport: Transport::UDP, from, to }, seen }
    }

    #[test]
    fn each_end_is_told_by_how_it_took_part() {
        let both = [SECURE, EXEMPT].concat();
        let said = |rules: &str, seen: [Seen; 2]| {
            let policies = [policy_of("med01", rules), policy_of("users", rules)];
            let mut said = Said::default();
            said.ask(&policies, asking(5000, seen), FrameRef { capture: 0, frame: 9 });
            let told = said.tell(&policies);
            told.into_iter().map(|one| (one.host, one.contradicts, one.text)).collect::<Vec<_>>()
        };
        let refused = said(&both, [Seen::Initiated, Seen::AskedByPeer]);
        assert_eq!((refused[0].0.as_str(), refused[0].1), ("users", true));
        assert!(refused[0].2.contains("and yet users began to negotiate"), "{}", refused[0].2);
        assert_eq!((refused[1].0.as_str(), refused[1].1), ("med01", false));
        assert!(refused[1].2.ends_with("the exemption is missing at the peer"), "{}", refused[1].2);
        let agreed = said(&both, [Seen::Initiated, Seen::Agreed]);
        assert!(agreed.iter().all(|(_, contradicts, _)| *contradicts));
        assert!(agreed[0].2.contains("and yet med01 agreed as the peer asked"), "{}", agreed[0].2);
        let others = said(&both, [Seen::AmongOthers; 2]);
        assert!(others.iter().all(|(_, contradicts, text)| {
            !contradicts && text.contains("is rather of the other traffic")
        }));
        let other = EXEMPT.replace("Protocol=17", "Protocol=6");
        let silent = said(&other, [Seen::Initiated, Seen::AskedByPeer]);
        assert_eq!((silent[0].0.as_str(), silent[0].1), ("users", true));
        assert!(silent[0].2.contains("and yet users began to negotiate"), "{}", silent[0].2);
        assert_eq!((silent[1].0.as_str(), silent[1].1), ("med01", false));
        assert!(silent[1].2.ends_with("missing at the peer"), "{}", silent[1].2);
        assert_eq!(said(&other, [Seen::AmongOthers, Seen::Clear]), []);
        let secured = said(SECURE, [Seen::Initiated, Seen::AskedByPeer]);
        assert!(secured.iter().all(|(.., text)| text.contains("no exemption is known")));
        assert_eq!(secured.len(), 2);
    }

    #[test]
    fn the_first_of_each_is_told_in_whatever_order_they_come_and_no_more_than_five() {
        let rule = |port: u16| {
            EXEMPT.replace("Name=Media", &format!("Name=M{port}|EP1Port2_10={port}-{port}"))
        };
        let rules: Vec<String> = (0..9).map(rule).collect();
        let policies = [policy_of("med01", &rules.concat())];
        let mut asked: Vec<(u16, u64)> = (0..9).map(|port| (port, 100 - u64::from(port))).collect();
        asked.extend((0..9).map(|port| (port, 200 + u64::from(port))));
        let tell = |asked: &[(u16, u64)]| {
            let mut said = Said::default();
            for &(port, frame) in asked {
                let frame = FrameRef { capture: 0, frame };
                said.ask(&policies, asking(port, [Seen::Inside; 2]), frame);
            }
            said.tell(&policies)
        };
        let forward = tell(&asked);
        asked.reverse();
        assert_eq!(forward, tell(&asked));
        let frames: Vec<u64> = forward.iter().map(|one| one.frame.frame).collect();
        assert_eq!(frames, [92, 93, 94, 95, 96]);
        assert_eq!(forward[0].rule.as_deref(), Some("M8"));
    }
}
