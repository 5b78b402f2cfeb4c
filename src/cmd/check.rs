//! `outrider check`: is this car fit for duty? Each part is really tried: cameras deliver a frame,
//! the broker answers, models load. For each part it prints what it found, and what to do where something is wrong.
//!
//! Nothing is changed and no plate is read: frames are decoded and counted.

mod cameras;
mod kept;
mod parts;
mod place;
mod sleep;

use std::fmt;
use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::config::Config;
use crate::text::ForeignText;

/// Whether this car is fit for duty: settings, models, cameras, GPS, broker, clock, disk, sound.
#[derive(Debug, Args)]
#[command(
    after_help = "The last line is PASS or FAIL. Ends with 1 if a part fails; warnings do not count.\n\nExamples:\n  outrider check\n  outrider check --json | jq '.[] | select(.level == \"fail\")'"
)]
pub struct CheckArgs {
    /// The configuration.
    #[arg(long, value_name = "FILE", default_value = "/etc/outrider/outrider.toml")]
    config: PathBuf,
    /// A JSON array, one object for each part.
    #[arg(long)]
    json: bool,
}

/// How good or bad a part's result is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// It works, but somebody should look at it.
    Warn,
    /// It does not do its work.
    Fail,
}

/// The result for one part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Which part, such as `camera front`.
    pub part: String,
    /// How bad it is.
    pub level: Level,
    /// What was seen.
    pub fact: String,
    /// What to do; empty when all is well.
    pub advice: String,
}

/// Longest fact, in characters.
const LONGEST_FACT: usize = 1_000;

impl Finding {
    fn ok(part: &str, fact: impl fmt::Display) -> Self {
        Self::new(part, Level::Ok, fact, "")
    }
    fn warn(part: &str, fact: impl fmt::Display, advice: &str) -> Self {
        Self::new(part, Level::Warn, fact, advice)
    }
    fn fail(part: &str, fact: impl fmt::Display, advice: &str) -> Self {
        Self::new(part, Level::Fail, fact, advice)
    }
    fn new(part: &str, level: Level, fact: impl fmt::Display, advice: &str) -> Self {
        // It may contain names that a driver, a broker or a list has chosen.
        let fact = ForeignText::shown(&fact.to_string(), LONGEST_FACT).into();
        Self { part: ForeignText::remark(part).into(), level, fact, advice: advice.into() }
    }
}

impl CheckArgs {
    /// Checks every part and reports.
    pub fn run(self) -> anyhow::Result<()> {
        let findings = match Config::load(&self.config) {
            Ok(config) => {
                let fact = format!(
                    "{}: vehicle {} of {}, {} cameras, {} hotlists",
                    self.config.display(),
                    config.vehicle.id,
                    config.vehicle.agency,
                    config.camera.len(),
                    config.hotlist.len()
                );
                let mut findings = vec![Finding::ok("configuration", fact)];
                parts::check_all(&config, &mut findings);
                findings
            }
            Err(e) => vec![Finding::fail(
                "configuration",
                e,
                "correct the file; examples/outrider.toml shows every key. Nothing else was checked",
            )],
        };
        let mut out = std::io::stdout().lock();
        if self.json {
            writeln!(out, "{}", serde_json::to_string_pretty(&findings)?)?;
        } else {
            write!(out, "{}", render(&findings, std::io::stdout().is_terminal()))?;
        }
        match findings.iter().filter(|f| f.level == Level::Fail).count() {
            0 => Ok(()),
            1 => anyhow::bail!("not fit for duty: 1 part fails"),
            n => anyhow::bail!("not fit for duty: {n} parts fail"),
        }
    }
}

/// One block per finding: the word, the part, the fact; under it what to do. The verdict is the last line.
fn render(findings: &[Finding], colour: bool) -> String {
    let width = findings.iter().map(|f| f.part.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for finding in findings {
        let (word, paint) = match finding.level {
            Level::Ok => ("ok  ", "32"),
            Level::Warn => ("warn", "33"),
            Level::Fail => ("FAIL", "31;1"),
        };
        let word = if colour { format!("\x1b[{paint}m{word}\x1b[0m") } else { word.to_owned() };
        text += &format!("{word}  {:width$}  {}\n", finding.part, finding.fact);
        if !finding.advice.is_empty() {
            text += &format!("{:6}{:width$}  -> {}\n", "", "", finding.advice);
        }
    }
    let of = |level| findings.iter().filter(|f| f.level == level).count();
    let (fails, warnings) = (of(Level::Fail), of(Level::Warn));
    let (word, paint) = if fails == 0 { ("PASS", "32;1") } else { ("FAIL", "31;1") };
    let word = if colour { format!("\x1b[{paint}m{word}\x1b[0m") } else { word.to_owned() };
    text + &format!("{word}  failed: {fails}, warnings: {warnings}, parts: {}\n", findings.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn findings(toml: &str) -> Vec<Finding> {
        let config = Config::parse(toml, Path::new("test.toml")).unwrap_or_else(|e| panic!("{e}"));
        let mut findings = Vec::new();
        parts::check_all(&config, &mut findings);
        findings
    }

    fn named<'a>(findings: &'a [Finding], part: &str) -> &'a Finding {
        findings
            .iter()
            .find(|f| f.part == part)
            .unwrap_or_else(|| panic!("no {part}: {findings:#?}"))
    }

    #[test]
    fn report_says_what_to_do_under_what_is_wrong() {
        let report = [
            Finding::ok("configuration", "outrider.toml: vehicle 4127 of peel"),
            Finding::warn(
                "hotlist stolen",
                "its source is 30 h old",
                "see why no newer one arrives",
            ),
            Finding::fail("camera front", "camera /dev/video0 is not there", "plug it in"),
        ];
        assert_eq!(
            render(&report, false),
            "ok    configuration   outrider.toml: vehicle 4127 of peel\n\
             warn  hotlist stolen  its source is 30 h old\n\
             \x20                     -> see why no newer one arrives\n\
             FAIL  camera front    camera /dev/video0 is not there\n\
             \x20                     -> plug it in\n\
             FAIL  failed: 1, warnings: 1, parts: 3\n"
        );
        let verdict = render(&report[..2], false);
        assert!(verdict.ends_with("\nPASS  failed: 0, warnings: 1, parts: 2\n"), "{verdict}");
        assert_eq!(
            serde_json::to_string(&report[1]).unwrap(),
            "{\"part\":\"hotlist stolen\",\"level\":\"warn\",\"fact\":\"its source is 30 h old\",\
             \"advice\":\"see why no newer one arrives\"}"
        );
    }

    #[test]
    fn car_with_everything_missing_is_told_part_by_part() {
        let dir = tempfile::tempdir().unwrap();
        // Ports on which nobody listens: taken and let go.
        let free = || {
            let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            socket.local_addr().unwrap()
        };
        let (gpsd, broker) = (free(), free());
        let at = dir.path().display();
        std::fs::write(dir.path().join("half.csv"), "plate\nCKSV841\n***\n").unwrap();
        let found = findings(&format!(
            "[vehicle]\nid = \"4127\"\nagency = \"peel\"\n\
             [[camera]]\nname = \"front\"\ndevice = \"/dev/v4l/by-path/none\"\n\
             [models]\ndetector = \"no-such-package\"\n\
             [gps]\naddress = \"{gpsd}\"\n\
             [uplink]\nbroker = \"mqtt://{broker}\"\n\
             [keeping]\ndirectory = \"{at}/state\"\n\
             [console]\nlisten = \"127.0.0.1:0\"\n\
             [alert]\ndevice = \"plughw:CARD=Nowhere,DEV=0\"\nspeech = true\n\
             [[hotlist]]\nname = \"half\"\npath = \"{at}/half.csv\"\n\
             [[hotlist]]\nname = \"gone\"\npath = \"{at}/gone.csv\"\n"
        ));
        for (part, level, fact) in [
            ("models", Level::Fail, "no-such-package"),
            ("camera front", Level::Fail, "/dev/v4l/by-path/none"),
            ("gps", Level::Fail, "cannot reach gpsd at"),
            ("broker", Level::Fail, "nothing listens there"),
            ("hotlist half", Level::Warn, "1 entries, 1 rows skipped (line 3: "),
            ("hotlist gone", Level::Fail, "cannot read hotlist"),
            ("sound", Level::Fail, "plughw:CARD=Nowhere"),
            ("speech", Level::Ok, "espeak-ng speaks"),
            ("console", Level::Ok, "127.0.0.1:0 is free"),
            ("disk", Level::Ok, "free"),
        ] {
            let finding = named(&found, part);
            assert_eq!(finding.level, level, "{finding:?}");
            assert!(finding.fact.contains(fact), "{finding:?}");
            assert_eq!(finding.advice.is_empty(), level == Level::Ok, "{finding:?}");
            assert!(!finding.fact.contains('\n') && !finding.fact.contains("***"), "{finding:?}");
        }
        assert!(!dir.path().join("state").exists(), "checking changes nothing");
    }

    #[test]
    fn files_and_folders_that_others_can_change_are_named() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().display();
        let toml = format!(
            "[vehicle]\nid = \"1\"\nagency = \"a\"\n[gps]\nsource = \"off\"\n\
             [console]\nenabled = false\n[keeping]\ndirectory = \"{at}/state\"\n\
             [trust]\nroot = \"{at}/root.json\"\n[policy]\nceiling = \"{at}/ceiling.toml\"\n\
             [[hotlist]]\nname = \"stolen\"\npath = \"{at}/stolen.csv\"\n"
        );
        std::fs::create_dir(dir.path().join("state")).unwrap();
        for (name, text) in [
            ("outrider.toml", toml.as_str()),
            ("root.json", "{}"),
            ("ceiling.toml", ""),
            ("stolen.csv", "plate\nCKSV841\n"),
        ] {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        let config = dir.path().join("outrider.toml");
        Config::load(&config).unwrap();
        for name in ["state", "root.json", "ceiling.toml", "stolen.csv", "outrider.toml"] {
            let open_to_all = std::fs::Permissions::from_mode(0o777);
            std::fs::set_permissions(dir.path().join(name), open_to_all).unwrap();
        }
        let refused = Config::load(&config).unwrap_err().to_string();
        assert!(refused.contains("can be changed by others (mode 0777)"), "{refused}");
        let found = findings(&toml);
        for part in ["state folder", "root of trust", "policy", "hotlist stolen"] {
            let finding = named(&found, part);
            assert_eq!(finding.level, Level::Fail, "{finding:?}");
            assert!(finding.fact.contains("can be changed by others"), "{finding:?}");
        }
    }

    #[test]
    fn car_without_camera_or_list_is_not_fit() {
        let found = findings(
            "[vehicle]\nid = \"1\"\nagency = \"a\"\n[gps]\nsource = \"off\"\n[console]\nenabled = false\n",
        );
        assert_eq!(named(&found, "cameras").level, Level::Fail);
        assert_eq!(named(&found, "hotlists").level, Level::Fail);
        assert_eq!(named(&found, "gps").level, Level::Warn);
        assert_eq!(named(&found, "broker").level, Level::Warn);
    }
}
