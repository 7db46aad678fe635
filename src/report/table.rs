//! The report for people at a terminal: the answer first, then what supports it.
//!
//! On a terminal it fits the columns; elsewhere nothing is wrapped, cut or drawn, so that it can
//! be searched. This file owns the page and the grid, and is the only one that names the table
//! crate; the sections are beside it in `table/`.

pub(super) mod coverage;
pub(super) mod finding;
mod hosts;
pub(super) mod inputs;

use std::io;

use comfy_table::{
    Cell, CellAlignment, ColumnConstraint, ContentArrangement, LineStyle, Table, TableStyle,
    presets,
};

use super::color::{Tone, paint};
use super::text::{escape, wrap};
use super::{Format, Overall, Report, Style, answer};

pub(super) const FORMAT: Format = Format {
    name: "table",
    help: "for people: the answer, the findings and what supports them",
    write,
};

fn write(report: &Report, style: Style, out: &mut dyn io::Write) -> io::Result<()> {
    let mut page = Page::new(style, out);
    let tone = match report.overall {
        Overall::Pass => Tone::Good,
        Overall::Fail => Tone::Bad,
        Overall::Inconclusive => Tone::Doubtful,
    };
    let word = format!("{}:", answer::word(report.overall));
    page.tagged(0, &word, tone, &answer::headline(report))?;
    inputs::write(report, &mut page)?;
    finding::write(report, &mut page)?;
    if report.topology {
        coverage::write(report, &mut page)?;
    } else {
        hosts::write(report, &mut page)?;
    }
    coverage::quality(report, &mut page)?;
    let steps = answer::next_steps(report);
    if !steps.is_empty() {
        page.heading("What to do next")?;
        for (at, step) in steps.iter().enumerate() {
            page.tagged(2, &format!("{}.", at + 1), Tone::Plain, step)?;
        }
    }
    Ok(())
}

/// Text on its way out: escaped, wrapped to the terminal, coloured where wanted.
pub(super) struct Page<'w> {
    style: Style,
    out: &'w mut dyn io::Write,
}

impl<'w> Page<'w> {
    /// A page that is drawn in `style`.
    pub(super) fn new(style: Style, out: &'w mut dyn io::Write) -> Self {
        Self { style, out }
    }

    /// How many items of a list are shown: a few on a terminal, all elsewhere.
    pub(super) fn few(&self, few: usize) -> Option<usize> {
        self.style.width.map(|_| few)
    }

    /// `fancy` on a terminal, `plain` elsewhere.
    pub(super) fn glyph(&self, fancy: &'static str, plain: &'static str) -> &'static str {
        if self.style.width.is_some() {
            fancy
        } else {
            plain
        }
    }

    /// A heading with an empty line before it.
    pub(super) fn heading(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out)?;
        self.out
            .write_all(paint(&escape(text), Tone::Heading, self.style.color).as_bytes())?;
        writeln!(self.out)
    }

    /// An empty line.
    pub(super) fn blank(&mut self) -> io::Result<()> {
        writeln!(self.out)
    }

    /// A paragraph behind `indent` spaces.
    pub(super) fn line(&mut self, indent: usize, text: &str) -> io::Result<()> {
        self.tagged(indent, "", Tone::Plain, text)
    }

    /// A paragraph behind `indent` spaces and a tag in its own tone; following lines are set
    /// below the text, not below the tag.
    pub(super) fn tagged(
        &mut self,
        indent: usize,
        tag: &str,
        tone: Tone,
        text: &str,
    ) -> io::Result<()> {
        if tag.is_empty() && text.is_empty() {
            return Ok(());
        }
        let text = escape(text);
        let gap = usize::from(!tag.is_empty() && !text.is_empty());
        let hang = indent + tag.chars().count() + gap;
        let lines = match self.style.width {
            Some(width) => wrap(&text, usize::from(width).saturating_sub(hang).max(MIN_TEXT)),
            None => vec![text.into_owned()],
        };
        for (at, line) in lines.iter().enumerate() {
            if at == 0 {
                let tag = paint(tag, tone, self.style.color);
                writeln!(self.out, "{:indent$}{tag}{:gap$}{line}", "", "")?;
            } else {
                writeln!(self.out, "{:hang$}{line}", "")?;
            }
        }
        Ok(())
    }

    /// A table behind two spaces.
    pub(super) fn grid(&mut self, grid: &Grid) -> io::Result<()> {
        for line in grid.lines(self.style, GRID_INDENT) {
            writeln!(self.out, "{:GRID_INDENT$}{line}", "")?;
        }
        Ok(())
    }
}

/// How a column is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Align {
    /// Text.
    Left,
    /// Numbers, never broken.
    Right,
    /// Short words, never broken.
    Word,
}

/// A table: titles with their alignment, and rows of as many cells.
pub(super) struct Grid {
    columns: Vec<(&'static str, Align)>,
    rows: Vec<(Tone, Vec<String>)>,
}

impl Grid {
    /// A table without rows.
    pub(super) fn new(columns: &[(&'static str, Align)]) -> Self {
        Self {
            columns: columns.to_vec(),
            rows: Vec::new(),
        }
    }

    /// Appends a row whose first cell has a tone.
    pub(super) fn row(&mut self, tone: Tone, cells: Vec<String>) {
        self.rows.push((tone, cells));
    }

    /// The drawn lines, without trailing spaces.
    pub(super) fn lines(&self, style: Style, indent: usize) -> Vec<String> {
        let mut table = Table::new();
        match style.width {
            Some(width) => {
                table
                    .load_style(HEADER_LINE)
                    .set_content_arrangement(ContentArrangement::Dynamic)
                    .set_width(width.saturating_sub(indent as u16).max(MIN_TEXT as u16));
            }
            None => {
                table
                    .load_style(presets::NOTHING)
                    .set_content_arrangement(ContentArrangement::Disabled);
            }
        }
        table.set_header(self.columns.iter().map(|(title, _)| *title));
        for (_, cells) in &self.rows {
            table.add_row(cells.iter().map(|cell| Cell::new(escape(cell))));
        }
        for (at, (_, align)) in self.columns.iter().enumerate() {
            if let Some(column) = table.column_mut(at) {
                column.set_padding((0, 2));
                if *align == Align::Right {
                    column.set_cell_alignment(CellAlignment::Right);
                }
                if *align != Align::Left {
                    column.set_constraint(ColumnConstraint::ContentWidth);
                }
            }
        }
        let lines = table.lines().map(|line| line.trim_end().to_string());
        self.painted(lines.collect(), style.color)
    }

    /// Colours the titles and the first cell of rows with a tone. This is done on the drawn lines
    /// since escape sequences inside cells would be measured as text.
    fn painted(&self, mut lines: Vec<String>, color: bool) -> Vec<String> {
        if !color {
            return lines;
        }
        let mut toned = self.rows.iter().filter_map(|(tone, cells)| {
            let first = escape(cells.first()?);
            (*tone != Tone::Plain && !first.is_empty()).then_some((*tone, first))
        });
        let mut next = toned.next();
        for (at, line) in lines.iter_mut().enumerate() {
            if at == 0 {
                *line = paint(line, Tone::Heading, color).into_owned();
            } else if let Some((tone, first)) = &next
                && let Some(rest) = line.strip_prefix(first.as_ref())
            {
                *line = format!("{}{rest}", paint(first, *tone, color));
                next = toned.next();
            }
        }
        lines
    }
}

/// One line under the titles, and nothing else that the eye must skip.
const HEADER_LINE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─'));
/// Narrower than this nothing is legible, whatever the terminal says.
const MIN_TEXT: usize = 24;
/// Spaces before a table.
const GRID_INDENT: usize = 2;
