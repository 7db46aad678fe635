//! The kinds of caution about exported rules, each with a stable name and what it means.

/// What a caution is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// An exemption is there and has no effect.
    InactiveExemption,
    /// An answer hangs on a rule that is not understood in every part.
    HangsOn,
    /// An exemption counts only under a condition.
    Restricted,
    /// An exemption is not in force in every profile.
    NotEveryProfile,
    /// An exemption lists ports where the row has a range.
    SinglePorts,
    /// An exemption ends one port before the row's range does.
    OnePortShort,
    /// An exemption names its ends the other way round.
    EndsExchanged,
    /// An exemption covers more than it says.
    WiderThanAsked,
    /// An exemption covers more than the rows ask.
    WiderThanRow,
    /// An exemption names no protocol.
    AnyProtocol,
    /// An exemption switches IPsec off.
    ExemptsEverything,
    /// A securing rule is more specific than an exemption.
    MoreSpecificSecuringRule,
    /// The row asks for nearly all ports.
    NearlyAllPorts,
    /// The comparison was given up.
    TooManyRules,
    /// A rule is not understood in every part.
    NotUnderstood,
    /// A rule secures through a tunnel.
    Tunnel,
    /// The export holds no rule.
    NoRules,
    /// The label names nobody.
    UnknownLabel,
    /// No host of any role is among the exports.
    PeersOnly,
    /// One host exempts what another does not.
    OneEndOnly,
}

impl Kind {
    /// Every kind, those of rows first.
    pub const ALL: [Self; 20] = [
        Self::InactiveExemption,
        Self::HangsOn,
        Self::Restricted,
        Self::NotEveryProfile,
        Self::SinglePorts,
        Self::OnePortShort,
        Self::EndsExchanged,
        Self::WiderThanAsked,
        Self::WiderThanRow,
        Self::AnyProtocol,
        Self::ExemptsEverything,
        Self::MoreSpecificSecuringRule,
        Self::NearlyAllPorts,
        Self::TooManyRules,
        Self::NotUnderstood,
        Self::Tunnel,
        Self::NoRules,
        Self::UnknownLabel,
        Self::PeersOnly,
        Self::OneEndOnly,
    ];

    /// The stable name used in machine output.
    pub fn token(self) -> &'static str {
        match self {
            Self::InactiveExemption => "inactive-exemption",
            Self::HangsOn => "hangs-on",
            Self::Restricted => "restricted",
            Self::NotEveryProfile => "not-every-profile",
            Self::SinglePorts => "single-ports",
            Self::OnePortShort => "one-port-short",
            Self::EndsExchanged => "ends-exchanged",
            Self::WiderThanAsked => "wider-than-asked",
            Self::WiderThanRow => "wider-than-row",
            Self::AnyProtocol => "any-protocol",
            Self::ExemptsEverything => "exempts-everything",
            Self::MoreSpecificSecuringRule => "more-specific-securing-rule",
            Self::NearlyAllPorts => "nearly-all-ports",
            Self::TooManyRules => "too-many-rules",
            Self::NotUnderstood => "not-understood",
            Self::Tunnel => "tunnel",
            Self::NoRules => "no-rules",
            Self::UnknownLabel => "unknown-label",
            Self::PeersOnly => "peers-only",
            Self::OneEndOnly => "one-end-only",
        }
    }

    /// What it means, and what to do.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::InactiveExemption => {
                "An exemption would do and has no effect, for the reason that is named: it is disabled, its store does not count, or Group Policy switches local rules off. Mend that rather than add another rule."
            }
            Self::HangsOn => {
                "A rule meets the row's traffic and is not understood in every part, so that the answer may be another. Look at the rule on the host."
            }
            Self::Restricted => {
                "The exemption counts under a condition only, such as one type of network interface. Where the condition does not hold, media is secured."
            }
            Self::NotEveryProfile => {
                "The exemption is in force in some of the profiles domain, private and public only. A host whose network is taken for another one secures its media."
            }
            Self::SinglePorts => {
                "The exemption lists ports one by one where the row has a range. Ports between them are secured: write the range."
            }
            Self::OnePortShort => {
                "The exemption ends one port before the range of the row. The tables name the port behind the last that the product uses, so this is accepted, and with --strict it is a gap."
            }
            Self::EndsExchanged => {
                "The exemption names the peer as endpoint 1. Windows tries both ways; a second rule with the ends exchanged makes sure."
            }
            Self::WiderThanAsked => {
                "The exemption covers more than its words say, because what installs it cannot hold them, such as a range of ports that becomes a port and a mask."
            }
            Self::WiderThanRow => {
                "The exemption leaves every port of its hosts alone, signalling too. The rows ask for the media ports; narrow it if the rest is to be secured."
            }
            Self::AnyProtocol => {
                "The exemption names no protocol, so that it leaves ICMP and all others alone as well. Make it one rule for UDP and one for TCP."
            }
            Self::ExemptsEverything => {
                "The exemption leaves every host and port alone: IPsec is off, for one protocol or as a whole. Media is exempt, and so is all that should be secured."
            }
            Self::MoreSpecificSecuringRule => {
                "A rule that secures is more specific than one that exempts the same traffic. Which of the two goes first is not documented for Windows; take the media ports out of the one that secures."
            }
            Self::NearlyAllPorts => {
                "The row asks for nearly all ports because the topology names no range. Write the site's range into [media] of the topology."
            }
            Self::TooManyRules => {
                "The rules cut the traffic of the row into more pieces than are compared. Exempt whole prefixes and ranges, and ask again."
            }
            Self::NotUnderstood => {
                "A part of the rule is unknown, in another language, or cut off. No exemption is counted on for it."
            }
            Self::Tunnel => {
                "The rule sends traffic through a tunnel. That is a gateway's policy and is not judged."
            }
            Self::NoRules => {
                "The export was read and holds no rule. The rules may be in another store, or the command was not run as an administrator."
            }
            Self::UnknownLabel => {
                "The name of the export is neither a host nor a network of the topology, so that it was judged as anyone's who talks to the roles' hosts. Write NAME=FILE, or --host NAME."
            }
            Self::PeersOnly => {
                "Only policies of hosts that talk to the roles were given. An exemption must exist at both ends: export a host of each role too."
            }
            Self::OneEndOnly => {
                "One host exempts the row's traffic and the host at the other end does not. One end that asks for IPsec is enough to have it negotiated."
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::findings::exported::words;

    #[test]
    fn each_word_has_one_meaning() {
        let tokens: BTreeSet<&str> = words().collect();
        assert_eq!(tokens.len(), words().count());
        assert!(Kind::ALL.is_sorted(), "every kind stands once, in order");
    }
}
