//! What a program says of its own options: asked once for each binary, as it is on disk.
//!
//! `PROGRAM --help` runs in the environment of the job, in a process group of its own, for [`WITHIN`] at the most, and the
//! whole group is killed after it. It carries the marks of this state dir, so that a sweep finds it should the runtime be
//! killed in these seconds.

use std::{
    collections::HashMap,
    ffi::OsString,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{
        Arc, LazyLock, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::Command,
    time::timeout,
};

use crate::{os::environment::inherited, spec::ServiceSpec};

/// The longest that a program may take to say what it knows: one on a cold network volume has many libraries to load.
pub const WITHIN: Duration = Duration::from_secs(10);
/// How long a killed program may take to be gone.
const REAPED_WITHIN: Duration = Duration::from_secs(2);
/// Bytes of each stream that are looked at.
const MOST: u64 = 256 << 10;
/// Programs that are remembered; beyond this all are asked anew.
const MOST_PROGRAMS: usize = 64;

/// A program as it is on disk: its path, size, and the time of its last change.
type Binary = (PathBuf, u64, i64, i64);

/// What a program says does not depend on who asks, so there is one memory for all runtimes of this process.
static KNOWN: LazyLock<Mutex<HashMap<Binary, Help>>> = LazyLock::new(Mutex::default);

/// What one program says of itself. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Help {
    /// Both streams, one after the other. Empty where it could not be asked, or did not answer in time.
    pub text: Arc<str>,
    told: Arc<AtomicBool>,
}

impl Help {
    /// Whether this is the first call for this program, so that what it lacks is told once and not before each job.
    #[must_use]
    pub fn is_news(&self) -> bool {
        !self.told.swap(true, Ordering::Relaxed)
    }
}

/// What the program of this worker says when it is asked for help. Not asked again before its file changes.
pub async fn help(spec: &ServiceSpec, state_dir: &Path) -> Help {
    let program = spec.command.first().map(|text| text.plain()).unwrap_or_default();
    let binary = look(&spec.working_dir.join(&program));
    if let Some(known) = binary.as_ref().and_then(|binary| known().get(binary).cloned()) {
        return known;
    }
    let said = Help { text: ask(&program, spec, state_dir).await.into(), ..Help::default() };
    let Some(binary) = binary else { return said };
    let mut known = known();
    if known.len() >= MOST_PROGRAMS {
        known.clear();
    }
    // Another job may have asked it meanwhile.
    known.entry(binary).or_insert(said).clone()
}

fn known() -> std::sync::MutexGuard<'static, HashMap<Binary, Help>> {
    // What lies in it is whole at any time.
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn look(program: &Path) -> Option<Binary> {
    let meta = fs::metadata(program).ok()?;
    Some((program.to_owned(), meta.len(), meta.mtime(), meta.mtime_nsec()))
}

async fn ask(program: &str, spec: &ServiceSpec, state_dir: &Path) -> String {
    let mut command = Command::new(program);
    command.arg("--help").env_clear().envs(environment(spec)).env("GREENROOM_STATE_DIR", state_dir);
    command.current_dir(&spec.working_dir).process_group(0).kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            tracing::info!(program, %error, "a program cannot be asked what it knows");
            return String::new();
        }
    };
    // Dropped before the child is reaped, so that the number is still its own.
    let group = Group(child.id().and_then(|pid| i32::try_from(pid).ok()).map(Pid::from_raw));
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let said = timeout(WITHIN, async { tokio::join!(text(out), text(err)) }).await;
    drop(group);
    // It is dead, or nobody can kill it.
    drop(timeout(REAPED_WITHIN, child.wait()).await);
    said.map(|(out, err)| format!("{out}\n{err}")).unwrap_or_default()
}

/// A process group that is killed with the drop of this, however that comes about.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // An error means that nobody of it is left.
            killpg(group, Signal::SIGKILL).ok();
        }
    }
}

/// The environment of the job, as far as it is known before a run.
fn environment(spec: &ServiceSpec) -> Vec<(OsString, OsString)> {
    let own = spec.env.iter().map(|(name, value)| (name.into(), value.plain().into()));
    inherited(&spec.inherit_env).chain(own).collect()
}

/// The beginning of a stream; the rest is thrown away, so that nobody waits for it to be read.
async fn text(stream: Option<impl AsyncRead + Unpin>) -> String {
    let Some(mut stream) = stream else { return String::new() };
    let mut bytes = Vec::new();
    // What came before an error counts.
    drop((&mut stream).take(MOST).read_to_end(&mut bytes).await);
    drop(tokio::io::copy(&mut stream, &mut tokio::io::sink()).await);
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::PermissionsExt, process::Command};

    use super::*;
    use crate::{spec::sample::service, template::Template};

    /// Written by a process of its own: a child that another test is about to begin has a copy of whatever file this process
    /// has open, and what is open for writing cannot be executed (`execve(2)`, `ETXTBSY`).
    fn program(folder: &Path, text: &str) -> ServiceSpec {
        let (path, fresh) = (folder.join("sd"), folder.join("fresh"));
        let mut writer = Command::new("sh");
        writer.args(["-c", "printf %s \"$1\" > \"$0\""]).arg(&fresh).arg(text);
        assert!(writer.status().expect("a shell").success());
        fs::set_permissions(&fresh, fs::Permissions::from_mode(0o755)).expect("a mode");
        fs::rename(&fresh, &path).expect("in place");
        let mut spec = service("image");
        spec.command = vec![Template::text(path.display().to_string())];
        spec.env.insert("WORD".to_owned(), Template::text("--clip-on-cpu"));
        spec
    }

    #[actix_rt::test]
    async fn a_binary_is_asked_once_and_again_when_it_has_changed() {
        let folder = tempfile::tempdir().expect("a folder");
        let text = "#!/bin/sh\necho x >> asked; echo \"$1 $WORD\"; echo to stderr >&2; exit 1\n";
        let mut spec = program(folder.path(), text);
        spec.working_dir = folder.path().to_owned();
        for is_first in [true, false, false] {
            let help = help(&spec, folder.path()).await;
            assert_eq!(&*help.text, "--help --clip-on-cpu\n\nto stderr\n");
            assert_eq!(help.is_news(), is_first, "what it lacks is told once");
        }
        let asked = || fs::read_to_string(folder.path().join("asked")).expect("asked").lines().count();
        assert_eq!(asked(), 1);
        program(folder.path(), &format!("{text}# another\n"));
        assert!(help(&spec, folder.path()).await.is_news(), "it is another program");
        assert_eq!(asked(), 2);
    }

    #[actix_rt::test]
    async fn one_that_cannot_be_asked_says_nothing_and_a_flood_is_cut() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut spec = program(folder.path(), "#!/bin/sh\nyes | head -c 3000000\n");
        spec.working_dir = folder.path().to_owned();
        assert_eq!(help(&spec, folder.path()).await.text.len() as u64, MOST + 1);
        spec.command = vec![Template::text("/no/such/program")];
        assert_eq!(&*help(&spec, folder.path()).await.text, "");
    }
}
