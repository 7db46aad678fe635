//! Where figures were taken: they mean little without it.

use std::fs;

/// The machine in a few words: processor, cores, memory, kernel, and how busy it was.
pub(super) fn describe() -> Vec<(&'static str, String)> {
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let memory: f64 =
        field("/proc/meminfo", "MemTotal").trim_end_matches(" kB").parse().unwrap_or(0.0);
    vec![
        ("processor", field("/proc/cpuinfo", "model name")),
        ("cores", cores.to_string()),
        ("memory", format!("{:.0} GiB", memory / f64::from(1 << 20))),
        ("kernel", text("/proc/sys/kernel/osrelease")),
        ("load average at the start", text("/proc/loadavg")),
    ]
}

/// The value of the first line of a file of /proc with this name; "unknown" on other systems.
fn field(path: &str, name: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let value =
        text.lines().find_map(|line| line.split_once(':').filter(|(key, _)| key.trim() == name));
    value.map_or_else(|| "unknown".to_owned(), |(_, value)| value.trim().to_owned())
}

fn text(path: &str) -> String {
    fs::read_to_string(path).map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned())
}
