//! ONNX Runtime: finds the shared library, loads a model, runs it.
//!
//! The library is loaded once per process and kept. Each model has a session with one thread that
//! does not spin: a car's computer has as many cameras as cores, and a spinning pool would take
//! time from the other cameras. Inputs are borrowed, not copied.

use std::env;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use ort::environment::Environment;
use ort::session::builder::GraphOptimizationLevel;
use ort::session::{NoSelectedOutputs, RunOptions, Session};
use ort::value::{TensorElementType, TensorRef, ValueType};

use super::letterbox::Values;
use super::{VisionError, one_file};

/// What to do, at the end of each message.
const ADVICE: &str = "run scripts/onnxruntime.sh, or set models.onnxruntime to libonnxruntime.so";

/// Names under which the library is installed: ours, then those of distributions (Debian 13's
/// `libonnxruntime1.21` has the last).
const NAMES: [&str; 3] = ["libonnxruntime.so", "libonnxruntime.so.1", "libonnxruntime.so.1.21"];

/// Where packages install the library, besides the folders next to the binary.
const FOLDERS: [&str; 2] = ["/usr/lib/outrider", "/usr/local/lib"];

/// The loaded library. There is one per process; it is never unloaded, because sessions point into
/// it.
static LOADED: Mutex<Option<Library>> = Mutex::new(None);

/// The loaded library.
#[derive(Clone)]
struct Library {
    environment: Environment,
    path: PathBuf,
}

/// ONNX Runtime, ready to load models that one [`Interrupt`] ends.
pub struct Runtime {
    library: Library,
    interrupt: Interrupt,
}

/// Ends what models compute, from another thread: they fail at the next node of their graph, and at each picture after
/// it. It holds for the models that were loaded with one [`Runtime`].
#[derive(Clone)]
pub struct Interrupt(Arc<RunOptions<NoSelectedOutputs>>);

impl Interrupt {
    fn new() -> Result<Self, VisionError> {
        let options =
            RunOptions::new().map_err(|e| VisionError::Runtime(e.message().to_owned()))?;
        Ok(Self(Arc::new(options)))
    }

    /// Ends it, for good.
    pub fn interrupt(&self) {
        // ONNX Runtime sets a flag, which cannot fail for options that exist.
        if let Err(e) = self.0.terminate() {
            tracing::error!(error = e.message(), "models cannot be interrupted");
        }
    }
}

impl Runtime {
    /// Loads the library: from `configured` if it is set, else from `ORT_DYLIB_PATH`, else from the
    /// binary's folder, else from `../lib/outrider` relative to it (where the Debian package has
    /// it), else from the system's library path. If a path that was named does not work, that is an
    /// error, and no other is tried. A library stays once it is loaded.
    pub fn find(configured: Option<&Path>) -> Result<Self, VisionError> {
        // Guards the loading; locked while the library's own constructors run.
        let mut loaded = LOADED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(library) = &*loaded {
            return Self::of(library.clone());
        }
        let named = configured
            .map(Path::to_owned)
            .or_else(|| env::var_os("ORT_DYLIB_PATH").filter(|p| !p.is_empty()).map(PathBuf::from));
        let library = match named {
            Some(path) => Library::load(&path)?,
            None => Library::search()?,
        };
        tracing::debug!(path = %library.path.display(), "onnx runtime loaded");
        Self::of(loaded.insert(library).clone())
    }

    fn of(library: Library) -> Result<Self, VisionError> {
        Ok(Self { library, interrupt: Interrupt::new()? })
    }

    /// What ends the models that are loaded with this runtime.
    pub fn interrupt(&self) -> Interrupt {
        self.interrupt.clone()
    }

    /// Version of the library, such as `1.26.0`, or the commit from which it was built where the
    /// file has no version. It reads the file: for reports, not for each frame.
    pub fn version(&self) -> String {
        let named = std::fs::read(self.path()).ok().and_then(|file| symbol_version(&file));
        let info = ort::info();
        let commit = info.split_once("git-commit-id=").and_then(|(_, r)| r.split(',').next());
        named.unwrap_or_else(|| format!("of commit {}", commit.unwrap_or("unknown")))
    }

    /// Where it was loaded from.
    pub fn path(&self) -> &Path {
        &self.library.path
    }
}

impl Library {
    fn search() -> Result<Self, VisionError> {
        let beside = env::current_exe().ok().and_then(|exe| exe.parent().map(Path::to_owned));
        let mut folders: Vec<PathBuf> = Vec::new();
        if let Some(beside) = &beside {
            folders.extend([beside.clone(), beside.join("../lib/outrider")]);
        }
        folders.extend(FOLDERS.map(PathBuf::from));
        for path in folders.iter().flat_map(|f| NAMES.map(|n| f.join(n))) {
            if path.exists() {
                return Self::load(&path);
            }
        }
        for name in NAMES {
            match ort::init_from(name) {
                Ok(builder) => return Self::build(builder, Path::new(name)),
                Err(ort::LoadDynamicError::Dlopen { .. }) => {}
                Err(e) => return Err(refused(Path::new(name), &e)),
            }
        }
        let looked: Vec<_> = folders.iter().map(|f| f.display().to_string()).collect();
        Err(VisionError::Runtime(format!(
            "{} not found in {} or the system's library path: {ADVICE}",
            NAMES[0],
            looked.join(", ")
        )))
    }

    fn load(path: &Path) -> Result<Self, VisionError> {
        inspect(path).map_err(VisionError::Runtime)?;
        // A relative path would be relative to the binary's folder.
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let builder = ort::init_from(&path).map_err(|e| refused(&path, &e))?;
        Self::build(builder, &path)
    }

    fn build(
        builder: ort::environment::EnvironmentBuilder,
        path: &Path,
    ) -> Result<Self, VisionError> {
        let environment =
            builder.with_name("outrider").with_telemetry(false).build().map_err(|e| {
                VisionError::Runtime(format!("{}: {}", path.display(), e.message()))
            })?;
        environment.set_log_level(ort::logging::LogLevel::Error);
        Ok(Self { environment, path: path.to_owned() })
    }
}

/// The library marks its symbols with `VERS_` and its version.
fn symbol_version(library: &[u8]) -> Option<String> {
    let mark = b"\0VERS_";
    let at = library.windows(mark.len()).position(|w| w == mark)? + mark.len();
    let version = library[at..].iter().take_while(|c| c.is_ascii_digit() || **c == b'.');
    Some(version.map(|c| char::from(*c)).collect()).filter(|v: &String| v.contains('.'))
}

/// Checks a library's first bytes: the dynamic loader's own messages are hard to understand.
fn inspect(path: &Path) -> Result<(), String> {
    let shown = path.display();
    let mut head = [0_u8; 20];
    let read = std::fs::File::open(path).and_then(|mut f| f.read(&mut head));
    match read {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            Err(format!("{shown} does not exist: {ADVICE}"))
        }
        Err(e) => Err(format!("cannot read {shown} ({e}): {ADVICE}")),
        Ok(20) if head.starts_with(b"\x7fELF") => {
            let machine = u16::from_le_bytes([head[18], head[19]]);
            let (found, ours) = (machine_name(machine), env::consts::ARCH);
            if found == ours {
                Ok(())
            } else {
                Err(format!("{shown} is for {found}, this machine is {ours}: {ADVICE}"))
            }
        }
        Ok(_) => Err(format!("{shown} is not a shared library: {ADVICE}")),
    }
}

/// The ELF header's machine numbers that we build for.
fn machine_name(machine: u16) -> &'static str {
    match machine {
        62 => "x86_64",
        183 => "aarch64",
        40 => "arm",
        3 => "x86",
        243 => "riscv64",
        _ => "another architecture",
    }
}

fn refused(path: &Path, e: &ort::LoadDynamicError) -> VisionError {
    use ort::LoadDynamicError as E;
    let shown = path.display();
    VisionError::Runtime(match e {
        E::BadVersion { version_str, .. } => format!(
            "{shown} is version {version_str}, needs at least 1.{}: {ADVICE}",
            ort::MINOR_VERSION
        ),
        E::MissingApi { .. } | E::InvalidVersionString => {
            format!("{shown} is a library, but not ONNX Runtime: {ADVICE}")
        }
        E::Dlopen { error, .. } => format!("cannot load {shown} ({error}): {ADVICE}"),
    })
}

/// One input or output of a model: its name, element type and dimensions, -1 where they are free.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Port {
    pub(super) name: String,
    pub(super) bytes: bool,
    pub(super) dims: Vec<i64>,
}

/// An output's dimensions and its values.
pub(super) type Shaped<'a> = (&'a [i64], &'a [f32]);

/// A loaded model.
pub(super) struct Model {
    session: Session,
    interrupt: Interrupt,
    name: String,
    pub(super) inputs: Vec<Port>,
    pub(super) outputs: Vec<Port>,
}

impl Model {
    /// Loads a model from the bytes of an ONNX file; `name` and `path` are for messages.
    pub(super) fn load(
        runtime: &Runtime,
        name: &str,
        path: &Path,
        onnx: &[u8],
    ) -> Result<Self, VisionError> {
        let refuse = |message: String| VisionError::ModelRefused {
            path: path.to_owned(),
            message: one_line(&message),
        };
        // What was measured, signed and is named in hits is this file: it must not read another.
        one_file::check(onnx).map_err(|e| refuse(e.to_string()))?;
        let session = Session::builder(&runtime.library.environment)
            .and_then(|b| Ok(b.with_intra_threads(1)?))
            .and_then(|b| Ok(b.with_inter_threads(1)?))
            .and_then(|b| Ok(b.with_intra_op_spinning(false)?))
            .and_then(|b| Ok(b.with_optimization_level(GraphOptimizationLevel::All)?))
            .and_then(|mut b| b.commit_from_memory(onnx))
            .map_err(|e| refuse(e.message().to_owned()))?;
        let ports = |outlets: &[ort::value::Outlet]| {
            outlets.iter().map(|o| port(o.name(), o.dtype())).collect::<Result<Vec<_>, _>>()
        };
        let inputs = ports(session.inputs()).map_err(refuse)?;
        let outputs = ports(session.outputs()).map_err(refuse)?;
        if inputs.len() != 1 || outputs.is_empty() {
            let (i, o) = (inputs.len(), outputs.len());
            return Err(refuse(format!(
                "it has {i} inputs and {o} outputs, needs 1 and at least 1"
            )));
        }
        let interrupt = runtime.interrupt();
        Ok(Self { session, interrupt, name: name.to_owned(), inputs, outputs })
    }

    /// Runs the model on `values` and calls `take` with the first output.
    pub(super) fn run<T>(
        &mut self,
        values: &Values,
        shape: [usize; 4],
        take: impl FnOnce(&[i64], &[f32]) -> T,
    ) -> Result<T, VisionError> {
        self.run_with(values, shape, None, |first, _| take(first.0, first.1))
    }

    /// As [`Model::run`], with another output, by its number, if one is asked for.
    pub(super) fn run_with<T>(
        &mut self,
        values: &Values,
        shape: [usize; 4],
        other: Option<usize>,
        take: impl FnOnce(Shaped<'_>, Option<Shaped<'_>>) -> T,
    ) -> Result<T, VisionError> {
        let fail = |e: &ort::Error, name: &str| VisionError::Inference {
            model: name.to_owned(),
            message: one_line(e.message()),
        };
        let n = shape.iter().product();
        let Self { session, interrupt, name, .. } = self;
        let (name, options) = (name.as_str(), &*interrupt.0);
        let outputs = match values {
            Values::F32(v) => TensorRef::from_array_view((shape, &v[..n]))
                .and_then(|t| session.run_with_options(ort::inputs![t], options)),
            Values::U8(v) => TensorRef::from_array_view((shape, &v[..n]))
                .and_then(|t| session.run_with_options(ort::inputs![t], options)),
        }
        .map_err(|e| fail(&e, name))?;
        let shaped = |i: usize| {
            let (dims, data) =
                outputs[i].try_extract_tensor::<f32>().map_err(|e| fail(&e, name))?;
            Ok((&dims[..], data))
        };
        Ok(take(shaped(0)?, other.map(shaped).transpose()?))
    }
}

fn port(name: &str, dtype: &ValueType) -> Result<Port, String> {
    let ValueType::Tensor { ty, shape, .. } = dtype else {
        return Err(format!("{name} is not a tensor"));
    };
    let bytes = match ty {
        TensorElementType::Float32 => false,
        TensorElementType::Uint8 => true,
        other => return Err(format!("{name} holds {other:?}, needs float32 or uint8")),
    };
    Ok(Port { name: name.to_owned(), bytes, dims: shape.to_vec() })
}

/// ONNX Runtime's messages have several lines; ours have one.
fn one_line(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_library_says_what_to_do() {
        let e = inspect(Path::new("/nonexistent/libonnxruntime.so")).unwrap_err();
        assert_eq!(
            e,
            "/nonexistent/libonnxruntime.so does not exist: run scripts/onnxruntime.sh, or set \
             models.onnxruntime to libonnxruntime.so"
        );
    }

    #[test]
    fn file_that_is_no_library_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("libonnxruntime.so");
        std::fs::write(&path, "this is an HTML error page of a download").unwrap();
        assert!(inspect(&path).unwrap_err().contains("is not a shared library"));
        std::fs::write(&path, "short").unwrap();
        assert!(inspect(&path).unwrap_err().contains("is not a shared library"));
    }

    #[test]
    fn library_for_another_machine_names_both() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("libonnxruntime.so");
        let mut elf = b"\x7fELF\x02\x01\x01".to_vec();
        elf.resize(64, 0);
        elf[18] = 243;
        std::fs::write(&path, &elf).unwrap();
        let e = inspect(&path).unwrap_err();
        assert!(
            e.contains(&format!("is for riscv64, this machine is {}", env::consts::ARCH)),
            "{e}"
        );
    }

    #[test]
    fn version_is_found_among_the_symbols() {
        let found = symbol_version(b"OrtGetApiBase\0VERS_1.26.0\0VERS_9");
        assert_eq!(found.as_deref(), Some("1.26.0"));
        assert_eq!(symbol_version(b"nothing"), None);
    }

    #[test]
    fn library_that_is_too_old_names_both_versions() {
        let e = ort::LoadDynamicError::BadVersion {
            version_str: "1.12.1".into(),
            path: "/usr/lib/libonnxruntime.so".into(),
        };
        let e = refused(Path::new("/usr/lib/libonnxruntime.so"), &e).to_string();
        let needed = format!("is version 1.12.1, needs at least 1.{}: ", ort::MINOR_VERSION);
        assert!(e.contains(&needed), "{e}");
    }
}
