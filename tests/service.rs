//! The systemd unit, read by systemd's own tools.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, helpers included")]

use std::process::Command;

const UNIT: &str = "systemd/outrider.service";

/// Runs systemd-analyze, or says loudly why not.
fn analyze(args: &[&str]) -> Option<String> {
    match Command::new("systemd-analyze").args(args).arg(UNIT).output() {
        Ok(output) => Some(format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        )),
        Err(e) => {
            eprintln!("SKIPPED: the systemd unit because systemd-analyze does not start: {e}");
            None
        }
    }
}

#[test]
fn unit_has_no_mistakes_but_that_nothing_is_installed() {
    let Some(said) = analyze(&["verify"]) else { return };
    let mistakes: Vec<_> = said
        .lines()
        .filter(|l| l.contains("outrider") && !l.contains("is not executable"))
        .collect();
    assert!(mistakes.is_empty(), "{mistakes:#?}");
}

#[test]
fn unit_leaves_little_exposed() {
    let Some(said) = analyze(&["security", "--offline=true", "--no-pager"]) else { return };
    let level = said
        .lines()
        .find_map(|l| l.split("exposure level for outrider.service: ").nth(1))
        .unwrap_or_else(|| panic!("no level in: {said}"));
    let level: f32 = level.split_whitespace().next().unwrap().parse().unwrap();
    // 1.6 with systemd 252: what is left is IP (broker, gpsd, console) and the two kinds of device.
    assert!(level <= 2.0, "exposure {level}: {said}");
}
