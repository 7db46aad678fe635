//! The program: hands the command line to the library and leaves with its exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    portassay::cli::run(std::env::args_os())
}
