//! stub
use super::{Expectation, ExpectationId, Party, Required, Role, RoleSet, Sources, Verdict};
use crate::error::Result;
use crate::flow::{DirectionBy, Flow, Side};
use crate::identify::Identification;
use std::net::IpAddr;
/// The policy in force, ready to judge.
#[derive(Debug)]
pub struct Policy {
    expectations: Vec<Expectation>,
}
impl Policy {
    /// Loads and compiles every layer. Errors name file, line, value and the nearest valid one.
    pub fn load(_sources: &Sources) -> Result<Self> {
        todo!()
    }
    /// Rows in force, sorted by pack and id.
    pub fn expectations(&self) -> &[Expectation] {
        &self.expectations
    }
    /// One row.
    pub fn expectation(&self, id: ExpectationId) -> &Expectation {
        &self.expectations[id.0 as usize]
    }
    /// Rows with this id (case-insensitive).
    pub fn find(&self, _id: &str) -> Option<&Expectation> {
        todo!()
    }
    /// Roles in declaration order.
    pub fn roles(&self) -> &[Role] {
        todo!()
    }
    /// Names of a role set, in declaration order.
    pub fn role_names(&self, _set: RoleSet) -> Vec<&str> {
        todo!()
    }
    /// Whether a topology is in force.
    pub fn has_topology(&self) -> bool {
        todo!()
    }
    /// Whether the strict reading is in force.
    pub fn strict(&self) -> bool {
        todo!()
    }
    /// Whether the topology declares IPsec deployed.
    pub fn ipsec_declared(&self) -> bool {
        todo!()
    }
    /// Who an address is.
    pub fn party(&self, _address: IpAddr) -> Party<'_> {
        todo!()
    }
    /// Who initiates, and how that is known.
    pub fn orient(&self, _flow: &Flow, _identification: &Identification) -> (Side, DirectionBy) {
        todo!()
    }
    /// Compares an oriented flow with the policy.
    pub fn judge(&self, _flow: &Flow, _identification: &Identification) -> Verdict {
        todo!()
    }
    /// What the topology's hosts must be reachable on.
    pub fn required(&self) -> &[Required] {
        todo!()
    }
    /// Exemption rows (X01…) and whether the topology has a host of the role.
    pub fn exemptions(&self) -> Vec<(ExpectationId, bool)> {
        todo!()
    }
}
