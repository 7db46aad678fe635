//! What may be typed: every command, flag and help text.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValue, PossibleValuesParser};
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::policy::exports::ONE_LINER;
use crate::report::schema::SCHEMAS;
use crate::report::{FORMATS, plan};

/// Tells whether the traffic in a packet capture is the traffic that should be there.
#[derive(Debug, Parser)]
#[command(
    name = "portassay",
    version,
    max_term_width = 100,
    after_help = "Examples:\n  \
        portassay check site/ --topology site.toml     audit captures against the port tables\n  \
        portassay check trace.pcapng                   first contact: who speaks what\n  \
        portassay watch -i eth2 -t site.toml           audit a SPAN port until Ctrl-C\n  \
        portassay explain S03                          what a table row expects, and why\n\n\
        Exit codes: 0 nothing at or above --fail-on, 1 findings, 2 usage, policy or input error,\n\
        3 the captures cannot support an answer. The last line on stderr says why."
)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Command,
    #[command(flatten)]
    pub(super) display: Display,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Audit captures against the policy
    Check(Check),
    /// Audit live traffic
    Watch(Watch),
    /// List the flows, judged when a topology is given
    Flows(Flows),
    /// Run recorded cases against their expectations
    Test(Test),
    /// Show what must be open and what must be exempt from IPsec, for a topology
    Plan(Plan),
    /// Show the expected port and protocol table in force
    Rules(Rules),
    /// Explain a finding rule, a table row or a 5-tuple
    Explain(Explain),
    /// Audit exported IPsec policies against the exemption rows
    Ipsec(Ipsec),
    /// Validate policy and topology files, or show the merged layers
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Print the JSON Schema of a machine output
    Schema(Schema),
    /// Print shell completions
    Completions(Completions),
    /// Print the manual page
    Man,
}

/// How the program talks.
#[derive(Debug, Args)]
pub(super) struct Display {
    /// When to use colour
    #[arg(long, value_enum, default_value_t = When::Auto, global = true, value_name = "WHEN",
          display_order = COMMON)]
    pub(super) color: When,
    /// When to show progress on stderr
    #[arg(long, value_enum, default_value_t = Progress::Auto, global = true, value_name = "WHEN",
          display_order = COMMON + 1)]
    pub(super) progress: Progress,
    /// Say less on stderr: no warnings, no reason of the exit code
    #[arg(short, long, global = true, display_order = COMMON + 2)]
    pub(super) quiet: bool,
    /// Say more on stderr: what was read and which layers are in force
    #[arg(short, long, global = true, conflicts_with = "quiet", display_order = COMMON + 3)]
    pub(super) verbose: bool,
}

/// Options of every command stand behind a command's own ones in its help.
const COMMON: usize = 900;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum When {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Progress {
    Auto,
    Never,
}

/// What to read.
#[derive(Debug, Args)]
pub(super) struct Input {
    /// Captures: files, folders (searched for captures) or - for standard input
    #[arg(required = true, value_name = "CAPTURE")]
    pub(super) captures: Vec<PathBuf>,
    /// BPF expression; frames that do not match are counted but not analysed. A port filter also
    /// hides the later fragments of large datagrams
    #[arg(short, long, value_name = "EXPR")]
    pub(super) filter: Option<String>,
    /// Workers (default: all cores); any number gives the same bytes of output
    #[arg(long, value_name = "N")]
    pub(super) threads: Option<NonZeroUsize>,
    /// Flows kept in memory; packets of further flows are counted as untracked
    #[arg(long, value_name = "N", default_value = "4000000")]
    pub(super) max_flows: NonZeroUsize,
    /// Count copies of packets, as mirrors of several ports make them, as packets of their own
    #[arg(long)]
    pub(super) keep_duplicates: bool,
}

/// What is expected.
#[derive(Debug, Args)]
pub(super) struct Expected {
    /// Hosts, networks and their roles (TOML)
    #[arg(short, long, value_name = "FILE", env = "PORTASSAY_TOPOLOGY")]
    pub(super) topology: Option<PathBuf>,
    /// A further policy layer; repeatable, later ones win
    #[arg(short, long, value_name = "FILE")]
    pub(super) policy: Vec<PathBuf>,
    /// Leave the built-in tables out
    #[arg(long)]
    pub(super) no_builtin: bool,
    /// Which edition of the built-in tables
    #[arg(long, value_enum, default_value_t = Edition::Sfb2019, value_name = "YEAR")]
    pub(super) profile: Edition,
    /// The strict reading of every ambiguity
    #[arg(long)]
    pub(super) strict: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Edition {
    #[value(name = "2015")]
    Sfb2015,
    #[value(name = "2019")]
    Sfb2019,
}

/// What hosts are set up to do.
#[derive(Debug, Args)]
pub(super) struct Exported {
    /// The IPsec policy of a host, as `portassay ipsec` takes it, to compare with what is seen of
    /// the exemptions: FILE, named as the host is in the topology, or NAME=FILE; repeatable
    #[arg(long, value_name = "EXPORT")]
    pub(super) exports: Vec<PathBuf>,
}

/// When the run fails.
#[derive(Debug, Args)]
pub(super) struct Verdict {
    /// The least severity that fails the run
    #[arg(long, value_enum, default_value_t = FailOn::Error, value_name = "SEVERITY")]
    pub(super) fail_on: FailOn,
    /// Exit 0 instead of 3 when the captures cannot support an answer
    #[arg(long)]
    pub(super) allow_inconclusive: bool,
    /// Exit 0 instead of 1 and 3; input and policy errors still exit 2
    #[arg(long)]
    pub(super) exit_zero: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum FailOn {
    Error,
    Warning,
    Note,
    Never,
}

/// How the report is written.
#[derive(Debug, Args)]
pub(super) struct Output {
    /// The format on standard output
    #[arg(long, value_name = "FORMAT", default_value = "table", value_parser = report_formats())]
    pub(super) format: String,
    /// Write a further report to a file; repeatable
    #[arg(short, long, value_name = "FORMAT=FILE", value_parser = parse_output)]
    pub(super) output: Vec<(String, PathBuf)>,
}

fn report_formats() -> PossibleValuesParser {
    PossibleValuesParser::new(
        FORMATS.iter().map(|format| PossibleValue::new(format.name).help(format.help)),
    )
}

fn parse_output(text: &str) -> Result<(String, PathBuf), String> {
    let (format, path) = text
        .split_once('=')
        .ok_or_else(|| format!("'{text}' is not FORMAT=FILE, such as json=report.json"))?;
    if !FORMATS.iter().any(|known| known.name == format) {
        let names: Vec<&str> = FORMATS.iter().map(|known| known.name).collect();
        return Err(format!("unknown format '{format}'; the formats are {}", names.join(", ")));
    }
    if path.is_empty() {
        return Err(format!("'{text}' names no file"));
    }
    Ok((format.to_owned(), PathBuf::from(path)))
}

#[derive(Debug, Args)]
pub(super) struct Check {
    #[command(flatten)]
    pub(super) input: Input,
    #[command(flatten)]
    pub(super) expected: Expected,
    #[command(flatten)]
    pub(super) exported: Exported,
    #[command(flatten)]
    pub(super) verdict: Verdict,
    #[command(flatten)]
    pub(super) output: Output,
}

#[derive(Debug, Args)]
pub(super) struct Watch {
    /// The interface to capture on; see --list-interfaces
    #[arg(short, long, value_name = "IFACE", required_unless_present = "list_interfaces")]
    pub(super) interface: Option<String>,
    /// List the interfaces and exit
    #[arg(short = 'D', long)]
    pub(super) list_interfaces: bool,
    /// BPF expression, applied by the kernel
    #[arg(short, long, value_name = "EXPR")]
    pub(super) filter: Option<String>,
    /// Stop by itself: packets:N, duration:SECONDS, or a time such as 90s, 5m, 2h; repeatable,
    /// the first that is reached ends the watch
    #[arg(long, value_name = "CONDITION", value_parser = parse_stop)]
    pub(super) stop_after: Vec<StopAfter>,
    /// Bytes captured of each frame
    #[arg(short, long, value_name = "BYTES", default_value = "262144")]
    pub(super) snaplen: u32,
    /// Kernel buffer in MiB
    #[arg(short = 'B', long, value_name = "MIB", default_value = "64",
          value_parser = clap::value_parser!(u32).range(1..=2047))]
    pub(super) buffer_size: u32,
    /// Do not put the interface into promiscuous mode
    #[arg(long)]
    pub(super) no_promiscuous: bool,
    /// Seconds without a packet after which a flow is closed and forgotten
    #[arg(long, value_name = "SECONDS", default_value = "300",
          value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) idle: u32,
    /// Flows kept in memory at a time
    #[arg(long, value_name = "N", default_value = "1000000")]
    pub(super) max_flows: NonZeroUsize,
    /// Count copies of packets, as mirrors of several ports make them, as packets of their own
    #[arg(long)]
    pub(super) keep_duplicates: bool,
    #[command(flatten)]
    pub(super) expected: Expected,
    #[command(flatten)]
    pub(super) exported: Exported,
    #[command(flatten)]
    pub(super) verdict: Verdict,
    #[command(flatten)]
    pub(super) output: Output,
}

/// A condition that ends a watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StopAfter {
    /// So many packets.
    Packets(u64),
    /// So long.
    Duration(Duration),
}

fn parse_stop(text: &str) -> Result<StopAfter, String> {
    let wrong = || {
        format!("'{text}' is not a stop condition; write packets:1000, duration:60, 90s, 5m or 2h")
    };
    if let Some(count) = text.strip_prefix("packets:") {
        return count.parse().map(StopAfter::Packets).map_err(|_| wrong());
    }
    let time = text.strip_prefix("duration:").unwrap_or(text);
    let digits = time.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let scale = match (&time[digits.len()..], time == text) {
        ("s", _) | ("", false) => 1,
        ("m", _) => 60,
        ("h", _) => 3600,
        _ => return Err(wrong()),
    };
    let seconds = digits.parse::<u64>().ok().and_then(|n| n.checked_mul(scale));
    seconds.map(|s| StopAfter::Duration(Duration::from_secs(s))).ok_or_else(wrong)
}

#[derive(Debug, Args)]
pub(super) struct Flows {
    #[command(flatten)]
    pub(super) input: Input,
    #[command(flatten)]
    pub(super) expected: Expected,
    /// The format on standard output
    #[arg(long, value_enum, default_value_t = ListFormat::Table, value_name = "FORMAT")]
    pub(super) format: ListFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ListFormat {
    Table,
    Json,
    Jsonl,
    Csv,
    Markdown,
}

#[derive(Debug, Args)]
pub(super) struct Test {
    /// Folders with cases, searched recursively
    #[arg(required = true, value_name = "DIR")]
    pub(super) folders: Vec<PathBuf>,
    /// Write each case's expected.json anew; read the difference before you commit it
    #[arg(long)]
    pub(super) bless: bool,
    /// The format on standard output
    #[arg(long, value_enum, default_value_t = CaseFormat::Table, value_name = "FORMAT")]
    pub(super) format: CaseFormat,
    /// Cases run side by side (default: all cores)
    #[arg(long, value_name = "N")]
    pub(super) threads: Option<NonZeroUsize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum CaseFormat {
    Table,
    Json,
    Junit,
}

#[derive(Debug, Args)]
pub(super) struct Rules {
    #[command(flatten)]
    pub(super) expected: Expected,
    /// Only rows that name this role
    #[arg(long, value_name = "ROLE")]
    pub(super) role: Option<String>,
    /// Only rows whose ports hold this one
    #[arg(long, value_name = "PORT")]
    pub(super) port: Option<u16>,
    /// Only rows of this pack; ipsec-exemptions are listed only so
    #[arg(long, value_name = "PACK")]
    pub(super) pack: Option<String>,
    /// The format on standard output
    #[arg(long, value_enum, default_value_t = ListFormat::Table, value_name = "FORMAT")]
    pub(super) format: ListFormat,
}

#[derive(Debug, Args)]
pub(super) struct Plan {
    #[command(flatten)]
    pub(super) expected: Expected,
    /// Only what must be open, or only what must be exempt
    #[arg(long, value_enum, value_name = "WHAT")]
    pub(super) only: Option<PlanPart>,
    /// The format on standard output: tables, or the commands that make the exemptions
    #[arg(long, value_name = "FORMAT", default_value = "table", value_parser = plan_formats())]
    pub(super) format: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum PlanPart {
    Open,
    Exempt,
}

fn plan_formats() -> PossibleValuesParser {
    PossibleValuesParser::new(
        plan::FORMATS.iter().map(|format| PossibleValue::new(format.name).help(format.help)),
    )
}

#[derive(Debug, Args)]
pub(super) struct Explain {
    /// A finding rule (unexpected-port), a class of flows (port-only), a table row (S03, X05)
    /// or a 5-tuple ("tcp 10.0.0.5:* -> fe01:5061")
    #[arg(value_name = "ID")]
    pub(super) subject: String,
    #[command(flatten)]
    pub(super) expected: Expected,
}

/// Audits IPsec policies as hosts export them: for each exemption row, whether the media it is about is left
/// alone.
#[derive(Debug, Args)]
#[command(after_help = format!("How to export, on the host itself:\n  \
    Windows   {ONE_LINER}\n  \
    Windows   netsh advfirewall consec show rule name=all verbose > rules.txt\n  \
    Windows   reg query HKLM\\SOFTWARE\\Policies\\Microsoft\\WindowsFirewall /s > policy.txt\n  \
    Linux     swanctl --list-pols --raw > rules.txt, or ip -s xfrm policy > rules.txt\n\n\
    Exit codes: 0 every row is exempt or not secured, 1 rows are not, 2 usage or input error,\n\
    3 what decides is not understood. docs/ipsec-exports.md tells how to read the answer."))]
pub(super) struct Ipsec {
    /// Exports of hosts, one file each: FILE, named as the host is in the topology, or NAME=FILE
    #[arg(required = true, value_name = "EXPORT")]
    pub(super) exports: Vec<PathBuf>,
    /// The host or network of the topology that the one export is of
    #[arg(long, value_name = "NAME")]
    pub(super) host: Option<String>,
    #[command(flatten)]
    pub(super) expected: Expected,
    #[command(flatten)]
    pub(super) verdict: Verdict,
    /// The format on standard output
    #[arg(long, value_enum, default_value_t = IpsecFormat::Table, value_name = "FORMAT")]
    pub(super) format: IpsecFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum IpsecFormat {
    Table,
    Json,
    Csv,
    Markdown,
}

impl IpsecFormat {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Json => "json",
            Self::Csv => "csv",
            Self::Markdown => "markdown",
        }
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum PolicyCommand {
    /// Validate policy and topology files
    Check(Expected),
    /// Show the layers in force and what each contributes
    Show(Expected),
}

#[derive(Debug, Args)]
pub(super) struct Schema {
    /// Which output
    #[arg(value_name = "OUTPUT", value_parser = schema_names())]
    pub(super) of: String,
}

fn schema_names() -> PossibleValuesParser {
    PossibleValuesParser::new(SCHEMAS.iter().map(|schema| {
        // Programs may ask for the plural, as in the name of the command.
        PossibleValue::new(schema.name).alias(format!("{}s", schema.name)).help(schema.help)
    }))
}

#[derive(Debug, Args)]
pub(super) struct Completions {
    /// The shell
    #[arg(value_enum)]
    pub(super) shell: clap_complete::Shell,
}
