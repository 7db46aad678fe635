//! The README shows what the program really says: its report is held against the program's, and
//! is written anew with `PORTASSAY_BLESS=1`.

use std::path::Path;
use std::process::Command;

const BEGIN: &str = "<!-- the report of make run -->\n```text\n";
const END: &str = "```\n<!-- end of the report -->";

#[test]
fn the_report_in_the_readme_is_the_programs() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(env!("CARGO_BIN_EXE_portassay"))
        .current_dir(root)
        .args(["check", "fixtures/demo-site/capture.pcapng"])
        .args(["--topology", "fixtures/demo-site/topology.toml"])
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let path = root.join("README.md");
    let readme = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = readme.split_once(BEGIN).expect("the README shows a report");
    let (shown, after) = rest.split_once(END).expect("the report in the README ends");
    if std::env::var_os("PORTASSAY_BLESS").is_some() {
        std::fs::write(&path, format!("{before}{BEGIN}{said}{END}{after}")).unwrap();
        return;
    }
    assert!(shown == said, "the README's report is not the program's; set PORTASSAY_BLESS=1");
}
