//! The flow table of captures, judged when a topology is given.

use crate::error::{Error, Result};
use crate::pipeline::counts::CaptureCounts;
use crate::pipeline::judge::{self, JudgedFlow};
use crate::pipeline::read::{self, Progress, Reading};
use crate::policy::Policy;

/// The flows of captures, sorted by first frame.
#[derive(Debug)]
pub struct Listed {
    /// The flows with everything known about them.
    pub flows: Vec<JudgedFlow>,
    /// What was counted in each capture.
    pub captures: Vec<CaptureCounts>,
    /// Inputs that could not be used.
    pub errors: Vec<Error>,
}

/// Reads captures and lists their flows.
pub fn list(reading: &Reading, policy: &Policy, progress: &Progress) -> Result<Listed> {
    let mut survey = read::read(reading, progress)?;
    judge::believe(&mut survey.learned, &survey.table);
    let flows = judge::judge_all(policy, &survey.learned, survey.table.into_flows().collect());
    Ok(Listed { flows, captures: survey.captures, errors: survey.errors })
}
