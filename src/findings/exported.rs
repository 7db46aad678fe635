//! What exported IPsec policies say about each exemption row: whether the media that the row is about is left
//! alone, and where it is not, which part of it.
//!
//! For a row and a host, what is not left alone is *asked ∩ secured − exempt*. Windows' precedence between rules
//! that exempt and rules that secure is not documented; those that exempt are taken to go first, and a securing
//! rule that is more specific is told.

mod cautions;
mod gap;
mod kind;
mod walk;

use std::path::PathBuf;

pub use cautions::{Caution, stranger};
pub use gap::{Gap, MAX_SHOWN, Outline};
pub use kind::Kind;

use super::Severity;
use crate::policy::Policy;
use crate::policy::asked::{Asked, Owner};
use crate::policy::exports::{Action, Export};
use walk::{Prepared, Walk};

/// How a row stands on one host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Whatever is secured of the row's traffic is exempt.
    Present,
    /// Nothing secures the row's traffic, so that nothing need be exempt.
    NotSecured,
    /// The topology has no host of the row's role.
    NotApplicable,
    /// What decides is not understood, or takes too long to compare.
    Undecided,
    /// A part is exempt, a part is secured.
    Partial,
    /// The exemption is there, and has no effect.
    Shadowed,
    /// Nothing of it is exempt.
    Missing,
}

impl Standing {
    /// Every standing, best first.
    pub const ALL: [Self; 7] = [
        Self::Present,
        Self::NotSecured,
        Self::NotApplicable,
        Self::Undecided,
        Self::Partial,
        Self::Shadowed,
        Self::Missing,
    ];

    /// The stable name used in machine output.
    pub fn token(self) -> &'static str {
        match self {
            Self::Present => "present",
            Self::NotSecured => "not-secured",
            Self::NotApplicable => "not-applicable",
            Self::Undecided => "undecided",
            Self::Partial => "partial",
            Self::Shadowed => "shadowed",
            Self::Missing => "missing",
        }
    }

    /// What it means, and what to do.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Present => "Whatever the host secures of the row's traffic is exempt.",
            Self::NotSecured => {
                "No rule of the host secures the row's traffic, so that nothing need be exempt."
            }
            Self::NotApplicable => "The topology has no host of the role.",
            Self::Undecided => {
                "The answer hangs on something that is not understood, which is named. Look at that rule on the host."
            }
            Self::Partial => {
                "A part of the row's traffic is exempt and a part is secured; what the exemption lacks is named."
            }
            Self::Shadowed => {
                "The exemption is there and has no effect: it is disabled, overridden, switched off by Group Policy, or behind a stronger policy. The reason is named."
            }
            Self::Missing => {
                "The host secures the row's traffic and exempts nothing of it. `portassay plan` prints the rule that is lacking."
            }
        }
    }

    /// How grave it is, where it is wrong.
    pub fn severity(self) -> Option<Severity> {
        matches!(self, Self::Partial | Self::Shadowed | Self::Missing).then_some(Severity::Error)
    }
}

/// What a word of the answers about exported rules means: how a row stands, or a kind of caution.
pub fn meaning(word: &str) -> Option<&'static str> {
    let standing = Standing::ALL.into_iter().find(|standing| standing.token() == word);
    let kind = || Kind::ALL.into_iter().find(|kind| kind.token() == word);
    standing.map(Standing::meaning).or_else(|| kind().map(Kind::meaning))
}

/// The words that have a [`meaning`].
pub fn words() -> impl Iterator<Item = &'static str> {
    Standing::ALL.map(Standing::token).into_iter().chain(Kind::ALL.map(Kind::token))
}

/// What one export says about one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowAnswer {
    /// The row id, such as `X05`.
    pub row: String,
    /// The row's name.
    pub name: String,
    /// How it stands.
    pub standing: Standing,
    /// Whether the host plays the row's role.
    pub own: bool,
    /// Whether it talks to others that do.
    pub peer: bool,
    /// In what the exemption falls short: `protocol`, `addresses`, `ipv6`, `ports`, `profile`, `direction`.
    pub lacks: Vec<&'static str>,
    /// The traffic that is secured and should not be, the first [`MAX_SHOWN`].
    pub gap: Vec<Gap>,
    /// How much more there is.
    pub more_gaps: usize,
    /// The gap as people are told.
    pub outline: Outline,
    /// Rules that would exempt some of the gap, and why they have no effect on it, the first few.
    pub held_back: Vec<(String, String)>,
    /// Rules that exempt some of it.
    pub exempting: Vec<String>,
    /// Rules that secure some of it.
    pub securing: Vec<String>,
    /// What to look at, and for an undecided row what decides.
    pub cautions: Vec<Caution>,
}

/// How many rules of a kind an export holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RuleCounts {
    /// All.
    pub total: usize,
    /// Those in force that exempt.
    pub exempting: usize,
    /// Those in force that secure or discard.
    pub securing: usize,
    /// Those without effect.
    pub inactive: usize,
    /// Those that are not understood in every part.
    pub uncertain: usize,
}

/// What one export says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportAnswer {
    /// What the host is called.
    pub label: String,
    /// The file.
    pub path: PathBuf,
    /// What wrote it.
    pub format: &'static str,
    /// The host or network of the topology; without one, the policy is judged as that of anyone who talks to
    /// the roles' hosts.
    pub host: Option<String>,
    /// How many rules it holds.
    pub rules: RuleCounts,
    /// What is worth knowing about the reading.
    pub notes: Vec<String>,
    /// The rows in the policy's order.
    pub rows: Vec<RowAnswer>,
    /// What to look at, beyond single rows.
    pub cautions: Vec<Caution>,
}

/// What all exports say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportsAnswer {
    /// Whether the strict reading is in force.
    pub strict: bool,
    /// By export, in the order given.
    pub exports: Vec<ExportAnswer>,
    /// What shows only between them.
    pub cautions: Vec<Caution>,
}

impl ExportsAnswer {
    /// How many rows, and how many cautions, are of a severity or a graver one.
    pub fn failing(&self, at: Severity) -> (usize, usize) {
        let rows = self.rows().filter(|row| row.standing.severity() >= Some(at)).count();
        (rows, self.cautions().filter(|caution| caution.severity >= at).count())
    }

    /// How many rows are undecided.
    pub fn undecided(&self) -> usize {
        self.count(Standing::Undecided)
    }

    /// How many rows were decided.
    pub fn decided(&self) -> usize {
        let open = |row: &&RowAnswer| {
            !matches!(row.standing, Standing::Undecided | Standing::NotApplicable)
        };
        self.rows().filter(open).count()
    }

    /// How many rows stand so.
    pub fn count(&self, standing: Standing) -> usize {
        self.rows().filter(|row| row.standing == standing).count()
    }

    /// How many exports hold no rule at all.
    pub fn without_rules(&self) -> usize {
        self.exports.iter().filter(|export| export.rules.total == 0).count()
    }

    /// Whether no export is that of a host that plays a role of the rows.
    pub fn peers_only(&self) -> bool {
        !self.rows().any(|row| row.own)
    }

    fn rows(&self) -> impl Iterator<Item = &RowAnswer> {
        self.exports.iter().flat_map(|export| &export.rows)
    }

    fn cautions(&self) -> impl Iterator<Item = &Caution> {
        let exports = self.exports.iter().flat_map(|export| &export.cautions);
        let rows = self.rows().flat_map(|row| &row.cautions);
        self.cautions.iter().chain(exports).chain(rows)
    }
}

/// Judges each export by itself, and then all of them together.
pub fn judge(policy: &Policy, exports: &[(Export, Option<Owner>)]) -> ExportsAnswer {
    let answers: Vec<ExportAnswer> =
        exports.iter().map(|(export, owner)| one(policy, export, owner.as_ref())).collect();
    let mut cautions = cautions::across(&answers);
    cautions.extend(cautions::peers_only(&answers));
    ExportsAnswer { strict: policy.strict(), exports: answers, cautions }
}

fn one(policy: &Policy, export: &Export, owner: Option<&Owner>) -> ExportAnswer {
    let prepared = Prepared::of(export);
    let asked = policy.asked(owner);
    let rows: Vec<RowAnswer> = asked.iter().map(|asked| row(policy, asked, &prepared)).collect();
    ExportAnswer {
        label: export.label.clone(),
        path: export.path.clone(),
        format: export.format,
        host: owner.map(|owner| owner.name.clone()),
        rules: counts(export),
        notes: export.notes.clone(),
        cautions: cautions::of_export(export, &asked, &prepared, policy.strict()),
        rows,
    }
}

fn counts(export: &Export) -> RuleCounts {
    let mut counts = RuleCounts { total: export.rules.len(), ..RuleCounts::default() };
    for rule in &export.rules {
        counts.uncertain += usize::from(rule.uncertain());
        match rule.action {
            _ if rule.inactive().is_some() => counts.inactive += 1,
            Action::Exempt => counts.exempting += 1,
            Action::Secure | Action::Block => counts.securing += 1,
            Action::Unknown => {}
        }
    }
    counts
}

fn row(policy: &Policy, asked: &Asked, prepared: &Prepared<'_>) -> RowAnswer {
    let expectation = policy.expectation(asked.row);
    let mut answer = RowAnswer {
        row: expectation.id.clone(),
        name: expectation.service.clone(),
        standing: Standing::NotApplicable,
        own: asked.own,
        peer: asked.peer,
        lacks: Vec::new(),
        gap: Vec::new(),
        more_gaps: 0,
        outline: Outline::default(),
        held_back: Vec::new(),
        exempting: Vec::new(),
        securing: Vec::new(),
        cautions: Vec::new(),
    };
    if !asked.applies {
        return answer;
    }
    let Some(mut walk) = Walk::through(asked, prepared, |_| true) else {
        answer.standing = Standing::Undecided;
        answer.cautions.push(cautions::too_many());
        return answer;
    };
    answer.standing = walk.standing(asked, prepared);
    if !policy.strict()
        && matches!(answer.standing, Standing::Partial | Standing::Shadowed)
        && walk.only_last_ports(asked)
    {
        // The tables name the port behind the last one that the product uses: either end will do.
        walk.gap.clear();
        answer.standing = Standing::Present;
    }
    answer.exempting = cautions::names(&walk.exempting);
    if answer.standing.severity().is_some() {
        answer.securing = cautions::names(&walk.securing);
        answer.lacks = walk.lacks(asked, answer.standing);
        (answer.gap, answer.more_gaps) = gap::shown(&walk.gap, prepared.directed);
        answer.outline = outline(asked, &walk, &answer, prepared);
        answer.held_back = cautions::held_back(&walk.held_back);
    }
    answer.cautions = cautions::of_row(asked, &walk, answer.standing, prepared);
    answer
}

/// The gap as it is without the rules of other rows; as it is where there are none.
fn outline(asked: &Asked, walk: &Walk<'_>, answer: &RowAnswer, prepared: &Prepared<'_>) -> Outline {
    let exact =
        || Outline { pieces: answer.gap.clone(), more: answer.more_gaps, with_holes: false };
    if walk.exempting.iter().all(|rule| asked.is_aimed_at(&rule.spaces())) {
        return exact();
    }
    let aimed = |covering: &walk::Covering<'_>| asked.is_aimed_at(&covering.spaces);
    let Some(mut plain) = Walk::through(asked, prepared, aimed) else { return exact() };
    plain.standing(asked, prepared);
    plain.gap.retain(|cell| walk.gap.iter().any(|gap| gap.meet(cell).is_some()));
    let with_holes = plain.gap != walk.gap;
    let (pieces, more) = gap::shown(&plain.gap, prepared.directed);
    Outline { pieces, more, with_holes }
}

#[cfg(test)]
mod tests;
