//! A link whose shim is played by the test.

use std::fs::File;

use super::*;

/// A shim's end of a socket that a link has the other end of.
fn linked() -> (Link, OwnedFd, oneshot::Receiver<Result<(), LinkError>>) {
    let (near, far) = socket::pair().expect("a pair");
    let (ready, is_ready) = oneshot::channel();
    (Link::new(near, Some(ready)).expect("a link"), far, is_ready)
}

/// A process whose pidfd can be given away: this one.
fn own_pidfd() -> OwnedFd {
    pidfd::open(Pid(std::process::id())).expect("a pidfd")
}

async fn next(shim: &OwnedFd) -> (ToShim, Vec<OwnedFd>) {
    loop {
        match socket::receive(shim) {
            Ok(message) => return message.expect("a message"),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => sleep(Duration::from_millis(1)).await,
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn a_process_is_started_told_of_and_ended() {
    let (link, shim, is_ready) = linked();
    socket::send(&shim, &FromShim::Ready, &[own_pidfd().as_fd()]).expect("sent");
    is_ready.await.expect("told").expect("ready");
    assert_eq!((link.pid(), link.is_gone()), (Some(Pid(std::process::id())), false));

    let file = File::open("/dev/null").expect("a file");
    let start = link.start([file.as_fd(); 3]);
    let answer = async {
        let (message, descriptors) = next(&shim).await;
        assert_eq!((message, descriptors.len()), (ToShim::Start { id: 0 }, 3));
        assert!(!link.is_empty(), "one is on its way");
        socket::send(&shim, &FromShim::Started { id: 0, pid: None }, &[own_pidfd().as_fd()]).expect("sent");
    };
    let (process, ()) = tokio::join!(start, answer);
    let process = process.expect("started");
    assert_eq!(process.pid, Some(Pid(std::process::id())));
    socket::send(&shim, &FromShim::Ended { id: 0, status: 0x300 }, &[]).expect("sent");
    assert_eq!(process.ended.await.expect("told").code(), Some(3));
    assert!(!link.is_empty(), "nobody has said so");
    socket::send(&shim, &FromShim::Empty, &[]).expect("sent");
    while !link.is_empty() {
        sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn who_waits_learns_that_the_shim_is_gone() {
    let (link, shim, is_ready) = linked();
    let file = File::open("/dev/null").expect("a file");
    let die = async {
        next(&shim).await;
        drop(shim);
    };
    let (outcome, ()) = tokio::join!(link.start([file.as_fd(); 3]), die);
    assert!(matches!(outcome, Err(LinkError::Gone)), "{outcome:?}");
    assert!(is_ready.await.is_err() && link.is_gone() && !link.is_empty());
    assert!(matches!(link.start([file.as_fd(); 3]).await, Err(LinkError::Gone)));
}

#[tokio::test]
async fn what_nobody_waits_for_is_killed() {
    let (link, shim, _is_ready) = linked();
    let file = File::open("/dev/null").expect("a file");
    tokio::select! {
        _ = link.start([file.as_fd(); 3]) => panic!("nobody answered"),
        _ = next(&shim) => {}
    }
    socket::send(&shim, &FromShim::Started { id: 0, pid: None }, &[own_pidfd().as_fd()]).expect("sent");
    assert_eq!(next(&shim).await.0, ToShim::KillOne { id: 0 });
}

#[tokio::test]
async fn a_refusal_is_passed_on() {
    let (link, shim, is_ready) = linked();
    socket::send(&shim, &FromShim::Unable { why: "no namespaces".to_owned() }, &[]).expect("sent");
    assert!(matches!(is_ready.await.expect("told"), Err(LinkError::Unable(why)) if why == "no namespaces"));
    drop(link);
    while socket::receive::<ToShim>(&shim).is_err() {
        sleep(Duration::from_millis(1)).await;
    }
}
