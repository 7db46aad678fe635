//! The form of a policy file, before its names are resolved against the other layers.
//!
//! Built-in packs and a site's own files have the same form. Names stay words with their
//! places here, because roles, applications and ranges may be declared by another file.

use super::diagnose::{Diagnosis, Word};
use super::read::{self, Fields};
use super::roles::Role;
use super::{PackKind, Profile, Security};
use crate::identify::DETECTORS;

/// One policy file as written.
#[derive(Debug)]
pub(super) struct PolicyFile {
    pub(super) pack: Word,
    pub(super) title: String,
    pub(super) source: String,
    pub(super) kind: PackKind,
    pub(super) roles: Vec<(Word, Role)>,
    pub(super) groups: Vec<(Word, Vec<Word>)>,
    pub(super) applications: Vec<(Word, Application)>,
    pub(super) spoken: Vec<Word>,
    pub(super) ranges: Vec<(Word, Vec<Word>)>,
    pub(super) rows: Vec<RowForm>,
    /// Contents that are leftovers, whoever speaks them.
    pub(super) legacy: Vec<LegacyContent>,
    pub(super) dropped: Vec<Word>,
}

/// What an application token of a row means to the judge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Application {
    /// The token that rows use.
    pub name: String,
    /// For people.
    pub title: String,
    /// Detector tokens that agree with it in clear.
    pub speaks: Vec<String>,
    /// A request without any answer is a failure.
    pub answers: bool,
    /// Media: its rows need media content to be confirmed.
    pub media: bool,
    /// It may begin with TLS where a row does not demand that. Many tables say "TCP" and mean so.
    pub tls: bool,
}

/// A row as written, with the strict reading beside it where it differs.
#[derive(Debug)]
pub(super) struct RowForm {
    pub(super) plain: Row,
    pub(super) strict: Option<Row>,
}

impl RowForm {
    /// The row under a reading.
    pub(super) fn reading(&self, strict: bool) -> &Row {
        self.strict.as_ref().filter(|_| strict).unwrap_or(&self.plain)
    }
}

/// The fields of a row.
#[derive(Debug, Default)]
pub(super) struct Row {
    pub(super) id: Word,
    pub(super) from: Option<Word>,
    pub(super) to: Option<Word>,
    pub(super) balances: Option<Word>,
    pub(super) transport: Option<Word>,
    pub(super) port: Option<Word>,
    pub(super) from_port: Option<Word>,
    pub(super) media_port: Option<Word>,
    pub(super) role: Option<Word>,
    pub(super) side: Option<MediaSide>,
    pub(super) application: Option<Word>,
    pub(super) security: Option<Word>,
    pub(super) between_servers: Option<Security>,
    pub(super) media: bool,
    pub(super) content_required: bool,
    pub(super) relax: bool,
    pub(super) port_source: PortSource,
    pub(super) profile: Option<Profile>,
    pub(super) legacy: Option<Profile>,
    pub(super) service: String,
    pub(super) purpose: String,
    pub(super) note: String,
}

/// Which ports a row has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum PortSource {
    /// Those that it names.
    #[default]
    Listed,
    /// Those that it names, and further ones that content announces for its application.
    Announced,
}

/// Whose ports an exemption row is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaSide {
    /// The `from` roles' own.
    From,
    /// The `to` roles' own.
    To,
    /// The role's own, whoever sends.
    Any,
}

impl Default for Word {
    fn default() -> Self {
        Self { text: String::new(), span: 0..0 }
    }
}

/// Reads a policy file. What cannot be read is in the diagnosis and left out.
pub(super) fn read(text: &str, diagnosis: &mut Diagnosis) -> PolicyFile {
    let document = read::parse(text, diagnosis);
    let mut top = Fields::new(document.get_ref(), document.span());
    let pack = top.required("pack", "a policy file", diagnosis).unwrap_or_default();
    name(&pack, "pack name", diagnosis);
    let kind = read_kind(&mut top, diagnosis);
    let mut file = PolicyFile {
        pack,
        title: top.text("title", diagnosis),
        source: top.text("source", diagnosis),
        kind,
        roles: Vec::new(),
        groups: named_lists("groups", &mut top, diagnosis),
        applications: Vec::new(),
        spoken: Vec::new(),
        ranges: named_lists("ranges", &mut top, diagnosis),
        rows: Vec::new(),
        legacy: Vec::new(),
        dropped: top.words("drop", diagnosis),
    };
    for fields in top.tables("role", diagnosis) {
        file.roles.extend(read_role(fields, diagnosis));
    }
    for fields in top.tables("application", diagnosis) {
        read_application(fields, &mut file, diagnosis);
    }
    for fields in top.tables("legacy", diagnosis) {
        file.legacy.extend(read_legacy(fields, diagnosis));
    }
    for fields in top.tables("row", diagnosis) {
        file.rows.push(read_row_form(fields, kind, diagnosis));
    }
    top.close("a policy file", diagnosis);
    file
}

fn read_kind(top: &mut Fields, diagnosis: &mut Diagnosis) -> PackKind {
    let kinds = [
        ("product", PackKind::Product),
        ("infrastructure", PackKind::Infrastructure),
        ("exemptions", PackKind::Exemptions),
    ];
    choice("kind", "kind of pack", &kinds, top, diagnosis).unwrap_or(PackKind::Product)
}

fn read_role(mut fields: Fields, diagnosis: &mut Diagnosis) -> Option<(Word, Role)> {
    let word = fields.required("name", "a role", diagnosis);
    let title = fields.text("title", diagnosis);
    let kinds = [("server", true), ("endpoint", false), ("device", false)];
    let server = choice("kind", "kind of role", &kinds, &mut fields, diagnosis).unwrap_or(true);
    fields.close("a role", diagnosis);
    let word = word?;
    name(&word, "role name", diagnosis);
    let role = Role {
        name: word.text.clone(),
        title: if title.is_empty() { word.text.clone() } else { title },
        server,
    };
    Some((word, role))
}

fn read_application(mut fields: Fields, file: &mut PolicyFile, diagnosis: &mut Diagnosis) {
    let word = fields.required("name", "an application", diagnosis);
    let title = fields.text("title", diagnosis);
    let speaks = fields.words("speaks", diagnosis);
    let media = fields.flag("media", diagnosis).unwrap_or(false);
    let answers = fields.flag("answers", diagnosis).unwrap_or(!media);
    let tls = fields.flag("tls", diagnosis).unwrap_or(true);
    fields.close("an application", diagnosis);
    let Some(word) = word else { return };
    name(&word, "application name", diagnosis);
    let application = Application {
        name: word.text.clone(),
        title: if title.is_empty() { word.text.clone() } else { title },
        speaks: speaks.iter().map(|token| token.text.clone()).collect(),
        answers,
        media,
        tls,
    };
    file.spoken.extend(speaks);
    file.applications.push((word, application));
}

/// A table of names, each with a text or a list of texts.
pub(super) fn named_lists(
    key: &'static str,
    top: &mut Fields,
    diagnosis: &mut Diagnosis,
) -> Vec<(Word, Vec<Word>)> {
    let Some(fields) = top.table(key, diagnosis) else {
        return Vec::new();
    };
    let mut lists = Vec::new();
    for (word, value) in fields.entries() {
        if word.text == "row" {
            diagnosis.advise(&word.span, format!("'row' stands inside [{key}]"), read::ROW_HINT);
            continue;
        }
        name(&word, "name", diagnosis);
        let words = read::as_words(&word.text, value, diagnosis);
        lists.push((word, words));
    }
    lists
}

/// A version of a protocol that is a leftover, by a fact that the detector tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LegacyContent {
    pub(super) protocol: String,
    pub(super) fact: String,
    pub(super) value: String,
}

fn read_legacy(mut fields: Fields, diagnosis: &mut Diagnosis) -> Option<LegacyContent> {
    let what = "a [[legacy]]";
    let protocol = fields.required("protocol", what, diagnosis);
    let fact = fields.required("fact", what, diagnosis);
    let value = fields.required("value", what, diagnosis);
    if let Some(word) = &protocol
        && !DETECTORS.iter().any(|detector| detector.token == word.text)
    {
        diagnosis.unknown("protocol", word, DETECTORS.iter().map(|detector| detector.token));
    }
    fields.close(what, diagnosis);
    Some(LegacyContent { protocol: protocol?.text, fact: fact?.text, value: value?.text })
}

fn read_row_form(mut fields: Fields, kind: PackKind, diagnosis: &mut Diagnosis) -> RowForm {
    let over = fields.table("strict", diagnosis);
    let strict = over.map(|over| {
        let mut both = fields.overlaid(&over);
        if both.has("strict") && over.entries().iter().any(|(key, _)| key.text == "strict") {
            diagnosis.add(&over.span(), "'strict' cannot hold another 'strict'");
        }
        let row = read_row(&mut both, kind, diagnosis);
        both.close("a row", diagnosis);
        row
    });
    let plain = read_row(&mut fields, kind, diagnosis);
    fields.close("a row", diagnosis);
    RowForm { plain, strict }
}

fn read_row(fields: &mut Fields, kind: PackKind, diagnosis: &mut Diagnosis) -> Row {
    let profiles = [("2015", Profile::Sfb2015), ("2019", Profile::Sfb2019)];
    let mut row = Row {
        id: fields
            .required("id", "a row", diagnosis)
            .unwrap_or(Word { text: String::new(), span: fields.span() }),
        from: fields.word("from", diagnosis),
        to: fields.word("to", diagnosis),
        transport: fields.required("transport", "a row", diagnosis),
        port: fields.number_or_text("port", diagnosis),
        from_port: fields.number_or_text("from_port", diagnosis),
        content_required: choice("content", "content", &[("required", true)], fields, diagnosis)
            .unwrap_or(false),
        profile: choice("profile", "profile", &profiles, fields, diagnosis),
        legacy: choice("legacy", "profile", &profiles, fields, diagnosis),
        application: fields.word("application", diagnosis),
        service: fields.text("service", diagnosis),
        purpose: fields.text("purpose", diagnosis),
        note: fields.text("note", diagnosis),
        ..Row::default()
    };
    if kind == PackKind::Exemptions {
        let sides = [("from", MediaSide::From), ("to", MediaSide::To), ("any", MediaSide::Any)];
        row.role = fields.word("role", diagnosis);
        row.side = choice("side", "side", &sides, fields, diagnosis);
        row.media_port = fields.number_or_text("media_port", diagnosis);
        // The rule's name stands where other rows name the service.
        let rule = fields.text("name", diagnosis);
        if !rule.is_empty() {
            row.service = rule;
        }
    } else {
        row.balances = fields.word("balances", diagnosis);
        row.security = fields.word("application", diagnosis);
        row.security = fields.word("security", diagnosis);
        let mutual = [("mtls", Security::Mtls)];
        row.between_servers =
            choice("between_servers", "security between servers", &mutual, fields, diagnosis);
        row.media = fields.flag("media", diagnosis).unwrap_or(false);
        row.relax = fields.flag("relax", diagnosis).unwrap_or(false);
        if fields.flag("announced", diagnosis) == Some(true) {
            row.port_source = PortSource::Announced;
        }
    }
    row
}

/// One of a few words.
fn choice<T: Copy>(
    key: &'static str,
    what: &str,
    choices: &[(&str, T)],
    fields: &mut Fields,
    diagnosis: &mut Diagnosis,
) -> Option<T> {
    let word = fields.word(key, diagnosis)?;
    let found = choices.iter().find(|(name, _)| *name == word.text);
    if found.is_none() {
        diagnosis.unknown(what, &word, choices.iter().map(|(name, _)| *name));
    }
    found.map(|(_, value)| *value)
}

/// Names are lower case with hyphens; applications may have a family before a colon.
fn name(word: &Word, what: &str, diagnosis: &mut Diagnosis) {
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-:".contains(c);
    let starts = word.text.starts_with(|c: char| c.is_ascii_lowercase());
    if !word.text.is_empty() && (!starts || !word.text.chars().all(legal) || word.text == "any") {
        diagnosis.advise(
            &word.span,
            format!("'{}' cannot be a {what}", word.text),
            "lower-case letters, digits and hyphens, beginning with a letter, and not 'any'",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> String {
        let mut diagnosis = Diagnosis::new("site.toml", text);
        read(text, &mut diagnosis);
        diagnosis.into_text().unwrap_or_default()
    }

    #[test]
    fn a_whole_file_is_read() {
        let text = r#"
pack = "servers"
title = "Servers"
source = "a page"
drop = ["Z1"]
[[role]]
name = "front-end"
[groups]
servers = ["front-end"]
[[application]]
name = "media:audio"
speaks = ["rtp"]
media = true
[ranges]
audio = "49152-57500"
row = []
"#
        .replace("row = []\n", "");
        let text = text.replacen(
            "drop",
            "row = [\n  { id = \"S1\", to = \"front-end\", transport = \"tcp\", port = 5061, strict = { from = \"front-end\" } },\n]\ndrop",
            1,
        );
        let mut diagnosis = Diagnosis::new("f", &text);
        let file = read(&text, &mut diagnosis);
        assert_eq!(diagnosis.into_text(), None);
        assert_eq!(file.pack.text, "servers");
        assert_eq!(file.roles[0].1.title, "front-end");
        assert!(file.roles[0].1.server);
        assert!(file.applications[0].1.media && !file.applications[0].1.answers);
        assert_eq!(file.dropped[0].text, "Z1");
        let row = &file.rows[0];
        assert_eq!(row.plain.port.as_ref().unwrap().text, "5061");
        assert!(row.reading(false).from.is_none());
        assert_eq!(row.reading(true).from.as_ref().unwrap().text, "front-end");
        assert_eq!(row.reading(true).port.as_ref().unwrap().text, "5061");
    }

    #[test]
    fn every_problem_of_a_row_is_told_once() {
        let told = problems(
            "pack = \"x\"\nrow = [\n  { id = \"A\", trasnport = \"tcp\", media = 1, strict = { form = \"b\" } },\n]\n",
        );
        for part in [
            "site.toml:3:3: a row needs 'transport'",
            "unknown key in a row 'trasnport'",
            "did you mean 'transport'?",
            "'media' must be true or false, not integer",
            "unknown key in a row 'form'",
            "did you mean 'from'?",
        ] {
            assert_eq!(told.matches(part).count(), 1, "{part}: {told}");
        }
    }

    #[test]
    fn choices_and_names_are_checked() {
        let told = problems(
            "pack = \"My Pack\"\nkind = \"prodcut\"\nrow = [{ id = \"A\", transport = \"tcp\", profile = \"2016\" }]\n",
        );
        for part in [
            "'My Pack' cannot be a pack name",
            "unknown kind of pack 'prodcut'",
            "did you mean 'product'?",
            "unknown profile '2016'",
        ] {
            assert!(told.contains(part), "{part}: {told}");
        }
    }

    #[test]
    fn keys_of_exemptions_belong_to_exemptions() {
        let row = "row = [{ id = \"X\", transport = \"udp\", side = \"to\", media_port = \"1-2\", name = \"In\" }]\n";
        assert_eq!(problems(&format!("pack = \"p\"\nkind = \"exemptions\"\n{row}")), "");
        let told = problems(&format!("pack = \"p\"\n{row}"));
        assert!(told.contains("unknown key in a row 'media_port'"), "{told}");
    }
}
