//! `logs`: a service's output, from the running runtime or straight from the files.

use std::{fs, path::Path};

use bytes::Bytes;
use futures_util::{StreamExt, stream::SelectAll};
use greenroom_actors::plain::plain_line;

use super::{
    args::{Global, LogsArgs},
    ask::{Asked, block_on, service_path},
    client::{ByteStream, ClientError},
    failure::Failure,
    terminal::Terminal,
};
use crate::runtime::service_log::{LogReader, folder};

/// Longest piece of a line that waits for its end before it is printed all the same, in bytes.
const LONGEST_LINE: usize = 64 * 1024;

/// Prints the last lines of each service, and with `-f` what is added.
pub fn run(args: &LogsArgs, global: &Global, terminal: &Terminal) -> Result<i32, Failure> {
    let asked = Asked::find(global)?;
    block_on(async {
        let mut streams = Vec::new();
        for name in &args.names {
            let query = format!("/logs?follow={}&tail={}", u8::from(args.follow), args.lines);
            match asked.client.stream(&service_path(name, &query)).await {
                Ok(stream) => streams.push(stream),
                Err(error) => match (error, asked.place()) {
                    (ClientError::NobodyListens(_), Some(place)) if !args.follow => {
                        return from_files(args, &place.state_dir, terminal);
                    }
                    (error, _) => return Err(asked.failure(error)),
                },
            }
        }
        let printer = Printer { names: &args.names, terminal };
        if args.follow {
            follow(streams, &printer).await?;
        } else {
            one_by_one(streams, &printer).await?;
        }
        Ok(0)
    })
}

/// Each service's lines after the other's.
async fn one_by_one(streams: Vec<ByteStream>, printer: &Printer<'_>) -> Result<(), Failure> {
    for (n, mut stream) in streams.into_iter().enumerate() {
        let mut lines = Lines::default();
        while let Some(bytes) = stream.next().await {
            printer.print(n, &lines.take(&bytes))?;
        }
        printer.print(n, &lines.rest())?;
    }
    Ok(())
}

/// Everybody's lines as they come.
async fn follow(streams: Vec<ByteStream>, printer: &Printer<'_>) -> Result<(), Failure> {
    let mut pending: Vec<Lines> = streams.iter().map(|_| Lines::default()).collect();
    let mut all = SelectAll::new();
    for (n, stream) in streams.into_iter().enumerate() {
        let pieces = futures_util::stream::unfold(stream, move |mut stream| async move {
            stream.next().await.map(|bytes| ((n, bytes), stream))
        });
        all.push(Box::pin(pieces));
    }
    while let Some((n, bytes)) = all.next().await {
        if let Some(lines) = pending.get_mut(n) {
            printer.print(n, &lines.take(&bytes))?;
        }
    }
    for (n, lines) in pending.iter_mut().enumerate() {
        printer.print(n, &lines.rest())?;
    }
    Ok(())
}

/// Without a runtime: the files as they are.
fn from_files(args: &LogsArgs, state_dir: &Path, terminal: &Terminal) -> Result<i32, Failure> {
    let printer = Printer { names: &args.names, terminal };
    for (n, name) in args.names.iter().enumerate() {
        let log = folder(state_dir, name);
        // A name with a `/` in it is no service's, and must not lead elsewhere.
        if name.contains('/') || !log.is_dir() {
            return Err(Failure::NoLogs { name: name.clone(), known: services_with_logs(state_dir), folder: log });
        }
        let refuse = |source| Failure::Io { operation: "read the logs in", path: log.clone(), source };
        let mut reader = LogReader::open(&log, args.lines).map_err(refuse)?;
        let mut lines = Lines::default();
        while let Some(bytes) = reader.read().map_err(refuse)? {
            printer.print(n, &lines.take(&bytes))?;
        }
        printer.print(n, &lines.rest())?;
    }
    Ok(0)
}

fn services_with_logs(state_dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(state_dir.join("logs")).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Prints whole lines, with their service's name in front where there are several.
struct Printer<'a> {
    names: &'a [String],
    terminal: &'a Terminal,
}

impl Printer<'_> {
    fn print(&self, n: usize, lines: &[Bytes]) -> Result<(), Failure> {
        let name = self.names.get(n).map_or("", String::as_str);
        for line in lines {
            if self.terminal.json {
                let text = String::from_utf8_lossy(line);
                let text = text.strip_suffix('\n').unwrap_or(&text);
                self.terminal.line(&serde_json::json!({ "service": name, "line": text }))?;
                continue;
            }
            // As it is for whoever keeps it; not for a terminal, which would do what the program says.
            let line = match self.terminal.width {
                Some(_) => Bytes::from(plain_line(line, self.terminal.color)),
                None => line.clone(),
            };
            if self.names.len() > 1 {
                let width = self.names.iter().map(String::len).max().unwrap_or(0);
                self.terminal.bytes(&[format!("{name:width$} | ").as_bytes(), &line].concat())?;
            } else {
                self.terminal.bytes(&line)?;
            }
        }
        Ok(())
    }
}

/// Puts lines together from pieces. Each ends in its line end, but for the last one and those that are too long.
#[derive(Debug, Default)]
pub(super) struct Lines {
    pending: Vec<u8>,
}

impl Lines {
    /// The lines that `bytes` completes.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Vec<Bytes> {
        let mut lines = Vec::new();
        for piece in bytes.split_inclusive(|b| *b == b'\n') {
            self.pending.extend_from_slice(piece);
            if piece.ends_with(b"\n") || self.pending.len() > LONGEST_LINE {
                lines.push(std::mem::take(&mut self.pending).into());
            }
        }
        lines
    }

    /// What is left at the end, with a line end.
    pub(super) fn rest(&mut self) -> Vec<Bytes> {
        if self.pending.is_empty() {
            return Vec::new();
        }
        self.pending.push(b'\n');
        vec![std::mem::take(&mut self.pending).into()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_whole_however_the_bytes_break() {
        let text = b"one\ntwo\n\nthree";
        for step in 1..text.len() {
            let mut lines = Lines::default();
            let mut all: Vec<Bytes> = text.chunks(step).flat_map(|part| lines.take(part)).collect();
            all.extend(lines.rest());
            assert_eq!(all, [&b"one\n"[..], b"two\n", b"\n", b"three\n"], "in steps of {step}");
        }
    }

    #[test]
    fn a_line_without_end_takes_bounded_memory() {
        let mut lines = Lines::default();
        for _ in 0..100 {
            lines.take(&[b'x'; 4096]);
            assert!(lines.pending.len() <= LONGEST_LINE + 4096);
        }
    }
}
