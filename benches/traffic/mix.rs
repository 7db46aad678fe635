//! The shapes of traffic that stress different parts, as data.

use super::service::{
    self, AUDIO, DNS, ESP, FOCUS, FOREIGN, HTTP_PLAIN, HTTPS, IKE, IN_AH, PEER_AUDIO, REFUSED,
    SHORT_TCP, SILENT, SIP_TLS, STRAY, STUN, TRUNK, VIDEO,
};

/// A mix of conversations.
#[derive(Debug)]
pub(crate) struct Mix {
    /// The stable name.
    pub(crate) name: &'static str,
    /// Flows at full size.
    pub(crate) flows: u64,
    /// One flow of so many is open at a time.
    pub(super) open: u64,
    /// Mean time from frame to frame, in nanoseconds.
    pub(super) gap: u64,
    shares: &'static [Share],
}

/// A service's share of a mix.
#[derive(Debug)]
pub(super) struct Share {
    /// Of [`WEIGHTS`] flows.
    weight: u64,
    pub(super) service: &'static service::Service,
    /// The least and most packets of a flow.
    pub(super) packets: (u32, u32),
    /// Payload lengths beyond the opening with their weights.
    sizes: &'static [(u64, usize)],
}

/// Whether the weights of every mix add up.
const _: () = {
    let mut mix = 0;
    while mix < Mix::ALL.len() {
        let (mut share, mut sum) = (0, 0);
        while share < Mix::ALL[mix].shares.len() {
            sum += Mix::ALL[mix].shares[share].weight;
            share += 1;
        }
        assert!(sum == WEIGHTS);
        mix += 1;
    }
};

/// What the weights of a mix add up to.
const WEIGHTS: u64 = 1000;

impl Mix {
    pub(crate) const ALL: [&'static Self; 4] = [&IMIX, &SMALL, &LARGE, &MANY];

    pub(super) fn share(&self, key: u64) -> &'static Share {
        let mut at = (key >> 8) % WEIGHTS;
        let mut shares = self.shares.iter();
        loop {
            match shares.next() {
                Some(share) if at < share.weight => return share,
                Some(share) => at -= share.weight,
                None => return &self.shares[0],
            }
        }
    }
}

impl Share {
    pub(super) fn size(&self, key: u64) -> usize {
        let total: u64 = self.sizes.iter().map(|(weight, _)| weight).sum();
        let mut at = key % total;
        for (weight, size) in self.sizes {
            if at < *weight {
                return *size;
            }
            at -= weight;
        }
        0
    }
}

const fn share(
    weight: u64,
    service: &'static service::Service,
    packets: (u32, u32),
    sizes: &'static [(u64, usize)],
) -> Share {
    Share { weight, service, packets, sizes }
}

/// Acknowledgements, small and full segments of interactive work.
const WORK: &[(u64, usize)] = &[(39, 0), (15, 90), (13, 300), (10, 640), (23, 1460)];
/// G.711 in packets of 20 ms, with RTP's header and SRTP's tag.
const G711: &[(u64, usize)] = &[(1, 182)];
/// Video at a moderate rate.
const VGA: &[(u64, usize)] = &[(1, 300), (1, 700), (2, 1100)];
/// Seldom more than an acknowledgement.
const TINY: &[(u64, usize)] = &[(80, 0), (10, 12), (10, 40)];
/// G.729 in packets of 20 ms.
const G729: &[(u64, usize)] = &[(1, 34)];
/// Downloads: two full segments and more to an acknowledgement.
const BULK: &[(u64, usize)] = &[(13, 0), (5, 700), (82, 1460)];
/// Video of high quality.
const HD: &[(u64, usize)] = &[(10, 900), (90, 1200)];

/// What a site looks like.
const IMIX: Mix = Mix {
    name: "imix",
    flows: 100_000,
    open: 2,
    gap: 4_000,
    shares: &[
        share(250, &DNS, (2, 2), &[]),
        share(80, &STUN, (2, 8), &[]),
        share(120, &SIP_TLS, (15, 55), WORK),
        share(195, &HTTPS, (30, 80), WORK),
        share(30, &FOCUS, (30, 80), WORK),
        share(40, &HTTP_PLAIN, (20, 60), WORK),
        share(20, &TRUNK, (12, 40), WORK),
        share(130, &AUDIO, (100, 160), G711),
        share(50, &PEER_AUDIO, (100, 160), G711),
        share(40, &VIDEO, (100, 200), VGA),
        share(10, &ESP, (50, 150), WORK),
        share(5, &IN_AH, (20, 40), WORK),
        share(5, &IKE, (2, 4), &[]),
        share(10, &STRAY, (8, 16), WORK),
        share(5, &FOREIGN, (10, 40), WORK),
        share(10, &REFUSED, (2, 2), &[]),
    ],
};

/// Headers and little else.
const SMALL: Mix = Mix {
    name: "small",
    flows: 100_000,
    open: 2,
    gap: 2_000,
    shares: &[
        share(100, &DNS, (2, 2), &[]),
        share(100, &STUN, (40, 100), &[]),
        share(200, &SIP_TLS, (60, 200), TINY),
        share(140, &HTTPS, (60, 200), TINY),
        share(330, &AUDIO, (100, 190), G729),
        share(90, &PEER_AUDIO, (90, 170), G729),
        share(10, &ESP, (50, 150), TINY),
        share(5, &IN_AH, (20, 40), TINY),
        share(5, &IKE, (2, 4), &[]),
        share(10, &STRAY, (8, 16), TINY),
        share(10, &REFUSED, (2, 2), &[]),
    ],
};

/// Full frames.
const LARGE: Mix = Mix {
    name: "large",
    flows: 20_000,
    open: 2,
    gap: 4_000,
    shares: &[
        share(50, &DNS, (2, 2), &[]),
        share(450, &HTTPS, (40, 124), BULK),
        share(150, &SIP_TLS, (40, 130), BULK),
        share(100, &HTTP_PLAIN, (60, 130), BULK),
        share(190, &VIDEO, (70, 150), HD),
        share(30, &ESP, (50, 150), BULK),
        share(5, &IN_AH, (50, 150), BULK),
        share(5, &IKE, (2, 4), &[]),
        share(20, &STRAY, (8, 16), BULK),
    ],
};

/// A new flow every few packets.
const MANY: Mix = Mix {
    name: "many",
    flows: 2_000_000,
    open: 10,
    gap: 2_000,
    shares: &[
        share(500, &DNS, (2, 2), &[]),
        share(150, &STUN, (2, 2), &[]),
        share(100, &REFUSED, (2, 2), &[]),
        share(80, &SILENT, (1, 1), &[]),
        share(120, &SHORT_TCP, (5, 8), &[(40, 0), (60, 100)]),
        share(50, &AUDIO, (5, 9), &[(1, 42)]),
    ],
};
