//! The systemd unit, read by systemd's own tools.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, helpers included")]

use std::process::Command;

#[path = "common/skips.rs"]
mod skips;
use skips::skipped;

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
            skipped("the systemd unit", &format!("systemd-analyze does not start: {e}"));
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
fn the_unit_s_user_is_the_one_that_the_package_makes_and_gives_folders_to() {
    let unit = std::fs::read_to_string(UNIT).unwrap();
    let set = |key: &str| unit.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix('='));
    assert_eq!(set("DynamicUser"), None, "root could give it no keys");
    let (user, group) = (set("User").unwrap(), set("Group").unwrap());
    let sysusers = std::fs::read_to_string("packaging/outrider.sysusers").unwrap();
    assert!(sysusers.lines().any(|l| l.starts_with(&format!("u {user} "))), "{sysusers}");
    for wanted in set("SupplementaryGroups").unwrap().split(' ') {
        assert!(
            sysusers.lines().any(|l| l == format!("m {user} {wanted}")),
            "{wanted}: {sysusers}"
        );
    }
    let tmpfiles = std::fs::read_to_string("packaging/outrider.tmpfiles").unwrap();
    for (folder, mode, owner) in [
        ("/etc/outrider", set("ConfigurationDirectoryMode").unwrap(), "root"),
        ("/var/lib/outrider", set("StateDirectoryMode").unwrap(), user),
    ] {
        let line = format!("{folder} {mode} {owner} {group} -");
        assert!(tmpfiles.lines().any(|l| l.ends_with(&format!(" {line}"))), "{line}: {tmpfiles}");
    }
}

#[test]
fn unit_leaves_little_exposed() {
    let Some(said) = analyze(&["security", "--offline=true", "--no-pager"]) else { return };
    let level = said
        .lines()
        .find_map(|l| l.split("exposure level for outrider.service: ").nth(1))
        .unwrap_or_else(|| panic!("no level in: {said}"));
    let level: f32 = level.split_whitespace().next().unwrap().parse().unwrap();
    // With systemd 252; what is left stands in the unit. tests/vm/car.sh asks a systemd that runs it.
    assert!(level <= 1.3, "exposure {level}: {said}");
}

/// What the unit says for a setting of `[Service]`, in its order; several lines of one setting add up.
fn settings(unit: &str, name: &str) -> Vec<String> {
    let service = unit.split("\n[").find(|section| section.starts_with("Service]")).unwrap();
    let lines = service.lines().filter_map(|line| line.split_once('='));
    lines.filter(|(key, _)| *key == name).map(|(_, value)| value.to_owned()).collect()
}

/// Each promise of SECURITY.md about the sandbox, as the settings that ask systemd for it. A score can stay good while
/// one of these goes.
#[test]
fn unit_asks_for_each_part_of_the_sandbox() {
    let unit = std::fs::read_to_string(UNIT).unwrap();
    for (setting, values) in [
        // No file but the state folder, and no other user's home or temporary files.
        ("ProtectSystem", &["strict"][..]),
        ("ProtectHome", &["yes"]),
        ("PrivateTmp", &["yes"]),
        ("StateDirectory", &["outrider"]),
        ("StateDirectoryMode", &["0700"]),
        ("RuntimeDirectory", &["outrider"]),
        ("RuntimeDirectoryMode", &["0700"]),
        ("RuntimeDirectoryPreserve", &[]),
        ("ReadWritePaths", &[]),
        ("BindPaths", &[]),
        ("UMask", &["0077"]),
        // No device but cameras and sound.
        ("DevicePolicy", &["closed"]),
        ("DeviceAllow", &["char-video4linux rw", "char-alsa rw"]),
        // No rights, and no way to new ones.
        ("DynamicUser", &[]),
        ("User", &["outrider"]),
        ("SupplementaryGroups", &["video audio"]),
        ("PrivateUsers", &["yes"]),
        ("NoNewPrivileges", &["yes"]),
        ("CapabilityBoundingSet", &[""]),
        ("AmbientCapabilities", &[""]),
        ("RestrictNamespaces", &["yes"]),
        ("RestrictSUIDSGID", &["yes"]),
        ("MemoryDenyWriteExecute", &["yes"]),
        ("SystemCallArchitectures", &["native"]),
        ("RestrictAddressFamilies", &["AF_UNIX AF_INET AF_INET6"]),
        // What decodes a network camera is ended alone where memory is short.
        ("OOMPolicy", &["continue"]),
        // And no core dump.
        ("LimitCORE", &["0"]),
    ] {
        assert_eq!(settings(&unit, setting), values, "{setting}");
    }
    let calls = settings(&unit, "SystemCallFilter");
    assert_eq!(calls, ["@system-service", "~@privileged @resources"]);
}

#[test]
fn unit_does_not_try_again_what_only_a_person_mends_and_tries_everything_else() {
    let unit = std::fs::read_to_string(UNIT).unwrap();
    assert_eq!(settings(&unit, "Restart"), ["always"]);
    let code = outrider::daemon::EXIT_NOT_SET_UP.to_string();
    assert_eq!(settings(&unit, "RestartPreventExitStatus"), [code]);
}

/// The unit's own line, in a shell, with a systemctl that only writes down what it was asked for.
#[test]
fn root_powers_the_machine_off_where_the_marker_is_and_nowhere_else() {
    let unit = std::fs::read_to_string(UNIT).unwrap();
    let lines = settings(&unit, "ExecStopPost");
    let line = lines.iter().find_map(|line| line.strip_prefix("-+/bin/sh -c '")).unwrap();
    let script = line.strip_suffix('\'').unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (runtime, asked) = (dir.path().join("outrider"), dir.path().join("asked"));
    std::fs::create_dir(&runtime).unwrap();
    let systemctl = dir.path().join("systemctl");
    std::fs::write(&systemctl, format!("#!/bin/sh\necho \"$*\" >>{}\n", asked.display())).unwrap();
    std::fs::set_permissions(&systemctl, std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .unwrap();
    let path = format!("{}:{}", dir.path().display(), std::env::var("PATH").unwrap());
    let ends = || {
        let script = script.replace("%t", &dir.path().display().to_string());
        let status = Command::new("/bin/sh").args(["-c", &script]).env("PATH", &path).status();
        assert!(status.unwrap().success());
        std::fs::read_to_string(&asked).unwrap_or_default()
    };
    assert_eq!(ends(), "", "a stop like any other");
    std::fs::write(runtime.join(outrider::daemon::POWER_OFF), "").unwrap();
    assert_eq!(ends(), "--no-block poweroff\n");
}
