//! Media that SIP announces and that never comes: a wrong port is wrong before the first packet of RTP.
//!
//! There is no flow to look at, so one is made of what the announcement says: from the host that said it
//! to the endpoint that it named, without any packet.

use crate::decode::Transport;
use crate::flow::{Counters, DirectionBy, Endpoint, Flow, TcpSeen};
use crate::identify::Identification;
use crate::identify::signals::SignalKind;
use crate::policy::{Announced, Announcement, Class, Verdict};

/// The flow that was announced.
pub(super) fn flow(transport: Transport, to: Endpoint, announcement: &Announcement) -> Flow {
    Flow {
        transport,
        ends: [Endpoint { address: announcement.by, port: 0 }, to],
        spi: None,
        counters: [Counters::default(); 2],
        first: announcement.times[0],
        last: announcement.times[1],
        first_frame: announcement.at,
        tcp: [TcpSeen::default(); 2],
        acknowledged: Default::default(),
        wrapping: None,
        associations: None,
        paces: None,
        icmp: None,
        direction: DirectionBy::Policy,
    }
}

/// What the announcement says that the flow will speak.
pub(super) fn identification() -> Identification {
    Identification { protocol: Some(SignalKind::Sdp.protocol()), ..Identification::default() }
}

/// The verdict on a flow that was announced to a wrong port.
pub(super) fn verdict(announcement: &Announcement) -> Verdict {
    let announced = Announced { announcement: announcement.clone(), media: [false, true] };
    Verdict {
        class: Class::Unexpected,
        announced: Some(Box::new(announced)),
        ..Verdict::out_of_scope()
    }
}
