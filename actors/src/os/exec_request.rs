//! What a shim is to start, on its way from the runtime to `__exec --request`.
//!
//! It travels as a file in memory that becomes the standard input of the new process, so that neither the shim nor any
//! command line keeps a copy of the environment. Bytes, not text: neither arguments nor paths need to be UTF-8.

use std::{
    ffi::OsString,
    fs::File,
    io::{self, Read, Seek, Write},
    os::{
        fd::OwnedFd,
        unix::ffi::{OsStrExt, OsStringExt},
    },
    path::{Path, PathBuf},
};

use nix::unistd::dup2_stdin;
use rustix::fs::{MemfdFlags, memfd_create};

use super::{limits, spawn::SpawnRequest};

/// First bytes of a request. Another version of the same binary, replaced on disk, may be at the other end.
const MAGIC: &[u8] = b"greenroom-exec-1";

/// All that `__exec` needs to become the program.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ExecRequest {
    /// Program and arguments.
    pub(super) command: Vec<OsString>,
    /// The whole environment.
    pub(super) env: Vec<(OsString, OsString)>,
    /// Where it runs.
    pub(super) working_dir: PathBuf,
    /// The soft limit on descriptors to set back to.
    pub(super) nofile: Option<u64>,
    /// The cgroup to enter, if there is one.
    pub(super) cgroup: Option<PathBuf>,
}

impl ExecRequest {
    fn encode(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        put_number(&mut out, self.command.len() as u64);
        self.command.iter().for_each(|part| put(&mut out, part.as_bytes()));
        put_number(&mut out, self.env.len() as u64);
        for (name, value) in &self.env {
            put(&mut out, name.as_bytes());
            put(&mut out, value.as_bytes());
        }
        put(&mut out, self.working_dir.as_os_str().as_bytes());
        put_number(&mut out, u64::from(self.nofile.is_some()));
        put_number(&mut out, self.nofile.unwrap_or_default());
        // A path is never empty, so an empty one is none.
        put(&mut out, self.cgroup.as_deref().unwrap_or(Path::new("")).as_os_str().as_bytes());
        out
    }

    /// `None` for anything but what [`encode`](Self::encode) gives.
    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes.strip_prefix(MAGIC)?;
        let mut request = Self::default();
        for _ in 0..number(&mut rest)? {
            request.command.push(text(&mut rest)?);
        }
        for _ in 0..number(&mut rest)? {
            request.env.push((text(&mut rest)?, text(&mut rest)?));
        }
        request.working_dir = text(&mut rest)?.into();
        let has_limit = number(&mut rest)? == 1;
        let limit = number(&mut rest)?;
        request.nofile = has_limit.then_some(limit);
        request.cgroup = Some(text(&mut rest)?).filter(|path| !path.is_empty()).map(PathBuf::from);
        rest.is_empty().then_some(request)
    }
}

fn put_number(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(&number.to_le_bytes());
}

fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    put_number(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn number(rest: &mut &[u8]) -> Option<u64> {
    let (first, others) = rest.split_first_chunk()?;
    *rest = others;
    Some(u64::from_le_bytes(*first))
}

fn text(rest: &mut &[u8]) -> Option<OsString> {
    let length = usize::try_from(number(rest)?).ok()?;
    let (first, others) = rest.split_at_checked(length)?;
    *rest = others;
    Some(OsString::from_vec(first.to_vec()))
}

/// Writes a request into a file in memory, to be the standard input of `__exec --request`. `cgroup` is where it goes
/// before it becomes the program.
///
/// # Errors
/// When the kernel has no memory or descriptors left.
pub(super) fn file(request: &SpawnRequest, cgroup: Option<&Path>) -> io::Result<OwnedFd> {
    let request = ExecRequest {
        command: request.command.iter().map(OsString::from).collect(),
        env: request.env.clone(),
        working_dir: request.working_dir.clone(),
        nofile: limits::original_nofile(),
        cgroup: cgroup.map(Path::to_owned),
    };
    let mut file = File::from(memfd_create("greenroom-exec", MemfdFlags::CLOEXEC)?);
    file.write_all(&request.encode())?;
    file.rewind()?;
    Ok(file.into())
}

/// Reads the request from the standard input, and makes that `/dev/null`.
///
/// # Errors
/// `InvalidData` when there is none.
pub(super) fn take() -> io::Result<ExecRequest> {
    let mut bytes = Vec::new();
    io::stdin().lock().read_to_end(&mut bytes)?;
    dup2_stdin(File::open("/dev/null")?)?;
    let invalid = || io::Error::new(io::ErrorKind::InvalidData, "its standard input says not what to start");
    ExecRequest::decode(&bytes).ok_or_else(invalid)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_text() -> impl Strategy<Value = OsString> {
        proptest::collection::vec(any::<u8>(), 0..20).prop_map(OsString::from_vec)
    }

    fn any_request() -> impl Strategy<Value = ExecRequest> {
        let env = proptest::collection::vec((any_text(), any_text()), 0..5);
        let path = proptest::option::of("/[a-z\\xff]{1,9}".prop_map(PathBuf::from));
        (proptest::collection::vec(any_text(), 0..5), env, any_text(), any::<Option<u64>>(), path).prop_map(
            |(command, env, working_dir, nofile, cgroup)| ExecRequest {
                command,
                env,
                working_dir: working_dir.into(),
                nofile,
                cgroup,
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_request_arrives_as_it_was_sent(request in any_request()) {
            prop_assert_eq!(ExecRequest::decode(&request.encode()), Some(request));
        }

        #[test]
        fn what_is_cut_short_is_none(request in any_request(), cut in 1usize..9) {
            let bytes = request.encode();
            prop_assert_eq!(ExecRequest::decode(&bytes[..bytes.len() - cut]), None);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _request = ExecRequest::decode(&[MAGIC, &bytes].concat());
        }
    }

    #[test]
    fn the_file_is_read_from_its_beginning() {
        let request = SpawnRequest {
            command: vec!["sh".to_owned(), "-c".to_owned()],
            env: vec![("A".into(), "1".into())],
            working_dir: "/tmp".into(),
        };
        let mut bytes = Vec::new();
        File::from(file(&request, Some(Path::new("/c"))).expect("a file")).read_to_end(&mut bytes).expect("read");
        let read = ExecRequest::decode(&bytes).expect("a request");
        assert_eq!((read.command.len(), read.env.len(), read.cgroup), (2, 1, Some("/c".into())));
    }
}
