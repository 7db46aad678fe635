//! `--exports`: the IPsec policies that hosts were found to have, beside what a capture shows.

use std::path::{Path, PathBuf};

use super::EXIT_ERROR;
use super::terminal::Terminal;
use crate::error::{Error, Result};
use crate::pipeline::check::Checked;
use crate::policy::Policy;
use crate::policy::exports::{Export, HostPolicy};
use crate::report::text::counted;

/// Puts the exports into the policy. What cannot be used is told at once, and counted: the captures are audited
/// all the same. Errors: there is no topology that could say whose they are.
pub(super) fn into_policy(
    given: &[PathBuf],
    policy: Policy,
    terminal: &Terminal,
) -> Result<(Policy, usize)> {
    if given.is_empty() {
        return Ok((policy, 0));
    }
    if policy.topology().is_none() {
        return Err(Error::Usage(
            "--exports are policies of hosts: name a topology with --topology, which says whose addresses are whose".into(),
        ));
    }
    let mut exported = Vec::new();
    let mut unused = 0;
    for given in given {
        match load(given, &policy) {
            Ok(host) => exported.push(host),
            Err(error) => {
                terminal.error(&error);
                unused += 1;
            }
        }
    }
    Ok((policy.with_exported(exported), unused))
}

fn load(given: &Path, policy: &Policy) -> Result<HostPolicy> {
    let (label, path) = labelled(given);
    let owner = policy.topology().and_then(|topology| topology.owner_named(&label));
    let export = Export::load(&path, &label)?;
    let owner = owner.ok_or_else(|| {
        let what = format!("--exports {}: '{label}'", given.display());
        unknown_owner(&what, &label, policy, "; write NAME=FILE, with the name it has there")
    })?;
    Ok(HostPolicy::of(&export, owner))
}

/// Says how many exports could not be used, also where the captures pass.
pub(super) fn own_up(checked: &mut Checked, unused: usize) {
    if unused == 0 {
        return;
    }
    let unused = counted(unused as u64, "export", "exports");
    checked.exit_code = EXIT_ERROR;
    checked.reason = format!("{unused} could not be used; otherwise: {}", checked.reason);
    if let Some(report) = &mut checked.report {
        report.exit_code = EXIT_ERROR;
    }
}

/// `NAME=FILE`, or a file whose name without its ending is the label.
pub(super) fn labelled(given: &Path) -> (String, PathBuf) {
    if let Some((label, path)) = pair(given) {
        return (label.to_owned(), PathBuf::from(path));
    }
    let label = given.file_stem().unwrap_or(given.as_os_str());
    (label.to_string_lossy().into_owned(), given.to_owned())
}

/// Whether a name was given, which must then be one of the topology.
pub(super) fn is_named(given: &Path) -> bool {
    pair(given).is_some()
}

fn pair(given: &Path) -> Option<(&str, &str)> {
    let pair = given.to_str().and_then(|text| text.split_once('='));
    pair.filter(|(label, _)| !label.is_empty() && !given.exists())
}

/// `what` names `name`, which the topology does not have; `otherwise` follows where none is like it.
pub(super) fn unknown_owner(what: &str, name: &str, policy: &Policy, otherwise: &str) -> Error {
    let hint = nearest(name, policy).unwrap_or_else(|| otherwise.to_owned());
    Error::Usage(format!("{what} is neither a host nor a network of the topology{hint}"))
}

/// What to say of the name of the topology that is most like one that is none.
pub(super) fn nearest(name: &str, policy: &Policy) -> Option<String> {
    let lower = name.to_lowercase();
    let topology = policy.topology();
    let hosts = topology.iter().flat_map(|topology| topology.hosts()).map(|host| &host.name);
    let networks = topology.iter().flat_map(|topology| topology.networks()).map(|net| &net.name);
    let near = hosts
        .chain(networks)
        .map(|known| (strsim::osa_distance(&lower, &known.to_lowercase()), known))
        .min();
    let (_, known) = near.filter(|(distance, known)| *distance <= known.chars().count() / 2)?;
    Some(format!("; did you mean '{known}'?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_given_or_the_files_name() {
        let told = |text: &str| labelled(Path::new(text));
        assert_eq!(told("fe01=a/b.txt"), ("fe01".into(), PathBuf::from("a/b.txt")));
        assert_eq!(told("a/fe01.txt"), ("fe01".into(), PathBuf::from("a/fe01.txt")));
        assert_eq!(told("=x").0, "=x");
        assert!(is_named(Path::new("fe01=a/b.txt")) && !is_named(Path::new("a/fe01.txt")));
        assert_eq!(told("fe01.example.net.json").0, "fe01.example.net");
    }
}
