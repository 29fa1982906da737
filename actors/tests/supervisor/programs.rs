//! Programs that a test writes and has run.

use std::{
    fs,
    io::Write,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Stdio},
};

/// Writes a program that may be executed: by a process of its own, since a child that another thread is about to start has a
/// copy of whatever file this process has open, and what is open for writing cannot be executed (`execve(2)`, `ETXTBSY`).
pub fn write_program(path: &Path, text: &str) {
    let mut command = Command::new("sh");
    command.args(["-c", "cat > \"$0\""]).arg(path).stdin(Stdio::piped());
    let mut writer = command.spawn().expect("a shell");
    writer.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("it reads");
    assert!(writer.wait().expect("a status").success(), "{}", path.display());
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("a mode");
}
