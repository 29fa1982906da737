//! The layers that need a guardian, tried out with a short-lived one of their own in a temporary folder.

use std::{
    fs,
    io::ErrorKind,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
    thread,
};

use crate::{
    cause::chain,
    os::{
        containment::{Place, ProofError, prove, shim::ShimContainment},
        guardian::{Charge, Guardian},
        state_dir,
    },
};

/// Two trials of one process must not share a folder.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// What came of it.
#[derive(Debug)]
pub(super) struct Trial {
    pub(super) shim: Result<(), ProofError>,
    pub(super) namespace: Result<(), ProofError>,
}

/// Starts a guardian, holds and kills a tree in both layers, and lets the guardian go. Blocks for some 50 ms; leaves
/// nothing behind. Also from inside of an executor.
///
/// # Errors
/// When there is no guardian: why.
pub(super) fn try_shims() -> Result<Trial, String> {
    // An executor must not be entered from within another one.
    let tried = thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map_err(|error| error.to_string())?.block_on(with_guardian())
    });
    tried.join().unwrap_or_else(|_| Err("the trial ended by a panic".to_owned()))
}

async fn with_guardian() -> Result<Trial, String> {
    let folder = Folder::new().map_err(|error| format!("no temporary folder can be made: {error}"))?;
    let place = Place {
        state_dir: folder.0.clone(),
        instance: state_dir::instance(&folder.0),
        incarnation: format!("doctor_{}", std::process::id()),
    };
    let guardian = Guardian::start(&Charge::new(&place, None)).await.map_err(|error| chain(&error))?;
    let shim = prove(&ShimContainment::shims(&place, guardian.nursery())).await;
    let namespace = prove(&ShimContainment::namespaces(&place, guardian.nursery())).await;
    guardian.dismiss().await;
    Ok(Trial { shim, namespace })
}

/// A folder for the guardian's lock, gone when it is dropped.
#[derive(Debug)]
struct Folder(PathBuf);

impl Folder {
    fn new() -> std::io::Result<Self> {
        let within = std::env::temp_dir().canonicalize()?;
        let (pid, make) = (std::process::id(), |path: &Path| fs::DirBuilder::new().mode(0o700).create(path));
        loop {
            let path = within.join(format!("greenroom-doctor-{pid}-{}", NEXT.fetch_add(1, Ordering::Relaxed)));
            match make(&path) {
                // Of an earlier process with this number.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                made => return made.map(|()| Self(path)),
            }
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left of it is a lock file in the temporary folder.
        drop(fs::remove_dir_all(&self.0));
    }
}
