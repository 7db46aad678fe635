//! The front door: the command line, its messages and its exit codes.
//!
//! Data goes to standard output, everything else to standard error, and the last line there names
//! the reason of the exit code. A closed pipe is a reader that has seen enough: success.

mod args;
mod audit;
mod explain;
mod exports;
mod ipsec;
mod list;
mod plan;
mod terminal;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use args::{Cli, Command, PolicyCommand};
use terminal::Terminal;

use crate::error::{Error, Result};
use crate::policy::{Policy, Profile, Sources};
use crate::report::schema;

/// Exit code of usage, policy and input errors.
const EXIT_ERROR: u8 = 2;

/// Runs the program with the given arguments, the first being its name.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let terminal = Terminal::new(&cli.display);
    let code = match dispatch(&cli.command, &terminal) {
        Ok(code) => code,
        Err(Failure::ClosedPipe) => 0,
        Err(Failure::Error(error)) => {
            terminal.error(&error);
            EXIT_ERROR
        }
    };
    ExitCode::from(code)
}

/// Why a command ended early.
enum Failure {
    /// Whoever read standard output has gone.
    ClosedPipe,
    Error(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Write { source, .. } if source.kind() == io::ErrorKind::BrokenPipe => {
                Self::ClosedPipe
            }
            other => Self::Error(other),
        }
    }
}

type Ended = std::result::Result<u8, Failure>;

fn usage(error: &clap::Error) -> ExitCode {
    // clap writes help and version to standard output, mistakes to standard error. Nobody can be
    // told about a message that cannot be written.
    let _closed = error.print();
    ExitCode::from(if error.use_stderr() { EXIT_ERROR } else { 0 })
}

fn dispatch(command: &Command, terminal: &Terminal) -> Ended {
    match command {
        Command::Check(args) => audit::check(args, terminal),
        Command::Watch(args) => audit::watch(args, terminal),
        Command::Test(args) => audit::test(args, terminal),
        Command::Flows(args) => list::flows(args, terminal),
        Command::Plan(args) => plan::plan(args, terminal),
        Command::Rules(args) => list::rules(args, terminal),
        Command::Explain(args) => explain::explain(args, terminal),
        Command::Ipsec(args) => ipsec::ipsec(args, terminal),
        Command::Policy(PolicyCommand::Check(args)) => list::policy_check(args, terminal),
        Command::Policy(PolicyCommand::Show(args)) => list::policy_show(args, terminal),
        Command::Schema(args) => {
            let text = schema::find(&args.of).map_or("", |schema| schema.text);
            to_stdout(|out| out.write_all(text.as_bytes()))
        }
        Command::Completions(args) => {
            let mut script = Vec::new();
            clap_complete::generate(args.shell, &mut Cli::command(), "portassay", &mut script);
            to_stdout(|out| out.write_all(&script))
        }
        Command::Man => {
            let mut page = Vec::new();
            clap_mangen::Man::new(Cli::command()).render(&mut page).map_err(stdout_error)?;
            to_stdout(|out| out.write_all(&page))
        }
    }
}

/// Writes to standard output, buffered, and reports what went wrong.
fn to_stdout(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Ended {
    let mut out = io::BufWriter::new(io::stdout().lock());
    write(&mut out).and_then(|()| out.flush()).map_err(stdout_error)?;
    Ok(0)
}

fn stdout_error(source: io::Error) -> Failure {
    Error::Write { path: "standard output".into(), source }.into()
}

/// The policy that the flags ask for.
fn load_policy(expected: &args::Expected) -> Result<Policy> {
    Policy::load(&Sources {
        topology: expected.topology.clone(),
        policies: expected.policy.clone(),
        no_builtin: expected.no_builtin,
        profile: match expected.profile {
            args::Edition::Sfb2015 => Profile::Sfb2015,
            args::Edition::Sfb2019 => Profile::Sfb2019,
        },
        strict: expected.strict,
    })
}
