//! stub
/// A set of roles, as bits by their position in the policy's list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, PartialOrd, Ord)]
pub struct RoleSet(pub u64);
/// A role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// Stable name.
    pub name: String,
    /// For people.
    pub title: String,
    /// A server rather than a client, phone or foreign device.
    pub server: bool,
}
