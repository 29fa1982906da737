//! Who is told of alerts: a program, a URL.

use std::{fs, io::Write, net::TcpListener, sync::mpsc, thread};

use serde_json::Value;

use crate::{
    common::{BOUND, Greenroom, read_request, wait_for},
    ready_run, service, watchdog, word,
};

/// A service that passes its limit at its first request, and whoever is to be told of that.
fn config(greenroom: &Greenroom, notify: &str) -> String {
    let limits = "limits.ram = \"48MiB\"\nlimits.on_exceed = \"warn\"";
    watchdog(notify) + &service(greenroom, "chat", "--leak-per-request 64MiB", limits)
}

#[test]
fn a_program_is_given_the_message() {
    let greenroom = Greenroom::running(|g| {
        let file = g.folder().join("told").display().to_string();
        let program = g.words(&["/bin/sh", "-c", "printf '%s\\n' \"$1\" >> \"$0\"", &file]);
        config(g, &format!("notify = {{ exec = {program} }}"))
    });
    ready_run(&greenroom, "chat");
    word(&greenroom, "chat");
    let told = || fs::read_to_string(greenroom.folder().join("told")).unwrap_or_default();
    wait_for("it is told", BOUND, || told().ends_with('\n'));
    assert!(told().contains("chat"), "{}", told());
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

/// A URL that takes alerts, and those that it has been told of.
pub fn webhook() -> (String, mpsc::Receiver<Value>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let (heard, told) = mpsc::channel();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let Ok(body) = read_request(&mut stream) else { continue };
            stream.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").ok();
            let alert =
                serde_json::from_slice(&body).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&body)));
            if heard.send(alert).is_err() {
                return;
            }
        }
    });
    (format!("http://127.0.0.1:{port}/hook"), told)
}

#[test]
fn a_webhook_gets_the_alert_as_json() {
    let (url, told) = webhook();
    let greenroom = Greenroom::running(|g| config(g, &format!("notify = {{ webhook = \"{url}\" }}")));
    ready_run(&greenroom, "chat");
    word(&greenroom, "chat");
    let alert = told.recv_timeout(BOUND).expect("it is told");
    assert_eq!(
        (&alert["alert"], &alert["service"], &alert["severity"]),
        (&"ram_limit".into(), &"chat".into(), &"warning".into())
    );
    assert!(alert["message"].as_str().is_some_and(|text| text.contains("MiB")), "{alert:#}");
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

#[test]
fn nobody_who_answers_holds_up_nothing() {
    // It takes connections and says nothing for ever; the program never ends.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let greenroom = Greenroom::running(|g| {
        let forever = g.words(&["/bin/sleep", "600"]);
        config(g, &format!("notify = {{ webhook = \"http://127.0.0.1:{port}/hook\", exec = {forever} }}"))
    });
    let run = ready_run(&greenroom, "chat");
    word(&greenroom, "chat");
    greenroom.wait_alert(Some("chat"), "ram_limit");
    assert_eq!(ready_run(&greenroom, "chat"), run);
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}
