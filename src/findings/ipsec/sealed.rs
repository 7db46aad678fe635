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
    if case.judged.identification.protocol.is_some_and(|protocol| protocol != "ike") {
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

    /// What it says about the rows that it concerns, if it resembles media or all of it matters.
    pub(in crate::findings) fn ground(&self, case: &Case<'_>, with_call: bool) -> Option<Ground> {
        // A peer that nobody knows may be a gateway for remote users or another site.
        let both = case.initiator.roles.0 != 0 && case.responder.roles.0 != 0;
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

/// The code point of application sharing.
const SHARING: u8 = 24;
/// The code point of audio.
const AUDIO: u8 = 46;
/// Packets from which on a marking says something.
const SERIES: u64 = 100;
