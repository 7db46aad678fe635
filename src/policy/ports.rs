//! stub
/// A set of ports as sorted, disjoint, inclusive ranges.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PortSet {
    ranges: Vec<(u16, u16)>,
}
impl PortSet {
    /// Sorted, disjoint, inclusive ranges.
    pub fn ranges(&self) -> &[(u16, u16)] {
        &self.ranges
    }
    /// Whether it holds a port.
    pub fn contains(&self, _port: u16) -> bool {
        todo!()
    }
    /// How many ports.
    pub fn count(&self) -> u32 {
        todo!()
    }
}
