//! `plan`: what must be open and what must be exempt, for a topology.

use super::args::{self, PlanPart};
use super::terminal::Terminal;
use super::{Ended, load_policy, to_stdout};
use crate::error::Error;
use crate::findings::remedy;
use crate::report::plan::{FORMATS, Holds, Plan};

pub(super) fn plan(args: &args::Plan, terminal: &Terminal) -> Ended {
    if args.expected.topology.is_none() {
        return Err(Error::Usage(NO_TOPOLOGY.into()).into());
    }
    let Some(format) = FORMATS.iter().find(|known| known.name == args.format) else {
        return Err(Error::Usage(format!("a plan has no format '{}'", args.format)).into());
    };
    let (open, exempt) = match (args.only, format.holds) {
        (Some(PlanPart::Open), Holds::Exempt) => {
            return Err(Error::Usage(format!(
                "the format {} makes exemptions and opens nothing; take --format powershell, table, \
                 json, csv or markdown with --only open",
                format.name
            ))
            .into());
        }
        (Some(PlanPart::Open), _) => (true, false),
        (Some(PlanPart::Exempt), _) | (None, Holds::Either | Holds::Exempt) => (false, true),
        (None, Holds::Everything) => (true, true),
    };
    let policy = load_policy(&args.expected)?;
    let plan = Plan {
        policy: &policy,
        openings: open.then(|| policy.openings()),
        exempt: exempt.then(|| remedy::exempt(&policy)),
    };
    let style = terminal.style();
    to_stdout(|out| (format.write)(&plan, style, out))
}

const NO_TOPOLOGY: &str = "a plan is for the hosts of a topology, and none was given: name its file \
                           with --topology, or in the environment variable PORTASSAY_TOPOLOGY";
