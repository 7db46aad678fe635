//! Hidden traffic that looks like media, between hosts whose media is to be exempt.

use super::later::Hidden;
use super::{Case, Rule, Severity, Sight, Spark, Telling};

pub(super) const RULE: Rule = Rule {
    name: "esp-resembles-media",
    severity: Severity::Warning,
    what: "ESP with hidden content follows the rhythm, size or marking of media, between hosts whose media is to be exempt from IPsec.",
    why: "IPsec negotiates before the first packet of each new pair of hosts may pass, which delays the start of calls. What ESP hides can only be guessed from outside, so this is a reason to look, not proof.",
    remedy: &[
        "Look on a host of the role: netsh advfirewall monitor show qmsa lists what its security associations cover, and Get-NetIPsecQuickModeSA likewise; on Linux ip xfrm state and ip xfrm policy.",
        "Audit the rules themselves: export them on both hosts and run portassay ipsec on the exports.",
        "If media is covered, make the exemption that the report names for the row, on both ends.",
    ],
    sight: Sight::OneWay,
    // What else the two hosts do decides, so it is asked when all flows are known.
    check: |_| None,
    message,
};

/// What the rule says once all flows are known, of the directions of a flow; ESP in UDP has two.
pub(super) fn late(case: &Case<'_>, all: &[Hidden<'_>]) -> Option<Spark> {
    let surest = all.iter().max_by_key(|hidden| hidden.ground)?;
    let (severity, confidence) = surest.ground.level(case.judged.flow.packets()).grade();
    let rows = || all.iter().flat_map(|hidden| &hidden.rows).copied();
    Some(Spark {
        severity,
        confidence,
        expectation: case.lead(rows()),
        rows: rows().map(|row| row.key).collect(),
        misfit: None,
        range: Some("esp"),
        frame: None,
        detail: Some(surest.detail.clone().into()),
    })
}

fn message(telling: &Telling<'_>) -> String {
    format!(
        "ESP {} has {}; its content is hidden; {} media between them",
        telling.way(),
        telling.alternatives(),
        telling.rows_do("exempts", "exempt"),
    )
}
