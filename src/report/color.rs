//! When text is coloured, and with what. Colour only repeats what a word already says.
//!
//! The decision is a pure function of the flag and the [`Surroundings`]; the environment is read
//! in one place, [`Surroundings::read`].

use std::borrow::Cow;

/// What the user asked for (`--color`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum When {
    /// Colour on a terminal that shows it, unless the environment forbids it.
    #[default]
    Auto,
    /// Colour in any case; beats the environment.
    Always,
    /// No colour in any case.
    Never,
}

impl When {
    /// Every choice, in the order in which the help lists them.
    pub const ALL: [Self; 3] = [Self::Auto, Self::Always, Self::Never];

    /// The name on the command line.
    pub fn token(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Always => "always",
            Self::Never => "never",
        }
    }

    /// The choice of that name.
    pub fn from_token(token: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|when| when.token() == token)
    }

    /// Whether to colour output that goes to the given surroundings.
    pub fn decide(self, surroundings: &Surroundings) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => {
                let forbidden = surroundings.no_color.as_deref().is_some_and(|v| !v.is_empty());
                let dumb = surroundings.term.as_deref() == Some("dumb");
                surroundings.output == Output::Terminal && !forbidden && !dumb
            }
        }
    }
}

/// Where the output goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// A terminal.
    Terminal,
    /// A file, a pipe, anything else.
    Elsewhere,
}

/// What the decision depends on besides the flag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surroundings {
    /// The value of `NO_COLOR`; set and not empty forbids colour (no-color.org).
    pub no_color: Option<String>,
    /// The value of `TERM`; `dumb` shows no colour.
    pub term: Option<String>,
    /// Where the output goes.
    pub output: Output,
}

impl Surroundings {
    /// Reads `NO_COLOR` and `TERM` from the environment: the only function here that does.
    pub fn read(output: Output) -> Self {
        let variable = |name| std::env::var_os(name).map(|v| v.to_string_lossy().into_owned());
        Self { no_color: variable("NO_COLOR"), term: variable("TERM"), output }
    }
}

/// What a piece of text is, for whoever colours it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Ordinary text.
    Plain,
    /// A heading.
    Heading,
    /// Something wrong.
    Bad,
    /// Something doubtful.
    Doubtful,
    /// Something worth knowing.
    Notable,
    /// Something as it should be.
    Good,
    /// Something of less weight.
    Faint,
}

impl Tone {
    /// The parameters of the ANSI escape sequence (ECMA-48, SGR); `None` for ordinary text.
    fn parameters(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Heading => Some("1"),
            Self::Bad => Some("1;31"),
            Self::Doubtful => Some("1;33"),
            Self::Notable => Some("36"),
            Self::Good => Some("1;32"),
            Self::Faint => Some("2"),
        }
    }
}

/// The text in its tone, or as it is without `color`.
pub fn paint(text: &str, tone: Tone, color: bool) -> Cow<'_, str> {
    match tone.parameters() {
        Some(parameters) if color && !text.is_empty() => {
            Cow::Owned(format!("\x1b[{parameters}m{text}\x1b[0m"))
        }
        _ => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terminal() -> Surroundings {
        Surroundings {
            no_color: None,
            term: Some("xterm-256color".into()),
            output: Output::Terminal,
        }
    }

    #[test]
    fn auto_follows_the_surroundings() {
        assert!(When::Auto.decide(&terminal()));
        let piped = Surroundings { output: Output::Elsewhere, ..terminal() };
        assert!(!When::Auto.decide(&piped));
        let forbidden = Surroundings { no_color: Some("1".into()), ..terminal() };
        assert!(!When::Auto.decide(&forbidden));
        let empty = Surroundings { no_color: Some(String::new()), ..terminal() };
        assert!(When::Auto.decide(&empty), "an empty NO_COLOR forbids nothing");
        let dumb = Surroundings { term: Some("dumb".into()), ..terminal() };
        assert!(!When::Auto.decide(&dumb));
    }

    #[test]
    fn the_flag_beats_the_surroundings() {
        let worst = Surroundings {
            no_color: Some("1".into()),
            term: Some("dumb".into()),
            output: Output::Elsewhere,
        };
        assert!(When::Always.decide(&worst));
        assert!(!When::Never.decide(&terminal()));
    }

    #[test]
    fn names_lead_back_to_choices() {
        for when in When::ALL {
            assert_eq!(When::from_token(when.token()), Some(when));
        }
        assert_eq!(When::from_token("sometimes"), None);
    }

    #[test]
    fn paint_leaves_text_alone_without_colour() {
        assert_eq!(paint("ERROR", Tone::Bad, false), "ERROR");
        assert_eq!(paint("ERROR", Tone::Bad, true), "\x1b[1;31mERROR\x1b[0m");
        assert_eq!(paint("text", Tone::Plain, true), "text");
    }
}
