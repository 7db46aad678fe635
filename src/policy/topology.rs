//! stub
/// Hosts, networks and their roles.
#[derive(Debug, Clone, Default)]
pub struct Topology {}
