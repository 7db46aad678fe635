//! Builds captures for tests, byte by byte and in either byte order.

use super::order::Order;

/// A pcap file header, version 2.4.
pub(super) fn pcap_header(order: Order, magic: u32, network: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(order.bytes32(magic));
    bytes.extend(order.bytes16(2));
    bytes.extend(order.bytes16(4));
    for word in [0, 0, 262_144, network] {
        bytes.extend(order.bytes32(word));
    }
    bytes
}

/// A pcap record with a header of 16 bytes.
pub(super) fn pcap_record(
    order: Order,
    seconds: u32,
    fraction: u32,
    data: &[u8],
    original: u32,
) -> Vec<u8> {
    let words = [seconds, fraction, data.len() as u32, original];
    let mut bytes: Vec<u8> = words.iter().flat_map(|word| order.bytes32(*word)).collect();
    bytes.extend(data);
    bytes
}

/// pcapng blocks in a row.
pub(super) struct Blocks {
    pub(super) order: Order,
    pub(super) bytes: Vec<u8>,
}

impl Blocks {
    pub(super) fn new(order: Order) -> Self {
        Self { order, bytes: Vec::new() }
    }

    pub(super) fn block(&mut self, kind: u32, body: &[u8]) -> &mut Self {
        let padded = body.len().next_multiple_of(4);
        let length = self.order.bytes32(padded as u32 + 12);
        self.bytes.extend(self.order.bytes32(kind));
        self.bytes.extend(length);
        self.bytes.extend(body);
        self.bytes.resize(self.bytes.len() + padded - body.len(), 0);
        self.bytes.extend(length);
        self
    }

    pub(super) fn section(&mut self) -> &mut Self {
        self.section_with(&[])
    }

    pub(super) fn section_with(&mut self, options: &[u8]) -> &mut Self {
        let mut body = self.order.bytes32(0x1a2b3c4d).to_vec();
        body.extend(self.order.bytes16(1));
        body.extend(self.order.bytes16(0));
        body.extend([0xff; 8]);
        body.extend(options);
        self.block(0x0a0d0d0a, &body)
    }

    pub(super) fn interface(&mut self, link_type: u16, snaplen: u32, options: &[u8]) -> &mut Self {
        let mut body = self.order.bytes16(link_type).to_vec();
        body.extend([0; 2]);
        body.extend(self.order.bytes32(snaplen));
        body.extend(options);
        self.block(1, &body)
    }

    pub(super) fn enhanced(
        &mut self,
        interface: u32,
        ticks: u64,
        data: &[u8],
        original: u32,
    ) -> &mut Self {
        self.enhanced_with(interface, ticks, data, original, &[])
    }

    pub(super) fn enhanced_with(
        &mut self,
        interface: u32,
        ticks: u64,
        data: &[u8],
        original: u32,
        options: &[u8],
    ) -> &mut Self {
        let start = self.order.bytes32(interface);
        self.packet(6, start, ticks, (data, original), options)
    }

    pub(super) fn old(
        &mut self,
        interface: u16,
        ticks: u64,
        data: &[u8],
        original: u32,
    ) -> &mut Self {
        let [a, b] = self.order.bytes16(interface);
        self.packet(2, [a, b, 0xff, 0xff], ticks, (data, original), &[])
    }

    pub(super) fn simple(&mut self, data: &[u8], original: u32) -> &mut Self {
        let mut body = self.order.bytes32(original).to_vec();
        body.extend(data);
        self.block(3, &body)
    }

    pub(super) fn statistics(&mut self, interface: u32, options: &[u8]) -> &mut Self {
        let mut body = self.order.bytes32(interface).to_vec();
        body.extend([0; 8]);
        body.extend(options);
        self.block(5, &body)
    }

    pub(super) fn option(&self, code: u16, value: &[u8]) -> Vec<u8> {
        let mut bytes = self.order.bytes16(code).to_vec();
        bytes.extend(self.order.bytes16(value.len() as u16));
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn packet(
        &mut self,
        kind: u32,
        start: [u8; 4],
        ticks: u64,
        (data, original): (&[u8], u32),
        options: &[u8],
    ) -> &mut Self {
        let mut body = start.to_vec();
        for word in [(ticks >> 32) as u32, ticks as u32, data.len() as u32, original] {
            body.extend(self.order.bytes32(word));
        }
        body.extend(data);
        if !options.is_empty() {
            body.resize(body.len().next_multiple_of(4), 0);
            body.extend(options);
        }
        self.block(kind, &body)
    }
}

impl Order {
    pub(super) fn bytes16(self, number: u16) -> [u8; 2] {
        match self {
            Self::Little => number.to_le_bytes(),
            Self::Big => number.to_be_bytes(),
        }
    }

    pub(super) fn bytes32(self, number: u32) -> [u8; 4] {
        match self {
            Self::Little => number.to_le_bytes(),
            Self::Big => number.to_be_bytes(),
        }
    }
}

/// An option in little-endian order.
pub(super) fn options(code: u16, value: &[u8]) -> Vec<u8> {
    Blocks::new(Order::Little).option(code, value)
}
