//! What few flows have, kept apart from the entries that every packet touches.

use super::sample::Taste;
use super::samples::Samples;
use super::{Associations, FrameRef, IcmpSeen, Pace, Wrapping};
use crate::decode::Layer;
use crate::input::Timestamp;

/// What few flows have.
#[derive(Debug, Clone, Default)]
pub(super) struct Extra {
    pub(super) wrapping: Option<Wrapping>,
    pub(super) associations: Option<Box<Associations>>,
    pub(super) paces: Option<Box<[Pace; 2]>>,
    pub(super) icmp: Option<IcmpSeen>,
    /// Times of the earliest and the latest fragment that was counted to the flow without showing whose it
    /// is. Apart from the flow's own: such fragments may be counted later than what follows them.
    pub(super) late: Option<(Timestamp, Timestamp)>,
    /// Upper halves of the numbers of packets.
    pub(super) packets: [u32; 2],
}

/// Where entries keep what is too large or too rare for them.
#[derive(Debug, Clone, Default)]
pub(super) struct Store {
    pub(super) samples: Samples,
    extras: Vec<Extra>,
}

impl Store {
    /// Nothing yet, and what will be kept of payload.
    pub(super) fn tasting(taste: Taste) -> Self {
        Self { samples: Samples::tasting(taste), extras: Vec::new() }
    }

    /// Nothing, and what is kept of payload here.
    pub(super) fn anew(&self) -> Self {
        Self { samples: self.samples.anew(), extras: Vec::new() }
    }

    /// What a flow has, by the number it keeps; made where there is none yet.
    pub(super) fn extra(&mut self, entry_extra: &mut u32) -> Option<&mut Extra> {
        if *entry_extra == 0 {
            self.extras.push(Extra::default());
            *entry_extra = self.extras.len() as u32;
        }
        self.extras.get_mut(*entry_extra as usize - 1)
    }

    /// What a flow has, if anything.
    pub(super) fn peek(&self, extra: u32) -> Option<&Extra> {
        self.extras.get((extra as usize).checked_sub(1)?)
    }

    /// Whether what another store keeps has room here.
    pub(super) fn can_adopt(&self, others: &Self) -> bool {
        self.samples.can_adopt(&others.samples)
            && self.extras.len() + others.extras.len() < u32::MAX as usize
    }

    /// Takes over what another store keeps; tells where it is now.
    pub(super) fn adopt(&mut self, mut others: Self) -> Shift {
        let extras = self.extras.len() as u32;
        self.extras.append(&mut others.extras);
        Shift { extras, samples: self.samples.adopt(others.samples) }
    }

    /// Appends what one flow has to what another has, whose latest packet is of the time `last`.
    pub(super) fn join_extras(
        &mut self,
        ours: &mut u32,
        theirs: u32,
        flipped: bool,
        last: Timestamp,
    ) {
        if let Some(theirs) = self.peek(theirs).cloned()
            && let Some(ours) = self.extra(ours)
        {
            ours.join(&theirs, flipped, last);
        }
    }

    /// Adds to frame numbers; see [`super::FlowTable::rebase`].
    pub(super) fn rebase(&mut self, shift: impl Fn(&mut FrameRef)) {
        for extra in &mut self.extras {
            if let Some(associations) = &mut extra.associations {
                associations.rebase(&shift);
            }
            if let Some(icmp) = &mut extra.icmp {
                shift(&mut icmp.first_frame);
            }
        }
    }
}

/// By how much the numbers and places of an adopted store are larger now.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shift {
    pub(super) extras: u32,
    pub(super) samples: u32,
}

impl Extra {
    /// Notes an encapsulation, each kind once.
    pub(super) fn add_layer(&mut self, layer: Layer) {
        let layers = &mut self.wrapping.get_or_insert_default().layers;
        let kind = std::mem::discriminant(&layer);
        let known = layers.iter().any(|have| std::mem::discriminant(have) == kind);
        if !known && layers.len() < MAX_FLOW_LAYERS {
            layers.push(layer);
        }
    }

    /// Notes the times of fragments.
    pub(super) fn add_late(&mut self, (first, last): (Timestamp, Timestamp)) {
        let known = self.late.unwrap_or((first, last));
        self.late = Some((known.0.min(first), known.1.max(last)));
    }

    /// Whether packets were inside IPsec.
    pub(super) fn shows_ipsec(&self) -> bool {
        self.associations.is_some() || self.paces.is_some()
    }

    /// The SPI of ESP in UDP, of the first side that has any.
    pub(super) fn spi(&self) -> Option<u32> {
        let mut paces = self.paces.as_ref()?.iter();
        // One packet shows no number that goes on.
        paces.find(|pace| pace.packets == 1 || pace.is_association()).and_then(Pace::spi)
    }

    /// Appends that of the following part, but for the numbers of packets.
    pub(super) fn join(&mut self, next: &Self, flipped: bool, last: Timestamp) {
        for &layer in next.wrapping.iter().flat_map(|wrapping| &wrapping.layers) {
            self.add_layer(layer);
        }
        if let Some(late) = next.late {
            self.add_late(late);
        }
        if let Some(next) = &next.associations {
            self.associations.get_or_insert_default().join(next, flipped, last);
        }
        if let Some(next) = &next.paces {
            let sides = if flipped { [1, 0] } else { [0, 1] };
            for (own, from) in self.paces.get_or_insert_default().iter_mut().zip(sides) {
                own.join(&next[from]);
            }
        }
        if let Some(icmp) = next.icmp {
            self.icmp = Some(self.icmp.map_or(icmp, |old| graver(old, icmp)));
        }
    }
}

/// Errors about one flow, summed up.
pub(super) fn graver(a: IcmpSeen, b: IcmpSeen) -> IcmpSeen {
    let (kind, first_frame) = (a.kind, a.first_frame).min((b.kind, b.first_frame));
    IcmpSeen { first_frame, kind, count: a.count + b.count }
}

/// Kinds of encapsulation listed per flow.
const MAX_FLOW_LAYERS: usize = 8;
