//! A car that a person uses: a daemon in a process of its own, on a scripted camera with everything
//! behind it real, and the built `outrider` beside it.
//!
//! Each test binary that uses it has a test `child_that_runs` which calls [`child`].

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use outrider::alert::{Annunciator, SoundError};
use outrider::camera_id::CameraId;
use outrider::config::Config;
use outrider::daemon::{
    BeaconLine, Daemon, IgnitionLine, LineError, OpenBeacon, SeamCamera, SeamIgnition, Seams, Seen,
};

use super::{car, people, within};

/// A loudspeaker that needs no sound card.
pub struct Silent;

impl Annunciator for Silent {
    fn ready(&mut self) -> Result<(), SoundError> {
        Ok(())
    }
    fn play(&mut self, _: &[i16], _: &dyn Fn() -> bool) -> Result<(), SoundError> {
        Ok(())
    }
}

/// An ignition line that a test holds: it is on while its file says so, and its chip is gone while there is no file.
struct HeldLine(PathBuf);

impl IgnitionLine for HeldLine {
    fn look(&mut self, timeout: Duration) -> Result<Seen, LineError> {
        std::thread::sleep(timeout.min(Duration::from_millis(20)));
        match std::fs::read_to_string(&self.0) {
            Ok(level) => {
                let is_on = level.trim() == "on";
                Ok(Seen { was_on: is_on, is_on })
            }
            Err(e) => Err(LineError::Lost { chip: self.0.clone(), line: 17, source: e.into() }),
        }
    }
}

/// A beacon that a test holds: its file says whether it is on, and its chip is gone while the file's folder is.
struct HeldBeacon(PathBuf);

impl BeaconLine for HeldBeacon {
    fn switch(&mut self, on: bool) -> Result<(), LineError> {
        std::fs::write(&self.0, if on { "on" } else { "off" }).map_err(|e| LineError::Lost {
            chip: self.0.clone(),
            line: 27,
            source: e.into(),
        })
    }
}

/// The beacon of a test's file: off when it is opened, as the kernel's is.
fn beacon(file: PathBuf) -> OpenBeacon {
    Box::new(move || {
        let mut line = HeldBeacon(file.clone());
        line.switch(false)?;
        Ok(Box::new(line))
    })
}

/// The line of a test's file, and the folder beside it where the marker goes.
fn ignition(file: PathBuf) -> SeamIgnition {
    let runtime = file.with_file_name("runtime");
    std::fs::create_dir_all(&runtime).unwrap();
    SeamIgnition { open: Box::new(move || Ok(Box::new(HeldLine(file.clone())))), runtime }
}

/// The daemon's process: drives past the plates that it is told, then stands still until a line on its
/// standard input stops it, or an order to wipe comes.
pub fn child() {
    let Some(config) = std::env::var_os("OUTRIDER_TEST_CHILD") else { return };
    tracing_subscriber::fmt().with_env_filter("info").with_writer(std::io::stderr).init();
    outrider::daemon::end_on_panic();
    let config = Config::load(Path::new(&config)).unwrap();
    let passing = std::env::var("OUTRIDER_TEST_PASSING").unwrap_or_default();
    let plates: Vec<String> = passing.split_whitespace().map(str::to_owned).collect();
    let (open, reader) = car::camera(&plates, Duration::from_millis(1));
    let seams = Seams {
        cameras: Some(vec![SeamCamera { id: CameraId::new("front"), open, reader: Some(reader) }]),
        annunciator: Some(Box::new(Silent)),
        ignition: std::env::var_os("OUTRIDER_TEST_IGNITION").map(|file| ignition(file.into())),
        beacon: std::env::var_os("OUTRIDER_TEST_BEACON").map(|file| beacon(file.into())),
        ..Seams::default()
    };
    let daemon = Daemon::start(config, seams).unwrap();
    match daemon.console() {
        Some(address) => println!("\nconsole {address}"),
        None => println!("\nno console"),
    }
    if let Some(address) = daemon.metrics() {
        println!("metrics {address}");
    }
    assert!(daemon.wait_for_end(Duration::from_secs(60)));
    println!("driven");
    if std::env::var_os("OUTRIDER_TEST_THREADS").is_some() {
        print_threads();
    }
    let asked = Arc::new(Mutex::new(false));
    let stop = asked.clone();
    std::thread::spawn(move || {
        std::io::stdin().lines().next();
        *stop.lock().unwrap() = true;
    });
    loop {
        if let Some(order) = daemon.wipe_asked() {
            daemon.wipe(order).unwrap();
            println!("wiped");
            return;
        }
        let is_over = daemon.ignition_is_over();
        if is_over || *asked.lock().unwrap() {
            daemon.stop();
            println!("{}", if is_over { "stopped for the ignition" } else { "stopped" });
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Says which threads there are.
#[cfg(feature = "testing")]
fn print_threads() {
    println!("threads {}", outrider::daemon::started_for_tests().join(" "));
}

#[cfg(not(feature = "testing"))]
fn print_threads() {}

/// The built `outrider`.
pub fn program() -> &'static str {
    // Examples share this file, and cargo names the binary to tests alone.
    let Some(program) = option_env!("CARGO_BIN_EXE_outrider") else {
        unreachable!("only tests run the binary, examples have none to name");
    };
    program
}

/// Takes down the lines that a process says, for as long as it speaks.
pub fn lines_of(out: ChildStdout) -> Arc<Mutex<Vec<String>>> {
    let said = Arc::<Mutex<Vec<String>>>::default();
    let sink = Arc::clone(&said);
    std::thread::spawn(move || {
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            sink.lock().unwrap().push(line);
        }
    });
    said
}

/// A car: its folder with `outrider.toml` and `state`, and the daemon while it runs.
pub struct Car {
    folder: PathBuf,
    /// The file that says how the ignition line is, where the daemon watches one.
    pub ignition: Option<PathBuf>,
    /// The file that says whether the beacon is on, where the daemon has one.
    pub beacon: Option<PathBuf>,
    process: Option<Child>,
    said: Arc<Mutex<Vec<String>>>,
}

impl Car {
    /// A car with these further lines of configuration and this list; nothing runs yet.
    ///
    /// Everybody of `people.rs` may sign in at it, unless the lines name policy or trust themselves.
    pub fn new(folder: &Path, keeping: &str, further: &str, listed: &[&str]) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        let people = match further.contains("[trust]") || further.contains("[policy]") {
            true => String::new(),
            false => people::provision(&folder.join("people"), "peel"),
        };
        std::fs::write(folder.join("list.txt"), listed.join("\n")).unwrap();
        let dir = folder.display();
        let console = match further.contains("[console]") {
            true => "",
            false => "[console]\nenabled = false\n",
        };
        let config = format!(
            "[vehicle]\nid = \"4127\"\nagency = \"peel\"\n[gps]\nsource = \"off\"\n\
             [[hotlist]]\nname = \"test\"\npath = \"{dir}/list.txt\"\n\
             [keeping]\ndirectory = \"{dir}/state\"\ndisk_reserve = \"0B\"\n{keeping}\n\
             {console}{further}\n{people}"
        );
        std::fs::write(folder.join("outrider.toml"), config).unwrap();
        let (ignition, beacon) = (None, None);
        Self { folder: folder.to_owned(), ignition, beacon, process: None, said: Arc::default() }
    }

    /// A file of the car's folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The state folder.
    pub fn state(&self) -> PathBuf {
        self.path("state")
    }

    /// Starts the daemon, which drives past these.
    pub fn start(&mut self, passing: &[&str]) {
        // A restart ends every session.
        let _ = std::fs::remove_dir_all(self.path("run"));
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.path("log"));
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_that_runs", "--nocapture"])
            .env("OUTRIDER_TEST_CHILD", self.path("outrider.toml"))
            .env("OUTRIDER_TEST_PASSING", passing.join(" "))
            .envs(self.ignition.iter().map(|file| ("OUTRIDER_TEST_IGNITION", file)))
            .envs(self.beacon.iter().map(|file| ("OUTRIDER_TEST_BEACON", file)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log.unwrap())
            .spawn()
            .unwrap();
        self.said = lines_of(child.stdout.take().unwrap());
        self.process = Some(child);
        self.until_said("driven");
    }

    /// Waits until the daemon says this.
    #[track_caller]
    pub fn until_said(&self, line: &str) {
        within(
            Duration::from_secs(60),
            &format!("the daemon says {line:?}: {}", self.log()),
            || self.said.lock().unwrap().iter().any(|said| said == line),
        );
    }

    /// What the daemon said behind this word.
    pub fn told(&self, word: &str) -> Option<String> {
        let said = self.said.lock().unwrap();
        said.iter().find_map(|line| line.strip_prefix(word)).map(|rest| rest.trim().to_owned())
    }

    /// Whether the daemon has ended.
    pub fn has_ended(&mut self) -> bool {
        self.process.as_mut().is_none_or(|child| child.try_wait().unwrap().is_some())
    }

    /// Stops the daemon in order.
    pub fn stop(&mut self) {
        let mut child = self.process.take().unwrap();
        child.stdin.take().unwrap().write_all(b"stop\n").unwrap();
        assert!(child.wait().unwrap().success(), "{}", self.log());
    }

    /// Ends the daemon at once, as a crash or a power cut does.
    pub fn crash(&mut self) {
        let mut child = self.process.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// What the daemon logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// `outrider` with these arguments and this car's configuration.
    /// Whoever it states with `--officer` or `--author` is signed in first; without, nobody is.
    pub fn command(&self, args: &[&str]) -> Command {
        let stated = |flag: &str| args.iter().skip_while(|arg| **arg != flag).nth(1);
        let stated = ["--officer", "--author", "--by"].into_iter().find_map(stated);
        let person = people::number_of(stated.copied().unwrap_or("nobody"));
        if stated.is_some() && !self.path("run").join(person).exists() {
            let _ = self.login(person, people::PIN);
        }
        self.command_as(person, args)
    }

    /// As [`Car::command`], in the account of this person, whether or not anybody is signed in there.
    pub fn command_as(&self, person: &str, args: &[&str]) -> Command {
        let mut command = Command::new(program());
        command.args(args).arg("--config").arg(self.path("outrider.toml"));
        command.env("XDG_RUNTIME_DIR", self.path("run").join(person));
        command
    }

    /// `outrider login`, in the account of this person.
    pub fn login(&self, number: &str, pin: &str) -> Output {
        let mut command =
            self.command_as(number, &["login", "--number", number, "--pin-from-stdin"]);
        let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = pipes.spawn().unwrap();
        // It may have refused before it was given the PIN.
        let _ = child.stdin.take().unwrap().write_all(format!("{pin}\n").as_bytes());
        child.wait_with_output().unwrap()
    }

    /// Runs it.
    pub fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Runs what must succeed; returns what it printed.
    #[track_caller]
    pub fn does(&self, args: &[&str]) -> String {
        let output = self.run(args);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{args:?}: {said}");
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    /// Runs what must be refused with exit code 1 and one line; returns that line.
    #[track_caller]
    pub fn refuses(&self, args: &[&str]) -> String {
        refusal(args, self.run(args))
    }

    /// Kinds and fields of the audit log, oldest first, as `outrider audit show` prints them.
    #[track_caller]
    pub fn audit(&self) -> Vec<serde_json::Value> {
        let shown = self.does(&["audit", "show", "-n", "1000", "--json"]);
        shown.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// How many records of a kind there are.
    #[track_caller]
    pub fn recorded(&self, kind: &str) -> usize {
        self.audit().iter().filter(|record| record["event"]["kind"] == kind).count()
    }
}

/// The one line of a refusal with exit code 1.
#[track_caller]
pub fn refusal(what: &[&str], output: Output) -> String {
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{what:?}: {said}");
    assert!(output.stdout.is_empty(), "{what:?}: {}", String::from_utf8_lossy(&output.stdout));
    let errors: Vec<_> = said.lines().filter_map(|line| line.strip_prefix("error: ")).collect();
    assert_eq!(errors.len(), 1, "{what:?}: {said}");
    errors[0].to_owned()
}

impl Drop for Car {
    fn drop(&mut self) {
        if let Some(mut child) = self.process.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
