//! Reads TOML tables field by field, so that every wrong value of a file is told with its place.
//!
//! A derived reader would stop at the first mistake and would not know which keys were meant.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnose::{Diagnosis, Word};

/// A trap of TOML that rows fall into.
pub(super) const ROW_HINT: &str =
    "what follows a [header] belongs to it: move 'row = [' above the first header";

/// Parses a file; syntax errors go to the diagnosis.
pub(super) fn parse<'t>(text: &'t str, diagnosis: &mut Diagnosis) -> Spanned<DeTable<'t>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        diagnosis.add(&error.span().unwrap_or(0..0), error.message().trim());
    }
    table
}

/// The fields of one table. Keys that nobody asked for are problems once it is closed.
pub(super) struct Fields<'d> {
    tables: Vec<&'d DeTable<'d>>,
    span: Range<usize>,
    asked: Vec<&'static str>,
}

impl<'d> Fields<'d> {
    /// The fields of a table at a place.
    pub(super) fn new(table: &'d DeTable<'d>, span: Range<usize>) -> Self {
        Self { tables: vec![table], span, asked: Vec::new() }
    }

    /// The same table with the fields of another one laid over it.
    pub(super) fn overlaid(&self, over: &Self) -> Self {
        let mut tables = self.tables.clone();
        tables.extend(&over.tables);
        Self { tables, span: self.span.clone(), asked: Vec::new() }
    }

    /// The place of the table.
    pub(super) fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// Whether a field is there. Counts as asking for it.
    pub(super) fn has(&mut self, key: &'static str) -> bool {
        self.find(key).is_some()
    }

    /// A text.
    pub(super) fn word(&mut self, key: &'static str, diagnosis: &mut Diagnosis) -> Option<Word> {
        let value = self.find(key)?;
        let word = as_word(value);
        if word.is_none() {
            wrong_type(key, "a text", value, diagnosis);
        }
        word
    }

    /// A text, empty when absent.
    pub(super) fn text(&mut self, key: &'static str, diagnosis: &mut Diagnosis) -> String {
        self.word(key, diagnosis).map(|word| word.text).unwrap_or_default()
    }

    /// A text that must be there.
    pub(super) fn required(
        &mut self,
        key: &'static str,
        what: &str,
        diagnosis: &mut Diagnosis,
    ) -> Option<Word> {
        self.demand(key, what, diagnosis);
        self.word(key, diagnosis)
    }

    /// Notes a problem when a field is not there.
    pub(super) fn demand(&mut self, key: &'static str, what: &str, diagnosis: &mut Diagnosis) {
        if !self.has(key) {
            // The first character marks the place; the whole table would be too much.
            let at = self.span.start..self.span.start + 1;
            diagnosis.add(&at, format!("{what} needs '{key}'"));
        }
    }

    /// A text or a whole number, as text.
    pub(super) fn number_or_text(
        &mut self,
        key: &'static str,
        diagnosis: &mut Diagnosis,
    ) -> Option<Word> {
        match self.find(key) {
            Some(value) if value.get_ref().is_integer() => Some(Word {
                text: value.get_ref().as_integer()?.as_str().to_owned(),
                span: value.span(),
            }),
            _ => self.word(key, diagnosis),
        }
    }

    /// True or false.
    pub(super) fn flag(&mut self, key: &'static str, diagnosis: &mut Diagnosis) -> Option<bool> {
        let value = self.find(key)?;
        let flag = value.get_ref().as_bool();
        if flag.is_none() {
            wrong_type(key, "true or false", value, diagnosis);
        }
        flag
    }

    /// A list of texts, or one text alone.
    pub(super) fn words(&mut self, key: &'static str, diagnosis: &mut Diagnosis) -> Vec<Word> {
        self.find(key).map(|value| as_words(key, value, diagnosis)).unwrap_or_default()
    }

    /// A table.
    pub(super) fn table(&mut self, key: &'static str, diagnosis: &mut Diagnosis) -> Option<Self> {
        let value = self.find(key)?;
        let fields = as_fields(value);
        if fields.is_none() {
            wrong_type(key, "a table", value, diagnosis);
        }
        fields
    }

    /// A list of tables.
    pub(super) fn tables(&mut self, key: &'static str, diagnosis: &mut Diagnosis) -> Vec<Self> {
        let Some(value) = self.find(key) else {
            return Vec::new();
        };
        let Some(list) = value.get_ref().as_array() else {
            wrong_type(key, "a list of tables", value, diagnosis);
            return Vec::new();
        };
        let mut tables = Vec::with_capacity(list.len());
        for item in list {
            match as_fields(item) {
                Some(fields) => tables.push(fields),
                None => wrong_type(key, "a list of tables", item, diagnosis),
            }
        }
        tables
    }

    /// Every field with its key in the order of the file, for tables whose keys are names.
    pub(super) fn entries(&self) -> Vec<(Word, &'d Spanned<DeValue<'d>>)> {
        let mut entries: Vec<_> = self
            .tables
            .iter()
            .flat_map(|table| table.iter())
            .map(|(key, value)| {
                let word = Word { text: key.get_ref().to_string(), span: key.span() };
                (word, value)
            })
            .collect();
        entries.sort_by_key(|(key, _)| key.span.start);
        entries
    }

    /// Ends the reading: keys that were not asked for are problems.
    pub(super) fn close(self, what: &str, diagnosis: &mut Diagnosis) {
        for (key, _) in self.entries() {
            if self.asked.contains(&key.text.as_str()) {
                continue;
            }
            if key.text == "row" {
                diagnosis.advise(&key.span, format!("'row' stands inside {what}"), ROW_HINT);
            } else {
                diagnosis.unknown(&format!("key in {what}"), &key, self.asked.iter().copied());
            }
        }
    }

    fn find(&mut self, key: &'static str) -> Option<&'d Spanned<DeValue<'d>>> {
        if !self.asked.contains(&key) {
            self.asked.push(key);
        }
        self.tables.iter().rev().find_map(|table| table.get(key))
    }
}

/// A list of texts, or one text alone, under any key.
pub(super) fn as_words(
    key: &str,
    value: &Spanned<DeValue<'_>>,
    diagnosis: &mut Diagnosis,
) -> Vec<Word> {
    if let Some(word) = as_word(value) {
        return vec![word];
    }
    let Some(list) = value.get_ref().as_array() else {
        wrong_type(key, "a text or a list of texts", value, diagnosis);
        return Vec::new();
    };
    let mut words = Vec::with_capacity(list.len());
    for item in list {
        match as_word(item) {
            Some(word) => words.push(word),
            None => wrong_type(key, "a list of texts", item, diagnosis),
        }
    }
    words
}

fn as_word(value: &Spanned<DeValue<'_>>) -> Option<Word> {
    value.get_ref().as_str().map(|text| Word { text: text.to_owned(), span: value.span() })
}

fn as_fields<'d>(value: &'d Spanned<DeValue<'d>>) -> Option<Fields<'d>> {
    value.get_ref().as_table().map(|table| Fields::new(table, value.span()))
}

fn wrong_type(key: &str, wanted: &str, value: &Spanned<DeValue<'_>>, diagnosis: &mut Diagnosis) {
    let found = value.get_ref().type_str();
    diagnosis.add(&value.span(), format!("'{key}' must be {wanted}, not {found}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str, read: impl FnOnce(&mut Fields, &mut Diagnosis)) -> String {
        let mut diagnosis = Diagnosis::new("f", text);
        let table = parse(text, &mut diagnosis);
        let mut fields = Fields::new(table.get_ref(), table.span());
        read(&mut fields, &mut diagnosis);
        fields.close("the file", &mut diagnosis);
        diagnosis.into_text().unwrap_or_default()
    }

    #[test]
    fn values_of_every_kind_are_read() {
        let text = "a = 'x'\nb = true\nc = ['p', 'q']\nd = 5061\n[e]\nk = 1\n";
        let told = problems(text, |fields, diagnosis| {
            assert_eq!(fields.text("a", diagnosis), "x");
            assert_eq!(fields.flag("b", diagnosis), Some(true));
            assert_eq!(fields.words("c", diagnosis)[1].text, "q");
            assert_eq!(fields.number_or_text("d", diagnosis).unwrap().text, "5061");
            assert_eq!(fields.table("e", diagnosis).unwrap().entries()[0].0.text, "k");
            assert_eq!(fields.words("absent", diagnosis), []);
        });
        assert_eq!(told, "");
    }

    #[test]
    fn wrong_types_and_unknown_keys_are_told() {
        let told = problems("title = 3\nflag = 'no'\npakc = 'x'\n", |fields, diagnosis| {
            fields.text("title", diagnosis);
            fields.flag("flag", diagnosis);
            fields.required("pack", "a policy file", diagnosis);
        });
        for part in [
            "f:1:1: a policy file needs 'pack'",
            "f:1:9: 'title' must be a text, not integer",
            "f:2:8: 'flag' must be true or false, not string",
            "f:3:1: unknown key in the file 'pakc'",
            "did you mean 'pack'?",
        ] {
            assert!(told.contains(part), "{part}: {told}");
        }
    }

    #[test]
    fn syntax_errors_have_places() {
        let told = problems("a = \nb = ]\n", |_, _| {});
        assert!(told.contains("f:1:"), "{told}");
        assert!(told.contains("f:2:"), "{told}");
    }

    #[test]
    fn an_overlay_wins() {
        let text = "a = 'base'\n[strict]\na = 'over'\n";
        let mut diagnosis = Diagnosis::new("f", text);
        let table = parse(text, &mut diagnosis);
        let mut base = Fields::new(table.get_ref(), table.span());
        let over = base.table("strict", &mut diagnosis).unwrap();
        assert_eq!(base.overlaid(&over).text("a", &mut diagnosis), "over");
        assert_eq!(base.text("a", &mut diagnosis), "base");
    }
}
