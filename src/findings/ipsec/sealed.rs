//! What the flows say whose content IPsec hides: which exemption rows they concern, and whether they resemble
//! media. A security association between two hosts never proves media by itself: it usually covers
//! whatever they say to each other.

use std::fmt;
use std::net::IpAddr;

use super::audio::{Likeness, Marking, marking};
use super::deployment::sealed_sides;
use super::ground::Ground;
use super::protected::includes;
use crate::decode::Transport;
use crate::findings::{Case, Row};
use crate::flow::{Pace, Side};
use crate::policy::Party;

/// One direction of hidden traffic.
#[derive(Debug, Clone, Copy)]
pub(in crate::findings) struct Sealed<'a> {
    pub(in crate::findings) sender: Side,
    pub(in crate::findings) pace: &'a Pace,
    rhythm: bool,
    marking: Option<Marking>,
}

/// The directions of a flow that IPsec hides. What a declared gateway wraps is not the hosts' own.
pub(in crate::findings) fn sealed<'a>(case: &Case<'a>) -> Vec<Sealed<'a>> {
    let flow = case.judged.flow;
    // Most flows have nothing to do with IPsec.
    if flow.paces.is_none() {
        return Vec::new();
    }
    if flow.ends.iter().any(|end| case.is_gateway(end.address)) {
        return Vec::new();
    }
    // RTP on port 4500 has an index where ESP has one; its content tells.
    let of_ipsec = |protocol| [IKE, IKE_IN_TCP].contains(&protocol);
    if case.judged.identification.protocol.is_some_and(|protocol| !of_ipsec(protocol)) {
        return Vec::new();
    }
    let look = |(sender, pace): (Side, &'a Pace)| {
        let [from, to] = [sender, sender.other()].map(|side| flow.ends[side.index()].address);
        Sealed {
            sender,
            pace,
            rhythm: has_rhythm(case, pace, (from, to)),
            marking: marking(pace).filter(|_| pace.packets >= SERIES),
        }
    };
    sealed_sides(flow).map(look).collect()
}

/// Whether a flow in which packets look like ESP is that beyond reasonable doubt: it is no port that others use as
/// well, or its hosts were seen to negotiate (`negotiated`), or each of them numbers packets of an association of its own.
/// Receivers choose the index (RFC 4303, 2.1), so that other protocols of port 4500, which begin with the same word both
/// ways, differ.
pub(in crate::findings) fn is_surely_esp(case: &Case<'_>, negotiated: bool) -> bool {
    let flow = case.judged.flow;
    if flow.transport.is_security_association() || negotiated {
        return true;
    }
    let spis: Vec<_> = sealed_sides(flow).filter_map(|(_, pace)| pace.spis).collect();
    let differ = |(first, last), (other_first, other_last)| {
        [first, last].iter().all(|spi| ![other_first, other_last].contains(spi))
    };
    case.judged.identification.protocol == Some(IKE_IN_TCP)
        || matches!(spis[..], [there, back] if differ(there, back))
}

/// Whether packets follow each other as audio does, and so do those that come back, if enough do.
fn has_rhythm(case: &Case<'_>, pace: &Pace, (from, to): (IpAddr, IpAddr)) -> bool {
    let back = case.deployment.stream(to, from).and_then(|stream| stream.pace);
    Likeness::of(pace) == Likeness::Audio
        && back.is_none_or(|back| Likeness::of(&back) != Likeness::Other)
}

impl Sealed<'_> {
    /// Whether it has the rhythm and size of audio.
    pub(in crate::findings) fn has_rhythm(&self) -> bool {
        self.rhythm
    }

    /// The same where its rhythm may be that of something else.
    pub(in crate::findings) fn without_rhythm(self) -> Self {
        Self { rhythm: false, ..self }
    }

    /// What it says about the rows that it concerns, if it resembles media or all of it matters.
    pub(in crate::findings) fn ground(&self, case: &Case<'_>, with_call: bool) -> Option<Ground> {
        // A peer that nobody knows may be a gateway for remote users or another site, and one whose role has
        // nothing to do with media has something else to say.
        let both = case.may_be_media();
        let as_audio = both && self.marking.is_some_and(|marking| marking.dscp == AUDIO);
        match (self.rhythm, self.marking) {
            (true, _) if as_audio || (both && with_call) => Some(Ground::RhythmInContext),
            (true, _) => Some(Ground::Rhythm),
            (false, Some(_)) => Some(Ground::Marked),
            (false, None) if case.strict() => Some(Ground::Hidden),
            (false, None) => None,
        }
    }

    /// The exemption rows that it concerns.
    pub(in crate::findings) fn rows<'r>(&self, case: &Case<'_>, rows: &[Row<'r>]) -> Vec<Row<'r>> {
        let (from, to) = match self.sender {
            Side::A => (&case.initiator, &case.responder),
            Side::B => (&case.responder, &case.initiator),
        };
        // Rhythm and marking of audio and video say nothing of what only TCP carries.
        let any = !self.rhythm && self.marking.is_none_or(|marking| marking.dscp == SHARING);
        let carried = |row: &&Row<'_>| any || row.transports.contains(&Transport::UDP.0);
        rows.iter().filter(|row| concerns(row, from, to)).filter(carried).copied().collect()
    }

    /// Whether packets that could have been read without encryption are missing.
    pub(in crate::findings) fn is_cut(&self) -> bool {
        self.pace.cut >= self.pace.packets.div_ceil(2)
    }
}

/// What it resembles, in words.
impl fmt::Display for Sealed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.rhythm {
            f.write_str("the rhythm and size of audio")?;
        }
        if let Some(Marking { dscp, media }) = self.marking {
            let lead = if self.rhythm { " and " } else { "" };
            write!(f, "{lead}the marking of {media} (DSCP {dscp})")?;
        }
        if !self.rhythm && self.marking.is_none() {
            f.write_str("no sign of media")?;
        }
        Ok(())
    }
}

/// Whether a row is about packets from one party to another. A row for anyone takes two known
/// parties, one of them no server.
pub(super) fn concerns(row: &Row<'_>, from: &Party<'_>, to: &Party<'_>) -> bool {
    if row.from.0 == 0 && row.to.0 == 0 {
        let known = from.roles.0 != 0 && to.roles.0 != 0;
        return known && !(from.server && to.server);
    }
    includes(row.from, from) && includes(row.to, to)
}

/// What detectors call key exchange, in UDP and in TCP.
const IKE: &str = "ike";
const IKE_IN_TCP: &str = "ike-tcp";
/// The code point of application sharing.
const SHARING: u8 = 24;
/// The code point of audio.
const AUDIO: u8 = 46;
/// Packets from which on a marking says something.
const SERIES: u64 = 100;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::testbed::{Sample, Testbed, flow};
    use crate::flow::Marked;
    use crate::input::Timestamp;

    /// Four seconds of marked audio.
    fn audio(spis: (u32, u32)) -> Pace {
        Pace {
            spis: Some(spis),
            sequences: Some((1, 200)),
            steps: 198,
            packets: 200,
            even: 199,
            short: 199,
            ip_bytes: 200 * 200,
            marked: Marked { audio: 200, ..Marked::default() },
            times: Some((Timestamp(0), Timestamp(4_000_000_000))),
            ..Pace::default()
        }
    }

    /// Audio on the port of ESP, one way or both.
    fn on_4500(there: Pace, back: Pace) -> Sample {
        let mut sample = flow("10.20.0.101:4500", "10.0.1.31:4500").udp();
        sample.flow.paces = Some(Box::new([there, back]));
        sample
    }

    #[test]
    fn on_a_port_that_others_use_each_host_has_an_association_of_its_own() {
        let sure = |sample: &Sample, negotiated| {
            let (bed, judged) = (Testbed::default(), sample.judged());
            is_surely_esp(&Case::of(&judged, &bed, &bed.deployment), negotiated)
        };
        let both = |there, back| on_4500(audio(there), audio(back));
        assert!(sure(&both((7, 7), (9, 9)), false));
        // Two rekeyings; others begin with the same word both ways, sooner or later.
        assert!(sure(&both((7, 8), (9, 10)), false));
        for (there, back) in [((7, 7), (7, 7)), ((7, 9), (8, 9)), ((7, 9), (9, 8))] {
            assert!(!sure(&both(there, back), false), "{there:?} {back:?}");
            assert!(sure(&both(there, back), true), "{there:?} {back:?}");
        }
        let one_way = on_4500(audio((7, 7)), Pace::default());
        assert!(!sure(&one_way, false) && sure(&one_way, true));
        assert!(sure(&one_way.protocol("ike-tcp"), false));
        assert!(sure(&flow("10.20.0.101:0", "10.0.1.31:0").esp(9), false));
    }

    #[test]
    fn a_host_whose_role_carries_no_media_makes_nothing_likely() {
        let bed = Testbed::default();
        let with = |host: &str| {
            let sample = flow("10.20.0.101:0", &format!("{host}:0")).esp(7).paced(audio((7, 7)));
            let judged = sample.judged();
            let case = Case::of(&judged, &bed, &bed.deployment);
            sealed(&case).iter().map(|sealed| sealed.ground(&case, true)).collect::<Vec<_>>()
        };
        assert_eq!(with("10.0.1.31"), [Some(Ground::RhythmInContext)]);
        assert_eq!(with("10.0.1.41"), [Some(Ground::Rhythm)]);
        assert_eq!(with("203.0.113.9"), [Some(Ground::Rhythm)]);
    }
}
