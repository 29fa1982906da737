//! The output of several services as one text, as `tail` shows several files: a line with the name of the service where
//! another one goes on.

use std::{io, path::Path};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use tokio::sync::watch;

use crate::runtime::service_log::{LogReader, folder};

/// The end of one service's output.
#[derive(Debug)]
pub struct Tail {
    name: String,
    reader: LogReader,
}

/// The last lines of each of these.
///
/// # Errors
/// When a log cannot be read.
pub fn of(state_dir: &Path, names: Vec<String>, lines: u64) -> io::Result<Vec<Tail>> {
    let open = |name: String| Ok(Tail { reader: LogReader::open(&folder(state_dir, &name), lines)?, name });
    names.into_iter().map(open).collect()
}

/// All of it: one after the other, or, with `follow`, as it comes and until the server closes.
pub fn stream(
    tails: Vec<Tail>,
    closing: watch::Receiver<bool>,
    follow: bool,
) -> impl Stream<Item = io::Result<Bytes>> + use<> {
    let are_several = tails.len() > 1;
    let pieces = tails.into_iter().map(|tail| {
        let name = tail.name;
        let pieces = tail.reader.pieces(follow, closing.clone());
        pieces.map(move |piece| piece.map(|piece| (name.clone(), piece))).boxed_local()
    });
    let all = if follow {
        stream::select_all(pieces).boxed_local()
    } else {
        stream::iter(pieces.collect::<Vec<_>>()).flatten().boxed_local()
    };
    let mut joint = Joint { are_several, last: None };
    all.map(move |piece| piece.map(|(name, piece)| joint.join(&name, piece)))
}

/// Where two outputs meet. Pure.
#[derive(Debug)]
struct Joint {
    are_several: bool,
    /// Who wrote last, and whether in whole lines.
    last: Option<(String, bool)>,
}

impl Joint {
    /// The piece, after a line that names who wrote it where somebody else wrote before.
    fn join(&mut self, name: &str, piece: Bytes) -> Bytes {
        let ends = piece.ends_with(b"\n");
        let before = self.last.replace((name.to_owned(), ends));
        let head = match before {
            _ if !self.are_several => return piece,
            Some((last, _)) if last == name => return piece,
            Some((_, false)) => format!("\n\n==> {name} <==\n"),
            Some((_, true)) => format!("\n==> {name} <==\n"),
            None => format!("==> {name} <==\n"),
        };
        [head.as_bytes(), &piece].concat().into()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn logs(of: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a folder");
        for (name, text) in of {
            let folder = folder(dir.path(), name);
            fs::create_dir_all(&folder).expect("a folder");
            fs::write(folder.join("current.log"), text).expect("written");
        }
        dir
    }

    async fn text(of: &[(&str, &str)]) -> String {
        let dir = logs(of);
        let tails = super::of(dir.path(), of.iter().map(|(name, _)| (*name).to_owned()).collect(), 2).expect("open");
        let (_open, closing) = watch::channel(false);
        let pieces: Vec<_> = stream(tails, closing, false).collect().await;
        let bytes: Vec<Bytes> = pieces.into_iter().collect::<io::Result<_>>().expect("readable");
        String::from_utf8(bytes.concat()).expect("text")
    }

    #[tokio::test]
    async fn each_is_named_where_there_are_several() {
        assert_eq!(text(&[("a", "1\n2\n3\n")]).await, "2\n3\n");
        let all = text(&[("a", "1\n2"), ("quiet", ""), ("b", "3\n"), ("c", "4\n")]).await;
        assert_eq!(all, "==> a <==\n1\n2\n\n==> b <==\n3\n\n==> c <==\n4\n");
    }

    #[tokio::test]
    async fn following_ends_with_the_server() {
        let dir = logs(&[("a", "1\n"), ("b", "2\n")]);
        let tails = super::of(dir.path(), vec!["a".to_owned(), "b".to_owned()], 9).expect("open");
        let (close, closing) = watch::channel(false);
        let mut all = Box::pin(stream(tails, closing, true));
        for _ in 0..2 {
            all.next().await.expect("a piece").expect("readable");
        }
        close.send(true).expect("somebody listens");
        assert!(all.next().await.is_none());
    }
}
