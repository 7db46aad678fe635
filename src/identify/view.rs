//! A sample as detectors look at it: what each side said, taken apart once for all of them.

use std::borrow::Cow;

use super::sides::{Datagrams, SIDES};
use crate::flow::key::Side;
use crate::flow::sample::{Carrier, Heard, Piece, Said};

/// Both sides of a sample.
#[derive(Debug)]
pub struct View<'s> {
    carrier: Carrier,
    said: [Said<'s>; 2],
    /// The beginnings of both byte streams; empty for datagrams.
    streams: [Cow<'s, [u8]>; 2],
}

impl<'s> View<'s> {
    /// Takes a sample apart.
    pub fn of(heard: impl Into<Heard<'s>>) -> Self {
        let Heard { carrier, said, .. } = heard.into();
        let streams = match carrier {
            Carrier::Stream => [said[0].stream(), said[1].stream()],
            Carrier::Datagrams => [Cow::default(), Cow::default()],
        };
        Self { carrier, said, streams }
    }

    /// How the payload is carried.
    pub(super) fn carrier(&self) -> Carrier {
        self.carrier
    }

    /// The beginning of one side's byte stream; empty for datagrams.
    pub(super) fn stream(&self, side: Side) -> &[u8] {
        &self.streams[side.index()]
    }

    /// The packets of one side, also those without captured bytes.
    pub(super) fn pieces(&self, side: Side) -> &[Piece<'_>] {
        self.said[side.index()].pieces()
    }

    /// The gist of what a side said first; see [`gist`](super::TASTE).
    pub(super) fn gist(&self, side: Side) -> &[u8] {
        self.said[side.index()].gist
    }

    /// The datagrams of one side.
    pub(super) fn datagrams(&self, side: Side) -> Datagrams<'_> {
        Datagrams::of(self.pieces(side))
    }

    /// Whether any payload byte was captured; a short snap length leaves only lengths.
    pub(super) fn shows_payload(&self) -> bool {
        SIDES.iter().any(|&side| self.pieces(side).iter().any(|piece| !piece.bytes.is_empty()))
    }
}
