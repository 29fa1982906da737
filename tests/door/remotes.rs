//! Remotes: what answers elsewhere gets requests by its names, as long as it is well.
//!
//! They are stand-ins that another runtime keeps on fixed ports, so that they can be stopped and started.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    path::Path,
    sync::Arc,
};

use nix::sys::signal::Signal;
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use serde_json::{Value, json};

use crate::{
    CHAT, chat,
    common::{Answer, BOUND, Greenroom, Http, read_answer, signal, wait_for},
    door, gateway, refused,
};

/// What answers elsewhere, and who asks it.
struct Two {
    /// Keeps the stand-ins `a` and `b` on its own ports 1 and 2.
    far: Greenroom,
    /// Has the door, and the remote `pod` of both.
    near: Greenroom,
}

/// A stand-in on the test's own port `n`.
fn stand_in(greenroom: &Greenroom, name: &str, n: u16, options: &str) -> String {
    let port = greenroom.port(n);
    let command = greenroom.stand_in(name, &format!("--port {port} {options}"));
    format!("[service.{name}]\ncommand = {command}\nport = {port}\nready = \"/health\"\nstart = \"eager\"\n")
}

/// The remote `pod`, which serves `model`, at these of the ports of `far`.
fn pod(far: &Greenroom, ports: &[u16], keys: &str) -> String {
    let urls: Vec<String> = ports.iter().map(|n| format!("http://127.0.0.1:{}", far.port(*n))).collect();
    format!("[remote.pod]\nurls = {urls:?}\nserves = [\"model\"]\n{keys}\n")
}

impl Two {
    /// Stand-ins with these options that are up, and a remote of both with these keys.
    #[track_caller]
    fn new(options: &str, keys: &str) -> Self {
        let far = Greenroom::running(|g| stand_in(g, "a", 1, options) + &stand_in(g, "b", 2, options));
        far.cli(&["start", "a", "b"]).expect(0);
        let near = Greenroom::running(|g| gateway(g, "") + &pod(&far, &[1, 2], keys));
        Self { far, near }
    }
}

/// The remote as the API shows it.
#[track_caller]
fn seen(greenroom: &Greenroom) -> Value {
    let remotes = greenroom.api().get("/api/remotes").expect("it answers").json();
    remotes[0].clone()
}

#[track_caller]
fn wait_states(greenroom: &Greenroom, expected: &[&str]) {
    wait_for(&format!("the URLs are {expected:?}"), BOUND, || {
        let seen = seen(greenroom);
        let urls = seen["urls"].as_array().expect("a list");
        let states: Vec<&str> = urls.iter().filter_map(|url| url["state"].as_str()).collect();
        states == expected
    });
}

fn in_flight(greenroom: &Greenroom) -> Vec<u64> {
    let seen = seen(greenroom);
    seen["urls"].as_array().expect("a list").iter().filter_map(|url| url["in_flight"].as_u64()).collect()
}

/// Which stand-in has answered.
#[track_caller]
fn who(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["system_fingerprint"].as_str().expect("its name").to_owned()
}

#[test]
fn requests_take_turns_and_a_url_that_is_gone_is_left_out_until_it_is_back() {
    let Two { far, near: greenroom } = Two::new("", "balance = \"round_robin\"\nalive.interval = \"100ms\"");
    let ask = || who(&chat(&greenroom, "model"));
    let (one, other) = (ask(), ask());
    assert_ne!(one, other);
    assert_eq!([ask(), ask(), ask()], [one.clone(), other, one]);
    assert_eq!(who(&chat(&greenroom, "pod")).len(), 1, "its own name is one of its names");

    far.cli(&["stop", "a"]).expect(0);
    for _ in 0..10 {
        assert_eq!(ask(), "b", "who asks notices nothing");
    }
    wait_states(&greenroom, &["out", "in"]);
    let status = greenroom.cli(&["status"]).expect(0);
    let line = format!("pod: http://127.0.0.1:{}: ", far.port(1));
    assert!(status.stdout.contains("REMOTE") && status.stdout.contains(&line), "{status:?}");

    far.cli(&["start", "a"]).expect(0);
    wait_states(&greenroom, &["in", "in"]);
    assert_ne!(ask(), ask());
}

#[test]
fn the_least_busy_url_is_asked_and_requests_are_counted_until_their_end() {
    let Two { far, near: greenroom } = Two::new("--token-ms 20", "");
    let stream = |tokens: u32| {
        let body = json!({ "model": "model", "stream": true, "max_tokens": tokens });
        door(&greenroom).post_events(CHAT, &body).expect("the door answers")
    };
    let mut long = stream(100_000);
    let busy = long.next().expect("a token").data["system_fingerprint"].as_str().expect("its name").to_owned();
    for _ in 0..4 {
        // Counted until a moment after the last word was read.
        wait_for("the long one is alone", BOUND, || in_flight(&greenroom).iter().sum::<u64>() == 1);
        assert_ne!(who(&chat(&greenroom, "model")), busy, "the other one has nothing to do");
    }
    // Who leaves is not waited for, here or there.
    drop(long);
    wait_for("nothing is in flight", BOUND, || in_flight(&greenroom) == [0, 0]);
    let port = if busy == "a" { far.port(1) } else { far.port(2) };
    let props = || Http::Tcp(port).get("/props").expect("it answers").json();
    wait_for("the remote works for nobody", BOUND, || props()["slots_busy"] == 0);
}

#[test]
fn a_stream_comes_piece_by_piece() {
    let Two { far: _far, near: greenroom } = Two::new("--token-ms 200", "");
    let stream = |tokens: u32| {
        let body = json!({ "model": "model", "stream": true, "max_tokens": tokens });
        door(&greenroom).post_events(CHAT, &body).expect("the door answers")
    };
    // Its end is hours away, and ten tokens are less than any buffer.
    let mut endless = stream(100_000);
    for n in 0..10 {
        assert!(endless.next().expect("a token").data["system_fingerprint"].is_string(), "the {n}-th");
    }
    drop(endless);
    assert_eq!(stream(10).count(), 11, "ten tokens and the end");
}

#[test]
fn a_stream_that_breaks_off_ends_with_an_event_that_says_so() {
    let Two { far, near: greenroom } = Two::new("--token-ms 20 --stop-ms 0", "");
    let body = json!({ "model": "model", "stream": true, "max_tokens": 100_000 });
    let mut stream = door(&greenroom).post_events(CHAT, &body).expect("the door answers");
    let mut last = stream.next().expect("a token");
    let name = last.data["system_fingerprint"].as_str().expect("its name").to_owned();
    signal(far.service_pid(&name), Signal::SIGKILL);
    while let Some(event) = stream.next() {
        last = event;
    }
    assert_eq!(last.data["error"]["code"], "upstream_closed", "{last:?}");
    let message = last.data["error"]["message"].as_str().expect("a message");
    assert!(message.contains("the remote `pod` at http://127.0.0.1:"), "{message}");
    wait_for("nothing is in flight", BOUND, || in_flight(&greenroom) == [0, 0]);
}

#[test]
fn the_remotes_key_goes_in_the_place_of_the_clients_and_the_rest_as_it_came() {
    let far = Greenroom::running(|g| stand_in(g, "a", 1, ""));
    far.cli(&["start", "a"]).expect(0);
    let greenroom =
        Greenroom::running(|g| gateway(g, "api_keys = [\"door\"]") + &pod(&far, &[1], "api_key = \"theirs\""));
    let path = "/upstream/pod/a%2Fb/../..//c;d=1?x=%20&y=a+b";
    let headers = "Authorization: Bearer door\r\nX-Thing: a  b\r\nConnection: x-mine\r\nX-Mine: 1\r\n";
    let answer = door(&greenroom).ask("PATCH", path, headers, "the body").expect("it answers");
    let asked = &answer.json()["asked"];
    let header = |name: &str| {
        let all = asked["headers"].as_array().expect("a list");
        all.iter().find(|pair| pair[0] == name).map_or(Value::Null, |pair| pair[1].clone())
    };
    assert_eq!(
        (&asked["method"], &asked["target"], &asked["body"]),
        (&json!("PATCH"), &json!("/a%2Fb/../..//c;d=1?x=%20&y=a+b"), &json!("the body"))
    );
    assert_eq!((header("authorization"), header("x-thing")), (json!("Bearer theirs"), json!("a  b")));
    assert_eq!(header("host"), json!(format!("127.0.0.1:{}", far.port(1))));
    assert_eq!((header("x-mine"), header("x-api-key")), (Value::Null, Value::Null));
    let answer = door(&greenroom).ask("PATCH", path, "", "").expect("it answers");
    refused(&answer, 401, "unauthorized");
    assert!(!greenroom.output().contains("theirs"), "{}", greenroom.output());
}

#[test]
fn a_body_goes_to_the_next_url_where_the_first_is_gone() {
    // Nobody looks again before the test is over.
    let Two { far, near: greenroom } = Two::new("", "balance = \"round_robin\"\nalive.interval = \"1h\"");
    assert_eq!(who(&chat(&greenroom, "model")).len(), 1);
    far.cli(&["stop", "b"]).expect(0);
    let piece = "0123456789".repeat(100);
    for _ in 0..3 {
        let request = format!(
            "PUT /upstream/pod/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n{piece}\r\n3e8\r\n{piece}\r\n0\r\n\r\n"
        );
        let answer = door(&greenroom).say(&request).and_then(read_answer).expect("it answers");
        assert_eq!(answer.json()["asked"]["body"], format!("{piece}{piece}"), "{answer:?}");
    }
    assert_eq!(seen(&greenroom)["urls"][1]["state"], "out", "one refused connection is enough");
}

#[test]
fn where_nobody_can_be_asked_the_answer_says_what_each_has_said() {
    let greenroom = Greenroom::running(|g| gateway(g, "") + &pod(g, &[1, 2], "alive.interval = \"100ms\""));
    let error = refused(&chat(&greenroom, "model"), 502, "upstream_closed");
    let message = error["message"].as_str().expect("a message").to_owned();
    assert!(message.contains("no URL of the remote `pod` can be asked"), "{message}");
    for n in [1, 2] {
        let url = format!("http://127.0.0.1:{}: ", greenroom.port(n));
        assert!(message.contains(&url), "{message}");
    }
    assert_eq!(message.matches("Connection refused").count(), 2, "{message}");
    wait_states(&greenroom, &["out", "out"]);
    assert_eq!(seen(&greenroom)["state"], "out");
    let models = door(&greenroom).get("/v1/models").expect("it answers").json();
    let listed = (&models["data"][0]["id"], &models["data"][0]["service"], &models["data"][0]["status"]["value"]);
    assert_eq!(listed, (&json!("model"), &json!("pod"), &json!("unloaded")), "{models}");
    refused(&chat(&greenroom, "model"), 502, "upstream_closed");
}

/// Answers every request over TLS by who it is, with a certificate of an authority that nobody knows but
/// `tests/door/tls/ca.pem`. Ends with the test's process.
fn tls_server() -> u16 {
    let tls = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/door/tls");
    let certificate = CertificateDer::from_pem_file(tls.join("leaf.pem")).expect("a certificate");
    let key = PrivateKeyDer::from_pem_file(tls.join("leaf.key")).expect("a key");
    let provider = rustls::crypto::ring::default_provider().into();
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.expect("versions").with_no_client_auth().with_single_cert(vec![certificate], key);
    let config = Arc::new(config.expect("they fit"));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            let session = ServerConnection::new(Arc::clone(&config)).expect("a session");
            let mut stream = BufReader::new(StreamOwned::new(session, socket));
            let mut head = String::new();
            // An error: the client does not trust the certificate.
            while !head.ends_with("\r\n\r\n") && stream.read_line(&mut head).is_ok_and(|read| read > 0) {}
            let body = json!({ "system_fingerprint": "tls" }).to_string();
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            let stream = stream.get_mut();
            stream.write_all(answer.as_bytes()).ok();
            stream.conn.send_close_notify();
            stream.flush().ok();
        }
    });
    port
}

#[test]
fn https_is_spoken_with_whom_the_systems_certificates_vouch_for() {
    let port = tls_server();
    let config = |g: &Greenroom| {
        gateway(g, "") + &format!("[remote.pod]\nurls = [\"https://127.0.0.1:{port}\"]\nserves = [\"model\"]\n")
    };
    let authority = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/door/tls/ca.pem");
    let start = |certificates: &Path| {
        let greenroom = Greenroom::new();
        greenroom.configure(&config(&greenroom));
        greenroom.start_as(|command| {
            command.args(["run", "-c"]).arg(greenroom.config_file()).env("SSL_CERT_FILE", certificates);
        });
        greenroom
    };
    let trusting = start(&authority);
    let answer = door(&trusting).ask("GET", "/upstream/pod/x", "", "").expect("it answers");
    assert_eq!(who(&answer), "tls");
    wait_states(&trusting, &["in"]);

    // A certificate that vouches for nobody but itself.
    let wary = start(&authority.with_file_name("leaf.pem"));
    let answer = door(&wary).ask("GET", "/upstream/pod/x", "", "").expect("it answers");
    let error = refused(&answer, 502, "upstream_closed");
    assert!(error["message"].as_str().is_some_and(|said| said.contains("invalid peer certificate")), "{error}");
}
