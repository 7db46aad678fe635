//! Whether IPsec covers what it must leave alone: who uses it, what is plainly or probably media inside it,
//! and what that says about each exemption row.
//!
//! | file | question |
//! |---|---|
//! | `deployment` | between which hosts are there security associations, and how do their packets follow each other |
//! | `protected` | which rows does a flow break whose content could be read |
//! | `sealed` | which rows does a flow concern whose content cannot be read |
//! | `clear` | which rows does a flow of clear media respect |
//! | `held_up` | what does a negotiation say that began with media |
//! | `ground` | how sure is each of these |
//! | `configured` | what do the hosts' exported rules say about it |
//! | `exemptions` | what is the answer per row |

mod audio;
pub(super) mod clear;
mod configured;
pub(super) mod deployment;
pub(super) mod exemptions;
mod ground;
pub(super) mod held_up;
pub(super) mod protected;
pub(super) mod sealed;

pub use configured::Configured;
pub use deployment::Deployment;
pub use exemptions::{Exemption, Peers};
pub(super) use ground::Ground;
pub use ground::{meaning, words};
pub(super) use held_up::HeldUp;
