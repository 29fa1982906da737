//! Programs that a test writes and has run.
//!
//! Never by the test's own hand: another thread that starts a process at that moment gives it a copy of the open file, which
//! it has until it becomes its program, and a file that somebody has open for writing cannot be executed (`execve(2)`,
//! `ETXTBSY`). Whoever writes here has ended before this returns, and nobody else ever had the file open.

use std::{
    fs,
    io::Write,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Stdio},
};

/// Writes a program that may be executed.
#[track_caller]
pub fn write_program(path: &Path, contents: &[u8]) {
    let mut command = Command::new("sh");
    command.args(["-c", "cat > \"$0\""]).arg(path).stdin(Stdio::piped());
    let mut writer = command.spawn().expect("a shell runs");
    // The end of its input is the end of the file.
    let written = writer.stdin.take().expect("a pipe").write_all(contents);
    assert!(writer.wait().expect("it is a child of the test").success() && written.is_ok(), "{}", path.display());
    allow(path);
}

/// Copies a program.
#[track_caller]
pub fn copy_program(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg(from).arg(to).status().expect("cp runs");
    assert!(copied.success(), "room for a copy of {}", from.display());
    allow(to);
}

#[track_caller]
fn allow(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("its own file");
}
