//! What few flows have, kept apart from the entries that every packet touches.

use super::sample::Taste;
use super::samples::Samples;
use super::{AhSeen, FrameRef, IcmpSeen, Wrapping};
use crate::decode::Layer;

/// What few flows have.
#[derive(Debug, Clone, Default)]
pub(super) struct Extra {
    pub(super) wrapping: Option<Wrapping>,
    pub(super) ah: Option<AhSeen>,
    pub(super) icmp: Option<IcmpSeen>,
    /// Of ESP in UDP.
    pub(super) spi: Option<u32>,
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

    /// Appends what one flow has to what another has.
    pub(super) fn join_extras(&mut self, ours: &mut u32, theirs: u32, flipped: bool) {
        if let Some(theirs) = self.peek(theirs).cloned()
            && let Some(ours) = self.extra(ours)
        {
            ours.join(&theirs, flipped);
        }
    }

    /// Adds to frame numbers; see [`super::FlowTable::rebase`].
    pub(super) fn rebase(&mut self, shift: impl Fn(&mut FrameRef)) {
        for extra in &mut self.extras {
            if let Some(ah) = &mut extra.ah {
                shift(&mut ah.first_frame);
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

    /// Appends that of the following part, but for the numbers of packets.
    pub(super) fn join(&mut self, next: &Self, flipped: bool) {
        for &layer in next.wrapping.iter().flat_map(|wrapping| &wrapping.layers) {
            self.add_layer(layer);
        }
        if let Some(mut ah) = next.ah {
            if flipped {
                ah.packets.swap(0, 1);
            }
            match &mut self.ah {
                None => self.ah = Some(ah),
                Some(mine) => {
                    for (mine, theirs) in mine.packets.iter_mut().zip(ah.packets) {
                        *mine += theirs;
                    }
                }
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
