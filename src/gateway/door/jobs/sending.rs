//! An answer with images in it on its way to the client: read from the disk and put into base64 piece by piece, on threads
//! that may wait for a disk, as the client takes it.

use std::{
    collections::VecDeque,
    fs::{self, File},
    io::{self, Read},
    path::{Component, Path, PathBuf},
};

use actix_web::{body::SizedStream, web::block};
use bytes::Bytes;
use futures_util::{Stream, stream};

use super::answer::Piece;
use greenroom_actors::base64;

/// Bytes of a file that are read at a time. A multiple of three, so that the pieces of its base64 fit together.
const READ: usize = 192 * 1024;
/// Bytes that an answer may have. Clients hold all of it in memory.
const MOST: u64 = 256 << 20;

/// Why an answer cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum Unsendable {
    /// One of its files cannot be had.
    #[error("cannot read {}", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It would be larger than any client should be sent.
    #[error("with {0} bytes in base64 it is larger than the {MOST} that an answer may have")]
    TooLarge(u64),
}

/// An answer whose files have been looked at.
#[derive(Debug)]
pub struct Measured {
    pieces: VecDeque<Part>,
    /// Bytes of the answer.
    length: u64,
}

#[derive(Debug)]
enum Part {
    Text(String),
    /// A file and the bytes in it.
    Image(PathBuf, u64),
}

/// Looks at the files of an answer, which lie in this folder. Reads their sizes alone.
///
/// # Errors
/// When one of them is not there, or all of them are too much.
pub fn measure(folder: &Path, pieces: Vec<Piece>) -> Result<Measured, Unsendable> {
    let mut measured = Measured { pieces: VecDeque::with_capacity(pieces.len()), length: 0 };
    for piece in pieces {
        let (part, length) = match piece {
            Piece::Text(text) => {
                let length = text.len() as u64;
                (Part::Text(text), length)
            }
            Piece::Image(name) => {
                let path = folder.join(&name);
                let size =
                    size_within(&name, &path).map_err(|source| Unsendable::File { path: path.clone(), source })?;
                (Part::Image(path, size), base64::length(size))
            }
        };
        measured.pieces.push_back(part);
        measured.length = measured.length.saturating_add(length);
    }
    if measured.length > MOST { Err(Unsendable::TooLarge(measured.length)) } else { Ok(measured) }
}

/// Bytes in a file that is a plain one, and by its name lies in the folder that it is looked for in.
fn size_within(name: &str, path: &Path) -> io::Result<u64> {
    let leads_out = !Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
    let found = fs::symlink_metadata(path)?;
    if leads_out || !found.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no plain file of the job's output"));
    }
    Ok(found.len())
}

/// The body of the answer; `stay` is kept until all of it is sent.
pub fn body<T: 'static>(measured: Measured, stay: T) -> SizedStream<impl Stream<Item = io::Result<Bytes>>> {
    let sending = Sending { pieces: measured.pieces, file: None };
    let pieces = stream::try_unfold((sending, stay), |(mut sending, stay)| async move {
        Ok(sending.next().await?.map(|piece| (piece, (sending, stay))))
    });
    SizedStream::new(measured.length, pieces)
}

/// What is still to be sent.
struct Sending {
    pieces: VecDeque<Part>,
    /// A file that is being sent, and the bytes of it that have not been read.
    file: Option<(File, u64)>,
}

impl Sending {
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        if let Some((file, left)) = self.file.take() {
            return self.read(file, left).await.map(Some);
        }
        match self.pieces.pop_front() {
            Some(Part::Text(text)) => Ok(Some(text.into())),
            Some(Part::Image(path, size)) => {
                let file = block(move || File::open(path)).await.map_err(io::Error::other)??;
                self.read(file, size).await.map(Some)
            }
            None => Ok(None),
        }
    }

    async fn read(&mut self, file: File, left: u64) -> io::Result<Bytes> {
        let now = usize::try_from(left).unwrap_or(READ).min(READ);
        let read = move || {
            let (mut file, mut bytes) = (file, vec![0; now]);
            file.read_exact(&mut bytes)?;
            Ok::<_, io::Error>((file, Bytes::from(base64::encode(&bytes))))
        };
        let (file, digits) = block(read).await.map_err(io::Error::other)??;
        let left = left - now as u64;
        self.file = (left > 0).then_some((file, left));
        Ok(digits)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use actix_web::body::to_bytes;

    use super::*;

    fn text(text: &str) -> Piece {
        Piece::Text(text.to_owned())
    }

    fn image(name: &str) -> Piece {
        Piece::Image(name.to_owned())
    }

    #[actix_rt::test]
    async fn files_of_any_size_are_sent_whole_in_their_places() {
        let folder = tempfile::tempdir().expect("a folder");
        let big: Vec<u8> = (0..READ * 2 + 5).map(|place| (place % 251) as u8).collect();
        for (name, contents) in [("none", &[][..]), ("small", &b"foob"[..]), ("even", &big[..READ]), ("big", &big[..])]
        {
            fs::write(folder.path().join(name), contents).expect("written");
        }
        let pieces = vec![text("a"), image("none"), text(","), image("small"), image("even"), text(","), image("big")];
        let measured = measure(folder.path(), pieces).expect("it is all there");
        let length = measured.length;
        let sent = to_bytes(body(measured, ())).await.expect("it is read");
        let digits = |bytes: &[u8]| base64::encode(bytes);
        let expected = format!("a,Zm9vYg=={},{}", digits(&big[..READ]), digits(&big));
        assert!(sent == expected.as_bytes() && length == sent.len() as u64, "{} of {length} bytes", sent.len());
    }

    #[test]
    fn only_plain_files_of_the_folder_are_sent() {
        let folder = tempfile::tempdir().expect("a folder");
        let inner = folder.path().join("output");
        fs::create_dir_all(inner.join("folder")).expect("a folder");
        fs::write(folder.path().join("secret"), "x").expect("written");
        symlink(folder.path().join("secret"), inner.join("link")).expect("a link");
        let absolute = folder.path().join("secret");
        for name in ["../secret", "link", "folder", "gone", "", absolute.to_str().expect("a path")] {
            let outcome = measure(&inner, vec![image(name)]);
            assert!(matches!(outcome, Err(Unsendable::File { .. })), "{name}: {outcome:?}");
        }
    }

    #[test]
    fn what_no_client_should_hold_is_not_sent() {
        let folder = tempfile::tempdir().expect("a folder");
        let big = File::create(folder.path().join("big")).expect("created");
        // Without a block on the disk.
        big.set_len(MOST / 4 * 3).expect("made long");
        assert!(measure(folder.path(), vec![image("big")]).is_ok());
        let outcome = measure(folder.path(), vec![image("big"), text("x")]);
        assert!(matches!(outcome, Err(Unsendable::TooLarge(length)) if length == MOST + 1), "{outcome:?}");
    }

    #[actix_rt::test]
    async fn a_file_that_has_been_cut_short_cuts_the_answer_short() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a");
        fs::write(&path, "abc").expect("written");
        let measured = measure(folder.path(), vec![image("a")]).expect("it is there");
        fs::write(&path, "ab").expect("written");
        let sent = to_bytes(body(measured, ())).await;
        assert!(sent.is_err(), "{sent:?}");
    }
}
