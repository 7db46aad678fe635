//! stub
use super::{Format, Report, Style};
use std::io;
pub(super) const FORMAT: Format = Format {
    name: "jsonl",
    help: "",
    write,
};
fn write(_report: &Report, _style: Style, _out: &mut dyn io::Write) -> io::Result<()> {
    todo!()
}
