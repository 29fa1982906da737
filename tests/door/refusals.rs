//! Who is not let in is told why, at once, in the one shape.

use std::time::Duration;

use serde_json::json;

use crate::{
    CHAT, chat, chat_at,
    common::{BOUND, Greenroom, Http, timed, wait_for},
    door, gateway, on_demand, refused, with_chat,
};

#[test]
fn an_unknown_model_and_no_model_are_told_with_those_there_are() {
    let greenroom = Greenroom::running(|g| {
        let plain = g.stand_in("plain", "--no-http");
        gateway(g, "")
            + &on_demand(g, "one", "", "serves = [\"gemma\"]")
            + &on_demand(g, "two", "", "")
            + &format!("[service.plain]\ncommand = {plain}\nstart = \"on_demand\"\n")
    });
    let error = refused(&chat(&greenroom, "gpt"), 404, "model_not_found");
    assert_eq!(
        (&error["message"], &error["param"]),
        (&json!("there is no model `gpt`; there are: gemma, two"), &json!("model"))
    );
    refused(&chat(&greenroom, "plain"), 404, "model_not_found");
    for body in [r#"{"max_tokens":1}"#, "not json", "", r#"{"model":7}"#] {
        let error = refused(&door(&greenroom).ask("POST", CHAT, "", body).expect("it answers"), 400, "no_model");
        assert!(error["message"].as_str().expect("a sentence").contains("gemma"), "{error}");
    }
    let door = door(&greenroom);
    refused(&door.get("/upstream/nobody/x").expect("it answers"), 404, "model_not_found");
    refused(&door.get("/upstream/").expect("it answers"), 400, "invalid_request");
    for path in ["/", "/v1/nothing", "/api/nothing", "/upstream", "/v1/chat/completions"] {
        refused(&door.get(path).expect("it answers"), 404, "not_found");
    }
    for service in ["one", "two", "plain"] {
        assert_eq!(greenroom.state(service), "stopped");
    }
}

#[test]
fn a_start_that_fails_is_told_with_class_and_last_words() {
    let greenroom = Greenroom::running(|g| {
        let broken = g
            .shell("echo 'error while loading shared libraries: libcudart.so.12: cannot open' >&2; exit 127 # ${port}");
        gateway(g, "") + &format!("[service.chat]\ncommand = {broken}\nready = \"/health\"\nstart = \"on_demand\"\n")
    });
    let (answer, took) = timed(|| chat(&greenroom, "chat"));
    let error = refused(&answer, 502, "start_failed");
    assert_eq!((&error["class"], &error["exit_code"]), (&json!("missing_library"), &json!(127)), "{error}");
    assert!(error["stderr"][0].as_str().expect("a line").contains("libcudart"), "{error}");
    assert!(took < Duration::from_secs(60), "not after max_wait: {took:?}");
    refused(&chat(&greenroom, "chat"), 502, "start_failed");
}

#[test]
fn a_crash_while_starting_is_waited_through_until_it_is_given_up() {
    let greenroom = with_chat(
        "--load-ms 60000 --crash-after-ms 30 --exit-code 9 --stderr no-such-tensor",
        "restart = { max = 3, backoff = \"10ms..20ms\" }",
    );
    let error = refused(&chat(&greenroom, "chat"), 502, "start_failed");
    assert_eq!(error["exit_code"], 9, "{error}");
    assert!(error["stderr"].to_string().contains("no-such-tensor"), "{error}");
    assert!(crate::runs(&greenroom, "chat") >= 3, "it was tried again while somebody waited");
    assert_eq!(greenroom.state("chat"), "failed");
    greenroom.cli(&["reset", "chat"]).expect(0);
    refused(&chat(&greenroom, "chat"), 502, "start_failed");
}

#[test]
fn what_a_person_has_stopped_stays_so() {
    let greenroom = with_chat("--load-ms 60000", "");
    let waiting = std::thread::scope(|scope| {
        let door = door(&greenroom);
        let waiting = scope.spawn(move || chat_at(&door, "chat"));
        wait_for("it is being loaded", BOUND, || greenroom.state("chat") == "starting");
        greenroom.cli(&["stop", "chat"]).expect(0);
        waiting.join().expect("it is answered")
    });
    refused(&waiting, 503, "service_stopped");
    refused(&chat(&greenroom, "chat"), 503, "service_stopped");
    assert_eq!(greenroom.state("chat"), "stopped");
}

#[test]
fn what_it_depends_on_stays_stopped_too_until_a_person_loads_it() {
    let greenroom = Greenroom::running(|g| {
        gateway(g, "") + &on_demand(g, "db", "", "") + &on_demand(g, "chat", "", "depends_on = { db = \"ready\" }")
    });
    greenroom.cli(&["stop", "db"]).expect(0);
    let error = refused(&chat(&greenroom, "chat"), 503, "service_stopped");
    assert!(error["message"].as_str().expect("a sentence").contains("`db` is stopped"), "{error}");
    assert_eq!((greenroom.state("db").as_str(), greenroom.state("chat").as_str()), ("stopped", "stopped"));
    greenroom.cli(&["load", "chat"]).expect(0);
    assert_eq!(chat(&greenroom, "chat").status, 200);
}

#[test]
fn who_waits_for_what_a_reload_takes_out_is_told_that_it_is_not_there() {
    let greenroom = Greenroom::new();
    let rest = gateway(&greenroom, "") + &on_demand(&greenroom, "other", "", "");
    greenroom.configure(&(rest.clone() + &on_demand(&greenroom, "chat", "--load-ms 60000", "")));
    greenroom.start();
    let waiting = std::thread::scope(|scope| {
        let door = door(&greenroom);
        let waiting = scope.spawn(move || chat_at(&door, "chat"));
        wait_for("it is being loaded", BOUND, || greenroom.state("chat") == "starting");
        greenroom.configure(&rest);
        greenroom.cli(&["reload"]).expect(0);
        waiting.join().expect("it is answered")
    });
    refused(&waiting, 404, "model_not_found");
    refused(&chat(&greenroom, "chat"), 404, "model_not_found");
}

#[test]
fn a_wait_is_bounded_by_max_wait() {
    // Long enough for it to have been begun.
    let greenroom =
        Greenroom::running(|g| gateway(g, "queue.max_wait = \"4s\"") + &on_demand(g, "chat", "--load-ms 60000", ""));
    let (answer, took) = timed(|| chat(&greenroom, "chat"));
    let error = refused(&answer, 503, "wait_timeout");
    assert!(error["message"].as_str().expect("a sentence").contains("starting"), "{error}");
    assert!(took >= Duration::from_secs(4) && took < Duration::from_secs(30), "{took:?}");
}

#[test]
fn a_key_is_needed_for_everything_but_health() {
    let greenroom =
        Greenroom::running(|g| gateway(g, "api_keys = [\"sk-one\", \"sk-two\"]") + &on_demand(g, "chat", "", ""));
    let door = door(&greenroom);
    assert_eq!(door.get("/health").expect("it answers").body, "OK");
    let paths = [("POST", CHAT), ("GET", "/upstream/chat/health"), ("GET", "/nothing"), ("GET", "/upstream/nobody/")];
    for (method, path) in paths {
        for headers in
            ["", "Authorization: Bearer sk-three\r\n", "x-api-key: sk-on\r\n", "Authorization: Basic OnNr\r\n"]
        {
            refused(&door.ask(method, path, headers, "{}").expect("it answers"), 401, "unauthorized");
        }
    }
    assert_eq!(greenroom.state("chat"), "stopped", "nothing is loaded for a stranger");
    // `Og==` would be an empty password; this is x:sk-two.
    for headers in
        ["Authorization: Bearer sk-one\r\n", "x-api-key: sk-two\r\n", "Authorization: Basic eDpzay10d28=\r\n"]
    {
        assert_eq!(door.ask("GET", "/upstream/chat/health", headers, "").expect("it answers").status, 200, "{headers}");
    }
}

#[test]
fn a_body_that_is_too_large_is_refused_however_it_comes() {
    let greenroom = Greenroom::running(|g| gateway(g, "max_body = \"2KiB\"") + &on_demand(g, "chat", "", ""));
    let door = door(&greenroom);
    let large = "x".repeat(4096);
    for path in [CHAT, "/upstream/chat/x"] {
        // Told: refused before it is sent.
        let head = format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 4096\r\n\r\n");
        let answer = door.say(&head).and_then(crate::common::read_answer).expect("it answers");
        refused(&answer, 413, "body_too_large");
        // Not told: counted as it comes.
        let head = format!("POST {path} HTTP/1.1\r\nHost: x\r\nX-Model: chat\r\nTransfer-Encoding: chunked\r\n\r\n");
        let body = format!("{head}1000\r\n{large}\r\n0\r\n\r\n");
        let answer = door.say(&body).and_then(crate::common::read_answer).expect("it answers");
        refused(&answer, 413, "body_too_large");
    }
    assert_eq!(
        door.ask("POST", "/upstream/chat/x", "", &large[..2048]).expect("it answers").status,
        404,
        "the service's own"
    );
}

#[test]
fn a_port_that_is_taken_is_told_with_who_has_it_and_nothing_is_left() {
    let greenroom = Greenroom::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address");
    greenroom.configure(&(format!("[gateway]\nlisten = \"{address}\"\n") + &on_demand(&greenroom, "chat", "", "")));
    greenroom.spawn();
    assert_eq!(greenroom.wait(BOUND).0, 1, "{}", greenroom.output());
    let said = greenroom.output();
    let holder = format!("process {}", std::process::id());
    for word in [&address.to_string(), &holder, "gateway.listen"] {
        assert!(said.contains(word), "{word} is not in:\n{said}");
    }
    wait_for("nothing is left", BOUND, || greenroom.everything().is_empty());
}

#[test]
fn the_real_address_is_told_where_a_free_port_was_asked_for() {
    let greenroom = Greenroom::new();
    let socket = greenroom.folder().join("g.sock");
    let listen = format!("[gateway]\nlisten = [\"127.0.0.1:0\", \"unix:{}\"]\n", socket.display());
    greenroom.configure(&(listen + &on_demand(&greenroom, "chat", "", "")));
    greenroom.start();
    let told = greenroom.status()["runtime"]["gateway"].clone();
    let url = told[0].as_str().expect("an address");
    let port: u16 = url.strip_prefix("http://127.0.0.1:").expect("a URL").parse().expect("a port");
    assert_ne!(port, 0);
    wait_for("the log tells it", BOUND, || greenroom.output().contains(url));
    for http in [Http::Tcp(port), Http::unix(&socket)] {
        let answer = http.post(CHAT, Some(&json!({ "model": "chat" }))).expect("it answers");
        assert_eq!(answer.json()["system_fingerprint"], "chat");
    }
    greenroom.shutdown_clean();
    assert!(!socket.exists());
}
