//! What the stand-in writes: floods, famous last words, and files that tests read.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::Path,
};

use greenroom_actors::{os::clock, units::ByteSize};

/// What A1111's WebUI says when a computation yields not-a-number (`modules/devices.py`).
pub const NAN: &str = "modules.devices.NansException: A tensor with all NaNs was produced in Unet.";

/// What PyTorch says when GPU memory runs out.
pub const OOM: &str = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.";

/// What a terminal must not see as it is: it would get a new title, its screen cleared, its clipboard written and its
/// text turned round; NUL, a C1 control, bytes that are not UTF-8, a character that is cut off. Ends with a line that a
/// reader can wait for.
pub const HOSTILE: &[u8] = b"\x1b]0;owned\x07\x1b[2J\x1b[31mred\x1b[0m\n\x1b]52;c;aGVyb24=\x07\n\
    a\0b\n\xff\xfe\xc3\x28\n\xc2\x9b31mc1\n\xe2\x80\xaetxet\n\xe2\x82\nbackspace\x08\x08\x7f\nend of hostile output\n";

/// Written to the pipe in one call; larger than the pipe, so that it is always full.
const CHUNK: usize = 128 * 1024;

/// A line on stdout. Unlike `println!` it does not mind that the reader has gone.
pub fn say(line: &str) {
    writeln!(io::stdout(), "{line}").ok();
}

/// A line on stderr. Unlike `eprintln!` it does not mind that the reader has gone.
pub fn complain(line: &str) {
    writeln!(io::stderr(), "{line}").ok();
}

/// What is drawn over and over on stdout: no line end, and seen at once.
pub fn draw(text: &str) {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).ok();
}

/// Bytes on stdout as they are.
pub fn draw_bytes(bytes: &[u8]) {
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).ok();
}

/// The same on stderr.
pub fn draw_stderr(text: &str) {
    io::stderr().write_all(text.as_bytes()).ok();
}

/// The descriptors that are open now. Empty where `/proc` is not mounted.
pub fn open_descriptors() -> Vec<u32> {
    let Ok(entries) = std::fs::read_dir("/proc/self/fd") else { return Vec::new() };
    let listed: Vec<u32> = entries.flatten().filter_map(|e| e.file_name().to_str()?.parse().ok()).collect();
    // The folder itself was open while it was read; it is the one that is closed by now.
    listed.into_iter().filter(|fd| Path::new(&format!("/proc/self/fd/{fd}")).symlink_metadata().is_ok()).collect()
}

/// Writes descriptors to a file, one number a line.
///
/// # Errors
/// When the file cannot be written.
pub fn write_descriptors(file: &Path, descriptors: &[u32]) -> io::Result<()> {
    let mut file = File::create(file)?;
    descriptors.iter().try_for_each(|fd| writeln!(file, "{fd}"))
}

/// Appends `NAME WHAT MICROSECONDS` in one write, so that lines of several processes do not mix.
///
/// # Errors
/// When the file cannot be written.
pub fn log_moment(file: &Path, name: &str, what: &str) -> io::Result<()> {
    let line = format!("{name} {what} {}\n", clock::wall().as_micros());
    OpenOptions::new().append(true).create(true).open(file)?.write_all(line.as_bytes())
}

/// Writes `size` bytes in lines of `line_len` bytes, the line end included (0: one line without an end).
///
/// # Errors
/// When the reader has gone.
pub fn flood(out: &mut impl Write, size: ByteSize, line_len: usize) -> io::Result<()> {
    let chunk = flood_chunk(line_len);
    let mut left = usize::try_from(size.0).unwrap_or(usize::MAX);
    while left > 0 {
        let part = &chunk[..left.min(chunk.len())];
        out.write_all(part)?;
        left -= part.len();
    }
    out.flush()
}

/// A whole number of lines, [`CHUNK`] bytes or one line long, whichever is more.
fn flood_chunk(line_len: usize) -> Vec<u8> {
    if line_len == 0 {
        return vec![b'x'; CHUNK];
    }
    let mut line = vec![b'x'; line_len - 1];
    line.push(b'\n');
    line.repeat((CHUNK / line_len).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flooded(size: u64, line_len: usize) -> Vec<u8> {
        let mut out = Vec::new();
        flood(&mut out, ByteSize(size), line_len).expect("a vector takes everything");
        out
    }

    #[test]
    fn a_flood_has_the_size_and_the_lines_that_were_asked_for() {
        let out = flooded(1_000_000, 100);
        assert_eq!(out.len(), 1_000_000);
        assert!(out.split_inclusive(|&b| b == b'\n').all(|line| line.len() == 100));
        assert_eq!(flooded(300_000, 200_000).iter().filter(|&&b| b == b'\n').count(), 1);
        assert_eq!(flooded(300_000, 0), vec![b'x'; 300_000]);
    }

    #[test]
    fn the_folder_that_is_read_is_not_among_the_descriptors() {
        let descriptors = open_descriptors();
        assert!([0, 1, 2].iter().all(|fd| descriptors.contains(fd)));
        let still_open = |fd: &u32| Path::new(&format!("/proc/self/fd/{fd}")).symlink_metadata().is_ok();
        assert!(descriptors.iter().filter(|fd| still_open(fd)).count() >= 3);
    }
}
